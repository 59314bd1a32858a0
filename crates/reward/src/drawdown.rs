//! Increments of the deepest drawdown: adds up to minus the deepest drawdown of the episode, exactly.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};

/// Minus what the deepest drawdown grew by. Remembers the peak (as a log multiple of the start) and the deepest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drawdown;

/// Peak and deepest drawdown after `change`, given those before; the peak begins at the first equity.
pub(crate) fn deepened(change: &Change, peak: f64, deepest: f64) -> (f64, f64) {
    let peak = peak.max(change.before / change.initial).max(change.floored() / change.initial);
    (peak, deepest.max(1.0 - change.floored() / change.initial / peak))
}

impl Law for Drawdown {
    fn columns(&self) -> &'static [&'static str] {
        &["log_peak", "deepest"]
    }

    fn begin(&self) -> Memory {
        [1.0, 0.0, 0.0]
    }

    fn of(&self, change: &Change, memory: &mut Memory) -> f64 {
        let before = memory[1];
        (memory[0], memory[1]) = deepened(change, memory[0], before);
        before - memory[1]
    }

    fn shown(&self, memory: &Memory) -> Memory {
        [libm::log(memory[0]), memory[1], 0.0]
    }
}
