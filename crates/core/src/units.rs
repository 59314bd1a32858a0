//! Units that would otherwise hide in a bare number.

use serde::{Deserialize, Serialize};

/// A hundredth of a percent: 1 bp = 1e-4.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BasisPoints(pub f64);

impl BasisPoints {
    /// The same quantity as a plain fraction: 10 bp is 0.001.
    #[must_use]
    pub fn fraction(self) -> f64 {
        self.0 * 1e-4
    }
}
