//! A whole run: prepare, train every fold, save, judge, report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cambist_core::clock::Clock;
use cambist_core::{AutoReset, StateError};
use cambist_evaluate::Track;
use cambist_evaluate::judgement::scorecards;
use cambist_evaluate::windows::Fold;
use cambist_features::Normaliser;
use cambist_market::MarketEnv;
use cambist_ppo::LearnerChoice;
use cambist_runs::{Checkpoints, MetricsLog, Registry, RunFolder};

use crate::artefact::{Artefact, REVISION};
use crate::backtest::backtest_window;
use crate::baselines::baselines;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, ConfigError, Layers};
use crate::cross_validation;
use crate::error::LabError;
use crate::logged::Logged;
use crate::market::Market;
pub use crate::outcome::Outcome;
use crate::outcome::{Concluding, Standing, is_finished, registered, settle};
use crate::train::{Observer, Resumed, Trained, Training, train};

/// Settings of the machine: they change nothing of a run's result.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Folder of data sets.
    pub data: PathBuf,
    /// Folder of runs.
    pub runs: PathBuf,
    /// Threads.
    pub n_threads: usize,
    /// Where runs and judgements are registered; beside the runs if none.
    pub registry: Option<String>,
    /// A run ends at a safe point when the clock has gone this far.
    pub time_limit: Option<Duration>,
    /// Updates between checkpoints; the best weights and the last update have one too.
    pub checkpoint_every: u64,
    /// How many of the last are kept.
    pub keep_checkpoints: usize,
}

impl Machine {
    /// What a run of `experiment` is called after its time: where machines share a registry, with something that is this one's own.
    pub(crate) fn run_name(&self, experiment: &str, clock: &dyn Clock) -> String {
        if self.registry.is_none() {
            return experiment.to_owned();
        }
        let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
        let own = format!(
            "{host} {:?} {} {}",
            std::fs::canonicalize(&self.runs),
            std::process::id(),
            clock.now().0
        );
        let hash = blake3::hash(own.as_bytes()).to_hex();
        format!("{experiment}-{}", hash.get(..6).unwrap_or_default())
    }

    /// The registry of runs in `root`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn registry(&self, root: &Path) -> Result<Registry, LabError> {
        Ok(match &self.registry {
            Some(url) => Registry::connect(url)?,
            None => Registry::open(root)?,
        })
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Trained and judged.
    Finished(Box<Outcome>),
    /// At a safe point before that: [`resume`] goes on.
    Interrupted(Interrupted),
}

/// A run that ended at a safe point.
#[derive(Debug, Clone)]
pub struct Interrupted {
    /// Its folder, whose artefact holds the best weights so far.
    pub folder: RunFolder,
    /// Fold, from 0, and updates done in it, of how many.
    pub fold: usize,
    /// See `fold`.
    pub update: u64,
    /// See `fold`.
    pub n_updates: u64,
}

/// A run under way: what it needs, where it is kept, and what it runs on.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) folder: &'a RunFolder,
    pub(crate) machine: &'a Machine,
    pub(crate) clock: &'a dyn Clock,
}

/// Everything a run needs before its first update.
pub(crate) struct Prepared {
    pub(crate) config: Config,
    pub(crate) market: Market,
    folds: Vec<Fold>,
    /// With each fold's regimes, fitted on its own training window.
    markets: Vec<Market>,
}

fn prepare(layers: &Layers, machine: &Machine) -> Result<Prepared, LabError> {
    let config = Config::validate(layers.resolve()?)?;
    let market = Market::prepare(&config, &machine.data)?;
    let folds = config.folds(market.whole())?;
    cambist_policy::Instructions::forced()?;
    if let LearnerChoice::Tensor(choice) = config.trainer(1).learner {
        choice.open()?;
    }
    let markets: Vec<Market> =
        folds.iter().map(|fold| market.with_regimes(&config, fold)).collect::<Result<_, _>>()?;
    for (fold, market) in folds.iter().zip(&markets) {
        rehearse(&config, market, fold)?;
    }
    Ok(Prepared { config, market, folds, markets })
}

/// Trains and judges the config of `layers`.
///
/// # Errors
/// Whatever fails; what was saved before stays, and [`resume`] goes on from it.
pub fn run(
    layers: &Layers,
    machine: &Machine,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
) -> Result<Ending, LabError> {
    let prepared = prepare(layers, machine)?;
    let Prepared { config, market, folds, .. } = &prepared;
    let folder =
        RunFolder::create(&machine.runs, &machine.run_name(&config.raw.run.name, clock), clock.now())?;
    let _alone = folder.lock()?;
    folder.write("config.toml", &written(config)?)?;
    let begun = serde_json::json!({
        "revision": REVISION,
        "threads": machine.n_threads,
        "kernels": cambist_policy::Instructions::detect().name(),
        "bars": market.tape.len(),
        "bars_without_features": market.n_blind(config.decision.window),
        "data_fingerprint": market.fingerprint,
        "folds": folds.len(),
    });
    folder.log(clock.now(), "begun", &begun)?;
    let mut log = MetricsLog::open(folder.path(), clock.now())?;
    log.hyper_parameters(clock.now(), &serde_json::to_value(&config.raw)?, &OUTCOMES)?;
    let course = Course { prepared: &prepared, folder: &folder, machine, clock };
    course.registered(log, None, observer)
}

