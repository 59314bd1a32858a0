//! Is the best of many better than a benchmark, given that it was chosen? White 2000 ("A reality check for data snooping",
//! Econometrica 68(5)) and Hansen 2005 ("A test for superior predictive ability", J. Business & Economic Statistics 23(4)), by the
//! stationary bootstrap (Politis & Romano 1994).

use cambist_core::rng::{Purpose, Stream};

/// p-values: how often luck alone does as well as the best did.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Superior {
    /// White's reality check.
    pub reality_check: f64,
    /// Hansen's test, consistent.
    pub consistent: f64,
    /// Its lower bound.
    pub lower: f64,
    /// Its upper bound.
    pub upper: f64,
}

/// Tests `excess` returns over the benchmark (one series a trial, all of one length) with blocks of `block` bars in the mean.
///
/// None when there is no series, they differ in length, are too short, or none varies.
#[must_use]
pub fn superior(excess: &[&[f64]], block: f64, n_samples: usize, seed: u64) -> Option<Superior> {
    let n = excess.first()?.len();
    if n < 8 || n_samples == 0 || excess.iter().any(|x| x.len() != n) {
        return None;
    }
    let root = (n as f64).sqrt();
    let q = 1.0 / block.max(1.0);
    // A series that does not vary has no chance of being the best by luck, and none of being tested.
    let series: Vec<(&[f64], f64, f64)> = excess
        .iter()
        .map(|x| (*x, x.iter().sum::<f64>() / n as f64))
        .map(|(x, mean)| (x, mean, long_run_deviation(x, mean, q)))
        .filter(|(_, _, deviation)| *deviation > 1e-12)
        .collect();
    if series.is_empty() {
        return None;
    }
    let top = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
    let white = top(&mut series.iter().map(|(_, mean, _)| root * mean));
    let hansen = top(&mut series.iter().map(|(_, mean, d)| root * mean / d)).max(0.0);
    // Means that are kept: all (upper), those that are not far below (consistent), none below zero (lower).
    let far = -(2.0 * libm::log(libm::log(n as f64))).sqrt();
    let centres = |mean: f64, d: f64| [mean.max(0.0), if root * mean / d >= far { mean } else { 0.0 }, mean];
    let mut stream = Stream::new(seed, Purpose::Bootstrap, 1);
    let (mut counts, mut rows) = ([0usize; 4], vec![0usize; n]);
    for _ in 0..n_samples {
        let mut at = 0;
        for row in &mut rows {
            at = if stream.uniform() < q { stream.index(n) } else { (at + 1) % n };
            *row = at;
        }
        let mut best = [f64::NEG_INFINITY, 0.0, 0.0, 0.0];
        for (x, mean, d) in &series {
            let resampled = rows.iter().map(|&row| x[row]).sum::<f64>() / n as f64;
            best[0] = best[0].max(root * (resampled - mean));
            for (best, centre) in best[1..].iter_mut().zip(centres(*mean, *d)) {
                *best = best.max(root * (resampled - centre) / d);
            }
        }
        counts[0] += usize::from(best[0] > white);
        for (count, best) in counts[1..].iter_mut().zip(&best[1..]) {
            *count += usize::from(*best > hansen);
        }
    }
    let p = |count: usize| count as f64 / n_samples as f64;
    Some(Superior {
        reality_check: p(counts[0]),
        lower: p(counts[1]),
        consistent: p(counts[2]),
        upper: p(counts[3]),
    })
}

/// Deviation of √n times the mean, by the kernel that the stationary bootstrap implies (Hansen 2005, section 3.2).
fn long_run_deviation(x: &[f64], mean: f64, q: f64) -> f64 {
    let n = x.len();
    let covariance =
        |lag: usize| x.iter().zip(&x[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / n as f64;
    let mut variance = covariance(0);
    for lag in 1..n {
        let (share, power) = (lag as f64 / n as f64, libm::pow(1.0 - q, lag as f64));
        let kernel = (1.0 - share) * power + share * libm::pow(1.0 - q, (n - lag) as f64);
        // Far lags weigh nothing, but would take most of the time.
        if kernel < 1e-8 && lag < n / 2 {
            continue;
        }
        variance += 2.0 * kernel * covariance(lag);
    }
    variance.max(0.0).sqrt()
}
