//! The config as users write it. Doc comments are what `cambist config explain` prints; `unit` is printed beside.
//!
//! What costs money has no default: it must be written out.

mod broker;
mod learning;
mod population;
mod regime;
mod reward;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use broker::{
    BooksName, FillsBy, LevelsName, RawBroker, SavingName, ShortfallName, SizingName, SpreadName, SwapName,
};
pub use learning::{
    Activation, DeviceName, LearnerName, OnNotFinite, PrecisionName, RawNetwork, RawPpo, Schedule, Trunk,
};
pub use population::{CombinationName, GeneName, RawEnsemble, RawPopulation};
pub use regime::{RawRegime, RegimeName};
pub use reward::RawReward;

/// A whole experiment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The run itself.
    #[serde(default)]
    pub run: RawRun,
    /// Which bars.
    pub data: RawData,
    /// What the agent sees of them.
    #[serde(default)]
    pub features: RawFeatures,
    /// Which market is this: fitted on the training window.
    #[serde(default)]
    pub regime: RawRegime,
    /// What is learned from, chosen by, judged on, and sealed.
    pub windows: RawWindows,
    /// Folds that walk forward instead of one test window.
    #[serde(default)]
    pub walk_forward: RawWalkForward,
    /// Groups of `cambist cross-validate`.
    #[serde(default)]
    pub cross_validation: RawCrossValidation,
    /// What trading costs and what the account may do, in the short form: one market order a bar, costs in proportion.
    /// Nothing here has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RawExecution")]
    pub execution: Option<RawExecution>,
    /// The full model instead: a broker's instrument, terms, account and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RawBroker")]
    pub broker: Option<RawBroker>,
    /// From action to order.
    #[serde(default)]
    pub decision: RawDecision,
    /// Episodes of the training.
    #[serde(default)]
    pub episode: RawEpisode,
    /// What is rewarded.
    #[serde(default)]
    pub reward: RawReward,
    /// Actor and critic.
    #[serde(default)]
    pub network: RawNetwork,
    /// The learning algorithm.
    #[serde(default)]
    pub ppo: RawPpo,
    /// Members that are trained side by side.
    #[serde(default)]
    pub population: RawPopulation,
    /// How they act as one.
    #[serde(default)]
    pub ensemble: RawEnsemble,
}

/// The run itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRun {
    /// Name of the run's folder, after the time.
    pub name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// The study this config was chosen in; written by `cambist sweep`, and counted by `cambist promote`: its trials are trials.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub study: String,
}

impl Default for RawRun {
    fn default() -> Self {
        Self { name: "run".into(), seed: 1, study: String::new() }
    }
}

/// Where bars come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The data folder.
    Store,
    /// A synthetic market, made anew from its seed.
    Synthetic,
}

/// Which synthetic market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Geometric Brownian motion without drift.
    Gbm,
    /// Mean-reverting log price.
    Ou,
    /// Stochastic variance with jumps.
    Heston,
    /// Regimes calibrated to hourly BTC.
    Regime,
}

/// Which bars.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawData {
    /// `store` for the data folder, `synthetic` for a made-up market.
    pub source: Source,
    /// What is traded.
    pub symbol: String,
    /// Where it is traded; empty when the data folder has one venue only.
    #[serde(default)]
    pub venue: String,
    /// The length of a bar that the agent lives through.
    pub timeframe: String,
    /// The length of the stored bars they are made from; empty for the same.
    #[serde(default)]
    pub stored_timeframe: String,
    /// Synthetic: which law.
    #[serde(default = "default_kind")]
    pub kind: Kind,
    /// Synthetic: number of bars.
    #[serde(default)]
    pub n_bars: usize,
    /// Synthetic: date of the first bar.
    #[serde(default)]
    pub start: String,
    /// Synthetic: seed of the market, apart from the run's.
    #[serde(default)]
    pub seed: u64,
}

fn default_kind() -> Kind {
    Kind::Regime
}

/// What the agent sees.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawFeatures {
    /// Features such as `rsi(14)` or `4h:sma(20)`; `cambist data features` lists them all.
    pub columns: Vec<String>,
    /// Bound of a normalised feature.
    #[schemars(extend("unit" = "standard deviations"))]
    pub clip: f64,
    /// Rows a decision sees: 1 for the bar that just closed, more for those before it too, oldest first.
    #[schemars(extend("unit" = "bars"))]
    pub window: usize,
}

impl Default for RawFeatures {
    fn default() -> Self {
        let columns = [
            "return(1)",
            "return(6)",
            "return(24)",
            "sma(24)",
            "sma(120)",
            "rsi(14)",
            "realised(24)",
            "hour",
        ];
        Self { columns: columns.map(str::to_owned).to_vec(), clip: 5.0, window: 1 }
    }
}

