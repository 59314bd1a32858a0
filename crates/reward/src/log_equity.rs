//! Log return of equity: adds up to the growth of the account, exactly. Kelly 1956, "A new interpretation of information rate".

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};

/// `ln(equity after / equity before)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogEquity;

impl Law for LogEquity {
    fn of(&self, change: &Change, _: &mut Memory) -> f64 {
        change.log_return()
    }
}
