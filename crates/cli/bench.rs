//! `cambist bench`.

use cambist_core::clock::SystemClock;
use cambist_lab::Layers;
use cambist_lab::bench::{self, Reading};

use crate::args::{BenchArgs, BenchCommand, BenchHow, MachineArgs};
use crate::{output, table};

pub(crate) fn run(command: &BenchCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let (machine, clock) = (machine.machine(), SystemClock::start());
    let layers = |args: &BenchArgs| -> anyhow::Result<Layers> {
        Ok(match &args.config {
            Some(path) => Layers::read(Some(path), &args.set)?,
            None => Layers::reference_ppo(&args.set)?,
        })
    };
    let mut chart = None;
    let (name, readings, how): (_, Vec<Reading>, &BenchHow) = match command {
        BenchCommand::Ppo(args) => {
            let (readings, phases) = bench::ppo(&layers(args)?, &machine, repeats(&args.how)?, &clock)?;
            chart = Some(bench::phase_chart(&phases)?);
            ("ppo", readings, &args.how)
        }
        BenchCommand::Env { change, args } => {
            let repeats = repeats(&args.how)?;
            ("env", bench::environment(&layers(args)?, &machine, *change, repeats, &clock)?, &args.how)
        }
        BenchCommand::Backtest(args) => {
            ("backtest", bench::backtests(&layers(args)?, &machine, repeats(&args.how)?, &clock)?, &args.how)
        }
        BenchCommand::Net(args) => {
            ("net", bench::network(&layers(args)?, &machine, repeats(&args.how)?, &clock)?, &args.how)
        }
        BenchCommand::Scaling(args) => {
            ("scaling", bench::scaling(&layers(args)?, &machine, repeats(&args.how)?, &clock)?, &args.how)
        }
        BenchCommand::Memory(args) => ("memory", bench::memory(&layers(args)?, &machine, &clock)?, &args.how),
        BenchCommand::Population { size, args } => {
            let (layers, repeats) = (layers(args)?, repeats(&args.how)?);
            ("population", bench::population(&layers, *size, &machine, repeats, &clock)?, &args.how)
        }
        BenchCommand::Decide { artefact, how } => {
            ("decide", bench::decisions(artefact, repeats(how)?, &clock)?, how)
        }
        BenchCommand::Import { paths, timeframe, how } => {
            ("import", bench::import(paths, timeframe, repeats(how)?, &clock)?, how)
        }
    };
    if how.json {
        for reading in &readings {
            output::line(&serde_json::to_string(reading)?);
        }
    } else {
        output::line(&text(&readings));
        output::line(&bench::machine_line(&machine, &clock));
    }
    if let Some(folder) = &how.out {
        let machine_line = bench::machine_line(&machine, &clock);
        let files = bench::write(folder, name, &readings, &machine_line, chart.as_deref())?;
        for file in files {
            output::line(&format!("written  {file}"));
        }
    }
    Ok(())
}

fn repeats(how: &BenchHow) -> anyhow::Result<usize> {
    anyhow::ensure!(how.repeats > 0, "--repeats is 0: it must be at least 1");
    Ok(how.repeats)
}

fn text(readings: &[Reading]) -> String {
    let head = ["what", "median", "lowest", "highest", "unit", "note"].map(str::to_owned);
    let rows: Vec<Vec<String>> = readings.iter().map(Reading::cells).collect();
    table::text(&head, &rows)
}
