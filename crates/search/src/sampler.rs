//! What to try next.
//!
//! Random, grid and TPE are our own and look at the history alone. CMA-ES, the Gaussian process and NSGA-II are those of the
//! `optimizer` crate; they remember what they asked, so a fresh one is led through all earlier trials of the study first, each
//! with as much of the history as it had seen ([`SEEN`]). Every suggestion is thus a function of the storage and the seed alone:
//! any worker may ask for it.

use std::collections::BTreeMap;

use cambist_core::rng::{Purpose, Stream};
use optimizer::distribution::Distribution;
use optimizer::multi_objective::{MultiObjectiveSampler, MultiObjectiveTrial};
use optimizer::param::ParamValue;
use optimizer::sampler::{CmaEsSampler, CompletedTrial, GpSampler, Nsga2Sampler, Sampler};
use serde::{Deserialize, Serialize};

use crate::error::SearchError;
use crate::library::{Units, labelled};
use crate::space::{Domain, Parameter, Space};
use crate::tpe::{self, Seen};
use crate::trial::{Direction, State, Trial};

/// The system attribute in which a trial notes how many finished ones were known when it was asked.
pub const SEEN: &str = "cambist:seen";

/// How to choose what to try next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplerKind {
    /// Evenly at random.
    Random,
    /// Every combination, `grid_points` of what cannot be counted.
    Grid,
    /// The tree-structured Parzen estimator over all parameters at once.
    #[default]
    Tpe,
    /// Covariance matrix adaptation (Hansen 2016, arXiv 1604.00772); choices as places on a line.
    Cmaes,
    /// Expected improvement under a Gaussian process; choices as places on a line.
    Gp,
    /// The genetic algorithm of Deb et al. 2002, for several objectives.
    Nsga2,
}

/// What is asked.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The space.
    pub space: &'a Space,
    /// What objectives are to be.
    pub directions: &'a [Direction],
    /// The study's seed.
    pub seed: u64,
    /// Points of a grid along what cannot be counted.
    pub grid_points: usize,
    /// Number of the new trial.
    pub number: u64,
    /// The study's trials, in the order of their numbers.
    pub trials: &'a [Trial],
    /// Trials of earlier studies to learn from.
    pub earlier: &'a [Trial],
}

/// Internal values by name.
pub type Suggestion = BTreeMap<String, f64>;

impl SamplerKind {
    /// Refuses what it cannot do.
    ///
    /// # Errors
    /// Several objectives for what knows one, or one for what knows several.
    pub fn check(self, directions: &[Direction]) -> Result<(), SearchError> {
        let refuse = |reason: &str| {
            let sampler = format!("{self:?}").to_lowercase();
            Err(SearchError::Sampler { sampler, reason: reason.to_owned() })
        };
        match (self, directions.len()) {
            (Self::Tpe | Self::Cmaes | Self::Gp, n) if n > 1 => {
                refuse("it knows one objective; nsga2, random and grid know several")
            }
            (Self::Nsga2, 1) => refuse("it is for several objectives; tpe, cmaes and gp are for one"),
            _ => Ok(()),
        }
    }

    /// Suggests the trial that is asked for. `fixed` values are kept where they are in the range.
    #[must_use]
    pub fn suggest(self, asked: &Asked<'_>, fixed: &Suggestion) -> Suggestion {
        let mut stream = Stream::new(asked.seed, Purpose::Search, asked.number);
        let library = match self {
            Self::Cmaes => Some(led(asked, &CmaEsSampler::with_seed(asked.seed))),
            Self::Gp => Some(fresh(asked, &GpSampler::with_seed(asked.seed ^ (asked.number << 20)))),
            Self::Nsga2 => Some(led_many(asked, &Nsga2Sampler::with_seed(asked.seed))),
            Self::Random | Self::Grid | Self::Tpe => None,
        };
        let grid = (self == Self::Grid).then(|| on_grid(asked));
        let mut chosen = Suggestion::new();
        for group in groups(asked.space) {
            let mut open: Vec<&Parameter> = Vec::new();
            for &parameter in &group {
                if !matters(asked.space, parameter, &chosen) {
                    continue;
                }
                match fixed.get(&parameter.name).filter(|x| parameter.domain.external(**x).is_some()) {
                    Some(&value) => drop(chosen.insert(parameter.name.clone(), value)),
                    None => open.push(parameter),
                }
            }
            let values = match (&library, &grid) {
                (Some(unit), _) => open.iter().map(|p| from_unit(&p.domain, unit[&p.name])).collect(),
                (_, Some(grid)) => open.iter().map(|p| grid[&p.name]).collect(),
                _ if self == Self::Tpe => parzen(asked, &open, &mut stream),
                _ => open.iter().map(|p| tpe::uniform(&p.domain, &mut stream)).collect(),
            };
            chosen.extend(open.iter().map(|p| p.name.clone()).zip(values));
        }
        chosen
    }
}

