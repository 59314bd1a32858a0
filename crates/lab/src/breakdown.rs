//! Where a policy earned and lost: by regime, by named windows of history, with costs and latency doubled, and by size.

use std::path::Path;
use std::sync::Arc;

use cambist_core::UnixNanos;
use cambist_evaluate::Track;
use cambist_evaluate::chart::{Line, Shades, Style, shaded};
use cambist_evaluate::judgement::HOLD;
use cambist_evaluate::metrics::{break_even, drawdown, growth, newey_west, sharpe, turnover};
use cambist_evaluate::windows::Span;
use cambist_features::Normaliser;
use cambist_market::Execution;
use cambist_policy::TrainedPolicy;
use cambist_regime::{Labeller, RegimeKind, RegimeModel, RegimeRequest};
use cambist_runs::RunFolder;
use serde::{Deserialize, Serialize};

use crate::artefact::Artefact;
use crate::backtest::backtest_window;
use crate::baselines::{hold, hold_at_volatility};
use crate::config::Config;
use crate::ensemble::MemberRecord;
use crate::error::LabError;
use crate::market::{Market, Regimes};
use crate::run::Machine;
use crate::stress::{dearer, waits, wider, with_lots};

/// What one part of history did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its bars.
    pub bars: usize,
    /// What the policy had seen of it: training, validation, or nothing.
    pub seen: &'static str,
    /// Growth of the policy's account.
    pub earned: f64,
    /// Growth of holding.
    pub hold: f64,
    /// Annual Sharpe ratio.
    pub sharpe: f64,
    /// Deepest drawdown; of a regime, none: its bars are not one stretch.
    pub drawdown: Option<f64>,
    /// Mean exposure, signed.
    pub exposure: f64,
    /// Costs over the equity at the start.
    pub costs: f64,
    /// Alpha against holding, a year.
    pub alpha: f64,
    /// Its t-statistic (Newey and West).
    pub t_alpha: f64,
    /// Beta.
    pub beta: f64,
}

/// A named stretch of history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedWindow {
    /// Its name.
    pub name: String,
    /// First day.
    pub from: String,
    /// Day after the last.
    pub until: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowFile {
    window: Vec<NamedWindow>,
}

/// A policy with all that it is judged on.
pub struct Judged {
    config: Config,
    artefact: Artefact,
    policy: TrainedPolicy,
    market: Market,
    normaliser: Arc<Normaliser>,
}

/// A row of a stress or capacity table: name, growth, annual Sharpe ratio, costs over equity, deepest drawdown.
pub type StressRow = (String, f64, f64, f64, f64);

impl Judged {
    /// Reads the artefact of `run` and its data.
    ///
    /// # Errors
    /// When either cannot be used.
    pub fn open(run: &RunFolder, machine: &Machine) -> Result<Self, LabError> {
        let (artefact, policy, _) = Artefact::load(run)?;
        let config = artefact.acting()?;
        let market = Market::prepare(&config, &machine.data)?;
        crate::evaluate::same("data fingerprint", &artefact.data_fingerprint, &market.fingerprint)?;
        let market = match &artefact.regime {
            Some(model) => market.with_regime_model(&config, model.clone())?,
            None => market,
        };
        let normaliser = Arc::new(artefact.normaliser.clone());
        Ok(Self { config, artefact, policy, market, normaliser })
    }

    fn track(&self, market: &Market, span: Span) -> Result<Track, LabError> {
        let rows = market.rows("window", "the window", span)?;
        backtest_window(market, &self.config, &self.normaliser, rows, &self.policy, "policy")
    }

    fn hold(&self, policy: &Track, span: Span) -> Result<[Track; 2], LabError> {
        let rows = self.market.rows("window", "the window", span)?;
        let hold = hold(&self.config, &self.market, &self.normaliser, rows.clone())?;
        let calm = hold_at_volatility(&self.config, &self.market, &self.normaliser, rows, policy, &hold)?;
        Ok([hold, calm])
    }

