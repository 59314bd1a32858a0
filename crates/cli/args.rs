//! What can be written after `cambist`.

mod ensemble;
mod live;
mod promote;
mod search;
mod trade;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use ensemble::EnsembleArgs;
pub(crate) use live::{ConfirmedArgs, LiveCommand, LoopArgs, ServeArgs, WhyArgs};
pub(crate) use promote::{PromoteArgs, PromoteCommand, UnsealArgs};
pub(crate) use search::{
    CheckGateArgs, CheckSearchArgs, FilterArgs, LaunchArgs, LogsArgs, RunsCommand, SamplerName, SweepArgs,
    SweepCommand,
};
pub(crate) use trade::{
    BacktestArgs, BridgeCommand, CostsCommand, RegimeArgs, RegimeCommand, TerminalCommand,
};

/// Reinforcement learning for markets: simulate like a broker, train fast, judge honestly.
#[derive(Debug, Parser)]
#[command(name = "cambist", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Settings of the machine; they change nothing of a result.
#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    /// Folder of data sets.
    #[arg(long, global = true, default_value = "data", env = "CAMBIST_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// Folder of runs.
    #[arg(long, global = true, default_value = "runs", env = "CAMBIST_RUNS_DIR")]
    pub(crate) runs_dir: PathBuf,
    /// Where runs and judgements are registered: sqlite:///PATH or postgresql://…; a file beside the runs if left out.
    #[arg(long, global = true, env = "CAMBIST_REGISTRY")]
    pub(crate) registry: Option<String>,
    /// Threads; 0 for one a core.
    #[arg(long, global = true, default_value_t = 0)]
    pub(crate) threads: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train and judge; without a config, on the built-in regime market.
    Train(TrainArgs),
    /// Judge a method by combinatorial purged cross-validation: many histories instead of one test.
    CrossValidate(CrossValidateArgs),
    /// Judge the artefact of a run on one of its windows.
    Evaluate(EvaluateArgs),
    /// Look at a config.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Run a rule or a trained policy over a grid of parameters.
    Backtest(BacktestArgs),
    /// Make one policy of several trained runs, and judge it.
    Ensemble(EnsembleArgs),
    /// Judge a run on rows that are sealed: recorded for good, and counted as a trial.
    Unseal(UnsealArgs),
    /// Put a policy to a gate, and sign what passes; list, verify and revoke promotions.
    Promote(PromoteArgs),
    /// List, filter, compare, plot, export, tag and delete runs.
    Runs {
        #[command(subcommand)]
        command: RunsCommand,
    },
    /// Search what runs logged.
    Logs(LogsArgs),
    /// Search hyper-parameters: any number of workers, one storage, which Optuna reads too.
    Sweep(SweepArgs),
    /// Say what trading costs under a config.
    Costs {
        #[command(subcommand)]
        command: CostsCommand,
    },
    /// A MetaTrader 5 terminal on a tape, as a process of its own.
    Terminal {
        #[command(subcommand)]
        command: TerminalCommand,
    },
    /// Put a policy to work: on paper, or live through the bridge to MetaTrader 5.
    Serve(ServeArgs),
    /// Look after a policy at work: commands, replay, comparison, preflight.
    Live {
        #[command(subcommand)]
        command: LiveCommand,
    },
    /// Speak to the bridge beside a MetaTrader 5 terminal (bridge/README.md).
    Bridge {
        #[command(subcommand)]
        command: BridgeCommand,
    },
    /// Fit, label, plot and report which market it is.
    Regime {
        #[command(subcommand)]
        command: RegimeCommand,
    },
    /// Import, make, check and look at bars.
    Data {
        #[command(subcommand)]
        command: Box<DataCommand>,
    },
    /// Prove that environments and learning work.
    Check {
        #[command(subcommand)]
        command: CheckCommand,
    },
    /// Measure speed and memory; medians over repeats.
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A TOML config; the reference PPO work if left out.
    pub(crate) config: Option<PathBuf>,
    /// Overrides a field: section.name=value; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) how: BenchHow,
}

