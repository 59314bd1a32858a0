//! `cambist config`.

use cambist_lab::config::schema;
use cambist_lab::{Config, Layers};

use crate::args::ConfigCommand;
use crate::output;

pub(crate) fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check(args) => {
            let layers = Layers::read(args.config.as_deref(), &args.set)?;
            let config = Config::validate(layers.resolve()?)?;
            output::line(&format!(
                "The config makes sense: {} on {} bars, {} features, {} steps.",
                config.raw.data.symbol,
                config.timeframe,
                config.features.len(),
                config.raw.ppo.total_steps
            ));
        }
        ConfigCommand::Explain(args) => {
            let layers = Layers::read(args.config.as_deref(), &args.set)?;
            for row in layers.explain()? {
                output::line(&format!(
                    "{} = {}{}   ({})\n    {}",
                    row.field,
                    row.value,
                    if row.unit.is_empty() { String::new() } else { format!(" {}", row.unit) },
                    row.origin,
                    row.meaning
                ));
            }
        }
        ConfigCommand::Schema => output::line(&serde_json::to_string_pretty(&schema())?),
    }
    Ok(())
}
