//! Running indicators, and recursive state that restarts at fixed anchors (invariant 3).
//!
//! Time is cut into segments of a fixed number of bar lengths since the epoch. Within segment *i* the value comes from
//! a state that was fed every bar since the beginning of segment *i − 1* and none before. So it is the same for every
//! stream that begins at or before that beginning, and there is no value for one that has not seen it.

use crate::{Bar, Timeframe};

/// A running indicator.
pub trait Indicator: Send {
    /// Takes the next bar and writes the raw values; false while warming up, when `out` means nothing.
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool;
}

/// Runs two copies of an indicator, one a segment ahead in age.
pub struct Anchored {
    make: Box<dyn Fn() -> Box<dyn Indicator> + Send>,
    segment_nanos: i64,
    segment: Option<i64>,
    /// Fed since the beginning of the previous segment.
    old: Option<Box<dyn Indicator>>,
    /// Fed since the beginning of this segment.
    young: Option<Box<dyn Indicator>>,
}

impl Anchored {
    /// Restarts what `make` makes every `n_bars` bar lengths of `timeframe`.
    #[must_use]
    pub fn new(
        make: Box<dyn Fn() -> Box<dyn Indicator> + Send>,
        timeframe: Timeframe,
        n_bars: usize,
    ) -> Self {
        let segment_nanos = timeframe.nanos() * n_bars as i64;
        Self { make, segment_nanos, segment: None, old: None, young: None }
    }

    fn enter(&mut self, segment: i64, at_its_beginning: bool) {
        match self.segment {
            Some(last) if last == segment => return,
            Some(last) if last + 1 == segment => {
                self.old = self.young.take();
                self.young = Some((self.make)());
            }
            // A whole segment without a bar: there is nothing to be warmed up by.
            Some(_) => {
                self.old = None;
                self.young = Some((self.make)());
            }
            // A stream that begins inside a segment has not seen all of it.
            None => self.young = at_its_beginning.then(|| (self.make)()),
        }
        self.segment = Some(segment);
    }
}

impl Indicator for Anchored {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let segment = bar.open_time.0.div_euclid(self.segment_nanos);
        self.enter(segment, bar.open_time.0 == segment * self.segment_nanos);
        if let Some(young) = &mut self.young {
            young.push(bar, out);
        }
        self.old.as_mut().is_some_and(|old| old.push(bar, out))
    }
}
