//! Rewards in units of their returns: divided by the running deviation of the discounted return (Engstrom et al. 2020,
//! "Implementation matters in deep policy gradients", arXiv 2005.12729, section 3). Only rollouts of the training are scaled:
//! evaluation and backtests count money, so the scale is no part of an artefact.

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

    /// Environments it has seen.
    #[must_use]
    pub fn n_envs(&self) -> usize {
        self.returns.len()
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

    fn tape(n_envs: usize, rewards: &[f32], ends: &[End]) -> Tape {
        let (observation, action, horizon) = (1, 1, rewards.len() / n_envs);
        let shape = TapeShape {
            n_envs,
            horizon,
            observation,
            action,
            mask: 0,
            state: 0,
            sequence_length: 1,
            burn_in: 0,
            compared: false,
        };
        let mut tape = Tape::new(shape);
        tape.rewards.copy_from_slice(rewards);
        tape.ends.copy_from_slice(ends);
        tape
    }

    /// Two environments, γ = ½, by hand: env 0 earns 4, 2 | 6 (its episode ends after the second step), env 1 earns
    /// −8, 0, 100. Discounted returns, step by step: (4, −8), (2 + ½·4, ½·(−8)), (6, 100 − 2) = 4, −8, 4, −4, 6, 98 with
    /// mean 100/6 and mean square 9752/6. A reward of 100 is more than ten deviations of the first two steps' returns.
    #[test]
    fn returns_are_discounted_and_end_with_their_episodes() {
        use End::{Running, Truncated};
        let mut scale = RewardScale::new(2, 0.5);
        let mut first = tape(2, &[4.0, -8.0, 2.0, 0.0], &[Running, Running, Truncated, Running]);
        scale.apply(&mut first);
        // 4, −8, 4, −4: mean −1, mean square 28.
        let deviation = 27.0f64.sqrt();
        assert!((scale.deviation() - deviation).abs() < 1e-12);
        assert!((f64::from(first.rewards[1]) + 8.0 / deviation).abs() < 1e-6);
        let mut second = tape(2, &[6.0, 100.0], &[Running, Running]);
        scale.apply(&mut second);
        let deviation = (9752.0f64 / 6.0 - (100.0f64 / 6.0).powi(2)).sqrt();
        assert!((scale.deviation() - deviation).abs() < 1e-12);
        // What restarts has no past, but its scale: 1e6 is bounded.
        scale.restart();
        let mut third = tape(2, &[1e6, 0.0], &[Running, Running]);
        scale.apply(&mut third);
        let returns = [4.0, -8.0, 4.0, -4.0, 6.0, 98.0, 1e6, 0.0];
        let mean = returns.iter().sum::<f64>() / 8.0;
        let variance = returns.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / 8.0;
        assert!((scale.deviation() / variance.sqrt() - 1.0).abs() < 1e-12);
        let mut many = tape(1, &vec![0.0; 10_000], &vec![Running; 10_000]);
        let mut calm = RewardScale::new(1, 0.0);
        many.rewards[9_999] = 7.0;
        calm.apply(&mut many);
        assert_eq!(many.rewards[9_999], 10.0, "a hundred deviations");
    }

    /// Rewards ±3 with γ = 0: the deviation is 3 and the scaled rewards are ±1.
    #[test]
    fn rewards_come_in_units_of_their_deviation() {
        let rewards: Vec<f32> = (0..200).map(|row| if row % 2 == 0 { 3.0 } else { -3.0 }).collect();
        let mut tape = tape(4, &rewards, &[End::Running; 200]);
        let mut scale = RewardScale::new(4, 0.0);
        scale.apply(&mut tape);
        assert!((scale.deviation() - 3.0).abs() < 1e-9);
        assert!(tape.rewards.iter().all(|r| (r.abs() - 1.0).abs() < 1e-6));
    }
}
