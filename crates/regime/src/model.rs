//! A fitted model of regimes, and its stream over bars.

use cambist_core::aggregate::Aggregator;
use cambist_core::indicator::{Anchored, Indicator};
use cambist_core::{Bar, MarketTape, Timeframe};
use serde::{Deserialize, Serialize};

use crate::changes::{ChangeModel, Changes};
use crate::hmm::{Fit, FitSettings, GaussianHmm, HmmFilter, MAX_STATES};
use crate::label::{Labeller, Running};
use crate::rules::{self, TrendRules};

/// Which kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegimeKind {
    /// Volatility × trend by rules.
    Rules,
    /// A hidden Markov model of log returns.
    Hmm,
    /// Bayesian online change points of log returns.
    Changes,
}

/// What is to be fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegimeRequest {
    /// Which kind.
    pub kind: RegimeKind,
    /// Bars it observes; of a model of hourly bars, a multiple of an hour.
    pub timeframe: Timeframe,
    /// States of the hidden Markov model, 2 to 6.
    pub n_states: usize,
    /// Starts of its fit.
    pub n_restarts: usize,
    /// Seed of the starts.
    pub seed: u64,
    /// Bars of the rules' moments.
    pub n_bars: usize,
    /// t-statistic from which the rules see a trend.
    pub trend_t: f64,
    /// Share of a threshold at which what holds ends.
    pub hysteresis: f64,
    /// Mean number of bars between change points.
    pub mean_run: f64,
    /// Bars within which a change is recent.
    pub recent: usize,
    /// From probabilities to labels.
    pub labeller: Labeller,
}

/// What is known of the states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Law {
    Rules(TrendRules),
    Hmm(Fit),
    Changes(ChangeModel),
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegimeModel {
    law: Law,
    /// Names of the states, in order.
    pub names: Vec<String>,
    /// What was traded in the bars it was fitted on.
    pub instrument: String,
    /// Bars it was fed.
    pub base: String,
    /// Bars it observes.
    pub timeframe: String,
    /// From probabilities to labels.
    pub labeller: Labeller,
}

/// Why there is no model, or it cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RegimeError {
    /// A setting that makes no sense.
    #[error("regime rule 2: regime.{field} is {value}; it must be {expected}")]
    Setting {
        /// Which.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: String,
    },
    /// Too few bars, or all the same.
    #[error(
        "regime rule 3: the training window has {n} bars of {timeframe} that move; the model needs more, or others"
    )]
    TooLittle {
        /// Bars.
        n: usize,
        /// Their length.
        timeframe: String,
    },
    /// Another model than the bars.
    #[error(
        "regime rule 1: the regime model's {field} is {model}, here it is {here}: fit it on these bars, or use those"
    )]
    Mismatch {
        /// What differs.
        field: &'static str,
        /// In the model.
        model: String,
        /// Here.
        here: String,
    },
}

/// Bars after which recursive state restarts.
const SEGMENT: usize = 128;
/// Longest run that change points keep apart.
const LONGEST_RUN: usize = 256;
/// t-statistic from which a state's mean names a trend.
const NAMING_T: f64 = 2.0;

