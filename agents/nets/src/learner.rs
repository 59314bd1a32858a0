//! The seam between an algorithm and a network.

use cambist_policy::ActorCritic;

/// Sums over rows that a loss reports: what they mean is the loss's own affair.
pub const N_SUMS: usize = 8;
/// See [`N_SUMS`].
pub type Sums = [f64; N_SUMS];

/// The rows of a minibatch: `indices` into `observations`, `[rows × observation]`.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Every observation of the rollout.
    pub observations: &'a [f32],
    /// Which of them.
    pub indices: &'a [u32],
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
    /// A gradient is not a number.
    #[error(
        "the gradient of '{tensor}' is not finite at optimiser step {step}: lower the learning rate, or look for observations or rewards that are not finite"
    )]
    NotFinite {
        /// The first such tensor.
        tensor: String,
        /// Optimiser steps taken before.
        step: u64,
    },
}

/// A network with its optimiser.
pub trait Learner: Send {
    /// The agent as it stands.
    fn agent(&self) -> &ActorCritic;
    /// Computes the gradient of `loss` over `rows`, and the loss's sums.
    fn gradient(&mut self, rows: Rows<'_>, loss: &dyn OutputLoss) -> Sums;
    /// Steps along the last gradient, and returns its norm before clipping.
    ///
    /// # Errors
    /// When the gradient is not finite; the weights are then as before.
    fn step(&mut self, step: Step) -> Result<f32, LearnError>;
}
