//! `cambist cross-validate`.

use std::process::ExitCode;

use cambist_core::clock::SystemClock;
use cambist_lab::Layers;
use cambist_lab::cross_validation::{
    CrossValidation, Ending, History, cross_validate, find_unfinished, go_on,
};
use cambist_lab::run::Machine;

use crate::args::{CrossValidateArgs, MachineArgs};
use crate::progress::{SAVING, Voice, Watcher, interruption};
use crate::train::INTERRUPTED;
use crate::{output, table};

pub(crate) fn run(args: &CrossValidateArgs, machine: &MachineArgs) -> anyhow::Result<ExitCode> {
    let machine = Machine { time_limit: args.time_limit, ..machine.machine() };
    let mut watcher = Watcher::new(Voice::of(args.json, args.quiet), interruption(SAVING)?);
    let clock = SystemClock::start();
    let ending = match &args.resume {
        Some(wanted) => go_on(&find_unfinished(&machine, wanted)?, &machine, &clock, &mut watcher),
        None => {
            let layers = Layers::read(args.config.as_deref(), &args.set)?;
            cross_validate(&layers, &machine, &clock, &mut watcher)
        }
    };
    watcher.finish();
    match ending? {
        Ending::Finished(result) if args.json => output::line(&serde_json::to_string(&result)?),
        Ending::Finished(result) => {
            output::line(&text(&result));
            output::line(&format!(
                "{} trainings; {} bars after every test were not learned from, beside the purge.",
                result.n_splits, result.embargo
            ));
            output::line(&result.sentence);
            let folder = machine.runs.join(&result.run);
            output::line(&format!("chart    {}/histories.svg", folder.display()));
        }
        Ending::Interrupted(name, done, of) => {
            output::line(&format!(
                "Stopped with {done} of {of} splits done. Go on with\n  cambist cross-validate --resume {name}"
            ));
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(result: &CrossValidation) -> String {
    let head = ["", "Sharpe", "return", "drawdown", "costs", "ruined"].map(str::to_owned);
    let percent = |value: f64| format!("{:.1} %", 100.0 * value);
    let row = |name: String, h: &History| {
        let ruined = if h.ruined { "yes" } else { "no" }.to_owned();
        vec![
            name,
            format!("{:.2}", h.sharpe),
            percent(h.total_return),
            percent(h.drawdown),
            percent(h.costs),
            ruined,
        ]
    };
    let named =
        result.histories.iter().enumerate().map(|(index, h)| row(format!("history {}", index + 1), h));
    let rows: Vec<Vec<String>> = named.chain([row("buy and hold".to_owned(), &result.hold)]).collect();
    table::text(&head, &rows)
}
