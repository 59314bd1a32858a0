//! A worker: asks for trials, trains them, tells what they came to, until enough are done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cambist_core::clock::Clock;
use cambist_search::{Ask, Asked, Grace, SamplerKind, State, Storage, Study, Suggestion, Trial};
use cambist_store::Patience;
use serde_json::json;

use crate::config::Config;
use crate::error::LabError;
use crate::run::Machine;

use super::spec::{Launch, Sweep};
use super::trial::{Ended, MarketCache, run_trial};

/// The notes of a study that may change from one launch to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Orders {
    /// Trials that end with something to learn from.
    pub trials: u64,
    /// Seconds between signs of life.
    pub heartbeat_s: f64,
    /// Seconds without one after which a worker is thought dead.
    pub grace_s: f64,
}

/// Who watches a worker.
pub trait WorkerWatch {
    /// Hears that trial `number` is begun with `sets`.
    fn begun(&mut self, number: u64, sets: &[String]);
    /// Hears how it ended.
    fn ended(&mut self, number: u64, how: &str);
}

/// What a worker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Trials complete.
    pub complete: u64,
    /// Trials given up.
    pub pruned: u64,
    /// Trials that failed.
    pub failed: u64,
}

impl Launch {
    /// What workers are told beside the study itself.
    #[must_use]
    pub fn orders(&self) -> Orders {
        let (heartbeat_s, grace_s) = self.heartbeat;
        Orders { trials: self.trials, heartbeat_s, grace_s }
    }
}

/// Makes the study of `launch` in the storage at `url`, or finds it there.
///
/// # Errors
/// When the storage cannot be used, or a study of that name asks something else.
pub fn create(url: &str, launch: &Launch) -> Result<(Storage, Study), LabError> {
    let storage = Storage::open(url, Patience::default())?;
    let sweep = &launch.sweep;
    for earlier in &sweep.warm_start {
        storage.study(earlier)?;
    }
    let study = storage.create(&sweep.name, &sweep.directions(), &serde_json::to_value(sweep)?)?;
    storage.set_study_attr(&study, "cambist:orders", &orders_json(launch.orders()))?;
    Ok((storage, study))
}

fn orders_json(orders: Orders) -> serde_json::Value {
    json!({ "trials": orders.trials, "heartbeat_s": orders.heartbeat_s, "grace_s": orders.grace_s })
}

/// The study called `name`, what it is and what its workers are told.
///
/// # Errors
/// When there is none, or it was not made by `cambist sweep`.
pub fn open(storage: &Storage, name: &str) -> Result<(Study, Sweep, Orders), LabError> {
    let study = storage.study(name)?;
    let foreign = || LabError::ForeignStudy(name.to_owned());
    let sweep: Sweep = serde_json::from_value(storage.spec(&study)?).map_err(|_| foreign())?;
    let told = storage.study_attr(&study, "cambist:orders")?;
    let number = |field: &str| told[field].as_f64().ok_or_else(foreign);
    let orders = Orders {
        trials: number("trials")? as u64,
        heartbeat_s: number("heartbeat_s")?,
        grace_s: number("grace_s")?,
    };
    Ok((study, sweep, orders))
}

/// Trials that fail in a row before a worker takes it that all will.
const MOST_FAILURES: u32 = 5;

/// Works on the study called `name` in the storage at `url` until enough trials are done, or `stop` is set: what it works on then is
/// given back.
///
/// # Errors
/// When the storage is away for too long, or the study was not made by `cambist sweep`. A trial whose training fails is told to
/// have failed, and the next is asked for.
pub fn work(
    url: &str,
    name: &str,
    machine: &Machine,
    clock: &dyn Clock,
    stop: &AtomicBool,
    watch: &mut dyn WorkerWatch,
) -> Result<Done, LabError> {
    let storage = Storage::open(url, Patience::default())?;
    let (study, sweep, orders) = open(&storage, name)?;
    let mut earlier = Vec::new();
    for name in &sweep.warm_start {
        earlier.extend(storage.trials(&storage.study(name)?)?);
    }
    let mut worker =
        Worker { storage, study, sweep, orders, earlier, machine, clock, cache: MarketCache::default() };
    let mut done = Done::default();
    let mut in_a_row = 0;
    while !stop.load(Ordering::SeqCst) {
        worker.storage.fail_stale(&worker.study, worker.orders.grace_s)?;
        match worker.ask()? {
            Ask::Done => break,
            Ask::Later => pause(worker.orders.heartbeat_s.min(1.0), stop),
            Ask::Trial(trial) => {
                let before = done.failed;
                worker.live(&trial, stop, watch, &mut done)?;
                in_a_row = if done.failed > before { in_a_row + 1 } else { 0 };
                if in_a_row >= MOST_FAILURES {
                    return Err(LabError::TrialsFail { times: in_a_row, study: name.to_owned() });
                }
            }
        }
    }
    Ok(done)
}

fn pause(seconds: f64, stop: &AtomicBool) {
    let (step, mut waited) = (0.05, 0.0);
    while waited < seconds && !stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_secs_f64(step));
        waited += step;
    }
}

struct Worker<'a> {
    storage: Storage,
    study: Study,
    sweep: Sweep,
    orders: Orders,
    earlier: Vec<Trial>,
    machine: &'a Machine,
    clock: &'a dyn Clock,
    cache: MarketCache,
}

