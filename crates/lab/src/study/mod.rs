//! Sweeps: searches for hyper-parameters over trainings, by any number of workers that share a storage.
//!
//! [`spec`] is what a sweep is, `trial` what a choice of parameters comes to on validation, [`worker`] asks, trains and tells.
//! Test windows are never looked at here.

pub mod functions;
pub mod launch;
pub mod report;
pub mod spec;
mod trial;
pub mod worker;

pub use cambist_search::SamplerKind;
pub use spec::{Launch, Objective, Sweep};
