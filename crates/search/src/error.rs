//! What can go wrong in a search.

use cambist_store::DatabaseError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The storage.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A space that cannot be searched.
    #[error("{name}: {reason}")]
    Space {
        /// The parameter.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A storage of another version of Optuna.
    #[error(
        "the storage has Optuna's schema {found}, this version speaks {wanted}: `optuna storage upgrade` brings an older one up to date"
    )]
    Schema {
        /// What it says.
        found: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// No such study.
    #[error("there is no study '{wanted}' in the storage; there are: {known}")]
    NoStudy {
        /// Its name.
        wanted: String,
        /// Names there are.
        known: String,
    },
    /// A study of that name asks something else.
    #[error(
        "the study '{study}' is another one: {reason}; choose another study.name, or leave its config as it was"
    )]
    OtherStudy {
        /// Its name.
        study: String,
        /// What differs.
        reason: String,
    },
    /// The sampler cannot do that.
    #[error("the sampler {sampler} cannot be used here: {reason}")]
    Sampler {
        /// Its name.
        sampler: String,
        /// Why not.
        reason: String,
    },
    /// A trial that another process has ended.
    #[error("trial {0} is not running any more: another process ended it, or it was thought dead")]
    Gone(i64),
}
