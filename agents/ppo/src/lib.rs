//! Proximal policy optimisation: rollout, advantages, update.
//!
//! [`ppo`] is the algorithm and reads like the paper; [`rollout`] collects, with a thread owning its environments for the
//! whole horizon; [`trainer`] puts them together.

pub mod group;
pub mod objective;
pub mod ppo;
pub mod rollout;
pub mod scaling;
pub mod state;
pub mod tape;
pub mod trainer;

pub use objective::Objective;
pub use ppo::{PpoConfig, Schedule, UpdateStats};
pub use rollout::EpisodeSums;
pub use state::TrainerState;
pub use tape::{Tape, TapeShape};
pub use trainer::{Iteration, LearnerChoice, Legacy, Phases, TrainError, Trainer, TrainerSpec};
