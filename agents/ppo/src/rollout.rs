//! Collecting experience: each thread owns its environments for the whole horizon and writes to its own rows.
//!
//! The tape is laid out environment by environment, so an environment's rows are in order of time and their place does
//! not depend on how many threads collect.

use cambist_core::env::StepStorage;
use cambist_core::policy::{Policy, PolicyInput, PolicyOutput};
use cambist_core::{BatchedEnv, End};
use cambist_policy::MlpPolicy;

use crate::ppo::{Trajectory, advantages};

/// A rollout: row `env · horizon + t`.
#[derive(Debug, Clone)]
pub struct Tape {
    /// Steps of each environment.
    pub horizon: usize,
    /// `[rows × observation]`.
    pub observations: Vec<f32>,
    /// `[rows × action]`.
    pub actions: Vec<f32>,
    /// `[rows]`.
    pub log_probabilities: Vec<f32>,
    /// `[rows]`: V(s_t).
    pub values: Vec<f32>,
    /// `[rows]`: V(s_{t+1}), see [`Trajectory::next_values`].
    pub next_values: Vec<f32>,
    /// `[rows]`.
    pub rewards: Vec<f32>,
    /// `[rows]`.
    pub ends: Vec<End>,
    /// `[rows]`, once estimated.
    pub advantages: Vec<f32>,
}

impl Tape {
    /// Room for `n_envs` environments of `horizon` steps.
    #[must_use]
    pub fn new(n_envs: usize, horizon: usize, observation: usize, action: usize) -> Self {
        let rows = n_envs * horizon;
        Self {
            horizon,
            observations: vec![0.0; rows * observation],
            actions: vec![0.0; rows * action],
            log_probabilities: vec![0.0; rows],
            values: vec![0.0; rows],
            next_values: vec![0.0; rows],
            rewards: vec![0.0; rows],
            ends: vec![End::Running; rows],
            advantages: vec![0.0; rows],
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.rewards.len()
    }

    /// Fills in the advantages of every environment.
    pub fn estimate_advantages(&mut self, gamma: f32, lambda: f32) {
        let Self { horizon, values, next_values, rewards, ends, advantages: out, .. } = self;
        for (env, out) in out.chunks_exact_mut(*horizon).enumerate() {
            let rows = env * *horizon..(env + 1) * *horizon;
            let trajectory = Trajectory {
                rewards: &rewards[rows.clone()],
                values: &values[rows.clone()],
                next_values: &next_values[rows.clone()],
                ends: &ends[rows],
            };
            advantages(&trajectory, gamma, lambda, out);
        }
    }

    /// How much of the returns' variance the values explained; zero when there is none.
    #[must_use]
    pub fn explained_variance(&self) -> f64 {
        let variance = |x: &mut dyn Iterator<Item = f64>| {
            let (mut n, mut sum, mut square) = (0.0, 0.0, 0.0);
            for v in x {
                n += 1.0;
                sum += v;
                square += v * v;
            }
            square / n - (sum / n) * (sum / n)
        };
        let returns = self.advantages.iter().zip(&self.values).map(|(a, v)| f64::from(a + v));
        let total = variance(&mut returns.into_iter());
        let left = variance(&mut self.advantages.iter().map(|&a| f64::from(a)));
        if total > 0.0 { 1.0 - left / total } else { 0.0 }
    }
}

/// Sums over the episodes that ended in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EpisodeSums {
    /// How many.
    pub n: usize,
    /// How many of them terminated.
    pub n_terminated: usize,
    /// Sum of their undiscounted returns.
    pub total_return: f64,
    /// Sum of their lengths.
    pub total_length: f64,
}

/// The environments of one thread, with the policy that acts in them.
pub struct Chunk {
    env: Box<dyn BatchedEnv>,
    policy: MlpPolicy,
    storage: StepStorage,
    actions: Vec<f32>,
    log_probabilities: Vec<f32>,
    values: Vec<f32>,
    returns: Vec<f64>,
    lengths: Vec<f64>,
    episodes: EpisodeSums,
}

/// A chunk's rows of the tape.
struct Part<'a> {
    observations: &'a mut [f32],
    actions: &'a mut [f32],
    log_probabilities: &'a mut [f32],
    values: &'a mut [f32],
    next_values: &'a mut [f32],
    rewards: &'a mut [f32],
    ends: &'a mut [End],
}

impl Chunk {
    /// Starts `env`'s episodes from `seed`.
    #[must_use]
    pub fn new(mut env: Box<dyn BatchedEnv>, policy: MlpPolicy, seed: u64) -> Self {
        let n = env.n_envs();
        let mut storage = StepStorage::for_env(env.as_ref());
        env.reset(seed, &mut storage.observations);
        Self {
            actions: vec![0.0; n * env.action_spec().width()],
            log_probabilities: vec![0.0; n],
            values: vec![0.0; n],
            returns: vec![0.0; n],
            lengths: vec![0.0; n],
            episodes: EpisodeSums::default(),
            env,
            policy,
            storage,
        }
    }

