//! Where an account that goes on as in its backtest stays: a simultaneous prediction band for the sum of its log returns, by the stationary
//! bootstrap (Politis & Romano 1994). One number of deviations holds at every length at once (Montiel Olea & Plagborg-Møller 2019,
//! "Simultaneous confidence bands", the sup-t band), so that looking every day does not find what is not there. The mean is known from
//! the backtest alone: every drawn future is held against the mean of a backtest that is drawn as well.

use cambist_core::rng::{Purpose, Stream};

use super::bootstrap::{optimal_block, resample};
use super::moments::mean;

/// Lower and upper end of the sum of the first n of `horizon` log returns, n from 1, between which all of a path drawn from `returns`
/// lies with probability `level`. Empty without returns.
#[must_use]
pub fn cumulative(returns: &[f64], horizon: usize, level: f64, n_samples: usize, seed: u64) -> [Vec<f64>; 2] {
    if returns.is_empty() || n_samples == 0 {
        return [Vec::new(), Vec::new()];
    }
    let block = optimal_block(returns);
    let mut stream = Stream::new(seed, Purpose::Bootstrap, 2);
    let mut backtest = vec![0.0; returns.len()];
    let mut paths = Vec::with_capacity(n_samples);
    for _ in 0..n_samples {
        resample(returns, block, &mut stream, &mut backtest);
        let expected = mean(&backtest);
        let mut path = vec![0.0; horizon];
        resample(returns, block, &mut stream, &mut path);
        let mut off = 0.0;
        for value in &mut path {
            off += *value - expected;
            *value = off;
        }
        paths.push(path);
    }
    let center = mean(returns);
    let middle: Vec<f64> = (1..=horizon).map(|n| center * n as f64).collect();
    let squares = |n: usize| paths.iter().map(|path| path[n] * path[n]).sum::<f64>();
    let deviation: Vec<f64> = (0..horizon).map(|n| (squares(n) / n_samples as f64).sqrt()).collect();
    let farthest = |path: &Vec<f64>| {
        let far = |n: usize| if deviation[n] > 0.0 { path[n].abs() / deviation[n] } else { 0.0 };
        (0..horizon).map(far).fold(0.0, f64::max)
    };
    let mut widths: Vec<f64> = paths.iter().map(farthest).collect();
    widths.sort_by(f64::total_cmp);
    let width = widths[(level * (n_samples as f64 - 1.0)).ceil() as usize];
    let end = |sign: f64| middle.iter().zip(&deviation).map(|(m, d)| m + sign * width * d).collect();
    [end(-1.0), end(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(seed: u64, n: usize, mean: f64, sd: f64) -> Vec<f64> {
        let mut stream = Stream::new(seed, Purpose::Bootstrap, 9);
        (0..n).map(|_| mean + sd * stream.normal()).collect()
    }

    /// For one day the band is the two-sided quantile: 2.33 deviations at 98 %, if the returns are normal. For a random walk over many
    /// days the largest standardised distance is larger, and is that of an Ornstein-Uhlenbeck process over ln(horizon).
    #[test]
    fn one_day_has_its_quantile_and_many_days_need_more() {
        let returns = normal(1, 4000, 0.0, 0.01);
        let [low, high] = cumulative(&returns, 1, 0.98, 4000, 7);
        assert!(
            (high[0] / 0.01 - 2.326).abs() < 0.12 && (low[0] + high[0]).abs() < 0.001,
            "{low:?} {high:?}"
        );
        // Of a mean that is as good as known.
        let [_, high] = cumulative(&returns, 100, 0.98, 2000, 7);
        assert!(high[99] / (0.01 * 10.0) > 2.8 && high[99] / (0.01 * 10.0) < 3.6, "{}", high[99]);
    }

    /// Over many backtests, each with a band of its own: the mean is learned from ninety days, and the band must allow for that.
    #[test]
    fn whoever_goes_on_as_before_stays_in_it_and_whoever_does_not_leaves() {
        let leaves = |mean: f64| {
            let out = |seed: u64| {
                let [low, high] = cumulative(&normal(seed, 90, 0.001, 0.01), 90, 0.98, 400, seed);
                let mut sum = 0.0;
                normal(10_000 + seed, 90, mean, 0.01).iter().enumerate().any(|(n, r)| {
                    sum += r;
                    sum < low[n] || sum > high[n]
                })
            };
            (0..300).filter(|&seed| out(seed)).count()
        };
        let (same, worse) = (leaves(0.001), leaves(-0.009));
        assert!(same <= 15, "{same} of 300 left, about 6 should");
        assert!(worse >= 250, "{worse} of 300 left");
    }
}
