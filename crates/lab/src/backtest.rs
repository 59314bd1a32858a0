//! One account through a window, by the environment that trained: the only backtest there is.

use std::ops::Range;
use std::sync::Arc;

use cambist_core::env::StepStorage;
use cambist_core::policy::ActionMode;
use cambist_core::{BatchedEnv, End, MarketTape};
use cambist_evaluate::Track;
use cambist_features::Normaliser;
use cambist_market::{MarketEnv, Snapshot};
use cambist_policy::{Runner, TrainedPolicy};

use crate::config::Config;
use crate::error::LabError;
use crate::market::Market;

/// Steps `env` (one account) to its end; `act` sees it and the observation, and writes the action; `watch` sees the account
/// after every step, and before the first.
pub fn backtest(
    env: &mut MarketEnv,
    tape: &MarketTape,
    name: &str,
    mut act: impl FnMut(&MarketEnv, &[f32], &mut [f32]),
    mut watch: impl FnMut(&Snapshot),
) -> Track {
    let mut storage = StepStorage::for_env(env);
    env.reset(0, &mut storage.observations);
    let mut track = Track {
        name: name.to_owned(),
        timeframe: tape.timeframe,
        time: Vec::new(),
        equity: Vec::new(),
        exposure: Vec::new(),
        costs: Vec::new(),
        traded: Vec::new(),
        ruined: false,
        refused: 0,
        refusal: String::new(),
    };
    let first = env.snapshot(0);
    watch(&first);
    note(&mut track, tape, &first);
    let mut action = vec![0.0; env.action_spec().width()];
    while storage.ends[0] == End::Running {
        act(env, &storage.observations, &mut action);
        env.step(&action, &mut storage.buffers());
        let snapshot = env.snapshot(0);
        watch(&snapshot);
        note(&mut track, tape, &snapshot);
    }
    track.ruined = storage.ends[0] == End::Terminated;
    let refusals = env.refusals(0);
    track.refused = refusals.n;
    track.refusal = refusals.last.map_or_else(String::new, |reason| reason.to_string());
    // What is left of a ruined account stays as it is to the window's end, so that every track covers the same bars.
    let last = env.snapshot(0);
    for row in last.row + 1..env.rows().end {
        note(&mut track, tape, &Snapshot { row, exposure: 0.0, ..last });
    }
    track
}

fn note(track: &mut Track, tape: &MarketTape, snapshot: &Snapshot) {
    track.time.push(tape.close_time(snapshot.row));
    track.equity.push(snapshot.equity);
    track.exposure.push(snapshot.exposure);
    track.costs.push(snapshot.costs.total());
    track.traded.push(snapshot.traded);
}

/// The policy through `env`, acting by `mode`; its draws are the same every time.
pub fn backtest_policy(
    env: &mut MarketEnv,
    tape: &MarketTape,
    policy: &TrainedPolicy,
    mode: ActionMode,
    name: &str,
    watch: impl FnMut(&Snapshot),
) -> Track {
    let mut runner = Runner::new(policy.clone(), 1, mode, 0);
    let act = |env: &MarketEnv, seen: &[f32], action: &mut [f32]| runner.act_in(env, seen, action);
    backtest(env, tape, name, act, watch)
}

/// `policy` through `rows` of `market`, acting as `config` says.
///
/// # Errors
/// When the rows cannot hold an episode.
pub fn backtest_window(
    market: &Market,
    config: &Config,
    normaliser: &Arc<Normaliser>,
    rows: Range<usize>,
    policy: &TrainedPolicy,
    name: &str,
) -> Result<Track, LabError> {
    let mut env = market.once(config, normaliser, rows, false)?;
    Ok(backtest_policy(&mut env, &market.tape, policy, config.action_mode(), name, |_| ()))
}