#[derive(Debug, Args)]
pub(crate) struct BenchHow {
    /// How often each thing is measured.
    #[arg(long, default_value_t = 3)]
    pub(crate) repeats: usize,
    /// Readings as JSON, one a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder for table (and chart) as files.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Trainings as `cambist train` runs them, and where their time goes.
    Ppo(BenchArgs),
    /// The market environment alone.
    Env {
        /// Share of the steps at which an environment's action is drawn anew.
        #[arg(long, default_value_t = 1.0)]
        change: f64,
        #[command(flatten)]
        args: BenchArgs,
    },
    /// Sixteen moving-average strategies over the bars of a config, by the fast path.
    Backtest(BenchArgs),
    /// The network alone: forward, backward, step.
    Net(BenchArgs),
    /// One thread against all; 16 environments; 65,536 environments.
    Scaling(BenchArgs),
    /// Peak memory beside what the formula says.
    Memory(BenchArgs),
    /// A population on one thread against all, and its memory by members.
    Population {
        /// Members.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=1024))]
        size: u64,
        #[command(flatten)]
        args: BenchArgs,
    },
    /// A live loop's decision: from a closed bar to approved intents.
    Decide {
        /// Folder of an artefact, for its features and rules.
        #[arg(default_value = "checkpoints/btc-minutes")]
        artefact: PathBuf,
        #[command(flatten)]
        how: BenchHow,
    },
    /// The importer.
    Import {
        /// Files, or folders of files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// The length of their bars.
        #[arg(long, default_value = "1m")]
        timeframe: String,
        #[command(flatten)]
        how: BenchHow,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// A TOML config; the built-in regime market if left out.
    pub(crate) config: Option<PathBuf>,
    /// Overrides a field: section.name=value; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Train under this many seeds, from the config's own on, and say what they say together.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// Go on with a run that was interrupted: its name, the beginning of it, its path, or `latest`.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "set", "seeds"])]
    pub(crate) resume: Option<String>,
    #[command(flatten)]
    pub(crate) safety: SafetyArgs,
    /// No progress, only the verdict.
    #[arg(long, conflicts_with = "json")]
    pub(crate) quiet: bool,
    /// One JSON object a line: updates, then the judgement.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CrossValidateArgs {
    /// A TOML config, cut as its section cross_validation says; the built-in regime market if left out.
    pub(crate) config: Option<PathBuf>,
    /// Overrides a field: section.name=value; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Go on with one that was interrupted: its name, the beginning of it, or its path. Splits that are done stay.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "set"])]
    pub(crate) resume: Option<String>,
    /// Stop after so long: 90s, 30m or 8h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) time_limit: Option<Duration>,
    /// No progress, only the result.
    #[arg(long, conflicts_with = "json")]
    pub(crate) quiet: bool,
    /// One JSON object a line: updates, then the result.
    #[arg(long)]
    pub(crate) json: bool,
}

/// When a training stops, and what it can go on from; none of it changes a result.
#[derive(Debug, Args)]
pub(crate) struct SafetyArgs {
    /// Stop at a safe point after so long: 90s, 30m or 8h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) time_limit: Option<Duration>,
    /// Updates between checkpoints.
    #[arg(long, value_name = "UPDATES", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) checkpoint_every: u64,
    /// How many of the last checkpoints are kept, beside the best.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) keep_checkpoints: usize,
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let parsed = units.into_iter().find_map(|(unit, seconds)| {
        let n: u64 = text.strip_suffix(unit)?.parse().ok()?;
        n.checked_mul(seconds).map(Duration::from_secs)
    });
    parsed.ok_or_else(|| "write a whole number and s, m or h, such as 90s, 30m or 8h".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// A run: its name, the beginning of it, its path, or `latest`. With --by regime or windows several runs, or the
    /// NAME-seeds.json of `train --seeds`: then their spread.
    #[arg(required = true, value_name = "RUN", num_args = 1..)]
    pub(crate) runs: Vec<String>,
    /// train, validation or test.
    #[arg(long, default_value = "test")]
    pub(crate) window: String,
    /// The judgement as JSON.
    #[arg(long, conflicts_with = "by")]
    pub(crate) json: bool,
    /// Where it earned and lost on the test window: by regime, through named windows of history, or by member of an ensemble.
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
    /// The TOML file of named windows.
    #[arg(long, default_value = "configs/windows/btc.toml")]
    pub(crate) windows: PathBuf,
    /// Adds what is left with costs and latency doubled.
    #[arg(long, requires = "by")]
    pub(crate) stress: bool,
    /// Adds what is left with ever more money.
    #[arg(long, requires = "by")]
    pub(crate) capacity: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Regimes: the run's own, or volatility and trend by rules.
    Regime,
    /// Named windows of history.
    Windows,
    /// Members of an ensemble, each alone.
    Member,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// A TOML config; the built-in one if left out.
    pub(crate) config: Option<PathBuf>,
    /// Overrides a field: section.name=value; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether it makes sense.
    Check(ConfigArgs),
    /// Every field with value, origin, unit and meaning.
    Explain(ConfigArgs),
    /// Its JSON Schema, for editors.
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// What is traded.
    #[arg(long)]
    pub(crate) symbol: String,
    /// The length of a bar: 1m, 1h, 4h, 1d.
    #[arg(long)]
    pub(crate) timeframe: String,
    /// Where it is traded; needed when several venues have it.
    #[arg(long)]
    pub(crate) venue: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SynthName {
    /// Geometric Brownian motion.
    Gbm,
    /// A log price drawn back to its start (Ornstein-Uhlenbeck).
    Ou,
    /// Stochastic variance with jumps (Heston, Bates).
    Heston,
    /// Six regimes calibrated to hourly BTC.
    Regime,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Read CSV or Parquet bars, check them, store them.
    Import {
        /// Files, or folders of files.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// What is traded.
        #[arg(long)]
        symbol: String,
        /// The length of a bar: 1m, 1h, 4h, 1d.
        #[arg(long)]
        timeframe: String,
        /// Where it is traded.
        #[arg(long, default_value = "unknown")]
        venue: String,
        /// Zone of stamps that name none, as an IANA name; UTC if left out. MT5 exports must name theirs.
        #[arg(long)]
        tz: Option<String>,
        /// What happens to a kind of fault: KIND=keep|drop|fail; may be repeated. Kinds: unordered, duplicate, gap,
        /// not_a_number, impossible_ohlc, non_positive, off_grid, outlier.
        #[arg(long = "on", value_name = "KIND=CHOICE")]
        on: Vec<String>,
        /// Robust standard deviations from which a return is an outlier.
        #[arg(long)]
        outlier_deviations: Option<f64>,
        /// Put these bars in the place of others of that name.
        #[arg(long)]
        replace: bool,
    },
    /// What is there.
    List,
    /// One data set: span, origin, fingerprint, report.
    Show(SetArgs),
    /// Read a data set back and compare it with its fingerprint.
    Check(SetArgs),
    /// Seal the rows of an instrument from a day on: every command but `cambist unseal` sees them no more.
    Seal {
        /// What is traded.
        #[arg(long)]
        symbol: String,
        /// Where.
        #[arg(long)]
        venue: String,
        /// The first day that is sealed.
        #[arg(long)]
        from: String,
    },
    /// Make and store longer bars.
    Resample {
        #[command(flatten)]
        set: SetArgs,
        /// The new length of a bar.
        #[arg(long)]
        to: String,
        /// Put these bars in the place of others of that name.
        #[arg(long)]
        replace: bool,
    },
    /// Draw closes as an SVG file.
    Plot {
        #[command(flatten)]
        set: SetArgs,
        /// The file.
        #[arg(long, default_value = "plot.svg")]
        out: PathBuf,
    },
    /// Make a market with known truth and store it.
    #[command(allow_negative_numbers = true)]
    Synth {
        /// The law.
        kind: SynthName,
        /// Its name.
        #[arg(long, default_value = "SYNTH")]
        symbol: String,
        /// The length of a bar.
        #[arg(long, default_value = "1h")]
        timeframe: String,
        /// Number of bars.
        #[arg(long, default_value_t = 50_000)]
        bars: usize,
        /// Date of the first bar.
        #[arg(long, default_value = "2018-01-01")]
        start: String,
        /// Price at the start.
        #[arg(long, default_value_t = 100.0)]
        price: f64,
        /// Seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// gbm: drift a year.
        #[arg(long, default_value_t = 0.0)]
        drift: f64,
        /// gbm, ou: volatility a year.
        #[arg(long, default_value_t = 0.6)]
        volatility: f64,
        /// ou: pull to the mean, a year.
        #[arg(long, default_value_t = 50.0)]
        speed: f64,
        /// Put these bars in the place of others of that name.
        #[arg(long)]
        replace: bool,
    },
    /// The indicators a config can name.
    Features,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Put the environment of a config through the contract.
    Env(ConfigArgs),
    /// Train on markets whose optimum is known, and compare.
    Learning(LearningArgs),
    /// Put returns of known truth to a gate, and count how often it is wrong.
    Gate(CheckGateArgs),
    /// Search functions whose best value is known.
    Search(CheckSearchArgs),
    /// Send random orders to brokers of all kinds, and write events and deals down for `scripts/ledger.py` to check.
    Ledger {
        /// Orders.
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        orders: u64,
        /// Seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder for the files.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Exercise {
    /// Quadratic cost and risk, continuous.
    A,
    /// Proportional cost and a cap, discrete.
    B,
    /// B with a continuous head: reported beside it, nothing is asked of it.
    BContinuous,
    /// Proportional cost and quadratic risk, a band.
    C,
    /// The next return is leaked.
    Oracle,
    /// The leak is gone: from the oracle's weights, learn to do nothing.
    Null,
    /// A sign pays k bars after it was shown: with a GRU, and without memory.
    Memory,
    /// Balance a pole.
    Cartpole,
    /// Swing a pendulum up.
    Pendulum,
}

#[derive(Debug, Args)]
pub(crate) struct LearningArgs {
    /// Which exercises.
    #[arg(long, value_delimiter = ',', default_values = ["a", "b", "b-continuous", "c", "oracle", "null", "memory"])]
    pub(crate) markets: Vec<Exercise>,
    /// Seeds 1 to this.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// Environment steps of each training.
    #[arg(long, default_value_t = 24_000_000)]
    pub(crate) steps: u64,
    /// Persistence of the signal.
    #[arg(long, default_value_t = 0.9)]
    pub(crate) rho: f64,
    /// Standard deviation of the signal's noise.
    #[arg(long, default_value_t = 0.447_213_595_499_958)]
    pub(crate) s: f64,
    /// A, C: price of risk.
    #[arg(long, default_value_t = 0.3)]
    pub(crate) lambda: f64,
    /// A: quadratic cost.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) phi: f64,
    /// B, C: proportional cost.
    #[arg(long, default_value_t = 4.0)]
    pub(crate) psi: f64,
    /// B: position cap.
    #[arg(long = "cap", short = 'M', default_value_t = 2.0)]
    pub(crate) cap: f64,
    /// Oracle, null: one-way cost, in deviations of the return.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) oracle_psi: f64,
    /// Oracle, null: price of risk, in deviations of the return.
    #[arg(long, default_value_t = 0.3)]
    pub(crate) oracle_lambda: f64,
    /// Memory: bars to remember.
    #[arg(long, short = 'k', value_delimiter = ',', default_values_t = [8, 32],
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) lags: Vec<u32>,
    /// Rows as JSON, one a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Folder for charts of the learned policies over the optimal ones.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}
