//! The statistical gate by itself: what the best of many is worth, and how often it is wrong on returns of known truth.

use cambist_core::rng::{Purpose, Stream};
use cambist_evaluate::metrics::deflated_sharpe::{deflated_sharpe, expected_best};
use cambist_evaluate::metrics::probabilistic_sharpe::SharpeEstimate;
use cambist_evaluate::metrics::{moments, sharpe};
use cambist_evaluate::overfitting::cscv;
use serde::Serialize;

/// Blocks of the splits that ask whether choosing overfits.
pub(crate) const BLOCKS: usize = 16;

/// The deflated Sharpe ratio of one among many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Deflated {
    /// Probability that the true ratio is above what luck would show.
    pub(crate) probability: f64,
    /// What luck would show, per bar.
    pub(crate) by_luck: f64,
    /// How many were tried, this one among them.
    pub(crate) n_trials: usize,
}

/// Of returns `own`, beside the Sharpe ratios per bar of all others that were tried; those that are no numbers count as zero. None when
/// its returns do not vary.
pub(crate) fn deflated(own: &[f64], others: &[f64]) -> Option<Deflated> {
    if own.len() < 3 || moments::deviation(own) <= 1e-12 {
        return None;
    }
    let finite = |s: f64| if s.is_nan() { 0.0 } else { s };
    let all: Vec<f64> = others.iter().copied().chain([sharpe::per_bar(own)]).map(finite).collect();
    let variance = if all.len() > 1 { moments::deviation(&all).powi(2) } else { 0.0 };
    let n = all.len() as f64;
    let probability = deflated_sharpe(&SharpeEstimate::of(own), variance, n);
    Some(Deflated { probability, by_luck: expected_best(variance, n), n_trials: all.len() })
}

/// How often the statistical gate is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct GateCheck {
    /// Matrices of each kind.
    pub n: u64,
    /// Trials, years of days, and the annual Sharpe ratio of the one that has any.
    pub trials: usize,
    /// See `trials`.
    pub years: usize,
    /// See `trials`.
    pub sharpe: f64,
    /// Share of worthless matrices whose best was let through.
    pub false_promotions: f64,
    /// Share of the others whose best was let through, and was the one that has it.
    pub power: f64,
    /// What the deflated ratio's formula predicts of the latter: Φ((SR − x) √T / √(1 + SR²/2)), x the ratio that just passes.
    pub predicted: f64,
}

const DAYS: usize = 252;

/// Puts the best of `trials` series of `years` years of daily returns to the gate's limits `deflated_least` and `pbo_most`, `n` times
/// where all are worthless and `n` times where one has an annual Sharpe ratio of `ratio`.
#[must_use]
pub fn check_gate(
    n: u64,
    trials: usize,
    years: usize,
    ratio: f64,
    [deflated_least, pbo_most]: [f64; 2],
) -> GateCheck {
    let bars = years * DAYS;
    let edge = ratio / (DAYS as f64).sqrt();
    let passes = |seed: u64, edge: f64| -> Option<usize> {
        let mut stream = Stream::new(seed, Purpose::Check, 77);
        let series: Vec<Vec<f64>> = (0..trials)
            .map(|trial| {
                let mean = if trial == 0 { edge } else { 0.0 };
                (0..bars).map(|_| 0.01 * (mean + stream.normal())).collect()
            })
            .collect();
        let ratios: Vec<f64> = series.iter().map(|r| sharpe::per_bar(r)).collect();
        let best = (1..trials).fold(0, |best, t| if ratios[t] > ratios[best] { t } else { best });
        let others: Vec<f64> = (0..trials).filter(|&t| t != best).map(|t| ratios[t]).collect();
        let luck = deflated(&series[best], &others)?.probability >= deflated_least;
        let all: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
        let passed = luck && cscv(&all, BLOCKS).is_some_and(|split| split.risk() <= pbo_most);
        passed.then_some(best)
    };
    let share = |count: u64| count as f64 / n.max(1) as f64;
    let wrong = (0..n).filter(|&seed| passes(seed, 0.0).is_some()).count() as u64;
    let right = (0..n).filter(|&seed| passes(1_000_000 + seed, edge) == Some(0)).count() as u64;
    // The ratio x that just passes: x − E[max] √(1/T + x²/N) = z √(1 + x²/2) / √T, its own distance part of the trials' variance.
    let (t, k, z) = (bars as f64, trials as f64, SharpeEstimate::quantile(deflated_least));
    let margin = |x: f64| x - expected_best(1.0 / t + x * x / k, k) - z * ((1.0 + 0.5 * x * x) / t).sqrt();
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if margin(middle) < 0.0 { low = middle } else { high = middle }
    }
    let predicted = SharpeEstimate::normal((edge - high) * t.sqrt() / (1.0 + 0.5 * edge * edge).sqrt());
    GateCheck {
        n,
        trials,
        years,
        sharpe: ratio,
        false_promotions: share(wrong),
        power: share(right),
        predicted,
    }
}
