//! Environments compared on their path: only with those who stand beside them on it.
#![allow(clippy::unwrap_used, reason = "a test")]

use cambist_core::clock::SystemClock;
use cambist_core::policy::ActionMode;
use cambist_core::{ActionSpec, BatchedEnv, End, ObservationSpec, StepBuffers};
use cambist_nets::init;
use cambist_policy::{Activation, ActorCriticSpec, AgentPolicy, Head, Trunk};
use cambist_ppo::group::{Place, group_baselines};
use cambist_ppo::rollout::{Chunk, collect};
use cambist_ppo::{Tape, TapeShape};

/// Who was ruined begins its next episode alone: it is compared with nobody, and the others go on with each other, until it
/// stands where they do again.
#[test]
fn who_left_the_path_is_compared_with_nobody() {
    let (run, ruin, over) = (End::Running, End::Terminated, End::Truncated);
    let advantages = [1.0, 2.0, 6.0].repeat(4);
    let ends = [[run, run, run], [run, ruin, run], [ruin, over, run], [run, run, over]].concat();
    let mut baselines = Vec::new();
    group_baselines(&advantages, &ends, &[Place { episode: 3, step: 7 }; 3], 3, &mut baselines);
    let (all, without) = ([4.0, 3.5, 1.5], [6.0, 0.0, 1.0]);
    // At last the first is in episode 4, the second in episode 5, the third still in episode 3.
    assert_eq!(baselines, [all, all, without, [0.0; 3]].concat());
    // From where that rollout ended: the first and third stand in episode 4, but at steps 1 and 0.
    let places = [(4, 1), (5, 1), (4, 0)].map(|(episode, step)| Place { episode, step });
    group_baselines(&advantages[..3], &ends[..3], &places, 3, &mut baselines);
    assert_eq!(baselines, [0.0; 3]);
    let together = [(4, 1), (5, 1), (4, 1)].map(|(episode, step)| Place { episode, step });
    group_baselines(&advantages[..3], &ends[..3], &together, 3, &mut baselines);
    assert_eq!(baselines, without);
}

/// Episodes of six steps that show where they are; every third environment is ruined in the third step of some.
struct Paths {
    first: u64,
    places: Vec<Place>,
    spec: ObservationSpec,
}

fn shown(place: Place) -> f32 {
    (10 * place.episode + place.step) as f32
}

impl BatchedEnv for Paths {
    fn n_envs(&self) -> usize {
        self.places.len()
    }

    fn observation_spec(&self) -> &ObservationSpec {
        &self.spec
    }

    fn action_spec(&self) -> ActionSpec {
        ActionSpec::Discrete { n: 2 }
    }

    fn reset(&mut self, _: u64, observations: &mut [f32]) {
        observations.fill(shown(Place::default()));
    }

    fn step(&mut self, _: &[f32], out: &mut StepBuffers<'_>) {
        for (index, place) in self.places.iter_mut().enumerate() {
            let ruined = (self.first + index as u64) % 3 == 1 && place.episode % 2 == 1 && place.step == 2;
            let ends = if ruined { End::Terminated } else { End::Truncated };
            out.ends[index] = if ruined || place.step == 5 { ends } else { End::Running };
            *place = match out.ends[index] {
                End::Running => Place { step: place.step + 1, ..*place },
                _ => Place { episode: place.episode + 1, step: 0 },
            };
            out.rewards[index] = 1.0;
            out.observations[index] = shown(*place);
        }
    }
}

/// Over several rollouts and whatever thread has them, an environment is compared where another of its group sees what it sees,
/// and nowhere else.
#[test]
fn a_rollout_knows_who_stands_together() {
    let head = Head::Categorical { n: 2 };
    let spec = ActorCriticSpec {
        observation: 1,
        trunk: Trunk::None,
        hidden: vec![4],
        activation: Activation::Tanh,
        head,
    };
    let agent = init::orthogonal(&spec, 1, 0.0).unwrap();
    let rollouts = |sizes: &[usize]| -> Vec<f32> {
        let mut first = 0;
        let mut chunks: Vec<Chunk> = sizes
            .iter()
            .map(|&n| {
                let spec = ObservationSpec { names: vec!["place".to_owned()] };
                let env = Paths { first, places: vec![Place::default(); n], spec };
                first += n as u64;
                let policy = AgentPolicy::new(agent.clone(), ActionMode::Sampled, 3, first - n as u64);
                Chunk::new(Box::new(env), policy, 3)
            })
            .collect();
        let (n_envs, group) = (6, 3);
        let mut tape = Tape::new(TapeShape {
            n_envs,
            horizon: 5,
            observation: 1,
            action: 1,
            mask: 0,
            state: 0,
            sequence_length: 1,
            burn_in: 0,
            compared: true,
        });
        let (mut all, mut apart) = (Vec::new(), 0);
        for _ in 0..6 {
            collect(&mut chunks, &agent.parameters, &mut tape, &SystemClock::start());
            tape.estimate_advantages(0.9, 0.95, group);
            for row in 0..tape.n_rows() {
                let begin = row - row % group;
                let beside = |other: &usize| tape.observations[*other] == tape.observations[row];
                let alone = (begin..begin + group).filter(|other| *other != row).filter(beside).count() == 0;
                assert_eq!(tape.baselines[row] == 0.0, alone, "row {row}: {}", tape.baselines[row]);
                apart += usize::from(alone);
            }
            all.extend_from_slice(&tape.baselines);
        }
        assert!(apart > 10 && apart < all.len() / 2, "{apart} of {}", all.len());
        all
    };
    assert_eq!(rollouts(&[6]), rollouts(&[2, 4]), "threads cut groups as they like");
}
