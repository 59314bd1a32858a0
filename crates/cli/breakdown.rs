//! `cambist evaluate --by`.

use cambist_lab::breakdown::{Judged, Part, StressRow, read_windows};

use crate::args::{By, EvaluateArgs, MachineArgs};
use crate::{ensemble, output, table};

pub(crate) fn run(args: &EvaluateArgs, by: By, machine: &MachineArgs) -> anyhow::Result<()> {
    let machine = machine.machine();
    let folder = cambist_lab::run::find(&machine, &args.run)?;
    let judged = Judged::open(&folder, &machine)?;
    let span = judged.test();
    match by {
        By::Regime => {
            let (parts, chart) = judged.by_regime(span)?;
            output::line(&format!("The test, {span}, by the regime each decision was made in:"));
            output::line(&rows(&parts));
            folder.write("by-regime.svg", &chart)?;
            folder.write("by-regime.json", &serde_json::to_string_pretty(&parts)?)?;
            output::line(&format!("chart    {}/by-regime.svg", folder.path().display()));
        }
        By::Windows => {
            let (parts, missing) = judged.by_windows(&read_windows(&args.windows)?)?;
            output::line(&rows(&parts));
            if !missing.is_empty() {
                output::line(&format!("Not in the data, or sealed: {}.", missing.join(", ")));
            }
            output::line(
                "What a policy earned where it was trained, or where its weights were chosen, proves nothing.",
            );
            folder.write("by-windows.json", &serde_json::to_string_pretty(&parts)?)?;
        }
        By::Member => {
            output::line(&ensemble::members(judged.members()));
            output::line(&format!("\nThe test, {span}, each member alone:"));
            let rows = judged.by_member(span)?;
            output::line(&stress("member", &rows));
            let kept = serde_json::json!({ "members": judged.members(), "test": rows });
            folder.write("by-member.json", &serde_json::to_string_pretty(&kept)?)?;
        }
    }
    judged.facts(span)?.iter().for_each(|fact| output::line(&format!("On the test, {fact}.")));
    if args.stress {
        output::line(&stress("", &judged.stress(span)?));
    }
    if args.capacity {
        match judged.capacity(span)? {
            rows if rows.is_empty() => {
                output::line(
                    "The short form of execution knows no impact: capacity needs a config with [broker].",
                );
            }
            rows => output::line(&stress("money", &rows)),
        }
    }
    Ok(())
}

fn percent(value: f64) -> String {
    if value.is_finite() { format!("{:.1} %", 100.0 * value) } else { "–".to_owned() }
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { "–".to_owned() }
}

fn rows(parts: &[Part]) -> String {
    let head = [
        "", "bars", "seen in", "earned", "hold", "Sharpe", "drawdown", "exposure", "costs", "alpha", "t",
        "beta",
    ];
    let row = |part: &Part| {
        vec![
            part.name.clone(),
            part.bars.to_string(),
            part.seen.to_owned(),
            percent(part.earned),
            percent(part.hold),
            number(part.sharpe),
            part.drawdown.map_or("–".to_owned(), percent),
            percent(part.exposure),
            percent(part.costs),
            percent(part.alpha),
            number(part.t_alpha),
            number(part.beta),
        ]
    };
    table::text(&head.map(str::to_owned), &parts.iter().map(row).collect::<Vec<_>>())
}

fn stress(name: &str, rows: &[StressRow]) -> String {
    let head = [name, "earned", "Sharpe", "costs", "drawdown"].map(str::to_owned);
    let row = |(name, earned, sharpe, costs, drawdown): &StressRow| {
        vec![name.clone(), percent(*earned), number(*sharpe), percent(*costs), percent(*drawdown)]
    };
    table::text(&head, &rows.iter().map(row).collect::<Vec<_>>())
}
