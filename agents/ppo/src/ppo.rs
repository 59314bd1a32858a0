//! Proximal policy optimisation (Schulman, Wolski, Dhariwal, Radford & Klimov 2017, arXiv 1707.06347), with the
//! details that matter (Huang et al. 2022, "The 37 implementation details of proximal policy optimization").
//!
//! Symbols are the papers': `r` the ratio of probabilities, `ε` the clip, `Â` the advantage, `γ`, `λ`, `δ`.

use cambist_core::End;
use cambist_core::rng::{Purpose, Stream};
use cambist_nets::{LearnError, Learner, OutputLoss, Rows, Step, Sums, TileGradients, TileOutputs};
use cambist_policy::head::{HALF_LN_TAU, Head, log_sum_exp, normal_log_density};
use cambist_policy::math;
use serde::{Deserialize, Serialize};

use crate::rollout::Tape;

/// How the learning rate moves over a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls in a straight line to zero.
    Linear,
}

/// The numbers of the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PpoConfig {
    /// Steps each environment takes between updates.
    pub horizon: usize,
    /// Passes over a rollout.
    pub n_epochs: usize,
    /// Rows in a gradient.
    pub minibatch_size: usize,
    /// γ, the discount of a step.
    pub gamma: f32,
    /// λ of generalised advantage estimation.
    pub gae_lambda: f32,
    /// ε of the ratio.
    pub clip_range: f32,
    /// ε of the value, or 0 for no clip.
    pub clip_range_value: f32,
    /// Weight of the value loss.
    pub value_coefficient: f32,
    /// Weight of the entropy bonus.
    pub entropy_coefficient: f32,
    /// Learning rate at the start.
    pub learning_rate: f32,
    /// How it moves.
    pub schedule: Schedule,
    /// Bound of the gradient's norm.
    pub max_grad_norm: f32,
    /// An update stops when the approximate KL divergence passes 1.5 times this; 0 for never.
    pub target_kl: f32,
    /// Whether advantages are scaled to zero mean and unit deviation in each minibatch.
    pub normalise_advantage: bool,
}

/// Means over an update, under their usual names.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct UpdateStats {
    /// Clipped surrogate, as a loss.
    pub policy_loss: f64,
    /// Half the squared error of the value.
    pub value_loss: f64,
    /// Entropy of the policy, in nats.
    pub entropy: f64,
    /// E[(r − 1) − ln r], which estimates the KL divergence from the policy that collected.
    pub approx_kl: f64,
    /// Share of ratios that the clip holds.
    pub clip_fraction: f64,
    /// 1 − Var(return − value) / Var(return).
    pub explained_variance: f64,
    /// Gradient norm before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Mean deviation of a Gaussian policy; zero for others.
    pub policy_std: f64,
    /// Epochs begun before the KL divergence stopped the update.
    pub n_epochs: usize,
}

/// What [`advantages`] reads of one environment, in order of time.
#[derive(Debug, Clone, Copy)]
pub struct Trajectory<'a> {
    /// r_t.
    pub rewards: &'a [f32],
    /// V(s_t).
    pub values: &'a [f32],
    /// V(s_{t+1}): of the terminal observation when truncated, anything when terminated.
    pub next_values: &'a [f32],
    /// How the episode stood after t.
    pub ends: &'a [End],
}

/// Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, eq. 16):
/// `δ_t = r_t + γ V(s_{t+1}) − V(s_t)`, `Â_t = δ_t + γλ Â_{t+1}`. The value after a termination is zero, after a
/// truncation that of the terminal observation; neither lets a later episode's advantage through.
pub fn advantages(t: &Trajectory<'_>, gamma: f32, lambda: f32, out: &mut [f32]) {
    let mut next_advantage = 0.0;
    for i in (0..t.rewards.len()).rev() {
        let (next_value, carry) = match t.ends[i] {
            End::Running => (t.next_values[i], next_advantage),
            End::Truncated => (t.next_values[i], 0.0),
            End::Terminated => (0.0, 0.0),
        };
        let delta = t.rewards[i] + gamma * next_value - t.values[i];
        next_advantage = delta + gamma * lambda * carry;
        out[i] = next_advantage;
    }
}

/// The clipped objective of one minibatch (eq. 9): `−L^CLIP + c₁ L^VF − c₂ S`, averaged over `n` rows.
pub struct Objective<'a> {
    /// The numbers.
    pub config: &'a PpoConfig,
    /// What collected.
    pub tape: &'a Tape,
    /// The policy's head.
    pub head: Head,
    /// Rows in the minibatch.
    pub n: usize,
    /// Mean of the minibatch's advantages.
    pub advantage_mean: f32,
    /// One over their deviation.
    pub advantage_scale: f32,
}

