//! Several trained networks that act as one policy.
//!
//! Every member says which position it wants, as it would alone. The ensemble wants what they want in the mean, weighted or not, or what
//! a majority of them wants, and the less of it the more they disagree: the position is scaled by
//! `max(0, 1 − κ σ)`, σ the (weighted) standard deviation of the members' targets, which are in [−1, 1].
//!
//! Members see one observation and share its columns; their networks may differ. A discrete choice becomes the position it stands for,
//! so that an ensemble of discrete members asks for positions in between.

use cambist_core::policy::{ActionMode, Policy, PolicyInput, PolicyOutput};
use serde::{Deserialize, Serialize};

use crate::acting::AgentPolicy;
use crate::actor_critic::{ActorCritic, ActorCriticSpec};
use crate::head::Head;

/// How members' wishes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combination {
    /// Of choices the one most members take, of ties what is nearest to flat; of positions and of a band's edges the median, which
    /// half of them want at least and half at most.
    Majority,
    /// The mean.
    Mean,
    /// The mean by weights, which may depend on the regime.
    Weighted,
}

/// How a member's action says which position it wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// A choice among these positions.
    Choice(Vec<f64>),
    /// The position itself.
    Target,
    /// The edges of a band of positions.
    Band,
}

impl Wish {
    /// Floats of what the ensemble asks for.
    #[must_use]
    pub fn width(&self) -> usize {
        if *self == Self::Band { 2 } else { 1 }
    }

    fn fits(&self, head: Head) -> bool {
        match (self, head) {
            (Self::Choice(positions), Head::Categorical { n }) => positions.len() == n,
            (Self::Target, Head::Gaussian { dim }) => dim == 1,
            (Self::Band, Head::Gaussian { dim }) => dim == 2,
            _ => false,
        }
    }
}

/// A member's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberSpec {
    /// Its network.
    pub network: ActorCriticSpec,
    /// Columns of the observation that hold something of the member's own, such as the multiplier it learned with, and what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_columns: Vec<(usize, f32)>,
}

/// Shape of an ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleSpec {
    /// Its members.
    pub members: Vec<MemberSpec>,
    /// How their actions are read.
    pub wish: Wish,
    /// Smallest position there is: −1, or 0 where nothing is sold short. The largest is 1.
    pub low: f64,
    /// How their wishes become one.
    pub combination: Combination,
    /// One weight a member, not negative, that sum to one: first where the regime is not known, then for each regime; where regimes do
    /// not matter, the first alone. A majority counts every member once.
    pub weights: Vec<Vec<f64>>,
    /// κ.
    pub disagreement: f64,
}

