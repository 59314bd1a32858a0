//! A judgement as rows of text, for a terminal.

use cambist_evaluate::Judgement;
use cambist_evaluate::report::{Row, rows};

/// Names of the tracks and a row a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Policy first.
    pub names: Vec<String>,
    /// The metrics.
    pub metrics: Vec<Row>,
}

/// The metrics of `judgement`.
#[must_use]
pub fn metrics(judgement: &Judgement) -> Rows {
    Rows {
        names: judgement.scores.iter().map(|s| s.name.clone()).collect(),
        metrics: rows(&judgement.scores),
    }
}
