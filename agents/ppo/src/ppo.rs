//! Proximal policy optimisation (Schulman, Wolski, Dhariwal, Radford & Klimov 2017, arXiv 1707.06347), with the
//! details that matter (Huang et al. 2022, "The 37 implementation details of proximal policy optimization").
//!
//! Symbols are the papers': `r` the ratio of probabilities, `ε` the clip, `Â` the advantage, `γ`, `λ`, `δ`.

use cambist_core::End;
use cambist_core::rng::{Purpose, Stream};
use cambist_nets::{Batch, LearnError, Learner, Step, Sums};
use cambist_policy::{Trunk, math};
use serde::{Deserialize, Serialize};

use crate::objective::{APPROX_KL, CLIPPED, ENTROPY, Objective, POLICY_LOSS, VALUE_LOSS};
use crate::tape::Tape;

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
    /// Whether rewards are divided by the running deviation of the discounted return.
    pub scale_rewards: bool,
    /// Steps a gradient flows back through, for networks with memory; the horizon must be a multiple.
    pub sequence_length: usize,
    /// Steps before a sequence that only bring the memory up to date.
    pub burn_in: usize,
    /// Environments in a row that live through the same path of the world, each compared with the others of its group
    /// ([`crate::group::group_baselines`]); 1 for none.
    pub path_group: usize,
}

impl PpoConfig {
    /// What makes these numbers unfit for `trunk`, if anything does.
    #[must_use]
    pub fn misfit(&self, trunk: Trunk) -> Option<String> {
        let Self { horizon, minibatch_size, sequence_length: length, burn_in, .. } = *self;
        if horizon == 0 || minibatch_size == 0 {
            return Some("the horizon and the minibatch must be at least 1".to_owned());
        }
        if self.path_group == 0 {
            return Some("a group of paths has at least one environment".to_owned());
        }
        if !trunk.remembers() {
            return None;
        }
        if length == 0 || !horizon.is_multiple_of(length) || !minibatch_size.is_multiple_of(length) {
            return Some(format!(
                "sequences of {length} steps must divide the horizon, {horizon}, and the minibatch, {minibatch_size}"
            ));
        }
        (burn_in > horizon)
            .then(|| format!("a burn-in of {burn_in} steps is longer than the horizon, {horizon}"))
    }
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

impl UpdateStats {
    /// The mean of several updates', epochs rounded down.
    #[must_use]
    pub fn mean(all: &[Self]) -> Self {
        let n = all.len().max(1);
        let of = |pick: fn(&Self) -> f64| all.iter().map(pick).sum::<f64>() / n as f64;
        Self {
            policy_loss: of(|s| s.policy_loss),
            value_loss: of(|s| s.value_loss),
            entropy: of(|s| s.entropy),
            approx_kl: of(|s| s.approx_kl),
            clip_fraction: of(|s| s.clip_fraction),
            explained_variance: of(|s| s.explained_variance),
            gradient_norm: of(|s| s.gradient_norm),
            learning_rate: of(|s| s.learning_rate),
            policy_std: of(|s| s.policy_std),
            n_epochs: all.iter().map(|s| s.n_epochs).sum::<usize>() / n,
        }
    }
}

/// What [`advantages`] reads: row `t · n_envs + env`.
#[derive(Debug, Clone, Copy)]
pub struct Trajectories<'a> {
    /// r_t.
    pub rewards: &'a [f32],
    /// V(s_t).
    pub values: &'a [f32],
    /// How the episode stood after t.
    pub ends: &'a [End],
    /// Where an episode was truncated: the value of its terminal observation.
    pub bootstraps: &'a [f32],
    /// `[n_envs]`: V(s) after the last row.
    pub last_values: &'a [f32],
}

/// Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, eq. 16):
/// `δ_t = r_t + γ V(s_{t+1}) − V(s_t)`, `Â_t = δ_t + γλ Â_{t+1}`. The value after a termination is zero, after a
/// truncation that of the terminal observation; neither lets a later episode's advantage through.
pub fn advantages(t: &Trajectories<'_>, gamma: f32, lambda: f32, out: &mut [f32]) {
    let n_envs = t.last_values.len();
    for row in (0..out.len()).rev() {
        let (next_value, carry) = match t.ends[row] {
            End::Running if row + n_envs < out.len() => (t.values[row + n_envs], out[row + n_envs]),
            End::Running => (t.last_values[row + n_envs - out.len()], 0.0),
            End::Truncated => (t.bootstraps[row], 0.0),
            End::Terminated => (0.0, 0.0),
        };
        let delta = t.rewards[row] + gamma * next_value - t.values[row];
        out[row] = delta + gamma * lambda * carry;
    }
}

/// One update: `n_epochs` passes over the tape in shuffled minibatches. `progress` in [0, 1] is how much of the training
/// is done, `update` its number; both only move the schedule and the shuffle, which is made on `n_threads`.
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
    n_threads: usize,
) -> Result<UpdateStats, LearnError> {
    let learning_rate = match config.schedule {
        Schedule::Constant => config.learning_rate,
        Schedule::Linear => config.learning_rate * (1.0 - progress) as f32,
    };
    let step = Step { learning_rate, max_norm: config.max_grad_norm };
    let orders = orders(tape.n_sequences(), config.n_epochs, seed, update, n_threads);
    let per_batch = (config.minibatch_size / tape.sequence_length()).max(1);
    let chunks: Vec<&[u32]> = orders.iter().flat_map(|order| order.chunks(per_batch)).collect();
    let head = learner.agent().spec().head;
    let objectives: Vec<Objective<'_>> =
        chunks.iter().map(|indices| Objective::new(config, tape, head, indices)).collect();
    let batches: Vec<Batch<'_>> =
        chunks.iter().zip(&objectives).map(|(indices, loss)| Batch { indices, loss }).collect();
    let (mut sums, mut n_seen, mut n_steps) = ([0.0; 5], 0usize, 0usize);
    let mut pace = |index: usize, batch: &Sums| {
        let n = objectives[index].n as f64;
        sums.iter_mut().zip(batch).for_each(|(sum, part)| *sum += part / n);
        n_seen += 1;
        let too_far = config.target_kl > 0.0 && batch[APPROX_KL] / n > 1.5 * f64::from(config.target_kl);
        n_steps += usize::from(!too_far);
        (!too_far).then_some(step)
    };
    let norms = learner.learn(tape.experience(), &batches, &mut pace)?;
    let per_epoch = tape.n_sequences().div_ceil(per_batch).max(1);
    let mean = |place: usize| sums[place] / n_seen.max(1) as f64;
    let deviations = learner.agent().log_deviation();
    let total: f32 = deviations.iter().map(|&l| math::exp(l)).sum();
    Ok(UpdateStats {
        policy_loss: mean(POLICY_LOSS),
        value_loss: mean(VALUE_LOSS),
        entropy: mean(ENTROPY),
        approx_kl: mean(APPROX_KL),
        clip_fraction: mean(CLIPPED),
        explained_variance: tape.explained_variance(),
        gradient_norm: norms / n_steps.max(1) as f64,
        learning_rate: f64::from(learning_rate),
        policy_std: f64::from(total.max(0.0)) / deviations.len().max(1) as f64,
        n_epochs: n_seen.div_ceil(per_epoch),
    })
}

/// The order of every epoch, each a shuffle of its own.
fn orders(n: usize, n_epochs: usize, seed: u64, update: u64, n_threads: usize) -> Vec<Vec<u32>> {
    let shuffle = |epoch: usize, order: &mut Vec<u32>| {
        order.extend(0..n as u32);
        Stream::new(seed, Purpose::Shuffle, update * n_epochs as u64 + epoch as u64).shuffle(order);
    };
    let mut orders = vec![Vec::with_capacity(n); n_epochs];
    let share = n_epochs.div_ceil(n_threads.max(1)).max(1);
    std::thread::scope(|scope| {
        for (chunk, orders) in orders.chunks_mut(share).enumerate() {
            let mut work = move || {
                orders.iter_mut().enumerate().for_each(|(at, order)| shuffle(chunk * share + at, order));
            };
            if n_threads > 1 { drop(scope.spawn(work)) } else { work() }
        }
    });
    orders
}
