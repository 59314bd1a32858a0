//! Bars and features of an experiment, and environments over them.

use std::path::Path;
use std::sync::Arc;

use cambist_core::{AutoReset, BatchedEnv, MarketTape, UnixNanos};
use cambist_data::{DataFolder, resample, synth};
use cambist_decide::{ActionKind, DecisionPath, DecisionRules};
use cambist_evaluate::windows::{Fold, Span};
use cambist_features::{FeatureView, Normaliser};
use cambist_market::{EpisodeLength, EpisodePlan, Execution, MarketEnv, MarketError, MarketSpec, Starts};
use cambist_policy::ActorCritic;
use cambist_ppo::{TrainError, Trainer, TrainerSpec};
use cambist_regime::{RegimeModel, RegimeView};
use cambist_risk::Limits;

use crate::config::reward::with_regimes;
use crate::config::{Config, DataSource};
use crate::error::LabError;
use crate::execution::{beside, execution, free, usable};

/// Bars and features, one copy for everything.
#[derive(Debug, Clone)]
pub struct Market {
    /// The bars the agent lives through; sealed rows are not among them.
    pub tape: Arc<MarketTape>,
    /// Raw features.
    pub features: Arc<FeatureView>,
    /// How accounts are traded.
    pub execution: Execution,
    /// The bars' fingerprint.
    pub fingerprint: String,
    /// Which market is this, once it is fitted on a fold's training window.
    pub regime: Option<Arc<Regimes>>,
}

/// A model of regimes, and what it says of the bars.
#[derive(Debug, Clone, PartialEq)]
pub struct Regimes {
    /// The model.
    pub model: RegimeModel,
    /// Probabilities and labels.
    pub view: Arc<RegimeView>,
}

impl Market {
    /// Reads or makes the bars of `config`, without those that are sealed, and computes its features.
    ///
    /// # Errors
    /// When the data set is missing or damaged, or cannot be resampled.
    pub fn prepare(config: &Config, data_folder: &Path) -> Result<Self, LabError> {
        Self::with_rows_until(config, data_folder, config.sealed_from, false)
    }

    /// The same with the sealed rows: only for the command that opens them.
    ///
    /// # Errors
    /// As [`Market::prepare`].
    pub(crate) fn unsealed(config: &Config, data_folder: &Path) -> Result<Self, LabError> {
        Self::with_rows_until(config, data_folder, None, true)
    }

    /// From when on rows are sealed: by the config, or by the data themselves.
    ///
    /// # Errors
    /// When the data set is not there.
    pub(crate) fn sealed_from(config: &Config, data_folder: &Path) -> Result<Option<UnixNanos>, LabError> {
        let own = match &config.source {
            DataSource::Synthetic(_) => None,
            DataSource::Store { symbol, venue, stored } => {
                let folder = DataFolder::open(data_folder)?;
                let set = folder.find(&symbol.0, venue.as_deref(), *stored)?;
                folder.sealed_from(&symbol.0, &set.key.venue)?
            }
        };
        Ok(own.into_iter().chain(config.sealed_from).min())
    }

    /// The bars of `config`, without those that are sealed, and without features: for whoever makes his own as they come. Beside them the
    /// finer ones, if fills are decided by these.
    ///
    /// # Errors
    /// As [`Market::prepare`].
    pub(crate) fn bars(
        config: &Config,
        data_folder: &Path,
    ) -> Result<(MarketTape, Option<MarketTape>), LabError> {
        let tape = Self::stored(config, data_folder, config.sealed_from, false)?;
        if tape.timeframe == config.timeframe {
            return Ok((tape, None));
        }
        Ok((resample(&tape, config.timeframe)?, config.fills_by_stored().then_some(tape)))
    }

    fn stored(
        config: &Config,
        folder_path: &Path,
        until: Option<UnixNanos>,
        opened: bool,
    ) -> Result<MarketTape, LabError> {
        let mut tape = match &config.source {
            DataSource::Synthetic(request) => synth::synthesize(request)?.0,
            DataSource::Store { symbol, venue, stored } => {
                let folder = DataFolder::open(folder_path)?;
                let venue = venue.as_deref();
                if opened {
                    folder.read_opened(&symbol.0, venue, *stored)?.1
                } else {
                    folder.read(&symbol.0, venue, *stored)?.1
                }
            }
        };
        if let Some(until) = until {
            tape.truncate(tape.open_time.partition_point(|&t| t < until.0));
        }
        Ok(tape)
    }

