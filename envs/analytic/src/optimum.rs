//! The best policies and what they earn.

use crate::quadrature::gauss_hermite;
use crate::{MarketKind, Signal, SignalMarket};

/// `x = k π + b p`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearPolicy {
    /// Weight of the position held.
    pub k: f64,
    /// Weight of the signal.
    pub b: f64,
}

impl LinearPolicy {
    /// The optimum of market A (Gârleanu & Pedersen 2013, "Dynamic trading with predictable returns and transaction
    /// costs", J. Finance 68(6); one asset, average reward): `A = (−λ + √(λ² + 4λφ))/2`, `D = λ + φ + A`, `k = φ/D`,
    /// `b = 1/(2D(1 − kρ))`. None for other markets.
    #[must_use]
    pub fn optimal(market: &SignalMarket) -> Option<Self> {
        let MarketKind::Quadratic { lambda, phi } = market.kind else { return None };
        let d = Self::curvature(lambda, phi);
        let k = phi / d;
        Some(Self { k, b: 1.0 / (2.0 * d * (1.0 - k * market.signal.rho)) })
    }

    fn curvature(lambda: f64, phi: f64) -> f64 {
        lambda + phi + 0.5 * (-lambda + (lambda * lambda + 4.0 * lambda * phi).sqrt())
    }

    /// `E[xp]` and `E[x²]` in the long run.
    fn moments(&self, signal: &Signal) -> (f64, f64) {
        let (k, b, v) = (self.k, self.b, signal.variance());
        let exp = b * v / (1.0 - k * signal.rho);
        (exp, (2.0 * k * b * signal.rho * exp + b * b * v) / (1.0 - k * k))
    }

    /// Standard deviation of its positions.
    #[must_use]
    pub fn spread(&self, signal: &Signal) -> f64 {
        self.moments(signal).1.sqrt()
    }

    /// What it earns a step on market A; `None` on others.
    #[must_use]
    pub fn value(&self, market: &SignalMarket) -> Option<f64> {
        let MarketKind::Quadratic { lambda, phi } = market.kind else { return None };
        let (exp, exx) = self.moments(&market.signal);
        let exl = self.k * exx + self.b * market.signal.rho * exp;
        Some(exp - lambda * exx - 2.0 * phi * (exx - exl))
    }
}

/// The optimum of market B: `c > ψ: +M; c < −ψ: −M; else hold`, where `c(p) = p + E[clip(c(p'), −ψ, ψ) | p]` is the
/// marginal value of a unit before cost.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdPolicy {
    grid: Vec<f64>,
    c: Vec<f64>,
    psi: f64,
    cap: f64,
    variance: f64,
}

const GRID_POINTS: usize = 1601;
pub(crate) const GRID_DEVIATIONS: f64 = 6.5;
const NODES: usize = 41;
const TOLERANCE: f64 = 1e-12;

impl ThresholdPolicy {
    /// Solves the fixed point on a grid of 1,601 points over ±6.5 deviations. None for other markets.
    #[must_use]
    pub fn optimal(market: &SignalMarket) -> Option<Self> {
        let MarketKind::Proportional { psi, cap } = market.kind else { return None };
        let Signal { rho, s } = market.signal;
        let variance = market.signal.variance();
        let edge = GRID_DEVIATIONS * variance.sqrt();
        let step = 2.0 * edge / (GRID_POINTS - 1) as f64;
        let grid: Vec<f64> = (0..GRID_POINTS).map(|i| -edge + step * i as f64).collect();
        let rule = gauss_hermite(NODES);
        let mut c = grid.clone();
        for _ in 0..100_000 {
            let next: Vec<f64> = grid
                .iter()
                .map(|&p| {
                    let ahead = |z: f64| interpolate(&grid, &c, rho * p + s * z).clamp(-psi, psi);
                    p + rule.iter().map(|&(z, w)| w * ahead(z)).sum::<f64>()
                })
                .collect();
            let change = next.iter().zip(&c).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            c = next;
            if change < TOLERANCE {
                break;
            }
        }
        Some(Self { grid, c, psi, cap, variance })
    }

    /// The new position under signal `p`.
    #[must_use]
    pub fn act(&self, p: f64, position: f64) -> f64 {
        let c = interpolate(&self.grid, &self.c, p);
        if c > self.psi {
            self.cap
        } else if c < -self.psi {
            -self.cap
        } else {
            position
        }
    }

    /// The signal q* at which it pays to go long: `c(q*) = ψ`.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        let at = self.c.partition_point(|&c| c < self.psi).clamp(1, GRID_POINTS - 1);
        let (low, high) = (self.c[at - 1], self.c[at]);
        self.grid[at - 1] + (self.psi - low) / (high - low) * (self.grid[at] - self.grid[at - 1])
    }

    /// What it earns a step: `g* = M E_p[(|c(p)| − ψ)₊]`.
    #[must_use]
    pub fn value(&self) -> f64 {
        let deviation = self.variance.sqrt();
        let n = 200_000;
        let width = 2.0 * GRID_DEVIATIONS / f64::from(n);
        let mut sum = 0.0;
        for i in 0..n {
            let z = -GRID_DEVIATIONS + width * (f64::from(i) + 0.5);
            let gain = (interpolate(&self.grid, &self.c, deviation * z).abs() - self.psi).max(0.0);
            sum += gain * normal_density(z) * width;
        }
        self.cap * sum
    }
}

pub(crate) fn normal_density(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt()
}

/// Linear between grid points, straight on beyond the ends.
pub(crate) fn interpolate(grid: &[f64], values: &[f64], x: f64) -> f64 {
    let step = grid[1] - grid[0];
    let place = ((x - grid[0]) / step).clamp(0.0, (grid.len() - 2) as f64);
    let index = (place as usize).min(grid.len() - 2);
    let share = (x - grid[index]) / step;
    values[index] + share * (values[index + 1] - values[index])
}

