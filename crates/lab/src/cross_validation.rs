//! Combinatorial purged cross-validation of a config: several histories instead of one (López de Prado 2018, chapter 12).
//!
//! The bars up to the end of the test window are cut into groups; for every choice of test groups the config is trained on the others,
//! one of which its weights are chosen by, without the rows whose labels or indicators reach into what was set aside; then it trades the
//! tests. Every group is a test of several splits, so the tests make several whole histories, each traded by policies that had not seen
//! it. This judges the method and leaves no policy. Some policies learn from what came after their test: purge and embargo keep that from
//! leaking bar to bar, but what lasts longer is known from both sides, which walking forward never allows.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cambist_core::clock::Clock;
use cambist_evaluate::Track;
use cambist_evaluate::chart::{Line, Style, lines};
use cambist_evaluate::judgement::HOLD;
use cambist_evaluate::metrics::{drawdown, growth, sharpe};
use cambist_evaluate::overfitting::folds::{Cut, Split, paths};
use cambist_evaluate::windows::{Fold, Span};
use cambist_features::Normaliser;
use cambist_runs::{Judged, RunFolder};
use serde::{Deserialize, Serialize};

use crate::backtest::backtest_window;
use crate::baselines::hold;
use crate::config::{Config, ConfigError, Layers};
use crate::error::LabError;
use crate::market::Market;
use crate::member::Ground;
use crate::run::{Machine, written};
use crate::train::{Observer, Progress, Training, train_on};

/// One whole history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    /// Annual Sharpe ratio; zero where nothing moved.
    pub sharpe: f64,
    /// Growth of the account.
    pub total_return: f64,
    /// Deepest drawdown.
    pub drawdown: f64,
    /// Costs over the equity at the start.
    pub costs: f64,
    /// Whether the account was ruined in a group.
    pub ruined: bool,
}

/// What the histories say of the method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrossValidation {
    /// Name of its folder.
    pub run: String,
    /// Trainings.
    pub n_splits: usize,
    /// From the first bar to the last.
    pub span: Span,
    /// Every history.
    pub histories: Vec<History>,
    /// Holding, over the same bars.
    pub hold: History,
    /// Share of the histories with a Sharpe ratio above zero.
    pub positive: f64,
    /// Share of them with one above holding's.
    pub above_hold: f64,
    /// All of it in one sentence.
    pub sentence: String,
}

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
    folder.write("config.toml", &written(&course.config)?)?;
    course.go(&folder, machine, clock, observer)
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
    let layers = Layers::read(Some(&folder.path().join("config.toml")), &[])?;
    let course = Course::prepare(Config::validate(layers.resolve()?)?, machine)?;
    course.go(folder, machine, clock, observer)
}

/// Holds what it came to, once it is finished.
const RESULT: &str = "cross-validation.json";

/// Ends a training when time is up.
struct Timed<'a> {
    limit: Option<Duration>,
    clock: &'a dyn Clock,
    inner: &'a mut dyn Observer,
}

impl Observer for Timed<'_> {
    fn update(&mut self, progress: &Progress) -> Result<bool, LabError> {
        let goes_on = self.inner.update(progress)?;
        Ok(goes_on && self.limit.is_none_or(|limit| self.clock.elapsed() < limit))
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
}

impl Course {
    fn prepare(config: Config, machine: &Machine) -> Result<Self, LabError> {
        let market = Market::prepare(&config, &machine.data)?;
        Self::of(config, market)
    }

    fn of(config: Config, market: Market) -> Result<Self, LabError> {
        let fold = whole_fold(&config, &market)?;
        let span = Span { from: fold.train.from, until: fold.test.until };
        let rows = market.rows("whole", "train_from", span)?;
        let raw = &config.raw.cross_validation;
        let cut = Cut {
            n_groups: raw.n_groups,
            n_test: raw.n_test_groups,
            validates: true,
            purge: config.raw.windows.purge_bars as usize,
            embargo: raw.embargo_bars as usize,
        };
        let splits = cut.splits(rows.len()).ok_or_else(|| ConfigError::Value {
            field: "cross_validation.n_groups",
            value: format!("{} with {} tested at a time", cut.n_groups, cut.n_test),
            expected: format!(
                "3 to 32 groups, two more than are tested, at most 5,000 splits, and groups of {} bars so long that purge and \
                 embargo leave something",
                rows.len()
            ),
        })?;
        Ok(Self { first: rows.start, config, market, splits, span })
    }

