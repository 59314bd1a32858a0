//! Break-even cost: what trading might cost before nothing is left.

use crate::track::Track;

/// One-way cost in basis points at which the profit would be gone, trades unchanged: (profit + costs) over value traded.
/// NaN when nothing was traded.
#[must_use]
pub fn break_even_bp(track: &Track) -> f64 {
    let (Some(start), Some(end)) = (track.equity.first(), track.equity.last()) else { return f64::NAN };
    let (costs, traded) =
        (track.costs.last().copied().unwrap_or(0.0), track.traded.last().copied().unwrap_or(0.0));
    if traded > 0.0 { (end - start + costs) / traded * 1e4 } else { f64::NAN }
}
