//! Calmar ratio (Young 1991): annual growth over the deepest drawdown.

/// NaN when there was no drawdown.
#[must_use]
pub fn calmar(cagr: f64, deepest_drawdown: f64) -> f64 {
    if deepest_drawdown > 0.0 { cagr / deepest_drawdown } else { f64::NAN }
}
