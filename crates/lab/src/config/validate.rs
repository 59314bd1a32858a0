//! A config that makes sense, without maybes.

use cambist_core::{BasisPoints, InstrumentId, Timeframe, UnixNanos};
use cambist_data::synth::{GeometricBrownian, HestonJumps, OrnsteinUhlenbeck, SynthKind, SynthRequest};
use cambist_decide::{ActionKind, DecisionRules, Sizing};
use cambist_evaluate::windows::{Fold, Span, WalkForward};
use cambist_execution::{CostModel, EngineRules};
use cambist_features::{FeatureSpec, FeatureStream};
use cambist_market::{EpisodeLength, EpisodePlan, Reward, Starts};
use cambist_ppo::{PpoConfig, TrainerSpec};
use cambist_risk::Limits;

use super::ConfigError;
use super::raw::{self, RawConfig};

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
    pub engine: EngineRules,
    /// Episodes of the training.
    pub plan: EpisodePlan,
    /// Reward.
    pub reward: Reward,
}

fn refuse<T>(field: &'static str, value: impl ToString, expected: impl ToString) -> Result<T, ConfigError> {
    Err(ConfigError::Value { field, value: value.to_string(), expected: expected.to_string() })
}

fn require(
    good: bool,
    field: &'static str,
    value: impl ToString,
    expected: impl ToString,
) -> Result<(), ConfigError> {
    if good { Ok(()) } else { refuse(field, value, expected) }
}

fn date(field: &'static str, text: &str) -> Result<Option<UnixNanos>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    match UnixNanos::parse(text) {
        Some(at) => Ok(Some(at)),
        None => refuse(field, format!("'{text}'"), "a date such as 2022-01-01"),
    }
}

fn needed_date(field: &'static str, text: &str) -> Result<UnixNanos, ConfigError> {
    match date(field, text)? {
        Some(at) => Ok(at),
        None => refuse(field, "empty", "a date such as 2022-01-01"),
    }
}

fn timeframe(field: &'static str, text: &str) -> Result<Timeframe, ConfigError> {
    text.parse().or_else(|e: cambist_core::time::TimeframeError| refuse(field, format!("'{text}'"), e))
}

impl Config {
    /// Makes sense of `raw`.
    ///
    /// # Errors
    /// The first field that makes none.
    pub fn validate(raw: RawConfig) -> Result<Self, ConfigError> {
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
        let engine = engine(&raw)?;
        let decision = decision(&raw, &engine)?;
        check_ppo(&raw)?;
        let plan = EpisodePlan {
            starts: if raw.episode.random_start { Starts::Random } else { Starts::First },
            length: match raw.episode.n_steps {
                0 => EpisodeLength::ToEnd,
                n => EpisodeLength::Steps(n),
            },
        };
        let scale = raw.episode.reward_scale;
        require(scale > 0.0 && scale.is_finite(), "episode.reward_scale", scale, "positive")?;
        let features = raw.features.columns.clone();
        let reward = Reward::LogEquity { scale };
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
            engine,
            plan,
            reward,
            raw,
        };
        Ok(config)
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