/// Goes on with the run in `folder` from its newest checkpoint that is whole, or from the beginning where it has none. It ends with
/// the bytes it would have ended with had it never stopped.
///
/// # Errors
/// When it is finished, its checkpoint is of another config or of other bars, or whatever else fails.
pub fn resume(
    folder: &RunFolder,
    machine: &Machine,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
) -> Result<Ending, LabError> {
    if cross_validation::is_one(folder) {
        return Err(LabError::OtherKind { run: folder.name(), command: "cross-validate" });
    }
    // Before anything of it is touched: another process may be at work.
    let _alone = folder.lock()?;
    if is_finished(folder) {
        settle(folder, machine, clock)?;
        return Err(LabError::Finished(folder.name()));
    }
    let prepared = prepare(&Layers::read(Some(&folder.path().join("config.toml")), &[])?, machine)?;
    let found = Checkpoints::of(folder.path(), machine.keep_checkpoints).newest()?;
    let checkpoint = found.as_ref().map(|found| Checkpoint::read(&found.content)).transpose()?;
    if let Some(checkpoint) = &checkpoint {
        checkpoint.check(&prepared.config, &prepared.market.fingerprint)?;
        let (fold, n_folds) = (checkpoint.fold, prepared.folds.len());
        StateError::fits("the fold", fold, fold.min(n_folds - 1))?;
    }
    for (path, _) in found.iter().flat_map(|found| &found.damaged) {
        // Out of the way of those to come, and kept for whoever wants to know why; failing to is harmless.
        let _ = std::fs::rename(path, path.with_extension("damaged"));
    }
    let damaged: Vec<String> = found
        .iter()
        .flat_map(|found| &found.damaged)
        .map(|(path, why)| format!("{} is damaged: {why}", path.display()))
        .collect();
    let resumed = serde_json::json!({
        "revision": REVISION,
        "revision_of_checkpoint": checkpoint.as_ref().map(|c| &c.revision),
        "threads": machine.n_threads,
        "kernels": cambist_policy::Instructions::detect().name(),
        "checkpoint": found.as_ref().map(|found| &found.path),
        "damaged": damaged,
    });
    folder.log(clock.now(), "resumed", &resumed)?;
    let n_updates = prepared.config.trainer(1).n_updates;
    let done = checkpoint.as_ref().map_or(0, |c| c.fold as u64 * n_updates + c.training.n_done());
    observer.resumed(&Resumed { updates: done, of: n_updates * prepared.folds.len() as u64, damaged });
    let log = MetricsLog::go_on(folder.path(), done * prepared.config.steps_per_round(), clock.now())?;
    let course = Course { prepared: &prepared, folder, machine, clock };
    course.registered(log, checkpoint, observer)
}

impl Course<'_> {
    /// As [`go`], and the registry hears how it began and ended.
    fn registered(
        &self,
        log: MetricsLog,
        start: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Ending, LabError> {
        let Self { prepared, folder, machine, clock } = *self;
        let work = || go(self, log, start, observer);
        registered(folder, &prepared.config, None, machine, clock, work, |ending| match ending {
            Ending::Finished(outcome) => outcome.standing(),
            Ending::Interrupted(_) => Ok(Standing::interrupted()),
        })
    }
}

/// Scalars that TensorBoard shows beside the hyper-parameters.
const OUTCOMES: [&str; 4] =
    ["judgement/sharpe", "judgement/total_return", "judgement/max_drawdown", "judgement/costs"];

