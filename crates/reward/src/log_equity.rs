//! Log return of equity: adds up to the growth of the account, exactly. Kelly 1956, "A new interpretation of information rate".

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Law, Memory};

/// `ln(equity after / equity before)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogEquity;

impl Law for LogEquity {
    fn columns(&self) -> &'static [&'static str] {
        &[]
    }

    fn begin(&self) -> Memory {
        [0.0; 3]
    }

    fn of(&self, change: &Change, _: &mut Memory) -> f64 {
        change.log_return()
    }

    fn shown(&self, memory: &Memory) -> Memory {
        *memory
    }
}
