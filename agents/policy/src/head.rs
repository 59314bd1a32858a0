//! From a network's outputs to actions and their probabilities.

use cambist_core::rng::Stream;
use serde::{Deserialize, Serialize};

use crate::kernels::{Instructions, Work, with};
use crate::math;

/// Half of ln 2π.
pub const HALF_LN_TAU: f32 = 0.918_938_5;

/// A distribution over actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Head {
    /// `n` choices with logits.
    Categorical {
        /// Number of choices.
        n: usize,
    },
    /// Independent normals with means from the network and one learned log deviation each.
    Gaussian {
        /// Length of the action.
        dim: usize,
    },
}

impl Head {
    /// Numbers it takes from the network.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Categorical { n } => n,
            Self::Gaussian { dim } => dim,
        }
    }

    /// Floats in an action.
    #[must_use]
    pub fn action_width(self) -> usize {
        match self {
            Self::Categorical { .. } => 1,
            Self::Gaussian { dim } => dim,
        }
    }

    /// Parameters of its own: the log deviations.
    #[must_use]
    pub fn n_parameters(self) -> usize {
        match self {
            Self::Categorical { .. } => 0,
            Self::Gaussian { dim } => dim,
        }
    }

    /// Chooses an action for every row of `outputs` `[n × width]`, with the head's `log_deviation`, and writes its log
    /// probability. Without `draws` it is the most probable one. Masked choices have probability zero. Logits become log
    /// probabilities.
    #[expect(clippy::too_many_arguments, reason = "a distribution, how to draw from it, and two answers")]
    pub fn act(
        self,
        isa: Instructions,
        draws: Option<Draws>,
        outputs: &mut [f32],
        log_deviation: &[f32],
        mask: Option<&[bool]>,
        actions: &mut [f32],
        log_probabilities: &mut [f32],
    ) {
        match self {
            Self::Categorical { n } => {
                log_softmax(isa, n, outputs, mask);
                let rows = outputs.chunks_exact(n).zip(actions).zip(log_probabilities).enumerate();
                let mut uniforms = [0.0; TILE];
                for (row, ((log_p, action), log_probability)) in rows {
                    let choice = if let Some(draws) = &draws {
                        if row % TILE == 0 {
                            draws.uniforms(isa, row, &mut uniforms);
                        }
                        drawn(log_p, uniforms[row % TILE])
                    } else {
                        most_probable(log_p)
                    };
                    *action = choice as f32;
                    *log_probability = log_p[choice];
                }
            }
            Self::Gaussian { dim } => {
                let rows = outputs.chunks_exact(dim).zip(actions.chunks_exact_mut(dim));
                for (row, ((means, action), out)) in rows.zip(log_probabilities).enumerate() {
                    let mut stream = draws.as_ref().map(|d| d.0.neighbour(row as u64));
                    *out = 0.0;
                    for ((a, &mean), &log_dev) in action.iter_mut().zip(means).zip(log_deviation) {
                        let z = stream.as_mut().map_or(0.0, |s| s.normal() as f32);
                        *a = math::exp(log_dev).mul_add(z, mean);
                        *out += normal_log_density(*a, mean, log_dev);
                    }
                }
            }
        }
    }
}

/// Where draws come from: the stream of the first row, whose neighbours are the other rows'.
#[derive(Debug, Clone)]
pub struct Draws(pub Stream);

/// Rows whose columns are worked on side by side.
const TILE: usize = 64;

impl Draws {
    /// One uniform draw for each of the rows from `first` on.
    fn uniforms(&self, isa: Instructions, first: usize, out: &mut [f32; TILE]) {
        struct Uniforms<'a>(&'a Stream, u64, &'a mut [f32; TILE]);
        impl Work for Uniforms<'_> {
            type Output = ();
            #[inline(always)]
            fn run(self) {
                for (row, out) in self.2.iter_mut().enumerate() {
                    *out = self.0.neighbours_uniform(self.1 + row as u64);
                }
            }
        }
        with(isa, Uniforms(&self.0, first as u64, out));
    }
}

