//! Statistics of the best of many: how good it must look by luck alone, and whether what was chosen in one half holds in the other.
//!
//! Returns are per bar. The probabilistic and deflated Sharpe ratios and the minimum track record lie with the metrics
//! ([`crate::metrics::deflated_sharpe`], [`crate::metrics::probabilistic_sharpe`]).

mod clusters;
mod cscv;
pub mod folds;
mod superior;

pub use clusters::effective_trials;
pub use cscv::{Cscv, cscv};
pub use superior::{Superior, superior};

use crate::metrics::deflated_sharpe::expected_best;

/// Years of data that a best annual Sharpe ratio of `sharpe` needs before it is more than the best of `n_trials` worthless
/// strategies is expected to show: `(E[max_N] / SR)²` (Bailey, Borwein, López de Prado & Zhu 2014, "Pseudo-mathematics and
/// financial charlatanism", theorem 1).
#[must_use]
pub fn minimum_backtest_years(n_trials: f64, sharpe: f64) -> f64 {
    let best = expected_best(1.0, n_trials) / sharpe;
    best * best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper's worked values for a Sharpe ratio of 1.
    #[test]
    fn minimum_backtest_lengths_are_the_papers() {
        for (n, years) in [(5.0, 1.42), (10.0, 2.48), (45.0, 5.00), (100.0, 6.40)] {
            let found = minimum_backtest_years(n, 1.0);
            assert!((found - years).abs() < 0.006, "{n}: {found}");
        }
    }
}
