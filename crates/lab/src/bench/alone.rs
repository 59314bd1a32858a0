//! One part at a time: the environment, the network, the importer.

use std::path::PathBuf;

use cambist_core::clock::Clock;
use cambist_core::env::StepStorage;
use cambist_core::rng::{Purpose, Stream};
use cambist_core::{AutoReset, BatchedEnv};
use cambist_market::MarketEnv;
use cambist_nets::{
    Batch, Experience, FusedLearner, Learner, OutputLoss, Step, Sums, TileGradients, TileOutputs, init,
};
use cambist_policy::{ActorCriticSpec, Head, Instructions};

use super::{Reading, Scratch, peak};
use crate::bars::{ImportWords, import_into};
use crate::config::{Config, Layers};
use crate::error::LabError;
use crate::market::Market;
use crate::run::Machine;
use crate::sweep::{Axis, Prepared, RuleKind, Sort, Subject, SweepRequest};

/// Environments side by side when the environment is alone.
const N_ENVS: usize = 64;
/// Steps each takes.
const N_STEPS: usize = 100_000;

/// The market environment of `layers` alone: random starts, an action that is drawn anew on `change` of the steps,
/// observations written and summed.
///
/// # Errors
/// When the environment cannot be made.
pub fn environment(
    layers: &Layers,
    machine: &Machine,
    change: f64,
    repeats: usize,
    clock: &dyn Clock,
) -> Result<Vec<Reading>, LabError> {
    let config = Config::validate(layers.resolve()?)?;
    let market = Market::prepare(&config, &machine.data)?;
    let fold = config.folds(market.whole())?.remove(0);
    let market = market.with_regimes(&config, &fold)?;
    let n_bars = market.rows("train", "train_until", fold.train)?.len();
    let spec = market.training_spec(&config, &fold)?;
    let share = N_ENVS.div_ceil(machine.n_threads).max(1);
    let mut envs = Vec::new();
    for first in (0..N_ENVS).step_by(share) {
        let n = share.min(N_ENVS - first);
        envs.push((MarketEnv::new(spec.clone(), n, first as u64, AutoReset::SameStep)?, first as u64));
    }
    let width = envs.first().map_or(0, |(env, _)| env.observation_spec().width());
    let (mut speeds, mut sum) = (Vec::new(), 0u32);
    for _ in 0..repeats {
        let begun = clock.elapsed();
        sum = std::thread::scope(|scope| {
            let handles: Vec<_> =
                envs.iter_mut().map(|(env, first)| scope.spawn(move || drive(env, *first, change))).collect();
            handles.into_iter().map(super::joined).fold(0, u32::wrapping_add)
        });
        speeds.push((N_ENVS * N_STEPS) as f64 / (clock.elapsed() - begun).as_secs_f64());
    }
    let traded = envs.first_mut().map_or(0.0, |(env, first)| share_traded(env, *first, change));
    let note = format!(
        "{N_ENVS} environments on {n_bars} bars, {width} columns, trades on {:.0} % of steps, checksum {sum:08x}",
        100.0 * traded
    );
    Ok(vec![Reading::new("environment alone", "steps/s", speeds, note)])
}

/// Steps whose actions are drawn; then they come again.
const N_DRAWN: usize = 512;

/// Actions of one step after another, each drawn anew with the probability `change`.
fn drawn(env: &MarketEnv, first: u64, change: f64) -> (Vec<f32>, usize) {
    let n = env.n_envs() * env.action_spec().width();
    let mut stream = Stream::new(1, Purpose::Check, first);
    let mut actions: Vec<f32> = (0..N_DRAWN * n).map(|_| stream.index(3) as f32).collect();
    for at in n..actions.len() {
        if stream.uniform() >= change {
            actions[at] = actions[at - n];
        }
    }
    (actions, n)
}

/// Steps `env` and adds up the bits of what it shows.
fn drive(env: &mut MarketEnv, first: u64, change: f64) -> u32 {
    let mut storage = StepStorage::for_env(env);
    env.reset(1, &mut storage.observations);
    let (actions, n) = drawn(env, first, change);
    let mut sum = 0u32;
    for step in 0..N_STEPS {
        let from = step % N_DRAWN * n;
        env.step(&actions[from..from + n], &mut storage.buffers());
        sum = storage.observations.iter().fold(sum, |sum, v| sum.wrapping_add(v.to_bits()));
    }
    sum
}

/// Share of steps on which something is traded.
fn share_traded(env: &mut MarketEnv, first: u64, change: f64) -> f64 {
    let mut storage = StepStorage::for_env(env);
    env.reset(1, &mut storage.observations);
    let (actions, n) = drawn(env, first, change);
    let mut traded = vec![0.0; env.n_envs()];
    let mut count = 0;
    for step in actions.chunks_exact(n) {
        env.step(step, &mut storage.buffers());
        for (index, before) in traded.iter_mut().enumerate() {
            let now = env.snapshot(index).traded;
            count += usize::from(now > *before);
            *before = now;
        }
    }
    count as f64 / (N_DRAWN * env.n_envs()) as f64
}

/// Rows of the network's minibatch.
const N_ROWS: usize = 8192;

/// A loss that costs nothing: the network alone is measured.
struct Flat;

impl OutputLoss for Flat {
    fn tile(&self, outputs: &TileOutputs<'_>, gradients: &mut TileGradients<'_>, _: &mut Sums) {
        gradients.head.copy_from_slice(outputs.head);
        gradients.values.copy_from_slice(outputs.values);
    }
}

