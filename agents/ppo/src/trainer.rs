//! Rollout, update, again.

use std::time::Duration;

use cambist_core::clock::Clock;
use cambist_core::policy::ActionMode;
use cambist_core::{ActionSpec, BatchedEnv};
use cambist_nets::{DeviceChoice, FusedLearner, LearnError, Learner, Snapshot, TensorLearner, init};
use cambist_policy::{Activation, ActorCritic, ActorCriticSpec, AgentPolicy, Head, Instructions, Trunk};

use crate::ppo::{PpoConfig, UpdateStats, update};
use crate::rollout::{Chunk, EpisodeSums, collect};
use crate::scaling::RewardScale;
use crate::tape::{Tape, TapeShape};

/// What learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnerChoice {
    /// The CPU kernels: perceptrons and trunks with memory, the same bits everywhere.
    Fused,
    /// burn on a device: any trunk, within a tolerance.
    Tensor(DeviceChoice),
}

/// What a training is.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerSpec {
    /// The algorithm's numbers.
    pub ppo: PpoConfig,
    /// What learns, and on what.
    pub learner: LearnerChoice,
    /// What actor and critic share.
    pub trunk: Trunk,
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
    /// The trunk does not fit the observation or the learner.
    #[error("the trunk {trunk} does not fit an observation of {observation} columns: {reason}")]
    Misfit {
        /// The trunk.
        trunk: String,
        /// Columns.
        observation: usize,
        /// Why.
        reason: String,
    },
    /// The given weights do not fit.
    #[error("the given weights are of a policy of shape {found:?}, this training is of {wanted:?}")]
    Weights {
        /// Shape of the weights.
        found: Box<ActorCriticSpec>,
        /// Shape of the training.
        wanted: Box<ActorCriticSpec>,
    },
}

/// Where the time of an iteration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// Stepping environments.
    pub environment: Duration,
    /// Choosing actions, and the rest of the rollout.
    pub policy: Duration,
    /// Estimating advantages.
    pub advantage: Duration,
    /// Learning.
    pub update: Duration,
}

impl Phases {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.environment += other.environment;
        self.policy += other.policy;
        self.advantage += other.advantage;
        self.update += other.update;
    }
}

/// What one rollout and its update came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Iteration {
    /// The update's scalars.
    pub stats: UpdateStats,
    /// Episodes that ended.
    pub episodes: EpisodeSums,
    /// Where the time went.
    pub phases: Phases,
    /// Means over the rollout's steps of what rewards were made of.
    pub terms: Vec<(String, f64)>,
}

/// What a trainer has learned: weights, moments, the scale of rewards, the multiplier it saw, and the pace.
#[derive(Debug, Clone)]
pub struct Legacy {
    learner: Snapshot,
    scale: Option<RewardScale>,
    multiplier: f64,
    pace: f32,
}

