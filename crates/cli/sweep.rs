//! `cambist sweep`.

use std::path::Path;
use std::process::ExitCode;

use cambist_core::clock::SystemClock;
use cambist_lab::run::Machine;
use cambist_lab::study::launch::{Crew, Standing, launch};
use cambist_lab::study::report::{Report, report};
use cambist_lab::study::worker::{WorkerWatch, create, work};
use cambist_lab::study::{Launch, worker};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{LaunchArgs, MachineArgs, SweepArgs, SweepCommand};
use crate::output;
use crate::progress::{SAVING, interruption};
use crate::train::INTERRUPTED;

pub(crate) fn run(args: &SweepArgs, machine: &MachineArgs) -> anyhow::Result<ExitCode> {
    let machine = machine.machine();
    match (&args.command, &args.launch) {
        (Some(SweepCommand::Worker { url, study }), _) => {
            let named = std::env::var("CAMBIST_STORAGE").ok().filter(|_| url == "-");
            one_worker(named.as_deref().unwrap_or(url), study, &machine)
        }
        (Some(SweepCommand::Report { study, storage, out }), _) => {
            let url = storage.clone().unwrap_or_else(|| default_storage(&machine));
            let written = report(&url, study, out)?;
            say_report(&written);
            Ok(ExitCode::SUCCESS)
        }
        (None, Some(config)) => all_workers(config, &args.how, &machine),
        (None, None) => anyhow::bail!("give the config of a sweep, such as configs/sweeps/btc.toml"),
    }
}

/// Beside the runs.
fn default_storage(machine: &Machine) -> String {
    format!("sqlite:///{}", machine.runs.join("studies.sqlite").display())
}

fn all_workers(config: &Path, how: &LaunchArgs, machine: &Machine) -> anyhow::Result<ExitCode> {
    let stop = interruption(SAVING)?;
    let launched = Launch::read(config)?;
    launched.rehearse(machine)?;
    let url = how.storage.clone().unwrap_or_else(|| default_storage(machine));
    let (storage, study) = create(&url, &launched)?;
    if how.workers == 0 {
        output::line(&format!(
            "made: start `cambist sweep worker URL {}` wherever there is room",
            study.name
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let program = std::env::current_exe()?;
    let crew = Crew { program: &program, url: &url, n_workers: how.workers, machine };
    let bar = if how.quiet { ProgressBar::hidden() } else { ProgressBar::new(launched.trials) };
    bar.set_style(
        ProgressStyle::with_template("{bar:24} {pos}/{len} trials {msg} eta {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut watch = |standing: Standing| {
        let Standing { complete, pruned, failed, running, deaths } = standing;
        bar.set_position(complete + pruned);
        bar.set_message(format!(
            "({pruned} given up, {failed} failed, {running} running, {deaths} workers begun again)"
        ));
    };
    let standing = launch(&crew, &storage, &study, launched.orders(), &stop, &mut watch)?;
    bar.finish_and_clear();
    let done = standing.complete + standing.pruned;
    // A grid may hold fewer than were asked for.
    if done < launched.trials && stop.load(std::sync::atomic::Ordering::SeqCst) {
        output::line(&format!(
            "{done} of {} trials done; the same command goes on with the rest.",
            launched.trials
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let out = machine.runs.join(format!("sweep-{}", study.name));
    say_report(&report(&url, &study.name, &out)?);
    Ok(ExitCode::SUCCESS)
}

fn say_report(report: &Report) {
    output::line(&report.table);
    output::line(&report.sentence);
    for path in &report.files {
        output::line(&format!("written  {}", path.display()));
    }
}

fn one_worker(url: &str, study: &str, machine: &Machine) -> anyhow::Result<ExitCode> {
    let stop = interruption(SAVING)?;
    let done = work(url, study, machine, &SystemClock::start(), &stop, &mut Said)?;
    let worker::Done { complete, pruned, failed } = done;
    output::error(&format!("worker done: {complete} complete, {pruned} given up, {failed} failed"));
    if stop.load(std::sync::atomic::Ordering::SeqCst) {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what a worker does, a line a trial.
struct Said;

impl WorkerWatch for Said {
    fn begun(&mut self, number: u64, sets: &[String]) {
        output::error(&format!("trial {number} begins: {}", sets.join(" ")));
    }

    fn ended(&mut self, number: u64, how: &str) {
        output::error(&format!("trial {number}: {how}"));
    }
}
