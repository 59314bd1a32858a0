//! Combinatorial purged cross-validation of a config: several histories instead of one (López de Prado 2018, chapter 12).
//!
//! The bars up to the end of the test window are cut into groups; for every choice of test groups the config is trained on the others,
//! one of which its weights are chosen by, without the rows whose labels or indicators reach into what was set aside; then it trades the
//! tests. Every group is a test of several splits, so the tests make several whole histories, each traded by policies that had not seen
//! it, an account of its own in every group whose growth is multiplied. This judges the method and leaves no policy. Some policies
//! learn from what came after their test: purge and embargo keep that from leaking bar to bar, but what lasts longer is known from
//! both sides, which walking forward never allows.

mod history;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use cambist_core::clock::Clock;
use cambist_evaluate::Track;
use cambist_evaluate::overfitting::folds::{Cut, CutError, Split, paths};
use cambist_evaluate::windows::{Fold, Span};
use cambist_features::{Normaliser, look_back};
use cambist_runs::{Checkpoints, Judged, RunFolder, Status};
use serde::{Deserialize, Serialize};

use crate::backtest::backtest_window;
use crate::baselines::hold;
use crate::checkpoint::{Checkpoint, TrainingState, same_experiment};
use crate::config::{Config, ConfigError, Layers};
use crate::error::LabError;
use crate::market::Market;
use crate::member::Ground;
use crate::outcome::{Standing, registered};
use crate::run::{Machine, newest, written};
use crate::train::{Moment, Observer, Progress, Resumed, Training, train_on};

pub use history::{CrossValidation, History};
use history::{chart, joined};

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Every split was trained.
    Finished(Box<CrossValidation>),
    /// At a safe point before that: the folder's name, splits done and of how many.
    Interrupted(String, usize, usize),
}

/// What a split's training left: its account through each of its tests.
#[derive(Serialize, Deserialize)]
struct Tested {
    /// The config, resolved, as JSON.
    config: String,
    data_fingerprint: String,
    groups: Vec<usize>,
    tracks: Vec<Track>,
}

/// Cross-validates the config of `layers` in a folder of its own.
///
/// # Errors
/// When the config has no `[cross_validation]` or its groups are too small, or whatever fails; splits that are done stay.
pub fn cross_validate(
    layers: &Layers,
    machine: &Machine,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
) -> Result<Ending, LabError> {
    let config = Config::validate(layers.resolve()?)?;
    let course = Course::prepare(config, machine)?;
    let name = format!("{}-cv", course.config.raw.run.name);
    let folder = RunFolder::create(&machine.runs, &machine.run_name(&name, clock), clock.now())?;
    cambist_store::create_folder(&folder.path().join(SPLITS))?;
    folder.write("config.toml", &written(&course.config)?)?;
    course.registered(&folder, machine, clock, observer)
}

/// Goes on with the cross-validation in `folder`: splits that are done are not trained again.
///
/// # Errors
/// As [`cross_validate`].
pub fn go_on(
    folder: &RunFolder,
    machine: &Machine,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
) -> Result<Ending, LabError> {
    if !is_one(folder) {
        return Err(LabError::OtherKind { run: folder.name(), command: "train" });
    }
    let layers = Layers::read(Some(&folder.path().join("config.toml")), &[])?;
    let course = Course::prepare(Config::validate(layers.resolve()?)?, machine)?;
    course.registered(folder, machine, clock, observer)
}

/// The cross-validation that is to go on: the run called `wanted`, or for `latest` the newest that is not finished.
///
/// # Errors
/// When there is none.
pub fn find_unfinished(machine: &Machine, wanted: &str) -> Result<RunFolder, LabError> {
    newest(machine, wanted, &|folder| is_one(folder) && !folder.path().join(RESULT).is_file())
}

/// Whether `folder` holds a cross-validation and no training.
pub(crate) fn is_one(folder: &RunFolder) -> bool {
    folder.path().join(SPLITS).is_dir()
}

