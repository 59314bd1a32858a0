//! Rewards in units of their returns: divided by the running deviation of the discounted return (Engstrom et al. 2020,
//! "Implementation matters in deep policy gradients", arXiv 2005.12729, section 3).

use cambist_core::End;
use serde::{Deserialize, Serialize};

use crate::tape::Tape;

/// Scaled rewards lie within this many deviations.
const BOUND: f32 = 10.0;

/// The running deviation. It is fed whole rollouts in order of their rows, so that threads change nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardScale {
    gamma: f64,
    /// Discounted return of every environment, so far.
    returns: Vec<f64>,
    n: f64,
    mean: f64,
    squares: f64,
}

impl RewardScale {
    /// Nothing seen of `n_envs` environments.
    #[must_use]
    pub fn new(n_envs: usize, gamma: f32) -> Self {
        Self { gamma: f64::from(gamma), returns: vec![0.0; n_envs], n: 0.0, mean: 0.0, squares: 0.0 }
    }

    /// What rewards are divided by; one before anything was seen.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        let variance = self.squares / self.n;
        if self.n > 1.0 && variance > 0.0 { variance.sqrt() } else { 1.0 }
    }

    /// Every episode begins anew.
    pub fn restart(&mut self) {
        self.returns.fill(0.0);
    }

    /// Takes in the rewards of `tape` (Welford 1962) and scales them; rewards that are no numbers are left as they are, for
    /// the update to refuse.
    pub fn apply(&mut self, tape: &mut Tape) {
        if tape.rewards.iter().any(|r| !r.is_finite()) {
            return;
        }
        for (row, (&reward, end)) in tape.rewards.iter().zip(&tape.ends).enumerate() {
            let discounted = &mut self.returns[row % tape.n_envs];
            *discounted = *discounted * self.gamma + f64::from(reward);
            let value = *discounted;
            if *end != End::Running {
                *discounted = 0.0;
            }
            self.n += 1.0;
            let off = value - self.mean;
            self.mean += off / self.n;
            self.squares += off * (value - self.mean);
        }
        let scale = (1.0 / self.deviation()) as f32;
        tape.rewards.iter_mut().for_each(|r| *r = (*r * scale).clamp(-BOUND, BOUND));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::TapeShape;

    /// Rewards ±3 with γ = 0: the deviation is 3 and the scaled rewards are ±1.
    #[test]
    fn rewards_come_in_units_of_their_deviation() {
        let shape = TapeShape {
            n_envs: 4,
            horizon: 50,
            observation: 1,
            action: 1,
            mask: 0,
            state: 0,
            sequence_length: 1,
            burn_in: 0,
        };
        let mut tape = Tape::new(shape);
        for (row, reward) in tape.rewards.iter_mut().enumerate() {
            *reward = if row % 2 == 0 { 3.0 } else { -3.0 };
        }
        let mut scale = RewardScale::new(4, 0.0);
        scale.apply(&mut tape);
        assert!((scale.deviation() - 3.0).abs() < 1e-9);
        assert!(tape.rewards.iter().all(|r| (r.abs() - 1.0).abs() < 1e-6));
    }
}
