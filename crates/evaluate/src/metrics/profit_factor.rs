//! Profit factor: what was won over what was lost.

/// NaN when nothing was lost.
#[must_use]
pub fn profit_factor(returns: &[f64]) -> f64 {
    let won: f64 = returns.iter().filter(|&&r| r > 0.0).sum();
    let lost: f64 = returns.iter().filter(|&&r| r < 0.0).sum();
    if lost < 0.0 { won / -lost } else { f64::NAN }
}
