//! Differential Sharpe ratio: what a return adds to an exponentially weighted Sharpe ratio. Moody and Saffell 2001, "Learning
//! to trade via direct reinforcement", IEEE Transactions on Neural Networks 12(4), eq. 14.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};

/// `D = (B ΔA − ½ A ΔB) / (B − A²)^{3/2}` with A and B the running mean and mean square of the log return R, ΔA = R − A and
/// ΔB = R² − B; both then move by a share `1/bars` of that.
///
/// The sum telescopes, to first order in 1/bars: it is `bars` times the weighted ratio at the end, less that at the start. What
/// lies many times `bars` back is forgotten by it, so take `bars` no shorter than what the ratio is wanted of.
///
/// The moments begin at zero and at `volatility²`, not at nothing: an account that lies still, or trades a crumb, cannot
/// make its own ratio large by making its deviation small. The variance never counts as less than a hundredth of that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DifferentialSharpe {
    /// Bars of the moments.
    pub bars: f64,
    /// Deviation of a bar's log return at the start.
    pub volatility: f64,
}

/// Least variance, over that of the start.
pub(crate) const LEAST: f64 = 0.01;

impl Law for DifferentialSharpe {
    fn columns(&self) -> &'static [&'static str] {
        &["mean", "deviation"]
    }

    fn begin(&self) -> Memory {
        [0.0, self.volatility * self.volatility, 0.0]
    }

    fn of(&self, change: &Change, memory: &mut Memory) -> f64 {
        let [a, b, _] = *memory;
        let r = change.log_return();
        let (da, db) = (r - a, r * r - b);
        let variance = (b - a * a).max(LEAST * self.volatility * self.volatility);
        memory[0] = a + da / self.bars;
        memory[1] = b + db / self.bars;
        // Of the order of R over the deviation, as the eq. has it before it is multiplied by its own 1/bars.
        (b * da - 0.5 * a * db) / (variance * variance.sqrt())
    }

    fn shown(&self, memory: &Memory) -> Memory {
        let deviation = (memory[1] - memory[0] * memory[0]).max(0.0).sqrt();
        [memory[0] / self.volatility * self.bars.sqrt(), deviation / self.volatility, 0.0]
    }
}
