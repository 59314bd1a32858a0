//! `cambist train` and `cambist evaluate`.

use cambist_core::clock::SystemClock;
use cambist_lab::evaluate::{Window, evaluate as judge};
use cambist_lab::run::{Machine, run};
use cambist_lab::seeds::run_seeds;
use cambist_lab::{Layers, view};

use crate::args::{EvaluateArgs, MachineArgs, TrainArgs};
use crate::progress::{Voice, Watcher, interruption};
use crate::{output, table};

impl MachineArgs {
    pub(crate) fn machine(&self) -> Machine {
        let n_threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        Machine { data: self.data_dir.clone(), runs: self.runs_dir.clone(), n_threads }
    }
}

pub(crate) fn train(args: &TrainArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let layers = Layers::read(args.config.as_deref(), &args.set)?;
    let voice = match (args.json, args.quiet) {
        (true, _) => Voice::Json,
        (_, true) => Voice::Quiet,
        _ => Voice::Bar,
    };
    let clock = SystemClock::start();
    let mut watcher = Watcher::new(voice, interruption()?);
    if args.seeds > 1 {
        return under_seeds(args, &layers, &machine.machine(), &clock, &mut watcher);
    }
    let outcome = run(&layers, &machine.machine(), &clock, &mut watcher);
    watcher.finish();
    let outcome = outcome?;
    let folder = outcome.folder.path().display();
    if args.json {
        let value = serde_json::json!({
            "run": outcome.folder.name(),
            "folder": outcome.folder.path(),
            "artefact": outcome.artefact_hash,
            "stopped": outcome.stopped,
            "judgement": outcome.judgement,
        });
        output::line(&value.to_string());
        return Ok(());
    }
    if !args.quiet {
        output::line(&table::scores(&view::metrics(&outcome.judgement)));
    }
    if outcome.stopped {
        output::line("The training was stopped early; what follows is about the weights it had.");
    }
    let (blind, n_bars) = outcome.blind;
    if blind > 0 {
        output::line(&format!(
            "Outages left {blind} of all {n_bars} bars without features: the account is flat until they are warm again."
        ));
    }
    output::line(&outcome.judgement.verdict.sentence);
    output::line("One seed is no verdict on the method: `--seeds 5` trains five.");
    output::line(&format!("report   {folder}/report.html"));
    output::line(&format!("artefact {folder}/artefact ({})", outcome.artefact_hash));
    Ok(())
}

fn under_seeds(
    args: &TrainArgs,
    layers: &Layers,
    machine: &Machine,
    clock: &SystemClock,
    watcher: &mut Watcher,
) -> anyhow::Result<()> {
    let quiet = args.json || args.quiet;
    let summary = run_seeds(layers, args.seeds, machine, clock, watcher, &mut |outcome| {
        if !quiet {
            output::line(&format!("{}  {}", outcome.folder.name(), outcome.judgement.verdict.sentence));
        }
    });
    watcher.finish();
    let summary = summary?;
    if args.json {
        output::line(&serde_json::to_string(&summary)?);
        return Ok(());
    }
    if !args.quiet {
        output::line(&table::seeds(&summary));
    }
    output::line(&summary.sentence);
    output::line(&format!("summary  {}", summary.file));
    Ok(())
}

pub(crate) fn evaluate(args: &EvaluateArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let machine = machine.machine();
    let window = if args.open_sealed { Window::Sealed } else { args.window.parse()? };
    let folder = cambist_lab::run::find(&machine, &args.run)?;
    let (judgement, openings) = judge(&folder, window, &machine, &SystemClock::start())?;
    if args.json {
        output::line(&serde_json::to_string(&judgement)?);
        return Ok(());
    }
    output::line(&table::scores(&view::metrics(&judgement)));
    if let Some(before) = openings {
        output::line(&format!(
            "Sealed rows opened; they had been opened {before} times before. This is recorded for good."
        ));
    }
    if matches!(window, Window::Train | Window::Validation) {
        output::line("These rows were used to make the policy: what it earned on them proves nothing.");
    } else {
        output::line(&judgement.verdict.sentence);
    }
    let suffix = if window == Window::Test { String::new() } else { format!("-{}", window.name()) };
    output::line(&format!("report   {}/report{suffix}.html", folder.path().display()));
    Ok(())
}
