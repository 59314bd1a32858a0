//! The section `[reward]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is rewarded.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawReward {
    /// Components: `log_equity`, `differential_sharpe`, `differential_downside`, `drawdown`, `calmar`, `cost`, `turnover`,
    /// `holding`, `time_weighted`.
    pub components: Vec<String>,
    /// Weights of the components.
    pub weights: Vec<f64>,
    /// Weights of the components by name of a regime (of `[regime]`), blended by the regimes' probabilities; empty for the
    /// same in all.
    pub by_regime: BTreeMap<String, Vec<f64>>,
    /// Bars of running moments, and of the shortest horizon.
    #[schemars(extend("unit" = "bars"))]
    pub bars: f64,
    /// Deviation of a bar's log return at which running moments begin.
    pub volatility: f64,
    /// Paid once when the account is ruined; needed where `log_equity` has no weight, or ruin were a way out.
    pub ruin_penalty: f64,
    /// Deepest drawdown allowed, met by a multiplier that is learned alongside; 0 for no limit.
    pub drawdown_limit: f64,
    /// Share of the limit from which a deeper drawdown costs.
    pub drawdown_binds_at: f64,
    /// Share of the limit that is aimed at on validation.
    pub drawdown_aim: f64,
    /// Step of the multiplier after a validation, for each aim by which its drawdown is too deep.
    pub multiplier_rate: f64,
    /// Largest multiplier.
    pub multiplier_largest: f64,
}

impl Default for RawReward {
    fn default() -> Self {
        Self {
            components: vec!["log_equity".to_owned()],
            weights: vec![1.0],
            by_regime: BTreeMap::new(),
            bars: 100.0,
            volatility: 0.01,
            ruin_penalty: 0.0,
            drawdown_limit: 0.0,
            drawdown_binds_at: 0.2,
            drawdown_aim: 0.8,
            multiplier_rate: 0.1,
            multiplier_largest: 10.0,
        }
    }
}
