//! The command line: words to functions of the lab, and what they return to text. Nothing is computed here.

mod args;
mod backtest;
mod bench;
mod breakdown;
mod bridge;
mod check;
mod config;
mod costs;
mod cross_validation;
mod data;
mod ensemble;
mod live;
mod output;
mod preflight;
mod progress;
mod promote;
mod regime;
mod runs;
mod serve;
mod sweep;
mod table;
mod terminal;
mod train;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Train(args) => return ended(train::train(&args, &cli.machine)),
        Command::CrossValidate(args) => return ended(cross_validation::run(&args, &cli.machine)),
        Command::Evaluate(args) => match args.by {
            Some(by) => breakdown::run(&args, by, &cli.machine),
            None => train::evaluate(&args, &cli.machine),
        },
        Command::Config { command } => config::run(&command),
        Command::Backtest(args) => backtest::run(&args, &cli.machine),
        Command::Sweep(args) => return ended(sweep::run(&args, &cli.machine)),
        Command::Runs { command } => runs::run(&command, &cli.machine),
        Command::Logs(args) => runs::logs(&args, &cli.machine),
        Command::Promote(args) => return ended(promote::run(&args, &cli.machine)),
        Command::Ensemble(args) => ensemble::run(&args, &cli.machine),
        Command::Unseal(args) => train::unseal(&args, &cli.machine),
        Command::Terminal { command } => terminal::run(&command, &cli.machine),
        Command::Serve(args) => serve::run(&args, &cli.machine),
        Command::Live { command } => live::run(&command, &cli.machine),
        Command::Bridge { command } => bridge::run(&command),
        Command::Costs { command } => costs::run(&command, &cli.machine),
        Command::Regime { command } => regime::run(&command, &cli.machine),
        Command::Data { command } => data::run(*command, &cli.machine),
        Command::Check { command } => check::run(&command, &cli.machine),
        Command::Bench { command } => bench::run(&command, &cli.machine),
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

fn ended(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            // One line: the cause is part of the text, so a chain would say it twice.
            output::error(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
