//! What can be written after `cambist backtest`, `costs` and `regime`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigArgs;

#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    /// Data and execution: a TOML config; the built-in regime market if left out.
    pub(crate) config: Option<PathBuf>,
    /// Overrides a field: section.name=value; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The rule: sma_cross (fast, slow), momentum (n), donchian (n), reversion (n, k).
    #[arg(long, conflicts_with = "run", required_unless_present = "run")]
    pub(crate) rule: Option<String>,
    /// A run's folder, its name, or `latest`: its policy instead of a rule, on its own config.
    #[arg(long, conflicts_with_all = ["config", "set"])]
    pub(crate) run: Option<String>,
    /// An axis: name=1,2,3 or name=from:to:step, of a parameter of the rule or a config field; may be repeated.
    #[arg(long, value_name = "NAME=VALUES")]
    pub(crate) grid: Vec<String>,
    /// A rule that is never short.
    #[arg(long)]
    pub(crate) long_only: bool,
    /// First day; if left out, the first bar, or of a run its test.
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Day after the last; if left out, the last bar that is not sealed, or of a run its test.
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// return, sharpe, drawdown, trades, held or costs.
    #[arg(long, default_value = "sharpe")]
    pub(crate) sort: String,
    /// Rows of the table.
    #[arg(long, default_value_t = 20)]
    pub(crate) top: usize,
    /// Step every combination through the environment, even where the fast path gives the same.
    #[arg(long)]
    pub(crate) by_environment: bool,
    /// Folder for results.csv, results.html, heatmap.svg, equity.svg and trades.parquet.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Results as JSON, one combination a line, in the grid's order, and no progress.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RegimeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// A model that `cambist regime fit` wrote; fitted anew on the training window if left out.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegimeCommand {
    /// Fit on the training window, and write the model.
    Fit {
        #[command(flatten)]
        config: ConfigArgs,
        /// The JSON file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Write the label and the probabilities of every bar.
    Label {
        #[command(flatten)]
        args: RegimeArgs,
        /// The CSV file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Draw the price on the regimes.
    Plot {
        #[command(flatten)]
        args: RegimeArgs,
        /// The SVG file to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Describe the states, whether they can be told apart, and whether refits agree.
    Report(RegimeArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CostsCommand {
    /// A round trip, line by line.
    Explain {
        /// A TOML config; the built-in regime market if left out.
        config: Option<PathBuf>,
        /// Overrides a field: section.name=value; may be repeated.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// How much is bought and sold; of a config in the short form, in units.
        #[arg(long, default_value = "1")]
        lots: String,
        /// When, UTC: at the open of the first bar then or later.
        #[arg(long)]
        at: String,
    },
    /// What spread, slippage and delay were in a live or paper journal, and whether training was too kind.
    Calibrate {
        /// Folder of the journal.
        journal: PathBuf,
        /// Folder of the artefact, where it is no longer where it was.
        #[arg(long)]
        artefact: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TerminalCommand {
    /// Serve the config's broker on its bars, to the stand-in of the package MetaTrader5 in bridge/standin.
    Simulate {
        /// A TOML config with a section for the broker.
        config: Option<PathBuf>,
        /// Overrides a field: section.name=value; may be repeated.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// The account is opened at the close of the last bar before this time, UTC.
        #[arg(long)]
        from: String,
        /// The tape ends here, UTC; with the data if left out.
        #[arg(long)]
        until: Option<String>,
        /// File of what was asked: written before it is carried out, and lived through again when there is one.
        #[arg(long)]
        journal: Option<PathBuf>,
        /// Number of the account.
        #[arg(long, default_value_t = 1)]
        login: u64,
        /// Address to listen at; port 0 for any that is free.
        #[arg(long, default_value = "127.0.0.1:18812")]
        listen: String,
        /// Time passes by itself, so many times as fast as the wall clock; without it, as far as it is told to.
        #[arg(long)]
        speed: Option<f64>,
        /// How long an order is under way, in milliseconds of the tape's time.
        #[arg(long, default_value_t = 0, requires = "speed")]
        latency_ms: u64,
        /// TOML of what goes wrong on its line, and how often; nothing if left out.
        #[arg(long)]
        faults: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BridgeCommand {
    /// Whether terminal and trading are well, the account, and its positions.
    Status {
        /// Where the bridge listens.
        #[arg(long, default_value = "http://127.0.0.1:8228")]
        url: String,
        /// PEM file of the authority that signed its certificate.
        #[arg(long)]
        authority: Option<PathBuf>,
        /// File of the bridge's token; CAMBIST_BRIDGE_TOKEN if left out.
        #[arg(long)]
        token_file: Option<PathBuf>,
    },
}
