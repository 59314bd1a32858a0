//! Estimates of several things of one kind, drawn towards what they have in common, and weights made of them: whoever looks best among
//! many was partly lucky, and the more so the less is known of each.
//!
//! Random effects of DerSimonian & Laird ("Meta-analysis in clinical trials", Controlled Clinical Trials 7, 1986): estimate `y_i` with
//! variance `v_i` around a mean `μ` of things that truly differ with variance `τ²`. What is expected of the i-th once all are known is
//! `μ + (1 − B_i)(y_i − μ)` with `B_i = v_i / (v_i + τ²)` (Efron & Morris, JASA 70, 1975). Errors are taken as independent; those of
//! policies on one market go together, so that members are drawn together more than they need be.

use serde::{Deserialize, Serialize};

use crate::metrics::probabilistic_sharpe::SharpeEstimate;

/// An estimate with its variance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// y.
    pub value: f64,
    /// v.
    pub variance: f64,
}

impl Estimate {
    /// Annual Sharpe ratio of `returns` per bar (Lo 2002; Mertens 2002). An account that never moved has the ratio zero, known as well
    /// as so many bars allow; of fewer than three bars nothing is known.
    #[must_use]
    pub fn of_sharpe(returns: &[f64], bars_per_year: f64) -> Self {
        let estimate = SharpeEstimate::of(returns);
        if returns.len() < 3 {
            return Self { value: 0.0, variance: f64::INFINITY };
        }
        let idle = bars_per_year / (estimate.n - 1.0);
        let variance = bars_per_year * estimate.variance();
        if estimate.sharpe.is_finite() && variance.is_finite() && variance > 0.0 {
            Self { value: estimate.sharpe * bars_per_year.sqrt(), variance }
        } else {
            Self { value: 0.0, variance: idle }
        }
    }
}

/// Mean and variance of what truly differs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomEffects {
    /// μ, weighted by `1 / (v_i + τ²)`.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// τ².
    pub between: f64,
}

impl RandomEffects {
    /// Fits them; estimates of infinite variance say nothing. All zero where none says anything.
    #[must_use]
    pub fn fit(estimates: &[Estimate]) -> Self {
        let known: Vec<Estimate> = estimates.iter().copied().filter(|e| e.variance.is_finite()).collect();
        let pooled = |between: f64| {
            let weight = |e: &Estimate| 1.0 / (e.variance + between);
            let sum: f64 = known.iter().map(weight).sum();
            (known.iter().map(|e| weight(e) * e.value).sum::<f64>() / sum, sum)
        };
        if known.is_empty() {
            return Self { mean: 0.0, standard_error: f64::INFINITY, between: 0.0 };
        }
        let (mean, sum) = pooled(0.0);
        let q: f64 = known.iter().map(|e| (e.value - mean) * (e.value - mean) / e.variance).sum();
        let squares: f64 = known.iter().map(|e| 1.0 / (e.variance * e.variance)).sum();
        let (excess, scale) = (q - (known.len() as f64 - 1.0), sum - squares / sum);
        let between = if scale > 0.0 { (excess / scale).max(0.0) } else { 0.0 };
        let (mean, sum) = pooled(between);
        Self { mean, standard_error: (1.0 / sum).sqrt(), between }
    }

    /// What is expected of `estimate` where `centre` is expected of its like; at least the share `least` of the way is gone there.
    fn expected(&self, estimate: Estimate, centre: f64, least: f64) -> f64 {
        let factor = if estimate.variance.is_finite() {
            (estimate.variance / (estimate.variance + self.between)).max(least)
        } else {
            1.0
        };
        centre + (1.0 - factor) * (estimate.value - centre)
    }
}

/// `estimates`, each drawn towards their mean, by the share `least` at least.
#[must_use]
pub fn shrink(estimates: &[Estimate], least: f64) -> Vec<f64> {
    let effects = RandomEffects::fit(estimates);
    estimates.iter().map(|&e| effects.expected(e, effects.mean, least)).collect()
}

/// `parts` of the same things, each drawn towards what is expected of the `whole` it is a part of: a regime of few bars says little.
#[must_use]
pub fn shrink_parts(parts: &[Estimate], whole: &[f64], least: f64) -> Vec<f64> {
    let residuals: Vec<Estimate> = parts
        .iter()
        .zip(whole)
        .map(|(part, whole)| Estimate { value: part.value - whole, variance: part.variance })
        .collect();
    let effects = RandomEffects::fit(&residuals);
    parts.iter().zip(whole).map(|(&part, &whole)| effects.expected(part, whole, least)).collect()
}

