//! Two tasks that everybody knows, as Gymnasium has them (Farama Foundation; `CartPole-v1`, `Pendulum-v1`): what a
//! learner must solve before its results on anything else mean something.

use cambist_core::rng::{Purpose, Stream};
use cambist_core::{ActionSpec, BatchedEnv, End, ObservationSpec, StepBuffers};

/// Laws of motion of one task; [`Classic`] makes an environment of them.
pub trait Task: Clone + Send {
    /// Columns of the observation.
    const NAMES: &'static [&'static str];
    /// Steps after which an episode is cut off.
    const MAX_STEPS: u32;
    /// What an action is.
    const ACTION: ActionSpec;
    /// A state.
    type State: Copy + Send;
    /// A first state, from four uniform numbers in (0, 1).
    fn begin(uniform: [f64; 4]) -> Self::State;
    /// The state after an action, the reward, and whether the episode terminates.
    fn step(state: Self::State, action: f32) -> (Self::State, f64, bool);
    /// What is seen of a state.
    fn observe(state: Self::State, out: &mut [f32]);
}

/// Balance a pole on a cart: push left or right; 1 for every step the pole stands and the cart stays (Barto, Sutton &
/// Anderson 1983). Solved at a mean return of 475 in 500 steps.
#[derive(Debug, Clone, Copy)]
pub struct CartPoleTask;

/// Swing a pendulum up and hold it: a torque in [−2, 2]; the reward falls with angle, speed and torque. Commonly taken as
/// solved at a mean return of −200 in 200 steps.
#[derive(Debug, Clone, Copy)]
pub struct PendulumTask;

/// `CartPole-v1`.
pub type CartPole = Classic<CartPoleTask>;
/// `Pendulum-v1`.
pub type Pendulum = Classic<PendulumTask>;

impl Task for CartPoleTask {
    const NAMES: &'static [&'static str] = &["position", "velocity", "angle", "angular_velocity"];
    const MAX_STEPS: u32 = 500;
    const ACTION: ActionSpec = ActionSpec::Discrete { n: 2 };
    type State = [f64; 4];

    fn begin(uniform: [f64; 4]) -> [f64; 4] {
        uniform.map(|u| 0.1 * u - 0.05)
    }

    fn step([x, v, angle, spin]: [f64; 4], action: f32) -> ([f64; 4], f64, bool) {
        const GRAVITY: f64 = 9.8;
        const POLE_MASS: f64 = 0.1;
        const MASS: f64 = 1.0 + POLE_MASS;
        const HALF_LENGTH: f64 = 0.5;
        const POLE: f64 = POLE_MASS * HALF_LENGTH;
        const FORCE: f64 = 10.0;
        const TAU: f64 = 0.02;
        const MAX_X: f64 = 2.4;
        const MAX_ANGLE: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;
        let force = if action == 1.0 { FORCE } else { -FORCE };
        let (sin, cos) = libm::sincos(angle);
        let push = (force + POLE * spin * spin * sin) / MASS;
        let turn = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cos * cos / MASS));
        let pull = push - POLE * turn * cos / MASS;
        // Explicit Euler: places move by the old speeds.
        let next = [x + TAU * v, v + TAU * pull, angle + TAU * spin, spin + TAU * turn];
        (next, 1.0, next[0].abs() > MAX_X || next[2].abs() > MAX_ANGLE)
    }

    fn observe(state: [f64; 4], out: &mut [f32]) {
        out.iter_mut().zip(state).for_each(|(o, s)| *o = s as f32);
    }
}

impl Task for PendulumTask {
    const NAMES: &'static [&'static str] = &["cos", "sin", "speed"];
    const MAX_STEPS: u32 = 200;
    const ACTION: ActionSpec = ActionSpec::Continuous { dim: 1, low: -2.0, high: 2.0 };
    type State = [f64; 2];

    fn begin(uniform: [f64; 4]) -> [f64; 2] {
        [(2.0 * uniform[0] - 1.0) * std::f64::consts::PI, 2.0 * uniform[1] - 1.0]
    }

    fn step([angle, speed]: [f64; 2], action: f32) -> ([f64; 2], f64, bool) {
        const MAX_SPEED: f64 = 8.0;
        const DT: f64 = 0.05;
        const GRAVITY: f64 = 10.0;
        let torque = f64::from(action.clamp(-2.0, 2.0));
        let turns = (angle + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU) - std::f64::consts::PI;
        let cost = turns * turns + 0.1 * speed * speed + 0.001 * torque * torque;
        let faster = speed + (3.0 * GRAVITY / 2.0 * libm::sin(angle) + 3.0 * torque) * DT;
        let speed = faster.clamp(-MAX_SPEED, MAX_SPEED);
        ([angle + speed * DT, speed], -cost, false)
    }

    fn observe([angle, speed]: [f64; 2], out: &mut [f32]) {
        let (sin, cos) = libm::sincos(angle);
        out.copy_from_slice(&[cos as f32, sin as f32, speed as f32]);
    }
}

/// `n_envs` episodes of a task.
#[derive(Debug, Clone)]
pub struct Classic<T: Task> {
    spec: ObservationSpec,
    first_env: u64,
    seed: u64,
    states: Vec<Episode<T::State>>,
}

#[derive(Debug, Clone, Copy)]
struct Episode<S> {
    state: S,
    step: u32,
    number: u64,
}

impl<T: Task> Classic<T> {
    /// `n_envs` environments from index `first_env` on.
    #[must_use]
    pub fn new(n_envs: usize, first_env: u64) -> Self {
        let names = T::NAMES.iter().map(|&n| n.to_owned()).collect();
        let still = Episode { state: T::begin([0.5; 4]), step: 0, number: 0 };
        Self { spec: ObservationSpec { names }, first_env, seed: 0, states: vec![still; n_envs] }
    }

    fn begin(&mut self, index: usize, number: u64) {
        let mut stream = Stream::new(self.seed, Purpose::Environment, self.first_env + index as u64);
        stream.seek(number << 8);
        let state = T::begin(std::array::from_fn(|_| stream.uniform()));
        self.states[index] = Episode { state, step: 0, number };
    }
}

impl<T: Task> BatchedEnv for Classic<T> {
    fn n_envs(&self) -> usize {
        self.states.len()
    }

    fn observation_spec(&self) -> &ObservationSpec {
        &self.spec
    }

    fn action_spec(&self) -> ActionSpec {
        T::ACTION
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.seed = seed;
        for (index, row) in observations.chunks_exact_mut(T::NAMES.len()).enumerate() {
            self.begin(index, 0);
            T::observe(self.states[index].state, row);
        }
    }

    fn step(&mut self, actions: &[f32], out: &mut StepBuffers<'_>) {
        let width = T::NAMES.len();
        for (index, &action) in actions.iter().enumerate().take(self.states.len()) {
            let episode = &mut self.states[index];
            let (state, reward, terminated) = T::step(episode.state, action);
            (episode.state, episode.step) = (state, episode.step + 1);
            out.rewards[index] = reward as f32;
            let end = match (terminated, episode.step == T::MAX_STEPS) {
                (true, _) => End::Terminated,
                (false, true) => End::Truncated,
                (false, false) => End::Running,
            };
            out.ends[index] = end;
            let place = index * width..(index + 1) * width;
            T::observe(state, &mut out.observations[place.clone()]);
            if end != End::Running {
                let number = episode.number + 1;
                out.terminal_observations[place.clone()].copy_from_slice(&out.observations[place.clone()]);
                self.begin(index, number);
                T::observe(self.states[index].state, &mut out.observations[place]);
            }
        }
    }
}
