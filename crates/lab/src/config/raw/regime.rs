//! The section `[regime]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which model of regimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegimeName {
    /// None.
    None,
    /// Volatility and trend by rules, on daily or longer bars.
    Rules,
    /// A hidden Markov model of log returns.
    Hmm,
    /// Bayesian online change points of log returns.
    Changes,
}

/// Which market is this.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRegime {
    /// `none`; `rules` for volatility and trend, on daily or longer bars; `hmm` for a hidden Markov model of log returns;
    /// `changes` for Bayesian online change points.
    pub kind: RegimeName,
    /// Whether the states' probabilities are columns of the observation.
    pub observe: bool,
    /// Bars the model looks at; empty for the agent's.
    pub timeframe: String,
    /// States of the hidden Markov model, 2 to 6.
    pub n_states: usize,
    /// Starts of its fit.
    pub n_restarts: usize,
    /// Seed of these starts: runs under other seeds see the same regimes.
    pub seed: u64,
    /// Bars of the rules' moments.
    #[schemars(extend("unit" = "bars"))]
    pub n_bars: usize,
    /// t-statistic of the mean return from which the rules see a trend.
    pub trend_t: f64,
    /// Share of a threshold at which what holds ends.
    pub hysteresis: f64,
    /// Mean distance of change points.
    #[schemars(extend("unit" = "bars"))]
    pub mean_run: f64,
    /// Bars within which a change is recent.
    #[schemars(extend("unit" = "bars"))]
    pub recent: usize,
    /// Probability from which another state is believed.
    pub enter: f64,
    /// Bars in a row it must be.
    #[schemars(extend("unit" = "bars"))]
    pub dwell: u32,
}

impl Default for RawRegime {
    fn default() -> Self {
        Self {
            kind: RegimeName::None,
            observe: true,
            timeframe: String::new(),
            n_states: 2,
            n_restarts: 5,
            seed: 0,
            n_bars: 20,
            trend_t: 1.0,
            hysteresis: 0.7,
            mean_run: 200.0,
            recent: 10,
            enter: 0.6,
            dwell: 3,
        }
    }
}
