//! `cambist check`.

use std::path::Path;
use std::sync::atomic::Ordering;

use cambist_core::clock::SystemClock;
use cambist_lab::learning::{
    Budget, Exercise as Which, LearningRequest, OracleMarket, Row, Unit, check_learning,
};
use cambist_lab::ledger::random_accounts;
use cambist_lab::promote::{Gate, check_gate};
use cambist_lab::study::SamplerKind;
use cambist_lab::study::functions::check_search;
use cambist_lab::{Layers, check};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{
    CheckCommand, CheckGateArgs, CheckSearchArgs, ConfigArgs, Exercise, LearningArgs, MachineArgs,
    SamplerName,
};
use crate::progress::{SAVING, interruption};
use crate::{output, table};

pub(crate) fn run(command: &CheckCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    match command {
        CheckCommand::Env(args) => env(args, machine),
        CheckCommand::Learning(args) => learning(args, machine),
        CheckCommand::Search(args) => search(args),
        CheckCommand::Gate(args) => gate(args),
        CheckCommand::Ledger { orders, seed, out } => ledger(*orders, *seed, out),
    }
}

fn env(args: &ConfigArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let layers = Layers::read(args.config.as_deref(), &args.set)?;
    let report = check::env(&layers, &machine.machine())?;
    output::line(&format!(
        "The environment keeps the contract: {} episodes side by side, {} columns, {} steps each, {} truncated, {} \
         terminated; rewards from {:.4} to {:.4}, observations within ±{:.2}; equal twice from one seed.",
        report.n_envs,
        report.observation_width,
        report.n_steps,
        report.n_truncated,
        report.n_terminated,
        report.reward_range.0,
        report.reward_range.1,
        report.observation_bound
    ));
    Ok(())
}

fn search(args: &CheckSearchArgs) -> anyhow::Result<()> {
    let sampler = match args.sampler {
        SamplerName::Random => SamplerKind::Random,
        SamplerName::Tpe => SamplerKind::Tpe,
        SamplerName::Cmaes => SamplerKind::Cmaes,
        SamplerName::Gp => SamplerKind::Gp,
    };
    let found = check_search(sampler, args.seeds, args.trials)?;
    if args.json {
        output::line(&serde_json::to_string(&found)?);
        return Ok(());
    }
    output::line(&format!("{:?}: best of {} trials, {} seeds", sampler, args.trials, args.seeds));
    for one in &found {
        let [low, high] = one.quartiles;
        output::line(&format!(
            "{:<12} median {:<12.5} quartiles {low:.5} to {high:.5}",
            one.function, one.median
        ));
    }
    Ok(())
}

fn gate(args: &CheckGateArgs) -> anyhow::Result<()> {
    let (gate, _) = Gate::read(&args.gate)?;
    let limits = [gate.deflated_sharpe, gate.pbo];
    let found = check_gate(args.matrices, args.trials, args.years, args.sharpe, limits);
    output::line(&format!(
        "{} matrices of {} trials and {} years of days, deflated Sharpe ratio at least {} and PBO at most {}:\n\
         all worthless: {:.1} % promoted\n\
         one with an annual Sharpe ratio of {}: {:.1} % promoted, rightly; the formula predicts {:.1} %",
        found.n,
        found.trials,
        found.years,
        limits[0],
        limits[1],
        100.0 * found.false_promotions,
        found.sharpe,
        100.0 * found.power,
        100.0 * found.predicted
    ));
    Ok(())
}

fn ledger(orders: u64, seed: u64, out: &Path) -> anyhow::Result<()> {
    let run = random_accounts(orders, seed, out)?;
    output::line(&format!(
        "{} orders ({} refused) and {} events made {} deals and {} stop-outs in {} accounts, worth {:.0} in all; check \
         them with: python3 scripts/ledger.py {}",
        run.orders,
        run.refused,
        run.events,
        run.deals,
        run.stop_outs,
        run.accounts,
        run.turnover,
        out.display()
    ));
    Ok(())
}

fn learning(args: &LearningArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let which = |e: &Exercise| match e {
        Exercise::A => Which::Quadratic,
        Exercise::B => Which::Proportional,
        Exercise::BContinuous => Which::Continuous,
        Exercise::C => Which::Banded,
        Exercise::Oracle => Which::Oracle,
        Exercise::Null => Which::Null,
        Exercise::Memory => Which::Memory,
        Exercise::Cartpole => Which::CartPole,
        Exercise::Pendulum => Which::Pendulum,
    };
    let request = LearningRequest {
        exercises: args.markets.iter().map(which).collect(),
        n_seeds: args.seeds,
        budget: Budget { steps: args.steps, n_threads: machine.machine().n_threads },
        rho: args.rho,
        s: args.s,
        lambda: args.lambda,
        phi: args.phi,
        psi: args.psi,
        cap: args.cap,
        oracle: OracleMarket::scaled(args.oracle_psi, args.oracle_lambda)?,
        lags: args.lags.clone(),
    };
    let stop = interruption(SAVING)?;
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    bar.set_style(
        ProgressStyle::with_template("{bar:24} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let rows = check_learning(&request, &SystemClock::start(), &mut |what, done, all| {
        bar.set_length(all);
        bar.set_position(done);
        bar.set_message(what.to_owned());
        !stop.load(Ordering::SeqCst)
    })?;
    bar.finish_and_clear();
    if args.json {
        for row in &rows {
            output::line(&serde_json::to_string(row)?);
        }
    } else {
        output::line(&text(&rows));
    }
    if let Some(folder) = &args.out {
        for file in cambist_lab::learning::write_pictures(folder, &rows)? {
            output::line(&format!("drawn    {file}"));
        }
    }
    let failed: Vec<&str> = rows.iter().filter(|r| !r.passed).map(|r| r.market.as_str()).collect();
    anyhow::ensure!(failed.is_empty(), "below what learning must reach: {}", failed.join(", "));
    Ok(())
}

fn text(rows: &[Row]) -> String {
    let head = [
        "market",
        "seeds",
        "mean",
        "worst",
        "std. error",
        "cost left",
        "rule learned",
        "rule exact",
        "needed",
        "steps",
        "s a seed",
        "passed",
    ];
    let body: Vec<Vec<String>> = rows
        .iter()
        .map(|r| {
            let shown = |v: f64| match r.unit {
                Unit::Share => format!("{:.2} %", 100.0 * v),
                Unit::Return => format!("{v:.1}"),
            };
            vec![
                r.market.clone(),
                r.n_seeds.to_string(),
                shown(r.mean),
                shown(r.worst),
                r.standard_error.map_or("–".into(), shown),
                r.cost_left.map_or("–".into(), |v| format!("{:.2} %", 100.0 * v)),
                r.learned_rule.map_or("–".into(), |v| format!("{v:.3}")),
                r.exact_rule.map_or("–".into(), |v| format!("{v:.3}")),
                r.needed.clone(),
                r.steps.to_string(),
                format!("{:.1}", r.seconds),
                if r.passed { "yes" } else { "NO" }.to_owned(),
            ]
        })
        .collect();
    table::text(&head.map(str::to_owned), &body)
}
