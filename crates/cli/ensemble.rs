//! `cambist ensemble`.

use cambist_core::clock::SystemClock;
use cambist_lab::breakdown::Judged;
use cambist_lab::chosen::{EnsembleRequest, ensemble};
use cambist_lab::ensemble::{MemberRecord, Rating};
use cambist_lab::run::find;
use cambist_lab::view;

use crate::args::{EnsembleArgs, MachineArgs};
use crate::train::as_json;
use crate::{output, table};

pub(crate) fn run(args: &EnsembleArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let machine = machine.machine();
    let runs = args.runs.iter().map(|wanted| find(&machine, wanted)).collect::<Result<Vec<_>, _>>()?;
    let request = EnsembleRequest { runs, name: args.name.clone(), sets: args.sets()? };
    let outcome = ensemble(&request, &machine, &SystemClock::start())?;
    if args.json {
        output::line(&as_json(&outcome));
        return Ok(());
    }
    output::line(&members(Judged::open(&outcome.folder, &machine)?.members()));
    output::line("");
    output::line(&table::scores(&view::metrics(&outcome.judgement)));
    output::line(&outcome.judgement.verdict.sentence);
    let folder = outcome.folder.path().display();
    output::line(&format!("report   {folder}/report.html"));
    output::line(&format!("artefact {folder}/artefact ({})", outcome.artefact_hash));
    Ok(())
}

/// Members with what they did on validation and what they count for, on the whole and in each regime.
pub(crate) fn members(members: &[MemberRecord]) -> String {
    let head = ["member", "update", "regime", "validation Sharpe", "error", "expected", "weight"];
    let number = |value: f64| format!("{value:.2}");
    let row = |member: &MemberRecord, index: usize, rating: &Rating| {
        let first = index == 0;
        vec![
            if first { member.name.clone() } else { String::new() },
            if first { member.chosen_update.to_string() } else { String::new() },
            if first { "all".to_owned() } else { rating.regime.clone() },
            number(rating.sharpe),
            rating.standard_error.map_or("–".to_owned(), number),
            number(rating.expected),
            format!("{:.1} %", 100.0 * rating.weight),
        ]
    };
    let rows: Vec<Vec<String>> = members
        .iter()
        .flat_map(|member| member.ratings.iter().enumerate().map(move |(i, rating)| (member, i, rating)))
        .map(|(member, index, rating)| row(member, index, rating))
        .collect();
    table::text(&head.map(str::to_owned), &rows)
}
