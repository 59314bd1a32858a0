//! What is found of a policy, gate by gate.

use cambist_core::clock::Clock;
use cambist_evaluate::Track;
use cambist_evaluate::metrics::probabilistic_sharpe::SharpeEstimate;
use cambist_evaluate::metrics::{drawdown, growth, sharpe};
use cambist_evaluate::overfitting::{cscv, effective_trials, minimum_backtest_years};
use cambist_evaluate::windows::{Fold, Span};
use cambist_runs::{Judged as Counted, RunFolder};
use cambist_search::Storage;
use cambist_store::Patience;

use crate::artefact::Artefact;
use crate::backtest::backtest_window;
use crate::breakdown::Judged;
use crate::config::{Config, Layers};
use crate::error::LabError;
use crate::market::Market;
use crate::run::Machine;
use crate::study::comparable;
use crate::study::worker::open;
use crate::train::{Observer, Progress, Training, train};

use super::gate::{Finding, Gate};
use super::luck::{BLOCKS, Deflated, deflated};
use super::stress::{gapped, noisy};

/// The study a run was chosen in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenIn {
    /// Where it is kept.
    pub storage: String,
    /// Its name.
    pub study: String,
}

/// Who hears what is being looked at.
pub type Hear<'a> = dyn FnMut(&str) + 'a;

/// Trials from which on the probability of overfitting says something.
const FEWEST: usize = 8;

pub(crate) struct Case<'a> {
    pub(crate) gate: &'a Gate,
    pub(crate) run: &'a RunFolder,
    pub(crate) chosen_in: Option<&'a ChosenIn>,
    pub(crate) machine: &'a Machine,
    pub(crate) clock: &'a dyn Clock,
    judged: Judged,
    artefact: Artefact,
    config: Config,
    market: Market,
}

fn finding(name: &str, value: f64, limit: f64, at_least: bool, note: String) -> Finding {
    Finding { name: name.to_owned(), value: (!value.is_nan()).then_some(value), limit, at_least, note }
}

fn ratio(track: &Track) -> f64 {
    let found = sharpe::annual(&track.returns(), track.bars_per_year());
    if track.ruined {
        -1e9
    } else if found.is_nan() {
        0.0
    } else {
        found
    }
}

impl<'a> Case<'a> {
    pub(crate) fn open(
        gate: &'a Gate,
        run: &'a RunFolder,
        chosen_in: Option<&'a ChosenIn>,
        machine: &'a Machine,
        clock: &'a dyn Clock,
    ) -> Result<Self, LabError> {
        // What cannot be counted is said before the work.
        if let Some(ChosenIn { storage, study }) = chosen_in {
            let storage = Storage::open(storage, Patience::default())?;
            let (found, sweep, _) = open(&storage, study)?;
            let config = serde_json::to_value(Artefact::load(run)?.0.config)?;
            if !storage.trials(&found)?.iter().any(|trial| sweep.is_of(&config, &trial.params)) {
                return Err(LabError::NoSuchTrial { study: study.clone() });
            }
        }
        let judged = Judged::open(run, machine)?;
        let (artefact, _, _) = Artefact::load(run)?;
        let config = artefact.acting()?;
        let market = Market::prepare(&config, &machine.data)?;
        Ok(Self { gate, run, chosen_in, machine, clock, judged, artefact, config, market })
    }

    /// Everything the gate asks for.
    pub(crate) fn findings(&self, hear: &mut Hear<'_>) -> Result<Vec<Finding>, LabError> {
        let span = self.judged.test();
        let mut out = Vec::new();
        hear("the test window");
        let track = self.judged.policy(span)?;
        out.extend(self.on_test(&track)?);
        hear("regimes");
        out.push(self.by_regime(span)?);
        hear("stress");
        out.extend(self.under_stress(span)?);
        hear("perturbed tapes");
        out.extend(self.on_other_tapes(span)?);
        if self.gate.seeds > 0 {
            out.push(self.under_other_seeds(hear)?);
        }
        if self.gate.folds > 0 {
            out.extend(self.walked_forward(hear)?);
        }
        Ok(out)
    }