/// Folder of what splits left.
const SPLITS: &str = "splits";

/// Holds what it came to, once it is finished.
const RESULT: &str = "cross-validation.json";

/// Keeps checkpoints of a split's training, and ends it when time is up.
struct Watched<'a> {
    course: &'a Course,
    machine: &'a Machine,
    clock: &'a dyn Clock,
    checkpoints: Checkpoints,
    inner: &'a mut dyn Observer,
}

impl Observer for Watched<'_> {
    fn update(&mut self, progress: &Progress) -> Result<bool, LabError> {
        let goes_on = self.inner.update(progress)?;
        Ok(goes_on && self.machine.time_limit.is_none_or(|limit| self.clock.elapsed() < limit))
    }

    fn resumed(&mut self, resumed: &Resumed) {
        self.inner.resumed(resumed);
    }

    fn keep(
        &mut self,
        moment: Moment,
        state: &dyn Fn() -> Result<TrainingState, LabError>,
    ) -> Result<(), LabError> {
        let Moment { fold, update, n_updates, .. } = moment;
        if !moment.is_due(self.machine.checkpoint_every) {
            return Ok(());
        }
        let Course { config, market, .. } = self.course;
        let checkpoint = Checkpoint::new(config, &market.fingerprint, fold, state()?)?;
        checkpoint.save(&self.checkpoints, fold as u64 * n_updates + update, false)
    }
}

/// A cross-validation under way.
struct Course {
    config: Config,
    market: Market,
    /// The first row that is used.
    first: usize,
    splits: Vec<Split>,
    span: Span,
    /// Bars after what is set aside that are not learned from, beside purge.
    embargo: usize,
}

impl Course {
    fn prepare(config: Config, machine: &Machine) -> Result<Self, LabError> {
        let market = Market::prepare(&config, &machine.data)?;
        Self::of(config, market)
    }

    fn of(config: Config, market: Market) -> Result<Self, LabError> {
        let fold = whole_fold(&config, &market)?;
        let span = Span { from: fold.train.from, until: fold.test.until };
        let window = market.rows("whole", "train_from", span)?;
        let identity = Arc::new(Normaliser::identity(&market.features.names, 1.0));
        // From the first bar whose features are ready: a group without features tests nothing.
        let rows = market.once(&config, &identity, window, false)?.rows();
        let raw = &config.raw.cross_validation;
        // What a feature can still see of a test is not learned from, whatever the config says.
        let reach = look_back(&config.features, config.timeframe)? + config.decision.window - 1;
        let embargo = reach.max(raw.embargo_bars as usize);
        let cut = Cut {
            n_groups: raw.n_groups,
            n_test: raw.n_test_groups,
            validates: true,
            purge: config.raw.windows.purge_bars as usize,
            embargo,
        };
        let splits = cut.splits(rows.len()).map_err(|error| {
            let (field, value) = match error {
                CutError::Groups { .. } if raw.n_groups > 2 => {
                    ("cross_validation.n_test_groups", raw.n_test_groups.to_string())
                }
                CutError::Apart { .. } => (
                    "cross_validation.n_groups",
                    format!(
                        "{} of {} bars, with an embargo of {embargo} bars ({reach} are what the features look back)",
                        raw.n_groups,
                        rows.len()
                    ),
                ),
                CutError::Groups { .. } | CutError::Splits => {
                    ("cross_validation.n_groups", raw.n_groups.to_string())
                }
            };
            ConfigError::Value { field, value, expected: error.to_string() }
        })?;
        Ok(Self { first: rows.start, config, market, splits, span, embargo })
    }

