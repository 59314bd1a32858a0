//! Live trading from the lab's side: paper on a simulated terminal, and what a paper day must equal.

mod compare;
mod paper;

pub use compare::{Compared, compare};
pub use paper::{Pace, Paper, PaperRequest};
