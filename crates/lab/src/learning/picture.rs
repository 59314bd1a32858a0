//! The learned policy over the optimal one, as a chart.

use std::io::Write;
use std::path::Path;

use cambist_analytic::{MarketKind, SignalMarket};
use cambist_evaluate::chart::{ChartError, Curve, curves};
use cambist_policy::ActorCritic;
use cambist_store::{FileError, write_atomic};

use super::Row;
use super::judge::{Best, Positions};

const POINTS: i32 = 400;
/// Signals shown, in deviations.
const REACH: f64 = 3.0;

/// New position over signal, from three positions held: the optimum dashed, the agent solid.
///
/// # Errors
/// When it cannot be drawn.
pub(super) fn policy(
    title: &str,
    market: SignalMarket,
    best: &Best,
    agent: &ActorCritic,
) -> Result<String, ChartError> {
    let scale = market.position_scale();
    let held = match market.kind {
        MarketKind::Proportional { cap, .. } => [-cap, 0.0, cap],
        _ => [-scale, 0.0, scale],
    };
    let deviation = market.signal.variance().sqrt();
    let signals: Vec<f64> =
        (-POINTS..=POINTS).map(|i| REACH * deviation * f64::from(i) / f64::from(POINTS)).collect();
    let mut positions = Positions::of(market, agent);
    let mut all = Vec::new();
    for (colour, held) in held.into_iter().enumerate() {
        let learned = signals.iter().map(|&p| (p, positions.at(p, held))).collect();
        let optimal = signals.iter().map(|&p| (p, best.act(p, held))).collect();
        all.push(Curve { name: format!("learned, from {held:.2}"), points: learned, colour, dashed: false });
        all.push(Curve { name: format!("optimal, from {held:.2}"), points: optimal, colour, dashed: true });
    }
    curves(title, "signal", "new position", &all)
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
