//! The experiments: what the command line does, as functions.

pub mod learning;
