//! What several seeds say together: the interquartile mean and a stratified bootstrap (Agarwal, Schwarzer, Castro,
//! Courville & Bellemare 2021, "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 34).

use cambist_core::rng::{Purpose, Stream};
use serde::Serialize;

/// An estimate over seeds with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeedEstimate {
    /// Interquartile mean.
    pub mean: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Mean of the middle half: a quarter of the values, rounded down, is left out at either end. NaN for none.
#[must_use]
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    let middle = &sorted[cut..sorted.len() - cut];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// Interquartile mean over all of `strata` (a market or fold each, its seeds' scores in it), and its percentile interval
/// from `n_samples` resamplings of seeds within every stratum.
#[must_use]
pub fn over_seeds(strata: &[Vec<f64>], n_samples: usize, seed: u64) -> SeedEstimate {
    let all: Vec<f64> = strata.concat();
    let mut stream = Stream::new(seed, Purpose::Bootstrap, 1);
    let mut means: Vec<f64> = (0..n_samples)
        .map(|_| {
            let drawn = strata.iter().filter(|s| !s.is_empty());
            let drawn: Vec<f64> = drawn
                .flat_map(|s| (0..s.len()).map(|_| s[stream.index(s.len())]).collect::<Vec<_>>())
                .collect();
            interquartile_mean(&drawn)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means.get(((means.len() as f64 - 1.0) * share).round() as usize).copied();
    SeedEstimate {
        mean: interquartile_mean(&all),
        low: at(0.025).unwrap_or(f64::NAN),
        high: at(0.975).unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.trim_mean(x, 0.25)` of the same values.
    #[test]
    fn the_middle_half_is_scipys_trimmed_mean() {
        assert_eq!(interquartile_mean(&[5.0, 1.0, 100.0, 3.0, -50.0]), 3.0);
        assert_eq!(interquartile_mean(&[8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), 4.5);
        assert_eq!(interquartile_mean(&[2.0, 4.0]), 3.0);
        assert!(interquartile_mean(&[]).is_nan());
    }

    /// The bootstrap of a mean of n normal values has about the interval mean ± 1.96 σ/√n; strata with one value each
    /// have nothing to resample.
    #[test]
    fn the_interval_is_as_wide_as_the_seeds_differ() {
        let mut stream = Stream::new(3, Purpose::Check, 0);
        let values: Vec<f64> = (0..400).map(|_| stream.normal()).collect();
        let estimate = over_seeds(&[values], 2000, 1);
        // The interquartile mean's own deviation is 1.09 times that of the mean (Stigler 1973).
        let wanted = 2.0 * 1.96 * 1.09 / 20.0;
        assert!((estimate.high - estimate.low - wanted).abs() < 0.25 * wanted, "{estimate:?}");
        let fixed = over_seeds(&[vec![1.0], vec![2.0], vec![3.0]], 100, 1);
        assert_eq!((fixed.low, fixed.mean, fixed.high), (2.0, 2.0, 2.0));
    }
}
