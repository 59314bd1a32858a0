//! The environment of markets A, B and C.

use cambist_core::env::in_band;
use cambist_core::rng::{Purpose, Stream};
use cambist_core::{ActionSpec, BatchedEnv, End, ObservationSpec, StepBuffers};

use crate::{MarketKind, SignalMarket};

/// `n_envs` episodes of a fixed number of steps, each truncated.
///
/// The observation is `(p/√V, π/scale)`, the action on A is `x/scale`, on B one of −M, 0, +M, on C the
/// edges of a band in units of scale (on B with a continuous head, any `x/M`); rewards are divided by
/// `√V · scale`, so that every market looks alike to a learner whatever its parameters.
#[derive(Debug, Clone)]
pub struct SignalEnv {
    market: SignalMarket,
    /// Of B: whether any position may be asked for.
    continuous: bool,
    /// Environments in a row that see the same signal.
    path_group: u64,
    n_steps: u32,
    first_env: u64,
    seed: u64,
    scale: f64,
    deviation: f64,
    spec: ObservationSpec,
    states: Vec<State>,
}

/// Largest position, in scales.
const BOUND: f64 = 5.0;

#[derive(Debug, Clone, Copy, Default)]
struct State {
    p: f64,
    position: f64,
    step: u32,
    episode: u64,
    reward: f64,
}

impl SignalEnv {
    /// `n_envs` environments from index `first_env` on, with episodes of `n_steps`.
    #[must_use]
    pub fn new(market: SignalMarket, n_envs: usize, first_env: u64, n_steps: u32) -> Self {
        let names = ["signal", "position"].map(str::to_owned).to_vec();
        let mut env = Self {
            market,
            continuous: false,
            path_group: 1,
            n_steps,
            first_env,
            seed: 0,
            scale: market.position_scale(),
            deviation: market.signal.variance().sqrt(),
            spec: ObservationSpec { names },
            states: vec![State::default(); n_envs],
        };
        (0..n_envs).for_each(|index| env.begin(index, 0));
        env
    }

    /// The same, where B takes any position up to its cap instead of three. A and C always do.
    #[must_use]
    pub fn with_continuous_head(self) -> Self {
        Self { continuous: true, ..self }
    }

    /// The same, where so many environments in a row, by their index in the whole batch, see the same signal.
    #[must_use]
    pub fn on_shared_paths(self, path_group: usize) -> Self {
        let mut env = Self { path_group: path_group.max(1) as u64, ..self };
        (0..env.states.len()).for_each(|index| env.begin(index, 0));
        env
    }

    /// The market.
    #[must_use]
    pub fn market(&self) -> &SignalMarket {
        &self.market
    }

    /// Signal and position of environment `index`.
    ///
    /// # Panics
    /// When there is no such environment.
    #[must_use]
    pub fn state(&self, index: usize) -> (f64, f64) {
        (self.states[index].p, self.states[index].position)
    }

    /// The last step's reward in the market's own units.
    ///
    /// # Panics
    /// When there is no such environment.
    #[must_use]
    pub fn market_reward(&self, index: usize) -> f64 {
        self.states[index].reward
    }

    /// The position an action asks for when `held` is.
    #[must_use]
    pub fn position_of(&self, action: &[f32], held: f64) -> f64 {
        let first = action.first().map_or(0.0, |&a| f64::from(a));
        match self.market.kind {
            MarketKind::Quadratic { .. } => first.clamp(-BOUND, BOUND) * self.scale,
            MarketKind::Proportional { cap, .. } if self.continuous => first.clamp(-1.0, 1.0) * cap,
            MarketKind::Proportional { cap, .. } => (first - 1.0) * cap,
            // Held to the bit when inside: the band is compared in the market's own units.
            MarketKind::Banded { .. } => {
                let second = action.get(1).map_or(first, |&a| f64::from(a));
                let bound = BOUND * self.scale;
                in_band([first * self.scale, second * self.scale], -bound, bound, held)
            }
        }
    }

    /// The action that asks for a position.
    #[must_use]
    pub fn action_for(&self, position: f64) -> [f32; 2] {
        match self.market.kind {
            MarketKind::Quadratic { .. } | MarketKind::Banded { .. } => [(position / self.scale) as f32; 2],
            MarketKind::Proportional { cap, .. } if self.continuous => [(position / cap) as f32; 2],
            MarketKind::Proportional { cap, .. } => [(position / cap + 1.0).round() as f32; 2],
        }
    }

    /// The observation of a signal and a position.
    #[must_use]
    pub fn observation(&self, p: f64, position: f64) -> [f32; 2] {
        [(p / self.deviation) as f32, (position / self.scale) as f32]
    }

    /// The noise of a step: a function of seed, path, episode and step alone, so that two policies can be judged on the same
    /// noise.
    fn noise(&self, index: usize, episode: u64, step: u32) -> f64 {
        let mut stream =
            Stream::new(self.seed, Purpose::Environment, (self.first_env + index as u64) / self.path_group);
        stream.seek((episode << 32) + u64::from(step));
        stream.normal()
    }

    fn begin(&mut self, index: usize, episode: u64) {
        let p = self.deviation * self.noise(index, episode, 0);
        self.states[index] = State { p, episode, reward: self.states[index].reward, ..State::default() };
    }

    fn observe(&self, index: usize, out: &mut [f32]) {
        let State { p, position, .. } = self.states[index];
        out.copy_from_slice(&self.observation(p, position));
    }
}

impl BatchedEnv for SignalEnv {
    fn n_envs(&self) -> usize {
        self.states.len()
    }

    fn observation_spec(&self) -> &ObservationSpec {
        &self.spec
    }

    fn action_spec(&self) -> ActionSpec {
        match self.market.kind {
            MarketKind::Quadratic { .. } => {
                ActionSpec::Continuous { dim: 1, low: -BOUND as f32, high: BOUND as f32 }
            }
            MarketKind::Proportional { .. } if self.continuous => {
                ActionSpec::Continuous { dim: 1, low: -1.0, high: 1.0 }
            }
            MarketKind::Proportional { .. } => ActionSpec::Discrete { n: 3 },
            MarketKind::Banded { .. } => ActionSpec::Band { low: -BOUND as f32, high: BOUND as f32 },
        }
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.seed = seed;
        for (index, row) in observations.chunks_exact_mut(2).enumerate() {
            self.begin(index, 0);
            self.observe(index, row);
        }
    }

    fn step(&mut self, actions: &[f32], out: &mut StepBuffers<'_>) {
        let width = self.action_spec().width();
        for (index, action) in actions.chunks_exact(width).enumerate().take(self.states.len()) {
            let x = self.position_of(action, self.states[index].position);
            let State { p, position, step, episode, .. } = self.states[index];
            let reward = self.market.reward(p, x, position);
            let step = step + 1;
            let signal = self.market.signal;
            let p = signal.rho * p + signal.s * self.noise(index, episode, step);
            self.states[index] = State { p, position: x, step, episode, reward };
            out.rewards[index] = (reward / (self.deviation * self.scale)) as f32;
            out.ends[index] = if step == self.n_steps { End::Truncated } else { End::Running };
            let row = &mut out.observations[2 * index..2 * index + 2];
            self.observe(index, row);
            if step == self.n_steps {
                out.terminal_observations[2 * index..2 * index + 2].copy_from_slice(row);
                self.begin(index, episode + 1);
                self.observe(index, row);
            }
        }
    }
}
