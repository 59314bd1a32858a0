//! Deflated Sharpe ratio (Bailey & López de Prado 2014, "The deflated Sharpe ratio").

use super::probabilistic_sharpe::{SharpeEstimate, normal_quantile};

const EULER_GAMMA: f64 = 0.577_215_664_9;

/// The Sharpe ratio that the best of `n_trials` worthless strategies is expected to show:
/// `√V [(1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))]`, with V the variance of the trials' ratios (per bar). Zero for one
/// trial.
#[must_use]
pub fn expected_best(variance: f64, n_trials: f64) -> f64 {
    if n_trials <= 1.0 {
        return 0.0;
    }
    let usual = normal_quantile(1.0 - 1.0 / n_trials);
    let far = normal_quantile(1.0 - 1.0 / (n_trials * std::f64::consts::E));
    variance.sqrt() * ((1.0 - EULER_GAMMA) * usual + EULER_GAMMA * far)
}

/// Probability that the true ratio is above what luck would show among `n_trials`.
#[must_use]
pub fn deflated_sharpe(estimate: &SharpeEstimate, variance: f64, n_trials: f64) -> f64 {
    estimate.probability_above(expected_best(variance, n_trials))
}