/// Places in the sums.
const POLICY_LOSS: usize = 0;
const VALUE_LOSS: usize = 1;
const ENTROPY: usize = 2;
const APPROX_KL: usize = 3;
const CLIPPED: usize = 4;

impl OutputLoss for Objective<'_> {
    fn tile(&self, outputs: &TileOutputs<'_>, gradients: &mut TileGradients<'_>, sums: &mut Sums) {
        let (width, action_width) = (self.head.width(), self.head.action_width());
        for (row, &index) in outputs.indices.iter().enumerate() {
            let index = index as usize;
            let head = &outputs.head[row * width..(row + 1) * width];
            let d_head = &mut gradients.head[row * width..(row + 1) * width];
            let action = &self.tape.actions[index * action_width..(index + 1) * action_width];
            let log_probability = match self.head {
                Head::Categorical { .. } => head[action[0] as usize] - log_sum_exp(head, |_| true),
                Head::Gaussian { .. } => gaussian_log_probability(action, head, outputs.log_deviation),
            };
            let d_log_probability = self.surrogate(index, log_probability, sums) / self.n as f32;
            let d_entropy = -self.config.entropy_coefficient / self.n as f32;
            sums[ENTROPY] += f64::from(match self.head {
                Head::Categorical { .. } => {
                    categorical_row(head, action, d_log_probability, d_entropy, d_head)
                }
                Head::Gaussian { .. } => {
                    let log_dev = outputs.log_deviation;
                    gaussian_row(
                        head,
                        log_dev,
                        action,
                        d_log_probability,
                        d_entropy,
                        d_head,
                        gradients.log_deviation,
                    )
                }
            });
            let d_value = self.value_loss(index, outputs.values[row], sums);
            gradients.values[row] = self.config.value_coefficient * d_value / self.n as f32;
        }
    }
}

impl Objective<'_> {
    /// `−min(r Â, clip(r, 1 − ε, 1 + ε) Â)` (eq. 7); returns its derivative by the log probability.
    fn surrogate(&self, index: usize, log_probability: f32, sums: &mut Sums) -> f32 {
        let epsilon = self.config.clip_range;
        let advantage = (self.tape.advantages[index] - self.advantage_mean) * self.advantage_scale;
        let log_ratio = log_probability - self.tape.log_probabilities[index];
        let ratio = math::exp(log_ratio);
        let (plain, clipped) = (ratio * advantage, ratio.clamp(1.0 - epsilon, 1.0 + epsilon) * advantage);
        sums[POLICY_LOSS] -= f64::from(plain.min(clipped));
        sums[APPROX_KL] += f64::from((ratio - 1.0) - log_ratio);
        sums[CLIPPED] += f64::from(u8::from((ratio - 1.0).abs() > epsilon));
        if plain <= clipped { -plain } else { 0.0 }
    }

    /// Half the squared error of the value, the larger of plain and clipped; returns its derivative by the value.
    fn value_loss(&self, index: usize, value: f32, sums: &mut Sums) -> f32 {
        let old = self.tape.values[index];
        let target = old + self.tape.advantages[index];
        let plain = value - target;
        let epsilon = self.config.clip_range_value;
        let (mut error, mut derivative) = (plain, plain);
        if epsilon > 0.0 {
            let moved = (value - old).clamp(-epsilon, epsilon);
            let clipped = old + moved - target;
            if clipped.abs() > plain.abs() {
                error = clipped;
                derivative = if (value - old).abs() < epsilon { clipped } else { 0.0 };
            }
        }
        sums[VALUE_LOSS] += 0.5 * f64::from(error * error);
        derivative
    }
}

fn gaussian_log_probability(action: &[f32], mean: &[f32], log_deviation: &[f32]) -> f32 {
    action.iter().zip(mean).zip(log_deviation).map(|((&a, &m), &l)| normal_log_density(a, m, l)).sum()
}

/// Derivatives by logits z: `∂ ln p_a / ∂z_j = 1[j = a] − p_j`, `∂H / ∂z_j = −p_j (ln p_j + H)`. Returns H.
fn categorical_row(
    logits: &[f32],
    action: &[f32],
    d_log_p: f32,
    d_entropy: f32,
    d_logits: &mut [f32],
) -> f32 {
    let total = log_sum_exp(logits, |_| true);
    let entropy: f32 = logits.iter().map(|z| -math::exp(z - total) * (z - total)).sum();
    for (j, (d, z)) in d_logits.iter_mut().zip(logits).enumerate() {
        let p = math::exp(z - total);
        let chosen = if j == action[0] as usize { 1.0 } else { 0.0 };
        *d = d_log_p * (chosen - p) - d_entropy * p * (z - total + entropy);
    }
    entropy
}

