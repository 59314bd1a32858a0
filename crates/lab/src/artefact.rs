//! What an artefact says: all that a decision needs beside the weights.

use std::sync::Arc;

use cambist_core::policy::ActionMode;
use cambist_core::{InstrumentId, ObservationSpec, Timeframe};
use cambist_decide::{DecisionPath, DecisionRules};
use cambist_evaluate::Track;
use cambist_evaluate::metrics::band;
use cambist_evaluate::windows::{Fold, Span};
pub use cambist_execution::ExecutionRules;
use cambist_features::Normaliser;
use cambist_live::results::daily;
use cambist_live::{Band, Terms};
use cambist_market::Execution;
use cambist_policy::{PolicySpec, TrainedPolicy, weights};
use cambist_ppo::LearnerChoice;
use cambist_regime::RegimeModel;
use cambist_runs::{RunFolder, artefact};
use serde::{Deserialize, Serialize};

use crate::config::{Config, ExecutionSetup, RawConfig};
use crate::ensemble::MemberRecord;
use crate::error::LabError;
use crate::market::Market;
use crate::train::Trained;

/// Revision of the code that writes artefacts.
pub const REVISION: &str = env!("CAMBIST_REVISION");

/// An artefact's content. Settings of the machine and times are not in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Artefact {
    /// What is traded.
    pub instrument: InstrumentId,
    /// The bars it decides on.
    pub timeframe: Timeframe,
    /// What it observes.
    pub observation: ObservationSpec,
    /// Features, as written.
    pub features: Vec<String>,
    /// Fitted on the training window.
    pub normaliser: Normaliser,
    /// Shape of its networks, and how several act as one.
    pub policy: PolicySpec,
    /// What its members did on validation, how they came to it, and what they count for.
    #[serde(default)]
    pub members: Vec<MemberRecord>,
    /// Greedy or sampled.
    pub action_mode: ActionMode,
    /// From action to order.
    pub decision: DecisionRules,
    /// Costs and account it was trained under.
    pub execution: ExecutionRules,
    /// Terms of trading that live decisions rest on, beside the broker's; none in the short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
    /// Quantiles of the normalised features in the training window, column by column, evenly spaced: what live observations are held
    /// against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Vec<Vec<f32>>>,
    /// Where results lie that go on as in the test window; none where that is too short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<Band>,
    /// Columns of the observation that show what the reward remembers.
    pub reward_columns: Vec<String>,
    /// Multiplier of the reward's constraint, as learned.
    pub multiplier: f64,
    /// Which market is this, fitted on the training window.
    pub regime: Option<RegimeModel>,
    /// Its windows.
    pub fold: Fold,
    /// Fingerprint of the bars.
    pub data_fingerprint: String,
    /// Environment steps trained, and the update whose weights these are.
    pub steps: u64,
    /// See `steps`.
    pub chosen_update: u64,
    /// Seed.
    pub seed: u64,
    /// Revision of the code.
    pub revision: String,
    /// Whether the same input gives the same bits.
    pub deterministic: bool,
    /// The config, resolved.
    pub config: RawConfig,
}

/// Quantiles that are kept of a column: percentiles, the extremes with them.
const N_QUANTILES: usize = 101;

/// What a live loop needs of the broker's config.
fn terms(config: &Config, market: &Market) -> Option<Terms> {
    let (Execution::Full(full), ExecutionSetup::Broker(setup)) = (&market.execution, &config.execution)
    else {
        return None;
    };
    let raw = config.raw.broker.as_ref()?;
    Some(Terms {
        tickets: full.tickets,
        gate: full.gate,
        feed: setup.feed,
        atr_bars: setup.atr_bars,
        volume_kind: market.tape.volume_kind,
        initial_cash: config.initial_cash(),
        ruin_fraction: full.ruin_fraction,
        deposit_currency: raw.deposit_currency.clone(),
    })
}

/// Quantiles of every feature, normalised, at the ready bars of the training window.
fn quantiles(market: &Market, fold: &Fold, normaliser: &Normaliser) -> Vec<Vec<f32>> {
    let rows = market.tape.rows_between(fold.train.from, fold.train.until);
    let ready: Vec<usize> = rows.filter(|&row| market.features.ready[row]).collect();
    let mut seen = vec![0.0f32; normaliser.names.len()];
    let mut columns = vec![Vec::with_capacity(ready.len()); seen.len()];
    for row in &ready {
        normaliser.apply(market.features.rows(*row, 1), &mut seen);
        columns.iter_mut().zip(&seen).for_each(|(column, &value)| column.push(value));
    }
    let of = |mut column: Vec<f32>| {
        column.sort_by(f32::total_cmp);
        let place = |k: usize| k * column.len().saturating_sub(1) / (N_QUANTILES - 1);
        (0..N_QUANTILES).filter_map(|k| column.get(place(k)).copied()).collect()
    };
    columns.into_iter().map(of).collect()
}

/// Days of a test window from which a band says something, days it is long at most, its probability, and paths drawn for it.
const FEWEST_DAYS: usize = 60;
const BAND_DAYS: usize = 250;
const BAND_LEVEL: f64 = 0.98;
const BAND_PATHS: usize = 2000;

/// Where results lie that go on as in `track`.
fn band_of(track: &Track, seed: u64) -> Option<Band> {
    let returns = daily(track.time.iter().copied().zip(track.equity.iter().copied()));
    (returns.len() >= FEWEST_DAYS).then(|| {
        // Of a future that is longer than what is known of it nothing can be said.
        let days = returns.len().min(BAND_DAYS);
        let [low, high] = band::cumulative(&returns, days, BAND_LEVEL, BAND_PATHS, seed);
        Band { days: returns.len(), level: BAND_LEVEL, low, high }
    })
}

