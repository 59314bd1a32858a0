//! Which market is this: rules, a hidden Markov model, change points. Fitted on the training window; what is said of a bar
//! uses that bar and those before it, filtered and never smoothed.
//!
//! Recursive state restarts at fixed UTC anchors ([`cambist_core::indicator`]), so that a stream begun at any earlier bar
//! gives the batch's bits. Labels do not swap between fits: states are ordered by volatility.
//!
//! What is refused, by number:
//! 1. A model that was fitted on other bars or features than it is to label, or as another kind than is asked for.
//! 2. A setting that makes no sense.
//! 3. A training window too short, or too still, to fit anything on.

pub mod changes;
pub mod hmm;
pub mod label;
mod model;
pub mod rules;

pub use changes::{ChangeModel, Changes};
pub use hmm::{Fit, GaussianHmm, HmmFilter};
pub use label::Labeller;
pub use model::{RegimeError, RegimeKind, RegimeModel, RegimeRequest, RegimeStream, RegimeView};
pub use rules::TrendRules;
