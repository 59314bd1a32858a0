//! Judgement: metrics, statistics that catch self-deception, and reports.
//!
//! Everything starts from a [`Track`]: what an account did, bar by bar. One metric a file in [`metrics`]; each is checked
//! against a published or independently computed value.

pub mod chart;
pub mod heat;
pub mod judgement;
pub mod metrics;
pub mod overfitting;
pub mod panels;
pub mod report;
pub mod shrinkage;
pub mod track;
pub mod windows;

pub use judgement::{Judgement, Scorecard, Verdict};
pub use track::Track;
