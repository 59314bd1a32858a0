//! How long a live loop thinks: from a closed bar to approved intents.

use std::path::Path;
use std::sync::Arc;

use cambist_core::clock::Clock;
use cambist_core::policy::ActionMode;
use cambist_core::rng::{Purpose, Stream};
use cambist_core::{Bar, UnixNanos};
use cambist_execution::Mark;
use cambist_live::words::{Opened, Snapshot};
use cambist_live::{Deployment, Engine, Rules};
use cambist_nets::init;
use cambist_policy::{
    ActorCriticSpec, Combination, Ensemble, EnsembleSpec, MemberSpec, TrainedPolicy, Trunk, Wish,
};

use super::Reading;
use crate::error::LabError;

/// Bars that are decided on in a repeat.
const N_BARS: usize = 20_000;
/// A minute.
const MINUTE: i64 = 60_000_000_000;

/// Times of a decision by the rules and features of the artefact in `folder`, for networks of several shapes with fresh weights.
///
/// # Errors
/// When the artefact cannot trade.
pub fn decisions(folder: &Path, repeats: usize, clock: &dyn Clock) -> Result<Vec<Reading>, LabError> {
    let own = Deployment::load(folder).map_err(cambist_live::LiveError::from)?;
    let mut readings = Vec::new();
    for (name, policy) in policies(&own) {
        let deployment = Arc::new(Deployment { policy, action_mode: ActionMode::Greedy, ..own.clone() });
        let (mut median, mut tail, mut orders) = (Vec::new(), Vec::new(), 0);
        for _ in 0..repeats {
            let (mut times, intents) = decide(&deployment, clock)?;
            times.sort_by(f64::total_cmp);
            median.push(times[times.len() / 2]);
            tail.push(times[times.len() * 99 / 100]);
            orders = intents;
        }
        let note = format!("{N_BARS} bars, {} columns, {orders} intents", deployment.observation.width());
        readings.push(Reading::new(format!("{name}, median"), "µs", median, note.clone()));
        readings.push(Reading::new(format!("{name}, 99th percentile"), "µs", tail, note));
    }
    Ok(readings)
}

/// A perceptron of 64 and 64, a GRU of 128, and eight of the first as one.
fn policies(own: &Deployment) -> Vec<(&'static str, TrainedPolicy)> {
    let spec = own.policy.networks()[0].spec();
    let fresh = |spec: &ActorCriticSpec, seed: u64| {
        let mut network =
            init::orthogonal(spec, seed, 0.0).unwrap_or_else(|| own.policy.networks()[0].clone());
        // Fresh networks ask for next to nothing: these ask for something, so that orders are part of what is timed.
        if let Some(last) = network.actor().last().map(|layer| layer.weight..layer.bias) {
            network.parameters[last].iter_mut().for_each(|weight| *weight *= 100.0);
        }
        network
    };
    let plain = ActorCriticSpec { trunk: Trunk::None, hidden: vec![64, 64], ..spec.clone() };
    let recurrent = ActorCriticSpec { trunk: Trunk::Gru { width: 128 }, ..plain.clone() };
    let n = 8;
    let member = MemberSpec { network: plain.clone(), own_columns: Vec::new() };
    let ensemble = EnsembleSpec {
        members: vec![member; n],
        wish: if spec.head.action_width() == 2 { Wish::Band } else { Wish::Target },
        low: -1.0,
        combination: Combination::Mean,
        weights: vec![vec![1.0 / n as f64; n]],
        disagreement: 0.0,
    };
    let members = (0..n as u64).map(|seed| fresh(&plain, seed + 1)).collect();
    let mut policies: Vec<(&'static str, TrainedPolicy)> = vec![
        ("perceptron of 64 and 64", fresh(&plain, 1).into()),
        ("GRU of 128", fresh(&recurrent, 1).into()),
    ];
    if let Ok(ensemble) = Ensemble::new(ensemble, members) {
        policies.push(("ensemble of 8", TrainedPolicy::Ensemble(ensemble)));
    }
    policies
}

/// Seconds of every decision in microseconds, and how many intents there were.
fn decide(deployment: &Arc<Deployment>, clock: &dyn Clock) -> Result<(Vec<f64>, usize), LabError> {
    let mut chance = Stream::new(1, Purpose::Synthesis, 0);
    let mut price = 20_000.0f64;
    let mut bar = |row: usize| {
        let open = price;
        price *= libm::exp(0.001 * chance.normal());
        let (high, low) = (open.max(price) + 1.0, open.min(price) - 1.0);
        let open_time = UnixNanos(MINUTE * (27_900_000 + row as i64));
        Bar { open_time, open, high, low, close: price, volume: 10.0, spread: 0.0, coverage: 1.0 }
    };
    let flat = |at: UnixNanos| Snapshot {
        at,
        broker_time: at,
        balance: deployment.terms.initial_cash,
        holdings: Vec::new(),
        mark: None::<Mark>,
        rate: 1.0,
        quote: [0.0, 0.0],
        under_way: 0,
        deals: Vec::new(),
        shut: None,
    };
    let opened = Opened {
        at: UnixNanos(0),
        account: 1,
        symbol: "BENCH".to_owned(),
        mode: "bench".to_owned(),
        artefact: deployment.folder.clone(),
        hash: deployment.hash.clone(),
        baseline: flat(UnixNanos(0)),
        rules: Rules::default(),
        revision: String::new(),
    };
    let mut engine = Engine::new(opened, Arc::clone(deployment))?;
    let warm = engine.look_back();
    for row in 0..warm {
        engine.see(&bar(row))?;
    }
    let (mut times, mut intents) = (Vec::with_capacity(N_BARS), 0);
    for row in warm..warm + N_BARS {
        let bar = bar(row);
        let account = flat(bar.open_time);
        let begun = clock.elapsed();
        let (_, decision, _) = engine.step(bar.open_time, &bar, &account)?;
        times.push((clock.elapsed() - begun).as_secs_f64() * 1e6);
        intents += decision.intents.len();
        for intent in &decision.intents {
            let reason = "a bench".to_owned();
            engine.outcome(
                bar.open_time,
                intent.id,
                &cambist_bridge::Outcome::Refused { retcode: None, reason },
            );
        }
    }
    Ok((times, intents))
}
