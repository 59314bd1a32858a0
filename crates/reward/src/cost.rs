//! What trading cost and how much was traded, over equity: prices on churn beyond its costs.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};

/// Minus costs paid over equity before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost;

/// Minus value traded over equity before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Turnover;

/// `amount` over equity before; equity that is gone counts as the floor's.
fn share(amount: f64, change: &Change) -> f64 {
    amount / change.before.max(crate::change::FLOOR * change.initial)
}

impl Law for Cost {
    fn of(&self, change: &Change, _: &mut Memory) -> f64 {
        -share(change.costs, change)
    }
}

impl Law for Turnover {
    fn of(&self, change: &Change, _: &mut Memory) -> f64 {
        -share(change.traded, change)
    }
}