    fn collect(&mut self, horizon: usize, parameters: &[f32], part: &mut Part<'_>) {
        self.policy.set_parameters(parameters);
        self.episodes = EpisodeSums::default();
        let n = self.env.n_envs();
        let (width, action_width) = (self.env.observation_spec().width(), self.env.action_spec().width());
        for t in 0..horizon {
            self.act();
            for env in 0..n {
                let row = env * horizon + t;
                let observation = &self.storage.observations[env * width..(env + 1) * width];
                part.observations[row * width..(row + 1) * width].copy_from_slice(observation);
                let action = &self.actions[env * action_width..(env + 1) * action_width];
                part.actions[row * action_width..(row + 1) * action_width].copy_from_slice(action);
                part.log_probabilities[row] = self.log_probabilities[env];
                part.values[row] = self.values[env];
                if t > 0 && part.ends[row - 1] == End::Running {
                    part.next_values[row - 1] = self.values[env];
                }
            }
            self.env.step(&self.actions, &mut self.storage.buffers());
            for env in 0..n {
                let row = env * horizon + t;
                part.rewards[row] = self.storage.rewards[env];
                part.ends[row] = self.storage.ends[env];
                part.next_values[row] = self.finish(env);
            }
        }
        self.policy.values(&self.storage.observations, &mut self.values);
        for env in 0..n {
            let row = (env + 1) * horizon - 1;
            if part.ends[row] == End::Running {
                part.next_values[row] = self.values[env];
            }
        }
    }

    fn act(&mut self) {
        let input = PolicyInput { observations: &self.storage.observations, mask: None, state: &[] };
        let mut output = PolicyOutput {
            actions: &mut self.actions,
            log_probabilities: &mut self.log_probabilities,
            values: &mut self.values,
            state: &mut [],
        };
        self.policy.act(input, &mut output);
    }

    /// Books the step of `env`, and returns the value to bootstrap from when its episode was truncated.
    fn finish(&mut self, env: usize) -> f32 {
        self.returns[env] += f64::from(self.storage.rewards[env]);
        self.lengths[env] += 1.0;
        let end = self.storage.ends[env];
        if end == End::Running {
            return 0.0;
        }
        self.episodes.n += 1;
        self.episodes.n_terminated += usize::from(end == End::Terminated);
        self.episodes.total_return += self.returns[env];
        self.episodes.total_length += self.lengths[env];
        (self.returns[env], self.lengths[env]) = (0.0, 0.0);
        let width = self.env.observation_spec().width();
        let mut value = [0.0];
        if end == End::Truncated {
            let last = &self.storage.terminal_observations[env * width..(env + 1) * width];
            self.policy.values(last, &mut value);
        }
        value[0]
    }
}

/// Fills `tape`, one thread a chunk.
pub fn collect(chunks: &mut [Chunk], parameters: &[f32], tape: &mut Tape) -> EpisodeSums {
    let horizon = tape.horizon;
    let n_rows = tape.n_rows().max(1);
    let (width, action_width) = (tape.observations.len() / n_rows, tape.actions.len() / n_rows);
    let mut rest = Part {
        observations: &mut tape.observations,
        actions: &mut tape.actions,
        log_probabilities: &mut tape.log_probabilities,
        values: &mut tape.values,
        next_values: &mut tape.next_values,
        rewards: &mut tape.rewards,
        ends: &mut tape.ends,
    };
    std::thread::scope(|scope| {
        let mut last = None;
        let n_chunks = chunks.len();
        for (index, chunk) in chunks.iter_mut().enumerate() {
            let rows = chunk.env.n_envs() * horizon;
            let mut part = rest.take(rows, width, action_width);
            if index + 1 == n_chunks {
                last = Some((chunk, part));
            } else {
                scope.spawn(move || chunk.collect(horizon, parameters, &mut part));
            }
        }
        // The calling thread works too.
        if let Some((chunk, mut part)) = last {
            chunk.collect(horizon, parameters, &mut part);
        }
    });
    let mut sums = EpisodeSums::default();
    for chunk in chunks {
        sums.n += chunk.episodes.n;
        sums.n_terminated += chunk.episodes.n_terminated;
        sums.total_return += chunk.episodes.total_return;
        sums.total_length += chunk.episodes.total_length;
    }
    sums
}

impl<'a> Part<'a> {
    /// Cuts off the first `rows` rows.
    fn take(&mut self, rows: usize, width: usize, action_width: usize) -> Part<'a> {
        fn cut<'a, T>(slice: &mut &'a mut [T], n: usize) -> &'a mut [T] {
            let (head, tail) = std::mem::take(slice).split_at_mut(n);
            *slice = tail;
            head
        }
        Part {
            observations: cut(&mut self.observations, rows * width),
            actions: cut(&mut self.actions, rows * action_width),
            log_probabilities: cut(&mut self.log_probabilities, rows),
            values: cut(&mut self.values, rows),
            next_values: cut(&mut self.next_values, rows),
            rewards: cut(&mut self.rewards, rows),
            ends: cut(&mut self.ends, rows),
        }
    }
}
