//! Sharpe ratio (Sharpe 1994) against a rate of zero.

use super::moments::{deviation, mean};

/// Mean over deviation, per bar; NaN when returns do not vary.
#[must_use]
pub fn per_bar(returns: &[f64]) -> f64 {
    let deviation = deviation(returns);
    if deviation > 0.0 { mean(returns) / deviation } else { f64::NAN }
}

/// Annualised.
#[must_use]
pub fn annual(returns: &[f64], bars_per_year: f64) -> f64 {
    per_bar(returns) * bars_per_year.sqrt()
}

/// Standard deviation of returns, a year.
#[must_use]
pub fn annual_volatility(returns: &[f64], bars_per_year: f64) -> f64 {
    deviation(returns) * bars_per_year.sqrt()
}
