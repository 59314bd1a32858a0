//! What is put to work: an artefact as the live loop needs it, with nothing of how it was trained.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cambist_core::policy::ActionMode;
use cambist_core::{InstrumentId, ObservationSpec, Timeframe, VolumeKind};
use cambist_decide::{ACCOUNT_COLUMNS, DecisionPath, DecisionRules, GateLimits, TicketRules};
use cambist_execution::{Books, BrokerRules, ExecutionRules, FeedRules, Listing};
use cambist_features::{FeatureError, Normaliser};
use cambist_policy::{PolicySpec, TrainedPolicy, WeightsError, weights};
use cambist_regime::RegimeModel;
use cambist_runs::artefact;
use serde::{Deserialize, Serialize};

use crate::results::Band;

/// Terms of trading that decisions rest on, beside the broker's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// From targets to tickets.
    pub tickets: TicketRules,
    /// Limits of the gate.
    pub gate: GateLimits,
    /// How bars become events.
    pub feed: FeedRules,
    /// Bars of the mean true range.
    pub atr_bars: usize,
    /// What the bars' volume counts.
    pub volume_kind: VolumeKind,
    /// Money the accounts of training began with, in the deposit currency.
    pub initial_cash: f64,
    /// An account whose equity falls to this share of its start is over.
    pub ruin_fraction: f64,
    /// Currency of the account.
    pub deposit_currency: String,
}

/// What an artefact says to whoever trades by it.
#[derive(Debug, Clone, Deserialize)]
struct Content {
    instrument: InstrumentId,
    timeframe: Timeframe,
    observation: ObservationSpec,
    features: Vec<String>,
    normaliser: Normaliser,
    policy: PolicySpec,
    action_mode: ActionMode,
    decision: DecisionRules,
    execution: ExecutionRules,
    reward_columns: Vec<String>,
    regime: Option<RegimeModel>,
    revision: String,
    deterministic: bool,
    #[serde(default)]
    terms: Option<Terms>,
    #[serde(default)]
    reference: Option<Vec<Vec<f32>>>,
    #[serde(default)]
    band: Option<Band>,
}

/// Why an artefact cannot trade.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// It cannot be read.
    #[error(transparent)]
    Artefact(#[from] cambist_runs::RunError),
    /// Its weights cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A feature cannot be made.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// It lacks something.
    #[error("{}: {what}; {advice}", folder.display())]
    Unfit {
        /// The artefact.
        folder: PathBuf,
        /// What is missing or does not fit.
        what: String,
        /// What to do.
        advice: &'static str,
    },
}

/// A policy that can trade, and everything its decisions rest on.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Hash of the artefact.
    pub hash: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// What it was trained on.
    pub instrument: InstrumentId,
    /// The bars it decides on.
    pub timeframe: Timeframe,
    /// Features, as written.
    pub features: Vec<String>,
    /// Names of an observation's columns.
    pub observation: ObservationSpec,
    /// Fitted on the training window.
    pub normaliser: Arc<Normaliser>,
    /// From action to order.
    pub decision: DecisionRules,
    /// The broker it was trained at; one listing.
    pub rules: Arc<BrokerRules>,
    /// Beside the broker's.
    pub terms: Terms,
    /// The policy.
    pub policy: TrainedPolicy,
    /// Greedy or sampled.
    pub action_mode: ActionMode,
    /// Which market is this.
    pub regime: Option<RegimeModel>,
    /// Revision of the code that wrote it.
    pub revision: String,
    /// Whether the same input gives the same bits.
    pub deterministic: bool,
    /// Quantiles of every feature column in the training window, evenly spaced; empty when the artefact has none.
    pub reference: Vec<Vec<f32>>,
    /// Where results lie, if they go on as in the test window.
    pub band: Option<Band>,
}

impl Deployment {
    /// Reads the artefact in `folder`, or that of the run in `folder`.
    ///
    /// # Errors
    /// When it is missing, damaged, or cannot trade.
    pub fn load(folder: &Path) -> Result<Self, DeploymentError> {
        let inner = folder.join("artefact");
        let folder = if inner.is_dir() { inner } else { folder.to_owned() };
        let loaded = artefact::load::<Content>(&folder)?;
        let content = loaded.content;
        let unfit = |what: &str, advice| {
            Err(DeploymentError::Unfit { folder: folder.clone(), what: what.to_owned(), advice })
        };
        let ExecutionRules::Broker(rules) = content.execution else {
            return unfit(
                "it was trained under [execution], costs in proportion, and knows no lots",
                "train it with a [broker]",
            );
        };
        let Some(terms) = content.terms else {
            return unfit("it says nothing of lots, stops and limits", "train it anew with this version");
        };
        if !content.reward_columns.is_empty() {
            return unfit(
                "its observation shows what its reward remembers, which no broker tells",
                "train it with the reward of log equity",
            );
        }
        let policy = weights::load(&content.policy, &loaded.weights)?;
        let n_columns =
            content.normaliser.names.len() * content.decision.window.max(1) + ACCOUNT_COLUMNS.len();
        let widths = [content.observation.width(), content.policy.observation(), n_columns];
        if widths.iter().any(|width| *width != n_columns) || rules.listings.len() != 1 {
            let what = format!(
                "its parts do not fit each other: {widths:?} columns, {} listings",
                rules.listings.len()
            );
            return unfit(&what, "it is damaged; train it anew");
        }
        Ok(Self {
            hash: loaded.hash,
            instrument: content.instrument,
            timeframe: content.timeframe,
            features: content.features,
            observation: content.observation,
            normaliser: Arc::new(content.normaliser),
            decision: content.decision,
            rules: Arc::new(rules),
            terms,
            policy,
            action_mode: content.action_mode,
            regime: content.regime,
            revision: content.revision,
            deterministic: content.deterministic,
            reference: content.reference.unwrap_or_default(),
            band: content.band,
            folder,
        })
    }

    /// Terms of the one instrument.
    #[must_use]
    pub fn listing(&self) -> &Listing {
        &self.rules.listings[0]
    }

    /// Whether its account holds positions side by side.
    #[must_use]
    pub fn is_hedging(&self) -> bool {
        self.rules.account.books == Books::Hedging
    }

    /// From features and account to orders.
    #[must_use]
    pub fn path(&self) -> DecisionPath {
        DecisionPath::new(self.decision, Arc::clone(&self.normaliser))
    }

    /// Bars before a decision that can change it: what warms everything up.
    ///
    /// # Errors
    /// When a feature cannot be read.
    pub fn look_back(&self) -> Result<usize, FeatureError> {
        let features = cambist_features::look_back(&self.features, self.timeframe)? + self.decision.window;
        let regime = self.regime.as_ref().map_or(0, |model| model.look_back(self.timeframe));
        let own = (self.terms.feed.volatility_bars + 2).max(self.terms.atr_bars + 1);
        Ok(features.max(regime).max(own))
    }
}