/// Windows by date, `YYYY-MM-DD`, each from the end of the one before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWindows {
    /// First day of training; empty for the first bar.
    #[serde(default)]
    pub train_from: String,
    /// Day after the last day of training.
    pub train_until: String,
    /// Day after the last day of validation, by which weights are chosen.
    pub validation_until: String,
    /// Day after the last day of the test; empty for the last bar.
    #[serde(default)]
    pub test_until: String,
    /// From this day on rows are sealed: no command sees them but `cambist unseal`, which is recorded for good.
    /// Empty for none.
    #[serde(default)]
    pub sealed_from: String,
    /// Bars left out between windows.
    #[serde(default)]
    #[schemars(extend("unit" = "bars"))]
    pub purge_bars: u32,
}

/// How `cambist cross-validate` cuts all bars before the end of the test window.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCrossValidation {
    /// Groups.
    pub n_groups: usize,
    /// Groups that are tested at a time; another is set aside to choose weights by.
    pub n_test_groups: usize,
    /// Bars after what is set aside that are not learned from, beside `windows.purge_bars`; as many as the features look back at least.
    #[schemars(extend("unit" = "bars"))]
    pub embargo_bars: u32,
}

impl Default for RawCrossValidation {
    fn default() -> Self {
        Self { n_groups: 6, n_test_groups: 2, embargo_bars: 0 }
    }
}

/// Folds that walk forward.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawWalkForward {
    /// Number of folds; 0 for none. Their tests follow one another and end where the test window ends.
    pub n_folds: usize,
    /// Length of a fold's test.
    #[schemars(extend("unit" = "days"))]
    pub test_days: u32,
    /// Length of a fold's validation.
    #[schemars(extend("unit" = "days"))]
    pub validation_days: u32,
    /// Length of a fold's training; 0 for everything before.
    #[schemars(extend("unit" = "days"))]
    pub train_days: u32,
    /// Least distance from the end of training to the validation after it.
    #[schemars(extend("unit" = "bars"))]
    pub embargo_bars: u32,
}

/// What trading costs. Every field must be written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExecution {
    /// Commission on the value traded, one way.
    #[schemars(extend("unit" = "bp"))]
    pub commission_bp: f64,
    /// Half of ask minus bid over the mid price, paid one way.
    #[schemars(extend("unit" = "bp"))]
    pub half_spread_bp: f64,
    /// Distance of the fill beyond the quote, one way.
    #[schemars(extend("unit" = "bp"))]
    pub slippage_bp: f64,
    /// Rate on the value of units sold short.
    #[schemars(extend("unit" = "a year"))]
    pub borrow_rate: f64,
    /// Whether buying may leave cash negative; if not, purchases are cut to what the cash pays.
    pub margin: bool,
    /// Equity at the start of an episode.
    #[schemars(extend("unit" = "money"))]
    pub initial_cash: f64,
    /// The account is liquidated when equity falls to this share of its start.
    pub ruin_fraction: f64,
    /// Largest value of a position over equity; orders beyond it are refused.
    pub max_exposure: f64,
}

/// Kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Full short, flat, full long.
    Discrete,
    /// Any target in [-1, 1].
    Continuous,
    /// A band of targets.
    Band,
}

/// How a trained policy acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// The most probable action.
    Greedy,
    /// A draw.
    Sampled,
}

/// From action to order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDecision {
    /// `discrete` for full short, flat, full long; `continuous` for any target in [-1, 1]; `band` for two
    /// edges between which the target held is held exactly, as proportional costs want it.
    pub action: Action,
    /// `greedy` or `sampled`: how the trained policy acts where it is judged; training always draws.
    pub act: Act,
    /// Targets nearer than this to the one held are not traded.
    pub dead_band: f64,
    /// Whether negative targets mean flat.
    pub long_only: bool,
    /// Value of a full position over equity.
    pub leverage: f64,
}

impl Default for RawDecision {
    fn default() -> Self {
        Self { action: Action::Discrete, act: Act::Greedy, dead_band: 0.0, long_only: false, leverage: 1.0 }
    }
}

/// Episodes of the training.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEpisode {
    /// Steps of an episode; 0 to run to the end of the window.
    #[schemars(extend("unit" = "bars"))]
    pub n_steps: usize,
    /// Whether episodes begin at random bars rather than at the first.
    pub random_start: bool,
    /// Factor of the reward, the log return of equity.
    pub reward_scale: f64,
}

impl Default for RawEpisode {
    fn default() -> Self {
        Self { n_steps: 500, random_start: true, reward_scale: 100.0 }
    }
}
