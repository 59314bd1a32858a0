//! A trial, as the storage holds it.

use std::collections::BTreeMap;

use serde_json::Value;

/// How a trial stands. The names are Optuna's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A worker has it.
    Running,
    /// It has its values.
    Complete,
    /// It was ended early, for it went badly.
    Pruned,
    /// It ended without values.
    Fail,
    /// It waits for a worker.
    Waiting,
}

impl State {
    /// All of them, with their names in the storage.
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Running, "RUNNING"),
        (Self::Complete, "COMPLETE"),
        (Self::Pruned, "PRUNED"),
        (Self::Fail, "FAIL"),
        (Self::Waiting, "WAITING"),
    ];

    /// Its name in the storage.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, own)| *own == name).map(|(state, _)| *state)
    }

    /// Whether it ended with something to learn from.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned)
    }
}

/// What an objective is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Small.
    Minimize,
    /// Large.
    Maximize,
}

impl Direction {
    /// Its name in the storage.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimize => "MINIMIZE",
            Self::Maximize => "MAXIMIZE",
        }
    }

    /// `value` so that small is good.
    #[must_use]
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// One trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its key in the storage.
    pub id: i64,
    /// Its number in the study, from 0.
    pub number: u64,
    /// How it stands.
    pub state: State,
    /// When it was begun and ended, UTC, as the storage writes it.
    pub times: (Option<String>, Option<String>),
    /// Internal values by name: a number itself, or a choice's place.
    pub params: BTreeMap<String, f64>,
    /// What it came to, one an objective.
    pub values: Vec<f64>,
    /// Values on the way, by step.
    pub intermediate: BTreeMap<u64, f64>,
    /// What users noted.
    pub user: BTreeMap<String, Value>,
    /// What samplers and storages noted: `constraints`, `retry_history`, `failed_trial`, `fixed_params`.
    pub system: BTreeMap<String, Value>,
}

impl Trial {
    /// Constraints, met where none is above zero.
    #[must_use]
    pub fn constraints(&self) -> Vec<f64> {
        let list = self.system.get("constraints").and_then(Value::as_array);
        list.map_or(Vec::new(), |list| list.iter().filter_map(Value::as_f64).collect())
    }

    /// How far constraints are broken, together; zero where they are met.
    #[must_use]
    pub fn violation(&self) -> f64 {
        self.constraints().iter().map(|c| c.max(0.0)).sum()
    }

    /// Its last value on the way, with the step.
    #[must_use]
    pub fn last_report(&self) -> Option<(u64, f64)> {
        self.intermediate.last_key_value().map(|(step, value)| (*step, *value))
    }

    /// Numbers of the trials that failed before it was tried again, oldest first.
    #[must_use]
    pub fn retry_history(&self) -> Vec<u64> {
        let list = self.system.get("retry_history").and_then(Value::as_array);
        list.map_or(Vec::new(), |list| list.iter().filter_map(Value::as_u64).collect())
    }
}

/// The best complete trial of one objective that meets its constraints.
#[must_use]
pub fn best(trials: &[Trial], direction: Direction) -> Option<&Trial> {
    let done = trials.iter().filter(|t| t.state == State::Complete && t.values.len() == 1);
    let fits = done.filter(|t| t.violation() == 0.0 && !t.values[0].is_nan());
    fits.min_by(|a, b| {
        direction.loss(a.values[0]).total_cmp(&direction.loss(b.values[0])).then(a.number.cmp(&b.number))
    })
}

/// Complete trials, constraints met, that no other is better than in every objective: the Pareto front.
#[must_use]
pub fn front<'a>(trials: &'a [Trial], directions: &[Direction]) -> Vec<&'a Trial> {
    let losses =
        |t: &Trial| -> Vec<f64> { t.values.iter().zip(directions).map(|(v, d)| d.loss(*v)).collect() };
    let fits =
        |t: &&Trial| t.state == State::Complete && t.values.len() == directions.len() && t.violation() == 0.0;
    let done: Vec<(&Trial, Vec<f64>)> = trials.iter().filter(fits).map(|t| (t, losses(t))).collect();
    let beats =
        |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b);
    let undominated = |own: &[f64]| !done.iter().any(|(_, other)| beats(other, own));
    done.iter().filter(|(_, own)| undominated(own)).map(|(t, _)| *t).collect()
}