    fn with_rows_until(
        config: &Config,
        folder_path: &Path,
        until: Option<UnixNanos>,
        opened: bool,
    ) -> Result<Self, LabError> {
        let tape = Self::stored(config, folder_path, until, opened)?;
        if tape.timeframe == config.timeframe {
            return Self::of(config, tape, folder_path);
        }
        let finer = config.fills_by_stored().then_some(&tape);
        Self::with_finer(config, resample(&tape, config.timeframe)?, finer, folder_path)
    }

    /// Features and execution of `config` over `tape`.
    ///
    /// # Errors
    /// When a feature cannot be made, or the tape lacks what the broker's terms need.
    pub fn of(config: &Config, tape: MarketTape, data_folder: &Path) -> Result<Self, LabError> {
        Self::with_finer(config, tape, None, data_folder)
    }

    fn with_finer(
        config: &Config,
        tape: MarketTape,
        finer: Option<&MarketTape>,
        data_folder: &Path,
    ) -> Result<Self, LabError> {
        let features = FeatureView::compute(&config.features, &tape)?;
        let execution = usable(config, execution(config, &tape, finer, data_folder)?)?;
        let fingerprint = tape.fingerprint_with(&beside(&execution));
        Ok(Self { tape: Arc::new(tape), features: Arc::new(features), execution, fingerprint, regime: None })
    }

    /// The same market with the regimes that `config` asks for, fitted on the training window of `fold`; their
    /// probabilities are columns of the features if the config says so.
    ///
    /// # Errors
    /// When the model cannot be fitted.
    pub fn with_regimes(&self, config: &Config, fold: &Fold) -> Result<Self, LabError> {
        let Some(request) = &config.regime else { return Ok(self.clone()) };
        let rows = self.rows("train", "train_until", fold.train)?;
        let model = RegimeModel::fit(request, &self.tape.slice(rows))?;
        self.with_regime_model(config, model)
    }

    /// The same with a model that was fitted before.
    ///
    /// # Errors
    /// When it was fitted on other bars.
    pub fn with_regime_model(&self, config: &Config, model: RegimeModel) -> Result<Self, LabError> {
        let view = model.view(&self.tape)?;
        let mut market = self.clone();
        if config.raw.regime.observe {
            let names: Vec<String> = view.names.iter().map(|name| format!("regime.{name}")).collect();
            let extended = self.features.as_ref().clone().with_columns(&names, |row| view.at(row));
            market.features = Arc::new(extended);
        }
        market.regime = Some(Arc::new(Regimes { model, view: Arc::new(view) }));
        Ok(market)
    }

    /// Bars, after the first whose features are ready, at whose close a decision over `window` rows has none: outages
    /// interrupted their warm-up.
    #[must_use]
    pub fn n_blind(&self, window: usize) -> usize {
        let sees = |row: &usize| self.features.ready_rows(*row, window).is_some();
        (0..self.tape.len()).skip_while(|row| !sees(row)).filter(|row| !sees(row)).count()
    }

    /// From the first bar to the end of the last.
    #[must_use]
    pub fn whole(&self) -> Span {
        let first = self.tape.open_time.first().copied().unwrap_or(0);
        let last = self.tape.open_time.last().copied().unwrap_or(0);
        Span { from: UnixNanos(first), until: UnixNanos(last + self.tape.timeframe.nanos()) }
    }

    /// The row whose close is `close`.
    pub(crate) fn row_of_close(&self, close: UnixNanos) -> usize {
        let bar = self.tape.timeframe.nanos();
        self.tape.open_time.partition_point(|&open| open + bar < close.0)
    }

    /// Rows of a window.
    ///
    /// # Errors
    /// When it holds fewer than three bars.
    pub fn rows(
        &self,
        window: &'static str,
        field: &'static str,
        span: Span,
    ) -> Result<std::ops::Range<usize>, LabError> {
        let rows = self.tape.rows_between(span.from, span.until);
        if rows.len() < 3 {
            let whole = self.whole();
            return Err(LabError::EmptyWindow {
                window,
                span: span.to_string(),
                n_bars: rows.len(),
                first: whole.from.to_string(),
                last: whole.until.to_string(),
                field,
            });
        }
        Ok(rows)
    }

    /// What environments over `rows` are made of.
    ///
    /// # Errors
    /// When the reward's weights by regime do not fit the model's regimes.
    pub fn spec(
        &self,
        config: &Config,
        normaliser: &Arc<Normaliser>,
        decision: DecisionRules,
        plan: EpisodePlan,
        rows: std::ops::Range<usize>,
    ) -> Result<MarketSpec, LabError> {
        let reward = match &self.regime {
            Some(regimes) => with_regimes(&config.raw, &config.reward, &regimes.model.names)?,
            None => config.reward.clone(),
        };
        let remembered = reward.composed().cloned();
        Ok(MarketSpec {
            tape: Arc::clone(&self.tape),
            features: Arc::clone(&self.features),
            path: DecisionPath::with_reward(decision, Arc::clone(normaliser), remembered),
            execution: self.execution.clone(),
            reward,
            regimes: self.regime.as_ref().map(|regimes| Arc::clone(&regimes.view)),
            plan,
            rows,
            left_out: Vec::new(),
            initial_cash: config.initial_cash(),
        })
    }

