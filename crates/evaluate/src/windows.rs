//! Windows of time: chronological, and walking forward with purge and embargo.

use cambist_core::UnixNanos;
use serde::{Deserialize, Serialize};

/// `[from, until)`, by the bars' open times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First moment inside.
    pub from: UnixNanos,
    /// First moment after.
    pub until: UnixNanos,
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.from.civil().date(), self.until.civil().date())
    }
}

/// One fold: what is learned from, chosen by, and judged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Training.
    pub train: Span,
    /// Validation, by which weights are chosen.
    pub validation: Span,
    /// Test, never seen before.
    pub test: Span,
}

/// How folds are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkForward {
    /// Everything there is, sealed rows apart.
    pub whole: Span,
    /// Number of folds; their tests follow one another up to the end.
    pub n_folds: usize,
    /// Nanoseconds of each test.
    pub test: i64,
    /// Nanoseconds of each validation, just before the test.
    pub validation: i64,
    /// Nanoseconds left out before validation and before test, so that no label reaches over (purge).
    pub purge: i64,
    /// Least nanoseconds from the end of training to the validation after it (embargo), when more than the purge.
    pub embargo: i64,
    /// Nanoseconds of training; `None` to begin at the start of everything (expanding).
    pub train: Option<i64>,
}

impl WalkForward {
    /// The folds in order of time; `None` when they do not fit.
    ///
    /// Each fold trains on what lies before its own validation; the longer of purge and embargo stands between the two,
    /// the purge between validation and test. What lies after an earlier fold's test is past by then, and may be trained on.
    #[must_use]
    pub fn folds(&self) -> Option<Vec<Fold>> {
        let mut folds = Vec::with_capacity(self.n_folds);
        for index in 0..self.n_folds {
            let left = (self.n_folds - index) as i64;
            let test_from = self.whole.until.0 - left * self.test;
            let test = span(test_from, test_from + self.test);
            let validation_until = test_from - self.purge;
            let validation = span(validation_until - self.validation, validation_until);
            let train_until = validation.from.0 - self.purge.max(self.embargo);
            let train_from = self.train.map_or(self.whole.from.0, |length| train_until - length);
            if train_from < self.whole.from.0 || train_from >= train_until {
                return None;
            }
            folds.push(Fold { train: span(train_from, train_until), validation, test });
        }
        Some(folds)
    }
}

fn span(from: i64, until: i64) -> Span {
    Span { from: UnixNanos(from), until: UnixNanos(until) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_never_touch_what_they_are_judged_on() {
        let walk = WalkForward {
            whole: span(0, 1000),
            n_folds: 4,
            test: 100,
            validation: 80,
            purge: 5,
            embargo: 10,
            train: None,
        };
        let folds = walk.folds().unwrap();
        for fold in &folds {
            assert!(fold.train.until.0 + 10 <= fold.validation.from.0);
            assert!(fold.validation.until.0 + 5 <= fold.test.from.0);
        }
        for pair in folds.windows(2) {
            assert_eq!(pair[0].test.until, pair[1].test.from);
        }
        assert_eq!(folds[3].test.until.0, 1000);
        assert!(WalkForward { train: Some(700), ..walk }.folds().is_none());
        assert_eq!(WalkForward { train: Some(300), ..walk }.folds().unwrap()[0].train, span(205, 505));
    }
}