    /// Fingerprint of its bars.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.artefact.data_fingerprint
    }

    /// The test window.
    #[must_use]
    pub fn test(&self) -> Span {
        self.artefact.fold.test
    }

    /// The regimes history is cut by: the run's own, or volatility and trend by rules on daily bars, fitted on the training
    /// window.
    fn regimes(&self) -> Result<Arc<Regimes>, LabError> {
        if let Some(regimes) = &self.market.regime {
            return Ok(Arc::clone(regimes));
        }
        let day = cambist_core::Timeframe::DAY;
        let timeframe = if self.config.timeframe < day { day } else { self.config.timeframe };
        let request = RegimeRequest {
            kind: RegimeKind::Rules,
            timeframe,
            n_states: 2,
            n_restarts: 1,
            seed: 0,
            n_bars: 20,
            trend_t: 1.0,
            hysteresis: 0.7,
            mean_run: 200.0,
            recent: 10,
            labeller: Labeller { enter: 0.6, dwell: 1 },
        };
        let rows = self.market.rows("train", "train_until", self.artefact.fold.train)?;
        let model = RegimeModel::fit(&request, &self.market.tape.slice(rows))?;
        let view = Arc::new(model.view(&self.market.tape)?);
        Ok(Arc::new(Regimes { model, view }))
    }

    /// The policy's account over `span`, cut by the regime its decisions were made in, and a chart of it on the regimes.
    ///
    /// # Errors
    /// When the window is empty or the regimes cannot be fitted.
    pub fn by_regime(&self, span: Span) -> Result<(Vec<Part>, String), LabError> {
        let regimes = self.regimes()?;
        let track = self.track(&self.market, span)?;
        let [hold, _] = self.hold(&track, span)?;
        let first = self.market.row_of_close(track.time[0]);
        let label = |bar: usize| regimes.view.label.get(first + bar).copied().flatten();
        let mut parts = Vec::new();
        let names = regimes.view.names.iter().map(String::as_str).chain(["before it is known"]);
        for (state, name) in names.enumerate() {
            let own = (state < regimes.view.names.len()).then_some(state as u8);
            // The return of a bar belongs to the regime known when it was decided on: at the close before.
            let bars: Vec<usize> = (1..track.time.len()).filter(|&bar| label(bar - 1) == own).collect();
            if !bars.is_empty() {
                parts.push(part_of(name, &bars, &track, &hold, self.artefact.seen(span)));
            }
        }
        Ok((parts, self.chart(&track, &hold, &regimes, first)?))
    }

    fn chart(
        &self,
        track: &Track,
        hold: &Track,
        regimes: &Regimes,
        first: usize,
    ) -> Result<String, LabError> {
        let scaled = |t: &Track| -> Vec<f64> { t.equity.iter().map(|e| e / t.equity[0]).collect() };
        let (policy, hold) = (scaled(track), scaled(hold));
        let lines = [Line { name: "policy", values: &policy }, Line { name: HOLD, values: &hold }];
        let labels: Vec<Option<u8>> =
            (0..track.time.len()).map(|bar| regimes.view.label.get(first + bar).copied().flatten()).collect();
        let title = format!("{} by regime", self.config.raw.run.name);
        let style = Style { title: &title, unit: "multiple of start", logarithmic: true, filled: false };
        let shades = Shades { names: &regimes.view.names, labels: &labels };
        Ok(shaded(&style, &track.time, &lines, &shades)?)
    }

    /// The policy through each named window that the data have, and the names of those they have not.
    ///
    /// # Errors
    /// When a window cannot be read.
    pub fn by_windows(&self, windows: &[NamedWindow]) -> Result<(Vec<Part>, Vec<String>), LabError> {
        let (mut parts, mut missing) = (Vec::new(), Vec::new());
        for window in windows {
            let date = |text: &String| UnixNanos::parse(text).ok_or_else(|| LabError::Time(text.clone()));
            let span = Span { from: date(&window.from)?, until: date(&window.until)? };
            let track = match self.track(&self.market, span) {
                Ok(track) => track,
                // Before the data, sealed, or too short for the features.
                Err(LabError::EmptyWindow { .. } | LabError::Market(_)) => {
                    missing.push(window.name.clone());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let [hold, _] = self.hold(&track, span)?;
            let bars: Vec<usize> = (1..track.time.len()).collect();
            let mut part = part_of(&window.name, &bars, &track, &hold, self.artefact.seen(span));
            part.drawdown = Some(drawdown::drawdown(&track.equity).deepest);
            parts.push(part);
        }
        Ok((parts, missing))
    }

    /// The policy through `span`.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn policy(&self, span: Span) -> Result<Track, LabError> {
        self.track(&self.market, span)
    }

    /// The policy through `span` of another market: other bars, or other costs.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn on(&self, market: &Market, span: Span) -> Result<Track, LabError> {
        self.track(market, span)
    }

    /// The policy through `span` with costs, spread alone and latency so many times what they are, each by itself. Many times no
    /// latency is none.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn stressed(&self, span: Span, times: &[u32]) -> Result<Vec<(String, Track)>, LabError> {
        let own = &self.market.execution;
        let mut out = Vec::new();
        for &n in times {
            let mut cases = vec![
                (format!("costs x{n}"), dearer(own, f64::from(n), 1)),
                (format!("spread x{n}"), wider(own, f64::from(n))),
            ];
            if waits(own) {
                cases.push((format!("latency x{n}"), dearer(own, 1.0, n)));
            }
            for (name, execution) in cases {
                let market = Market { execution, ..self.market.clone() };
                out.push((name, self.track(&market, span)?));
            }
        }
        Ok(out)
    }

    /// The policy over `span` as it is, with costs doubled, with latency doubled, and with both.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn stress(&self, span: Span) -> Result<Vec<StressRow>, LabError> {
        let cases = [
            ("as configured", 1.0, 1),
            ("costs doubled", 2.0, 1),
            ("latency doubled", 1.0, 2),
            ("both", 2.0, 2),
        ];
        let waits = waits(&self.market.execution);
        // Twice no latency is none.
        let cases = cases.iter().filter(|(_, _, delay)| waits || *delay == 1);
        cases
            .map(|&(name, costs, delay)| {
                let execution = dearer(&self.market.execution, costs, delay);
                let market = Market { execution, ..self.market.clone() };
                Ok(row_of(name, &self.track(&market, span)?))
            })
            .collect()
    }

    /// The policy over `span` with ever more money: what impact and participation leave of it. None in the short form, which
    /// knows neither.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn capacity(&self, span: Span) -> Result<Vec<StressRow>, LabError> {
        if matches!(self.market.execution, Execution::Short(_)) {
            return Ok(Vec::new());
        }
        let rows = self.market.rows("window", "the window", span)?;
        (0..6)
            .map(|power| {
                let times = 10f64.powi(power);
                let cash = self.config.initial_cash() * times;
                let market =
                    Market { execution: with_lots(&self.market.execution, times), ..self.market.clone() };
                let mut env = market.once_with(&self.config, &self.normaliser, rows.clone(), cash)?;
                let mode = self.artefact.action_mode;
                let track = crate::backtest::backtest_policy(
                    &mut env,
                    &self.market.tape,
                    &self.policy,
                    mode,
                    "policy",
                    |_| (),
                );
                Ok(row_of(&format!("{cash:.0}"), &track))
            })
            .collect()
    }

    /// Every member alone over `span`, and the ensemble last; the policy itself where it is one network.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn by_member(&self, span: Span) -> Result<Vec<StressRow>, LabError> {
        let alone = Config::validate(self.artefact.config.clone())?;
        let rows = self.market.rows("window", "the window", span)?;
        let mut out = Vec::new();
        for (network, record) in self.policy.networks().iter().zip(&self.artefact.members) {
            let (config, policy) = (alone.with_multiplier(record.multiplier), network.clone().into());
            let track =
                backtest_window(&self.market, &config, &self.normaliser, rows.clone(), &policy, "member")?;
            out.push(row_of(&record.name, &track));
        }
        if out.len() > 1 {
            out.push(row_of("together", &self.track(&self.market, span)?));
        }
        Ok(out)
    }

    /// What is known of its members.
    #[must_use]
    pub fn members(&self) -> &[MemberRecord] {
        &self.artefact.members
    }

    /// Break-even cost, alpha and beta over `span`, and holding at the policy's volatility, in sentences.
    ///
    /// # Errors
    /// When the window is empty.
    pub fn facts(&self, span: Span) -> Result<Vec<String>, LabError> {
        let track = self.track(&self.market, span)?;
        let [hold, calm] = self.hold(&track, span)?;
        let regression = newey_west::regress(&track.returns(), &hold.returns());
        let year = track.bars_per_year();
        Ok(vec![
            format!(
                "alpha {:+.1} % a year (t {:.2}), beta {:.2} (t {:.2}), by Newey and West over {} bars",
                100.0 * regression.alpha * year,
                regression.t_alpha,
                regression.beta,
                regression.t_beta,
                regression.lags
            ),
            format!(
                "it made {:+.1} %; holding made {:+.1} %, and {:+.1} % at the policy's volatility",
                100.0 * growth::total_return(&track.equity),
                100.0 * growth::total_return(&hold.equity),
                100.0 * growth::total_return(&calm.equity)
            ),
            format!(
                "its profit would be gone at {:.1} bp one way; it trades {:.0} times its equity a year",
                break_even::break_even_bp(&track),
                turnover::annual_turnover(&track)
            ),
        ])
    }
}