    /// As [`Course::go`], and the registry hears how it began and ended.
    fn registered(
        &self,
        folder: &RunFolder,
        machine: &Machine,
        clock: &dyn Clock,
        observer: &mut dyn Observer,
    ) -> Result<Ending, LabError> {
        let _alone = folder.lock()?;
        if folder.path().join(RESULT).is_file() {
            return Err(LabError::Finished(folder.name()));
        }
        let checkpoints = Checkpoints::of(folder.path(), machine.keep_checkpoints);
        let mut watched = Watched { course: self, machine, clock, checkpoints, inner: observer };
        let tag = Some("cross-validation");
        let work = || self.go(folder, machine, clock, &mut watched);
        registered(folder, &self.config, tag, machine, clock, work, |ending| match ending {
            Ending::Finished(result) => Ok(Standing {
                status: Status::Finished,
                artefact: None,
                metrics: serde_json::to_value(result.median())?,
            }),
            Ending::Interrupted(..) => Ok(Standing::interrupted()),
        })
    }

    fn go(
        &self,
        folder: &RunFolder,
        machine: &Machine,
        clock: &dyn Clock,
        observer: &mut Watched<'_>,
    ) -> Result<Ending, LabError> {
        let (mut state, mut all) = (self.checkpoint(observer)?, Vec::with_capacity(self.splits.len()));
        for index in 0..self.splits.len() {
            let path = folder.path().join(SPLITS).join(format!("{index:04}.json"));
            if let Some(tested) = self.kept(index, &path, observer)? {
                all.push(tested);
                continue;
            }
            let own = state.take_if(|(fold, _)| *fold == index).map(|(_, state)| state);
            let Some(tested) = self.test(index, own, machine, clock, observer)? else {
                return Ok(Ending::Interrupted(folder.name(), index, self.splits.len()));
            };
            let text = serde_json::to_string(&tested)?;
            cambist_store::write_atomic(&path, |file| std::io::Write::write_all(file, text.as_bytes()))?;
            all.push(tested);
        }
        Ok(Ending::Finished(Box::new(self.conclude(&all, folder, machine, clock)?)))
    }

    /// The split under way when it was interrupted, and its training.
    fn checkpoint(&self, observer: &mut Watched<'_>) -> Result<Option<(usize, TrainingState)>, LabError> {
        let Some(found) = observer.checkpoints.newest()? else { return Ok(None) };
        let checkpoint = Checkpoint::read(&found.content)?;
        checkpoint.check(&self.config, &self.market.fingerprint)?;
        let n_updates = self.config.trainer(1).n_updates;
        observer.resumed(&Resumed {
            updates: checkpoint.fold as u64 * n_updates + checkpoint.training.n_done(),
            of: self.splits.len() as u64 * n_updates,
            damaged: Vec::new(),
        });
        Ok(Some((checkpoint.fold, checkpoint.training)))
    }

    /// What a split left that was trained before, if it is whole and of this experiment.
    fn kept(
        &self,
        index: usize,
        path: &Path,
        observer: &mut Watched<'_>,
    ) -> Result<Option<Tested>, LabError> {
        if !path.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(path).map_err(cambist_store::FileError::on("read", path))?;
        match serde_json::from_str::<Tested>(&text) {
            Ok(tested) => {
                let Tested { config, data_fingerprint, .. } = &tested;
                same_experiment(config, data_fingerprint, &self.config, &self.market.fingerprint)?;
                Ok((tested.groups == self.splits[index].groups).then_some(tested))
            }
            Err(error) => {
                let (updates, of) = (index as u64, self.splits.len() as u64);
                let damaged = vec![format!("{} is damaged, and trained again: {error}", path.display())];
                observer.resumed(&Resumed { updates, of, damaged });
                Ok(None)
            }
        }
    }

