//! From a network's outputs to actions and their probabilities.

use cambist_core::policy::ActionMode;
use cambist_core::rng::Stream;
use serde::{Deserialize, Serialize};

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

    /// Chooses an action from the network's `outputs` and the head's `log_deviation`, and returns its log probability.
    /// A draw takes from `stream`; masked choices have probability zero.
    pub fn act(
        self,
        mode: ActionMode,
        outputs: &[f32],
        log_deviation: &[f32],
        mask: Option<&[bool]>,
        stream: &mut Stream,
        action: &mut [f32],
    ) -> f32 {
        match self {
            Self::Categorical { .. } => {
                let allowed = |choice: usize| mask.is_none_or(|m| m[choice]);
                let choice = match mode {
                    ActionMode::Greedy => most_probable(outputs, allowed),
                    ActionMode::Sampled => drawn(outputs, allowed, stream.uniform_f32()),
                };
                action[0] = choice as f32;
                outputs[choice] - log_sum_exp(outputs, allowed)
            }
            Self::Gaussian { .. } => {
                let mut log_probability = 0.0;
                for ((a, &mean), &log_dev) in action.iter_mut().zip(outputs).zip(log_deviation) {
                    let z = match mode {
                        ActionMode::Greedy => 0.0,
                        ActionMode::Sampled => stream.normal() as f32,
                    };
                    *a = math::exp(log_dev).mul_add(z, mean);
                    log_probability += normal_log_density(*a, mean, log_dev);
                }
                log_probability
            }
        }
    }
}

/// Log density of a normal at `x`.
#[must_use]
pub fn normal_log_density(x: f32, mean: f32, log_deviation: f32) -> f32 {
    let z = (x - mean) * math::exp(-log_deviation);
    -0.5 * z * z - log_deviation - HALF_LN_TAU
}

/// `ln Σ e^x` over the allowed entries.
pub fn log_sum_exp(x: &[f32], allowed: impl Fn(usize) -> bool) -> f32 {
    let entries = || x.iter().enumerate().filter(|(i, _)| allowed(*i)).map(|(_, &v)| v);
    let largest = entries().fold(f32::NEG_INFINITY, f32::max);
    largest + math::ln(entries().map(|v| math::exp(v - largest)).sum())
}

/// The first of the largest allowed entries.
fn most_probable(x: &[f32], allowed: impl Fn(usize) -> bool) -> usize {
    let mut best = None;
    for (index, &value) in x.iter().enumerate().filter(|(i, _)| allowed(*i)) {
        if best.is_none_or(|(_, top)| value > top) {
            best = Some((index, value));
        }
    }
    best.map_or(0, |(index, _)| index)
}

/// The choice at `uniform` on the cumulated probabilities.
fn drawn(x: &[f32], allowed: impl Fn(usize) -> bool, uniform: f32) -> usize {
    let total = log_sum_exp(x, &allowed);
    let (mut left, mut last) = (uniform, 0);
    for (index, &value) in x.iter().enumerate().filter(|(i, _)| allowed(*i)) {
        last = index;
        left -= math::exp(value - total);
        if left < 0.0 {
            break;
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
        let mut stream = Stream::new(1, Purpose::Check, 0);
        let (mut counts, mut action) = ([0u32; 3], [0.0]);
        for _ in 0..70_000 {
            let logp = head.act(ActionMode::Sampled, &logits, &[], None, &mut stream, &mut action);
            let choice = action[0] as usize;
            counts[choice] += 1;
            let wanted = [1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0f64][choice];
            assert!((f64::from(logp) - libm::log(wanted)).abs() < 1e-6);
        }
        for (count, wanted) in counts.iter().zip([10_000.0, 20_000.0, 40_000.0]) {
            assert!((f64::from(*count) - wanted).abs() < 600.0, "{counts:?}");
        }
        head.act(ActionMode::Greedy, &logits, &[], Some(&[true, true, false]), &mut stream, &mut action);
        assert_eq!(action[0] as usize, 1);
        for _ in 0..1000 {
            let mask = [false, true, false];
            let logp = head.act(ActionMode::Sampled, &logits, &[], Some(&mask), &mut stream, &mut action);
            assert!(action[0] as usize == 1 && logp.abs() < 1e-6);
        }
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
