//! `cambist regime`.

use cambist_lab::{Layers, regime};

use crate::args::{ConfigArgs, MachineArgs, RegimeArgs, RegimeCommand};
use crate::{output, table};

pub(crate) fn run(command: &RegimeCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let data = &machine.data_dir;
    let layers = |config: &ConfigArgs| Layers::read(config.config.as_deref(), &config.set);
    match command {
        RegimeCommand::Fit { config, out } => {
            regime::fit(&layers(config)?, data, out)?.iter().for_each(|l| output::line(l));
            output::line(&format!("model {}", out.display()));
        }
        RegimeCommand::Label { args, out } => {
            let (bars, none) = regime::label(&layers(&args.config)?, data, args.model.as_deref(), out)?;
            output::line(&format!("{bars} bars, {none} of them before the model is warm: {}", out.display()));
        }
        RegimeCommand::Plot { args, out } => {
            regime::plot(&layers(&args.config)?, data, args.model.as_deref(), out)?;
            output::line(&format!("drawn: {}", out.display()));
        }
        RegimeCommand::Report(args) => report(args, machine)?,
    }
    Ok(())
}

fn report(args: &RegimeArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let layers = Layers::read(args.config.config.as_deref(), &args.config.set)?;
    let report = regime::report(&layers, &machine.data_dir, args.model.as_deref())?;
    report.summary.iter().for_each(|line| output::line(line));
    let head = ["state", "share", "mean dwell, bars", "drift a year after", "volatility a year"];
    output::line(&table::text(&head.map(str::to_owned), &report.states));
    for (until, share) in &report.agreement {
        output::line(&format!(
            "refitted until {until}: the same label on {:.1} % of the bars before",
            100.0 * share
        ));
    }
    Ok(())
}
