//! Parts of history over several runs of one method: what holds for one seed is no finding.

use std::path::Path;

use cambist_evaluate::metrics::seeds::{SeedEstimate, over_seeds};
use cambist_evaluate::windows::Span;
use serde::{Deserialize, Serialize};

use crate::breakdown::{Judged, Part};
use crate::error::LabError;
use crate::evaluate::same;

/// A number over runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// One value a run.
    pub values: Vec<f64>,
    /// Interquartile mean, with its interval.
    pub estimate: SeedEstimate,
}

/// One part of history over runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartSpread {
    /// Its name.
    pub name: String,
    /// Its bars, and growth of holding over them, in the first run.
    pub bars: usize,
    /// See `bars`.
    pub hold: f64,
    /// What policies had seen of it: training, validation, or nothing.
    pub seen: &'static str,
    /// Growth of the policies' accounts.
    pub earned: Spread,
    /// Annual Sharpe ratios.
    pub sharpe: Spread,
    /// Mean exposures, signed.
    pub exposure: Spread,
    /// Alphas against holding, a year.
    pub alpha: Spread,
}

/// Resamples of the bootstrap.
const N_SAMPLES: usize = 10_000;

/// `parts` of several runs, each part over all runs that have it, in the first run's order.
#[must_use]
pub fn over_runs(parts: &[Vec<Part>]) -> Vec<PartSpread> {
    let mut names: Vec<&str> = Vec::new();
    for part in parts.iter().flatten() {
        if !names.contains(&part.name.as_str()) {
            names.push(&part.name);
        }
    }
    let spread = |own: &[&Part], pick: fn(&Part) -> f64| {
        let values: Vec<f64> = own.iter().map(|part| pick(part)).collect();
        // A policy that did nothing there has no ratio: none for its risk.
        let known = values.iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
        Spread { values, estimate: over_seeds(&[known], N_SAMPLES, 1) }
    };
    names
        .into_iter()
        .filter_map(|name| {
            let own: Vec<&Part> = parts.iter().flatten().filter(|part| part.name == name).collect();
            let first = own.first()?;
            Some(PartSpread {
                name: name.to_owned(),
                bars: first.bars,
                hold: first.hold,
                seen: first.seen,
                earned: spread(&own, |p| p.earned),
                sharpe: spread(&own, |p| p.sharpe),
                exposure: spread(&own, |p| p.exposure),
                alpha: spread(&own, |p| p.alpha),
            })
        })
        .collect()
}

/// Refuses runs that were not judged on the same bars; returns their test window.
///
/// # Errors
/// When there are none, or two differ.
pub fn one_test(runs: &[Judged]) -> Result<Span, LabError> {
    let first = runs.first().ok_or_else(|| LabError::UnknownWindow("test".to_owned()))?;
    for other in runs {
        same("data fingerprint", first.fingerprint(), other.fingerprint())?;
        same("test window", &first.test().to_string(), &other.test().to_string())?;
    }
    Ok(first.test())
}

#[derive(Deserialize)]
struct SeedsFile {
    runs: Vec<String>,
}

/// The runs that `wanted` names: those of the summary that `cambist train --seeds` wrote, or `wanted` itself.
///
/// # Errors
/// When the summary cannot be read.
pub fn named(wanted: &str) -> Result<Vec<String>, LabError> {
    if !wanted.ends_with("-seeds.json") {
        return Ok(vec![wanted.to_owned()]);
    }
    let path = Path::new(wanted);
    let text = std::fs::read_to_string(path).map_err(cambist_store::FileError::on("read", path))?;
    let file: SeedsFile = serde_json::from_str(&text).map_err(|e| LabError::Series {
        path: path.to_owned(),
        line: e.line(),
        reason: e.to_string(),
    })?;
    Ok(file.runs)
}