    /// Trains a split and trades its tests; none when it was interrupted.
    fn test(
        &self,
        index: usize,
        state: Option<TrainingState>,
        machine: &Machine,
        clock: &dyn Clock,
        observer: &mut dyn Observer,
    ) -> Result<Option<Tested>, LabError> {
        let (config, split) = (&self.config, &self.splits[index]);
        let shifted = |rows: &Range<usize>| rows.start + self.first..rows.end + self.first;
        let train: Vec<Range<usize>> = split.train.iter().map(shifted).collect();
        let longest = train.iter().max_by_key(|piece| piece.len()).cloned().unwrap_or(0..0);
        // A model of regimes needs one history without holes.
        let fold = Fold { train: self.span_of(&longest), validation: self.span, test: self.span };
        let market = &self.market.with_regimes(config, &fold)?;
        let clip = config.raw.features.clip as f32;
        let normaliser = Normaliser::fit(&market.features, train.iter().cloned().flatten(), clip);
        let ground = Ground {
            market,
            normaliser: Arc::new(normaliser),
            train,
            validation: shifted(&split.validation),
        };
        let training = Training {
            config,
            members: config.members(),
            market,
            fold: &fold,
            place: (index, self.splits.len()),
            n_threads: machine.n_threads,
        };
        let trained = train_on(&ground, &training, state, clock, observer)?;
        if trained.stopped.is_some() {
            return Ok(None);
        }
        let acting = config.acting(&trained.policy.spec(), trained.multiplier);
        let through = |rows: &Range<usize>| {
            backtest_window(market, &acting, &ground.normaliser, shifted(rows), &trained.policy, "policy")
        };
        let tracks = split.test.iter().map(through).collect::<Result<_, _>>()?;
        Ok(Some(Tested {
            config: serde_json::to_string(&config.raw)?,
            data_fingerprint: self.market.fingerprint.clone(),
            groups: split.groups.clone(),
            tracks,
        }))
    }

    fn span_of(&self, rows: &Range<usize>) -> Span {
        let (open, bar) = (&self.market.tape.open_time, self.market.tape.timeframe.nanos());
        let at = |row: usize| cambist_core::UnixNanos(open.get(row).copied().unwrap_or(0));
        let last = at(rows.end.saturating_sub(1));
        Span { from: at(rows.start), until: cambist_core::UnixNanos(last.0 + bar) }
    }

    /// Puts the tests together to histories, counts them as one judgement, and writes what they say.
    fn conclude(
        &self,
        all: &[Tested],
        folder: &RunFolder,
        machine: &Machine,
        clock: &dyn Clock,
    ) -> Result<CrossValidation, LabError> {
        let n_groups = self.config.raw.cross_validation.n_groups;
        let of_group = |split: usize, group: usize| {
            let place = all[split].groups.iter().position(|g| *g == group)?;
            all[split].tracks.get(place)
        };
        let tracks: Vec<Track> = paths(&self.splits, n_groups)
            .iter()
            .filter_map(|path| {
                joined(path.iter().enumerate().filter_map(|(group, &split)| of_group(split, group)))
            })
            .collect();
        let holds = self.holds()?;
        let hold = joined(holds.iter()).ok_or_else(|| LabError::UnknownWindow("whole".to_owned()))?;
        let result = CrossValidation {
            run: folder.name(),
            embargo: self.embargo,
            n_splits: self.splits.len(),
            span: self.span,
            ..CrossValidation::of(&tracks, &hold)
        };
        // One trial, however many histories: the middle one stands for it.
        let judged = Judged {
            run: folder.name(),
            market: self.config.market_name(),
            first: self.span.from.0,
            last: self.span.until.0,
            sharpe: result.median().sharpe / hold.bars_per_year().sqrt(),
        };
        machine.registry(&folder.root())?.judged(&judged, clock.now())?;
        let title = format!("{}: every history of {} splits", self.config.raw.run.name, self.splits.len());
        folder.write("histories.svg", &chart(&title, &tracks, &hold)?)?;
        folder.write(RESULT, &serde_json::to_string_pretty(&result)?)?;
        let event = serde_json::json!({ "histories": result.histories.len(), "sentence": result.sentence });
        folder.log(clock.now(), "cross-validated", &event)?;
        Ok(result)
    }