impl Worker<'_> {
    fn ask(&self) -> Result<Ask, LabError> {
        let Sweep { space, sampler, seed, grid_points, .. } = &self.sweep;
        let directions = self.sweep.directions();
        let suggest = |trials: &[Trial], number: u64, fixed: &Suggestion| {
            let (grid_points, earlier) = (*grid_points, &self.earlier[..]);
            let asked =
                Asked { space, directions: &directions, seed: *seed, grid_points, number, trials, earlier };
            sampler.suggest(&asked, fixed)
        };
        // A grid is done when all of it was tried: then only what waits is left.
        let more = |trials: &[Trial]| {
            *sampler != SamplerKind::Grid
                || cambist_search::sampler::untried(space, *grid_points, trials).is_some()
        };
        Ok(self.storage.ask(&self.study, space, self.orders.trials, &more, &suggest)?)
    }

    /// Lives through a trial, its heart beating.
    fn live(
        &mut self,
        trial: &Trial,
        stop: &AtomicBool,
        watch: &mut dyn WorkerWatch,
        done: &mut Done,
    ) -> Result<(), LabError> {
        let sets = self.sweep.sets(&trial.params);
        watch.begun(trial.number, &sets);
        let begun = self.clock.elapsed();
        // Set when this trial ends, when all end, or when the trial was taken away.
        let (over, halt) = (AtomicBool::new(false), AtomicBool::new(false));
        let (cache, storage) = (std::mem::take(&mut self.cache), &self.storage);
        let (ended, cache) = std::thread::scope(|scope| {
            let heart = || beat(storage, trial.id, self.orders.heartbeat_s, &over, stop, &halt);
            scope.spawn(heart);
            let mut cache = cache;
            let ended = self.train(trial, &sets, &mut cache, &halt);
            over.store(true, Ordering::SeqCst);
            (ended, cache)
        });
        self.cache = cache;
        let seconds = (self.clock.elapsed() - begun).as_secs_f64();
        match &ended {
            Ok(Ended::Stopped) => {}
            Ok(_) | Err(_) => {
                self.storage.note(trial, "cambist:seconds", &json!(seconds))?;
            }
        }
        let how = self.tell(trial, ended, done)?;
        watch.ended(trial.number, &how);
        Ok(())
    }

    /// The trial's trainings, reporting as they go.
    fn train(
        &self,
        trial: &Trial,
        sets: &[String],
        cache: &mut MarketCache,
        halt: &AtomicBool,
    ) -> Result<Ended, LabError> {
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let config = Config::validate(self.sweep.layers()?.with(&sets)?.resolve()?)?;
        let market = cache.of(&config, self.machine)?;
        let mut own = trial.clone();
        let n_updates = config.trainer(1).n_updates;
        let validations = n_updates.div_ceil(config.raw.ppo.validate_every.max(1));
        let n_folds = config.folds(market.whole())?.len() as u64;
        let grace = Grace {
            trials: self.sweep.prune_after_trials,
            steps: self.sweep.prune_after_reports,
            of: validations * n_folds * self.sweep.seeds,
        };
        let one = self.sweep.objectives.len() == 1;
        let mut report = |value: f64| {
            if !one {
                return Ok(false);
            }
            let step = own.intermediate.len() as u64;
            self.storage.report(&own, step, value)?;
            own.intermediate.insert(step, value);
            let others = self.storage.trials(&self.study)?;
            let direction = self.sweep.objectives[0].direction();
            Ok(self.sweep.pruner.prunes(grace, direction, &own, &others))
        };
        run_trial(&self.sweep, &config, &market, self.machine, self.clock, halt, &mut report)
    }

    fn tell(
        &self,
        trial: &Trial,
        ended: Result<Ended, LabError>,
        done: &mut Done,
    ) -> Result<String, LabError> {
        let (storage, study) = (&self.storage, &self.study);
        let told = match ended {
            Ok(Ended::Complete { values, drawdown, returns }) => {
                let limit = self.sweep.max_drawdown;
                let constraints = if limit > 0.0 { vec![drawdown - limit] } else { Vec::new() };
                let told = storage.tell(study, trial, State::Complete, &values, &constraints, Some(&returns));
                done.complete += u64::from(told.is_ok());
                let shown: Vec<String> = values.iter().map(|v| format!("{v:.4}")).collect();
                told.map(|()| shown.join(", "))
            }
            Ok(Ended::Pruned { returns }) => {
                // Optuna shows the last report as a pruned trial's value.
                let told = storage.tell(study, trial, State::Pruned, &[], &[], Some(&returns));
                done.pruned += u64::from(told.is_ok());
                told.map(|()| "given up".to_owned())
            }
            Ok(Ended::Stopped) => {
                storage.release(study, trial).map(|()| "interrupted, and given back".to_owned())
            }
            Err(error @ LabError::Search(_)) => return Err(error),
            Err(error) => {
                let why = error.to_string();
                storage.note(trial, "cambist:error", &json!(why))?;
                done.failed += 1;
                storage.tell(study, trial, State::Fail, &[], &[], None).map(|()| format!("failed: {why}"))
            }
        };
        match told {
            Err(gone @ cambist_search::SearchError::Gone(_)) => Ok(gone.to_string()),
            other => Ok(other?),
        }
    }
}

/// Says that the worker lives, until the trial is over; `halt` is set when all are to stop, or the trial is another's.
fn beat(
    storage: &Storage,
    trial: i64,
    every_s: f64,
    over: &AtomicBool,
    stop: &AtomicBool,
    halt: &AtomicBool,
) {
    let mut since = 0.0;
    while !over.load(Ordering::SeqCst) {
        if stop.load(Ordering::SeqCst) {
            halt.store(true, Ordering::SeqCst);
        }
        pause(0.05, &AtomicBool::new(false));
        since += 0.05;
        if since >= every_s {
            since = 0.0;
            // What cannot be said now is said next time; a storage that stays away ends the trial when it is told.
            if matches!(storage.beat(trial), Ok(false)) {
                halt.store(true, Ordering::SeqCst);
            }
        }
    }
}
