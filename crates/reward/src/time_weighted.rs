//! Returns over several horizons at once: exponentially weighted means of the log return over `bars`, four and sixteen times as
//! many, a third each. Every return is paid out in full in the end, sooner by the short horizon, later by the long ones; so the
//! sum is log growth, but for what the last bars still owe; ruin pays all of it at once. A reward for what holds rather than for what just happened.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};

/// The mean of three running means of the log return.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TimeWeighted {
    /// Bars of the shortest horizon.
    pub bars: f64,
}

impl TimeWeighted {
    fn horizons(&self) -> [f64; 3] {
        [self.bars, 4.0 * self.bars, 16.0 * self.bars]
    }
}

impl Law for TimeWeighted {
    fn columns(&self) -> &'static [&'static str] {
        &["short", "middle", "long"]
    }

    fn of(&self, change: &Change, memory: &mut Memory) -> f64 {
        let r = change.log_return();
        for (mean, bars) in memory.iter_mut().zip(self.horizons()) {
            *mean += (r - *mean) / bars;
        }
        let paid = memory.iter().sum::<f64>() / 3.0;
        if !change.ruined {
            return paid;
        }
        // Ruin ends the episode: what is still owed of it is due at once.
        let owed = |(mean, bars): (&f64, f64)| mean * (bars - 1.0);
        paid + memory.iter().zip(self.horizons()).map(owed).sum::<f64>() / 3.0
    }

    fn shown(&self, memory: &Memory) -> Memory {
        let [a, b, c] = *memory;
        let [x, y, z] = self.horizons();
        [a * x, b * y, c * z]
    }
}
