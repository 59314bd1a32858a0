//! Rollout, update, again.

use cambist_core::policy::ActionMode;
use cambist_core::{ActionSpec, BatchedEnv};
use cambist_nets::{FusedLearner, LearnError, Learner, init};
use cambist_policy::{Activation, ActorCritic, ActorCriticSpec, Head, Instructions, MlpPolicy};

use crate::ppo::{PpoConfig, UpdateStats, update};
use crate::rollout::{Chunk, EpisodeSums, Tape, collect};

/// What a training is.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerSpec {
    /// The algorithm's numbers.
    pub ppo: PpoConfig,
    /// Columns of each hidden layer.
    pub hidden: Vec<usize>,
    /// Between layers.
    pub activation: Activation,
    /// Log deviation a Gaussian policy begins with.
    pub initial_log_deviation: f32,
    /// Environments side by side.
    pub n_envs: usize,
    /// Updates in the whole training; the schedule ends with the last.
    pub n_updates: u64,
    /// Seed of weights, environments, actions and shuffles.
    pub seed: u64,
    /// Threads; they change nothing but the time it takes.
    pub n_threads: usize,
}

/// Why a training cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError<E: std::error::Error + 'static> {
    /// An environment cannot be made.
    #[error(transparent)]
    Env(E),
    /// Learning failed.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// The given weights do not fit.
    #[error("the given weights are of a policy of shape {found:?}, this training is of {wanted:?}")]
    Weights {
        /// Shape of the weights.
        found: Box<ActorCriticSpec>,
        /// Shape of the training.
        wanted: Box<ActorCriticSpec>,
    },
}

/// A running training.
pub struct Trainer {
    spec: TrainerSpec,
    chunks: Vec<Chunk>,
    tape: Tape,
    learner: FusedLearner,
    n_done: u64,
}

impl Trainer {
    /// Makes the environments by `make(n_envs, first_env)`, one chunk a thread, and an agent that fits them: `start`, or
    /// a fresh one.
    ///
    /// # Errors
    /// When an environment cannot be made, or `start` does not fit.
    pub fn new<E: std::error::Error + 'static>(
        spec: TrainerSpec,
        make: &dyn Fn(usize, u64) -> Result<Box<dyn BatchedEnv>, E>,
        start: Option<&ActorCritic>,
    ) -> Result<Self, TrainError<E>> {
        let n_chunks = spec.n_threads.clamp(1, spec.n_envs.max(1));
        let mut envs = Vec::with_capacity(n_chunks);
        let mut first = 0;
        for chunk in 0..n_chunks {
            let n = spec.n_envs / n_chunks + usize::from(chunk < spec.n_envs % n_chunks);
            envs.push((make(n, first).map_err(TrainError::Env)?, first));
            first += n as u64;
        }
        let (observation, action) = (envs[0].0.observation_spec().width(), envs[0].0.action_spec());
        let shape = ActorCriticSpec {
            observation,
            hidden: spec.hidden.clone(),
            activation: spec.activation,
            head: match action {
                ActionSpec::Discrete { n } => Head::Categorical { n },
                ActionSpec::Continuous { dim, .. } => Head::Gaussian { dim },
            },
        };
        let fresh = init::orthogonal(&shape, spec.seed, spec.initial_log_deviation);
        let agent = match (start, fresh) {
            (Some(agent), _) if *agent.spec() == shape => agent.clone(),
            (None, Some(agent)) => agent,
            (start, _) => {
                let found = Box::new(start.map_or_else(|| shape.clone(), |a| a.spec().clone()));
                return Err(TrainError::Weights { found, wanted: Box::new(shape) });
            }
        };
        let chunks = envs
            .into_iter()
            .map(|(env, first)| {
                let policy = MlpPolicy::new(agent.clone(), ActionMode::Sampled, spec.seed, first);
                Chunk::new(env, policy, spec.seed)
            })
            .collect();
        Ok(Self {
            tape: Tape::new(spec.n_envs, spec.ppo.horizon, observation, action.width()),
            learner: FusedLearner::new(agent, spec.n_threads, Instructions::detect()),
            chunks,
            spec,
            n_done: 0,
        })
    }

    /// Collects one rollout and learns from it.
    ///
    /// # Errors
    /// When a gradient is not finite.
    pub fn iterate(&mut self) -> Result<(UpdateStats, EpisodeSums), LearnError> {
        let episodes = collect(&mut self.chunks, &self.learner.agent().parameters, &mut self.tape);
        let progress = self.n_done as f64 / self.spec.n_updates.max(1) as f64;
        let stats =
            update(&mut self.learner, &mut self.tape, &self.spec.ppo, self.spec.seed, self.n_done, progress)?;
        self.n_done += 1;
        Ok((stats, episodes))
    }

    /// Updates done.
    #[must_use]
    pub fn n_done(&self) -> u64 {
        self.n_done
    }

    /// Environment steps an update takes.
    #[must_use]
    pub fn steps_per_update(&self) -> u64 {
        self.tape.n_rows() as u64
    }

    /// The agent as it stands.
    #[must_use]
    pub fn agent(&self) -> &ActorCritic {
        self.learner.agent()
    }
}
