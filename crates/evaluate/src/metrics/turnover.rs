//! How much was traded and held.

use crate::track::Track;

/// Value traded over mean equity, a year: 2 is one full position in and out.
#[must_use]
pub fn annual_turnover(track: &Track) -> f64 {
    let mean = super::moments::mean(&track.equity);
    track.traded.last().copied().unwrap_or(0.0) / mean / track.years()
}

/// Mean |exposure|.
#[must_use]
pub fn mean_exposure(track: &Track) -> f64 {
    track.exposure.iter().map(|e| e.abs()).sum::<f64>() / track.exposure.len() as f64
}