    /// Deflated Sharpe ratio, overfitting, return and drawdown.
    fn on_test(&self, track: &Track) -> Result<Vec<Finding>, LabError> {
        let (gate, span) = (self.gate, self.judged.test());
        let returns = track.returns();
        let total = growth::total_return(&track.equity);
        let mut out = Vec::new();
        let counted = Counted {
            run: self.run.name(),
            market: self.config.market_name(),
            first: span.from.0,
            last: span.until.0,
            sharpe: sharpe::per_bar(&returns),
        };
        let earlier = self.machine.registry(&self.run.root())?.earlier(&counted)?;
        let mut ratios = earlier;
        let mut effective = ratios.len() + 1;
        let mut overfit = finding(
            "probability of backtest overfitting",
            f64::NAN,
            gate.pbo,
            false,
            "it was chosen in no study that is known: give --study".to_owned(),
        );
        if let Some(ChosenIn { storage, study }) = self.chosen_in {
            let storage = Storage::open(storage, Patience::default())?;
            let found = storage.returns(&storage.study(study)?)?;
            let series = comparable(found.into_values());
            let all: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
            ratios.extend(all.iter().map(|r| sharpe::per_bar(r)));
            effective += effective_trials(&all);
            overfit = match cscv(&all, BLOCKS).filter(|_| all.len() >= FEWEST) {
                Some(s) => finding(
                    "probability of backtest overfitting",
                    s.risk(),
                    gate.pbo,
                    false,
                    format!(
                        "{} trials of {study}, {} splits: the best of one half was below the middle of the other in {:.0} % of them \
                         (PBO), and lost in {:.0} %; the smaller counts",
                        all.len(),
                        s.n_splits,
                        100.0 * s.pbo,
                        100.0 * s.loss
                    ),
                ),
                None => {
                    let note =
                        format!("{} trials: {FEWEST} are needed, and bars for {BLOCKS} blocks", all.len());
                    Finding { note, ..overfit }
                }
            };
        }
        match deflated(&returns, &ratios) {
            Some(Deflated { probability, by_luck, n_trials }) => {
                let (estimate, year) = (SharpeEstimate::of(&returns), track.bars_per_year());
                let own = ratio(track);
                let needed = estimate.minimum_track_record(0.0, 0.05) / year;
                let record = if own > 0.0 {
                    format!("{needed:.2} needed to tell it from zero")
                } else {
                    "no length tells it from zero".to_owned()
                };
                let data = if own > 0.0 && n_trials > 1 {
                    let years = minimum_backtest_years(n_trials as f64, own);
                    format!("; {n_trials} trials need {years:.1} years at this ratio")
                } else {
                    String::new()
                };
                let luck = by_luck * year.sqrt();
                let note = format!(
                    "Sharpe ratio {own:.2} a year; {n_trials} runs and trials, {effective} of them different, would show {luck:.2} by \
                     luck; track record {:.2} years, {record}{data}",
                    track.years()
                );
                out.push(finding("deflated Sharpe ratio", probability, gate.deflated_sharpe, true, note));
            }
            None => {
                let note = "its returns do not vary: it never traded, and a ratio of nothing is no evidence";
                out.push(finding(
                    "deflated Sharpe ratio",
                    f64::NAN,
                    gate.deflated_sharpe,
                    true,
                    note.to_owned(),
                ));
            }
        }
        out.push(overfit);
        out.push(finding("total return", total, gate.total_return, true, format!("test window, {span}")));
        let deepest = drawdown::drawdown(&track.equity).deepest;
        out.push(finding(
            "deepest drawdown",
            deepest,
            gate.max_drawdown,
            false,
            format!("test window, {span}"),
        ));
        Ok(out)
    }

    fn by_regime(&self, span: Span) -> Result<Finding, LabError> {
        let (parts, _) = self.judged.by_regime(span)?;
        let large = parts.iter().filter(|part| part.bars >= self.gate.regime_bars);
        let worst = large.min_by(|a, b| a.earned.total_cmp(&b.earned));
        let (value, note) = match worst {
            Some(part) => (part.earned, format!("worst: {}, {} bars", part.name, part.bars)),
            None => (f64::NAN, format!("no regime has {} bars in the test window", self.gate.regime_bars)),
        };
        Ok(finding("return in the worst regime", value, self.gate.regime_return, true, note))
    }

    fn under_stress(&self, span: Span) -> Result<Vec<Finding>, LabError> {
        let mut rows: Vec<(String, f64)> = self
            .judged
            .stressed(span, &[2, 4])?
            .into_iter()
            .map(|(name, track)| (name, growth::total_return(&track.equity)))
            .collect();
        for times in [2.0, 4.0] {
            let tape = gapped(&self.market.tape, span.from, times, self.artefact.seed);
            let track = self.on_tape(tape, span)?;
            rows.push((format!("gaps of {times} daily deviations"), growth::total_return(&track.equity)));
        }
        let limit = self.gate.stress_return;
        let row = |(name, value): (String, f64)| {
            finding(&format!("return with {name}"), value, limit, true, "test window".to_owned())
        };
        Ok(rows.into_iter().map(row).collect())
    }

