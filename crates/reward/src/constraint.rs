//! A limit on drawdown, met by a Lagrange multiplier that is learned alongside the policy (Altman 1999, "Constrained Markov
//! decision processes"; Tessler, Mankowitz and Mannor 2019, "Reward constrained policy optimization").
//!
//! The cost of a bar is what the episode's deepest drawdown, beyond where the limit begins to bind, grew by on it, over the limit:
//! an account that stands still pays nothing, however deep it lies, so there is always something left to be done. The policy
//! maximises reward less multiplier times cost. Whenever the policy is validated, as it will act and not as it explores, the
//! multiplier rises by `rate` times what its drawdown exceeds the aim by, in aims, and falls as it stays below. A multiplier of
//! one asks a log return of one for a whole limit.

use serde::{Deserialize, Serialize};

/// The limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DrawdownLimit {
    /// Deepest drawdown allowed, as a share of the high.
    pub limit: f64,
    /// Share of the limit from which drawdown costs.
    pub binds_at: f64,
    /// Share of the limit that is aimed at: what is learned in one window leaves room for another.
    pub aim: f64,
    /// Step of the multiplier.
    pub rate: f64,
    /// Largest multiplier.
    pub largest: f64,
}

impl DrawdownLimit {
    /// Cost of a bar that takes the deepest drawdown from `before` to `after`.
    #[inline]
    #[must_use]
    pub fn cost(&self, before: f64, after: f64) -> f64 {
        let beyond = |drawdown: f64| (drawdown - self.binds_at * self.limit).max(0.0);
        (beyond(after) - beyond(before)) / self.limit
    }

    /// The multiplier after a validation whose deepest drawdown was `drawdown`.
    #[must_use]
    pub fn next(&self, multiplier: f64, drawdown: f64) -> f64 {
        (multiplier + self.rate * (drawdown / (self.aim * self.limit) - 1.0)).clamp(0.0, self.largest)
    }
}
