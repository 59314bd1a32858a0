//! The seam between an algorithm and a network.

use cambist_policy::{ActorCritic, Instructions};
use serde::{Deserialize, Serialize};

/// Sums over rows that a loss reports: what they mean is the loss's own affair.
pub const N_SUMS: usize = 8;
/// See [`N_SUMS`].
pub type Sums = [f64; N_SUMS];

/// What was collected: row `t · n_envs + env`.
#[derive(Debug, Clone, Copy)]
pub struct Experience<'a> {
    /// `[rows × observation]`.
    pub observations: &'a [f32],
    /// Environments side by side.
    pub n_envs: usize,
    /// For networks with memory.
    pub sequences: Option<Sequences<'a>>,
}

impl Experience<'_> {
    /// Puts the observations (`width` columns) of `rows` into `out`, one after the other.
    pub(crate) fn gather(&self, rows: &[u32], width: usize, out: &mut Vec<f32>) {
        out.clear();
        for &row in rows {
            let from = row as usize * width;
            out.extend_from_slice(&self.observations[from..from + width]);
        }
    }
}

/// How a rollout is cut into sequences for truncated backpropagation through time: sequence `i · n_envs + env` holds the
/// steps `i · length` to `(i + 1) · length` of environment `env`.
#[derive(Debug, Clone, Copy)]
pub struct Sequences<'a> {
    /// Steps the gradient flows through.
    pub length: usize,
    /// Steps before them that only bring the state up to date.
    pub burn_in: usize,
    /// `[sequences × state]`: the state as collected, [`Sequences::lead`] steps before a sequence begins.
    pub states: &'a [f32],
    /// `[rows]`: whether a row is the first of its episode, so that the state is zero before it.
    pub fresh: &'a [bool],
}

impl Sequences<'_> {
    /// Steps of burn-in that sequence `i` of an environment has room for.
    #[must_use]
    pub fn lead(&self, i: usize) -> usize {
        self.burn_in.min(i * self.length)
    }
}

/// A minibatch.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// Rows of the experience; for networks with memory, sequences of it.
    pub indices: &'a [u32],
    /// What is to fall.
    pub loss: &'a dyn OutputLoss,
}

/// What the network puts out for a tile of rows.
#[derive(Debug, Clone, Copy)]
pub struct TileOutputs<'a> {
    /// Which rows of the rollout.
    pub indices: &'a [u32],
    /// `[rows × head width]`: logits or means.
    pub head: &'a [f32],
    /// `[head parameters]`: log deviations.
    pub log_deviation: &'a [f32],
    /// `[rows]`.
    pub values: &'a [f32],
    /// What the loss may be compiled for.
    pub instructions: Instructions,
}

/// Where a loss writes its derivatives; all are to be written, `log_deviation` to be added to.
#[derive(Debug)]
pub struct TileGradients<'a> {
    /// `[rows × head width]`.
    pub head: &'a mut [f32],
    /// `[head parameters]`.
    pub log_deviation: &'a mut [f32],
    /// `[rows]`.
    pub values: &'a mut [f32],
}

/// A loss as a function of a network's outputs.
pub trait OutputLoss: Sync {
    /// Writes the derivatives of the minibatch's loss by a tile's outputs, and adds to `sums`.
    fn tile(&self, outputs: &TileOutputs<'_>, gradients: &mut TileGradients<'_>, sums: &mut Sums);
}

/// How far to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Learning rate.
    pub learning_rate: f32,
    /// Largest norm of the whole gradient; a longer one is scaled down to it.
    pub max_norm: f32,
}

/// Learning failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LearnError {
    /// A loss or a gradient is not a number.
    #[error(
        "the {what} is not finite at optimiser step {step}: lower the learning rate, or look for observations or rewards that are not finite"
    )]
    NotFinite {
        /// The loss with the first tensor whose gradient is none either, or such a gradient alone.
        what: String,
        /// Optimiser steps taken before.
        step: u64,
    },
    /// The device failed.
    #[error("the device '{device}' failed: {reason}")]
    Device {
        /// Its name.
        device: String,
        /// What it said.
        reason: String,
    },
}

/// A learner's weights and Adam's moments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Weights.
    pub parameters: Vec<f32>,
    /// m.
    pub first_moment: Vec<f32>,
    /// v.
    pub second_moment: Vec<f32>,
    /// Steps taken.
    pub n_steps: u64,
}

/// A network with its optimiser.
pub trait Learner: Send {
    /// The agent as it stands.
    fn agent(&self) -> &ActorCritic;

    /// Goes through `batches` in order. After each gradient `pace` hears the batch's place and its loss's sums, and says
    /// how far to step, or None to end there. Returns the sum of the gradients' norms before clipping.
    ///
    /// # Errors
    /// When a loss or a gradient is not finite; the weights are then those before its step.
    fn learn(
        &mut self,
        experience: Experience<'_>,
        batches: &[Batch<'_>],
        pace: &mut dyn FnMut(usize, &Sums) -> Option<Step>,
    ) -> Result<f64, LearnError>;

    /// The gradient of the last batch, in the order of the parameters.
    fn last_gradient(&self) -> Vec<f32>;

    /// Bytes of weights, gradients and moments on the processor, all copies, once a batch was learned from; buffers of a
    /// tile of rows apart.
    fn bytes(&self) -> usize;

    /// Weights and optimiser as they stand.
    fn snapshot(&self) -> Snapshot;

    /// Goes back to `snapshot`.
    fn restore(&mut self, snapshot: &Snapshot);
}