impl Artefact {
    /// What `trained` on `fold` leaves; `test` is its course in the test window, if it was tested.
    pub(crate) fn of(
        config: &Config,
        market: &Market,
        fold: &Fold,
        trained: &Trained,
        test: Option<&Track>,
    ) -> Self {
        let remembered = config.reward.composed().cloned();
        let acting = config.acting(&trained.policy.spec(), trained.multiplier);
        let path = DecisionPath::with_reward(acting.decision, Arc::clone(&trained.normaliser), remembered);
        Self {
            instrument: market.tape.instrument.clone(),
            timeframe: config.timeframe,
            observation: path.observation_spec().clone(),
            features: config.features.clone(),
            normaliser: trained.normaliser.as_ref().clone(),
            policy: trained.policy.spec(),
            members: trained.members.clone(),
            action_mode: config.action_mode(),
            decision: acting.decision,
            execution: match &market.execution {
                Execution::Short(engine) => ExecutionRules::Short(*engine.rules()),
                Execution::Full(full) => ExecutionRules::Broker(full.rules.as_ref().clone()),
            },
            terms: terms(config, market),
            reference: terms(config, market).is_some().then(|| quantiles(market, fold, &trained.normaliser)),
            band: test
                .filter(|_| terms(config, market).is_some())
                .and_then(|track| band_of(track, config.raw.run.seed)),
            reward_columns: config.reward.composed().map_or(Vec::new(), |reward| reward.columns()),
            multiplier: trained.multiplier,
            regime: market.regime.as_ref().map(|regimes| regimes.model.clone()),
            fold: *fold,
            data_fingerprint: market.fingerprint.clone(),
            steps: trained.steps,
            chosen_update: trained.chosen_update,
            seed: config.raw.run.seed,
            revision: REVISION.to_owned(),
            deterministic: config.trainer(1).learner == LearnerChoice::Fused,
            config: config.raw.clone(),
        }
    }

    /// Writes it with the weights of `policy` to `folder`; returns its hash.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, policy: &TrainedPolicy, folder: &std::path::Path) -> Result<String, LabError> {
        Ok(artefact::save(folder, self, &weights::to_bytes(policy)?)?)
    }

    /// Its config as the policy acts: its own multiplier, and its own kind of action.
    ///
    /// # Errors
    /// When the config makes no sense any more.
    pub fn acting(&self) -> Result<Config, LabError> {
        Ok(Config::validate(self.config.clone())?.acting(&self.policy, self.multiplier))
    }

    /// Its members to be trained anew, each under a seed so much later that no two trainings share one: the `round`-th time.
    ///
    /// # Errors
    /// When a config makes no sense any more.
    pub fn members_again(&self, round: u64) -> Result<Vec<Config>, LabError> {
        let chosen: Vec<&RawConfig> =
            self.members.iter().filter_map(|m| m.chosen.as_ref().map(|c| &c.config)).collect();
        let own = if chosen.is_empty() {
            Config::validate(self.config.clone())?.members()
        } else {
            chosen.into_iter().map(|raw| Config::validate(raw.clone())).collect::<Result<_, _>>()?
        };
        let seeds = own.iter().map(|config| config.raw.run.seed);
        let stride = 1 + seeds.clone().max().unwrap_or(0) - seeds.min().unwrap_or(0);
        let later = |config: &Config| config.with_seed(config.raw.run.seed.wrapping_add(round * stride));
        Ok(own.iter().map(later).collect())
    }

    /// What the policy had seen of `span` when it was made: training, validation, or nothing.
    #[must_use]
    pub fn seen(&self, span: Span) -> &'static str {
        let meets = |other: Span| span.from < other.until && other.from < span.until;
        match (meets(self.fold.train), meets(self.fold.validation)) {
            (true, _) => "training",
            (false, true) => "validation",
            (false, false) => "",
        }
    }

    /// Reads the artefact of `run` with its policy and hash.
    ///
    /// # Errors
    /// When it is missing, damaged, of another schema, or its parts do not fit each other.
    pub fn load(run: &RunFolder) -> Result<(Self, TrainedPolicy, String), LabError> {
        Self::load_from(&run.artefact())
    }

    /// Reads the artefact in `folder`, as [`Artefact::load`] does.
    ///
    /// # Errors
    /// As there.
    pub fn load_from(folder: &std::path::Path) -> Result<(Self, TrainedPolicy, String), LabError> {
        let loaded = artefact::load::<Self>(folder)?;
        let content = loaded.content;
        let mismatch = |field, artefact: usize, here: usize| LabError::Mismatch {
            field,
            artefact: artefact.to_string(),
            here: here.to_string(),
        };
        let (columns, width) = (content.observation.width(), content.policy.observation());
        if columns != width {
            return Err(mismatch("number of observation columns", columns, width));
        }
        let normalised = content.normaliser.names.len() * content.decision.window.max(1);
        let names = normalised + cambist_decide::ACCOUNT_COLUMNS.len() + content.reward_columns.len();
        if names != width {
            return Err(mismatch("number of normalised columns", names, width));
        }
        let policy = weights::load(&content.policy, &loaded.weights)?;
        Ok((content, policy, loaded.hash))
    }
}