/// Forward, backward and step of the perceptrons of `layers`, without a trunk, on minibatches of 8,192 rows of 64 columns.
///
/// # Errors
/// When the config makes no sense.
pub fn network(
    layers: &Layers,
    machine: &Machine,
    repeats: usize,
    clock: &dyn Clock,
) -> Result<Vec<Reading>, LabError> {
    const OBSERVATION: usize = 64;
    const N_BATCHES: usize = 200;
    let config = Config::validate(layers.resolve()?)?;
    let trainer = config.trainer(machine.n_threads);
    let spec = ActorCriticSpec {
        observation: OBSERVATION,
        trunk: cambist_policy::Trunk::None,
        hidden: trainer.hidden,
        activation: trainer.activation,
        head: Head::Categorical { n: 3 },
    };
    let mut stream = Stream::new(1, Purpose::Check, 0);
    let observations: Vec<f32> = (0..N_ROWS * OBSERVATION).map(|_| stream.normal() as f32).collect();
    let mut order: Vec<u32> = (0..N_ROWS as u32).collect();
    stream.shuffle(&mut order);
    let batches = vec![Batch { indices: &order, loss: &Flat }; N_BATCHES];
    let experience = Experience { observations: &observations, n_envs: N_ROWS, sequences: None };
    let size = |layers: &[cambist_policy::Layer]| -> f64 {
        // Forward, gradient by the weights, and gradient by the input but for the first layer's.
        let cost = |(i, l): (usize, &cambist_policy::Layer)| {
            (if i == 0 { 4.0 } else { 6.0 }) * (l.inputs * l.outputs) as f64
        };
        layers.iter().enumerate().map(cost).sum()
    };
    let [_, actor, critic] = spec.layers();
    let work = size(&actor) + size(&critic);
    let (mut speeds, mut shares) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        let Some(agent) = init::orthogonal(&spec, 1, 0.0) else { continue };
        let mut learner = FusedLearner::new(agent, machine.n_threads, Instructions::detect());
        let peak = peak(machine.n_threads, clock);
        let begun = clock.elapsed();
        learner.learn(experience, &batches, &mut |_, _| Some(Step { learning_rate: 1e-9, max_norm: 1.0 }))?;
        let speed = (N_BATCHES * N_ROWS) as f64 / (clock.elapsed() - begun).as_secs_f64();
        speeds.push(speed);
        shares.push(100.0 * speed * work / peak);
    }
    let note =
        format!("{:?} x 2, {OBSERVATION} inputs, batch {N_ROWS}, {:.1} kFLOP a row", spec.hidden, work / 1e3);
    Ok(vec![
        Reading::new("network alone", "rows/s", speeds, note),
        Reading::new("network, share of multiply-add peak", "%", shares, ""),
    ])
}

/// Sixteen moving-average strategies on the bars of `layers`, averages, fees, slippage and Sharpe ratios reckoned inside.
///
/// # Errors
/// When the data or the config make no sense.
pub fn backtests(
    layers: &Layers,
    machine: &Machine,
    repeats: usize,
    clock: &dyn Clock,
) -> Result<Vec<Reading>, LabError> {
    let axis = |text: &str| text.parse::<Axis>();
    let request = SweepRequest {
        subject: Subject::Rule { kind: RuleKind::SmaCross, long_only: true },
        axes: vec![axis("fast=5,10,20,40")?, axis("slow=50,100,200,400")?],
        from: None,
        until: None,
        by_environment: false,
        sort: Sort::Sharpe,
    };
    let prepared = Prepared::new(layers, &request, machine)?;
    let mut speeds = Vec::new();
    let mut best = f64::NEG_INFINITY;
    for _ in 0..repeats {
        let begun = clock.elapsed();
        let outcomes = prepared.outcomes(machine.n_threads, &|_, _| ())?;
        speeds.push(prepared.bar_strategies() as f64 / (clock.elapsed() - begun).as_secs_f64());
        best = outcomes.iter().fold(best, |best, outcome| best.max(outcome.sharpe));
    }
    let note =
        format!("16 strategies, {} bars each, best Sharpe ratio {best:.3}", prepared.bar_strategies() / 16);
    Ok(vec![Reading::new("backtests", "bar-strategies/s", speeds, note)])
}

/// The importer on the files at `paths`.
///
/// # Errors
/// When the import fails.
pub fn import(
    paths: &[PathBuf],
    timeframe: &str,
    repeats: usize,
    clock: &dyn Clock,
) -> Result<Vec<Reading>, LabError> {
    let mut seconds = Vec::new();
    let mut said = String::new();
    for _ in 0..repeats {
        let folder = Scratch::new("import")?;
        let words = ImportWords {
            paths: paths.to_vec(),
            symbol: "BENCH".to_owned(),
            timeframe: timeframe.to_owned(),
            venue: "bench".to_owned(),
            tz: None,
            on: Vec::new(),
            outlier_deviations: None,
            replace: true,
        };
        let begun = clock.elapsed();
        let lines = import_into(folder.path(), &words)?;
        seconds.push((clock.elapsed() - begun).as_secs_f64());
        said = lines.first().cloned().unwrap_or_default();
    }
    Ok(vec![Reading::new("import", "s", seconds, said)])
}
