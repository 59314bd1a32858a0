//! `cambist train` and `cambist evaluate`.

use std::process::ExitCode;

use cambist_core::clock::SystemClock;
use cambist_lab::evaluate::{Window, evaluate as judge, unseal as open_sealed};
use cambist_lab::run::{Ending, Interrupted, Machine, Outcome, find, find_unfinished, resume, run};
use cambist_lab::runs::Opening;
use cambist_lab::seeds::run_seeds;
use cambist_lab::{Layers, view};

use crate::args::{EvaluateArgs, MachineArgs, SafetyArgs, TrainArgs, UnsealArgs};
use crate::progress::{SAVING, Voice, Watcher, interruption};
use crate::{output, table};

impl MachineArgs {
    pub(crate) fn machine(&self) -> Machine {
        let n_threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        Machine {
            data: self.data_dir.clone(),
            runs: self.runs_dir.clone(),
            n_threads,
            registry: self.registry.clone(),
            time_limit: None,
            checkpoint_every: 25,
            keep_checkpoints: 3,
        }
    }

    fn machine_for(&self, safety: &SafetyArgs) -> Machine {
        Machine {
            time_limit: safety.time_limit,
            checkpoint_every: safety.checkpoint_every,
            keep_checkpoints: safety.keep_checkpoints,
            ..self.machine()
        }
    }
}

/// What a shell sees of a run that ended at a safe point before it was done: "try again later" of sysexits.h.
pub(crate) const INTERRUPTED: u8 = 75;

