//! What can go wrong with runs.

use std::path::PathBuf;

use cambist_store::{DatabaseError, FileError};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] DatabaseError),
    /// No such run.
    #[error("there is no run '{wanted}' in {}: {}", root.display(), if known.is_empty() { "there are none yet; `cambist train` makes one".to_owned() } else { format!("the latest are {}", known.join(", ")) })]
    NoSuchRun {
        /// What was asked for.
        wanted: String,
        /// The folder of runs.
        root: PathBuf,
        /// The latest there are.
        known: Vec<String>,
    },
    /// An artefact of another schema.
    #[error("{} has schema {found}, this version reads schema {wanted}: train again, or use the version that wrote it", path.display())]
    Schema {
        /// The artefact.
        path: PathBuf,
        /// What it says.
        found: u64,
        /// What is needed.
        wanted: u64,
    },
    /// An artefact that was changed or damaged.
    #[error("{} is damaged: {what} has the hash {found}, the artefact says {wanted}", path.display())]
    Damaged {
        /// The artefact.
        path: PathBuf,
        /// Which part.
        what: &'static str,
        /// What was computed.
        found: String,
        /// What was written.
        wanted: String,
    },
    /// The record of openings was changed.
    #[error(
        "the record of openings of sealed rows was changed: number {number}, of run {run}, does not follow from what is before it"
    )]
    Tampered {
        /// Its place, from 1.
        number: usize,
        /// What it says it was for.
        run: String,
    },
    /// Another process works on it.
    #[error("another process works on the run {0}")]
    Held(String),
    /// No checkpoint can be used.
    #[error("no checkpoint can be used: {}; train anew without --resume", damaged.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect::<Vec<_>>().join("; "))]
    NoCheckpoint {
        /// All of them, and why.
        damaged: Vec<(PathBuf, String)>,
    },
    /// A manifest that cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why, with the field.
        reason: String,
    },
}
