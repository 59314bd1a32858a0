//! Rewards: what a change of an account is worth, by components with written weights.
//!
//! A component sees the ledger's change over a bar and what it remembers, and nothing else. What it remembers (a peak, running
//! moments) is shown to the agent, or the reward would depend on something unseen. Every component says which metric of the
//! whole course it adds up to or stands for: [`Component::metric`]; `tests/exploits.rs` tries to raise a component while that
//! metric falls.

pub mod calmar;
mod change;
mod component;
mod composite;
mod constraint;
pub mod cost;
pub mod differential_downside;
pub mod differential_sharpe;
pub mod drawdown;
pub mod holding;
pub mod log_equity;
pub mod time_weighted;

pub use change::Change;
pub use component::{Component, ComponentError, Memory};
pub use composite::{Composite, MOST_PARTS, Part, RewardState};
pub use constraint::DrawdownLimit;
