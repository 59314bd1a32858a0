//! Mean, deviation, skewness and kurtosis.

/// Arithmetic mean.
#[must_use]
pub fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Standard deviation with `n − 1`.
#[must_use]
pub fn deviation(x: &[f64]) -> f64 {
    let mean = mean(x);
    (x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (x.len() as f64 - 1.0)).sqrt()
}

/// Skewness `m₃ / m₂^{3/2}` of the population moments.
#[must_use]
pub fn skewness(x: &[f64]) -> f64 {
    central(x, 3) / libm::pow(central(x, 2), 1.5)
}

/// Kurtosis `m₄ / m₂²` of the population moments; 3 for a normal.
#[must_use]
pub fn kurtosis(x: &[f64]) -> f64 {
    let variance = central(x, 2);
    central(x, 4) / (variance * variance)
}

fn central(x: &[f64], power: i32) -> f64 {
    let mean = mean(x);
    x.iter().map(|v| (v - mean).powi(power)).sum::<f64>() / x.len() as f64
}