/// Parameters that matter under the same condition, in the order in which they are asked.
fn groups(space: &Space) -> Vec<Vec<&Parameter>> {
    let mut groups: Vec<Vec<&Parameter>> = Vec::new();
    for parameter in space.parameters() {
        match groups.iter_mut().find(|group| group[0].when == parameter.when) {
            Some(group) => group.push(parameter),
            None => groups.push(vec![parameter]),
        }
    }
    groups
}

fn matters(space: &Space, parameter: &Parameter, chosen: &Suggestion) -> bool {
    parameter.matters(|name| space.get(name)?.domain.external(*chosen.get(name)?))
}

/// Number of combinations of a grid, conditions apart.
#[must_use]
pub fn grid_size(space: &Space, points: usize) -> u64 {
    let sizes = space.parameters().iter().map(|p| p.domain.grid(points).len() as u64);
    sizes.fold(1, u64::saturating_mul)
}

fn point(space: &Space, points: usize, number: u64) -> Suggestion {
    let mut rest = number;
    let mut out = Suggestion::new();
    for parameter in space.parameters() {
        let values = parameter.domain.grid(points);
        out.insert(parameter.name.clone(), values[(rest % values.len() as u64) as usize]);
        rest /= values.len() as u64;
    }
    out
}

/// The first point of the grid that no trial has, whatever became of it; none when all were tried. Parameters that do not matter at a
/// point make no difference.
#[must_use]
pub fn untried(space: &Space, points: usize, trials: &[Trial]) -> Option<Suggestion> {
    let tried = |at: &Suggestion| {
        let same = |t: &Trial| {
            space
                .parameters()
                .iter()
                .filter(|p| matters(space, p, at))
                .all(|p| t.params.get(&p.name) == at.get(&p.name))
        };
        trials.iter().any(same)
    };
    (0..grid_size(space, points)).map(|number| point(space, points, number)).find(|at| !tried(at))
}

fn on_grid(asked: &Asked<'_>) -> Suggestion {
    // A worker that asks when all are tried is not given this one: it is told that there is no more.
    untried(asked.space, asked.grid_points, asked.trials)
        .unwrap_or_else(|| point(asked.space, asked.grid_points, asked.number))
}

/// What trials are ranked by: constraints broken; then finished before pruned, late before early; then the loss.
fn rank(trial: &Trial, direction: Direction) -> Option<[f64; 4]> {
    let broken = trial.violation();
    match trial.state {
        State::Complete => {
            Some([broken, 0.0, 0.0, trial.values.first().map_or(f64::INFINITY, |v| direction.loss(*v))])
        }
        State::Pruned => {
            let (step, value) = trial.last_report()?;
            Some([broken, 1.0, -(step as f64), direction.loss(value)])
        }
        _ => None,
    }
}

fn parzen(asked: &Asked<'_>, open: &[&Parameter], stream: &mut Stream) -> Vec<f64> {
    let direction = asked.directions.first().copied().unwrap_or(Direction::Maximize);
    let known = asked.earlier.iter().chain(asked.trials);
    // A trial that is pruned before its first report says nothing; one that runs is taken for bad, so that workers spread.
    let usable: Vec<(&Trial, Option<[f64; 4]>)> = known
        .map(|trial| (trial, rank(trial, direction)))
        .filter(|(trial, rank)| rank.is_some() || trial.state == State::Running)
        .collect();
    let seen: Vec<Seen<'_>> = usable
        .iter()
        .filter_map(|(trial, rank)| {
            let value = |p: &&Parameter| {
                trial.params.get(&p.name).copied().filter(|x| p.domain.external(*x).is_some())
            };
            let values = open.iter().map(value).collect::<Option<Vec<f64>>>()?;
            Some(Seen { values, key: rank.as_ref().map(|rank| &rank[..]) })
        })
        .collect();
    tpe::suggest(open, &seen, stream)
}

