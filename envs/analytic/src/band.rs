//! The best policy under proportional cost and quadratic risk: a no-trade band.

use crate::optimum::{GRID_DEVIATIONS, normal_density};
use crate::quadrature::gauss_hermite;
use crate::{MarketKind, Signal, SignalMarket};

/// The optimum of market C. For each level x of the position, the marginal value of a unit before cost is the fixed point
/// `c(x, p) = p − 2λx + E[clip(c(x, p'), −ψ, ψ) | p]`: buy up to `x_b(p)`, where `c = ψ`; sell down to `x_s(p) = −x_b(−p)`;
/// between them hold.
#[derive(Debug, Clone, PartialEq)]
pub struct BandPolicy {
    grid: Vec<f64>,
    /// x_b at the grid's points.
    buy: Vec<f64>,
    value: f64,
}

/// Points of the signal's grid.
const POINTS: usize = 1601;
/// Levels of the position, from 0 to the frictionless optimum of the largest signal.
const LEVELS: usize = 481;
const NODES: usize = 41;
const TOLERANCE: f64 = 1e-10;

impl BandPolicy {
    /// Solves every level's fixed point, each from the level before. None for other markets, and where
    /// a fixed point is not reached.
    #[must_use]
    pub fn optimal(market: &SignalMarket) -> Option<Self> {
        let MarketKind::Banded { lambda, psi } = market.kind else { return None };
        let deviation = market.signal.variance().sqrt();
        let edge = GRID_DEVIATIONS * deviation;
        let step = 2.0 * edge / (POINTS - 1) as f64;
        let grid: Vec<f64> = (0..POINTS).map(|i| -edge + step * i as f64).collect();
        let top = edge / (2.0 * lambda);
        let levels: Vec<f64> = (0..LEVELS).map(|i| top * i as f64 / (LEVELS - 1) as f64).collect();
        let ahead = Ahead::new(&market.signal, &grid);
        let mut marginal = Vec::with_capacity(LEVELS);
        let mut c = grid.clone();
        for &x in &levels {
            if !ahead.solve(2.0 * lambda * x, psi, &grid, &mut c) {
                return None;
            }
            marginal.push(c.clone());
        }
        let buy = (0..POINTS).map(|i| buy_up_to(&levels, &marginal, i, psi)).collect();
        let width = levels[1] - levels[0];
        // g* = 2 E_p ∫₀^∞ (c(y, p) − ψ)₊ dy, by the symmetry c(−y, −p) = −c(y, p).
        let gain = |i: usize| -> f64 {
            let area = |l: usize| match (marginal[l][i] - psi, marginal[l + 1][i] - psi) {
                (a, b) if a > 0.0 && b > 0.0 => 0.5 * (a + b),
                // Values fall with the level: a triangle to where it crosses.
                (a, b) if a > 0.0 => 0.5 * a * a / (a - b),
                _ => 0.0,
            };
            width * (0..LEVELS - 1).map(area).sum::<f64>()
        };
        let weight = |i: usize| normal_density(grid[i] / deviation) * step / deviation;
        let value = 2.0 * (0..POINTS).map(|i| weight(i) * gain(i)).sum::<f64>();
        Some(Self { grid, buy, value })
    }

    /// What it earns a step, g*.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The band's edges under signal `p`: up to where to buy, and down to where to sell.
    #[must_use]
    pub fn edges(&self, p: f64) -> (f64, f64) {
        (self.buy_edge(p), -self.buy_edge(-p))
    }

    fn buy_edge(&self, p: f64) -> f64 {
        crate::optimum::interpolate(&self.grid, &self.buy, p)
    }

    /// The new position under signal `p`.
    #[must_use]
    pub fn act(&self, p: f64, position: f64) -> f64 {
        let (buy, sell) = self.edges(p);
        position.max(buy).min(sell)
    }
}

/// The largest level whose marginal value at grid point `i` is ψ; below zero by symmetry.
fn buy_up_to(levels: &[f64], marginal: &[Vec<f64>], i: usize, psi: f64) -> f64 {
    let mirrored = marginal[0].len() - 1 - i;
    let crossing = |value: &dyn Fn(usize) -> f64| {
        // Values fall with the level.
        let above = (0..levels.len()).take_while(|&l| value(l) >= psi).count();
        match above {
            0 => None,
            n if n == levels.len() => Some(levels[n - 1]),
            n => {
                let (high, low) = (value(n - 1), value(n));
                Some(levels[n - 1] + (high - psi) / (high - low) * (levels[n] - levels[n - 1]))
            }
        }
    };
    if let Some(level) = crossing(&|l| marginal[l][i]) {
        return level;
    }
    // c(−y, p) = −c(y, −p): the smallest y at which it is ψ.
    let reaches = (0..levels.len()).find(|&l| -marginal[l][mirrored] >= psi);
    match reaches {
        None => -levels[levels.len() - 1],
        Some(0) => 0.0,
        Some(l) => {
            let (low, high) = (-marginal[l - 1][mirrored], -marginal[l][mirrored]);
            -(levels[l - 1] + (psi - low) / (high - low) * (levels[l] - levels[l - 1]))
        }
    }
}

/// `E[f(p') | p]` on the grid as a table of places and weights: Gauss–Hermite nodes, linear between grid points.
struct Ahead {
    nodes: Vec<(usize, f64, f64)>,
    per_point: usize,
}

impl Ahead {
    fn new(signal: &Signal, grid: &[f64]) -> Self {
        let rule = gauss_hermite(NODES);
        let step = grid[1] - grid[0];
        let place = |x: f64| {
            let at = ((x - grid[0]) / step).clamp(0.0, (grid.len() - 1) as f64);
            let index = (at as usize).min(grid.len() - 2);
            (index, at - index as f64)
        };
        let mut nodes = Vec::with_capacity(grid.len() * NODES);
        for &p in grid {
            for &(z, weight) in &rule {
                let (index, share) = place(signal.rho * p + signal.s * z);
                nodes.push((index, share, weight));
            }
        }
        Self { nodes, per_point: NODES }
    }

    /// The fixed point of one level, from `c` on; false when it is not reached.
    fn solve(&self, drag: f64, psi: f64, grid: &[f64], c: &mut Vec<f64>) -> bool {
        for _ in 0..100_000 {
            let clipped = |i: usize, t: f64| (c[i] + t * (c[i + 1] - c[i])).clamp(-psi, psi);
            let expected = |nodes: &[(usize, f64, f64)]| -> f64 {
                nodes.iter().map(|&(i, t, w)| w * clipped(i, t)).sum()
            };
            let next: Vec<f64> = grid
                .iter()
                .zip(self.nodes.chunks_exact(self.per_point))
                .map(|(p, nodes)| p - drag + expected(nodes))
                .collect();
            let change = next.iter().zip(&*c).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            *c = next;
            if change < TOLERANCE {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// g* and points of the band at the base parameters, recomputed and checked by simulation elsewhere.
    #[test]
    fn the_banded_optimum() {
        let policy = BandPolicy::optimal(&SignalMarket::banded()).unwrap();
        assert!((policy.value() - 0.246_57).abs() < 6e-5, "{}", policy.value());
        for (p, edge) in [(1.0, 0.089), (1.5, 0.620), (2.0, 1.151), (2.5, 1.686), (3.0, 2.230)] {
            let (buy, _) = policy.edges(p);
            assert!((buy - edge).abs() < 2e-3, "{p}: {buy}");
            assert_eq!(policy.edges(-p).1, -buy);
        }
        assert!(policy.edges(0.0).0 < 0.0 && policy.edges(0.0).1 > 0.0);
    }
}
