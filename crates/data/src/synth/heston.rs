//! Stochastic variance with jumps (Heston 1993; Bates 1996), stepped by full truncation (Lord, Koekkoek & van Dijk 2010).

use cambist_core::rng::Stream;

use super::{Law, positive};
use crate::error::DataError;

/// `dv = speed (mean − v) dt + vol_of_vol √v dW₂`, `dx = (drift − v/2) dt + √v dW₁ + jumps`, `corr(W₁, W₂)` given,
/// jumps normal and Poisson.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HestonJumps {
    /// Expected return a year, jumps apart.
    pub drift: f64,
    /// Pull of the variance to its mean, a year.
    pub speed: f64,
    /// Mean variance of the log return, a year.
    pub mean_variance: f64,
    /// Volatility of the variance.
    pub vol_of_vol: f64,
    /// Correlation of price and variance.
    pub correlation: f64,
    /// Jumps a year.
    pub jumps_per_year: f64,
    /// Mean log size of a jump.
    pub jump_mean: f64,
    /// Standard deviation of a jump's log size.
    pub jump_deviation: f64,
}

impl Default for HestonJumps {
    /// Roughly BTC: 65 % volatility that halves its distance to the mean in about two weeks, twelve jumps a year of 4 %.
    fn default() -> Self {
        Self {
            drift: 0.2,
            speed: 18.0,
            mean_variance: 0.42,
            vol_of_vol: 2.5,
            correlation: -0.1,
            jumps_per_year: 12.0,
            jump_mean: -0.01,
            jump_deviation: 0.04,
        }
    }
}

pub(super) struct Started {
    law: HestonJumps,
    variance: f64,
}

impl HestonJumps {
    pub(super) fn started(self) -> Result<Started, DataError> {
        positive("speed", self.speed)?;
        positive("mean_variance", self.mean_variance)?;
        positive("vol_of_vol", self.vol_of_vol)?;
        if self.correlation.abs() > 1.0 || self.jumps_per_year < 0.0 || self.jump_deviation < 0.0 {
            return Err(DataError::BadParameter(format!(
                "correlation {} must lie in [-1, 1], jumps_per_year {} and jump_deviation {} must not be negative",
                self.correlation, self.jumps_per_year, self.jump_deviation
            )));
        }
        Ok(Started { law: self, variance: self.mean_variance })
    }
}

impl Law for Started {
    fn state_names(&self) -> Vec<String> {
        vec!["variance".into()]
    }

    fn state(&self) -> Vec<f64> {
        vec![self.variance.max(0.0)]
    }

    fn advance(&mut self, log_price: f64, years: f64, stream: &mut Stream) -> f64 {
        let law = &self.law;
        let (z1, z2) = stream.normal_pair();
        let positive = self.variance.max(0.0);
        let noise = (positive * years).sqrt();
        let correlated = law.correlation * z1 + (1.0 - law.correlation * law.correlation).sqrt() * z2;
        self.variance +=
            law.speed * (law.mean_variance - positive) * years + law.vol_of_vol * noise * correlated;
        // Steps are minutes: at most one jump in each.
        let jump = if stream.uniform() < law.jumps_per_year * years {
            law.jump_mean + law.jump_deviation * stream.normal()
        } else {
            0.0
        };
        log_price + (law.drift - 0.5 * positive) * years + noise * z1 + jump
    }
}
