//! Words of searches and what they leave.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What chooses the next trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplerName {
    Random,
    Tpe,
    Cmaes,
    Gp,
}

#[derive(Debug, Args)]
pub(crate) struct CheckSearchArgs {
    /// What chooses the next trial.
    #[arg(long, value_enum, default_value = "tpe")]
    pub(crate) sampler: SamplerName,
    /// Seeds, from 0 on.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// Trials of a seed.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) trials: u64,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckGateArgs {
    /// Matrices of each kind.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) matrices: u64,
    /// Trials of each.
    #[arg(long, default_value_t = 20)]
    pub(crate) trials: usize,
    /// Years of daily returns.
    #[arg(long, default_value_t = 5)]
    pub(crate) years: usize,
    /// Annual Sharpe ratio of the one that has any.
    #[arg(long, default_value_t = 2.5)]
    pub(crate) sharpe: f64,
    /// The gate.
    #[arg(long, default_value = "configs/gates/live.toml")]
    pub(crate) gate: PathBuf,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SweepArgs {
    /// The TOML config of the sweep.
    pub(crate) launch: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) how: LaunchArgs,
    #[command(subcommand)]
    pub(crate) command: Option<SweepCommand>,
}

#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// Workers on this machine; they share its threads. 0 makes the study, and leaves it to others.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: usize,
    /// Where the study is kept: sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/NAME; a file beside the runs if left out.
    #[arg(long, env = "CAMBIST_STORAGE")]
    pub(crate) storage: Option<String>,
    /// No progress.
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SweepCommand {
    /// Work on a study, here or on any machine that reaches its storage; SIGTERM gives the trial back.
    Worker {
        /// Where the study is kept: sqlite:///PATH or postgresql://…; - for what CAMBIST_STORAGE says, which no list of processes
        /// shows.
        url: String,
        /// Its name.
        study: String,
    },
    /// Best trials, importance, history, parallel coordinates and slices, as HTML, SVG and CSV.
    Report {
        /// The study's name.
        study: String,
        /// Where it is kept; a file beside the runs if left out.
        #[arg(long, env = "CAMBIST_STORAGE")]
        storage: Option<String>,
        /// Folder for the files.
        #[arg(long, default_value = "sweep-report")]
        out: PathBuf,
    },
}

/// Which runs.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// FIELD OP VALUE of the run, its metrics or its config, such as sharpe>1 or ppo.gamma=0.99; may be repeated.
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) conditions: Vec<String>,
    /// Only runs with this tag; may be repeated.
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Deleted ones too.
    #[arg(long)]
    pub(crate) deleted: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// A line a run.
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Everything about one.
    Show {
        /// Its name, the beginning of it, or `latest`.
        run: String,
        /// As JSON, its config too.
        #[arg(long)]
        json: bool,
    },
    /// Where configs and metrics differ.
    Compare {
        /// Two runs or more.
        #[arg(required = true, num_args = 2..)]
        runs: Vec<String>,
    },
    /// Draw metrics over environment steps.
    Plot {
        /// Runs.
        #[arg(required = true)]
        runs: Vec<String>,
        /// Metrics, as metrics.jsonl names them.
        #[arg(long, value_delimiter = ',', default_values = ["validation/sharpe", "rollout/episode_return", "train/entropy"])]
        metrics: Vec<String>,
        /// The file.
        #[arg(long, default_value = "runs.svg")]
        out: PathBuf,
    },
    /// Write runs to a file: CSV, or JSON when it is named so.
    Export {
        #[command(flatten)]
        filter: FilterArgs,
        /// The file.
        #[arg(long, default_value = "runs.csv")]
        out: PathBuf,
    },
    /// Add tags, or take them away.
    Tag {
        /// The run.
        run: String,
        /// Tags.
        #[arg(required = true)]
        tags: Vec<String>,
        /// Take them away.
        #[arg(long)]
        remove: bool,
    },
    /// Remove a run's folder; a tombstone stays, and it still counts as tried.
    Delete {
        /// The run.
        run: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Only of this run: the beginning of its name.
    #[arg(long)]
    pub(crate) run: Option<String>,
    /// Only events of this name, such as trained or judged.
    #[arg(long)]
    pub(crate) event: Option<String>,
    /// Only lines with this text.
    #[arg(long)]
    pub(crate) grep: Option<String>,
    /// Only from this time on, such as 2026-01-31 or 2026-01-31T08:00.
    #[arg(long)]
    pub(crate) since: Option<String>,
}