/// Weights in proportion to positive scores, that sum to one; equal where no score is positive. For members that are equally volatile
/// and do not go together, weights in proportion to Sharpe ratios make the best Sharpe ratio (Markowitz).
#[must_use]
pub fn weights(scores: &[f64]) -> Vec<f64> {
    let total: f64 = scores.iter().map(|s| s.max(0.0)).sum();
    let equal = 1.0 / scores.len().max(1) as f64;
    scores.iter().map(|s| if total > 0.0 { s.max(0.0) / total } else { equal }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thirteen trials of the BCG vaccine (Colditz et al., JAMA 271, 1994): log relative risks and their variances, and the fit by
    /// DerSimonian and Laird, as the documentation of R's `metafor` prints them.
    #[test]
    fn random_effects_of_the_bcg_trials() {
        let trials = [
            (-0.8893, 0.3256),
            (-1.5854, 0.1946),
            (-1.3481, 0.4154),
            (-1.4416, 0.0200),
            (-0.2175, 0.0512),
            (-0.7861, 0.0069),
            (-1.6209, 0.2230),
            (0.0120, 0.0040),
            (-0.4694, 0.0564),
            (-1.3713, 0.0730),
            (-0.3394, 0.0124),
            (0.4459, 0.5325),
            (-0.0173, 0.0714),
        ];
        let estimates = trials.map(|(value, variance)| Estimate { value, variance });
        let fit = RandomEffects::fit(&estimates);
        assert!((fit.between - 0.3088).abs() < 1e-3, "{fit:?}");
        assert!((fit.mean + 0.7141).abs() < 1e-3 && (fit.standard_error - 0.1787).abs() < 2e-4, "{fit:?}");
        let shrunk = shrink(&estimates, 0.0);
        // The widest moves most of the way, the narrowest hardly.
        assert!((shrunk[11] - fit.mean) / (0.4459 - fit.mean) < 0.4);
        assert!((shrunk[7] - 0.0120).abs() < 0.01);
        // All of the way, if asked.
        assert!(shrink(&estimates, 1.0).iter().all(|s| (s - fit.mean).abs() < 1e-12));
    }

    #[test]
    fn what_differs_by_luck_alone_becomes_equal() {
        let like = |value| Estimate { value, variance: 1.0 };
        let shrunk = shrink(&[like(0.5), like(1.5), like(0.9), like(1.1)], 0.0);
        assert!(shrunk.iter().all(|s| (s - 1.0).abs() < 1e-12), "{shrunk:?}");
        assert_eq!(weights(&shrunk), [0.25; 4]);
        // What differs far beyond its errors stays; losers have no weight.
        let sure = |value| Estimate { value, variance: 1e-6 };
        let shrunk = shrink(&[sure(1.0), sure(3.0), sure(-2.0)], 0.0);
        let given = weights(&shrunk);
        assert!(
            (given[0] - 0.25).abs() < 1e-4 && (given[1] - 0.75).abs() < 1e-4 && given[2] == 0.0,
            "{given:?}"
        );
        assert_eq!(weights(&[-1.0, -2.0]), [0.5, 0.5], "nobody earned");
        assert_eq!(RandomEffects::fit(&[]).mean, 0.0);
    }

    #[test]
    fn a_regime_of_few_bars_says_little() {
        let whole = [1.0, 0.0, 0.5];
        let estimate = |value, variance| Estimate { value, variance };
        let parts = [estimate(-5.0, f64::INFINITY), estimate(4.0, 1e-4), estimate(-3.0, 1e-4)];
        let shrunk = shrink_parts(&parts, &whole, 0.0);
        assert_eq!(shrunk[0], 1.0);
        assert!((shrunk[1] - 4.0).abs() < 0.01 && (shrunk[2] + 3.0).abs() < 0.01, "{shrunk:?}");
    }

    #[test]
    fn an_idle_account_has_no_ratio() {
        let idle = Estimate::of_sharpe(&[0.0; 101], 250.0);
        assert_eq!(idle, Estimate { value: 0.0, variance: 2.5 });
        assert_eq!(Estimate::of_sharpe(&[0.1], 250.0).variance, f64::INFINITY);
        // Of normal returns with the ratio 0: variance 1 / (n − 1) a bar.
        let returns: Vec<f64> = (0..1001).map(|i| if i % 2 == 0 { 0.01 } else { -0.01 }).collect();
        let estimate = Estimate::of_sharpe(&returns, 250.0);
        assert!(estimate.value.abs() < 0.1 && (estimate.variance - 0.25).abs() < 0.01, "{estimate:?}");
    }
}
