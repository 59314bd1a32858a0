//! What a rollout stores of a policy with memory is enough to see it all again: unrolled from the stored states, every
//! sequence gives the values and log probabilities that were collected, across ends, rollouts and burn-in.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Mutex;

use cambist_analytic::MemoryEnv;
use cambist_core::clock::SystemClock;
use cambist_core::policy::ActionMode;
use cambist_core::{ActionSpec, BatchedEnv, ObservationSpec, StepBuffers};
use cambist_nets::{Batch, FusedLearner, Learner, OutputLoss, Sums, TileGradients, TileOutputs, init};
use cambist_policy::head::log_softmax;
use cambist_policy::{Activation, ActorCriticSpec, AgentPolicy, Head, Instructions, Trunk};
use cambist_ppo::rollout::{Chunk, collect};
use cambist_ppo::{Tape, TapeShape};

/// Compares outputs with what the tape holds.
struct Replay<'a> {
    tape: &'a Tape,
    seen: Mutex<usize>,
}

impl OutputLoss for Replay<'_> {
    fn tile(&self, outputs: &TileOutputs<'_>, gradients: &mut TileGradients<'_>, _: &mut Sums) {
        let mut log_p = outputs.head.to_vec();
        let mask: Vec<bool> =
            outputs.indices.iter().flat_map(|&row| self.tape.mask(row as usize)).copied().collect();
        log_softmax(outputs.instructions, 3, &mut log_p, Some(&mask));
        for (at, &row) in outputs.indices.iter().enumerate() {
            let row = row as usize;
            let value = (outputs.values[at] - self.tape.values[row]).abs();
            let chosen = log_p[at * 3 + self.tape.actions[row] as usize];
            let off = (chosen - self.tape.log_probabilities[row]).abs();
            assert!(value < 1e-5 && off < 1e-5, "row {row}: {value} {off}");
        }
        gradients.head.fill(0.0);
        gradients.values.fill(0.0);
        *self.seen.lock().unwrap() += outputs.indices.len();
    }
}

/// The memory market in which a choice is forbidden: another one in every environment and step.
struct Masked {
    env: MemoryEnv,
    first: usize,
    n_steps: usize,
}

impl Masked {
    fn forbidden(&self, index: usize) -> usize {
        (self.first + index + self.n_steps) % 3
    }
}

impl BatchedEnv for Masked {
    fn n_envs(&self) -> usize {
        self.env.n_envs()
    }

    fn observation_spec(&self) -> &ObservationSpec {
        self.env.observation_spec()
    }

    fn action_spec(&self) -> ActionSpec {
        self.env.action_spec()
    }

    fn mask_width(&self) -> usize {
        3
    }

    fn masks(&self, allowed: &mut [bool]) {
        for (place, allowed) in allowed.iter_mut().enumerate() {
            *allowed = place % 3 != self.forbidden(place / 3);
        }
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.env.reset(seed, observations);
    }

    fn step(&mut self, actions: &[f32], out: &mut StepBuffers<'_>) {
        for (index, &action) in actions.iter().enumerate() {
            assert_ne!(action as usize, self.forbidden(index), "a forbidden choice was made");
        }
        self.n_steps += 1;
        self.env.step(actions, out);
    }
}

#[test]
fn a_rollout_can_be_seen_again() {
    for (trunk, burn_in) in [
        (Trunk::Gru { width: 6 }, 0),
        (Trunk::Gru { width: 6 }, 5),
        (Trunk::Lstm { width: 5 }, 11),
        (Trunk::Lstm { width: 5 }, 24),
    ] {
        let (n_envs, horizon, length) = (7, 24, 8);
        let spec = ActorCriticSpec {
            observation: 4,
            trunk,
            hidden: vec![5],
            activation: Activation::Tanh,
            head: Head::Categorical { n: 3 },
        };
        let mut agent = init::orthogonal(&spec, 1, 0.0).unwrap();
        agent.parameters.iter_mut().for_each(|p| *p *= 1.5);
        // Episodes of 20 bars end inside rollouts of 24, at other places in each.
        let chunk = |n, first| {
            let env = Masked { env: MemoryEnv::new(4, n, first, 4), first: first as usize, n_steps: 0 };
            Chunk::new(Box::new(env), AgentPolicy::new(agent.clone(), ActionMode::Sampled, 3, first), 3)
        };
        let mut chunks = [chunk(4, 0), chunk(3, 4)];
        let mut tape = Tape::new(TapeShape {
            n_envs,
            horizon,
            observation: 4,
            action: 1,
            mask: 3,
            state: trunk.state_width(),
            sequence_length: length,
            burn_in,
            compared: false,
        });
        for _ in 0..3 {
            collect(&mut chunks, &agent.parameters, &mut tape, &SystemClock::start());
            let fresh = &tape.memory.as_ref().unwrap().fresh;
            assert!(fresh.iter().any(|f| *f), "an episode begins");
            let replay = Replay { tape: &tape, seen: Mutex::new(0) };
            let indices: Vec<u32> = (0..tape.n_sequences() as u32).collect();
            let mut learner = FusedLearner::new(agent.clone(), 2, Instructions::detect());
            let batch = Batch { indices: &indices, loss: &replay };
            learner.learn(tape.experience(), &[batch], &mut |_, _| None).unwrap();
            assert_eq!(*replay.seen.lock().unwrap(), n_envs * horizon);
        }
    }
}
