//! The learned policy over the optimal one, as a chart.

use std::io::Write;
use std::path::Path;

use cambist_analytic::{MarketKind, SignalMarket};
use cambist_evaluate::chart::{ChartError, Curve, curves};
use cambist_store::{FileError, write_atomic};

use super::Row;

const POINTS: i32 = 400;
/// Signals shown, in deviations.
const REACH: f64 = 3.0;

/// What a picture shows.
pub(super) struct Shown<'a> {
    pub(super) title: &'a str,
    /// Deviation of the signal.
    pub(super) deviation: f64,
    /// Positions held.
    pub(super) held: [f64; 3],
}

impl Shown<'_> {
    pub(super) fn of(title: &str, market: SignalMarket) -> Shown<'_> {
        let scale = match market.kind {
            MarketKind::Proportional { cap, .. } => cap,
            _ => market.position_scale(),
        };
        Shown { title, deviation: market.signal.variance().sqrt(), held: [-scale, 0.0, scale] }
    }
}

/// New position over signal, from three positions held: the optimum dashed, the agent solid. `learned` and `optimal` take
/// signal and position held.
///
/// # Errors
/// When it cannot be drawn.
pub(super) fn policy(
    shown: &Shown<'_>,
    learned: &mut dyn FnMut(f64, f64) -> f64,
    optimal: &dyn Fn(f64, f64) -> f64,
) -> Result<String, ChartError> {
    let signals: Vec<f64> =
        (-POINTS..=POINTS).map(|i| REACH * shown.deviation * f64::from(i) / f64::from(POINTS)).collect();
    let mut all = Vec::new();
    for (colour, held) in shown.held.into_iter().enumerate() {
        let learned = signals.iter().map(|&p| (p, learned(p, held))).collect();
        let optimal = signals.iter().map(|&p| (p, optimal(p, held))).collect();
        all.push(Curve { name: format!("learned, from {held:.2}"), points: learned, colour, dashed: false });
        all.push(Curve { name: format!("optimal, from {held:.2}"), points: optimal, colour, dashed: true });
    }
    curves(shown.title, "signal", "new position", &all)
}

/// Writes the rows' pictures as `learned_NAME.svg` into `folder`, and returns their names.
///
/// # Errors
/// When a file cannot be written.
pub fn write_pictures(folder: &Path, rows: &[Row]) -> Result<Vec<String>, FileError> {
    let mut written = Vec::new();
    for row in rows {
        let Some(picture) = &row.picture else { continue };
        let path = folder.join(format!("learned_{}.svg", row.market.to_lowercase()));
        write_atomic(&path, |file| file.write_all(picture.as_bytes()))?;
        written.push(path.display().to_string());
    }
    Ok(written)
}
