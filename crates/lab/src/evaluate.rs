//! Judging a run: tracks to judgement, registry and report.

use std::sync::Arc;

use cambist_core::clock::Clock;
use cambist_evaluate::judgement::judge;
use cambist_evaluate::metrics::sharpe;
use cambist_evaluate::report::{self, Heading};
use cambist_evaluate::windows::Span;
use cambist_evaluate::{Judgement, Track};
use cambist_runs::{Judged, Opening, RunFolder};

use crate::artefact::{Artefact, REVISION};
use crate::backtest::backtest_policy;
use crate::baselines::baselines;
use crate::config::{Config, RawConfig};
use crate::error::LabError;
use crate::market::Market;
use crate::run::Machine;

/// What is judged, and where it is written.
pub(crate) struct Judging<'a> {
    pub(crate) window: &'static str,
    /// Of the report's file name.
    pub(crate) suffix: &'a str,
    /// The window that was to be judged, whatever became of the account.
    pub(crate) span: Span,
    pub(crate) folder: &'a RunFolder,
    pub(crate) config: &'a Config,
    pub(crate) artefact_hash: &'a str,
    pub(crate) fingerprint: &'a str,
    pub(crate) machine: &'a Machine,
}

/// Judges `tracks`, counts the judgement, and writes `report<suffix>.html` and `.json`.
pub(crate) fn judge_and_report(
    judging: &Judging<'_>,
    tracks: &[Track],
    clock: &dyn Clock,
) -> Result<Judgement, LabError> {
    let registry = judging.machine.registry(&judging.folder.root())?;
    let policy = &tracks[0];
    let data = &judging.config.raw.data;
    let name = judging.folder.name();
    let judged = Judged {
        run: name.clone(),
        market: judging.config.market_name(),
        first: judging.span.from.0,
        last: judging.span.until.0,
        sharpe: sharpe::per_bar(&policy.returns()),
    };
    let earlier = registry.earlier(&judged)?;
    registry.judged(&judged, clock.now())?;
    let judgement = judge(judging.window, tracks, &earlier, judging.config.raw.run.seed)
        .ok_or(LabError::UnknownWindow(judging.window.to_owned()))?;
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let heading = Heading {
        title: format!(
            "{} on {} {}, {}",
            judging.config.raw.run.name, data.symbol, judging.config.timeframe, judging.window
        ),
        facts: vec![
            fact("run", name),
            fact("artefact", judging.artefact_hash.to_owned()),
            fact("data fingerprint", judging.fingerprint.to_owned()),
            fact("seed", judging.config.raw.run.seed.to_string()),
            fact("code revision", REVISION.to_owned()),
            fact("costs, one way", costs(&judging.config.raw)),
            fact("fills", "at the open of the bar after the decision".to_owned()),
        ],
    };
    let page = report::html(&heading, &judgement, tracks)?;
    judging.folder.write(&format!("report{}.html", judging.suffix), &page)?;
    let json = serde_json::json!({ "heading": heading, "judgement": judgement, "tracks": tracks });
    judging.folder.write(&format!("report{}.json", judging.suffix), &json.to_string())?;
    let judged_event = serde_json::json!({ "window": judging.window, "verdict": judgement.verdict, "trials": judgement.trials, "refused": policy.refused, "refusal": policy.refusal });
    judging.folder.log(clock.now(), "judged", &judged_event)?;
    Ok(judgement)
}

/// Which rows an evaluation sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// What was learned from.
    Train,
    /// What weights were chosen by.
    Validation,
    /// What was never seen.
    Test,
    /// What was sealed; see [`unseal`].
    Sealed,
}

impl Window {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::Sealed => "sealed",
        }
    }
}

impl std::str::FromStr for Window {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        let open = [Self::Train, Self::Validation, Self::Test];
        open.into_iter().find(|w| w.name() == text).ok_or_else(|| LabError::UnknownWindow(text.to_owned()))
    }
}

/// Judges the artefact of `run` on `window`.
///
/// # Errors
/// When the artefact cannot be used, its data changed, or the window is empty or sealed.
pub fn evaluate(
    run: &RunFolder,
    window: Window,
    machine: &Machine,
    clock: &dyn Clock,
) -> Result<Judgement, LabError> {
    if window == Window::Sealed {
        return Err(LabError::UnknownWindow(window.name().to_owned()));
    }
    Ok(judged(run, window, None, machine, clock)?.0)
}

