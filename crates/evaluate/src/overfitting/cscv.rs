//! Combinatorially symmetric cross-validation (Bailey, Borwein, López de Prado & Zhu 2017, "The probability of backtest overfitting",
//! J. Computational Finance 20(4)).

/// What it found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Cscv {
    /// Share of splits in which the best of one half was at or below the middle of the other.
    pub pbo: f64,
    /// Share of splits in which the best of one half lost in the other.
    pub loss: f64,
    /// Slope of the Sharpe ratio out of sample over that in sample, of each split's best.
    pub slope: f64,
    /// Number of splits.
    pub n_splits: usize,
    /// ln(ω / (1 − ω)) of every split, in the order of the splits.
    pub logits: Vec<f64>,
}

impl Cscv {
    /// What choosing risks: the probability of backtest overfitting, or that of loss where it is smaller. Where every trial earns, which is
    /// best is luck in either half, and the former is near one half though nothing is lost by choosing.
    #[must_use]
    pub fn risk(&self) -> f64 {
        self.pbo.min(self.loss)
    }
}

/// Splits the bars of `returns` (one series a trial, all of one length) into `n_blocks` blocks, and takes half of them for choosing in
/// every way there is. Trials are ranked by their Sharpe ratio; one without deviation has none, and ranks as zero.
///
/// None when there are fewer than two trials, an odd number of blocks, or fewer than two bars in a block.
#[must_use]
pub fn cscv(returns: &[&[f64]], n_blocks: usize) -> Option<Cscv> {
    let n_trials = returns.len();
    let n_bars = returns.first()?.len();
    let fits = returns.iter().all(|r| r.len() == n_bars) && n_blocks.is_multiple_of(2) && n_blocks >= 2;
    // More than 24 blocks are millions of splits.
    if n_trials < 2 || !fits || n_blocks > 24 || n_bars / n_blocks < 2 {
        return None;
    }
    let length = n_bars / n_blocks;
    // Bars that fill no block are left out at the beginning, where they are oldest.
    let skip = n_bars - length * n_blocks;
    // Of every trial and block: sum and sum of squares.
    let sums: Vec<Vec<[f64; 2]>> = returns
        .iter()
        .map(|r| {
            let block = |b: &[f64]| [b.iter().sum::<f64>(), b.iter().map(|x| x * x).sum::<f64>()];
            r[skip..].chunks_exact(length).map(block).collect()
        })
        .collect();
    let sharpe = |trial: usize, chosen: u32, of: bool| {
        let inside = (0..n_blocks).filter(|b| (chosen >> b & 1 == 1) == of);
        let [sum, squares] = inside.fold([0.0, 0.0], |[a, b], block| {
            let [x, y] = sums[trial][block];
            [a + x, b + y]
        });
        let n = (length * n_blocks / 2) as f64;
        let (mean, variance) = (sum / n, (squares - sum * sum / n) / (n - 1.0));
        if variance > 1e-24 { mean / variance.sqrt() } else { 0.0 }
    };
    let (mut logits, mut pairs, mut losses) = (Vec::new(), Vec::new(), 0usize);
    let half = n_blocks as u32 / 2;
    for chosen in (0u32..1 << n_blocks).filter(|set| set.count_ones() == half) {
        let inside: Vec<f64> = (0..n_trials).map(|t| sharpe(t, chosen, true)).collect();
        let outside: Vec<f64> = (0..n_trials).map(|t| sharpe(t, chosen, false)).collect();
        let best = (1..n_trials).fold(0, |best, t| if inside[t] > inside[best] { t } else { best });
        // Rank 1 is the worst; equals share the middle of theirs.
        let below = outside.iter().filter(|s| **s < outside[best]).count() as f64;
        let equal = outside.iter().filter(|s| **s == outside[best]).count() as f64;
        let omega = (below + 0.5 * (equal + 1.0)) / (n_trials as f64 + 1.0);
        logits.push(libm::log(omega / (1.0 - omega)));
        losses += usize::from(outside[best] < 0.0);
        pairs.push((inside[best], outside[best]));
    }
    let n = logits.len() as f64;
    let pbo = logits.iter().filter(|l| **l <= 0.0).count() as f64 / n;
    let mean = |pick: fn(&(f64, f64)) -> f64| pairs.iter().map(pick).sum::<f64>() / n;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = pairs.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let variance: f64 = pairs.iter().map(|(x, _)| (x - mx) * (x - mx)).sum();
    Some(Cscv { pbo, loss: losses as f64 / n, slope: covariance / variance, n_splits: logits.len(), logits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_core::rng::{Purpose, Stream};

    fn noise(seed: u64, n: usize, mean: f64) -> Vec<f64> {
        let mut stream = Stream::new(seed, Purpose::Check, 0);
        (0..n).map(|_| mean + 0.01 * stream.normal()).collect()
    }

    fn of(series: &[Vec<f64>], n_blocks: usize) -> Option<Cscv> {
        cscv(&series.iter().map(Vec::as_slice).collect::<Vec<_>>(), n_blocks)
    }

    /// Four blocks of two bars, two trials, by hand. Block means of A: 2, 0, 2, 0 and of B: 1, 1, 1, 1, deviations alike (±1 in each
    /// block). Of the six splits A is best in sample where it has both good blocks (in 1 of 6) or one (in 4 of 6, equal in mean to B
    /// but with more deviation, so B is best); out of sample the other is better each time.
    #[test]
    fn a_case_by_hand() {
        let blocks =
            |means: [f64; 4]| -> Vec<f64> { means.iter().flat_map(|m| [m + 1.0, m - 1.0]).collect() };
        let (a, b) = (blocks([2.0, 0.0, 2.0, 0.0]), blocks([1.0, 1.0, 1.0, 1.0]));
        let found = of(&[a, b], 4).unwrap();
        assert_eq!(found.n_splits, 6);
        // {0, 2}: A best, worst outside. {1, 3}: B best, worst outside. The other four: B best on both sides.
        let third = libm::log((1.0 / 3.0) / (2.0 / 3.0));
        let worst = found.logits.iter().filter(|l| (**l - third).abs() < 1e-12).count();
        let top = found.logits.iter().filter(|l| (**l + third).abs() < 1e-12).count();
        assert_eq!((worst, top), (2, 4));
        assert!((found.pbo - 2.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn sixteen_blocks_have_the_papers_splits_and_noise_is_overfit_half_the_time() {
        let worthless: Vec<Vec<f64>> = (0..40).map(|seed| noise(seed, 960, 0.0)).collect();
        let found = of(&worthless, 16).unwrap();
        assert_eq!(found.n_splits, 12_870);
        assert!((0.3..0.8).contains(&found.pbo), "{}", found.pbo);
        // One that earns among the same: chosen in sample, and still the best out of it.
        let mut one = worthless;
        one[7] = noise(7, 960, 0.004);
        assert!(of(&one, 16).unwrap().pbo < 0.01);
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let two = [noise(1, 32, 0.0), noise(2, 32, 0.0)];
        assert!(of(&two[..1], 16).is_none());
        assert!(of(&two, 15).is_none() && of(&two, 32).is_none() && of(&two, 16).is_some());
        assert!(of(&[two[0].clone(), noise(3, 31, 0.0)], 4).is_none());
    }
}
