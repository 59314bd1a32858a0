//! The sections `[population]` and `[ensemble]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Members that are trained side by side, and act together.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPopulation {
    /// Members; they train under `run.seed`, `run.seed` + 1 and so on, each as a run of its own would. More than one act as an ensemble.
    pub size: usize,
    /// Updates between exchanges, in which the worst members by validation copy the best and change their settings
    /// (population-based training); 0 for none. A multiple of `ppo.validate_every`.
    #[schemars(extend("unit" = "updates"))]
    pub exchange_every: u64,
    /// Share of the members that copy, and of those that are copied.
    pub exchange_share: f64,
    /// Settings of those that copied are multiplied by this, or by its inverse.
    pub exchange_factor: f64,
    /// At the start settings lie between the config's over this and the config's times this.
    pub initial_spread: f64,
    /// Settings that are explored, of `learning_rate`, `entropy_coefficient`, `clip_range` and `value_coefficient`.
    pub explore: Vec<GeneName>,
}

impl Default for RawPopulation {
    fn default() -> Self {
        Self {
            size: 1,
            exchange_every: 0,
            exchange_share: 0.25,
            exchange_factor: 1.2,
            initial_spread: 3.0,
            explore: vec![GeneName::LearningRate, GeneName::EntropyCoefficient],
        }
    }
}

/// A setting that is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GeneName {
    /// `ppo.learning_rate`.
    LearningRate,
    /// `ppo.entropy_coefficient`.
    EntropyCoefficient,
    /// `ppo.clip_range`.
    ClipRange,
    /// `ppo.value_coefficient`.
    ValueCoefficient,
}

/// How members of an ensemble become one policy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEnsemble {
    /// `mean` of the members' positions; `majority`, what most of them want; `weighted` by their Sharpe ratios on validation.
    pub combination: CombinationName,
    /// Whether weights are of the market's regime, as far as it can tell members apart; needs `[regime]`.
    pub by_regime: bool,
    /// Share of the way by which members' ratios are drawn towards their mean at least, before they become weights; how far their
    /// errors demand is found from the data (DerSimonian & Laird 1986). 1 for equal weights.
    pub shrinkage: f64,
    /// What disagreement takes away: the position is scaled by 1 less this times the standard deviation of the members' positions.
    pub disagreement: f64,
}

impl Default for RawEnsemble {
    fn default() -> Self {
        Self { combination: CombinationName::Mean, by_regime: false, shrinkage: 0.0, disagreement: 1.0 }
    }
}

/// How members' positions become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CombinationName {
    /// What most members want.
    Majority,
    /// The mean.
    Mean,
    /// By Sharpe ratios on validation.
    Weighted,
}