fn row_of(name: &str, track: &Track) -> StressRow {
    let start = track.equity.first().copied().unwrap_or(1.0);
    (
        name.to_owned(),
        growth::total_return(&track.equity),
        sharpe::annual(&track.returns(), track.bars_per_year()),
        track.costs.last().copied().unwrap_or(0.0) / start,
        drawdown::drawdown(&track.equity).deepest,
    )
}

/// The bars `bars` of an account beside holding.
fn part_of(name: &str, bars: &[usize], track: &Track, hold: &Track, seen: &'static str) -> Part {
    let (returns, held) = (track.returns(), hold.returns());
    let pick =
        |all: &[f64]| -> Vec<f64> { bars.iter().filter_map(|&bar| all.get(bar - 1).copied()).collect() };
    let (mine, theirs) = (pick(&returns), pick(&held));
    let grown = |returns: &[f64]| returns.iter().map(|r| 1.0 + r).product::<f64>() - 1.0;
    let year = track.bars_per_year();
    let regression = newey_west::regress(&mine, &theirs);
    let paid: f64 = bars.iter().map(|&bar| track.costs[bar] - track.costs[bar - 1]).sum();
    Part {
        name: name.to_owned(),
        bars: bars.len(),
        seen,
        earned: grown(&mine),
        hold: grown(&theirs),
        sharpe: sharpe::annual(&mine, year),
        drawdown: None,
        exposure: bars.iter().map(|&bar| track.exposure[bar]).sum::<f64>() / bars.len() as f64,
        costs: paid / track.equity[0],
        alpha: regression.alpha * year,
        t_alpha: regression.t_alpha,
        beta: regression.beta,
    }
}

/// Named windows of the file at `path`.
///
/// # Errors
/// When it cannot be read or is no such file.
pub fn read_windows(path: &Path) -> Result<Vec<NamedWindow>, LabError> {
    let wrong = |reason: String| LabError::Series { path: path.to_owned(), line: 0, reason };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let file: WindowFile = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    for window in &file.window {
        let (from, until) = (UnixNanos::parse(&window.from), UnixNanos::parse(&window.until));
        if from.is_none() || until.is_none() || from >= until {
            return Err(wrong(format!(
                "the window '{}' goes from '{}' to '{}': these must be days, the first before the second",
                window.name, window.from, window.until
            )));
        }
    }
    Ok(file.window)
}
