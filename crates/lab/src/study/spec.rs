//! What a sweep is: a config of one's own, checked, and written into the study so that a worker needs nothing else.

use std::path::Path;

use cambist_search::{Direction, Parameter, PrunerKind, SamplerKind, Space};
use serde::{Deserialize, Serialize};

use crate::config::{Config, ConfigError, Layers};
use crate::error::LabError;
use crate::market::Market;
use crate::run::Machine;

/// A number that a trial comes to, over validation windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Annual Sharpe ratio; large.
    ValidationSharpe,
    /// Total return; large.
    ValidationReturn,
    /// Deepest drawdown; small.
    ValidationDrawdown,
}

impl Objective {
    /// What it is to be.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::ValidationSharpe | Self::ValidationReturn => Direction::Maximize,
            Self::ValidationDrawdown => Direction::Minimize,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ValidationSharpe => "validation_sharpe",
            Self::ValidationReturn => "validation_return",
            Self::ValidationDrawdown => "validation_drawdown",
        }
    }
}

/// The section `[study]` of a sweep's config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStudy {
    /// Its name in the storage.
    name: String,
    /// The config of its trainings, from the sweep's own folder; the built-in one if left out.
    base: Option<String>,
    /// Fields of it set otherwise, as `section.name=value`.
    #[serde(default)]
    set: Vec<String>,
    /// Trials that end with something to learn from: complete or pruned.
    trials: u64,
    /// Seeds of each trial, from the config's own on.
    #[serde(default = "one")]
    seeds: u64,
    /// Seed of the search.
    #[serde(default = "one")]
    seed: u64,
    #[serde(default)]
    sampler: SamplerKind,
    #[serde(default)]
    pruner: PrunerKind,
    /// Trials before any is pruned.
    #[serde(default = "five")]
    prune_after_trials: usize,
    /// Validations of a trial before it may be.
    #[serde(default = "two")]
    prune_after_reports: u64,
    /// Points of a grid along what cannot be counted.
    #[serde(default = "three")]
    grid_points: usize,
    #[serde(default = "sharpe")]
    objectives: Vec<Objective>,
    /// Deepest drawdown a trial may have; 0 for any.
    #[serde(default)]
    max_drawdown: f64,
    /// Studies of the same storage to learn from.
    #[serde(default)]
    warm_start: Vec<String>,
    /// Seconds between a worker's signs of life.
    #[serde(default = "fifteen")]
    heartbeat_s: f64,
    /// Seconds without one after which it is thought dead.
    #[serde(default = "sixty")]
    grace_s: f64,
}

fn one() -> u64 {
    1
}
fn two() -> u64 {
    2
}
fn three() -> usize {
    3
}
fn five() -> usize {
    5
}
fn fifteen() -> f64 {
    15.0
}
fn sixty() -> f64 {
    60.0
}
fn sharpe() -> Vec<Objective> {
    vec![Objective::ValidationSharpe]
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSweep {
    study: RawStudy,
    #[serde(rename = "parameter")]
    parameters: Vec<Parameter>,
}

/// A sweep, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The study's name in the storage.
    pub name: String,
    /// The config of its trainings, as TOML.
    pub base: String,
    /// What is searched.
    pub space: Space,
    /// What it is searched for.
    pub objectives: Vec<Objective>,
    /// What chooses the next trial.
    pub sampler: SamplerKind,
    /// What gives one up.
    pub pruner: PrunerKind,
    /// See the config.
    pub prune_after_trials: usize,
    /// See the config.
    pub prune_after_reports: u64,
    /// See the config.
    pub grid_points: usize,
    /// Seed of the search.
    pub seed: u64,
    /// Seeds of each trial.
    pub seeds: u64,
    /// Deepest drawdown a trial may have; 0 for any.
    pub max_drawdown: f64,
    /// Studies to learn from.
    pub warm_start: Vec<String>,
}

/// A sweep with what may change from one launch to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// What the study is.
    pub sweep: Sweep,
    /// Trials in all.
    pub trials: u64,
    /// Seconds between signs of life, and without one until a worker is thought dead.
    pub heartbeat: (f64, f64),
}

