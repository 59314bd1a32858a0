//! Alpha and beta with standard errors that allow for returns that depend on those before and vary more at times (Newey and West
//! 1987, "A simple, positive semi-definite, heteroskedasticity and autocorrelation consistent covariance matrix", eq. 5).

use super::moments::mean;

/// A regression of returns on a benchmark's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regression {
    /// Intercept, a bar.
    pub alpha: f64,
    /// Slope.
    pub beta: f64,
    /// Intercept over its standard error; NaN when it has none.
    pub t_alpha: f64,
    /// Slope over its standard error.
    pub t_beta: f64,
    /// Bars by which dependence is allowed for: `⌊4 (n/100)^{2/9}⌋`.
    pub lags: usize,
}

/// Regresses `returns` on `benchmark`.
#[must_use]
pub fn regress(returns: &[f64], benchmark: &[f64]) -> Regression {
    let n = returns.len().min(benchmark.len());
    let (y, x) = (&returns[..n], &benchmark[..n]);
    let lags = libm::floor(4.0 * libm::pow(n as f64 / 100.0, 2.0 / 9.0)) as usize;
    let (my, mx) = (mean(y), mean(x));
    let square: f64 = x.iter().map(|v| (v - mx) * (v - mx)).sum();
    let cross: f64 = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum();
    let none = f64::NAN;
    if n < 3 || square <= 0.0 {
        return Regression { alpha: my, beta: none, t_alpha: none, t_beta: none, lags };
    }
    let beta = cross / square;
    let alpha = my - beta * mx;
    // Scores of intercept and centred slope; centring makes the inverse of X'X diagonal.
    let scores: Vec<[f64; 2]> = x
        .iter()
        .zip(y)
        .map(|(x, y)| {
            let residual = y - alpha - beta * x;
            [residual, residual * (x - mx)]
        })
        .collect();
    let long_run = |i: usize, j: usize| {
        let at = |lag: usize| -> f64 {
            let pairs = scores[lag..].iter().zip(&scores);
            pairs.map(|(now, before)| now[i] * before[j] + now[j] * before[i]).sum()
        };
        let weight = |lag: usize| 1.0 - lag as f64 / (lags as f64 + 1.0);
        0.5 * at(0) + (1..=lags.min(n - 1)).map(|lag| weight(lag) * at(lag)).sum::<f64>()
    };
    let (s00, s01, s11) = (long_run(0, 0), long_run(0, 1), long_run(1, 1));
    let n = n as f64;
    let slope = s11 / (square * square);
    // Alpha is the centred intercept less beta times the benchmark's mean.
    let intercept = s00 / (n * n) - 2.0 * mx * s01 / (n * square) + mx * mx * slope;
    let t = |value: f64, variance: f64| if variance > 0.0 { value / variance.sqrt() } else { none };
    Regression { alpha, beta, t_alpha: t(alpha, intercept), t_beta: t(beta, slope), lags }
}
