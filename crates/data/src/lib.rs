//! Market data: read, check, resample, store, fingerprint, and make up markets with known truth.
//!
//! The only crate that knows Polars; it never touches a network. What is wrong with a file is found and reported,
//! never repaired in silence: the user chooses what happens to each kind of fault ([`check::Choices`]), and the
//! choice and the report are stored with the data set.

pub mod check;
pub mod error;
pub mod import;
pub mod resample;
pub mod store;
pub mod synth;
pub mod table;

pub use check::{Choices, Report};
pub use error::DataError;
pub use import::{ImportRequest, import};
pub use resample::resample;
pub use store::{DataFolder, DataSet, DataSetKey};
