//! A config that makes sense, without maybes.

use cambist_core::policy::ActionMode;
use cambist_core::{InstrumentId, Timeframe, UnixNanos};
use cambist_data::synth::SynthRequest;
use cambist_decide::{ActionKind, DecisionRules};
use cambist_evaluate::windows::{Fold, Span, WalkForward};
use cambist_execution::EngineRules;
use cambist_features::{FeatureSpec, FeatureStream};
use cambist_market::{EpisodeLength, EpisodePlan, Reward, Starts};
use cambist_policy::PolicySpec;
use cambist_ppo::{PpoConfig, TrainerSpec};
use cambist_regime::RegimeRequest;

use super::ConfigError;
use super::broker::BrokerSetup;
use super::network::{learner, trunk};
use super::population::check_population;
use super::raw::{self, RawConfig};
use super::reward::reward;
use super::sections::{
    bounded, check_ppo, date, decision, execution, needed_date, refuse, regime, require, source, timeframe,
};

/// Where bars come from.
#[derive(Debug, Clone, PartialEq)]
pub enum DataSource {
    /// The data folder.
    Store {
        /// Symbol.
        symbol: InstrumentId,
        /// Venue, if it matters.
        venue: Option<String>,
        /// The stored bars' length.
        stored: Timeframe,
    },
    /// Made anew.
    Synthetic(SynthRequest),
}

/// How money moves.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecutionSetup {
    /// One market order a bar under costs in proportion.
    Short(EngineRules),
    /// A broker.
    Broker(Box<BrokerSetup>),
}

/// A validated config.
#[derive(Debug, Clone)]
pub struct Config {
    /// What was written.
    pub raw: RawConfig,
    /// Where bars come from.
    pub source: DataSource,
    /// The bars the agent lives through.
    pub timeframe: Timeframe,
    /// Features.
    pub features: Vec<String>,
    /// First row of training, if not the first there is.
    pub train_from: Option<UnixNanos>,
    /// End of training.
    pub train_until: UnixNanos,
    /// End of validation.
    pub validation_until: UnixNanos,
    /// End of the test, if not the last row there is.
    pub test_until: Option<UnixNanos>,
    /// From here on rows are sealed.
    pub sealed_from: Option<UnixNanos>,
    /// From action to order.
    pub decision: DecisionRules,
    /// Costs and account.
    pub execution: ExecutionSetup,
    /// Which market is this, if it is asked.
    pub regime: Option<RegimeRequest>,
    /// Episodes of the training.
    pub plan: EpisodePlan,
    /// Reward.
    pub reward: Reward,
}

