//! What stops a live loop, and what to do about it.

use std::path::PathBuf;

use cambist_bridge::BridgeError;
use cambist_core::UnixNanos;
use cambist_execution::FeedError;
use cambist_features::FeatureError;
use cambist_runs::RunError;
use cambist_runs::promotion::PromotionError;
use cambist_store::{DatabaseError, FileError};

use crate::deployment::DeploymentError;

/// What stops a live loop.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The artefact.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// A bar lacks what the broker's terms need.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A feature.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The journal's database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The journal's head.
    #[error("the journal's head: {0}")]
    Head(#[source] FileError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The log.
    #[error(transparent)]
    Log(#[from] RunError),
    /// The bridge.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// May not trade.
    #[error("the artefact may not trade live: {0}")]
    Promotion(#[from] PromotionError),
    /// Nobody promoted it.
    #[error(
        "no promotion of the artefact {0} is signed by a key that is trusted here: `cambist promote RUN --gate GATE --key KEY`, and name \
         the public key with --trust"
    )]
    NotPromoted(String),
    /// The journal is of another policy.
    #[error(
        "the journal goes on with the artefact {wanted}, this is {found}: serve the first, and swap policies through the API; or begin another \
         journal with another --state folder"
    )]
    OtherArtefact {
        /// The journal's.
        wanted: String,
        /// What is here.
        found: String,
    },
    /// The journal is of another account or symbol.
    #[error(
        "the journal is of {field} {wanted}, here it is {found}: begin another journal with another --state folder"
    )]
    OtherJournal {
        /// What differs.
        field: &'static str,
        /// The journal's.
        wanted: String,
        /// What is here.
        found: String,
    },
    /// The policies do not trade the same.
    #[error("the policy to be put in has another {field}: {found}, not {wanted}")]
    OtherTerms {
        /// What differs.
        field: &'static str,
        /// Of the one at work.
        wanted: String,
        /// Of the other.
        found: String,
    },
    /// A bar that was seen already, or is from before.
    #[error("the bar that closes at {close} is not after the last one, {last}")]
    OldBar {
        /// When it closes.
        close: UnixNanos,
        /// The last.
        last: UnixNanos,
    },
    /// The journal is damaged.
    #[error(
        "{}: record {seq} is damaged: {reason}. Nothing after it can be trusted; keep the folder, and begin another journal with another --state", path.display()
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Which record.
        seq: i64,
        /// How.
        reason: String,
    },
    /// The same inputs are decided on otherwise.
    #[error(
        "record {seq} of the journal would be decided otherwise now ({what}): see `cambist live replay`; go on with the version that wrote it, \
         or begin another journal"
    )]
    Otherwise {
        /// Which record.
        seq: i64,
        /// What differs.
        what: &'static str,
    },
    /// There is no journal.
    #[error("there is no journal in {}", .0.display())]
    NoJournal(PathBuf),
    /// Somebody else has it.
    #[error("{} belongs to a process that is alive: one loop a journal", .0.display())]
    Taken(PathBuf),
    /// A limit.
    #[error("{0}")]
    Limit(String),
    /// What the loop is told to do makes no sense.
    #[error("{0}")]
    Config(String),
    /// The broker did what it was not asked.
    #[error("the broker: {0}")]
    Broker(String),
    /// A bar that cannot be.
    #[error("the bar that closes at {close} cannot be, and is not traded on: {bar:?}")]
    BadBar {
        /// When it closes.
        close: UnixNanos,
        /// As it was told.
        bar: Box<cambist_core::Bar>,
    },
}
