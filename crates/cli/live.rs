//! `cambist live`.

use std::sync::Arc;

use cambist_core::clock::SystemClock;
use cambist_lab::live::{Compared, Difference, compare};
use cambist_live::api::secret_of;
use cambist_live::{Operator, compare_shadow, replay};
use serde_json::{Value, json};

use crate::args::{ConfirmedArgs, LiveCommand, LoopArgs, MachineArgs, WhyArgs};
use crate::output;

/// Differences that are shown.
const SHOWN: usize = 10;

pub(crate) fn run(command: &LiveCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    match command {
        LiveCommand::Status { at } => {
            output::line(&serde_json::to_string_pretty(&operator(at)?.ask("/status", None)?)?);
            Ok(())
        }
        LiveCommand::Pause(args) => tell("/pause", args),
        LiveCommand::Kill(args) => tell("/kill", args),
        LiveCommand::Resume(args) => confirm("/resume", args, json!({})),
        LiveCommand::Rollback(args) => confirm("/rollback", args, json!({})),
        LiveCommand::Swap { artefact, confirmed } => {
            let artefact = std::path::absolute(artefact)?;
            confirm("/swap", confirmed, json!({ "artefact": artefact }))
        }
        LiveCommand::Heartbeat { at } => done(operator(at)?.ask("/heartbeat", Some(json!({})))?),
        LiveCommand::Limit { name, value, none: _, confirmed } => {
            confirm("/limit", confirmed, json!({ "name": name, "value": value }))
        }
        LiveCommand::Reconcile { adopt, totp, at } => {
            done(operator(at)?.ask("/adopt", Some(json!({ "why": adopt, "totp": totp })))?)
        }
        LiveCommand::Replay { journal, artefact } => {
            let found = replay(journal, artefact.as_deref())?;
            output::line(&format!(
                "{} records: {} decisions, {} orders, {} fills; balance {:.2}, {} lot steps",
                found.records, found.decisions, found.orders, found.fills, found.books.0, found.books.1
            ));
            let shown = found.differences.iter().take(SHOWN);
            shown.for_each(|(seq, d)| {
                output::line(&format!(
                    "record {seq}: {} was {}, is {}",
                    d.what,
                    short(&d.written),
                    short(&d.now)
                ));
            });
            zero(found.differences.len())
        }
        LiveCommand::Compare { journal, set } => {
            let clock = Arc::new(SystemClock::start());
            let found = compare(journal, &machine.data_dir, set, clock)?;
            output::line(&format!(
                "{} bars, {} trades; equity {} live, {} in the environment",
                found.bars, found.trades, found.equity[0], found.equity[1]
            ));
            for Difference { bar, what, live, here } in found.differences.iter().take(SHOWN) {
                output::line(&format!("{bar}: {what} is {} live, {} there", short(live), short(here)));
            }
            attributed(&found)
        }
        LiveCommand::Shadow { journal } => {
            let found = compare_shadow(journal)?;
            let rows = [
                ("gross log return", found.gross.map(|value| plain(value, 5))),
                ("turnover", found.turnover.map(|value| format!("{value:.1}"))),
            ];
            output::line(&format!(
                "{} bars, shadow {}: the same side on {:.1} % of them, targets {:.3} apart",
                found.n_bars,
                short_hash(&found.shadow),
                100.0 * found.same_side,
                found.difference
            ));
            for (name, [traded, watched]) in rows {
                output::line(&format!("{name:<18}{traded} traded, {watched} watched"));
            }
            Ok(())
        }
        LiveCommand::Preflight { .. } => crate::preflight::run(command),
    }
}

fn zero(differences: usize) -> anyhow::Result<()> {
    output::line(&format!("{differences} differences"));
    anyhow::ensure!(differences == 0, "{differences} differences: this is not what was decided");
    Ok(())
}

/// Says what makes the difference of live and environment, and refuses what nothing explains.
fn attributed(found: &Compared) -> anyhow::Result<()> {
    let Some(why) = &found.attribution else { return zero(found.differences.len()) };
    for fill in why.fills.iter().filter(|fill| fill.differs()).take(SHOWN) {
        let [live, there] = fill.prices;
        let [latency, spread, slippage] = fill.parts.map(|part| plain(part, 5));
        output::line(&format!(
            "{}: {:+} lots at {live:.5} live, {there:.5} at the open: latency {latency}, spread {spread}, slippage {slippage}",
            fill.time, fill.lots
        ));
    }
    output::line(&format!(
        "live less the same orders filled at the open: {}, of it latency {} (stops that one side alone reached {}), spread {}, slippage {}, \
         commission and swap {}; left over {}",
        plain(why.total, 2),
        plain(why.latency, 2),
        plain(why.exits, 2),
        plain(why.spread, 2),
        plain(why.slippage, 2),
        plain(why.charges, 2),
        plain(why.left_over(), 2)
    ));
    output::line(&format!(
        "{} differences, {} fills of {} at other prices",
        found.differences.len(),
        why.fills.iter().filter(|fill| fill.differs()).count(),
        why.fills.len(),
    ));
    anyhow::ensure!(
        found.unexplained.is_empty(),
        "neither latency, spread nor slippage explains it: {}",
        found.unexplained.join("; ")
    );
    Ok(())
}

fn short_hash(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// With its sign, but no negative zero.
fn plain(value: f64, decimals: usize) -> String {
    let unit = 10f64.powi(decimals as i32);
    format!("{:+.decimals$}", (value * unit).round() / unit + 0.0)
}

fn short(text: &str) -> String {
    let cut: String = text.chars().take(120).collect();
    if cut.len() < text.len() { format!("{cut} …") } else { cut }
}

fn operator(at: &LoopArgs) -> anyhow::Result<Operator> {
    let path = at.token_file.clone().unwrap_or_else(|| at.state.join("token"));
    Ok(Operator::new(&at.url, secret_of(&path)?)?)
}

fn done(_: Value) -> anyhow::Result<()> {
    output::line("done");
    Ok(())
}

fn tell(path: &str, args: &WhyArgs) -> anyhow::Result<()> {
    done(operator(&args.at)?.ask(path, Some(json!({ "why": args.why })))?)
}

fn confirm(path: &str, args: &ConfirmedArgs, mut body: Value) -> anyhow::Result<()> {
    body["why"] = json!(args.why);
    body["totp"] = json!(args.totp);
    done(operator(&args.at)?.ask(path, Some(body))?)
}
