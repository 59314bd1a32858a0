//! The experiments: what the command line does, as functions. Nothing here prints; progress goes to an [`Observer`].

pub mod artefact;
pub mod backtest;
pub mod bars;
pub mod baselines;
pub mod bench;
pub mod breakdown;
pub mod check;
mod checkpoint;
pub mod config;
pub mod costs;
pub mod error;
pub mod evaluate;
mod execution;
pub mod learning;
pub mod ledger;
mod logged;
pub mod market;
pub mod promote;
pub mod regime;
pub mod run;
pub mod runs;
pub mod seeds;
mod stress;
pub mod study;
pub mod sweep;
pub mod train;
pub mod view;

pub use cambist_runs::signing;
pub use checkpoint::TrainingState;
pub use config::{Config, ConfigError, Layers};
pub use error::LabError;
pub use market::{Market, market_trainer};
pub use train::{Observer, Progress, Resumed};
