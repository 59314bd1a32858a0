//! Environments that live through the same path of the world, compared with each other.

use cambist_core::End;
use serde::{Deserialize, Serialize};

/// Where an environment stands on the paths that it is given one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Number of the episode.
    pub episode: u64,
    /// Steps taken in it.
    pub step: u64,
}

impl Place {
    /// Goes on by one step that ended so.
    pub fn advance(&mut self, end: End) {
        *self = match end {
            End::Running => Self { step: self.step + 1, ..*self },
            End::Terminated | End::Truncated => Self { episode: self.episode + 1, step: 0 },
        };
    }
}

/// What an environment's advantage is compared with: the mean of the advantages of the others of its `group` that stand at the same
/// step of the same episode, row `t · n_envs + env`, groups of environments in a row. With none there, as after a ruin, it is zero:
/// nothing is compared. `places`, `[n_envs]`, is where they stood before the first row, and `ends` how each row ended.
///
/// Where the world goes its way whatever the agent does (prices under a small trader), most of an advantage is that way, the same
/// for all who live through it. A baseline that knows the way and not the agent's own action takes it out without bias: the
/// input-driven baseline of Mao, Venkatakrishnan, Schwarzkopf & Alizadeh 2019 (arXiv 1807.02264, theorem 1), here the
/// leave-one-out mean of the group (Kool, van Hoof & Welling 2019). Only the policy's loss is compared; values learn the whole return.
pub fn group_baselines(advantages: &[f32], ends: &[End], places: &[Place], group: usize, out: &mut Vec<f32>) {
    out.clear();
    if group < 2 {
        return;
    }
    let mut places = places.to_vec();
    let rows = advantages.chunks(places.len().max(1)).zip(ends.chunks(places.len().max(1)));
    for (advantages, ends) in rows {
        for (members, places) in advantages.chunks(group).zip(places.chunks(group)) {
            out.extend((0..members.len()).map(|own| baseline(members, places, own)));
        }
        places.iter_mut().zip(ends).for_each(|(place, &end)| place.advance(end));
    }
}

/// The mean of those who stand where `own` does, itself left out.
fn baseline(members: &[f32], places: &[Place], own: usize) -> f32 {
    let beside = members.iter().zip(places).filter(|&(_, place)| *place == places[own]);
    // As a distance from one's own, so that members who fared alike to the bit differ by nothing at all.
    let (n, apart) = beside.fold((0, 0.0), |(n, sum), (other, _)| (n + 1, sum + (other - members[own])));
    if n > 1 { members[own] + apart / (n - 1) as f32 } else { 0.0 }
}
