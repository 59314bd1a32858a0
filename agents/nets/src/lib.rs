//! Networks that learn, behind one seam: a [`Learner`] turns rows of a rollout and a loss on its outputs into a step of
//! its weights.
//!
//! The loss lives with the algorithm (`cambist-ppo`) and sees outputs only, so every learner trains by the same one.
//! [`fused::FusedLearner`] is the CPU implementation for perceptrons: a tile of rows goes through forward, loss and
//! backward while it is in cache. [`mod@reference`] is the same in plain f64, to be checked against.

pub mod fused;
mod gate;
pub mod init;
pub mod learner;
mod optimiser;
mod pass;
mod perceptron;
mod recurrent;
pub mod reference;
pub mod tensor;

pub use fused::FusedLearner;
pub use learner::{
    Batch, Experience, LearnError, Learner, OutputLoss, Sequences, Snapshot, Step, Sums, TileGradients,
    TileOutputs,
};
pub use tensor::{DeviceChoice, DeviceKind, Precision, TensorLearner};
