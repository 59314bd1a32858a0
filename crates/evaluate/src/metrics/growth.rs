//! Total return and compound annual growth.

/// `end / start − 1`.
#[must_use]
pub fn total_return(equity: &[f64]) -> f64 {
    match (equity.first(), equity.last()) {
        (Some(start), Some(end)) => end / start - 1.0,
        _ => f64::NAN,
    }
}

/// `(end / start)^{1/years} − 1`; −1 when nothing is left.
#[must_use]
pub fn cagr(equity: &[f64], years: f64) -> f64 {
    let growth = 1.0 + total_return(equity);
    if growth <= 0.0 { -1.0 } else { libm::pow(growth, 1.0 / years) - 1.0 }
}
