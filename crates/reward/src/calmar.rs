//! Increments of a Calmar ratio (Young 1991): adds up to log growth over the deepest drawdown, exactly.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};
use crate::drawdown::deepened;

/// What `ln(equity / start) / max(deepest drawdown, 5 %)` grew by. The least drawdown keeps a course that has hardly begun
/// from a ratio without bound. Remembers peak, deepest drawdown and ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calmar;

const LEAST_DRAWDOWN: f64 = 0.05;

impl Law for Calmar {
    fn columns(&self) -> &'static [&'static str] {
        &["log_peak", "deepest", "ratio"]
    }

    fn begin(&self) -> Memory {
        [1.0, 0.0, 0.0]
    }

    fn of(&self, change: &Change, memory: &mut Memory) -> f64 {
        let [peak, deepest, before] = *memory;
        let (peak, deepest) = deepened(change, peak, deepest);
        let ratio = libm::log(change.floored() / change.initial) / deepest.max(LEAST_DRAWDOWN);
        *memory = [peak, deepest, ratio];
        ratio - before
    }

    fn shown(&self, memory: &Memory) -> Memory {
        [libm::log(memory[0]), memory[1], 0.1 * memory[2]]
    }
}
