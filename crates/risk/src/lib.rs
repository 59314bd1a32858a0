//! Limits: an order goes in, an approved order or a reason comes out.
//!
//! An [`Approved`] order can only be made here, and the execution engine takes nothing else, so the same gate stands in
//! training, backtest and live. What only reduces a position is never blocked.

mod gate;
mod sizing;

pub use gate::{Gate, GateLimits, Position, Shut};
pub use sizing::{Outlook, Size, SizeRule};

use serde::{Deserialize, Serialize};

/// A market order: signed units of one instrument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// Index of the instrument.
    pub instrument: usize,
    /// Units to buy (positive) or sell (negative).
    pub units: f64,
}

/// Proof that an order passed the gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Approved<T>(T);

impl<T: Copy> Approved<T> {
    /// What was approved.
    #[must_use]
    pub fn get(&self) -> T {
        self.0
    }
}

/// What the gate knows of the account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Equity in money.
    pub equity: f64,
    /// Units held of the order's instrument.
    pub units: f64,
    /// Price at which the order was sized.
    pub price: f64,
}

/// Limits that hold always.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest |position value| over equity.
    pub max_exposure: f64,
}

/// Why an order was refused.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A number is missing.
    #[error("the order is not a number: units {units}, price {price}, equity {equity}")]
    NotANumber {
        /// Units ordered.
        units: f64,
        /// Price it was sized at.
        price: f64,
        /// Equity.
        equity: f64,
    },
    /// The position would be too large.
    #[error("exposure would be {exposure:.3} of equity, the limit is {limit:.3}")]
    Exposure {
        /// What it would be.
        exposure: f64,
        /// What is allowed.
        limit: f64,
    },
}

impl Limits {
    /// Approves `order`, or says why not.
    ///
    /// # Errors
    /// When a number is not finite, or the order raises |exposure| past the limit.
    #[inline]
    pub fn approve(&self, order: Order, standing: &Standing) -> Result<Approved<Order>, Refusal> {
        let Standing { equity, units, price } = *standing;
        let after = units + order.units;
        if !(after.is_finite() && price.is_finite() && equity.is_finite()) {
            return Err(Refusal::NotANumber { units: order.units, price, equity });
        }
        let reduces = after.abs() <= units.abs() && after * units >= 0.0;
        let exposure = (after * price).abs() / equity;
        // A breath of slack, so that a position sized to the limit passes it.
        let within = equity > 0.0 && exposure <= self.max_exposure * (1.0 + 1e-9);
        if reduces || within {
            Ok(Approved(order))
        } else {
            Err(Refusal::Exposure { exposure, limit: self.max_exposure })
        }
    }

    /// Closes the whole position; never blocked.
    #[inline]
    #[must_use]
    pub fn flatten(&self, instrument: usize, units: f64) -> Approved<Order> {
        Approved(Order { instrument, units: -units })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_exposure: 1.0 };

    #[inline]
    fn approve(units: f64, held: f64, equity: f64) -> Result<Approved<Order>, Refusal> {
        LIMITS.approve(Order { instrument: 0, units }, &Standing { equity, units: held, price: 10.0 })
    }

    #[test]
    fn exposure_is_limited_and_reducing_is_not() {
        assert!(approve(10.0, 0.0, 100.0).is_ok());
        assert!(matches!(approve(10.1, 0.0, 100.0), Err(Refusal::Exposure { .. })));
        assert!(approve(-30.0, 10.0, 100.0).is_err(), "a reversal past the limit is no reduction");
        assert!(approve(-5.0, 50.0, 100.0).is_ok(), "reducing an oversized position");
        assert!(approve(-5.0, 50.0, -3.0).is_ok(), "reducing under water");
        assert!(approve(1.0, 0.0, -3.0).is_err());
        assert!(matches!(approve(f64::NAN, 0.0, 100.0), Err(Refusal::NotANumber { .. })));
        assert_eq!(LIMITS.flatten(0, 7.0).get().units, -7.0);
    }
}