    /// What the trainer needs; `n_threads` changes nothing but time.
    #[must_use]
    pub fn trainer(&self, n_threads: usize) -> TrainerSpec {
        let ppo = &self.raw.ppo;
        let per_update = (ppo.n_envs * ppo.horizon) as u64;
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
            },
            hidden: self.raw.network.hidden.clone(),
            activation: match self.raw.network.activation {
                raw::Activation::Tanh => cambist_policy::Activation::Tanh,
                raw::Activation::Relu => cambist_policy::Activation::Relu,
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

fn source(raw: &RawConfig, target: Timeframe) -> Result<DataSource, ConfigError> {
    let data = &raw.data;
    let symbol = InstrumentId(data.symbol.clone());
    require(!data.symbol.is_empty(), "data.symbol", "empty", "a name such as BTCUSDT")?;
    match data.source {
        raw::Source::Store => {
            let stored = match data.stored_timeframe.as_str() {
                "" => target,
                text => timeframe("data.stored_timeframe", text)?,
            };
            let fits = target.is_multiple_of(stored);
            require(
                fits,
                "data.stored_timeframe",
                stored,
                format!("a whole part of data.timeframe, {target}"),
            )?;
            let venue = (!data.venue.is_empty()).then(|| data.venue.clone());
            Ok(DataSource::Store { symbol, venue, stored })
        }
        raw::Source::Synthetic => {
            require(data.n_bars > 0, "data.n_bars", data.n_bars, "at least 1 for a synthetic market")?;
            let kind = match data.kind {
                raw::Kind::Gbm => {
                    SynthKind::GeometricBrownian(GeometricBrownian { drift: 0.0, volatility: 0.6 })
                }
                raw::Kind::Ou => {
                    SynthKind::OrnsteinUhlenbeck(OrnsteinUhlenbeck { speed: 50.0, volatility: 0.6 })
                }
                raw::Kind::Heston => SynthKind::HestonJumps(HestonJumps::default()),
                raw::Kind::Regime => SynthKind::RegimeSwitching,
            };
            Ok(DataSource::Synthetic(SynthRequest {
                kind,
                instrument: symbol,
                timeframe: target,
                n_bars: data.n_bars,
                start: needed_date("data.start", &data.start)?,
                price: 100.0,
                seed: data.seed,
            }))
        }
    }
}

fn engine(raw: &RawConfig) -> Result<EngineRules, ConfigError> {
    let e = &raw.execution;
    for (field, value) in [
        ("execution.commission_bp", e.commission_bp),
        ("execution.half_spread_bp", e.half_spread_bp),
        ("execution.slippage_bp", e.slippage_bp),
        ("execution.borrow_rate", e.borrow_rate),
    ] {
        require(value.is_finite() && (0.0..5000.0).contains(&value), field, value, "from 0 to 5000")?;
    }
    let cash = e.initial_cash;
    require(cash.is_finite() && cash > 0.0, "execution.initial_cash", cash, "positive")?;
    let ruin = e.ruin_fraction;
    require((0.0..1.0).contains(&ruin), "execution.ruin_fraction", ruin, "at least 0 and less than 1")?;
    Ok(EngineRules {
        costs: CostModel {
            commission: BasisPoints(e.commission_bp),
            half_spread: BasisPoints(e.half_spread_bp),
            slippage: BasisPoints(e.slippage_bp),
            borrow_rate: e.borrow_rate,
        },
        margin: e.margin,
        ruin_fraction: ruin,
    })
}

fn decision(raw: &RawConfig, engine: &EngineRules) -> Result<DecisionRules, ConfigError> {
    let d = &raw.decision;
    require(
        (0.0..2.0).contains(&d.dead_band),
        "decision.dead_band",
        d.dead_band,
        "at least 0 and less than 2",
    )?;
    require(d.leverage.is_finite() && d.leverage > 0.0, "decision.leverage", d.leverage, "positive")?;
    let max = raw.execution.max_exposure;
    require(
        max.is_finite() && max >= d.leverage,
        "execution.max_exposure",
        max,
        "at least decision.leverage",
    )?;
    let borrows = d.leverage > 1.0 && !raw.execution.margin;
    require(!borrows, "decision.leverage", d.leverage, "at most 1 while execution.margin is false")?;
    Ok(DecisionRules {
        action: match d.action {
            raw::Action::Discrete => ActionKind::Discrete,
            raw::Action::Continuous => ActionKind::Continuous,
        },
        dead_band: d.dead_band,
        long_only: d.long_only,
        sizing: Sizing::EquityFraction,
        leverage: d.leverage,
        one_way_cost: engine.costs.one_way(),
        limits: Limits { max_exposure: max },
    })
}

fn check_ppo(raw: &RawConfig) -> Result<(), ConfigError> {
    let p = &raw.ppo;
    for (field, value) in [
        ("ppo.total_steps", p.total_steps),
        ("ppo.n_envs", p.n_envs as u64),
        ("ppo.horizon", p.horizon as u64),
        ("ppo.n_epochs", p.n_epochs as u64),
        ("ppo.minibatch_size", p.minibatch_size as u64),
        ("ppo.validate_every", p.validate_every),
    ] {
        require(value > 0, field, value, "at least 1")?;
    }
    let rows = p.n_envs * p.horizon;
    let divides = rows.is_multiple_of(p.minibatch_size);
    require(
        divides,
        "ppo.minibatch_size",
        p.minibatch_size,
        format!("a divisor of ppo.n_envs x ppo.horizon, {rows}"),
    )?;
    for (field, value) in [("ppo.gamma", p.gamma), ("ppo.gae_lambda", p.gae_lambda)] {
        require((0.0..=1.0).contains(&value), field, value, "from 0 to 1")?;
    }
    for (field, value) in [
        ("ppo.clip_range", p.clip_range),
        ("ppo.learning_rate", p.learning_rate),
        ("ppo.max_grad_norm", p.max_grad_norm),
    ] {
        require(value.is_finite() && value > 0.0, field, value, "positive")?;
    }
    for (field, value) in [
        ("ppo.clip_range_value", p.clip_range_value),
        ("ppo.value_coefficient", p.value_coefficient),
        ("ppo.entropy_coefficient", p.entropy_coefficient),
        ("ppo.target_kl", p.target_kl),
    ] {
        require(value.is_finite() && value >= 0.0, field, value, "zero or more")?;
    }
    let hidden = &raw.network.hidden;
    require(
        hidden.iter().all(|&w| (1..=8192).contains(&w)),
        "network.hidden",
        format!("{hidden:?}"),
        "widths from 1 to 8192",
    )
}