impl Launch {
    /// Reads the sweep's config at `path`.
    ///
    /// # Errors
    /// When it, the config it is based on, or its space makes no sense.
    pub fn read(path: &Path) -> Result<Self, LabError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError::Unreadable { path: name.clone(), reason: e.to_string() })?;
        let bad = |reason: String| ConfigError::Type { path: name.clone(), reason };
        let RawSweep { study, parameters } =
            toml::from_str(&text).map_err(|e| bad(e.to_string().trim().to_owned()))?;
        let base = study.base.as_ref().map(|base| path.parent().unwrap_or(Path::new(".")).join(base));
        let config = Config::validate(Layers::read(base.as_deref(), &study.set)?.resolve()?)?;
        let space = Space::new(parameters)?;
        let directions: Vec<Direction> = study.objectives.iter().map(|o| o.direction()).collect();
        study.sampler.check(&directions)?;
        let require = |holds: bool, field: &str, why: &str| {
            if holds { Ok(()) } else { Err(bad(format!("study.{field}: {why}"))) }
        };
        require(!study.name.is_empty(), "name", "must not be empty")?;
        require(study.trials >= 1, "trials", "must be at least 1")?;
        require((1..=100).contains(&study.seeds), "seeds", "must be from 1 to 100")?;
        require(!directions.is_empty(), "objectives", "must not be empty")?;
        let one_objective = directions.len() == 1 || study.pruner == PrunerKind::None;
        require(one_objective, "pruner", "trials of several objectives cannot be compared on the way")?;
        let beats = study.heartbeat_s > 0.0 && study.grace_s >= 2.0 * study.heartbeat_s;
        require(beats, "grace_s", "must be at least twice heartbeat_s, and that positive")?;
        require((0.0..1.0).contains(&study.max_drawdown), "max_drawdown", "must be from 0 to 1")?;
        let sweep = Sweep {
            name: study.name,
            base: toml::to_string(&config.raw).map_err(|e| bad(e.to_string()))?,
            space,
            objectives: study.objectives,
            sampler: study.sampler,
            pruner: study.pruner,
            prune_after_trials: study.prune_after_trials,
            prune_after_reports: study.prune_after_reports,
            grid_points: study.grid_points,
            seed: study.seed,
            seeds: study.seeds,
            max_drawdown: study.max_drawdown,
            warm_start: study.warm_start,
        };
        // Every parameter must be a field, and its ends must make sense there.
        for parameter in sweep.space.parameters() {
            let values = parameter.domain.grid(2);
            for value in [values.first(), values.last()].into_iter().flatten() {
                let mut sets = vec![sweep.set(parameter, *value)];
                sets.extend(sweep.where_it_matters(parameter));
                let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
                Config::validate(sweep.layers()?.with(&sets)?.resolve()?)?;
            }
        }
        Ok(Self { sweep, trials: study.trials, heartbeat: (study.heartbeat_s, study.grace_s) })
    }
}

impl Launch {
    /// Reads or makes the bars of its base config once, so that what cannot work is said before the first trial.
    ///
    /// # Errors
    /// When there are none, or a window holds too few of them.
    pub fn rehearse(&self, machine: &Machine) -> Result<(), LabError> {
        let config = Config::validate(self.sweep.layers()?.resolve()?)?;
        let market = Market::prepare(&config, &machine.data)?;
        for fold in config.folds(market.whole())? {
            market.rows("train", "train_until", fold.train)?;
            market.rows("validation", "validation_until", fold.validation)?;
        }
        Ok(())
    }
}

impl Sweep {
    /// What objectives are to be.
    #[must_use]
    pub fn directions(&self) -> Vec<Direction> {
        self.objectives.iter().map(|o| o.direction()).collect()
    }

    /// The config of its trainings.
    ///
    /// # Errors
    /// When this version does not know a field of it.
    pub fn layers(&self) -> Result<Layers, LabError> {
        Ok(Layers::parse(&format!("the base config of study {}", self.name), &self.base, &[])?)
    }

    /// `parameter` at the internal `value`, as `--set` takes it.
    #[must_use]
    pub fn set(&self, parameter: &Parameter, value: f64) -> String {
        let value = parameter.domain.external(value).unwrap_or_default();
        format!("{}={}", parameter.name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// What others must be for `parameter` to matter, as `--set` takes it.
    fn where_it_matters(&self, parameter: &Parameter) -> Vec<String> {
        let mut sets = Vec::new();
        let mut at = parameter;
        while let Some(condition) = &at.when {
            let Some(on) = self.space.get(&condition.parameter) else { break };
            let value = condition.is.first().and_then(|value| on.domain.internal(value));
            sets.extend(value.map(|value| self.set(on, value)));
            at = on;
        }
        sets
    }

    /// Whether the config `raw` (as JSON) has the parameters of a trial.
    pub(crate) fn is_of(
        &self,
        raw: &serde_json::Value,
        params: &std::collections::BTreeMap<String, f64>,
    ) -> bool {
        let given = self.space.parameters().iter().filter_map(|p| Some((p, *params.get(&p.name)?)));
        given.into_iter().all(|(parameter, value)| {
            let own = parameter.name.split('.').try_fold(raw, |at, name| at.get(name));
            own.and_then(|own| parameter.domain.internal(own)) == Some(value)
        })
    }

    /// The internal values `params` as `--set` takes them.
    #[must_use]
    pub fn sets(&self, params: &std::collections::BTreeMap<String, f64>) -> Vec<String> {
        let given = self.space.parameters().iter().filter_map(|p| Some((p, *params.get(&p.name)?)));
        given.map(|(parameter, value)| self.set(parameter, value)).collect()
    }
}
