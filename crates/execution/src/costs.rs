//! What a trade costs, in parts of its value at the mid price.

use cambist_core::BasisPoints;
use serde::{Deserialize, Serialize};

/// Proportional costs. One way: a round trip pays twice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// Commission on the value traded.
    pub commission: BasisPoints,
    /// Half of ask minus bid, over the mid price.
    pub half_spread: BasisPoints,
    /// Distance of the fill beyond the quote, over the mid price.
    pub slippage: BasisPoints,
    /// Rate a year on the value of units sold short, as a fraction.
    pub borrow_rate: f64,
}

/// Money paid, by kind; never negative. What is received (rebates, financing) is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CostSplit {
    /// To the broker.
    pub commission: f64,
    /// For crossing half the spread.
    pub spread: f64,
    /// Beyond the quote.
    pub slippage: f64,
    /// For one's own size.
    #[serde(default)]
    pub impact: f64,
}

impl CostSplit {
    /// All of it.
    #[inline]
    #[must_use]
    pub fn total(&self) -> f64 {
        self.commission + self.spread + self.slippage + self.impact
    }

    /// Adds `other`.
    #[inline]
    pub fn add(&mut self, other: &Self) {
        self.commission += other.commission;
        self.spread += other.spread;
        self.slippage += other.slippage;
        self.impact += other.impact;
    }
}

impl CostModel {
    /// Nothing costs anything.
    pub const FREE: Self = Self {
        commission: BasisPoints(0.0),
        half_spread: BasisPoints(0.0),
        slippage: BasisPoints(0.0),
        borrow_rate: 0.0,
    };

    /// Cost of trading one way, as a fraction of the value traded.
    #[inline]
    #[must_use]
    pub fn one_way(&self) -> f64 {
        self.commission.fraction() + self.half_spread.fraction() + self.slippage.fraction()
    }

    /// Cost of trading `value` (units × mid price, either sign).
    #[inline]
    #[must_use]
    pub fn of(&self, value: f64) -> CostSplit {
        let size = value.abs();
        CostSplit {
            commission: size * self.commission.fraction(),
            spread: size * self.half_spread.fraction(),
            slippage: size * self.slippage.fraction(),
            impact: 0.0,
        }
    }

    /// The same costs, `factor` times as high.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self {
            commission: BasisPoints(self.commission.0 * factor),
            half_spread: BasisPoints(self.half_spread.0 * factor),
            slippage: BasisPoints(self.slippage.0 * factor),
            borrow_rate: self.borrow_rate * factor,
        }
    }
}
