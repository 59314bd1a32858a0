//! The two diffusions with closed forms.

use cambist_core::rng::Stream;

use super::{Law, positive};
use crate::error::DataError;

/// `dS/S = drift dt + volatility dW` (Samuelson 1965).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeometricBrownian {
    /// Expected return a year.
    pub drift: f64,
    /// Standard deviation of the log return, a year.
    pub volatility: f64,
}

impl GeometricBrownian {
    pub(super) fn checked(self) -> Result<Self, DataError> {
        positive("volatility", self.volatility).map(|()| self)
    }
}

impl Law for GeometricBrownian {
    fn state_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    fn advance(&mut self, log_price: f64, years: f64, stream: &mut Stream) -> f64 {
        let drift = (self.drift - 0.5 * self.volatility * self.volatility) * years;
        log_price + drift + self.volatility * years.sqrt() * stream.normal()
    }
}

/// `dx = speed (mean − x) dt + volatility dW` for the log price x, by its exact transition (Uhlenbeck & Ornstein 1930).
/// The mean is the log of the starting price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OrnsteinUhlenbeck {
    /// Strength of the pull, a year; the half-life is ln 2 / speed years.
    pub speed: f64,
    /// Standard deviation of the noise, a year.
    pub volatility: f64,
}

pub(super) struct Started {
    law: OrnsteinUhlenbeck,
    mean: f64,
}

impl OrnsteinUhlenbeck {
    pub(super) fn started(self, mean: f64) -> Result<Started, DataError> {
        positive("volatility", self.volatility)?;
        positive("speed", self.speed)?;
        Ok(Started { law: self, mean })
    }
}

impl Law for Started {
    fn state_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    fn advance(&mut self, log_price: f64, years: f64, stream: &mut Stream) -> f64 {
        let OrnsteinUhlenbeck { speed, volatility } = self.law;
        let decay = libm::exp(-speed * years);
        let deviation = volatility * ((1.0 - decay * decay) / (2.0 * speed)).sqrt();
        self.mean + (log_price - self.mean) * decay + deviation * stream.normal()
    }
}