/// Rows of `n` logits become log probabilities; masked entries become −∞ in all but name: [`FORBIDDEN`]. At least one entry
/// a row must be allowed, as the policy's contract says.
pub fn log_softmax(isa: Instructions, n: usize, rows: &mut [f32], mask: Option<&[bool]>) {
    struct Normalise<'a>(usize, &'a mut [f32]);
    impl Work for Normalise<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(n, rows) = self;
            for rows in rows.chunks_mut(n * TILE) {
                let mut totals = [0.0f32; TILE];
                let mut largest = [f32::NEG_INFINITY; TILE];
                let count = rows.len() / n;
                for j in 0..n {
                    for (row, top) in largest[..count].iter_mut().enumerate() {
                        *top = top.max(rows[row * n + j]);
                    }
                }
                for j in 0..n {
                    for (row, total) in totals[..count].iter_mut().enumerate() {
                        *total += math::exp(rows[row * n + j] - largest[row]);
                    }
                }
                for (total, top) in totals.iter_mut().zip(&largest) {
                    *total = top + math::ln(*total);
                }
                for j in 0..n {
                    for row in 0..count {
                        // What is no number stays none, so that a learner hears of it.
                        let log_p = rows[row * n + j] - totals[row];
                        rows[row * n + j] = if log_p < FORBIDDEN { FORBIDDEN } else { log_p };
                    }
                }
            }
        }
    }
    if let Some(mask) = mask {
        rows.iter_mut().zip(mask).filter(|(_, allowed)| !**allowed).for_each(|(z, _)| *z = FORBIDDEN);
    }
    with(isa, Normalise(n, rows));
}

/// Log probability of what cannot happen: its exponential is below any other's rounding.
pub const FORBIDDEN: f32 = -1e4;

/// Log density of a normal at `x`.
#[inline(always)]
#[must_use]
pub fn normal_log_density(x: f32, mean: f32, log_deviation: f32) -> f32 {
    let z = (x - mean) * math::exp(-log_deviation);
    -0.5 * z * z - log_deviation - HALF_LN_TAU
}

/// The first of the largest entries.
fn most_probable(x: &[f32]) -> usize {
    let mut best = 0;
    for (index, &value) in x.iter().enumerate() {
        if value > x[best] {
            best = index;
        }
    }
    best
}

/// The choice at `uniform` on the cumulated probabilities; never a forbidden one.
fn drawn(log_p: &[f32], uniform: f32) -> usize {
    let (mut left, mut last) = (uniform, 0);
    for (index, &value) in log_p.iter().enumerate() {
        if value > FORBIDDEN {
            last = index;
            left -= math::exp(value);
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_core::rng::Purpose;

    #[test]
    fn categorical_probabilities_are_the_softmax() {
        // Probabilities 1/7, 2/7, 4/7.
        let logits = [0.0, 2f32.ln_table(), 4f32.ln_table()];
        let head = Head::Categorical { n: 3 };
        let isa = Instructions::detect();
        let n = 70_000;
        let (mut actions, mut log_p) = (vec![0.0; n], vec![0.0; n]);
        let mut act = |sampled: bool, mask: Option<[bool; 3]>| {
            let mask = mask.map(|m| m.repeat(n));
            let draws = sampled.then(|| Draws(Stream::new(1, Purpose::Check, 0)));
            let mut outputs = logits.repeat(n);
            head.act(isa, draws, &mut outputs, &[], mask.as_deref(), &mut actions, &mut log_p);
            actions.iter().map(|&a| a as usize).zip(log_p.iter().copied()).collect::<Vec<_>>()
        };
        let mut counts = [0u32; 3];
        for (choice, logp) in act(true, None) {
            counts[choice] += 1;
            let wanted = [1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0f64][choice];
            assert!((f64::from(logp) - libm::log(wanted)).abs() < 1e-6);
        }
        for (count, wanted) in counts.iter().zip([10_000.0, 20_000.0, 40_000.0]) {
            assert!((f64::from(*count) - wanted).abs() < 600.0, "{counts:?}");
        }
        assert!(act(false, Some([true, true, false])).iter().all(|(choice, _)| *choice == 1));
        let thirds = libm::log(1.0 / 3.0);
        for (choice, logp) in act(true, Some([true, true, false])) {
            let wanted = [thirds, thirds + libm::log(2.0)][choice];
            assert!((f64::from(logp) - wanted).abs() < 1e-6);
        }
        assert!(act(true, Some([false, true, false])).iter().all(|(c, logp)| *c == 1 && logp.abs() < 1e-6));
    }

    trait LnTable {
        fn ln_table(self) -> f32;
    }
    impl LnTable for f32 {
        fn ln_table(self) -> f32 {
            libm::logf(self)
        }
    }

    /// Densities of the standard normal from the tables: φ(0) = 0.398942, φ(1) = 0.241971, φ(2) = 0.053991.
    #[test]
    fn normal_densities_are_the_tables() {
        for (x, density) in [(0.0, 0.398_942), (1.0, 0.241_971), (-2.0, 0.053_991)] {
            assert!((libm::expf(normal_log_density(x, 0.0, 0.0)) - density).abs() < 1e-6);
            // Mean 3, deviation 2.
            let scaled = normal_log_density(3.0 + 2.0 * x, 3.0, std::f32::consts::LN_2);
            assert!((libm::expf(scaled) - density / 2.0).abs() < 1e-6);
        }
    }
}
