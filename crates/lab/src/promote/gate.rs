//! What a policy must show before it may trade: a file of limits, each written out.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// A gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Its name.
    pub name: String,
    /// Days for which a promotion holds.
    pub valid_days: u32,
    /// Least deflated Sharpe ratio on the test window: the probability that the true ratio is above what the best of all runs and
    /// trials would show by luck.
    pub deflated_sharpe: f64,
    /// Largest probability of backtest overfitting in the study it was chosen in; where the best of one half loses in the other more
    /// seldom than that, this counts instead.
    pub pbo: f64,
    /// Least total return on the test window.
    pub total_return: f64,
    /// Deepest drawdown on the test window.
    pub max_drawdown: f64,
    /// Least return in any regime of the test window with at least `regime_bars` bars.
    pub regime_return: f64,
    /// See `regime_return`.
    pub regime_bars: usize,
    /// Least total return under each stress: costs, spread, latency and gaps, twice and four times.
    pub stress_return: f64,
    /// Other seeds that are trained.
    pub seeds: u64,
    /// Least share of them with a Sharpe ratio above zero.
    pub seed_share: f64,
    /// Perturbed tapes.
    pub tapes: u64,
    /// Deviation of what is added to a bar's log return, in deviations of these returns.
    pub tape_noise: f64,
    /// Least share of perturbed tapes with a Sharpe ratio above zero.
    pub tape_share: f64,
    /// Folds walked forward, before and up to the end of the test window.
    pub folds: u32,
    /// Days of each fold's test.
    pub fold_days: u32,
    /// Days of each fold's validation.
    pub fold_validation_days: u32,
    /// Least share of folds that earn.
    pub fold_share: f64,
}

impl Gate {
    /// Reads the gate at `path`; and the BLAKE3 hash of its text.
    ///
    /// # Errors
    /// When a field is missing, unknown or out of range.
    pub fn read(path: &Path) -> Result<(Self, String), LabError> {
        let wrong = |reason: String| LabError::Gate { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let gate: Self = toml::from_str(&text).map_err(|e| wrong(e.to_string().trim().to_owned()))?;
        let share = |field: &str, x: f64| {
            if (0.0..=1.0).contains(&x) {
                Ok(())
            } else {
                Err(wrong(format!("{field} is {x}: it must be from 0 to 1")))
            }
        };
        for (field, x) in [
            ("deflated_sharpe", gate.deflated_sharpe),
            ("pbo", gate.pbo),
            ("max_drawdown", gate.max_drawdown),
            ("seed_share", gate.seed_share),
            ("tape_share", gate.tape_share),
            ("fold_share", gate.fold_share),
        ] {
            share(field, x)?;
        }
        let least = |field: &str, holds: bool, why: &str| {
            if holds { Ok(()) } else { Err(wrong(format!("{field} {why}"))) }
        };
        least("valid_days", (1..=3650).contains(&gate.valid_days), "must be from 1 to 3650")?;
        least(
            "tape_noise",
            gate.tape_noise > 0.0 && gate.tape_noise <= 1.0,
            "must be above 0 and at most 1",
        )?;
        least(
            "seeds",
            gate.seeds <= 20 && gate.tapes <= 100 && gate.folds <= 20,
            "and tapes and folds must be at most 20, 100 and 20",
        )?;
        Ok((gate, blake3::hash(text.as_bytes()).to_hex().to_string()))
    }
}

impl Gate {
    /// What it does not look at, though a gate can.
    #[must_use]
    pub fn not_asked(&self) -> Vec<&'static str> {
        let parts = [
            ("other seeds", self.seeds),
            ("perturbed tapes", self.tapes),
            ("folds walked forward", self.folds as u64),
        ];
        parts.into_iter().filter(|(_, n)| *n == 0).map(|(name, _)| name).collect()
    }
}

/// One requirement, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What is required.
    pub name: String,
    /// What was found; none when it cannot be told.
    pub value: Option<f64>,
    /// The limit.
    pub limit: f64,
    /// Whether the limit is the least, or the most.
    pub at_least: bool,
    /// What it says.
    pub note: String,
}

impl Finding {
    /// Whether it is met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.value.is_some_and(|value| if self.at_least { value >= self.limit } else { value <= self.limit })
    }

    /// By how much it is missed; none when it is met, or cannot be told.
    #[must_use]
    pub fn missed_by(&self) -> Option<f64> {
        self.value.filter(|_| !self.passed()).map(|value| (value - self.limit).abs())
    }
}
