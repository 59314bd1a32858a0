//! Environments whose best policy is known exactly: the proof that learning works.
//!
//! All share one signal, `p' = ρ p + s ε`, of variance `V = s²/(1 − ρ²)`. The agent sees `(p, π)`, signal and position,
//! and chooses the new position `x`. The optimum is computed from the parameters ([`optimum`]), never from a table.

pub mod band;
pub mod classic;
pub mod env;
pub mod memory;
pub mod optimum;
mod quadrature;

pub use band::BandPolicy;
pub use classic::{CartPole, Pendulum};
pub use env::SignalEnv;
pub use memory::MemoryEnv;
pub use optimum::{LinearPolicy, OracleRule, ThresholdPolicy};

use serde::{Deserialize, Serialize};

/// The signal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Persistence, in [0, 1).
    pub rho: f64,
    /// Standard deviation of the noise.
    pub s: f64,
}

impl Signal {
    /// Stationary variance.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.s * self.s / (1.0 - self.rho * self.rho)
    }
}

/// Which market.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum MarketKind {
    /// A: `r = p x − λ x² − φ (x − π)²`, any x.
    Quadratic {
        /// Price of risk.
        lambda: f64,
        /// Quadratic cost.
        phi: f64,
    },
    /// B: `r = p x − ψ |x − π|`, x in {−M, 0, +M}.
    Proportional {
        /// Proportional cost.
        psi: f64,
        /// Position cap.
        cap: f64,
    },
    /// C: `r = p x − λ x² − ψ |x − π|`, any x; the action is a band.
    Banded {
        /// Price of risk.
        lambda: f64,
        /// Proportional cost.
        psi: f64,
    },
}

/// A market: signal and reward.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SignalMarket {
    /// The signal.
    pub signal: Signal,
    /// The reward.
    pub kind: MarketKind,
}

/// A parameter is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} is {value}: it must be {expected}")]
pub struct ParameterError {
    /// Which.
    pub name: &'static str,
    /// What it is.
    pub value: f64,
    /// What it should be.
    pub expected: &'static str,
}

impl SignalMarket {
    /// Market A at the base parameters: λ = 0.3, φ = 1.
    #[must_use]
    pub fn quadratic() -> Self {
        Self { signal: Self::base_signal(), kind: MarketKind::Quadratic { lambda: 0.3, phi: 1.0 } }
    }

    /// Market B at the base parameters: ψ = 4, M = 2.
    #[must_use]
    pub fn proportional() -> Self {
        Self { signal: Self::base_signal(), kind: MarketKind::Proportional { psi: 4.0, cap: 2.0 } }
    }

    /// Market C at the base parameters: λ = 0.3, ψ = 4.
    #[must_use]
    pub fn banded() -> Self {
        Self { signal: Self::base_signal(), kind: MarketKind::Banded { lambda: 0.3, psi: 4.0 } }
    }

    fn base_signal() -> Signal {
        Signal { rho: 0.9, s: 0.2f64.sqrt() }
    }

    /// The market, if its parameters make sense.
    ///
    /// # Errors
    /// The first parameter that does not.
    pub fn checked(self) -> Result<Self, ParameterError> {
        let check = |name, value: f64, good: bool, expected| {
            if good && value.is_finite() { Ok(()) } else { Err(ParameterError { name, value, expected }) }
        };
        let Signal { rho, s } = self.signal;
        check("rho", rho, (0.0..1.0).contains(&rho), "at least 0 and less than 1")?;
        check("s", s, s > 0.0, "positive")?;
        match self.kind {
            MarketKind::Quadratic { lambda, phi } => {
                check("lambda", lambda, lambda > 0.0, "positive")?;
                check("phi", phi, phi >= 0.0, "zero or more")?;
            }
            MarketKind::Proportional { psi, cap } => {
                check("psi", psi, psi >= 0.0, "zero or more")?;
                check("cap", cap, cap > 0.0, "positive")?;
            }
            MarketKind::Banded { lambda, psi } => {
                check("lambda", lambda, lambda > 0.0, "positive")?;
                check("psi", psi, psi >= 0.0, "zero or more")?;
            }
        }
        Ok(self)
    }

    /// The reward of moving from `position` to `x` under signal `p`.
    #[must_use]
    pub fn reward(&self, p: f64, x: f64, position: f64) -> f64 {
        match self.kind {
            MarketKind::Quadratic { lambda, phi } => {
                p * x - lambda * x * x - phi * (x - position) * (x - position)
            }
            MarketKind::Proportional { psi, .. } => p * x - psi * (x - position).abs(),
            MarketKind::Banded { lambda, psi } => p * x - lambda * x * x - psi * (x - position).abs(),
        }
    }

    /// The spread of sensible positions: the optimum's standard deviation on A, the cap on B, on C the standard deviation
    /// of the optimum without cost, `√V / 2λ`.
    #[must_use]
    pub fn position_scale(&self) -> f64 {
        match self.kind {
            MarketKind::Quadratic { .. } => {
                LinearPolicy::optimal(self).map_or(1.0, |policy| policy.spread(&self.signal))
            }
            MarketKind::Proportional { cap, .. } => cap,
            MarketKind::Banded { lambda, .. } => self.signal.variance().sqrt() / (2.0 * lambda),
        }
    }
}