/// Derivatives by mean and log deviation: `∂ ln p / ∂μ = (a − μ)/σ²`, `∂ ln p / ∂ ln σ = z² − 1`, `∂H / ∂ ln σ = 1`.
/// Returns H.
fn gaussian_row(
    mean: &[f32],
    log_deviation: &[f32],
    action: &[f32],
    d_log_p: f32,
    d_entropy: f32,
    d_mean: &mut [f32],
    d_log_deviation: &mut [f32],
) -> f32 {
    let mut entropy = 0.0;
    for j in 0..mean.len() {
        let inverse = math::exp(-log_deviation[j]);
        let z = (action[j] - mean[j]) * inverse;
        d_mean[j] = d_log_p * z * inverse;
        d_log_deviation[j] += d_log_p * (z * z - 1.0) + d_entropy;
        entropy += log_deviation[j] + HALF_LN_TAU + 0.5;
    }
    entropy
}

/// One update: `n_epochs` passes over the tape in shuffled minibatches. `progress` in [0, 1] is how much of the training
/// is done, `update` its number; both only move the schedule and the shuffle.
///
/// # Errors
/// When a gradient is not finite.
pub fn update(
    learner: &mut dyn Learner,
    tape: &mut Tape,
    config: &PpoConfig,
    seed: u64,
    update: u64,
    progress: f64,
) -> Result<UpdateStats, LearnError> {
    tape.estimate_advantages(config.gamma, config.gae_lambda);
    let learning_rate = match config.schedule {
        Schedule::Constant => config.learning_rate,
        Schedule::Linear => config.learning_rate * (1.0 - progress) as f32,
    };
    let mut stats = UpdateStats {
        explained_variance: tape.explained_variance(),
        learning_rate: f64::from(learning_rate),
        ..UpdateStats::default()
    };
    let mut order: Vec<u32> = (0..tape.n_rows() as u32).collect();
    let mut n_minibatches = 0.0;
    'epochs: for epoch in 0..config.n_epochs {
        stats.n_epochs = epoch + 1;
        Stream::new(seed, Purpose::Shuffle, update * config.n_epochs as u64 + epoch as u64)
            .shuffle(&mut order);
        for indices in order.chunks(config.minibatch_size) {
            let (advantage_mean, advantage_scale) =
                advantage_moments(tape, indices, config.normalise_advantage);
            let head = learner.agent().spec().head;
            let n = indices.len();
            let objective = Objective { config, tape, head, n, advantage_mean, advantage_scale };
            let sums = learner.gradient(Rows { observations: &tape.observations, indices }, &objective);
            let mean = |place: usize| sums[place] / n as f64;
            stats.policy_loss += mean(POLICY_LOSS);
            stats.value_loss += mean(VALUE_LOSS);
            stats.entropy += mean(ENTROPY);
            stats.approx_kl += mean(APPROX_KL);
            stats.clip_fraction += mean(CLIPPED);
            n_minibatches += 1.0;
            if config.target_kl > 0.0 && mean(APPROX_KL) > 1.5 * f64::from(config.target_kl) {
                break 'epochs;
            }
            let norm = learner.step(Step { learning_rate, max_norm: config.max_grad_norm })?;
            stats.gradient_norm += f64::from(norm);
        }
    }
    for sum in [
        &mut stats.policy_loss,
        &mut stats.value_loss,
        &mut stats.entropy,
        &mut stats.approx_kl,
        &mut stats.clip_fraction,
        &mut stats.gradient_norm,
    ] {
        *sum /= f64::max(n_minibatches, 1.0);
    }
    let deviations = learner.agent().log_deviation();
    if !deviations.is_empty() {
        let sum: f32 = deviations.iter().map(|&l| math::exp(l)).sum();
        stats.policy_std = f64::from(sum) / deviations.len() as f64;
    }
    Ok(stats)
}

/// Mean and inverse deviation of a minibatch's advantages, or what leaves them alone.
fn advantage_moments(tape: &Tape, indices: &[u32], normalise: bool) -> (f32, f32) {
    if !normalise || indices.len() < 2 {
        return (0.0, 1.0);
    }
    let values = || indices.iter().map(|&i| f64::from(tape.advantages[i as usize]));
    let n = indices.len() as f64;
    let mean = values().sum::<f64>() / n;
    let deviation = (values().map(|a| (a - mean) * (a - mean)).sum::<f64>() / (n - 1.0)).sqrt();
    (mean as f32, (1.0 / (deviation + 1e-8)) as f32)
}
