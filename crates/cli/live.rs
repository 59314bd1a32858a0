//! `cambist live`.

use cambist_lab::live::compare;
use cambist_live::api::secret_of;
use cambist_live::{Operator, replay};
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
        LiveCommand::Limit { name, value, confirmed } => {
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
            let found = compare(journal, &machine.data_dir, set)?;
            output::line(&format!(
                "{} bars, {} trades; equity {} live, {} in the environment",
                found.bars, found.trades, found.equity[0], found.equity[1]
            ));
            for (bar, what, live, here) in found.differences.iter().take(SHOWN) {
                output::line(&format!("{bar}: {what} is {} live, {} there", short(live), short(here)));
            }
            zero(found.differences.len())
        }
        LiveCommand::Preflight { .. } => crate::preflight::run(command),
    }
}

fn zero(differences: usize) -> anyhow::Result<()> {
    output::line(&format!("{differences} differences"));
    anyhow::ensure!(differences == 0, "{differences} differences: this is not what was decided");
    Ok(())
}

fn short(text: &str) -> String {
    let cut: String = text.chars().take(120).collect();
    if cut.len() < text.len() { format!("{cut} …") } else { cut }
}

fn operator(at: &LoopArgs) -> anyhow::Result<Operator> {
    let path = at.token_file.clone().unwrap_or_else(|| at.state.join("token"));
    Ok(Operator { url: at.url.clone(), token: secret_of(&path)? })
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