impl Config {
    /// Makes sense of `raw`.
    ///
    /// # Errors
    /// The first field that makes none.
    pub fn validate(raw: RawConfig) -> Result<Self, ConfigError> {
        bounded(&raw)?;
        let timeframe = timeframe("data.timeframe", &raw.data.timeframe)?;
        let source = source(&raw, timeframe)?;
        if let Err(error) = FeatureStream::new(&raw.features.columns, timeframe) {
            return refuse("features.columns", format!("{:?}", raw.features.columns), error);
        }
        require(raw.features.clip > 0.0, "features.clip", raw.features.clip, "positive")?;
        let windows = &raw.windows;
        let train_from = date("windows.train_from", &windows.train_from)?;
        let train_until = needed_date("windows.train_until", &windows.train_until)?;
        let validation_until = needed_date("windows.validation_until", &windows.validation_until)?;
        let test_until = date("windows.test_until", &windows.test_until)?;
        let sealed_from = date("windows.sealed_from", &windows.sealed_from)?;
        let later = |field, text: &str, a: UnixNanos, b: Option<UnixNanos>, what: &str| {
            require(b.is_none_or(|b| a < b), field, format!("'{text}'"), format!("later than {what}"))
        };
        if let Some(from) = train_from {
            later(
                "windows.train_until",
                &windows.train_until,
                from,
                Some(train_until),
                "windows.train_from",
            )?;
        }
        let until = Some(validation_until);
        later(
            "windows.validation_until",
            &windows.validation_until,
            train_until,
            until,
            "windows.train_until",
        )?;
        later(
            "windows.test_until",
            &windows.test_until,
            validation_until,
            test_until,
            "windows.validation_until",
        )?;
        if let (Some(sealed), Some(test)) = (sealed_from, test_until) {
            require(test <= sealed, "windows.sealed_from", sealed, "at or after windows.test_until")?;
        }
        later(
            "windows.sealed_from",
            &windows.sealed_from,
            validation_until,
            sealed_from,
            "windows.validation_until",
        )?;
        let execution = execution(&raw)?;
        let decision = decision(&raw, &execution)?;
        let finer = matches!(&source, DataSource::Store { stored, .. } if *stored < timeframe);
        let by_stored = raw.broker.as_ref().is_some_and(|broker| broker.fills_by == raw::FillsBy::Stored);
        require(
            finer || !by_stored,
            "broker.fills_by",
            "stored",
            "own, unless data.stored_timeframe is finer than data.timeframe",
        )?;
        let regime = regime(&raw, timeframe)?;
        check_ppo(&raw)?;
        check_population(&raw)?;
        let plan = EpisodePlan {
            starts: match (raw.episode.random_start, raw.ppo.path_group) {
                (true, 2..) => Starts::Together(raw.ppo.path_group),
                (true, _) => Starts::Random,
                (false, _) => Starts::First,
            },
            length: match raw.episode.n_steps {
                0 => EpisodeLength::ToEnd,
                n => EpisodeLength::Steps(n),
            },
        };
        let features = raw.features.columns.clone();
        let reward = reward(&raw)?;
        let config = Self {
            source,
            timeframe,
            features,
            train_from,
            train_until,
            validation_until,
            test_until,
            sealed_from,
            decision,
            execution,
            regime,
            plan,
            reward,
            raw,
        };
        Ok(config)
    }

    /// The same with the multiplier of the reward's constraint as learned.
    #[must_use]
    pub fn with_multiplier(&self, learned: f64) -> Self {
        let mut config = self.clone();
        if let Reward::Composed { multiplier, .. } = &mut config.reward {
            *multiplier = learned;
        }
        config
    }

    /// The same as `policy` acts: its multiplier, and positions where an ensemble's members make choices.
    #[must_use]
    pub fn acting(&self, policy: &PolicySpec, multiplier: f64) -> Self {
        let mut config = self.with_multiplier(multiplier);
        if matches!(policy, PolicySpec::Ensemble(_)) && config.decision.action == ActionKind::Discrete {
            config.decision.action = ActionKind::Continuous;
        }
        config
    }