    fn on_tape(&self, tape: cambist_core::MarketTape, span: Span) -> Result<Track, LabError> {
        let market = Market::of(&self.config, tape, &self.machine.data)?;
        let market = match &self.artefact.regime {
            Some(model) => market.with_regime_model(&self.config, model.clone())?,
            None => market,
        };
        self.judged.on(&market, span)
    }

    fn on_other_tapes(&self, span: Span) -> Result<Vec<Finding>, LabError> {
        let Gate { tapes, tape_noise, tape_share, .. } = *self.gate;
        if tapes == 0 {
            return Ok(Vec::new());
        }
        let mut ratios = Vec::new();
        for seed in 0..tapes {
            let tape = noisy(&self.market.tape, span.from, tape_noise, self.artefact.seed + 1000 + seed);
            ratios.push(ratio(&self.on_tape(tape, span)?));
        }
        let share = ratios.iter().filter(|r| **r > 0.0).count() as f64 / tapes as f64;
        let note =
            format!("{tapes} tapes with noise of {tape_noise} deviations; Sharpe ratios {}", listed(&ratios));
        Ok(vec![finding("share of perturbed tapes that earn", share, tape_share, true, note)])
    }

    /// Trains the policy anew on `fold`, its members under seeds of the `round`-th time, and backtests on its test.
    fn trained(&self, round: u64, fold: &Fold, place: (usize, usize)) -> Result<Track, LabError> {
        let config = &Config::validate(self.artefact.config.clone())?;
        let market = &self.market.with_regimes(config, fold)?;
        let (members, n_threads) = (self.artefact.members_again(round)?, self.machine.n_threads);
        let training = Training { config, members, market, fold, place, n_threads };
        let trained = train(&training, None, self.clock, &mut Quiet)?;
        let rows = market.rows("test", "test_until", fold.test)?;
        let config = &config.acting(&trained.policy.spec(), trained.multiplier);
        backtest_window(market, config, &trained.normaliser, rows, &trained.policy, "policy")
    }

    fn under_other_seeds(&self, hear: &mut Hear<'_>) -> Result<Finding, LabError> {
        let n = self.gate.seeds;
        let mut ratios = Vec::new();
        for other in 1..=n {
            hear(&format!("seed {other} of {n}"));
            ratios.push(ratio(&self.trained(other, &self.artefact.fold, (0, 1))?));
        }
        let share = ratios.iter().filter(|r| **r > 0.0).count() as f64 / n as f64;
        let note = format!("trained anew under {n} other seeds; Sharpe ratios {}", listed(&ratios));
        Ok(finding("share of other seeds that earn", share, self.gate.seed_share, true, note))
    }

    fn walked_forward(&self, hear: &mut Hear<'_>) -> Result<Vec<Finding>, LabError> {
        let Gate { folds, fold_days, fold_validation_days, fold_share, total_return, .. } = *self.gate;
        let text = toml::to_string(&self.config.raw).unwrap_or_default();
        let sets = [
            format!("walk_forward.n_folds={folds}"),
            format!("walk_forward.test_days={fold_days}"),
            format!("walk_forward.validation_days={fold_validation_days}"),
        ];
        let config = Config::validate(Layers::parse("the run's config", &text, &sets)?.resolve()?)?;
        let cut = config.folds(self.market.whole())?;
        let mut returns = Vec::new();
        for (index, fold) in cut.iter().enumerate() {
            hear(&format!("fold {} of {}", index + 1, cut.len()));
            let track = self.trained(0, fold, (index, cut.len()))?;
            returns.push(growth::total_return(&track.equity));
        }
        let share = returns.iter().filter(|r| **r > 0.0).count() as f64 / returns.len().max(1) as f64;
        let all = returns.iter().map(|r| 1.0 + r).product::<f64>() - 1.0;
        let note =
            format!("{folds} folds of {fold_days} days, each trained anew; returns {}", listed(&returns));
        Ok(vec![
            finding("share of folds that earn", share, fold_share, true, note),
            finding("return over all folds", all, total_return, true, "walk-forward".to_owned()),
        ])
    }
}

fn listed(values: &[f64]) -> String {
    values.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>().join(", ")
}

/// Lets a training run to its end.
struct Quiet;

impl Observer for Quiet {
    fn update(&mut self, _progress: &Progress) -> Result<bool, LabError> {
        Ok(true)
    }
}
