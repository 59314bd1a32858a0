//! Differential downside deviation ratio: the same against losses alone. Moody and Saffell 2001, eqs. 17 and 18.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};
use crate::differential_sharpe::LEAST;

/// With A the running mean of the log return R and DD² that of `min(R, 0)²`:
/// `D = (R − ½A)/DD` after a gain, `D = (DD²(R − ½A) − ½AR²)/DD³` after a loss.
/// DD² begins at half of `volatility²`, and never counts as less than a hundredth of that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DifferentialDownside {
    /// Bars of the moments.
    pub bars: f64,
    /// Deviation of a bar's log return at the start.
    pub volatility: f64,
}

impl Law for DifferentialDownside {
    fn columns(&self) -> &'static [&'static str] {
        &["mean", "downside"]
    }

    fn begin(&self) -> Memory {
        [0.0, 0.5 * self.volatility * self.volatility, 0.0]
    }

    fn of(&self, change: &Change, memory: &mut Memory) -> f64 {
        let [a, square, _] = *memory;
        let r = change.log_return();
        let loss = r.min(0.0);
        memory[0] = a + (r - a) / self.bars;
        memory[1] = square + (loss * loss - square) / self.bars;
        let square = square.max(0.5 * LEAST * self.volatility * self.volatility);
        let deviation = square.sqrt();
        match r > 0.0 {
            true => (r - 0.5 * a) / deviation,
            false => (square * (r - 0.5 * a) - 0.5 * a * r * r) / (square * deviation),
        }
    }

    fn shown(&self, memory: &Memory) -> Memory {
        [memory[0] / self.volatility * self.bars.sqrt(), memory[1].max(0.0).sqrt() / self.volatility, 0.0]
    }
}
