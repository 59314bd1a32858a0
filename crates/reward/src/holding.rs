//! A price on being exposed: the quadratic risk of Markowitz 1952, with the variance left to the weight.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};

/// Minus squared exposure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Holding;

impl Law for Holding {
    fn of(&self, change: &Change, _: &mut Memory) -> f64 {
        let exposure = change.exposure.clamp(-100.0, 100.0);
        -exposure * exposure
    }
}
