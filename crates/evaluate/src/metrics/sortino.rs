//! Sortino ratio (Sortino & Price 1994): mean over the root mean square of returns below zero, annualised.

use super::moments::mean;

/// NaN when no return is below zero.
#[must_use]
pub fn annual(returns: &[f64], bars_per_year: f64) -> f64 {
    let square = returns.iter().map(|r| r.min(0.0).powi(2)).sum::<f64>() / returns.len() as f64;
    if square > 0.0 { mean(returns) / square.sqrt() * bars_per_year.sqrt() } else { f64::NAN }
}