impl RegimeModel {
    /// Fits to `tape`, the training window.
    ///
    /// # Errors
    /// When a setting makes no sense or the window is too short.
    pub fn fit(request: &RegimeRequest, tape: &MarketTape) -> Result<Self, RegimeError> {
        request.validate(tape.timeframe)?;
        let slower = slower(tape, request.timeframe);
        let returns = log_returns(&slower);
        let timeframe = request.timeframe.to_string();
        let too_little = || RegimeError::TooLittle { n: slower.len(), timeframe: timeframe.clone() };
        let (law, names) = match request.kind {
            RegimeKind::Rules => {
                let rules = TrendRules::fit(&slower, request.n_bars, request.trend_t, request.hysteresis);
                let names = rules::NAMES.iter().map(|&name| name.to_owned()).collect();
                (Law::Rules(rules.ok_or_else(too_little)?), names)
            }
            RegimeKind::Hmm => {
                let settings = FitSettings {
                    n_states: request.n_states,
                    n_restarts: request.n_restarts,
                    max_iterations: 500,
                    tolerance: 1e-4,
                    seed: request.seed,
                };
                let fit = GaussianHmm::fit(&returns, &settings).ok_or_else(too_little)?;
                let names = names_of(&fit, request.timeframe);
                (Law::Hmm(fit), names)
            }
            RegimeKind::Changes => {
                let model = ChangeModel::fit(&returns, request.mean_run, LONGEST_RUN, request.recent);
                (Law::Changes(model.ok_or_else(too_little)?), vec!["settled".into(), "changed".into()])
            }
        };
        let (instrument, base) = (tape.instrument.0.clone(), tape.timeframe.to_string());
        Ok(Self { law, names, instrument, base, timeframe, labeller: request.labeller })
    }

    /// The fit of a hidden Markov model.
    #[must_use]
    pub fn hmm(&self) -> Option<&Fit> {
        match &self.law {
            Law::Hmm(fit) => Some(fit),
            Law::Rules(_) | Law::Changes(_) => None,
        }
    }

    /// Refuses a request that asks for another model: of another kind, on other bars, or with another number of states.
    ///
    /// # Errors
    /// What differs.
    pub fn answers(&self, request: &RegimeRequest) -> Result<(), RegimeError> {
        let kind = match self.law {
            Law::Rules(_) => RegimeKind::Rules,
            Law::Hmm(_) => RegimeKind::Hmm,
            Law::Changes(_) => RegimeKind::Changes,
        };
        let states = if request.kind == RegimeKind::Hmm { request.n_states } else { self.names.len() };
        let here = [
            ("kind", format!("{kind:?}"), format!("{:?}", request.kind)),
            ("timeframe", self.timeframe.clone(), request.timeframe.to_string()),
            ("number of states", self.names.len().to_string(), states.to_string()),
        ];
        match here.into_iter().find(|(_, model, here)| model != here) {
            Some((field, model, here)) => Err(RegimeError::Mismatch { field, model, here }),
            None => Ok(()),
        }
    }

    /// Refuses bars other than those it was made for.
    ///
    /// # Errors
    /// What differs.
    pub fn fits(&self, tape: &MarketTape) -> Result<(), RegimeError> {
        let here = [
            ("instrument", &self.instrument, tape.instrument.0.clone()),
            ("bars", &self.base, tape.timeframe.to_string()),
        ];
        match here.into_iter().find(|(_, model, here)| *model != here) {
            Some((field, model, here)) => Err(RegimeError::Mismatch { field, model: model.clone(), here }),
            None => Ok(()),
        }
    }

    /// Running probabilities over bars of `base`; none when a model of another length of bars is asked.
    #[must_use]
    pub fn stream(&self, base: Timeframe) -> Option<RegimeStream> {
        let timeframe: Timeframe = self.timeframe.parse().ok()?;
        let aggregator = if timeframe == base { None } else { Some(Aggregator::new(base, timeframe)?) };
        let (law, labeller, n_states) = (self.law.clone(), self.labeller, self.names.len());
        let make = move || -> Box<dyn Indicator> {
            let law = match &law {
                Law::Rules(rules) => RunningLaw::Rules(rules.running()),
                Law::Hmm(fit) => RunningLaw::Hmm(HmmFilter::new(&fit.model), None),
                Law::Changes(model) => RunningLaw::Changes(model.running(), None),
            };
            Box::new(Labelled { law, labeller, running: Running::default(), n_states })
        };
        let segment = self.segment();
        Some(RegimeStream {
            aggregator,
            indicator: Anchored::new(Box::new(make), timeframe, segment),
            row: vec![0.0; n_states + 1],
            ready: false,
        })
    }

    /// Its bars after which recursive state restarts.
    fn segment(&self) -> usize {
        match &self.law {
            Law::Rules(rules) => 3 * rules.n_bars,
            Law::Hmm(_) | Law::Changes(_) => SEGMENT,
        }
    }

