//! Alpha and beta against holding.

use super::moments::mean;

/// Slope and annualised intercept of the returns on the benchmark's, by least squares.
#[must_use]
pub fn alpha_beta(returns: &[f64], benchmark: &[f64], bars_per_year: f64) -> (f64, f64) {
    let (a, b) = (mean(returns), mean(benchmark));
    let covariance: f64 = returns.iter().zip(benchmark).map(|(x, y)| (x - a) * (y - b)).sum();
    let variance: f64 = benchmark.iter().map(|y| (y - b) * (y - b)).sum();
    let beta = if variance > 0.0 { covariance / variance } else { f64::NAN };
    ((a - beta * b) * bars_per_year, beta)
}