/// Opens the rows that are sealed, for good and on record, and judges the artefact of `run` on them. Returns how often they were
/// opened before. The record shows tampering; it cannot prevent it.
///
/// # Errors
/// When nothing is sealed, the record cannot be written or was changed, or as [`evaluate`].
pub fn unseal(
    run: &RunFolder,
    who: &str,
    why: &str,
    machine: &Machine,
    clock: &dyn Clock,
) -> Result<(Judgement, usize), LabError> {
    if who.trim().is_empty() || why.trim().is_empty() {
        return Err(LabError::NoReason);
    }
    let (judgement, before) = judged(run, Window::Sealed, Some((who, why)), machine, clock)?;
    Ok((judgement, before.unwrap_or(0)))
}

fn judged(
    run: &RunFolder,
    window: Window,
    opener: Option<(&str, &str)>,
    machine: &Machine,
    clock: &dyn Clock,
) -> Result<(Judgement, Option<usize>), LabError> {
    let (artefact, policy, hash) = Artefact::load(run)?;
    let config = artefact.acting()?;
    let market = Market::prepare(&config, &machine.data)?;
    same("data fingerprint", &artefact.data_fingerprint, &market.fingerprint)?;
    let with_regimes = |market: Market| match &artefact.regime {
        Some(model) => market.with_regime_model(&config, model.clone()),
        None => Ok(market),
    };
    let market = with_regimes(market)?;
    same("features", &format!("{:?}", artefact.normaliser.names), &format!("{:?}", market.features.names))?;
    let fold = artefact.fold;
    let (market, span, openings) = match window {
        Window::Train => (market, fold.train, None),
        Window::Validation => (market, fold.validation, None),
        Window::Test => (market, fold.test, None),
        Window::Sealed => {
            let (who, why) = opener.ok_or(LabError::NoReason)?;
            let from = Market::sealed_from(&config, &machine.data)?.ok_or(LabError::NothingSealed)?;
            let opening = Opening {
                at: clock.now().0,
                who: who.to_owned(),
                why: why.to_owned(),
                run: run.name(),
                bars: format!("{} {} from {from}", config.raw.data.symbol, config.raw.data.venue),
            };
            let registry = machine.registry(&run.root())?;
            let before = registry.unseal(&opening)?;
            let openings = registry.openings()?;
            let kept = serde_json::json!({ "number": openings.len(), "hash": openings.last().map(|(_, hash)| hash) });
            run.log(clock.now(), "unsealed", &kept)?;
            let whole = with_regimes(Market::unsealed(&config, &machine.data)?)?;
            let span = Span { from, until: whole.whole().until };
            (whole, span, Some(before))
        }
    };
    let field = if window == Window::Sealed { "sealed_from" } else { "test_until" };
    let rows = market.rows(window.name(), field, span)?;
    let normaliser = Arc::new(artefact.normaliser);
    let mut env = market.once(&config, &normaliser, rows.clone(), false)?;
    let track = backtest_policy(&mut env, &market.tape, &policy, artefact.action_mode, "policy", |_| ());
    let rest = baselines(&config, &market, &normaliser, rows, &track)?;
    let tracks = [vec![track], rest].concat();
    let suffix = format!("-{}", window.name());
    let judging = Judging {
        window: window.name(),
        suffix: if window == Window::Test && config.raw.walk_forward.n_folds == 0 { "" } else { &suffix },
        span,
        folder: run,
        config: &config,
        artefact_hash: &hash,
        fingerprint: &market.fingerprint,
        machine,
    };
    Ok((judge_and_report(&judging, &tracks, clock)?, openings))
}

/// Refuses an artefact whose `field` is not what is here.
pub(crate) fn same(field: &'static str, artefact: &str, here: &str) -> Result<(), LabError> {
    if artefact == here {
        return Ok(());
    }
    Err(LabError::Mismatch { field, artefact: artefact.to_owned(), here: here.to_owned() })
}

/// What trading costs, in a line.
fn costs(raw: &RawConfig) -> String {
    match (&raw.execution, &raw.broker) {
        (Some(e), _) => format!(
            "commission {} bp, half spread {} bp, slippage {} bp; borrowing {} a year",
            e.commission_bp, e.half_spread_bp, e.slippage_bp, e.borrow_rate
        ),
        (None, Some(b)) => format!(
            "{}: {} {} a lot, {} bp taker, {} bp maker; spread {:?}, slippage {} ticks and {} sigma, impact {} temporary \
             and {} permanent, at most {} of the volume; latency {} ms; `cambist costs explain` says more",
            b.instrument,
            b.commission_per_lot,
            b.deposit_currency,
            b.taker_bp,
            b.maker_bp,
            b.spread,
            b.slippage_ticks,
            b.slippage_volatility,
            b.impact_temporary,
            b.impact_permanent,
            b.participation,
            b.latency_ms
        ),
        (None, None) => String::new(),
    }
}