    /// Bars of `base` before a row that can change what is said there: two segments between anchors, and a longer bar that may have begun.
    #[must_use]
    pub fn look_back(&self, base: Timeframe) -> usize {
        let longer = self.timeframe.parse().map_or(1, |own: Timeframe| (own.nanos() / base.nanos()) as usize);
        (2 * self.segment() + 1) * longer.max(1)
    }

    /// Probabilities and labels at every bar of `tape`.
    ///
    /// # Errors
    /// When the tape is not what the model was made for.
    pub fn view(&self, tape: &MarketTape) -> Result<RegimeView, RegimeError> {
        self.fits(tape)?;
        let mut stream = self.stream(tape.timeframe).ok_or_else(|| RegimeError::Mismatch {
            field: "timeframe",
            model: self.timeframe.clone(),
            here: tape.timeframe.to_string(),
        })?;
        let n = self.names.len();
        let mut view = RegimeView { names: self.names.clone(), probability: Vec::new(), label: Vec::new() };
        for bar in tape.bars() {
            match stream.push(&bar) {
                Some(row) => {
                    view.probability.extend(row[..n].iter().map(|&p| p as f32));
                    view.label.push(Some(row[n] as u8));
                }
                None => {
                    view.probability.resize(view.probability.len() + n, 0.0);
                    view.label.push(None);
                }
            }
        }
        Ok(view)
    }
}

impl RegimeRequest {
    /// Refuses settings that make no sense over bars of `base`.
    ///
    /// # Errors
    /// The first that does not.
    pub fn validate(&self, base: Timeframe) -> Result<(), RegimeError> {
        let wrong = |field, value: String, expected: &str| {
            Err(RegimeError::Setting { field, value, expected: expected.to_owned() })
        };
        if !self.timeframe.is_multiple_of(base) {
            return wrong(
                "timeframe",
                self.timeframe.to_string(),
                &format!("a multiple of the bars', {base}"),
            );
        }
        if self.kind == RegimeKind::Rules && self.timeframe < Timeframe::DAY {
            return wrong(
                "timeframe",
                self.timeframe.to_string(),
                "1d or longer for rules: no trend can be told of shorter bars",
            );
        }
        if !(2..=MAX_STATES).contains(&self.n_states) {
            return wrong("n_states", self.n_states.to_string(), "from 2 to 6");
        }
        if !(1..=1000).contains(&self.n_restarts) {
            return wrong("n_restarts", self.n_restarts.to_string(), "from 1 to 1000");
        }
        if !(3..=1000).contains(&self.n_bars) {
            return wrong("n_bars", self.n_bars.to_string(), "from 3 to 1000");
        }
        if !(self.trend_t.is_finite() && self.trend_t > 0.0) {
            return wrong("trend_t", self.trend_t.to_string(), "positive");
        }
        if !(self.hysteresis > 0.0 && self.hysteresis <= 1.0) {
            return wrong("hysteresis", self.hysteresis.to_string(), "above 0 and at most 1");
        }
        if !(self.mean_run.is_finite() && self.mean_run > 1.0) {
            return wrong("mean_run", self.mean_run.to_string(), "more than 1 bar");
        }
        if !(1..LONGEST_RUN).contains(&self.recent) {
            return wrong("recent", self.recent.to_string(), "from 1 to 255 bars");
        }
        if !(0.5..1.0).contains(&self.labeller.enter) {
            return wrong("enter", self.labeller.enter.to_string(), "a probability from 0.5 to below 1");
        }
        Ok(())
    }
}

