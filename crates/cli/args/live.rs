//! Words of `cambist serve` and `cambist live`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Folder of an artefact, or of its run. Left out: what decides in the journal in --state, or checkpoints/btc-minutes where there is none.
    pub(crate) artefact: Option<PathBuf>,
    /// Trade on paper: a simulated terminal on the bars of the artefact's config. The default.
    #[arg(long, conflicts_with = "live")]
    pub(crate) paper: bool,
    /// Trade an account's money through the bridge of --config.
    #[arg(long, requires_all = ["account", "config", "trust"])]
    pub(crate) live: bool,
    /// Number of the account; live, it must be the one that the terminal is logged in to.
    #[arg(long)]
    pub(crate) account: Option<u64>,
    /// A public key whose promotions are trusted; may be repeated.
    #[arg(long, value_name = "KEY")]
    pub(crate) trust: Vec<String>,
    /// On paper: the account is opened at the close of the last bar before this time, UTC.
    #[arg(long, default_value = "2023-03-01")]
    pub(crate) from: String,
    /// On paper: the tape ends here, UTC; with the data if left out.
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// On paper: so many times as fast as the wall clock; 0 for as fast as it goes.
    #[arg(long, default_value_t = 60.0)]
    pub(crate) speed: f64,
    /// On paper: how long an order is under way to the broker, in milliseconds of the tape's time.
    #[arg(long, default_value_t = 0)]
    pub(crate) latency_ms: u64,
    /// On paper: overrides a field of the artefact's config; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Folder of the journal, to begin or to go on from.
    #[arg(long, default_value = "live")]
    pub(crate) state: PathBuf,
    /// TOML of limits, alerts and the bridge.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Where the API listens; port 0 for any that is free.
    #[arg(long, default_value = "127.0.0.1:8230")]
    pub(crate) listen: String,
    /// File of the API's token; one is made in the state folder if left out.
    #[arg(long)]
    pub(crate) token_file: Option<PathBuf>,
    /// File of the base32 secret of one-time passwords; without it nothing is obeyed that needs one.
    #[arg(long)]
    pub(crate) totp_file: Option<PathBuf>,
    /// A policy that decides beside, without trading.
    #[arg(long, value_name = "ARTEFACT")]
    pub(crate) shadow: Option<PathBuf>,
    /// Print nothing but errors.
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Where a loop is asked.
#[derive(Debug, Args)]
pub(crate) struct LoopArgs {
    /// Where its API listens.
    #[arg(long, default_value = "http://127.0.0.1:8230")]
    pub(crate) url: String,
    /// Folder of its journal, for the token that was made there.
    #[arg(long, default_value = "live")]
    pub(crate) state: PathBuf,
    /// File of the API's token.
    #[arg(long)]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Why, for the journal.
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) at: LoopArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ConfirmedArgs {
    /// Why, for the journal.
    pub(crate) why: String,
    /// The one-time password of this moment.
    #[arg(long)]
    pub(crate) totp: String,
    #[command(flatten)]
    pub(crate) at: LoopArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LiveCommand {
    /// How a loop stands.
    Status {
        #[command(flatten)]
        at: LoopArgs,
    },
    /// Open nothing more; what is held stays.
    Pause(WhyArgs),
    /// Stop trading; flat or frozen, as configured.
    Kill(WhyArgs),
    /// Go on, after a pause or a kill.
    Resume(ConfirmedArgs),
    /// Say that somebody is there: without it the dead-man's switch (`operator.silence_s`) kills the loop.
    Heartbeat {
        #[command(flatten)]
        at: LoopArgs,
    },
    /// Take the broker's books over as they are, after a look at what differs.
    Reconcile {
        /// Why.
        #[arg(long, value_name = "WHY")]
        adopt: String,
        /// The one-time password of this moment.
        #[arg(long)]
        totp: String,
        #[command(flatten)]
        at: LoopArgs,
    },
    /// Let another policy decide from the next bar on.
    Swap {
        /// Folder of its artefact, on the loop's machine.
        artefact: PathBuf,
        #[command(flatten)]
        confirmed: ConfirmedArgs,
    },
    /// Let the policy before the last swap decide again.
    Rollback(ConfirmedArgs),
    /// Set a limit of the loop's own.
    Limit {
        /// Which, as `status` and the API name them.
        name: String,
        /// From now on.
        #[arg(long, required_unless_present = "none", conflicts_with = "none")]
        value: Option<f64>,
        /// From now on there is none.
        #[arg(long)]
        none: bool,
        #[command(flatten)]
        confirmed: ConfirmedArgs,
    },
    /// Live through a journal again from its inputs alone, and compare.
    Replay {
        /// Folder of the journal.
        journal: PathBuf,
        /// Folder of the artefact, where it is no longer where it was.
        #[arg(long)]
        artefact: Option<PathBuf>,
    },
    /// Step the bars of a paper journal through the training environment, and compare.
    Compare {
        /// Folder of the journal.
        journal: PathBuf,
        /// Overrides of the artefact's config, as they were given to `serve`.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Say how the policy that only watched (`serve --shadow`) compares with the one that traded.
    Shadow {
        /// Folder of the journal.
        journal: PathBuf,
    },
    /// Compare account and instrument behind the bridge with what the artefact was trained on.
    Preflight {
        /// Folder of an artefact, or of its run.
        artefact: PathBuf,
        /// TOML with the bridge.
        #[arg(long)]
        config: PathBuf,
        /// Number of the account.
        #[arg(long)]
        account: u64,
    },
}
