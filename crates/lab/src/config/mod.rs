//! From what users write to what runs: layers, checks, explanation, schema.
//!
//! Defaults are written once, in [`raw`]. A file lies over them, `--set key=value` over the file; every unknown name is
//! refused with the nearest known one; then [`Config::validate`] makes sense of it or says which field does not.

mod broker;
mod layers;
mod network;
mod population;
pub mod raw;
pub(crate) mod reward;
mod sections;
mod validate;

pub use broker::{BrokerSetup, Conversion};
pub use layers::{Explained, Layers, schema};
pub use population::EnsembleRules;
pub use raw::RawConfig;
pub use validate::{Config, DataSource, ExecutionSetup};

/// The config of `cambist train` without a config: the built-in regime market.
pub const BUILT_IN: &str = include_str!("../../../../configs/regime.toml");

/// The reference PPO work, by which trainers are compared.
pub const REFERENCE_PPO: &str = include_str!("../../../../configs/reference_ppo.toml");

/// What is wrong with a config.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the config {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// It is no TOML.
    #[error("{path} is not TOML: {reason}")]
    Syntax {
        /// The file, or `--set`.
        path: String,
        /// What the parser said, with the line.
        reason: String,
    },
    /// An unknown field.
    #[error("{path}: there is no field '{field}'; did you mean '{nearest}'?")]
    Unknown {
        /// The file, or `--set`.
        path: String,
        /// What was written.
        field: String,
        /// The nearest known field.
        nearest: String,
    },
    /// `--set` without an equals sign.
    #[error("--set {0}: write key=value, as in --set ppo.total_steps=500000")]
    Set(String),
    /// A field is missing or of the wrong type.
    #[error("{path}: {reason}")]
    Type {
        /// The file.
        path: String,
        /// What serde said, with the field.
        reason: String,
    },
    /// An instrument or terms that make no sense.
    #[error("broker: {0}")]
    Instrument(cambist_execution::InstrumentError),
    /// A regime model that makes no sense.
    #[error(transparent)]
    Regime(cambist_regime::RegimeError),
    /// How money moves is not said, or said twice.
    #[error("{found}: write either [execution], the short form, or [broker], the full model")]
    Execution {
        /// What was found.
        found: &'static str,
    },
    /// A value that makes no sense.
    #[error("{field} is {value}: it must be {expected}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        expected: String,
    },
}