/// The best rule when the next return `r ~ N(0, σ²)` is seen before it is earned, and returns are independent:
/// `r x − λ x² − ψ |x − π|`, x in {−M, 0, +M}.
///
/// With λ = 0 market B's fixed point at ρ = 0 gives `c(r) = r`: go to ±M where |r| > ψ, else hold, and
/// `g* = M E(|r| − ψ)₊` exactly. With λ > 0 the three positions' relative values are found by value iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OracleRule {
    /// Values of being at −M, 0, +M, relative to 0.
    relative: [f64; 3],
    /// λ.
    pub lambda: f64,
    /// ψ.
    pub psi: f64,
    /// M.
    pub cap: f64,
    /// What it earns a step.
    pub value: f64,
}

impl OracleRule {
    /// Solves the rule for returns of deviation `sigma`.
    #[must_use]
    pub fn optimal(sigma: f64, lambda: f64, psi: f64, cap: f64) -> Self {
        let mut rule = Self { relative: [0.0; 3], lambda, psi, cap, value: 0.0 };
        let n = 4000;
        let width = 16.0 / f64::from(n);
        let points: Vec<(f64, f64)> = (0..n)
            .map(|i| -8.0 + width * (f64::from(i) + 0.5))
            .map(|z| (sigma * z, normal_density(z) * width))
            .collect();
        for _ in 0..10_000 {
            let expected = [-cap, 0.0, cap]
                .map(|position| points.iter().map(|&(r, w)| w * rule.best(r, position).1).sum::<f64>());
            let next = expected.map(|e| e - expected[1]);
            let change = next.iter().zip(&rule.relative).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            rule.relative = next;
            rule.value = expected[1];
            if change < TOLERANCE * sigma {
                break;
            }
        }
        rule
    }

    /// The new position when `r` is seen and `position` held.
    #[must_use]
    pub fn act(&self, r: f64, position: f64) -> f64 {
        self.best(r, position).0
    }

    fn best(&self, r: f64, position: f64) -> (f64, f64) {
        let mut best = (position, f64::NEG_INFINITY);
        for (x, ahead) in [-self.cap, 0.0, self.cap].into_iter().zip(self.relative) {
            let worth = r * x - self.lambda * x * x - self.psi * (x - position).abs() + ahead;
            if worth > best.1 {
                best = (x, worth);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known values of the base parameters, recomputed and checked by simulation elsewhere.
    #[test]
    fn the_quadratic_optimum() {
        let market = SignalMarket::quadratic();
        let best = LinearPolicy::optimal(&market).unwrap();
        assert!((best.k - 0.582_109_2).abs() < 1e-7 && (best.b - 0.611_328_5).abs() < 1e-7);
        assert!((best.value(&market).unwrap() - 0.675_804_8).abs() < 1e-7);
        // g* = V / (4D(1 − kρ)²).
        let d = 1.0 / best.k;
        let closed = market.signal.variance() / (4.0 * d * (1.0 - best.k * 0.9).powi(2));
        assert!((best.value(&market).unwrap() - closed).abs() < 1e-12);
        // Myopic and Markowitz rungs.
        let myopic = LinearPolicy { k: 2.0 / 2.6, b: 1.0 / 2.6 };
        assert!((myopic.value(&market).unwrap() - 0.629_29).abs() < 1e-5);
        let markowitz = LinearPolicy { k: 0.0, b: 1.0 / 0.6 };
        assert!((markowitz.value(&market).unwrap() - 0.292_40).abs() < 1e-5);
    }

    #[test]
    fn the_proportional_optimum() {
        let policy = ThresholdPolicy::optimal(&SignalMarket::proportional()).unwrap();
        assert!((policy.value() - 0.8604).abs() < 1e-4, "{}", policy.value());
        assert!((policy.threshold() - 0.9169).abs() < 1e-4, "{}", policy.threshold());
        let kind = MarketKind::Proportional { psi: 1.0, cap: 1.0 };
        let policy =
            ThresholdPolicy::optimal(&SignalMarket { kind, ..SignalMarket::proportional() }).unwrap();
        assert!((policy.value() - 0.659_74).abs() < 1e-5, "{}", policy.value());
        assert!((policy.threshold() - 0.441_86).abs() < 1e-5, "{}", policy.threshold());
    }

    /// E(|r| − ψ)₊ of a normal is 2(σ φ(ψ/σ) − ψ(1 − Φ(ψ/σ))).
    #[test]
    fn the_oracle_optimum_without_risk_is_closed() {
        let (sigma, psi, cap) = (0.01, 0.004, 1.0);
        let rule = OracleRule::optimal(sigma, 0.0, psi, cap);
        let t: f64 = psi / sigma;
        let upper = 0.5 * libm::erfc(t / std::f64::consts::SQRT_2);
        let closed = 2.0 * cap * (sigma * normal_density(t) - psi * upper);
        assert!((rule.value / closed - 1.0).abs() < 1e-5, "{} {closed}", rule.value);
        assert_eq!([rule.act(0.005, -1.0), rule.act(0.003, -1.0), rule.act(-0.005, 1.0)], [1.0, -1.0, -1.0]);
        // At ρ = 0 market B's fixed point agrees.
        let signal = Signal { rho: 0.0, s: sigma };
        let market = SignalMarket { signal, kind: MarketKind::Proportional { psi, cap } };
        let fixed = ThresholdPolicy::optimal(&market).unwrap();
        assert!((fixed.value() / closed - 1.0).abs() < 1e-4 && (fixed.threshold() / psi - 1.0).abs() < 1e-6);
    }
}
