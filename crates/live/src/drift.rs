//! Whether the market still looks as it did in training: the population stability index and the Kolmogorov-Smirnov distance of every
//! feature over the last bars, against quantiles of the training window.
//!
//! PSI is `Σ (p − q) ln(p/q)` over the deciles of training; below 0.1 little has changed, above 0.25 a lot (Siddiqi, "Credit Risk
//! Scorecards", 2006). KS is the largest distance of the two distribution functions, here at training's quantiles.

use std::collections::VecDeque;

use serde::Serialize;

use crate::deployment::Deployment;

/// Bars that are compared, at most; and from how many on something is said.
pub(crate) const WINDOW: usize = 1440;
const FEWEST: usize = 480;
/// How often, in bars.
const EVERY: usize = 60;
/// A lot has changed: by the index; or at some value a quarter of what is seen has changed sides.
const PSI_LIMIT: f64 = 0.25;
const KS_LIMIT: f64 = 0.25;
/// Buckets of the index.
const BUCKETS: usize = 10;

/// The last observations' features, held against training's.
#[derive(Debug, Clone)]
pub struct Drift {
    names: Vec<String>,
    reference: Vec<Vec<f32>>,
    rows: VecDeque<Vec<f32>>,
    /// Place of the newest row's features in an observation.
    first: usize,
    pushed: usize,
    outside: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Report {
    /// Bars compared.
    pub n_bars: usize,
    /// Feature by feature.
    pub features: Vec<FeatureDrift>,
    /// The limit of the index.
    pub psi_limit: f64,
    /// The limit of the distance.
    pub ks_limit: f64,
}

/// How one feature compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureDrift {
    /// Its name.
    pub name: String,
    /// Population stability index.
    pub psi: f64,
    /// Kolmogorov-Smirnov distance.
    pub ks: f64,
}

impl Drift {
    /// Against the training of `deployment`.
    #[must_use]
    pub fn new(deployment: &Deployment) -> Self {
        let width = deployment.normaliser.names.len();
        Self {
            names: deployment.normaliser.names.clone(),
            reference: deployment.reference.clone(),
            rows: VecDeque::new(),
            first: width * (deployment.decision.window.max(1) - 1),
            pushed: 0,
            outside: false,
        }
    }

    /// Takes an observation.
    pub(crate) fn recall(&mut self, observation: &[f32]) {
        if self.rows.len() == WINDOW {
            self.rows.pop_front();
        }
        self.rows.push_back(observation.iter().skip(self.first).take(self.names.len()).copied().collect());
    }

    /// Takes an observation; says what has left the limits when something has that had not before.
    pub fn push(&mut self, observation: &[f32]) -> Option<String> {
        if self.reference.is_empty() {
            return None;
        }
        self.recall(observation);
        self.pushed += 1;
        if self.rows.len() < FEWEST || !self.pushed.is_multiple_of(EVERY) {
            return None;
        }
        let report = self.report();
        let left: Vec<String> = report
            .features
            .iter()
            .filter(|feature| feature.psi > PSI_LIMIT || feature.ks > KS_LIMIT)
            .map(|feature| format!("{} (PSI {:.2}, KS {:.2})", feature.name, feature.psi, feature.ks))
            .collect();
        let news = !left.is_empty() && !self.outside;
        self.outside = !left.is_empty();
        news.then(|| left.join(", "))
    }

    /// How every feature compares now.
    #[must_use]
    pub fn report(&self) -> Report {
        let compare = |(column, name): (usize, &String)| {
            let mut values: Vec<f32> = self.rows.iter().filter_map(|row| row.get(column).copied()).collect();
            values.sort_by(f32::total_cmp);
            let quantiles = self.reference.get(column)?;
            (!values.is_empty() && quantiles.len() > BUCKETS).then(|| FeatureDrift {
                name: name.clone(),
                psi: psi(quantiles, &values),
                ks: ks(quantiles, &values),
            })
        };
        Report {
            n_bars: self.rows.len(),
            features: self.names.iter().enumerate().filter_map(compare).collect(),
            psi_limit: PSI_LIMIT,
            ks_limit: KS_LIMIT,
        }
    }
}

/// Share of the sorted `values` that is at most `x`.
fn share(values: &[f32], x: f32) -> f64 {
    values.partition_point(|value| *value <= x) as f64 / values.len() as f64
}

/// Population stability index of the sorted `values` over the deciles among `quantiles`. What falls on a tied edge belongs to the lowest
/// of the buckets that share it, on both sides.
#[must_use]
pub fn psi(quantiles: &[f32], values: &[f32]) -> f64 {
    let last = quantiles.len() - 1;
    let edge = |k: usize| quantiles[k * last / BUCKETS];
    let mut edges: Vec<f32> = (1..BUCKETS).map(edge).collect();
    edges.dedup();
    // No bucket is empty: half an observation lies in each.
    let floor = 0.5 / values.len() as f64;
    let mut before = (0.0, 0.0);
    let mut sum = 0.0;
    for bound in edges.iter().map(|edge| Some(*edge)).chain([None]) {
        let expected = bound.map_or(1.0, |x| share(quantiles, x));
        let found = bound.map_or(1.0, |x| share(values, x));
        let (q, p) = ((expected - before.0).max(floor), (found - before.1).max(floor));
        sum += (p - q) * libm::log(p / q);
        before = (expected, found);
    }
    sum
}

/// Largest distance of the two distribution functions at `quantiles`, of training, and the sorted `values`.
#[must_use]
pub fn ks(quantiles: &[f32], values: &[f32]) -> f64 {
    let distance = |x: &f32| (share(quantiles, *x) - share(values, *x)).abs();
    quantiles.iter().chain(values).map(distance).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evenly(from: f32, to: f32, n: usize) -> Vec<f32> {
        (0..n).map(|k| from + (to - from) * k as f32 / (n - 1) as f32).collect()
    }

    #[test]
    fn what_is_the_same_does_not_drift_and_a_shift_has_its_closed_form() {
        let training = evenly(0.0, 1.0, 101);
        let same = evenly(0.0, 1.0, 1000);
        assert!(psi(&training, &same) < 0.01 && ks(&training, &same) < 0.02);
        // Uniform on [0.5, 1.5] against uniform on [0, 1]: the distribution functions are half apart.
        let shifted = evenly(0.5, 1.5, 1000);
        assert!((ks(&training, &shifted) - 0.5).abs() < 0.02);
        // Five deciles empty, four as they were, the last holds six tenths: 5·0.1·ln(0.1/floor) + 0.5·ln 6.
        let floor: f64 = 0.5 / 1000.0;
        let expected = 5.0 * (0.1 - floor) * libm::log(0.1 / floor) + 0.5 * libm::log(6.0);
        assert!((psi(&training, &shifted) - expected).abs() < 0.2, "{} {expected}", psi(&training, &shifted));
    }

    #[test]
    fn a_constant_feature_that_moves_is_found() {
        let training = vec![0.0; 101];
        assert!(psi(&training, &[0.0; 100]) < 0.05);
        assert!(psi(&training, &[1.0; 100]) > PSI_LIMIT);
    }
}