    fn go(
        &self,
        folder: &RunFolder,
        machine: &Machine,
        clock: &dyn Clock,
        observer: &mut dyn Observer,
    ) -> Result<Ending, LabError> {
        let _alone = folder.lock()?;
        let observer = &mut Timed { limit: machine.time_limit, clock, inner: observer };
        if folder.path().join(RESULT).is_file() {
            return Err(LabError::Finished(folder.name()));
        }
        let mut all = Vec::with_capacity(self.splits.len());
        for index in 0..self.splits.len() {
            let name = format!("split-{index:04}.json");
            let tested = match read(&folder.path().join(&name))? {
                Some(tested) if tested.groups == self.splits[index].groups => tested,
                _ => match self.test(index, machine, clock, observer)? {
                    None => return Ok(Ending::Interrupted(folder.name(), index, self.splits.len())),
                    Some(tested) => {
                        folder.write(&name, &serde_json::to_string(&tested)?)?;
                        tested
                    }
                },
            };
            all.push(tested);
        }
        Ok(Ending::Finished(Box::new(self.conclude(&all, folder, machine, clock)?)))
    }

    /// Trains a split and trades its tests; none when it was interrupted.
    fn test(
        &self,
        index: usize,
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
        let trained = train_on(&ground, &training, None, clock, observer)?;
        if trained.stopped.is_some() {
            return Ok(None);
        }
        let acting = config.acting(&trained.policy.spec(), trained.multiplier);
        let through = |rows: &Range<usize>| {
            backtest_window(market, &acting, &ground.normaliser, shifted(rows), &trained.policy, "policy")
        };
        let tracks = split.test.iter().map(through).collect::<Result<_, _>>()?;
        Ok(Some(Tested { groups: split.groups.clone(), tracks }))
    }

    fn span_of(&self, rows: &Range<usize>) -> Span {
        let (open, bar) = (&self.market.tape.open_time, self.market.tape.timeframe.nanos());
        let at = |row: usize| cambist_core::UnixNanos(open.get(row).copied().unwrap_or(0));
        let last = at(rows.end.saturating_sub(1));
        Span { from: at(rows.start), until: cambist_core::UnixNanos(last.0 + bar) }
    }

    /// Puts the tests together to histories, counts each as a judgement, and writes what they say.
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
        let registry = machine.registry(&folder.root())?;
        for track in &tracks {
            let judged = Judged {
                run: folder.name(),
                market: self.config.market_name(),
                first: self.span.from.0,
                last: self.span.until.0,
                sharpe: sharpe::per_bar(&track.returns()),
            };
            registry.judged(&judged, clock.now())?;
        }
        let histories: Vec<History> = tracks.iter().map(History::of).collect();
        let held = History::of(&hold);
        let n = histories.len().max(1) as f64;
        let share = |good: &dyn Fn(&&History) -> bool| histories.iter().filter(good).count() as f64 / n;
        let (positive, above_hold) = (share(&|h| h.sharpe > 0.0), share(&|h| h.sharpe > held.sharpe));
        let result = CrossValidation {
            run: folder.name(),
            n_splits: self.splits.len(),
            span: self.span,
            sentence: sentence(&histories, &held, positive, above_hold),
            histories,
            hold: held,
            positive,
            above_hold,
        };
        let scaled = |t: &Track| -> Vec<f64> { t.equity.iter().map(|e| e / t.equity[0]).collect() };
        let curves: Vec<(String, Vec<f64>)> = tracks
            .iter()
            .enumerate()
            .map(|(index, track)| (format!("history {}", index + 1), scaled(track)))
            .chain([(HOLD.to_owned(), scaled(&hold))])
            .collect();
        let shown: Vec<Line<'_>> = curves.iter().map(|(name, values)| Line { name, values }).collect();
        let title = format!("{}: every history of {} splits", self.config.raw.run.name, self.splits.len());
        let style = Style { title: &title, unit: "multiple of start", logarithmic: true, filled: false };
        folder.write("histories.svg", &lines(&style, &hold.time, &shown)?)?;
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

/// Accounts one after the other, each beginning with what the one before left.
fn joined<'a>(tracks: impl Iterator<Item = &'a Track>) -> Option<Track> {
    tracks.cloned().reduce(|mut whole, next| {
        whole.append(&next);
        whole
    })
}

