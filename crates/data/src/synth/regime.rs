//! A market that switches between six regimes, calibrated to hourly BTC of 2017 to 2024.
//!
//! Drift, standard deviation and the daily transition matrix are what `scripts/calibrate_regimes.py` prints for trend
//! (bull, bear, range) × volatility (calm, wild); the chain moves in continuous time at the daily matrix's rates.
//! The trend is persistent and weak against the noise, as it is in the original: a follower of trends can earn after
//! costs, but not much, and not always.

use cambist_core::rng::Stream;
use cambist_core::time::{SECONDS_PER_DAY, SECONDS_PER_YEAR};

use super::Law;

/// One regime.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regime {
    /// What it is called.
    pub name: &'static str,
    /// Mean log return an hour.
    pub drift: f64,
    /// Standard deviation of the log return, an hour.
    pub deviation: f64,
}

/// The regimes; the truth column `regime` holds indices into this table.
pub const REGIMES: [Regime; 6] = [
    Regime { name: "bull calm", drift: 0.000302, deviation: 0.00520 },
    Regime { name: "bull wild", drift: 0.000724, deviation: 0.01042 },
    Regime { name: "bear calm", drift: -0.000044, deviation: 0.00527 },
    Regime { name: "bear wild", drift: -0.000767, deviation: 0.01426 },
    Regime { name: "range calm", drift: 0.000054, deviation: 0.00403 },
    Regime { name: "range wild", drift: -0.000060, deviation: 0.00853 },
];

/// Probabilities of tomorrow's regime given today's (rows), by day.
const DAILY: [[f64; 6]; 6] = [
    [0.575, 0.295, 0.000, 0.000, 0.075, 0.055],
    [0.348, 0.547, 0.000, 0.000, 0.044, 0.061],
    [0.000, 0.000, 0.529, 0.317, 0.112, 0.042],
    [0.000, 0.003, 0.215, 0.653, 0.046, 0.083],
    [0.044, 0.028, 0.039, 0.022, 0.534, 0.333],
    [0.029, 0.033, 0.024, 0.033, 0.395, 0.486],
];

/// The market's state: the regime it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegimeSwitching {
    regime: usize,
}

impl RegimeSwitching {
    /// Starts in a regime drawn evenly.
    #[must_use]
    pub fn started(stream: &mut Stream) -> Self {
        Self { regime: stream.index(REGIMES.len()) }
    }
}

impl Law for RegimeSwitching {
    fn state_names(&self) -> Vec<String> {
        vec!["regime".into()]
    }

    fn state(&self) -> Vec<f64> {
        vec![self.regime as f64]
    }

    fn advance(&mut self, log_price: f64, years: f64, stream: &mut Stream) -> f64 {
        let days = years * SECONDS_PER_YEAR / SECONDS_PER_DAY as f64;
        let mut draw = stream.uniform();
        let from = self.regime;
        for (to, probability) in DAILY[from].iter().enumerate().filter(|(to, _)| *to != from) {
            draw -= probability * days;
            if draw < 0.0 {
                self.regime = to;
                break;
            }
        }
        let hours = days * 24.0;
        let Regime { drift, deviation, .. } = REGIMES[self.regime];
        log_price + drift * hours + deviation * hours.sqrt() * stream.normal()
    }
}
