//! Proximal policy optimisation: rollout, advantages, update.
//!
//! [`ppo`] is the algorithm and reads like the paper; [`rollout`] collects, with a thread owning its environments for the
//! whole horizon; [`trainer`] puts them together.

pub mod ppo;
pub mod rollout;
pub mod trainer;

pub use ppo::{PpoConfig, Schedule, UpdateStats};
pub use rollout::Tape;
pub use trainer::{TrainError, Trainer, TrainerSpec};
