//! `cambist evaluate --by`.

use cambist_lab::breakdown::{Judged, Part, StressRow, read_windows};
use cambist_lab::run::{Machine, find};
use cambist_lab::spread::{PartSpread, Spread, named, one_test, over_runs};

use crate::args::{By, EvaluateArgs, MachineArgs};
use crate::{ensemble, output, table};

pub(crate) fn run(args: &EvaluateArgs, by: By, machine: &MachineArgs) -> anyhow::Result<()> {
    let machine = machine.machine();
    let names = args.runs.iter().map(|wanted| named(wanted)).collect::<Result<Vec<_>, _>>()?.concat();
    let [run] = &names[..] else { return spread(args, by, &names, &machine) };
    let folder = find(&machine, run)?;
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

/// Parts of history over several runs.
fn spread(args: &EvaluateArgs, by: By, names: &[String], machine: &Machine) -> anyhow::Result<()> {
    anyhow::ensure!(!names.is_empty(), "no run was trained to the end there");
    anyhow::ensure!(
        by != By::Member && !args.stress && !args.capacity,
        "--by member, --stress and --capacity look at one run: {} were named",
        names.len()
    );
    let open = |name: &String| Judged::open(&find(machine, name)?, machine);
    let runs = names.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let test = one_test(&runs)?;
    let parts = match by {
        By::Windows => {
            let windows = read_windows(&args.windows)?;
            runs.iter().map(|run| Ok(run.by_windows(&windows)?.0)).collect::<anyhow::Result<Vec<_>>>()?
        }
        _ => runs.iter().map(|run| Ok(run.by_regime(test)?.0)).collect::<anyhow::Result<Vec<_>>>()?,
    };
    let over = over_runs(&parts);
    let n = runs.len();
    output::line(&format!("Over {n} runs, interquartile means with their 95 % intervals over runs:"));
    let head = [
        "", "bars", "seen in", "hold", "earned", "from, to", "Sharpe", "from, to", "exposure", "alpha",
        "from, to",
    ];
    let interval = |s: &Spread, shown: fn(f64) -> String| {
        format!("{}, {}", shown(s.estimate.low), shown(s.estimate.high))
    };
    let row = |part: &PartSpread| {
        vec![
            part.name.clone(),
            part.bars.to_string(),
            part.seen.to_owned(),
            percent(part.hold),
            percent(part.earned.estimate.mean),
            interval(&part.earned, percent),
            number(part.sharpe.estimate.mean),
            interval(&part.sharpe, number),
            percent(part.exposure.estimate.mean),
            percent(part.alpha.estimate.mean),
            interval(&part.alpha, percent),
        ]
    };
    output::line(&table::text(&head.map(str::to_owned), &over.iter().map(row).collect::<Vec<_>>()));
    if n < 5 {
        output::line("Fewer than five runs are no verdict on the method.");
    }
    let file = format!("by-{}-over-{n}-runs.json", if by == By::Windows { "windows" } else { "regime" });
    let kept = serde_json::json!({ "runs": names, "parts": over });
    let path = find(machine, &names[0])?.write(&file, &serde_json::to_string_pretty(&kept)?)?;
    output::line(&format!("written  {}", path.display()));
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
