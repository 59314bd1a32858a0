//! Many agents side by side: members that share the machine, and what the worse of them take from the better.
//!
//! A member is a training of its own on one thread, so what it comes to depends on neither the number of threads nor its neighbours.
//! [`in_turns`] gives members to threads as these become free, an update at a time; [`exchange`] is population-based training
//! (Jaderberg et al. 2017, arXiv 1711.09846), decided between two updates, by one thread.

pub mod exchange;
mod side_by_side;

pub use exchange::{Exchange, ExchangeRules, Gene};
pub use side_by_side::{in_turns, side_by_side};