pub(crate) fn train(args: &TrainArgs, machine: &MachineArgs) -> anyhow::Result<ExitCode> {
    let voice = Voice::of(args.json, args.quiet);
    let (clock, machine) = (SystemClock::start(), machine.machine_for(&args.safety));
    let mut watcher = Watcher::new(voice, interruption(SAVING)?);
    let ending = if let Some(wanted) = &args.resume {
        resume(&find_unfinished(&machine, wanted)?, &machine, &clock, &mut watcher)
    } else {
        let layers = Layers::read(args.config.as_deref(), &args.set)?;
        if args.seeds > 1 {
            return under_seeds(args, &layers, &machine, &clock, &mut watcher);
        }
        run(&layers, &machine, &clock, &mut watcher)
    };
    watcher.finish();
    match ending? {
        Ending::Finished(outcome) => finished(args, &outcome),
        Ending::Interrupted(interrupted) => {
            say_interrupted(args.json, &interrupted);
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

fn say_interrupted(json: bool, interrupted: &Interrupted) {
    let Interrupted { folder, fold, update, n_updates } = interrupted;
    let name = folder.name();
    if json {
        let value = serde_json::json!({
            "run": name, "folder": folder.path(), "interrupted": { "fold": fold, "update": update, "of": n_updates }
        });
        output::line(&value.to_string());
        return;
    }
    output::line(&format!(
        "Stopped at update {update} of {n_updates}, with everything saved; nothing was judged. Go on with\n  cambist train --resume {name}"
    ));
}

/// A finished run, as a script reads it.
pub(crate) fn as_json(outcome: &Outcome) -> String {
    let value = serde_json::json!({
        "run": outcome.folder.name(),
        "folder": outcome.folder.path(),
        "artefact": outcome.artefact_hash,
        "judgement": outcome.judgement,
    });
    value.to_string()
}

fn finished(args: &TrainArgs, outcome: &Outcome) -> anyhow::Result<ExitCode> {
    let folder = outcome.folder.path().display();
    if args.json {
        output::line(&as_json(outcome));
        return Ok(ExitCode::SUCCESS);
    }
    if !args.quiet {
        output::line(&table::scores(&view::metrics(&outcome.judgement)));
    }
    if !args.quiet && outcome.n_members > 1 {
        let n = outcome.n_members;
        output::line(&format!(
            "The policy is an ensemble of {n} members: `cambist evaluate {} --by member` shows each.",
            outcome.folder.name()
        ));
    }
    let (blind, n_bars) = outcome.blind;
    if blind > 0 {
        output::line(&format!(
            "Outages left {blind} of all {n_bars} bars without features: the account is flat until they are warm again."
        ));
    }
    let (refused, why) = &outcome.refused;
    if *refused > 0 {
        output::line(&format!(
            "The broker refused {refused} of the policy's orders on the test; the last by {why}."
        ));
    }
    output::line(&outcome.judgement.verdict.sentence);
    output::line("One seed is no verdict on the method: `--seeds 5` trains five.");
    output::line(&format!("report   {folder}/report.html"));
    output::line(&format!("artefact {folder}/artefact ({})", outcome.artefact_hash));
    Ok(ExitCode::SUCCESS)
}

fn under_seeds(
    args: &TrainArgs,
    layers: &Layers,
    machine: &Machine,
    clock: &SystemClock,
    watcher: &mut Watcher,
) -> anyhow::Result<ExitCode> {
    let quiet = args.json || args.quiet;
    let summary = run_seeds(layers, args.seeds, machine, clock, watcher, &mut |outcome| {
        if !quiet {
            output::line(&format!("{}  {}", outcome.folder.name(), outcome.judgement.verdict.sentence));
        }
    });
    watcher.finish();
    let summary = summary?;
    let code = if summary.stopped { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS };
    if args.json {
        output::line(&serde_json::to_string(&summary)?);
        return Ok(code);
    }
    if !args.quiet {
        output::line(&table::seeds(&summary));
    }
    output::line(&summary.sentence);
    output::line(&format!("summary  {}", summary.file));
    if summary.stopped {
        let last = summary.runs.last().map_or("latest", String::as_str);
        output::line(&format!("Stopped early; the last run goes on with\n  cambist train --resume {last}"));
    }
    Ok(code)
}

pub(crate) fn evaluate(args: &EvaluateArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let machine = machine.machine();
    let window: Window = args.window.parse()?;
    let [run] = &args.runs[..] else {
        anyhow::bail!("{} runs were named: several need --by regime or --by windows", args.runs.len());
    };
    let folder = find(&machine, run)?;
    let judgement = judge(&folder, window, &machine, &SystemClock::start())?;
    if args.json {
        output::line(&serde_json::to_string(&judgement)?);
        return Ok(());
    }
    output::line(&table::scores(&view::metrics(&judgement)));
    if matches!(window, Window::Train | Window::Validation) {
        output::line("These rows were used to make the policy: what it earned on them proves nothing.");
    } else {
        output::line(&judgement.verdict.sentence);
    }
    let suffix = if window == Window::Test { String::new() } else { format!("-{}", window.name()) };
    output::line(&format!("report   {}/report{suffix}.html", folder.path().display()));
    Ok(())
}

pub(crate) fn unseal(args: &UnsealArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let machine = machine.machine();
    if args.list {
        for (opening, hash) in machine.registry(&machine.runs)?.openings()? {
            let at = cambist_core::UnixNanos(opening.at);
            let Opening { who, why, run, bars, .. } = opening;
            let short = hash.get(..12).unwrap_or(&hash);
            output::line(&format!("{at}  {short}  {bars}  by {who} for {run}: {why}"));
        }
        return Ok(());
    }
    let wanted =
        args.run.as_deref().ok_or_else(|| anyhow::anyhow!("name the run to judge on sealed rows"))?;
    let folder = find(&machine, wanted)?;
    let (who, why) = (args.who.clone().unwrap_or_default(), args.why.clone().unwrap_or_default());
    let (judgement, before) = open_sealed(&folder, &who, &why, &machine, &SystemClock::start())?;
    output::line(&table::scores(&view::metrics(&judgement)));
    output::line(&format!(
        "Sealed rows opened; they had been opened {before} times before. This is recorded for good, and counts as a trial."
    ));
    output::line(&judgement.verdict.sentence);
    output::line(&format!("report   {}/report-sealed.html", folder.path().display()));
    Ok(())
}