/// The value at the share `u` of a range.
fn from_unit(domain: &Domain, u: f64) -> f64 {
    let u = u.clamp(0.0, 1.0);
    match domain {
        Domain::Float { low, high, log: true, .. } => (low * libm::pow(high / low, u)).clamp(*low, *high),
        Domain::Float { low, high, step, .. } => {
            let x = low + (high - low) * u;
            step.map_or(x, |step| low + ((x - low) / step).round() * step).clamp(*low, *high)
        }
        Domain::Int { low, high, log: true, .. } => {
            (*low as f64 * libm::pow(*high as f64 / *low as f64, u)).round().clamp(*low as f64, *high as f64)
        }
        Domain::Int { low, high, step, .. } => {
            let steps = (high - low) / step;
            (low + ((u * (steps + 1) as f64) as i64).min(steps) * step) as f64
        }
        Domain::Choice(choices) => (u * choices.len() as f64).floor().min((choices.len() - 1) as f64),
    }
}

/// Finished trials in the order in which they finished.
fn finished<'a>(asked: &Asked<'a>) -> Vec<&'a Trial> {
    let mut done: Vec<&Trial> = asked.trials.iter().filter(|t| t.state == State::Complete).collect();
    done.sort_by(|a, b| a.times.1.cmp(&b.times.1).then(a.number.cmp(&b.number)));
    done
}

fn told(asked: &Asked<'_>, units: &Units, trials: &[&Trial]) -> Vec<CompletedTrial> {
    let direction = asked.directions.first().copied().unwrap_or(Direction::Maximize);
    let tell = |t: &&Trial| {
        let value = t.values.first().map_or(f64::MAX, |v| direction.loss(*v));
        let value = if value.is_finite() { value } else { f64::MAX };
        let mut told = labelled(units, asked.space, t, value);
        told.constraints = t.constraints();
        told
    };
    trials.iter().map(tell).collect()
}

fn share(value: ParamValue) -> f64 {
    match value {
        ParamValue::Float(x) => x,
        ParamValue::Int(x) => x as f64,
        ParamValue::Categorical(x) => x as f64,
    }
}

fn ask(asked: &Asked<'_>, units: &Units, mut sample: impl FnMut(&Distribution) -> ParamValue) -> Suggestion {
    let pairs = asked.space.parameters().iter().zip(&units.ranges);
    pairs.map(|(p, range)| (p.name.clone(), share(sample(range)))).collect()
}

/// How many finished trials `trial` knew of when it was asked.
fn knew(trial: &Trial, all: usize) -> usize {
    let noted = trial.system.get(SEEN).and_then(serde_json::Value::as_u64);
    noted.map_or(0, |n| n as usize).min(all)
}

/// A sampler that remembers, led through the trials before.
fn led(asked: &Asked<'_>, sampler: &dyn Sampler) -> Suggestion {
    let (units, done) = (Units::of(asked.space), finished(asked));
    let history = told(asked, &units, &done);
    for trial in asked.trials.iter().filter(|t| t.number < asked.number) {
        let known = &history[..knew(trial, history.len())];
        ask(asked, &units, |range| sampler.sample(range, trial.number, known));
    }
    ask(asked, &units, |range| sampler.sample(range, asked.number, &history))
}

/// A sampler that looks at the history alone, once it has been shown what is asked.
fn fresh(asked: &Asked<'_>, sampler: &dyn Sampler) -> Suggestion {
    let units = Units::of(asked.space);
    let known: Vec<&Trial> = asked.earlier.iter().filter(|t| t.state == State::Complete).collect();
    let history = told(asked, &units, &[known, finished(asked)].concat());
    // The first trial shows it the space, the second is answered without the history.
    let mut shown = Suggestion::new();
    for trial in [u64::MAX, u64::MAX - 1] {
        shown = ask(asked, &units, |range| sampler.sample(range, trial, &[]));
    }
    if history.len() < tpe::N_STARTUP {
        return shown;
    }
    ask(asked, &units, |range| sampler.sample(range, asked.number, &history))
}

fn led_many(asked: &Asked<'_>, sampler: &dyn MultiObjectiveSampler) -> Suggestion {
    let (units, done) = (Units::of(asked.space), finished(asked));
    let directions = vec![optimizer::Direction::Minimize; asked.directions.len()];
    let history: Vec<MultiObjectiveTrial> = done
        .iter()
        .map(|t| MultiObjectiveTrial {
            id: t.number,
            params: units.values(asked.space, t),
            distributions: units.ranges(),
            param_labels: Default::default(),
            values: t.values.iter().zip(asked.directions).map(|(v, d)| d.loss(*v)).collect(),
            state: optimizer::TrialState::Complete,
            user_attrs: Default::default(),
            constraints: t.constraints(),
        })
        .collect();
    for trial in asked.trials.iter().filter(|t| t.number < asked.number) {
        let known = &history[..knew(trial, history.len())];
        ask(asked, &units, |range| sampler.sample(range, trial.number, known, &directions));
    }
    ask(asked, &units, |range| sampler.sample(range, asked.number, &history, &directions))
}