    /// The same under another seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        let mut config = self.clone();
        config.raw.run.seed = seed;
        config
    }

    /// Whether fills are decided by the stored bars, which are finer than the agent's.
    pub(crate) fn fills_by_stored(&self) -> bool {
        self.raw.broker.as_ref().is_some_and(|broker| broker.fills_by == raw::FillsBy::Stored)
    }

    /// Equity at the start of an episode.
    #[must_use]
    pub fn initial_cash(&self) -> f64 {
        match &self.execution {
            ExecutionSetup::Short(_) => self.raw.execution.as_ref().map_or(0.0, |short| short.initial_cash),
            ExecutionSetup::Broker(setup) => setup.initial_cash,
        }
    }

    /// What names the market for counting judgements: where bars come from and what is traded, not how it is cut.
    #[must_use]
    pub fn market_name(&self) -> String {
        match &self.source {
            DataSource::Store { symbol, .. } => format!("store {symbol}"),
            DataSource::Synthetic(request) => {
                format!("synthetic {:?} {} {}", request.kind, request.seed, request.start)
            }
        }
    }

    /// What is learned from, chosen by and judged on, given the whole span of bars there is: one fold, or the folds that
    /// walk forward.
    ///
    /// # Errors
    /// When the folds do not fit.
    pub fn folds(&self, whole: Span) -> Result<Vec<Fold>, ConfigError> {
        let whole = Span {
            from: self.train_from.unwrap_or(whole.from),
            until: self.test_until.or(self.sealed_from).unwrap_or(whole.until),
        };
        let purge = self.timeframe.nanos() * i64::from(self.raw.windows.purge_bars);
        let walk = &self.raw.walk_forward;
        if walk.n_folds == 0 {
            let after = |at: UnixNanos| UnixNanos(at.0 + purge);
            return Ok(vec![Fold {
                train: Span { from: whole.from, until: self.train_until },
                validation: Span { from: after(self.train_until), until: self.validation_until },
                test: Span { from: after(self.validation_until), until: whole.until },
            }]);
        }
        let days = |n: u32| i64::from(n) * Timeframe::DAY.nanos();
        let cut = WalkForward {
            whole,
            n_folds: walk.n_folds,
            test: days(walk.test_days),
            validation: days(walk.validation_days),
            purge,
            embargo: self.timeframe.nanos() * i64::from(walk.embargo_bars),
            train: (walk.train_days > 0).then(|| days(walk.train_days)),
        };
        require(walk.n_folds <= 1000, "walk_forward.n_folds", walk.n_folds, "at most 1000")?;
        require(walk.test_days > 0, "walk_forward.test_days", walk.test_days, "at least 1")?;
        require(
            walk.validation_days > 0,
            "walk_forward.validation_days",
            walk.validation_days,
            "at least 1",
        )?;
        match cut.folds() {
            Some(folds) => Ok(folds),
            None => refuse(
                "walk_forward.n_folds",
                walk.n_folds,
                format!("few enough, or its windows short enough, to fit into {whole}"),
            ),
        }
    }

    /// How the trained policy acts where it is judged and served.
    #[must_use]
    pub fn action_mode(&self) -> ActionMode {
        match self.raw.decision.act {
            raw::Act::Greedy => ActionMode::Greedy,
            raw::Act::Sampled => ActionMode::Sampled,
        }
    }

    /// Environment steps an update of one member takes.
    #[must_use]
    pub fn steps_per_update(&self) -> u64 {
        (self.raw.ppo.n_envs * self.raw.ppo.horizon) as u64
    }

    /// Environment steps an update of all members takes.
    #[must_use]
    pub fn steps_per_round(&self) -> u64 {
        self.steps_per_update() * self.raw.population.size as u64
    }

    /// What the trainer needs; `n_threads` changes nothing but time.
    #[must_use]
    pub fn trainer(&self, n_threads: usize) -> TrainerSpec {
        let ppo = &self.raw.ppo;
        let per_update = self.steps_per_update();
        TrainerSpec {
            ppo: PpoConfig {
                horizon: ppo.horizon,
                n_epochs: ppo.n_epochs,
                minibatch_size: ppo.minibatch_size,
                gamma: ppo.gamma as f32,
                gae_lambda: ppo.gae_lambda as f32,
                clip_range: ppo.clip_range as f32,
                clip_range_value: ppo.clip_range_value as f32,
                value_coefficient: ppo.value_coefficient as f32,
                entropy_coefficient: ppo.entropy_coefficient as f32,
                learning_rate: ppo.learning_rate as f32,
                schedule: match ppo.schedule {
                    raw::Schedule::Constant => cambist_ppo::Schedule::Constant,
                    raw::Schedule::Linear => cambist_ppo::Schedule::Linear,
                },
                max_grad_norm: ppo.max_grad_norm as f32,
                target_kl: ppo.target_kl as f32,
                normalise_advantage: ppo.normalise_advantage,
                scale_rewards: ppo.scale_rewards,
                sequence_length: ppo.sequence_length,
                burn_in: ppo.burn_in,
                path_group: ppo.path_group,
            },
            trunk: trunk(&self.raw),
            learner: learner(&self.raw),
            hidden: self.raw.network.hidden.clone(),
            activation: match self.raw.network.activation {
                raw::Activation::Tanh => cambist_policy::Activation::Tanh,
                raw::Activation::Relu => cambist_policy::Activation::Relu,
                raw::Activation::Silu => cambist_policy::Activation::Silu,
            },
            initial_log_deviation: self.raw.network.initial_log_deviation as f32,
            n_envs: ppo.n_envs,
            n_updates: ppo.total_steps.div_ceil(per_update),
            seed: self.raw.run.seed,
            n_threads,
        }
    }

    /// Features on bars longer than the agent's.
    #[must_use]
    pub fn longest_timeframe(&self) -> Timeframe {
        let frames = self.features.iter().filter_map(|f| FeatureSpec::parse(f, self.timeframe).ok());
        frames.map(|spec| spec.timeframe).max().unwrap_or(self.timeframe)
    }
}