/// States by volatility; of daily or slower bars with a trend where their mean shows one.
fn names_of(fit: &Fit, timeframe: Timeframe) -> Vec<String> {
    let n = fit.model.n_states();
    let level = |k: usize| match n {
        2 => ["calm", "wild"][k].to_owned(),
        3 => ["calm", "normal", "wild"][k].to_owned(),
        4 => ["calm", "normal", "lively", "wild"][k].to_owned(),
        _ => format!("volatility {}", k + 1),
    };
    let name = |k: usize| {
        let bars = fit.model.initial[k] * fit.n as f64;
        let t = fit.model.mean[k] / (fit.model.variance[k] / bars).sqrt();
        match timeframe >= Timeframe::DAY {
            true if t > NAMING_T => format!("bull {}", level(k)),
            true if t < -NAMING_T => format!("bear {}", level(k)),
            true => format!("range {}", level(k)),
            false => level(k),
        }
    };
    (0..n).map(name).collect()
}

/// Bars of `timeframe`; the same ones when they are that long already.
fn slower(tape: &MarketTape, timeframe: Timeframe) -> MarketTape {
    let mut out = MarketTape::empty(tape.instrument.clone(), timeframe, tape.price_side, tape.volume_kind);
    match Aggregator::new(tape.timeframe, timeframe) {
        Some(mut aggregator) if timeframe != tape.timeframe => {
            tape.bars().for_each(|bar| aggregator.push(&bar, |longer| out.push(longer)));
        }
        _ => tape.bars().for_each(|bar| out.push(bar)),
    }
    out
}

fn log_returns(tape: &MarketTape) -> Vec<f64> {
    tape.close.windows(2).map(|pair| libm::log(pair[1] / pair[0])).collect()
}

/// Running probabilities over base bars.
pub struct RegimeStream {
    aggregator: Option<Aggregator>,
    indicator: Anchored,
    row: Vec<f64>,
    ready: bool,
}

impl RegimeStream {
    /// Takes the next closed base bar. The row is what is known then: the states' probabilities, and the label's index
    /// behind them; none while warming up.
    pub fn push(&mut self, bar: &Bar) -> Option<&[f64]> {
        let Self { aggregator, indicator, row, ready } = self;
        match aggregator {
            None => *ready = indicator.push(bar, row),
            Some(aggregator) => aggregator.push(bar, |longer| *ready = indicator.push(&longer, row)),
        }
        self.ready.then_some(self.row.as_slice())
    }
}

/// A law at work.
enum RunningLaw {
    Rules(rules::RunningRules),
    Hmm(HmmFilter, Option<f64>),
    Changes(Changes, Option<f64>),
}

struct Labelled {
    law: RunningLaw,
    labeller: Labeller,
    running: Running,
    n_states: usize,
}

impl Indicator for Labelled {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let change =
            |close: &mut Option<f64>| close.replace(bar.close).map(|last| libm::log(bar.close / last));
        let ready = match &mut self.law {
            RunningLaw::Rules(rules) => rules.push(bar, out),
            RunningLaw::Hmm(filter, close) => match change(close) {
                Some(x) => {
                    out[..self.n_states].copy_from_slice(filter.push(x));
                    true
                }
                None => false,
            },
            RunningLaw::Changes(changes, close) => match change(close) {
                Some(x) => {
                    changes.push(x);
                    let recent = changes.recent();
                    (out[0], out[1]) = (1.0 - recent, recent);
                    true
                }
                None => false,
            },
        };
        if ready {
            let (probabilities, rest) = out.split_at_mut(self.n_states);
            rest[0] = self.labeller.push(&mut self.running, probabilities) as f64;
        }
        ready
    }
}

/// Probabilities and labels of a whole tape.
#[derive(Debug, Clone, PartialEq)]
pub struct RegimeView {
    /// Names of the states.
    pub names: Vec<String>,
    /// `[bars × states]`; zero while warming up.
    pub probability: Vec<f32>,
    /// Index of the state; none while warming up.
    pub label: Vec<Option<u8>>,
}

impl RegimeView {
    /// Probabilities at a bar; none while warming up.
    #[must_use]
    pub fn at(&self, row: usize) -> Option<&[f32]> {
        let n = self.names.len();
        self.label.get(row).copied().flatten()?;
        self.probability.get(row * n..(row + 1) * n)
    }
}