    /// Holding, group by group as the policies traded.
    fn holds(&self) -> Result<Vec<Track>, LabError> {
        let (config, market) = (&self.config, &self.market);
        let normaliser = Arc::new(Normaliser::identity(&market.features.names, 1.0));
        let mut groups: Vec<&Range<usize>> = self.splits.iter().flat_map(|split| &split.test).collect();
        groups.sort_by_key(|rows| rows.start);
        groups.dedup();
        let shifted = |rows: &Range<usize>| rows.start + self.first..rows.end + self.first;
        groups.into_iter().map(|rows| hold(config, market, &normaliser, shifted(rows))).collect()
    }
}

/// The whole there is, as one fold would cut it.
fn whole_fold(config: &Config, market: &Market) -> Result<Fold, LabError> {
    let mut alone = config.clone();
    alone.raw.walk_forward.n_folds = 0;
    Ok(alone.folds(market.whole())?.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_core::clock::SystemClock;

    struct Quiet;

    impl Observer for Quiet {
        fn update(&mut self, _: &Progress) -> Result<bool, LabError> {
            Ok(true)
        }
    }

    /// What is tested leaves no trace in the policy that trades it: other prices there change nothing that the same policy does
    /// in another test, unless nothing is left out around it.
    #[test]
    fn a_test_teaches_nothing() {
        let sets = [
            "data.n_bars=12000",
            "features.columns=[\"return(24)\", \"ema(24)\", \"rsi(14)\", \"realised(168)\", \"4h:sma(6)\", \"1d:return(3)\"]",
            "windows.train_until=\"2018-06-01\"",
            "windows.validation_until=\"2018-07-01\"",
            "windows.test_until=\"\"",
            "network.hidden=[8]",
            "ppo.total_steps=4096",
            "ppo.n_envs=8",
            "ppo.horizon=64",
            "ppo.minibatch_size=128",
            "ppo.validate_every=2",
            "episode.n_steps=100",
        ]
        .map(str::to_owned);
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine {
            data: folder.path().to_owned(),
            runs: folder.path().to_owned(),
            n_threads: 2,
            registry: None,
            time_limit: None,
            checkpoint_every: 1,
            keep_checkpoints: 1,
        };
        let config = Config::validate(Layers::read(None, &sets).unwrap().resolve().unwrap()).unwrap();
        let market = Market::prepare(&config, folder.path()).unwrap();
        let tested = |apart: bool, shifted: bool| {
            let mut course = Course::of(config.clone(), market.clone()).unwrap();
            if !apart {
                let n_rows = market.tape.len() - course.first;
                let cut = Cut { n_groups: 6, n_test: 2, validates: true, purge: 0, embargo: 0 };
                course.splits = cut.splits(n_rows).unwrap();
            }
            let index = course.splits.iter().position(|split| split.groups == [0, 3]).unwrap();
            if shifted {
                // The group that is tested together with the first.
                let rows = course.splits[index].test[1].clone();
                let mut tape = market.tape.as_ref().clone();
                for row in rows.start + course.first..rows.end + course.first {
                    let factor = 1.0 + 0.02 * f64::from((row * 37 % 11) as u32);
                    for column in [&mut tape.open, &mut tape.high, &mut tape.low, &mut tape.close] {
                        column[row] *= factor;
                    }
                }
                course.market = Market::of(&config, tape, folder.path()).unwrap();
            }
            course.test(index, None, &machine, &SystemClock::start(), &mut Quiet).unwrap().unwrap().tracks
        };
        let (plain, shifted) = (tested(true, false), tested(true, true));
        assert_eq!(plain[0], shifted[0]);
        assert_ne!(plain[1], shifted[1], "prices changed there");
        // With nothing left out, features of the bars after that group carry it into the training.
        assert_ne!(tested(false, false)[0], tested(false, true)[0]);
    }
}
