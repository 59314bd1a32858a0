//! Live trading from the lab's side: paper on a simulated terminal, and what a paper day must equal.

mod attribute;
mod compare;
mod heard;
mod paper;

pub use attribute::{Attribution, FillDifference};
pub use compare::{Compared, Difference, compare};
pub use paper::{Pace, Paper, PaperRequest};
