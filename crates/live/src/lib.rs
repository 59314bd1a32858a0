//! A policy at work: bars in, orders out, every step of it written down before it is done.
//!
//! [`Engine`] is a function of what it hears; [`Session`] lets it hear bars and accounts of a [`Venue`], keeps its [`Journal`], and sends
//! what it decides, once. [`replay()`] lives through a journal again and compares. [`Shared`] is what an API shows of it.
//!
//! Assumes one writer a journal and an account. Refuses a journal of another artefact, account or symbol, or one whose chain of hashes is
//! broken; and artefacts whose decisions rest on what no broker tells.

pub mod alert;
pub mod api;
pub mod books;
mod calibrate;
mod config;
pub mod deployment;
pub mod drift;
mod engine;
mod error;
mod fills;
mod journal;
mod market;
pub mod metrics;
mod mind;
pub mod mt5;
mod operator;
mod port;
mod preflight;
mod replay;
pub mod results;
mod rules;
mod session;
mod shadow;
mod shared;
mod standing;
pub mod words;

pub use alert::{Alerts, Webhook};
pub use calibrate::{Measured, calibrate};
pub use config::{BridgeConfig, LiveConfig};
pub use deployment::{Deployment, DeploymentError, Terms};
pub use engine::{Difference, Engine};
pub use error::LiveError;
pub use fills::Quality;
pub use journal::{Journal, Kept};
pub use market::{Market, Seen};
pub use mt5::{Mt5, Seat};
pub use operator::Operator;
pub use port::{Broker, Feed, Venue};
pub use preflight::{Check, preflight};
pub use replay::{Replayed, artefacts, replay};
pub use results::Band;
pub use rules::Rules;
pub use session::{NOT_SENT, Session, Settings};
pub use shadow::{Compared, compare_shadow};
pub use shared::{Asked, Severity, Shared, Status};
pub use standing::{Mode, Standing};
