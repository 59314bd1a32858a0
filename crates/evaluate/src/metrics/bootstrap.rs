//! Confidence interval of the Sharpe ratio by the stationary bootstrap (Politis & Romano 1994), with the block length of
//! Politis & White (2004), as corrected by Patton, Politis & White (2009).

use cambist_core::rng::{Purpose, Stream};

use super::moments::mean;
use super::sharpe;

/// The mean block length that suits the returns' autocorrelation.
#[must_use]
pub fn optimal_block(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let center = mean(x);
    let autocovariance = |lag: usize| {
        x.iter().zip(x.iter().skip(lag)).map(|(a, b)| (a - center) * (b - center)).sum::<f64>() / n
    };
    let variance = autocovariance(0);
    if x.len() < 10 || variance <= 0.0 {
        return 1.0;
    }
    // The first lag m from which K_n correlations in a row are insignificant. Counting from m itself rather than from
    // m + 1 follows the `arch` package, our independent check, and errs towards longer blocks.
    let quiet = (libm::log10(n) as usize).max(5);
    let longest = n.sqrt().ceil() as usize + quiet;
    let bound = 2.0 * (libm::log10(n) / n).sqrt();
    let small: Vec<bool> =
        (0..=longest.min(x.len() - 1)).map(|lag| (autocovariance(lag) / variance).abs() < bound).collect();
    let first = small.windows(quiet).position(|run| run.iter().all(|&s| s));
    let m = first.map_or(longest, |m| (2 * m.max(1)).min(longest));
    // Flat-top window.
    let weight = |lag: usize| (2.0 * (1.0 - lag as f64 / m as f64)).clamp(0.0, 1.0);
    let (mut g, mut spectrum) = (0.0, variance);
    for lag in 1..=m {
        let covariance = weight(lag) * autocovariance(lag);
        g += 2.0 * lag as f64 * covariance;
        spectrum += 2.0 * covariance;
    }
    let d = 2.0 * spectrum * spectrum;
    if d <= 0.0 {
        return 1.0;
    }
    let largest = (3.0 * n.sqrt()).min(n / 3.0).ceil();
    libm::cbrt(2.0 * g * g / d * n).clamp(1.0, largest.max(1.0))
}

/// An interval of the annual Sharpe ratio.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Probability that the interval covers.
    pub level: f64,
    /// Mean block length used.
    pub block: f64,
    /// Share of resamples with a ratio above zero.
    pub share_positive: f64,
}

/// Percentile interval of the annual Sharpe ratio from `n_samples` resamples.
#[must_use]
pub fn sharpe_interval(
    returns: &[f64],
    bars_per_year: f64,
    level: f64,
    n_samples: usize,
    seed: u64,
) -> Interval {
    let block = optimal_block(returns);
    let mut stream = Stream::new(seed, Purpose::Bootstrap, 0);
    let mut ratios: Vec<f64> = Vec::with_capacity(n_samples);
    let mut sample = vec![0.0; returns.len()];
    for _ in 0..n_samples {
        resample(returns, block, &mut stream, &mut sample);
        let ratio = sharpe::annual(&sample, bars_per_year);
        ratios.push(if ratio.is_nan() { 0.0 } else { ratio });
    }
    ratios.sort_by(f64::total_cmp);
    let at =
        |p: f64| ratios.get((p * (ratios.len() as f64 - 1.0)).round() as usize).copied().unwrap_or(f64::NAN);
    let tail = 0.5 * (1.0 - level);
    let positive = ratios.iter().filter(|&&r| r > 0.0).count() as f64 / ratios.len() as f64;
    Interval { low: at(tail), high: at(1.0 - tail), level, block, share_positive: positive }
}

/// Blocks of geometric length from random starts, around the end.
pub(super) fn resample(x: &[f64], block: f64, stream: &mut Stream, out: &mut [f64]) {
    let mut place = 0;
    for (index, value) in out.iter_mut().enumerate() {
        if index == 0 || f64::from(stream.uniform_f32()) < 1.0 / block {
            place = stream.index(x.len());
        }
        *value = x[place];
        place = (place + 1) % x.len();
    }
}
