//! Words of promotions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PromoteArgs {
    /// The run: its name, the beginning of it, its path, or `latest`.
    pub(crate) run: Option<String>,
    /// The gate: what it must show.
    #[arg(long, default_value = "configs/gates/live.toml")]
    pub(crate) gate: PathBuf,
    /// The study it was chosen in.
    #[arg(long)]
    pub(crate) study: Option<String>,
    /// Where that study is kept; a file beside the runs if left out.
    #[arg(long, env = "CAMBIST_STORAGE")]
    pub(crate) storage: Option<String>,
    /// The signing key; its passphrase is read from CAMBIST_KEY_PASSPHRASE, or asked for.
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<PromoteCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PromoteCommand {
    /// Make a signing key, encrypted by a passphrase.
    Keygen {
        /// The file.
        #[arg(long)]
        out: PathBuf,
    },
    /// All promotions, and how they stand.
    List,
    /// Whether a run may trade, for one who trusts these keys.
    Verify {
        /// The run.
        run: String,
        /// A public key; may be repeated.
        #[arg(long, required = true)]
        trust: Vec<String>,
    },
    /// Take a run's promotions back.
    Revoke {
        /// The run: the beginning of its name.
        run: String,
        /// Why.
        #[arg(long)]
        why: String,
        /// The key that signed them.
        #[arg(long)]
        key: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct UnsealArgs {
    /// The run: its name, the beginning of it, its path, or `latest`.
    pub(crate) run: Option<String>,
    /// Who opens them.
    #[arg(long, env = "USER")]
    pub(crate) who: Option<String>,
    /// Why.
    #[arg(long)]
    pub(crate) why: Option<String>,
    /// Only list the openings so far, and check that each follows from the one before. That the newest were taken away shows where
    /// their hashes are kept elsewhere: runs log them.
    #[arg(long)]
    pub(crate) list: bool,
}