impl EnsembleSpec {
    /// What is wrong with it, if anything is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let n = self.members.len();
        let Some(first) = self.members.first() else { return Some("it has no members".to_owned()) };
        let columns = first.network.observation;
        for (index, member) in self.members.iter().enumerate() {
            let network = &member.network;
            if network.observation != columns {
                let own = network.observation;
                return Some(format!("member {index} sees {own} columns, member 0 sees {columns}"));
            }
            if !self.wish.fits(network.head) {
                return Some(format!(
                    "member {index} ends in {:?}, which is no {:?}",
                    network.head, self.wish
                ));
            }
            if let Some((column, _)) = member.own_columns.iter().find(|(column, _)| *column >= columns) {
                return Some(format!("member {index} has a column {column} of its own, of {columns}"));
            }
        }
        for (row, weights) in self.weights.iter().enumerate() {
            let sum: f64 = weights.iter().sum();
            let good = weights.iter().all(|w| (0.0..=1.0).contains(w)) && (sum - 1.0).abs() < 1e-9;
            if weights.len() != n || !good {
                return Some(format!(
                    "row {row} of its weights is {weights:?}: {n} that sum to one are needed"
                ));
            }
        }
        if self.weights.is_empty() {
            return Some("it has no weights".to_owned());
        }
        let good = (0.0..=1e6).contains(&self.disagreement) && (-1.0..=0.0).contains(&self.low);
        (!good).then(|| format!("disagreement is {} and low {}", self.disagreement, self.low))
    }

    /// Weights in a regime.
    fn weights_in(&self, regime: Option<u8>) -> &[f64] {
        let row = regime.map_or(0, |regime| usize::from(regime) + 1);
        self.weights.get(row).or(self.weights.first()).map_or(&[], Vec::as_slice)
    }

    /// Writes the position, or band, that `action` of a member asks for.
    fn read(&self, action: &[f32], wish: &mut [f64]) {
        // What is no number asks for nothing, as on the decision path.
        let position = |a: f64| if a.is_nan() { 0.0 } else { a.clamp(self.low, 1.0) };
        match &self.wish {
            Wish::Choice(positions) => {
                wish[0] = position(positions.get(action[0] as usize).copied().unwrap_or(f64::NAN));
            }
            Wish::Target => wish[0] = position(f64::from(action[0])),
            Wish::Band => {
                let [a, b] = [action[0], action[1]].map(|a| position(f64::from(a)));
                (wish[0], wish[1]) = (a.min(b), a.max(b));
            }
        }
    }

    /// What the ensemble asks for, given every member's wish `[members × width]` and the regime.
    fn combine(&self, wishes: &[f64], regime: Option<u8>, out: &mut [f32]) {
        let width = self.wish.width();
        let weights = self.weights_in(regime);
        let weighted = |of: &dyn Fn(&[f64]) -> f64| -> f64 {
            wishes.chunks_exact(width).zip(weights).map(|(wish, weight)| weight * of(wish)).sum()
        };
        let centre = |wish: &[f64]| wish.iter().sum::<f64>() / width as f64;
        let mean = weighted(&centre);
        let variance = weighted(&|wish| (centre(wish) - mean) * (centre(wish) - mean));
        let scale = (1.0 - self.disagreement * variance.sqrt()).max(0.0);
        for (column, out) in out.iter_mut().enumerate() {
            let position = match (self.combination, &self.wish) {
                (Combination::Majority, Wish::Choice(_)) => most_frequent(wishes),
                (Combination::Majority, _) => {
                    median(wishes.iter().skip(column).step_by(width).copied().collect())
                }
                (Combination::Mean | Combination::Weighted, _) => weighted(&|wish| wish[column]),
            };
            let position = scale * position;
            // Opposite wishes cancel but for their rounding: flat is flat.
            *out = if position.abs() < 1e-9 { 0.0 } else { position as f32 };
        }
    }
}

/// The most frequent of `positions`; of ties the one nearest to flat, and flat where the tied are on both sides of it.
fn most_frequent(positions: &[f64]) -> f64 {
    let votes = |position: &f64| positions.iter().filter(|p| *p == position).count();
    let most = positions.iter().map(votes).max().unwrap_or(0);
    let tied = positions.iter().copied().filter(|p| votes(p) == most);
    let (least, largest) = tied.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), p| (a.min(p), b.max(p)));
    0.0f64.clamp(least.min(largest), largest.max(least))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

/// Networks and how they act together.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    spec: EnsembleSpec,
    members: Vec<ActorCritic>,
}

impl Ensemble {
    /// `members` that act by `spec`.
    ///
    /// # Errors
    /// What is wrong with the shape, or a member that does not have it.
    pub fn new(spec: EnsembleSpec, members: Vec<ActorCritic>) -> Result<Self, String> {
        if let Some(fault) = spec.fault() {
            return Err(fault);
        }
        let fits = spec.members.iter().map(|m| &m.network).eq(members.iter().map(ActorCritic::spec));
        if fits { Ok(Self { spec, members }) } else { Err("its members are not of its shape".to_owned()) }
    }

    /// Its shape.
    #[must_use]
    pub fn spec(&self) -> &EnsembleSpec {
        &self.spec
    }

    /// Its networks.
    #[must_use]
    pub fn members(&self) -> &[ActorCritic] {
        &self.members
    }
}

/// An ensemble at work.
#[derive(Debug, Clone)]
pub struct EnsemblePolicy {
    spec: EnsembleSpec,
    members: Vec<AgentPolicy>,
    wishes: Vec<f64>,
    room: Room,
}

/// What a member reads and writes.
#[derive(Debug, Clone, Default)]
struct Room {
    observations: Vec<f32>,
    allowed: Vec<bool>,
    actions: Vec<f32>,
    log_probabilities: Vec<f32>,
    values: Vec<f32>,
    state: Vec<f32>,
    next_state: Vec<f32>,
}