    /// The normaliser of `fold`, fitted on its training window.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn training_normaliser(&self, config: &Config, fold: &Fold) -> Result<Arc<Normaliser>, LabError> {
        let rows = self.rows("train", "train_until", fold.train)?;
        Ok(Arc::new(Normaliser::fit(&self.features, rows, config.raw.features.clip as f32)))
    }

    /// What the training environments of `fold` are made of.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn training_spec(&self, config: &Config, fold: &Fold) -> Result<MarketSpec, LabError> {
        let rows = self.rows("train", "train_until", fold.train)?;
        let normaliser = self.training_normaliser(config, fold)?;
        self.spec(config, &normaliser, config.decision, config.plan, rows)
    }

    /// Decision rules that take any target at leverage 1.
    #[must_use]
    pub(crate) fn free_decision(config: &Config) -> DecisionRules {
        DecisionRules {
            action: ActionKind::Continuous,
            dead_band: 0.0,
            leverage: 1.0,
            flat_when_blind: false,
            limits: Limits { max_exposure: config.decision.limits.max_exposure.max(1.0) },
            ..config.decision
        }
    }

    /// Execution by `config`, with the finer bars there are.
    fn execution_as(&self, config: &Config, data_folder: &Path) -> Result<Execution, LabError> {
        let again = usable(config, execution(config, &self.tape, None, data_folder)?)?;
        Ok(match (again, &self.execution) {
            (Execution::Full(new), Execution::Full(old)) if old.finer.is_some() => {
                let finer = old.finer.clone();
                Execution::Full(Arc::new(cambist_market::FullExecution { finer, ..new.as_ref().clone() }))
            }
            (again, _) => again,
        })
    }

    /// The same bars and features, traded as `config` says.
    ///
    /// # Errors
    /// When the tape lacks what the broker's terms need.
    pub(crate) fn with_execution(&self, config: &Config, data_folder: &Path) -> Result<Self, LabError> {
        Ok(Self { execution: self.execution_as(config, data_folder)?, ..self.clone() })
    }

    /// One account that lives through `rows` once, from the first to the last; `free_targets` takes any target at leverage 1, for
    /// rules that are no policy.
    ///
    /// # Errors
    /// When the rows cannot hold an episode.
    pub fn once(
        &self,
        config: &Config,
        normaliser: &Arc<Normaliser>,
        rows: std::ops::Range<usize>,
        free_targets: bool,
    ) -> Result<MarketEnv, LabError> {
        let decision = if free_targets { Self::free_decision(config) } else { config.decision };
        let mut spec = self.spec(config, normaliser, decision, ONCE, rows)?;
        if free_targets {
            spec.execution = free(&self.execution);
        }
        Ok(MarketEnv::new(spec, 1, 0, AutoReset::Disabled)?)
    }

    /// The same for a policy that begins with `cash`.
    ///
    /// # Errors
    /// When the rows cannot hold an episode.
    pub(crate) fn once_with(
        &self,
        config: &Config,
        normaliser: &Arc<Normaliser>,
        rows: std::ops::Range<usize>,
        cash: f64,
    ) -> Result<MarketEnv, LabError> {
        let mut spec = self.spec(config, normaliser, config.decision, ONCE, rows)?;
        spec.initial_cash = cash;
        Ok(MarketEnv::new(spec, 1, 0, AutoReset::Disabled)?)
    }
}

/// Every row once, from the first to the last.
const ONCE: EpisodePlan = EpisodePlan { starts: Starts::First, length: EpisodeLength::ToEnd };

/// A trainer in market environments made of `spec`; the agent is `start`, or a fresh one.
///
/// # Errors
/// When the environments cannot be made, or the settings do not fit them.
pub fn market_trainer(
    spec: &MarketSpec,
    settings: TrainerSpec,
    start: Option<&ActorCritic>,
) -> Result<Trainer, TrainError<MarketError>> {
    let make = |n_envs, first_env| {
        let env = MarketEnv::new(spec.clone(), n_envs, first_env, AutoReset::SameStep)?;
        Ok(Box::new(env) as Box<dyn BatchedEnv>)
    };
    Trainer::new(settings, &make, start)
}
