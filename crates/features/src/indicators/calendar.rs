//! Where in the day and the week a bar stands.

use cambist_core::Bar;
use cambist_core::time::{NANOS_PER_SECOND, SECONDS_PER_DAY};

use crate::family::Indicator;

/// The bar's open time as a point on a circle.
pub struct Cycle {
    nanos: i64,
    offset: i64,
}

impl Cycle {
    /// Once around a day.
    #[must_use]
    pub fn day() -> Self {
        Self { nanos: SECONDS_PER_DAY * NANOS_PER_SECOND, offset: 0 }
    }

    /// Once around a week that begins on Monday; the epoch was a Thursday.
    #[must_use]
    pub fn week() -> Self {
        Self { nanos: 7 * SECONDS_PER_DAY * NANOS_PER_SECOND, offset: 3 * SECONDS_PER_DAY * NANOS_PER_SECOND }
    }
}

impl Indicator for Cycle {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let share = (bar.open_time.0 + self.offset).rem_euclid(self.nanos) as f64 / self.nanos as f64;
        (out[0], out[1]) = libm::sincos(std::f64::consts::TAU * share);
        true
    }
}
