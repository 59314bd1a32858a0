//! `cambist data`.

use std::path::PathBuf;

use cambist_lab::bars::{self, ImportWords, SetName, SynthWords};

use crate::args::{DataCommand, MachineArgs, SetArgs, SynthName};
use crate::{output, table};

impl SetArgs {
    fn name(&self) -> SetName {
        SetName { symbol: self.symbol.clone(), timeframe: self.timeframe.clone(), venue: self.venue.clone() }
    }
}

pub(crate) fn run(command: DataCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let root: PathBuf = machine.data_dir.clone();
    match command {
        DataCommand::Import { paths, symbol, timeframe, venue, tz, on, outlier_deviations, replace } => {
            let words = ImportWords { paths, symbol, timeframe, venue, tz, on, outlier_deviations, replace };
            bars::import_into(&root, &words)?.iter().for_each(|l| output::line(l));
        }
        DataCommand::Seal { symbol, venue, from } => {
            let from = bars::seal(&root, &symbol, &venue, &from)?;
            output::line(&format!("{symbol} ({venue}) is sealed from {from} on, whatever is imported"));
        }
        DataCommand::List => {
            let rows = bars::list(&root)?;
            if rows.is_empty() {
                output::line(&format!(
                    "{} holds no data set: import one with `cambist data import`",
                    root.display()
                ));
            } else {
                let head = ["symbol", "venue", "bar", "bars", "from", "to", "gaps", "fingerprint"]
                    .map(str::to_owned);
                output::line(&table::text(&head, &rows));
            }
        }
        DataCommand::Show(set) => bars::show(&root, &set.name())?.iter().for_each(|l| output::line(l)),
        DataCommand::Check(set) => output::line(&bars::check(&root, &set.name())?),
        DataCommand::Resample { set, to, replace } => {
            bars::resample_into(&root, &set.name(), &to, replace)?.iter().for_each(|l| output::line(l));
        }
        DataCommand::Plot { set, out } => {
            bars::plot(&root, &set.name(), &out)?;
            output::line(&format!("drawn: {}", out.display()));
        }
        DataCommand::Synth {
            kind,
            symbol,
            timeframe,
            bars: n_bars,
            start,
            price,
            seed,
            drift,
            volatility,
            speed,
            replace,
        } => {
            let kind = match kind {
                SynthName::Gbm => "gbm",
                SynthName::Ou => "ou",
                SynthName::Heston => "heston",
                SynthName::Regime => "regime",
            };
            let kind = kind.to_owned();
            let words = SynthWords {
                kind,
                symbol,
                timeframe,
                n_bars,
                start,
                price,
                seed,
                drift,
                volatility,
                speed,
                replace,
            };
            bars::synth_into(&root, &words)?.iter().for_each(|l| output::line(l));
        }
        DataCommand::Features => bars::features().iter().for_each(|l| output::line(l)),
    }
    Ok(())
}
