//! Historical value at risk and its conditional mean.

/// `(VaR, CVaR)` at `level` (0.05 for 95 %) as positive losses: the quantile of returns (linear between order statistics,
/// Hyndman & Fan 1996, type 7), and the mean of the returns at or below it.
#[must_use]
pub fn value_at_risk(returns: &[f64], level: f64) -> (f64, f64) {
    let mut sorted = returns.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let place = level * (sorted.len() - 1) as f64;
    let (low, share) = (place as usize, place.fract());
    let high = (low + 1).min(sorted.len() - 1);
    let quantile = sorted[low] + share * (sorted[high] - sorted[low]);
    let tail: Vec<f64> = sorted.into_iter().take_while(|&r| r <= quantile).collect();
    // Adding zero takes the sign from minus zero.
    (0.0 - quantile, 0.0 - super::moments::mean(&tail))
}
