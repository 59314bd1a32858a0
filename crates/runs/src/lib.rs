//! Runs: their folders, artefacts, metrics, and the registry that counts every judgement.

pub mod artefact;
pub mod checkpoint;
pub mod error;
pub mod folder;
pub mod log;
pub mod metrics;
pub mod promotion;
pub mod registry;
pub mod signing;
mod tensorboard;

pub use checkpoint::Checkpoints;
pub use error::RunError;
pub use folder::RunFolder;
pub use metrics::MetricsLog;
pub use registry::{Judged, Opening, Registry, RunRecord, Status};
