//! Volatility × trend by rules, on daily or slower bars, where a trend can be told at all.
//!
//! Wild: the deviation of the last `n` log returns is above its median in the training window. Trend: the t-statistic of
//! their mean, `mean / (deviation / √n)`, is above `trend_t` (bull) or below −`trend_t` (bear); else range. Both have
//! hysteresis: what holds ends at a share of what began it.

use cambist_core::indicator::Indicator;
use cambist_core::{Bar, MarketTape};
use serde::{Deserialize, Serialize};

/// Names of the states, in order.
pub const NAMES: [&str; 6] = ["bear calm", "bear wild", "range calm", "range wild", "bull calm", "bull wild"];

/// The rules, with what was fitted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrendRules {
    /// Bars of the rule's own timeframe.
    pub n_bars: usize,
    /// t-statistic from which there is a trend.
    pub trend_t: f64,
    /// Share of a threshold at which what holds ends.
    pub hysteresis: f64,
    /// Deviation of a log return above which the market is wild: the training window's median.
    pub wild: f64,
}

impl TrendRules {
    /// Fits the volatility threshold to `tape`, bars of the rule's own timeframe; none when it is too short.
    #[must_use]
    pub fn fit(tape: &MarketTape, n_bars: usize, trend_t: f64, hysteresis: f64) -> Option<Self> {
        let mut rules = Self { n_bars, trend_t, hysteresis, wild: 0.0 };
        let mut running = rules.running();
        let mut deviations: Vec<f64> =
            tape.bars().filter_map(|bar| running.moments(&bar)).map(|(_, deviation)| deviation).collect();
        deviations.sort_by(f64::total_cmp);
        rules.wild = *deviations.get(deviations.len() / 2)?;
        Some(rules)
    }

    /// A running rule that has seen nothing.
    #[must_use]
    pub fn running(&self) -> RunningRules {
        RunningRules { rules: *self, close: None, returns: Vec::new(), trend: 0, wild: false }
    }
}

/// Rules at work. Its raw values are the states' probabilities: one of them is 1.
#[derive(Debug, Clone)]
pub struct RunningRules {
    rules: TrendRules,
    close: Option<f64>,
    returns: Vec<f64>,
    trend: i8,
    wild: bool,
}

impl RunningRules {
    /// Mean and deviation of the last returns, once there are enough.
    fn moments(&mut self, bar: &Bar) -> Option<(f64, f64)> {
        if let Some(close) = self.close.replace(bar.close) {
            if self.returns.len() == self.rules.n_bars {
                self.returns.remove(0);
            }
            self.returns.push(libm::log(bar.close / close));
        }
        let n = self.rules.n_bars as f64;
        (self.returns.len() == self.rules.n_bars).then(|| {
            let mean = self.returns.iter().sum::<f64>() / n;
            let square: f64 = self.returns.iter().map(|r| (r - mean) * (r - mean)).sum();
            (mean, (square / (n - 1.0).max(1.0)).sqrt())
        })
    }
}

impl Indicator for RunningRules {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let Some((mean, deviation)) = self.moments(bar) else { return false };
        let TrendRules { n_bars, trend_t, hysteresis, wild, .. } = self.rules;
        let t = if deviation > 0.0 { mean / deviation * (n_bars as f64).sqrt() } else { 0.0 };
        let limit = |trend: i8| if self.trend == trend { trend_t * hysteresis } else { trend_t };
        self.trend = if t >= limit(1) {
            1
        } else if t <= -limit(-1) {
            -1
        } else {
            0
        };
        self.wild = deviation > if self.wild { wild * hysteresis } else { wild };
        out[..NAMES.len()].fill(0.0);
        out[2 * (self.trend + 1) as usize + usize::from(self.wild)] = 1.0;
        true
    }
}
