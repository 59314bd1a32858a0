//! Search for hyper-parameters: what to try next, what to give up, and a storage that Optuna reads and any number of processes
//! share.
//!
//! [`Space`] says what is searched, [`SamplerKind`] what to try next, [`PrunerKind`] what to give up, [`Storage`] holds studies in
//! Optuna's own tables. What a trial is, this crate does not know.

pub mod error;
pub mod importance;
mod library;
pub mod pruner;
mod rows;
pub mod sampler;
mod schema;
pub mod space;
pub mod storage;
mod tpe;
pub mod trial;

pub use error::SearchError;
pub use pruner::{Grace, PrunerKind};
pub use sampler::{Asked, SamplerKind, Suggestion};
pub use space::{Condition, Domain, Parameter, Space};
pub use storage::{Ask, Returns, Storage, Study};
pub use trial::{Direction, State, Trial, best, front};
