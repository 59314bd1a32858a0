//! `cambist runs` and `cambist logs`.

use cambist_core::UnixNanos;
use cambist_core::clock::SystemClock;
use cambist_lab::runs::{Filter, compare, csv, delete, list, one, plot, shown};

use crate::args::{FilterArgs, LogsArgs, MachineArgs, RunsCommand};
use crate::{output, table};

impl FilterArgs {
    fn filter(&self) -> anyhow::Result<Filter> {
        let conditions = self.conditions.iter().map(|c| c.parse()).collect::<Result<_, _>>()?;
        Ok(Filter { conditions, tags: self.tags.clone(), deleted: self.deleted })
    }
}

pub(crate) fn run(command: &RunsCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let machine = machine.machine();
    match command {
        RunsCommand::List { filter, json } => {
            let runs = list(&machine, &filter.filter()?)?;
            if *json {
                for run in &runs {
                    output::line(&serde_json::to_string(run)?);
                }
                return Ok(());
            }
            let head = ["run", "status", "seed", "return", "Sharpe", "drawdown", "market", "tags"];
            let number = |run: &cambist_lab::runs::RunRecord, field: &str, percent: bool| {
                run.metrics[field].as_f64().map_or("–".to_owned(), |x| {
                    if percent { format!("{:.1} %", 100.0 * x) } else { format!("{x:.2}") }
                })
            };
            let rows: Vec<Vec<String>> = runs
                .iter()
                .map(|run| {
                    vec![
                        run.name.clone(),
                        run.status.name().to_owned(),
                        run.seed.to_string(),
                        number(run, "total_return", true),
                        number(run, "sharpe", false),
                        number(run, "max_drawdown", true),
                        run.market.clone(),
                        run.tags.join(" "),
                    ]
                })
                .collect();
            if rows.is_empty() {
                let none = "no runs; `cambist train` makes one";
                let all = list(&machine, &Filter { deleted: true, ..Filter::default() })?.len();
                let fits = format!("none of {all} runs fits");
                output::line(if all == 0 { none } else { &fits });
            } else {
                output::line(&table::with_notes(&head.map(str::to_owned), &rows));
            }
        }
        RunsCommand::Show { run, json } => {
            let run = one(&machine, run)?;
            if *json {
                output::line(&serde_json::to_string_pretty(&run)?);
                return Ok(());
            }
            let stamp = |at: i64| UnixNanos(at).to_string();
            let mut rows = vec![
                ("run", run.name.clone()),
                ("status", run.status.name().to_owned()),
                ("experiment", run.experiment.clone()),
                ("market", run.market.clone()),
                ("seed", run.seed.to_string()),
                ("begun", stamp(run.begun)),
                ("ended", run.ended.map_or("–".to_owned(), stamp)),
                ("artefact", run.artefact.clone().unwrap_or_else(|| "–".to_owned())),
                ("tags", run.tags.join(" ")),
            ];
            if !run.note.is_empty() {
                rows.push(("failed", run.note.clone()));
            }
            for (name, value) in &rows {
                output::line(&format!("{name:<12} {value}"));
            }
            for (name, value) in run.metrics.as_object().into_iter().flatten().filter(|(n, _)| *n != "name") {
                output::line(&format!("  {name:<30} {}", shown(value)));
            }
            output::line(&format!("folder       {}", machine.runs.join(&run.name).display()));
        }
        RunsCommand::Compare { runs } => {
            let runs = runs.iter().map(|run| one(&machine, run)).collect::<Result<Vec<_>, _>>()?;
            let head: Vec<String> =
                std::iter::once(String::new()).chain(runs.iter().map(|run| run.name.clone())).collect();
            let rows: Vec<Vec<String>> =
                compare(&runs).into_iter().map(|(field, values)| [vec![field], values].concat()).collect();
            if rows.is_empty() {
                output::line("they differ in nothing");
            } else {
                output::line(&table::text(&head, &rows));
            }
        }
        RunsCommand::Plot { runs, metrics, out } => {
            let runs = runs.iter().map(|run| one(&machine, run)).collect::<Result<Vec<_>, _>>()?;
            plot(&machine, &runs, metrics, out)?;
            output::line(&format!("drawn    {}", out.display()));
        }
        RunsCommand::Export { filter, out } => {
            let runs = list(&machine, &filter.filter()?)?;
            let text = if out.extension().is_some_and(|e| e == "json") {
                serde_json::to_string_pretty(&runs)?
            } else {
                csv(&runs)
            };
            cambist_lab::runs::write(out, &text)?;
            output::line(&format!("{} runs written to {}", runs.len(), out.display()));
        }
        RunsCommand::Tag { run, tags, remove } => {
            let run = one(&machine, run)?;
            let registry = machine.registry(&machine.runs)?;
            for tag in tags {
                registry.tag(&run.name, tag, !remove)?;
            }
            output::line(&format!("{} {}", run.name, one(&machine, &run.name)?.tags.join(" ")));
        }
        RunsCommand::Delete { run } => {
            let run = one(&machine, run)?;
            let path = delete(&machine, &run, &SystemClock::start())?;
            output::line(&format!("{} is gone; {} still counts as tried", path.display(), run.name));
        }
    }
    Ok(())
}

pub(crate) fn logs(args: &LogsArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let machine = machine.machine();
    let wanted = cambist_lab::runs::Wanted {
        run: args.run.clone(),
        event: args.event.clone(),
        text: args.grep.clone(),
        since: args.since.clone(),
    };
    for line in cambist_lab::runs::logs(&machine, &wanted)? {
        output::line(&line);
    }
    Ok(())
}