fn read(path: &Path) -> Result<Option<Tested>, LabError> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(cambist_store::FileError::on("read", path))?;
    Ok(Some(serde_json::from_str(&text)?))
}

impl History {
    fn of(track: &Track) -> Self {
        let ratio = sharpe::annual(&track.returns(), track.bars_per_year());
        let start = track.equity.first().copied().unwrap_or(1.0);
        Self {
            sharpe: if ratio.is_nan() { 0.0 } else { ratio },
            total_return: growth::total_return(&track.equity),
            drawdown: drawdown::drawdown(&track.equity).deepest,
            costs: track.costs.last().copied().unwrap_or(0.0) / start,
            ruined: track.ruined,
        }
    }
}

fn sentence(histories: &[History], hold: &History, positive: f64, above: f64) -> String {
    let n = histories.len();
    let ratios: Vec<f64> = histories.iter().map(|h| h.sharpe).collect();
    let (low, high) =
        ratios.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &r| (a.min(r), b.max(r)));
    let mean = ratios.iter().sum::<f64>() / n.max(1) as f64;
    let verdict = match (positive, above) {
        (p, _) if p < 0.5 => "the method loses more often than it earns",
        (1.0, 1.0) => "every history earns, and more for its risk than holding",
        (1.0, _) => "every history earns, not every one more for its risk than holding",
        _ => "what it earns depends on the history",
    };
    format!(
        "Over {n} histories the Sharpe ratio is {mean:.2} in the mean, from {low:.2} to {high:.2}; holding has {:.2}: {verdict}. \
         Histories share trainings and are no independent draws.",
        hold.sharpe
    )
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
    /// in another test, unless purge and embargo are taken away.
    #[test]
    fn a_test_teaches_nothing() {
        let sets = [
            "data.n_bars=6000",
            "features.columns=[\"return(1)\", \"return(24)\", \"realised(24)\"]",
            "windows.train_until=\"2018-05-01\"",
            "windows.validation_until=\"2018-06-01\"",
            "windows.test_until=\"\"",
            "network.hidden=[8]",
            "ppo.total_steps=4096",
            "ppo.n_envs=8",
            "ppo.horizon=64",
            "ppo.minibatch_size=128",
            "ppo.validate_every=2",
            "episode.n_steps=100",
            "cross_validation.n_groups=6",
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
        let traded = |apart: u32, shifted: bool| {
            let own =
                [format!("cross_validation.embargo_bars={apart}"), format!("windows.purge_bars={apart}")];
            let sets = [&sets[..], &own].concat();
            let config = Config::validate(Layers::read(None, &sets).unwrap().resolve().unwrap()).unwrap();
            let market = Market::prepare(&config, folder.path()).unwrap();
            let mut tape = market.tape.as_ref().clone();
            if shifted {
                // Group 3 of six, which is tested together with group 0.
                for row in 3000..4000 {
                    let factor = 1.0 + 0.02 * f64::from((row * 37 % 11) as u32);
                    for column in [&mut tape.open, &mut tape.high, &mut tape.low, &mut tape.close] {
                        column[row] *= factor;
                    }
                }
            }
            let market = Market::of(&config, tape, folder.path()).unwrap();
            let course = Course::of(config, market).unwrap();
            let index = course.splits.iter().position(|split| split.groups == [0, 3]).unwrap();
            let clock = SystemClock::start();
            course.test(index, &machine, &clock, &mut Quiet).unwrap().unwrap().tracks
        };
        let (plain, shifted) = (traded(24, false), traded(24, true));
        assert_eq!(plain[0], shifted[0]);
        assert_ne!(plain[1], shifted[1], "prices changed there");
        // With nothing left out the indicators of the bars after group 3 carry it into the training.
        assert_ne!(traded(0, false)[0], traded(0, true)[0]);
    }
}
