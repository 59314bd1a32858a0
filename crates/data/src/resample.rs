//! Longer bars from shorter ones, with their coverage.

use cambist_core::aggregate::Aggregator;
use cambist_core::{MarketTape, Timeframe};

use crate::error::DataError;

/// Bars of `target` from those of `tape`. A bar that began before the tape, or has not ended with it, is left out;
/// `coverage` is the share of finer bars that were there.
///
/// # Errors
/// When `target` is not a whole multiple of the tape's timeframe.
pub fn resample(tape: &MarketTape, target: Timeframe) -> Result<MarketTape, DataError> {
    let finer = tape.timeframe;
    let not_a_multiple = DataError::NotAMultiple { finer, target };
    let mut aggregator = Aggregator::new(finer, target).ok_or(not_a_multiple)?;
    let mut out = MarketTape::empty(tape.instrument.clone(), target, tape.price_side, tape.volume_kind);
    for bar in tape.bars() {
        aggregator.push(&bar, |whole| out.push(whole));
    }
    if tape.spread.is_empty() {
        out.forget_spread();
    }
    Ok(out)
}