impl EnsemblePolicy {
    /// Acts for environments from index `first_env` on; each member's draws come from a seed of its own.
    #[must_use]
    pub fn new(ensemble: Ensemble, mode: ActionMode, seed: u64, first_env: u64) -> Self {
        let Ensemble { spec, members } = ensemble;
        let members = members
            .into_iter()
            .enumerate()
            .map(|(index, member)| AgentPolicy::new(member, mode, seed.wrapping_add(index as u64), first_env))
            .collect();
        Self { spec, members, wishes: Vec::new(), room: Room::default() }
    }
}

impl Policy for EnsemblePolicy {
    fn state_width(&self) -> usize {
        self.members.iter().map(Policy::state_width).sum()
    }

    /// The combined action has no probability of its own: what is written for it is not a number. Its value is the weighted mean of
    /// the members'.
    fn act(&mut self, input: PolicyInput<'_>, output: &mut PolicyOutput<'_>) {
        let columns = self.spec.members[0].network.observation.max(1);
        let (n, n_members) = (input.observations.len() / columns, self.members.len());
        let (wide, width) = (self.state_width(), self.spec.wish.width());
        self.wishes.resize(n * n_members * width, 0.0);
        output.values.fill(0.0);
        let mut first = 0;
        for (index, member) in self.members.iter_mut().enumerate() {
            let own = member.state_width();
            self.room.enter(&self.spec, index, &input, first..first + own, wide);
            let room = &mut self.room;
            let head = self.spec.members[index].network.head;
            room.actions.resize(n * head.action_width(), 0.0);
            room.log_probabilities.resize(n, 0.0);
            room.values.resize(output.values.len(), 0.0);
            room.next_state.resize(n * own, 0.0);
            let allowed = (!room.allowed.is_empty()).then_some(&room.allowed[..]);
            let seen = PolicyInput {
                observations: &room.observations,
                mask: allowed,
                state: &room.state,
                regimes: &[],
            };
            let mut done = PolicyOutput {
                actions: &mut room.actions,
                log_probabilities: &mut room.log_probabilities,
                values: &mut room.values,
                state: &mut room.next_state,
            };
            member.act(seen, &mut done);
            for (env, action) in room.actions.chunks_exact(head.action_width()).enumerate() {
                let place = (env * n_members + index) * width;
                self.spec.read(action, &mut self.wishes[place..place + width]);
                output.state[env * wide + first..][..own]
                    .copy_from_slice(&room.next_state[env * own..][..own]);
                let regime = input.regimes.get(env).copied().flatten();
                if let (Some(value), Some(own)) = (output.values.get_mut(env), room.values.get(env)) {
                    *value += self.spec.weights_in(regime)[index] as f32 * own;
                }
            }
            first += own;
        }
        for (env, wishes) in self.wishes.chunks_exact(n_members * width).enumerate() {
            let regime = input.regimes.get(env).copied().flatten();
            self.spec.combine(wishes, regime, &mut output.actions[env * width..][..width]);
        }
        output.log_probabilities.fill(f32::NAN);
    }
}

impl Room {
    /// Lays out what member `index` sees: the observations with its own columns, the choices it may take, and its part `part` of every
    /// row of states, which are `wide`.
    fn enter(
        &mut self,
        spec: &EnsembleSpec,
        index: usize,
        input: &PolicyInput<'_>,
        part: std::ops::Range<usize>,
        wide: usize,
    ) {
        let member = &spec.members[index];
        let columns = member.network.observation.max(1);
        self.observations.clear();
        self.observations.extend_from_slice(input.observations);
        for row in self.observations.chunks_exact_mut(columns) {
            member.own_columns.iter().for_each(|&(column, value)| row[column] = value);
        }
        self.allowed.clear();
        if let Wish::Choice(positions) = &spec.wish
            && positions.iter().any(|p| *p < spec.low)
        {
            let n = input.observations.len() / columns;
            (0..n).for_each(|_| self.allowed.extend(positions.iter().map(|p| *p >= spec.low)));
        }
        self.state.clear();
        for row in input.state.chunks_exact(wide.max(1)) {
            self.state.extend_from_slice(&row[part.clone()]);
        }
    }
}
