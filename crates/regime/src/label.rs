//! From probabilities to labels that do not flicker.

use serde::{Deserialize, Serialize};

/// Hysteresis and dwell: a label changes when another state's probability has been at least `enter` for `dwell` bars in a
/// row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Labeller {
    /// Probability from which another state is believed.
    pub enter: f64,
    /// Bars in a row it must be.
    pub dwell: u32,
}

/// A running label.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Running {
    label: Option<usize>,
    candidate: usize,
    bars: u32,
}

impl Labeller {
    /// Takes the next probabilities; returns the label.
    pub fn push(&self, running: &mut Running, probabilities: &[f64]) -> usize {
        let largest = |best: (usize, f64), (k, &p): (usize, &f64)| if p > best.1 { (k, p) } else { best };
        let (likeliest, probability) = probabilities.iter().enumerate().fold((0, -1.0), largest);
        let Some(label) = running.label else {
            running.label = Some(likeliest);
            return likeliest;
        };
        if likeliest == label || probability < self.enter {
            running.bars = 0;
            return label;
        }
        running.bars = if running.candidate == likeliest { running.bars + 1 } else { 1 };
        running.candidate = likeliest;
        if running.bars < self.dwell.max(1) {
            return label;
        }
        (running.label, running.bars) = (Some(likeliest), 0);
        likeliest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_needs_conviction_and_time() {
        let labeller = Labeller { enter: 0.6, dwell: 2 };
        let mut running = Running::default();
        let wild = [0.9, 0.55, 0.1, 0.9, 0.1, 0.1, 0.9];
        let labels = wild.map(|p| labeller.push(&mut running, &[p, 1.0 - p]));
        assert_eq!(labels, [0, 0, 0, 0, 0, 1, 1]);
    }
}
