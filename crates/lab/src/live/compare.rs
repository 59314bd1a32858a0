//! A paper day against the training environment: the same bars, stepped through `envs/market`, must show the same observations, actions
//! and accounts.

use std::path::Path;
use std::sync::Arc;

use cambist_core::clock::Clock;
use cambist_core::env::StepStorage;
use cambist_core::{Bar, BatchedEnv};
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
    /// Bar, what differs, live, environment.
    pub differences: Vec<(String, &'static str, String, String)>,
    /// Equity at the last bar, live and in the environment.
    pub equity: [f64; 2],
    /// Why accounts differ that sent the same orders, if anything differs.
    pub attribution: Option<Attribution>,
    /// Decisions that are not made again from the same account.
    pub otherwise: usize,
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
    let mut opened = None;
    let mut steps: Vec<(Bar, Decision)> = Vec::new();
    Journal::read(folder, |kept| {
        match kept.record {
            Record::Opened(first) => opened = Some(first),
            Record::Step { bar, decision, .. } => steps.push((bar, *decision)),
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
    let mut compared = Compared::default();
    let mut held = 0.0;
    for (bar, live) in &steps {
        let stands = env.snapshot(0);
        let when = bar.open_time.to_string();
        let mut note = |what, live: String, here: String| {
            if live != here {
                compared.differences.push((when.clone(), what, live, here));
            }
        };
        let seen = &storage.observations;
        runner.act_in(&env, seen, &mut action);
        let row = market.tape.open_time[stands.row];
        note("bar", bar.open_time.0.to_string(), row.to_string());
        note("observation", format!("{:?}", live.observation), format!("{seen:?}"));
        note("action", format!("{:?}", live.action), format!("{action:?}"));
        note("equity", live.equity.to_string(), stands.equity.to_string());
        note("units", live.units.to_string(), stands.units.to_string());
        compared.bars += 1;
        compared.trades += usize::from(stands.units != held);
        compared.equity = [live.equity, stands.equity];
        held = stands.units;
        if stands.row + 1 >= env.rows().end {
            break;
        }
        env.step(&action, &mut storage.buffers());
    }
    if !compared.differences.is_empty() {
        // What an account brings about in later decisions is what replay makes again from it; the rest is why the account differs.
        let deployment = Deployment::load(&opened.artefact).map_err(LiveError::from)?;
        compared.attribution = Some(attribute(folder, &deployment, data, given, clock)?);
        compared.otherwise = replay(folder, None)?.differences.len();
    }
    Ok(compared)
}
