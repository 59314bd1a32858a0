//! What a bar did to an account.

/// An equity below this share of its start counts as this share, so that the reward of ruin is finite.
pub(crate) const FLOOR: f64 = 1e-3;

/// The ledger's change over one bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Equity before.
    pub before: f64,
    /// Equity after.
    pub after: f64,
    /// Equity at the episode's start.
    pub initial: f64,
    /// Value of the position over equity after, signed.
    pub exposure: f64,
    /// Costs paid, in money.
    pub costs: f64,
    /// Value traded, in money.
    pub traded: f64,
    /// Whether the account was ruined.
    pub ruined: bool,
}

impl Change {
    /// Log return of equity, floored.
    #[inline]
    #[must_use]
    pub fn log_return(&self) -> f64 {
        let floor = FLOOR * self.initial;
        libm::log(self.after.max(floor) / self.before.max(floor))
    }

    /// Equity after, floored.
    #[inline]
    #[must_use]
    pub fn floored(&self) -> f64 {
        self.after.max(FLOOR * self.initial)
    }
}