/// A running training.
pub struct Trainer {
    pub(crate) spec: TrainerSpec,
    pub(crate) chunks: Vec<Chunk>,
    shape: TapeShape,
    tape: Tape,
    pub(crate) learner: Box<dyn Learner>,
    pub(crate) scale: Option<RewardScale>,
    pub(crate) n_done: u64,
    /// Of the environments' constraint, if they have one.
    pub(crate) multiplier: f64,
    /// Factor of the learning rate, halved by every [`Trainer::go_back`].
    pub(crate) pace: f32,
    /// What [`Trainer::go_back`] goes back to: the weights the last rollout but one led to, and the reward scale before
    /// the last.
    pub(crate) good: Snapshot,
    pub(crate) good_scale: Option<RewardScale>,
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
        let mask = envs[0].0.mask_width();
        let shape = ActorCriticSpec {
            observation,
            trunk: spec.trunk,
            hidden: spec.hidden.clone(),
            activation: spec.activation,
            head: match action {
                ActionSpec::Discrete { n } => Head::Categorical { n },
                ActionSpec::Continuous { .. } | ActionSpec::Band { .. } => {
                    Head::Gaussian { dim: action.head_width() }
                }
            },
        };
        let fused = spec.learner == LearnerChoice::Fused && spec.trunk.window().is_some();
        let misfit = fused.then(|| "only burn's learner knows it".to_owned());
        let whole_groups = || {
            let (group, n) = (spec.ppo.path_group, spec.n_envs);
            (!n.is_multiple_of(group)).then(|| format!("groups of {group} must divide the environments, {n}"))
        };
        let misfit = misfit
            .or_else(|| spec.trunk.misfit(observation))
            .or_else(|| spec.ppo.misfit(spec.trunk))
            .or_else(whole_groups);
        if let Some(reason) = misfit {
            return Err(TrainError::Misfit { trunk: format!("{:?}", spec.trunk), observation, reason });
        }
        let mut fresh = init::orthogonal(&shape, spec.seed, spec.initial_log_deviation);
        if let Some(agent) = &mut fresh {
            init::spread_memory(agent, spec.ppo.sequence_length);
        }
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
                let policy = AgentPolicy::new(agent.clone(), ActionMode::Sampled, spec.seed, first);
                Chunk::new(env, policy, spec.seed)
            })
            .collect();
        let shape = TapeShape {
            n_envs: spec.n_envs,
            horizon: spec.ppo.horizon,
            observation,
            action: action.width(),
            mask,
            state: spec.trunk.state_width(),
            sequence_length: spec.ppo.sequence_length,
            burn_in: spec.ppo.burn_in,
            compared: spec.ppo.path_group > 1,
        };
        let learner: Box<dyn Learner> = match spec.learner {
            LearnerChoice::Fused => {
                Box::new(FusedLearner::new(agent, spec.n_threads, Instructions::detect()))
            }
            LearnerChoice::Tensor(choice) => Box::new(TensorLearner::new(agent, &choice)?),
        };
        let scale = spec.ppo.scale_rewards.then(|| RewardScale::new(spec.n_envs, spec.ppo.gamma));
        Ok(Self {
            good: learner.snapshot(),
            good_scale: scale.clone(),
            learner,
            pace: 1.0,
            tape: Tape::new(shape),
            shape,
            scale,
            chunks,
            spec,
            n_done: 0,
            multiplier: 0.0,
        })
    }

    /// Collects one rollout and learns from it.
    ///
    /// # Errors
    /// When a gradient is not finite.
    pub fn iterate(&mut self, clock: &dyn Clock) -> Result<Iteration, LearnError> {
        let begun = clock.elapsed();
        let (episodes, environment) =
            collect(&mut self.chunks, &self.learner.agent().parameters, &mut self.tape, clock);
        let collected = clock.elapsed();
        let terms = self.terms();
        self.good_scale.clone_from(&self.scale);
        if let Some(scale) = &mut self.scale {
            scale.apply(&mut self.tape);
        }
        let PpoConfig { gamma, gae_lambda, path_group, .. } = self.spec.ppo;
        self.tape.estimate_advantages(gamma, gae_lambda, path_group);
        let estimated = clock.elapsed();
        let stats = self.learn()?;
        let phases = Phases {
            environment,
            policy: (collected - begun).saturating_sub(environment),
            advantage: estimated - collected,
            update: clock.elapsed() - estimated,
        };
        Ok(Iteration { stats, episodes, phases, terms })
    }

    /// What the rollout's rewards were made of.
    fn terms(&mut self) -> Vec<(String, f64)> {
        let names = self.chunks[0].env().term_names();
        let (mut sums, mut steps) = (vec![0.0; names.len()], 0.0);
        // Environment by environment, so that threads change nothing.
        for chunk in &mut self.chunks {
            steps += chunk.env().drain_terms(&mut |at, sum| sums[at] += sum);
        }
        names.into_iter().zip(sums.into_iter().map(|sum| sum / f64::max(steps, 1.0))).collect()
    }

    /// Sets the multiplier of the environments' constraint.
    pub fn set_multiplier(&mut self, multiplier: f64) {
        self.chunks.iter_mut().for_each(|chunk| chunk.env().set_multiplier(multiplier));
        self.multiplier = multiplier;
    }

    /// That multiplier.
    #[must_use]
    pub fn multiplier(&self) -> f64 {
        self.multiplier
    }

    fn learn(&mut self) -> Result<UpdateStats, LearnError> {
        // What led to a finite rollout and a finite update before is good.
        let before = self.learner.snapshot();
        let (progress, threads) =
            (self.n_done as f64 / self.spec.n_updates.max(1) as f64, self.spec.n_threads);
        let ppo = PpoConfig { learning_rate: self.pace * self.spec.ppo.learning_rate, ..self.spec.ppo };
        let stats = update(
            self.learner.as_mut(),
            &mut self.tape,
            &ppo,
            self.spec.seed,
            self.n_done,
            progress,
            threads,
        )?;
        self.good = before;
        self.n_done += 1;
        Ok(stats)
    }

    /// The agent with the last weights known to be good.
    #[must_use]
    pub fn good(&self) -> ActorCritic {
        let mut agent = self.learner.agent().clone();
        agent.parameters.copy_from_slice(&self.good.parameters);
        agent
    }

    /// After an update that failed: goes back to the last good weights and optimiser, halves the learning rate, and begins
    /// new episodes. Returns the learning rate's factor.
    pub fn go_back(&mut self) -> f32 {
        self.learner.restore(&self.good);
        self.pace *= 0.5;
        // Seeds of their own: the episodes that led here are not lived through again.
        let seed = self.spec.seed ^ u64::from(self.pace.to_bits()).rotate_left(32);
        // The rollout that led here is not in the scale any more.
        self.scale.clone_from(&self.good_scale);
        self.restart(seed);
        self.pace
    }

    /// The algorithm's numbers as they stand.
    #[must_use]
    pub fn ppo(&self) -> &PpoConfig {
        &self.spec.ppo
    }

    /// Learns by other rates and weights from here on; what shapes the rollout stays.
    pub fn set_ppo(&mut self, ppo: PpoConfig) {
        let kept = self.spec.ppo;
        self.spec.ppo = PpoConfig {
            horizon: kept.horizon,
            n_epochs: kept.n_epochs,
            minibatch_size: kept.minibatch_size,
            sequence_length: kept.sequence_length,
            burn_in: kept.burn_in,
            scale_rewards: kept.scale_rewards,
            path_group: kept.path_group,
            ..ppo
        };
    }

    /// What another trainer of the same shape can go on from.
    #[must_use]
    pub fn legacy(&self) -> Legacy {
        Legacy {
            learner: self.learner.snapshot(),
            scale: self.scale.clone(),
            multiplier: self.multiplier,
            pace: self.pace,
        }
    }

    /// Takes over what another of the same shape has learned, and begins new episodes: those under way were lived by somebody else.
    pub fn inherit(&mut self, legacy: &Legacy) {
        self.learner.restore(&legacy.learner);
        self.good = legacy.learner.clone();
        self.pace = legacy.pace;
        self.scale.clone_from(&legacy.scale);
        self.good_scale.clone_from(&legacy.scale);
        self.set_multiplier(legacy.multiplier);
        let seed = self.spec.seed ^ (self.n_done + 1).rotate_left(16);
        self.restart(seed);
    }

    /// Begins new episodes; the reward's scale forgets those that are cut off.
    fn restart(&mut self, seed: u64) {
        self.chunks.iter_mut().for_each(|chunk| chunk.restart(seed));
        if let Some(scale) = &mut self.scale {
            scale.restart();
        }
    }

    /// Updates in the whole training.
    #[must_use]
    pub fn n_updates(&self) -> u64 {
        self.spec.n_updates
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

    /// Bytes a training takes that depend on environments E, horizon T, epochs K, and floats of observation O, action A
    /// and state S: the tape, `E T (4 (O + A + 5) + 1 + masks)`, with groups of paths 6 for 5 and `16 E`, and its sequences' states; the orders, `4 E T K`; the
    /// chunks' buffers, `E (8 O + 12 S + 25)`; the network's outputs and a trunk's features of a step,
    /// `4 E (heads + features)`; of P parameters, the last good weights with their moments and those before the
    /// update, `24 P`, and the learner's own ([`Learner::bytes`]). What burn keeps on its device is not among them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let TapeShape { n_envs, horizon, observation, state, sequence_length, .. } = self.shape;
        let spec = self.learner.agent().spec();
        let orders =
            4 * n_envs * horizon * self.spec.ppo.n_epochs / if state > 0 { sequence_length } else { 1 };
        let has_trunk = spec.trunk != Trunk::None;
        let features = if has_trunk { spec.trunk.features(observation) } else { 0 };
        let chunks =
            n_envs * (8 * observation + 12 * state + 25) + 4 * n_envs * (spec.head.width() + features);
        let parameters = 24 * self.learner.agent().parameters.len() + self.learner.bytes();
        self.shape.bytes() + orders + chunks + parameters
    }

    /// The agent as it stands.
    #[must_use]
    pub fn agent(&self) -> &ActorCritic {
        self.learner.agent()
    }
}
