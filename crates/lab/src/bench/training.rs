//! Whole trainings.

use std::path::Path;

use cambist_core::clock::Clock;
use cambist_policy::ActorCriticSpec;
use cambist_ppo::Trainer;

use super::{Reading, Scratch, peak};
use crate::config::{Config, Layers};
use crate::error::LabError;
use crate::market::{Market, market_trainer};
use crate::run::{Machine, run};
use crate::train::{Observer, Progress};

/// Seconds an update spends in each phase, on average.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PhaseSeconds(pub [f64; 4]);

impl PhaseSeconds {
    /// Their names.
    pub const NAMES: [&'static str; 4] = ["environment", "policy", "advantage", "update"];
}

/// Keeps what a training says of its speed.
#[derive(Default)]
struct Watch {
    steps_per_second: f64,
    phases: [f64; 4],
    updates: f64,
    rows: f64,
}

impl Observer for Watch {
    fn update(&mut self, progress: &Progress) -> Result<bool, LabError> {
        self.steps_per_second = progress.steps_per_second;
        let p = progress.phases;
        for (sum, phase) in self.phases.iter_mut().zip([p.environment, p.policy, p.advantage, p.update]) {
            *sum += phase.as_secs_f64();
        }
        self.updates += 1.0;
        self.rows = progress.steps as f64 / self.updates;
        Ok(true)
    }
}

/// Trains `layers` as `cambist train` does, logs and judgement included.
fn trained(layers: &Layers, machine: &Machine, clock: &dyn Clock) -> Result<Watch, LabError> {
    let folder = Scratch::new("train")?;
    let machine = Machine { runs: folder.path().to_owned(), ..machine.clone() };
    let mut watch = Watch::default();
    run(layers, &machine, clock, &mut watch)?;
    Ok(watch)
}

/// Multiplications and additions that a row must cost: forward, and forward with backward but for the input's gradient.
fn useful_operations(spec: &ActorCriticSpec) -> (f64, f64) {
    let [trunk, actor, critic] = spec.layers();
    let size = |l: &cambist_policy::Layer| 2.0 * (l.inputs * l.outputs) as f64;
    let forward: f64 = trunk.iter().chain(&actor).chain(&critic).map(size).sum();
    let back: f64 = spec.matrices().iter().map(|(_, inputs, outputs)| 2.0 * (inputs * outputs) as f64).sum();
    (forward, 2.0 * forward + back)
}

/// Trainings of `layers`, `repeats` of them, and where their time went.
///
/// # Errors
/// When the training fails.
pub fn ppo(
    layers: &Layers,
    machine: &Machine,
    repeats: usize,
    clock: &dyn Clock,
) -> Result<(Vec<Reading>, PhaseSeconds), LabError> {
    let config = Config::validate(layers.resolve()?)?;
    let shape = shape(&config, machine)?;
    let (forward, both) = useful_operations(&shape);
    let (mut speeds, mut shares, mut phases) = (Vec::new(), Vec::new(), vec![Vec::new(); 4]);
    for _ in 0..repeats {
        let peak = peak(machine.n_threads, clock);
        let watch = trained(layers, machine, clock)?;
        let work = watch.rows * config.raw.ppo.n_epochs as f64 * both;
        shares.push(100.0 * work / (watch.phases[3] / watch.updates) / peak);
        speeds.push(watch.steps_per_second);
        phases.iter_mut().zip(watch.phases).for_each(|(all, sum)| all.push(1e3 * sum / watch.updates));
    }
    let note = format!(
        "useful work a step: {:.1} kFLOP forward, {} epochs of {:.1} forward and backward",
        forward / 1e3,
        config.raw.ppo.n_epochs,
        both / 1e3
    );
    let mut readings = vec![
        Reading::new("training", "steps/s", speeds, note),
        Reading::new("update, share of multiply-add peak", "%", shares, ""),
    ];
    let mut means = PhaseSeconds::default();
    for ((name, values), mean) in PhaseSeconds::NAMES.iter().zip(phases).zip(&mut means.0) {
        let reading = Reading::new(*name, "ms an update", values, "");
        *mean = 1e-3 * reading.spread()[1];
        readings.push(reading);
    }
    Ok((readings, means))
}

fn shape(config: &Config, machine: &Machine) -> Result<ActorCriticSpec, LabError> {
    let trainer = trainer(config, machine, 1)?;
    Ok(trainer.agent().spec().clone())
}

/// The trainer that `cambist train` would begin with, on `n_threads` threads.
fn trainer(config: &Config, machine: &Machine, n_threads: usize) -> Result<Trainer, LabError> {
    let market = Market::prepare(config, &machine.data)?;
    let fold = config.folds(market.whole())?.remove(0);
    let market = market.with_regimes(config, &fold)?;
    let spec = market.training_spec(config, &fold)?;
    Ok(market_trainer(&spec, config.trainer(n_threads), None)?)
}

/// One thread against all, wide and narrow work, and very wide against wide.
///
/// # Errors
/// When a training fails.
pub fn scaling(
    layers: &Layers,
    machine: &Machine,
    repeats: usize,
    clock: &dyn Clock,
) -> Result<Vec<Reading>, LabError> {
    let with = |sets: &[&str]| layers.with(sets);
    let narrow = with(&[
        "ppo.n_envs=16",
        "ppo.minibatch_size=128",
        "ppo.total_steps=400000",
        "ppo.validate_every=1000000",
    ])?;
    let wide = with(&["ppo.validate_every=1000000"])?;
    let very_wide = with(&[
        "ppo.n_envs=65536",
        "ppo.horizon=16",
        "ppo.total_steps=4194304",
        "ppo.validate_every=1000000",
    ])?;
    let mut readings = Vec::new();
    let mut one_to_all = |what: &str, layers: &Layers| -> Result<Vec<f64>, LabError> {
        let (mut ones, mut alls) = (Vec::new(), Vec::new());
        for _ in 0..repeats {
            ones.push(trained(layers, &Machine { n_threads: 1, ..machine.clone() }, clock)?.steps_per_second);
            alls.push(trained(layers, machine, clock)?.steps_per_second);
        }
        let ratios = alls.iter().zip(&ones).map(|(all, one)| all / one).collect();
        readings.push(Reading::new(format!("{what}, 1 thread"), "steps/s", ones, ""));
        let all = format!("{what}, {} threads", machine.n_threads);
        readings.push(Reading::new(all, "steps/s", alls.clone(), ""));
        readings.push(Reading::new(format!("{what}, threads' gain"), "times", ratios, ""));
        Ok(alls)
    };
    let wide_speeds = one_to_all("as configured", &wide)?;
    one_to_all("16 environments", &narrow)?;
    let mut speeds = Vec::new();
    for _ in 0..repeats {
        speeds.push(trained(&very_wide, machine, clock)?.steps_per_second);
    }
    let ratios = speeds.iter().zip(&wide_speeds).map(|(very, wide)| wide / very).collect();
    readings.push(Reading::new("65,536 environments, horizon 16", "steps/s", speeds, ""));
    readings.push(Reading::new("its time a step over the configured one's", "times", ratios, ""));
    Ok(readings)
}

/// Peak memory of two iterations beside what [`Trainer::bytes`] says they take.
///
/// # Errors
/// When the training fails, or the system does not tell a process its memory.
pub fn memory(layers: &Layers, machine: &Machine, clock: &dyn Clock) -> Result<Vec<Reading>, LabError> {
    let config = Config::validate(layers.resolve()?)?;
    // Everything that stays whatever the numbers of environments and steps: program, bars, features, a small trainer.
    let mut small = config.clone();
    let length = small.raw.ppo.sequence_length;
    (small.raw.ppo.n_envs, small.raw.ppo.burn_in) = (machine.n_threads, 0);
    (small.raw.ppo.horizon, small.raw.ppo.minibatch_size, small.raw.ppo.path_group) = (length, length, 1);
    let mut first = trainer(&small, machine, machine.n_threads)?;
    first.iterate(clock)?;
    let (before, of_first) = (resident()?, first.bytes());
    drop(first);
    let mut trainer = trainer(&config, machine, machine.n_threads)?;
    for _ in 0..2 {
        trainer.iterate(clock)?;
    }
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let (peak, own) = (resident()?, trainer.bytes());
    let note = "tape, orders and buffers: see Trainer::bytes";
    Ok(vec![
        Reading::new("program, bars and features", "MiB", vec![mib(before - of_first as f64)], ""),
        Reading::new("training, by the formula", "MiB", vec![mib(own as f64)], note),
        Reading::new("both", "MiB", vec![mib(before - of_first as f64 + own as f64)], ""),
        Reading::new("measured peak", "MiB", vec![mib(peak)], "VmHWM"),
    ])
}

/// `size` members side by side on one thread against all, and what they take of memory beside what the formula says.
///
/// # Errors
/// When a training fails, or the system does not tell a process its memory.
pub fn population(
    layers: &Layers,
    size: u64,
    machine: &Machine,
    repeats: usize,
    clock: &dyn Clock,
) -> Result<Vec<Reading>, LabError> {
    // Memory first: the peak of a process only grows.
    let mut readings = members_memory(layers, size, machine, clock)?;
    let sets = [format!("population.size={size}"), "ppo.total_steps=524288".to_owned()];
    let layers = layers.with(&sets.each_ref().map(String::as_str))?;
    let (mut ones, mut alls) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        ones.push(trained(&layers, &Machine { n_threads: 1, ..machine.clone() }, clock)?.steps_per_second);
        alls.push(trained(&layers, machine, clock)?.steps_per_second);
    }
    let ratios = alls.iter().zip(&ones).map(|(all, one)| all / one).collect();
    let note = "of all members together";
    readings.extend([
        Reading::new(format!("{size} members, 1 thread"), "steps/s", ones, note),
        Reading::new(format!("{size} members, {} threads", machine.n_threads), "steps/s", alls, note),
        Reading::new("threads' gain", "times", ratios, ""),
    ]);
    Ok(readings)
}

