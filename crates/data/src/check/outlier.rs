//! Outliers by a robust scale that looks back only.
//!
//! A log return is an outlier when it is more than `limit` robust standard deviations (1.4826 × the median absolute
//! return, Hampel 1974) of the last [`WINDOW`] returns away from zero. Quiet markets have a median of zero, so the
//! scale has a floor of five basis points. More than [`NEW_LEVEL`] outliers in a row are no outliers but a new price level,
//! and are kept from then on.

use std::collections::VecDeque;

/// Returns that set the scale.
const WINDOW: usize = 255;
/// Smallest scale, as a log return.
const FLOOR: f64 = 5e-4;
/// The standard deviation of a normal variable over its median absolute deviation.
const TO_DEVIATION: f64 = 1.4826;

/// Outliers in a row that may be errors.
const NEW_LEVEL: usize = 3;

#[derive(Debug)]
pub(super) struct OutlierFilter {
    limit: f64,
    in_a_row: usize,
    recent: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl OutlierFilter {
    pub(super) fn new(limit: f64) -> Self {
        Self {
            limit,
            in_a_row: 0,
            recent: VecDeque::with_capacity(WINDOW + 1),
            sorted: Vec::with_capacity(WINDOW + 1),
        }
    }

    /// Judges the bar's farthest `reach` from the last close, a log distance, by the returns before it; `change` is its
    /// close's return, which joins them; `Some(deviations)` is an outlier, and does not join the scale.
    pub(super) fn push(&mut self, change: f64, reach: f64) -> Option<f64> {
        let size = change.abs();
        let reach = reach.max(size);
        if self.recent.len() == WINDOW {
            let scale = (TO_DEVIATION * self.sorted[WINDOW / 2]).max(FLOOR);
            if reach > self.limit * scale && self.in_a_row < NEW_LEVEL {
                self.in_a_row += 1;
                return Some(reach / scale);
            }
            if let Some(oldest) = self.recent.pop_front() {
                let at = self.sorted.partition_point(|&v| v < oldest);
                self.sorted.remove(at);
            }
        }
        self.in_a_row = 0;
        self.recent.push_back(size);
        let at = self.sorted.partition_point(|&v| v < size);
        self.sorted.insert(at, size);
        None
    }
}
