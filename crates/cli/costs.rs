//! `cambist costs`.

use std::path::Path;

use cambist_lab::{Layers, costs};
use cambist_live::calibrate;

use crate::args::{CostsCommand, MachineArgs};
use crate::{output, table};

pub(crate) fn run(command: &CostsCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let (config, set, lots, at) = match command {
        CostsCommand::Explain { config, set, lots, at } => (config, set, lots, at),
        CostsCommand::Calibrate { journal, artefact } => return measured(journal, artefact.as_deref()),
    };
    let layers = Layers::read(config.as_deref(), set)?;
    let lines = costs::explain(&layers, &machine.data_dir, lots, at)?;
    let amount = |amount: Option<f64>| amount.map_or(String::new(), |amount| format!("{amount:+.4}"));
    let rows: Vec<Vec<String>> =
        lines.into_iter().map(|line| vec![line.what, amount(line.amount), line.why]).collect();
    output::line(&table::with_notes(&["", "money", "why"].map(str::to_owned), &rows));
    Ok(())
}

fn measured(journal: &Path, artefact: Option<&Path>) -> anyhow::Result<()> {
    let number = |value: f64| if value.is_finite() { format!("{value:.3}") } else { "–".to_owned() };
    let rows: Vec<Vec<String>> = calibrate(journal, artefact)?
        .iter()
        .map(|m| {
            let found = format!("{} ± {}", number(m.found), number(m.error));
            let trained = m.trained.map_or("–".to_owned(), number);
            let write = format!("broker.{} = {}", m.field, number(m.found.max(0.0)));
            vec![m.what.to_owned(), found, m.n.to_string(), trained, write, m.verdict().to_owned()]
        })
        .collect();
    let head = ["", "found", "of", "training", "to write", ""].map(str::to_owned);
    output::line(&table::with_notes(&head, &rows));
    Ok(())
}
