//! The contract of an environment: many episodes side by side, in the caller's buffers.

use serde::{Deserialize, Serialize};

use crate::state::StateError;

/// How an episode stands after a step. Never a bare "done": a terminated episode is worth nothing more, a truncated
/// one goes on beyond what we watch, and its value must be bootstrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The episode goes on.
    #[default]
    Running,
    /// The episode reached an end of its own, such as ruin.
    Terminated,
    /// We stopped watching: a time limit, or the end of the data.
    Truncated,
}

/// What happens in the step that ends an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoReset {
    /// The same step returns the first observation of the next episode, and the terminal one beside it.
    #[default]
    SameStep,
    /// The episode stays ended: later steps repeat its terminal observation with reward zero.
    Disabled,
}

/// What an agent may do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ActionSpec {
    /// One of `n` choices; an action is its index, written as a float.
    Discrete {
        /// Number of choices.
        n: usize,
    },
    /// `dim` real numbers; the environment clips each to `[low, high]`.
    Continuous {
        /// Length of the action vector.
        dim: usize,
        /// Lowest value that has an effect.
        low: f32,
        /// Highest value that has an effect.
        high: f32,
    },
    /// Two edges of a band, in either order and clipped to `[low, high]`: a position inside the band is held exactly, one
    /// outside goes to the nearer edge. The form of the best policy under proportional costs (Davis & Norman 1990;
    /// as a network's output, Imaki et al. 2021, arXiv 2103.01775).
    Band {
        /// Lowest position.
        low: f32,
        /// Highest position.
        high: f32,
    },
}

impl ActionSpec {
    /// Floats an action takes in an action buffer.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Discrete { .. } => 1,
            Self::Continuous { dim, .. } => dim,
            Self::Band { .. } => 2,
        }
    }

    /// Numbers a policy head puts out for it: logits, or means.
    #[must_use]
    pub fn head_width(self) -> usize {
        match self {
            Self::Discrete { n } => n,
            Self::Continuous { dim, .. } => dim,
            Self::Band { .. } => 2,
        }
    }
}

/// The position after a [band](ActionSpec::Band) action of `edges` over `held`; edges that are no numbers hold.
#[must_use]
pub fn in_band(edges: [f64; 2], low: f64, high: f64, held: f64) -> f64 {
    let [a, b] = edges;
    if a.is_nan() || b.is_nan() {
        return held;
    }
    let (a, b) = (a.clamp(low, high), b.clamp(low, high));
    held.max(a.min(b)).min(a.max(b))
}

/// What an observation holds: one name per column, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationSpec {
    /// The columns' names.
    pub names: Vec<String>,
}

impl ObservationSpec {
    /// Floats in one observation.
    #[must_use]
    pub fn width(&self) -> usize {
        self.names.len()
    }
}

/// Where a step writes, row-major, one row an environment.
#[derive(Debug)]
pub struct StepBuffers<'a> {
    /// `[n_envs × observation]`: what the agent sees next.
    pub observations: &'a mut [f32],
    /// `[n_envs]`: rewards of this step.
    pub rewards: &'a mut [f32],
    /// `[n_envs]`: how each episode stands.
    pub ends: &'a mut [End],
    /// `[n_envs × observation]`: rows of ended episodes hold their last observation, other rows are left alone.
    pub terminal_observations: &'a mut [f32],
}

/// `n_envs` episodes advancing in lock step. A step allocates nothing, and what environment `i` does depends on the
/// seed, its own index and its own actions alone.
pub trait BatchedEnv: Send {
    /// Number of episodes side by side.
    fn n_envs(&self) -> usize;
    /// What an observation holds.
    fn observation_spec(&self) -> &ObservationSpec;
    /// What an action is.
    fn action_spec(&self) -> ActionSpec;
    /// Choices that can be forbidden: all of a discrete action's, or zero where nothing ever is.
    fn mask_width(&self) -> usize {
        0
    }
    /// Writes which choices the observations as they stand allow, `[n_envs × mask width]`.
    fn masks(&self, _allowed: &mut [bool]) {}
    /// Writes the regime of the market that each environment is in, as it is known now: none where it is not, or nobody asks.
    fn regimes(&self, regimes: &mut [Option<u8>]) {
        regimes.fill(None);
    }
    /// Names of the sums that [`BatchedEnv::drain_terms`] gives: what rewards were made of.
    fn term_names(&self) -> Vec<String> {
        Vec::new()
    }
    /// Gives those sums since the last time, environment by environment, as (index of the name, sum); returns the number
    /// of steps they are of.
    fn drain_terms(&mut self, _each: &mut dyn FnMut(usize, f64)) -> f64 {
        0.0
    }
    /// Sets the multiplier of a constraint, in every environment.
    fn set_multiplier(&mut self, _multiplier: f64) {}
    /// Adds to `out` all that environment `index` needs to go on later as if it had never stopped. Says nothing of its index, or
    /// of how the batch is cut.
    ///
    /// # Errors
    /// When it cannot be written down.
    fn save_env(&self, _index: usize, _out: &mut Vec<u8>) -> Result<(), StateError> {
        Err(StateError::Unsupported)
    }
    /// Puts environment `index` where it stood when [`BatchedEnv::save_env`] wrote `state`.
    ///
    /// # Errors
    /// When it is not the state of such an environment; the environment is then as it was.
    fn load_env(&mut self, _index: usize, _state: &[u8]) -> Result<(), StateError> {
        Err(StateError::Unsupported)
    }
    /// Starts every episode anew from `seed` and writes the first observations, `[n_envs × observation]`.
    fn reset(&mut self, seed: u64, observations: &mut [f32]);
    /// Takes `actions`, `[n_envs × action width]`, and writes what follows.
    fn step(&mut self, actions: &[f32], out: &mut StepBuffers<'_>);
}

/// Owned buffers for [`BatchedEnv::step`].
#[derive(Debug, Clone)]
pub struct StepStorage {
    /// See [`StepBuffers::observations`].
    pub observations: Vec<f32>,
    /// See [`StepBuffers::rewards`].
    pub rewards: Vec<f32>,
    /// See [`StepBuffers::ends`].
    pub ends: Vec<End>,
    /// See [`StepBuffers::terminal_observations`].
    pub terminal_observations: Vec<f32>,
}

impl StepStorage {
    /// Buffers that fit `env`.
    #[must_use]
    pub fn for_env(env: &dyn BatchedEnv) -> Self {
        let (n, width) = (env.n_envs(), env.observation_spec().width());
        Self {
            observations: vec![0.0; n * width],
            rewards: vec![0.0; n],
            ends: vec![End::Running; n],
            terminal_observations: vec![0.0; n * width],
        }
    }

    /// The buffers, lent.
    pub fn buffers(&mut self) -> StepBuffers<'_> {
        StepBuffers {
            observations: &mut self.observations,
            rewards: &mut self.rewards,
            ends: &mut self.ends,
            terminal_observations: &mut self.terminal_observations,
        }
    }
}
