//! How many different things were tried: trials that move together are one.

use crate::metrics::moments::mean;

/// Mean correlation from which two clusters are one.
const ALIKE: f64 = 0.5;

/// Number of clusters of `returns` (one series a trial, all of one length): average-linkage clusters merge while the mean
/// correlation between two is at least one half (López de Prado & Lewis 2019 count clusters likewise, by another algorithm). Series
/// that do not vary are one cluster.
#[must_use]
pub fn effective_trials(returns: &[&[f64]]) -> usize {
    let centred = |x: &&[f64]| {
        let middle = mean(x);
        let off: Vec<f64> = x.iter().map(|v| v - middle).collect();
        let length = off.iter().map(|v| v * v).sum::<f64>().sqrt();
        (length > 1e-12).then(|| off.iter().map(|v| v / length).collect::<Vec<f64>>())
    };
    let all: Vec<Option<Vec<f64>>> = returns.iter().map(centred).collect();
    let still = usize::from(all.iter().any(Option::is_none));
    let series: Vec<&Vec<f64>> = all.iter().flatten().collect();
    let n = series.len();
    // Sums of correlations between clusters, and their sizes.
    let mut between = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..i {
            let correlation = series[i].iter().zip(series[j]).map(|(a, b)| a * b).sum::<f64>();
            (between[i][j], between[j][i]) = (correlation, correlation);
        }
    }
    let mut sizes: Vec<usize> = vec![1; n];
    loop {
        let mut closest: Option<(f64, usize, usize)> = None;
        for i in (0..n).filter(|&i| sizes[i] > 0) {
            for j in (0..i).filter(|&j| sizes[j] > 0) {
                let average = between[i][j] / (sizes[i] * sizes[j]) as f64;
                if average >= ALIKE && closest.is_none_or(|(top, ..)| average > top) {
                    closest = Some((average, i, j));
                }
            }
        }
        let Some((_, from, to)) = closest else { break };
        sizes[to] += sizes[from];
        sizes[from] = 0;
        for (other, sum) in between[from].clone().into_iter().enumerate() {
            between[to][other] += sum;
            between[other][to] += sum;
        }
    }
    still + sizes.iter().filter(|&&size| size > 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_core::rng::{Purpose, Stream};

    #[test]
    fn copies_count_once_and_strangers_each() {
        let noise = |seed: u64| {
            let mut stream = Stream::new(seed, Purpose::Check, 0);
            (0..500).map(|_| stream.normal()).collect::<Vec<f64>>()
        };
        let (a, b, c) = (noise(1), noise(2), noise(3));
        // Nearly a: correlation 1/√1.25 = 0.89.
        let near: Vec<f64> = a.iter().zip(&c).map(|(a, c)| a + 0.5 * c).collect();
        let count =
            |series: &[&Vec<f64>]| effective_trials(&series.iter().map(|s| s.as_slice()).collect::<Vec<_>>());
        assert_eq!(count(&[&a, &near, &a]), 1);
        assert_eq!(count(&[&a, &near, &b]), 2);
        // Half of two strangers each, it is 0.71 like both, which are not alike: it goes with one.
        let mixed: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        assert_eq!(count(&[&a, &b, &mixed]), 2);
        let flat = vec![0.0; 500];
        assert_eq!(count(&[&a, &flat, &flat]), 2);
        assert_eq!(effective_trials(&[]), 0);
    }
}