/// Trains every fold from where `start` was kept, saves, judges, reports.
fn go(
    course: &Course<'_>,
    log: MetricsLog,
    start: Option<Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Ending, LabError> {
    let Course { prepared, folder, machine, clock } = *course;
    let Prepared { config, market, folds, markets } = prepared;
    let mut logged = Logged::new(course, log, observer);
    let (mut tracks, mut scores): (Vec<Track>, _) = (Vec::new(), Vec::new());
    let mut artefact_hash = String::new();
    let first = start.as_ref().map_or(0, |checkpoint| checkpoint.fold);
    let mut state = start.map(|checkpoint| checkpoint.training);
    for (index, (fold, market)) in folds.iter().zip(markets).enumerate() {
        let trained = if index < first {
            done_before(folder, index)?
        } else {
            let place = (index, folds.len());
            let (members, n_threads) = (config.members(), machine.n_threads);
            let training = Training { config, members, market, fold, place, n_threads };
            train(&training, state.take(), clock, &mut logged)?
        };
        let acting = config.acting(&trained.policy.spec(), trained.multiplier);
        let fold_tracks = match trained.stopped {
            None => test_tracks(&acting, market, &trained, fold)?,
            Some(_) => Vec::new(),
        };
        let artefact = Artefact::of(config, market, fold, &trained, fold_tracks.first());
        artefact_hash = artefact.save(&trained.policy, &folder.artefact())?;
        if folds.len() > 1 {
            artefact.save(&trained.policy, &folder.path().join(fold_name(index)))?;
        }
        let trained_event = serde_json::json!({
            "fold": index,
            "windows": fold,
            "steps": trained.steps,
            "chosen_update": trained.chosen_update,
            "stopped": trained.stopped.is_some(),
            "artefact": artefact_hash,
        });
        folder.log(clock.now(), "trained", &trained_event)?;
        if let Some(update) = trained.stopped {
            let (folder, n_updates) = (folder.clone(), config.trainer(1).n_updates);
            return Ok(Ending::Interrupted(Interrupted { folder, fold: index, update, n_updates }));
        }
        scores.extend(scorecards(&fold_tracks));
        if tracks.is_empty() {
            tracks = fold_tracks;
        } else {
            tracks.iter_mut().zip(&fold_tracks).for_each(|(whole, part)| whole.append(part));
        }
    }
    let concluding = Concluding {
        folder,
        config,
        market,
        machine,
        artefact_hash: &artefact_hash,
        folds,
        n_members: config.raw.population.size,
    };
    let outcome = Outcome { folds: scores, ..Outcome::of(&concluding, &tracks, clock)? };
    let own = &outcome.judgement.scores[0];
    let values = [own.sharpe, own.total_return, own.max_drawdown, own.costs];
    let outcomes: Vec<(&str, f64)> = OUTCOMES.into_iter().zip(values).collect();
    let steps = config.trainer(1).n_updates * config.steps_per_round() * folds.len() as u64;
    logged.log.finished(steps, clock.now(), &outcomes)?;
    outcome.keep()?;
    Ok(Ending::Finished(Box::new(outcome)))
}

/// Where a fold's artefact lies.
fn fold_name(index: usize) -> String {
    format!("folds/{index:02}")
}

/// What an earlier fold's training left, read back from its artefact.
fn done_before(folder: &RunFolder, index: usize) -> Result<Trained, LabError> {
    let (artefact, policy, _) = Artefact::load_from(&folder.path().join(fold_name(index)))?;
    Ok(Trained {
        policy,
        members: artefact.members,
        normaliser: Arc::new(artefact.normaliser),
        steps: artefact.steps,
        chosen_update: artefact.chosen_update,
        multiplier: artefact.multiplier,
        stopped: None,
    })
}

/// The config as resolved, as TOML that gives the same config again.
pub(crate) fn written(config: &Config) -> Result<String, ConfigError> {
    toml::to_string(&config.raw)
        .map_err(|e| ConfigError::Type { path: "the resolved config".to_owned(), reason: e.to_string() })
}

/// Makes every environment of a fold once, so that what cannot work is said before anything is written.
fn rehearse(config: &Config, market: &Market, fold: &Fold) -> Result<(), LabError> {
    let normaliser = Arc::new(Normaliser::identity(&market.features.names, 1.0));
    let train = market.rows("train", "train_until", fold.train)?;
    let spec = market.spec(config, &normaliser, config.decision, config.plan, train)?;
    MarketEnv::new(spec, 1, 0, AutoReset::SameStep)?;
    for (window, field, span) in
        [("validation", "validation_until", fold.validation), ("test", "test_until", fold.test)]
    {
        market.once(config, &normaliser, market.rows(window, field, span)?, false)?;
    }
    Ok(())
}

/// Policy first, then baselines, over the fold's test.
pub(crate) fn test_tracks(
    config: &Config,
    market: &Market,
    trained: &Trained,
    fold: &Fold,
) -> Result<Vec<Track>, LabError> {
    let rows = market.rows("test", "test_until", fold.test)?;
    let policy =
        backtest_window(market, config, &trained.normaliser, rows.clone(), &trained.policy, "policy")?;
    let rest = baselines(config, market, &trained.normaliser, rows, &policy)?;
    Ok([vec![policy], rest].concat())
}

/// The run that is to go on: as [`find`], but `latest` is the newest that is not finished.
///
/// # Errors
/// When there is none.
pub fn find_unfinished(machine: &Machine, wanted: &str) -> Result<RunFolder, LabError> {
    let unfinished = |folder: &RunFolder| !(is_finished(folder) || cross_validation::is_one(folder));
    newest(machine, wanted, &unfinished)
}

/// The run called `wanted`, or for `latest` the newest that `fits`.
pub(crate) fn newest(
    machine: &Machine,
    wanted: &str,
    fits: &dyn Fn(&RunFolder) -> bool,
) -> Result<RunFolder, LabError> {
    if wanted != "latest" {
        return find(machine, wanted);
    }
    for name in RunFolder::list(&machine.runs).iter().rev() {
        let folder = find(machine, name)?;
        if fits(&folder) {
            return Ok(folder);
        }
    }
    Err(LabError::Finished("every run".to_owned()))
}

/// The run called `wanted`: a path, a name, the beginning of one name alone, or `latest`.
///
/// # Errors
/// When there is none.
pub fn find(machine: &Machine, wanted: &str) -> Result<RunFolder, LabError> {
    Ok(RunFolder::find(&machine.runs, wanted)?)
}
