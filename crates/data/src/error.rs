//! What can be wrong with data, said so that the user can mend it.

use std::path::PathBuf;

use cambist_core::Timeframe;
use cambist_store::{DatabaseError, FileError};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Every row is sealed.
    #[error("all of {set} is sealed: its seal begins at {from}")]
    AllSealed {
        /// The data set.
        set: String,
        /// From when on.
        from: cambist_core::UnixNanos,
    },
    /// Nothing of that name.
    #[error(
        "there are no bars of {set}: import them first, or see `cambist data list` for how they are called"
    )]
    NothingToSeal {
        /// The instrument.
        set: String,
    },
    /// Seals only grow.
    #[error(
        "{set} is sealed from {from} on already: a seal is moved to an earlier day, never to a later one"
    )]
    SealedAlready {
        /// The instrument.
        set: String,
        /// From when on.
        from: cambist_core::UnixNanos,
    },
    /// A path is not there.
    #[error("there is no file {}: give the path of a CSV or Parquet file", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read as what its name says.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The columns are of no known form.
    #[error("{}: the columns [{}] are of no known form; known are: {known}", path.display(), found.join(", "))]
    UnknownForm {
        /// The file.
        path: PathBuf,
        /// Its columns.
        found: Vec<String>,
        /// What would have been understood.
        known: &'static str,
    },
    /// A value cannot be read.
    #[error("{}, line {line}, column '{column}': '{value}' is not {expected}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, the header included.
        line: usize,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
        /// What should stand there.
        expected: String,
    },
    /// The user's zone is unknown.
    #[error(
        "'{0}' is not a time zone: write an IANA name such as UTC, Europe/Athens (most MT5 servers) or America/New_York"
    )]
    UnknownZone(String),
    /// An MT5 export without a zone.
    #[error("{}: the stamps of an MT5 export are the server's wall clock; name its zone with --tz (most brokers: --tz Europe/Athens)", .0.display())]
    ZoneNeeded(PathBuf),
    /// Checks failed that the user wants to fail.
    #[error("{}", .0)]
    Refused(String),
    /// A choice that cannot be carried out.
    #[error("{kind} = {choice} is not possible: {why}")]
    ImpossibleChoice {
        /// The kind of fault.
        kind: &'static str,
        /// What was asked.
        choice: String,
        /// Why not.
        why: &'static str,
    },
    /// Nothing is left.
    #[error("no bar is left to store: {0}")]
    NoBars(String),
    /// A timeframe cannot be made from another.
    #[error("bars of {target} cannot be made from bars of {finer}: {target} must be a whole multiple of it")]
    NotAMultiple {
        /// What there is.
        finer: Timeframe,
        /// What was asked.
        target: Timeframe,
    },
    /// A data set of that name holds other bars.
    #[error(
        "{key} is there already, with {n_bars} bars from {first} to {last}: give --replace to put these in their place, or another --venue or --symbol"
    )]
    Exists {
        /// Its name.
        key: String,
        /// How many bars it has.
        n_bars: usize,
        /// Its first bar.
        first: String,
        /// Its last bar.
        last: String,
    },
    /// No such data set.
    #[error("there is no data set {wanted} in {}: {}", folder.display(), if known.is_empty() { "it is empty; import one with `cambist data import` or make one with `cambist data synth`".to_owned() } else { format!("it holds {}", known.join(", ")) })]
    NoSuchSet {
        /// What was asked for.
        wanted: String,
        /// The data folder.
        folder: PathBuf,
        /// What is there.
        known: Vec<String>,
    },
    /// More than one data set fits.
    #[error("more than one data set is called {wanted}: name the venue, one of {}", venues.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The venues there are.
        venues: Vec<String>,
    },
    /// A stored data set is not what was stored.
    #[error("{} is damaged: its fingerprint is {found}, the catalogue says {wanted}; import it again", folder.display())]
    Damaged {
        /// Where it lies.
        folder: PathBuf,
        /// What the files give.
        found: String,
        /// What the catalogue says.
        wanted: String,
    },
    /// A name that cannot be a folder's.
    #[error(
        "{what} '{name}' cannot be used: only letters, digits, '.', '_' and '-' are allowed, and it may not begin with '.'"
    )]
    BadName {
        /// Symbol or venue.
        what: &'static str,
        /// What was given.
        name: String,
    },
    /// A parameter of a synthetic market is out of range.
    #[error("{0}")]
    BadParameter(String),
    /// Polars failed while writing.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        reason: String,
    },
    /// A file or folder failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] DatabaseError),
    /// The catalogue holds something this version cannot read.
    #[error("the catalogue's entry for {0} cannot be read by this version: {1}")]
    BadEntry(String, String),
}
