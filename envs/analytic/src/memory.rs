//! A market that pays for remembering.
//!
//! Every `k + 1` bars a sign is shown, once; `k` bars later, and only then, a position of that sign is paid. Between
//! them the same column shows other signs, which mean nothing. A policy that remembers earns 1 a step, one that cannot 0
//! in the mean, whatever it does.

use cambist_core::rng::{Purpose, Stream};
use cambist_core::{ActionSpec, BatchedEnv, End, ObservationSpec, StepBuffers};

/// `n_envs` episodes of whole rounds.
#[derive(Debug, Clone)]
pub struct MemoryEnv {
    lag: u32,
    n_rounds: u32,
    first_env: u64,
    path_group: u64,
    seed: u64,
    spec: ObservationSpec,
    states: Vec<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    episode: u64,
    step: u32,
    /// The sign to remember.
    sign: f32,
}

/// Floats of an observation.
const WIDTH: usize = 4;

impl MemoryEnv {
    /// `n_envs` environments from index `first_env` on, whose sign pays `lag` bars after it was shown, in episodes of
    /// `n_rounds` signs.
    #[must_use]
    pub fn new(lag: u32, n_envs: usize, first_env: u64, n_rounds: u32) -> Self {
        let names = ["shown", "pays", "sign", "noise"].map(str::to_owned).to_vec();
        let spec = ObservationSpec { names };
        let lag = lag.max(1);
        let mut env = Self {
            lag,
            n_rounds: n_rounds.max(1),
            first_env,
            path_group: 1,
            seed: 0,
            spec,
            states: vec![State::default(); n_envs],
        };
        (0..n_envs).for_each(|index| env.note(index));
        env
    }

    /// The same, with environments in groups of `path_group` that see the same signs.
    #[must_use]
    pub fn on_shared_paths(self, path_group: usize) -> Self {
        let mut env = Self { path_group: path_group.max(1) as u64, ..self };
        (0..env.states.len()).for_each(|index| env.note(index));
        env
    }

    /// What a step's reward, ±1 where it pays, comes to a step: `k + 1` times as much, every `k + 1` bars.
    #[must_use]
    pub fn reward_a_step(&self) -> f64 {
        f64::from(self.lag + 1)
    }

    /// Bar of a round: 0 shows, `lag` pays.
    fn phase(&self, step: u32) -> u32 {
        step % (self.lag + 1)
    }

    /// A sign and a normal that depend on seed, environment, episode and step alone.
    fn draw(&self, index: usize) -> (f32, f32) {
        let State { episode, step, .. } = self.states[index];
        let path = (self.first_env + index as u64) / self.path_group;
        let mut stream = Stream::new(self.seed, Purpose::Environment, path);
        stream.seek((episode << 32) + 2 * u64::from(step));
        let sign = if stream.next_u32() & 1 == 0 { 1.0 } else { -1.0 };
        (sign, stream.normal() as f32)
    }

    fn note(&mut self, index: usize) {
        if self.phase(self.states[index].step) == 0 {
            self.states[index].sign = self.draw(index).0;
        }
    }

    fn observe(&self, index: usize, out: &mut [f32]) {
        let phase = self.phase(self.states[index].step);
        let (sign, noise) = self.draw(index);
        let flag = |on: bool| if on { 1.0 } else { 0.0 };
        out.copy_from_slice(&[flag(phase == 0), flag(phase == self.lag), sign, noise]);
    }
}

impl BatchedEnv for MemoryEnv {
    fn n_envs(&self) -> usize {
        self.states.len()
    }

    fn observation_spec(&self) -> &ObservationSpec {
        &self.spec
    }

    /// Short, flat, long.
    fn action_spec(&self) -> ActionSpec {
        ActionSpec::Discrete { n: 3 }
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.seed = seed;
        for (index, row) in observations.chunks_exact_mut(WIDTH).enumerate() {
            self.states[index] = State::default();
            self.note(index);
            self.observe(index, row);
        }
    }

    fn step(&mut self, actions: &[f32], out: &mut StepBuffers<'_>) {
        for (index, &action) in actions.iter().enumerate().take(self.states.len()) {
            let State { step, sign, .. } = self.states[index];
            let pays = self.phase(step) == self.lag;
            out.rewards[index] = if pays { (action - 1.0) * sign } else { 0.0 };
            self.states[index].step += 1;
            let over = self.states[index].step == self.n_rounds * (self.lag + 1);
            out.ends[index] = if over { End::Truncated } else { End::Running };
            self.note(index);
            let row = &mut out.observations[index * WIDTH..(index + 1) * WIDTH];
            self.observe(index, row);
            if over {
                out.terminal_observations[index * WIDTH..(index + 1) * WIDTH].copy_from_slice(row);
                self.states[index] = State { episode: self.states[index].episode + 1, ..State::default() };
                self.note(index);
                self.observe(index, row);
            }
        }
    }
}
