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
    /// Workers on this machine; they share its threads.
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
        /// Where the study is kept.
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
