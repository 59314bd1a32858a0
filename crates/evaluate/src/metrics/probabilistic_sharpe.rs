//! Probabilistic Sharpe ratio (Bailey & López de Prado 2012, "The Sharpe ratio efficient frontier").

use statrs::distribution::{ContinuousCDF, Normal};

/// What a Sharpe ratio was estimated from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharpeEstimate {
    /// Per bar.
    pub sharpe: f64,
    /// Observations.
    pub n: f64,
    /// Skewness of the returns.
    pub skewness: f64,
    /// Kurtosis of the returns, not excess.
    pub kurtosis: f64,
}

impl SharpeEstimate {
    /// From returns per bar.
    #[must_use]
    pub fn of(returns: &[f64]) -> Self {
        Self {
            sharpe: super::sharpe::per_bar(returns),
            n: returns.len() as f64,
            skewness: super::moments::skewness(returns),
            kurtosis: super::moments::kurtosis(returns),
        }
    }

    /// Φ.
    #[must_use]
    pub fn normal(z: f64) -> f64 {
        normal_cdf(z)
    }

    /// Φ⁻¹.
    #[must_use]
    pub fn quantile(p: f64) -> f64 {
        normal_quantile(p)
    }

    /// `1 − γ₃ SR + (γ₄ − 1)/4 SR²`: the variance of the estimate times `n − 1`.
    fn spread(&self) -> f64 {
        1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe * self.sharpe
    }

    /// Variance of the ratio per bar.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.spread() / (self.n - 1.0)
    }

    /// Probability that the true ratio is above `benchmark` (per bar):
    /// `Φ((SR − SR₀)√(n − 1) / √(1 − γ₃ SR + (γ₄ − 1)/4 SR²))`.
    #[must_use]
    pub fn probability_above(&self, benchmark: f64) -> f64 {
        normal_cdf((self.sharpe - benchmark) * (self.n - 1.0).sqrt() / self.spread().sqrt())
    }

    /// Observations needed before the ratio is above `benchmark` with probability `1 − alpha`:
    /// `1 + (1 − γ₃ SR + (γ₄ − 1)/4 SR²)(z / (SR − SR₀))²`.
    #[must_use]
    pub fn minimum_track_record(&self, benchmark: f64, alpha: f64) -> f64 {
        let z = normal_quantile(1.0 - alpha) / (self.sharpe - benchmark);
        1.0 + self.spread() * z * z
    }
}

/// Φ.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    Normal::standard().cdf(x)
}

/// Φ⁻¹.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}
