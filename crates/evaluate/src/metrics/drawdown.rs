//! Drawdown: how far equity lies below its highest so far.

/// The deepest drawdown and the longest stay below a high.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawdown {
    /// Largest fall from a high, as a positive fraction of it.
    pub deepest: f64,
    /// Longest run of bars below a high.
    pub longest_bars: usize,
}

/// Fall below the high so far, bar by bar, zero or negative.
#[must_use]
pub fn series(equity: &[f64]) -> Vec<f64> {
    let mut high = f64::NEG_INFINITY;
    equity
        .iter()
        .map(|&e| {
            high = high.max(e);
            e / high - 1.0
        })
        .collect()
}

/// Depth and length.
#[must_use]
pub fn drawdown(equity: &[f64]) -> Drawdown {
    let (mut deepest, mut longest, mut run) = (0.0f64, 0, 0);
    for fall in series(equity) {
        deepest = deepest.max(-fall);
        run = if fall < 0.0 { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    Drawdown { deepest, longest_bars: longest }
}