/// Peak memory of a training of one member, and of `size`, two updates each, judgement included.
fn members_memory(
    layers: &Layers,
    size: u64,
    machine: &Machine,
    clock: &dyn Clock,
) -> Result<Vec<Reading>, LabError> {
    let config = Config::validate(layers.resolve()?)?;
    let steps = format!("ppo.total_steps={}", 2 * config.steps_per_update());
    let alone = Machine { n_threads: 1, ..machine.clone() };
    let peak_of = |size: u64| {
        let members = format!("population.size={size}");
        trained(&layers.with(&[&members, &steps])?, &alone, clock)?;
        resident()
    };
    let market = Market::prepare(&config, &machine.data)?;
    let shared = 4 * market.features.values.len() + 8 * 7 * market.tape.len();
    drop(market);
    let formula = trainer(&config, machine, 1)?.bytes();
    let grown = (-peak_of(1)? + peak_of(size)?) / (size - 1) as f64;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let note = format!("VmHWM, over {} members", size - 1);
    Ok(vec![
        Reading::new("bars and features, one copy for all", "MiB", vec![mib(shared as f64)], ""),
        Reading::new("a member, by the formula", "MiB", vec![mib(formula as f64)], "see Trainer::bytes"),
        Reading::new("a further member, measured", "MiB", vec![mib(grown)], note),
    ])
}

/// Most memory this process has held so far, in bytes.
fn resident() -> Result<f64, LabError> {
    let path = Path::new("/proc/self/status");
    let text = std::fs::read_to_string(path).map_err(cambist_store::FileError::on("read", path))?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    Ok(1024.0 * kib.unwrap_or(f64::NAN))
}
