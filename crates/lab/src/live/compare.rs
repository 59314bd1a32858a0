//! A paper day against the training environment: the same bars, stepped through `envs/market`, must show the same observations, actions
//! and accounts.

use std::path::Path;
use std::sync::Arc;

use cambist_core::clock::Clock;
use cambist_core::env::StepStorage;
use cambist_core::{Bar, BatchedEnv, UnixNanos};
use cambist_decide::ACCOUNT_COLUMNS;
use cambist_live::words::{Decision, Record};
use cambist_live::{Deployment, Journal, LiveError, replay};
use cambist_policy::Runner;

use super::attribute::{Attribution, attribute};
use crate::artefact::Artefact;
use crate::config::{Config, Layers};
use crate::error::LabError;
use crate::evaluate::same;
use crate::market::Market;

/// What was compared, and what differs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compared {
    /// Bars decided on.
    pub bars: usize,
    /// Bars after which something else was held.
    pub trades: usize,
    /// Where they differ.
    pub differences: Vec<Difference>,
    /// Through a bridge, which tells no mark of the close.
    pub bridged: bool,
    /// Decisions that were kept from what their own path would have sent.
    pub barred: usize,
    /// Equity at the last bar, live and in the environment.
    pub equity: [f64; 2],
    /// Why accounts differ that sent the same orders, if anything differs.
    pub attribution: Option<Attribution>,
    /// What neither latency nor spread nor slippage explains, in words.
    pub unexplained: Vec<String>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// When the bar opened.
    pub bar: UnixNanos,
    /// What.
    pub what: &'static str,
    /// In the journal.
    pub live: String,
    /// In the environment.
    pub here: String,
}

/// Steps the bars of the journal in `folder` through the environment the artefact was trained in, with the data in `data`.
///
/// # Errors
/// When the journal is damaged, is not of one stretch of bars, or the data changed.
pub fn compare(
    folder: &Path,
    data: &Path,
    sets: &[String],
    clock: Arc<dyn Clock>,
) -> Result<Compared, LabError> {
    let given = sets;
    let (mut opened, mut bridged) = (None, false);
    let mut steps: Vec<(Bar, Decision)> = Vec::new();
    Journal::read(folder, |kept| {
        match kept.record {
            Record::Opened(first) => opened = Some(first),
            Record::Step { bar, decision, account, .. } => {
                bridged |= account.mark.is_none();
                steps.push((bar, *decision));
            }
            _ => {}
        }
        Ok(())
    })?;
    let empty = || LiveError::Config(format!("the journal in {} has no decisions yet", folder.display()));
    let (opened, Some(first)) = (opened.ok_or_else(empty)?, steps.first()) else {
        return Err(empty().into());
    };
    let (artefact, policy, hash) = Artefact::load_from(&opened.artefact)?;
    same("hash", &opened.hash, &hash)?;
    let acting = artefact.acting()?;
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let layers = Layers::of(&acting.raw)?.with(&["broker.latency_ms=0", "broker.latency_bars=0"])?;
    let config =
        Config::validate(layers.with(&sets)?.resolve()?)?.acting(&artefact.policy, artefact.multiplier);
    let market = Market::prepare(&config, data)?;
    let market = match &artefact.regime {
        Some(model) => market.with_regime_model(&config, model.clone())?,
        None => market,
    };
    let start = market.tape.open_time.partition_point(|&open| open < first.0.open_time.0);
    let rows = start..(start + steps.len() + 1).min(market.tape.len());
    let mut env = market.once(&config, &Arc::new(artefact.normaliser.clone()), rows, false)?;
    let mut runner = Runner::new(policy, 1, config.action_mode(), 0);
    let mut action = vec![0.0; env.action_spec().width()];
    let mut storage = StepStorage::for_env(&env);
    env.reset(0, &mut storage.observations);
    let mut compared = Compared { bridged, ..Compared::default() };
    let mut held = 0.0;
    for (bar, live) in &steps {
        let stands = env.snapshot(0);
        let mut note = |what, live: String, here: String| {
            if live != here {
                compared.differences.push(Difference { bar: bar.open_time, what, live, here });
            }
        };
        let seen = &storage.observations;
        runner.act_in(&env, seen, &mut action);
        let row = market.tape.open_time[stands.row];
        note("bar", bar.open_time.0.to_string(), row.to_string());
        let n_market = seen.len().saturating_sub(ACCOUNT_COLUMNS.len()).min(live.observation.len());
        note("market", format!("{:?}", &live.observation[..n_market]), format!("{:?}", &seen[..n_market]));
        note("account", format!("{:?}", &live.observation[n_market..]), format!("{:?}", &seen[n_market..]));
        note("action", format!("{:?}", live.action), format!("{action:?}"));
        note("equity", live.equity.to_string(), stands.equity.to_string());
        note("units", live.units.to_string(), stands.units.to_string());
        compared.bars += 1;
        compared.barred += usize::from(live.barred);
        compared.trades += usize::from(stands.units != held);
        compared.equity = [live.equity, stands.equity];
        held = stands.units;
        if stands.row + 1 >= env.rows().end {
            break;
        }
        env.step(&action, &mut storage.buffers());
    }
    if compared.bars < steps.len() {
        let (n, here) = (steps.len(), compared.bars);
        let what =
            format!("the journal has {n} decisions, and the data end after {here} of them: import the rest");
        return Err(LiveError::Config(what).into());
    }
    if !compared.differences.is_empty() {
        // What an account brings about in later decisions is what replay makes again from it; the rest is why the account differs.
        let deployment = Deployment::load(&opened.artefact).map_err(LiveError::from)?;
        let why = attribute(folder, &deployment, data, given, clock)?;
        let otherwise = replay(folder, None)?.differences.len();
        compared.unexplained = unexplained(&compared, &why, otherwise, &deployment);
        compared.attribution = Some(why);
    }
    Ok(compared)
}

const DAY: i64 = 86_400_000_000_000;

/// What is left of the differences when every cause that may be is taken off.
fn unexplained(
    compared: &Compared,
    why: &Attribution,
    otherwise: usize,
    deployment: &Deployment,
) -> Vec<String> {
    let bar = deployment.timeframe.nanos();
    let clock = deployment.listing().clock;
    let mut found = Vec::new();
    let mut say = |n: usize, what: &str| {
        if n > 0 {
            found.push(format!("{n} {what}"));
        }
    };
    let of_market = compared.differences.iter().filter(|d| matches!(d.what, "bar" | "market"));
    say(of_market.count(), "bars or features are others than in the environment, whatever was filled");
    let before = compared.differences.iter().filter(|difference| {
        let close = UnixNanos(difference.bar.0 + bar);
        // A bar's close is seen through a bridge with the open of the next: by then the swap of the server's midnight is booked.
        let midnight = clock.shows(close).0 % DAY == 0 && bar < DAY;
        let of_account = matches!(difference.what, "account" | "equity" | "action");
        why.first.is_none_or(|first| close < first) && !(compared.bridged && midnight && of_account)
    });
    say(before.count(), "differences came before any fill at another price");
    say(
        compared.barred,
        "decisions were kept back by limits, operators, the bridge or the state of the books",
    );
    say(
        why.n_from_outside,
        "times operators, a kill or money paid in or out changed what the environment knows nothing of",
    );
    say(why.n_refused, "orders were refused, which the environment fills");
    say(why.n_alone, "orders or exits were filled on one side alone, or in another size");
    say(otherwise, "decisions are made otherwise from the same account");
    if why.is_open() {
        found.push(format!("{:+.2} of money are left over", why.left_over()));
    }
    found
}
