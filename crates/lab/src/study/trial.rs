//! A trial: the trainings of one choice of parameters, and what they come to on validation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cambist_core::clock::Clock;
use cambist_evaluate::Track;
use cambist_evaluate::metrics::{drawdown, growth, sharpe};
use cambist_search::Returns;

use crate::backtest::backtest_window;
use crate::config::Config;
use crate::error::LabError;
use crate::market::Market;
use crate::member::Look;
use crate::run::Machine;
use crate::train::{Observer, Progress, Training, train};

use super::spec::{Objective, Sweep};

/// How a trial ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ended {
    /// With a value for each objective, and the deepest drawdown.
    Complete { values: Vec<f64>, drawdown: f64, returns: Returns },
    /// Given up.
    Pruned { returns: Returns },
    /// Interrupted: its worker was told to stop, or the trial was taken from it.
    Stopped,
}

/// Hears of a trial's value on the way; true gives it up.
pub(crate) type Report<'a> = dyn FnMut(f64) -> Result<bool, LabError> + 'a;

/// One member's validation: a fold under a seed.
struct Member {
    fold: usize,
    track: Track,
}

/// Trains `config` in every fold under every seed, and judges on validation.
pub(crate) fn run_trial(
    sweep: &Sweep,
    config: &Config,
    market: &Market,
    machine: &Machine,
    clock: &dyn Clock,
    stop: &AtomicBool,
    report: &mut Report<'_>,
) -> Result<Ended, LabError> {
    let folds = config.folds(market.whole())?;
    let markets: Vec<Market> =
        folds.iter().map(|fold| market.with_regimes(config, fold)).collect::<Result<_, _>>()?;
    let mut members: Vec<Member> = Vec::new();
    let mut pruned = false;
    'all: for (index, (fold, market)) in folds.iter().zip(&markets).enumerate() {
        for seed in 0..sweep.seeds {
            let n_members = config.raw.population.size as u64;
            let config = &config.with_seed(config.raw.run.seed + seed * n_members);
            let objective = sweep.objectives[0];
            let finished = members.iter().map(|m| value_of(objective, &m.track)).collect();
            let mut watch =
                Watch { objective, finished, best: None, stop, report: &mut *report, pruned: false };
            let training = Training {
                config,
                members: config.members(),
                market,
                fold,
                place: (index, folds.len()),
                n_threads: machine.n_threads,
            };
            let trained = train(&training, None, clock, &mut watch)?;
            pruned = watch.pruned;
            if trained.stopped.is_some() && !pruned {
                return Ok(Ended::Stopped);
            }
            let config = &config.acting(&trained.policy.spec(), trained.multiplier);
            let rows = market.rows("validation", "validation_until", fold.validation)?;
            let track =
                backtest_window(market, config, &trained.normaliser, rows, &trained.policy, "validation")?;
            members.push(Member { fold: index, track });
            if pruned {
                break 'all;
            }
        }
    }
    let span = (folds[0].validation.from.0, folds[folds.len() - 1].validation.until.0);
    let returns = Returns { span, values: shared_returns(&members, folds.len(), market, config)? };
    if pruned {
        return Ok(Ended::Pruned { returns });
    }
    let values = sweep
        .objectives
        .iter()
        .map(|objective| median(members.iter().map(|m| value_of(*objective, &m.track)).collect()))
        .collect();
    let drawdown = median(members.iter().map(|m| drawdown::drawdown(&m.track.equity).deepest).collect());
    Ok(Ended::Complete { values, drawdown, returns })
}

/// What `track` is worth.
fn value_of(objective: Objective, track: &Track) -> f64 {
    match objective {
        Objective::ValidationSharpe => sharpe_of(track),
        Objective::ValidationReturn => growth::total_return(&track.equity),
        Objective::ValidationDrawdown => drawdown::drawdown(&track.equity).deepest,
    }
}

/// A policy that never trades scores zero, a ruined one worst of all.
fn sharpe_of(track: &Track) -> f64 {
    if track.ruined {
        return -1e9;
    }
    let ratio = sharpe::annual(&track.returns(), track.bars_per_year());
    if ratio.is_nan() { 0.0 } else { ratio }
}

/// Returns bar by bar on the index of all validation windows one after the other: the mean over seeds; zero where a trial that was
/// given up never came to.
fn shared_returns(
    members: &[Member],
    n_folds: usize,
    market: &Market,
    config: &Config,
) -> Result<Vec<f32>, LabError> {
    let folds = config.folds(market.whole())?;
    let mut out = Vec::new();
    for (index, fold) in folds.iter().enumerate().take(n_folds) {
        let own: Vec<Vec<f64>> =
            members.iter().filter(|m| m.fold == index).map(|m| m.track.returns()).collect();
        let n_bars = market.rows("validation", "validation_until", fold.validation)?.len();
        // The window's first bars, before features are warm, earn nothing.
        let late = n_bars.saturating_sub(own.first().map_or(0, Vec::len));
        let mean = |bar: usize| {
            let at = |returns: &Vec<f64>| bar.checked_sub(late).and_then(|i| returns.get(i)).copied();
            let sum: f64 = own.iter().filter_map(at).sum();
            (sum / own.len().max(1) as f64) as f32
        };
        out.extend((0..n_bars).map(mean));
    }
    Ok(out)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

/// Watches one member's training.
struct Watch<'a, 'b> {
    /// What trials are given up by: the first objective.
    objective: Objective,
    /// Values of the members before.
    finished: Vec<f64>,
    /// The look whose weights would be chosen so far.
    best: Option<Look>,
    stop: &'a AtomicBool,
    report: &'a mut Report<'b>,
    pruned: bool,
}

impl Observer for Watch<'_, '_> {
    fn update(&mut self, progress: &Progress) -> Result<bool, LabError> {
        if let Some(look) = &progress.validation {
            // What counts in the end is the look whose weights are chosen, not the look that flatters the objective.
            let best = self.best.filter(|best| best.score >= look.score).unwrap_or(*look);
            self.best = Some(best);
            let value = match self.objective {
                Objective::ValidationSharpe => best.sharpe,
                Objective::ValidationReturn => best.total_return,
                Objective::ValidationDrawdown => best.drawdown,
            };
            let scores = self.finished.iter().copied().chain([value]).collect();
            // The last report of a training that is done ends nothing.
            let done = progress.steps >= progress.total_steps;
            self.pruned = (self.report)(median(scores))? && !done;
        }
        Ok(!(self.pruned || self.stop.load(Ordering::SeqCst)))
    }
}

/// Bars and features of the last trial: most parameters leave them as they are.
#[derive(Default)]
pub(crate) struct MarketCache {
    last: Option<(String, Arc<Market>)>,
}

impl MarketCache {
    pub(crate) fn of(&mut self, config: &Config, machine: &Machine) -> Result<Arc<Market>, LabError> {
        let mut key = serde_json::to_value(&config.raw)?;
        if let Some(sections) = key.as_object_mut() {
            for apart in ["run", "ppo", "network", "episode", "reward", "population", "ensemble"] {
                sections.remove(apart);
            }
        }
        let key = key.to_string();
        if let Some((known, market)) = &self.last
            && *known == key
        {
            return Ok(Arc::clone(market));
        }
        let market = Arc::new(Market::prepare(config, &machine.data)?);
        self.last = Some((key, Arc::clone(&market)));
        Ok(market)
    }
}
