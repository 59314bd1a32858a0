//! Tapes that might have been: noise on every return, and gaps.

use cambist_core::MarketTape;
use cambist_core::UnixNanos;
use cambist_core::rng::{Purpose, Stream};

/// Bars without a gap, in the mean, between two.
const BETWEEN_GAPS: f64 = 500.0;

/// `tape` with noise of `share` deviations on the log return of every bar from `from` on; `seed` names the tape.
pub(crate) fn noisy(tape: &MarketTape, from: UnixNanos, share: f64, seed: u64) -> MarketTape {
    let mut stream = Stream::new(seed, Purpose::Synthesis, 1);
    let size = share * deviation(tape, from);
    bent(tape, from, |_| [0.0, size * stream.normal()])
}

/// `tape` with gaps of `size` deviations of a day's return, up or down, between a close and the next open: one in 500 bars.
pub(crate) fn gapped(tape: &MarketTape, from: UnixNanos, size: f64, seed: u64) -> MarketTape {
    let mut stream = Stream::new(seed, Purpose::Synthesis, 2);
    let bars_a_day = (86_400.0 / f64::from(tape.timeframe.seconds())).max(1.0);
    let jump = size * deviation(tape, from) * bars_a_day.sqrt();
    bent(tape, from, |_| {
        let hit = stream.uniform() * BETWEEN_GAPS < 1.0;
        let up = stream.uniform() < 0.5;
        [if hit { if up { jump } else { -jump } } else { 0.0 }, 0.0]
    })
}

fn deviation(tape: &MarketTape, from: UnixNanos) -> f64 {
    let first = tape.open_time.partition_point(|&t| t < from.0);
    let returns: Vec<f64> = tape.close[first..].windows(2).map(|w| libm::log(w[1] / w[0])).collect();
    let n = returns.len().max(2) as f64;
    let mean = returns.iter().sum::<f64>() / n;
    (returns.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / (n - 1.0)).sqrt()
}

/// Adds to log prices from `from` on: before a bar's open, and over the bar. What is added stays.
fn bent(tape: &MarketTape, from: UnixNanos, mut add: impl FnMut(usize) -> [f64; 2]) -> MarketTape {
    let mut out = tape.clone();
    let first = tape.open_time.partition_point(|&t| t < from.0);
    let mut log_factor = 0.0;
    for row in first..tape.len() {
        let [before, over] = add(row);
        let opened = libm::exp(log_factor + before);
        let closed = libm::exp(log_factor + before + over);
        log_factor += before + over;
        let (open, close) = (tape.open[row] * opened, tape.close[row] * closed);
        (out.open[row], out.close[row]) = (open, close);
        out.high[row] = (tape.high[row] * opened.max(closed)).max(open).max(close);
        out.low[row] = (tape.low[row] * opened.min(closed)).min(open).min(close);
    }
    out
}
