//! Bars of a longer timeframe from shorter ones, one at a time.
//!
//! A longer bar exists from its end on, never earlier. One that began before the first bar seen is left out, since
//! its beginning is unknown. Minutes that are missing inside leave a smaller coverage.

use crate::{Bar, Timeframe, UnixNanos};

/// Collects bars of `finer` into bars of `target`.
#[derive(Debug, Clone)]
pub struct Aggregator {
    finer: Timeframe,
    target: Timeframe,
    first_seen: Option<UnixNanos>,
    building: Option<Bar>,
    covered: f64,
}

impl Aggregator {
    /// `target` must be a multiple of `finer`.
    #[must_use]
    pub fn new(finer: Timeframe, target: Timeframe) -> Option<Self> {
        let fits = target.is_multiple_of(finer);
        fits.then_some(Self { finer, target, first_seen: None, building: None, covered: 0.0 })
    }

    /// Takes the next bar and calls `emit` with each longer bar whose end has come: one that a gap left open, and
    /// one that this bar closes.
    pub fn push(&mut self, bar: &Bar, mut emit: impl FnMut(Bar)) {
        let start = self.target.floor(bar.open_time);
        self.first_seen.get_or_insert(bar.open_time);
        if self.building.is_some_and(|b| b.open_time != start) {
            self.finish(&mut emit);
        }
        match &mut self.building {
            None => self.building = Some(Bar { open_time: start, ..*bar }),
            Some(b) => {
                b.high = b.high.max(bar.high);
                b.low = b.low.min(bar.low);
                b.close = bar.close;
                b.volume += bar.volume;
            }
        }
        self.covered += bar.coverage;
        if bar.open_time.0 + self.finer.nanos() >= start.0 + self.target.nanos() {
            self.finish(&mut emit);
        }
    }

    fn finish(&mut self, emit: &mut impl FnMut(Bar)) {
        let Some(mut bar) = self.building.take() else { return };
        bar.coverage = self.covered * f64::from(self.finer.seconds()) / f64::from(self.target.seconds());
        self.covered = 0.0;
        if self.first_seen.is_some_and(|first| first <= bar.open_time) {
            emit(bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(at: i64, price: f64) -> Bar {
        let open_time = UnixNanos(at * Timeframe::MINUTE.nanos());
        Bar {
            open_time,
            open: price,
            high: price + 1.0,
            low: price - 1.0,
            close: price + 0.5,
            volume: 2.0,
            spread: 0.1,
            coverage: 1.0,
        }
    }

    #[test]
    fn a_bar_closes_at_its_end_and_an_unseen_beginning_is_left_out() {
        let five = Timeframe::from_seconds(300).unwrap();
        let mut aggregator = Aggregator::new(Timeframe::MINUTE, five).unwrap();
        let mut seen: Vec<(i64, Bar)> = Vec::new();
        // Begins at minute 3; minutes 7 and 14..=16 are missing.
        for at in [3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 17, 18, 19] {
            aggregator.push(&minute(at, at as f64), |bar| seen.push((at, bar)));
        }
        let known: Vec<(i64, i64)> =
            seen.iter().map(|(at, b)| (*at, b.open_time.0 / Timeframe::MINUTE.nanos())).collect();
        assert_eq!(known, [(9, 5), (17, 10), (19, 15)]);
        let first = seen[0].1;
        assert_eq!((first.open, first.high, first.low, first.close), (5.0, 10.0, 4.0, 9.5));
        assert!((first.volume - 8.0).abs() < 1e-12 && (first.coverage - 0.8).abs() < 1e-12);
    }
}
