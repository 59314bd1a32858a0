//! Share of bars with a position that earned.

/// Returns above zero over returns other than zero; NaN when nothing moved.
#[must_use]
pub fn hit_rate(returns: &[f64]) -> f64 {
    let won = returns.iter().filter(|&&r| r > 0.0).count() as f64;
    let moved = returns.iter().filter(|&&r| r != 0.0).count() as f64;
    if moved > 0.0 { won / moved } else { f64::NAN }
}
