//! `cambist costs`.

use cambist_lab::{Layers, costs};

use crate::args::{CostsCommand, MachineArgs};
use crate::{output, table};

pub(crate) fn run(command: &CostsCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let CostsCommand::Explain { config, set, lots, at } = command;
    let layers = Layers::read(config.as_deref(), set)?;
    let lines = costs::explain(&layers, &machine.data_dir, lots, at)?;
    let amount = |amount: Option<f64>| amount.map_or(String::new(), |amount| format!("{amount:+.4}"));
    let rows: Vec<Vec<String>> =
        lines.into_iter().map(|line| vec![line.what, amount(line.amount), line.why]).collect();
    output::line(&table::with_notes(&["", "money", "why"].map(str::to_owned), &rows));
    Ok(())
}
