//! `cambist promote`.

use std::path::Path;
use std::process::ExitCode;

use cambist_core::clock::{Clock, SystemClock};
use cambist_lab::promote::{Attempt, ChosenIn, list, promote, revoke, verify};
use cambist_lab::run::{Machine, find};
use cambist_lab::signing::{PublicKey, SecretKey, generate, open};

use crate::args::{MachineArgs, PromoteArgs, PromoteCommand};
use crate::{output, table};

/// Read from the environment, or asked for.
const PASSPHRASE: &str = "CAMBIST_KEY_PASSPHRASE";

fn passphrase() -> anyhow::Result<String> {
    match std::env::var(PASSPHRASE) {
        Ok(text) => Ok(text),
        Err(_) => Ok(rpassword::prompt_password("passphrase of the signing key: ")
            .map_err(|e| anyhow::anyhow!("the passphrase cannot be asked for ({e}): set {PASSPHRASE}"))?),
    }
}

fn key(path: &Path) -> anyhow::Result<SecretKey> {
    Ok(open(path, &passphrase()?)?)
}

pub(crate) fn run(args: &PromoteArgs, machine: &MachineArgs) -> anyhow::Result<ExitCode> {
    let (machine, clock) = (machine.machine(), SystemClock::start());
    match (&args.command, &args.run) {
        (Some(PromoteCommand::Keygen { out }), _) => {
            let public = generate(out, &passphrase()?)?;
            output::line(&format!(
                "key      {}, encrypted; keep it off the machines that trade",
                out.display()
            ));
            output::line(&format!("public   {public}"));
        }
        (Some(PromoteCommand::List), _) => {
            let head = ["run", "gate", "issued", "expires", "signer", "stands"].map(str::to_owned);
            let stamp = |at| cambist_core::UnixNanos(at).to_string();
            let rows: Vec<Vec<String>> = list(&machine, clock.now())?
                .into_iter()
                .map(|(p, stands)| {
                    let r = &p.record;
                    let signer = r.signer.get(..12).unwrap_or(&r.signer).to_owned();
                    vec![r.run.clone(), r.gate.0.clone(), stamp(r.issued), stamp(r.expires), signer, stands]
                })
                .collect();
            if rows.is_empty() {
                output::line("nothing is promoted");
            } else {
                output::line(&table::with_notes(&head, &rows));
            }
        }
        (Some(PromoteCommand::Verify { run, trust }), _) => {
            let trusted = trust.iter().map(|t| PublicKey::parse(t)).collect::<Result<Vec<_>, _>>()?;
            let signed = verify(&find(&machine, run)?, &trusted, &machine, clock.now())?;
            let until = cambist_core::UnixNanos(signed.record.expires);
            output::line(&format!(
                "{} may trade until {until}: gate {}, artefact {}",
                signed.record.run, signed.record.gate.0, signed.record.artefact
            ));
        }
        (Some(PromoteCommand::Revoke { run, why, key: path }), _) => {
            for file in revoke(run, why, &key(path)?, &machine, clock.now())? {
                output::line(&format!("revoked  {}", file.display()));
            }
        }
        (None, Some(run)) => return attempt(args, run, &machine, &clock),
        (None, None) => anyhow::bail!("name the run to promote, such as `cambist promote latest`"),
    }
    Ok(ExitCode::SUCCESS)
}

fn attempt(
    args: &PromoteArgs,
    run: &str,
    machine: &Machine,
    clock: &SystemClock,
) -> anyhow::Result<ExitCode> {
    let folder = find(machine, run)?;
    let storage = args
        .storage
        .clone()
        .unwrap_or_else(|| format!("sqlite:///{}", machine.runs.join("studies.sqlite").display()));
    let study = cambist_lab::promote::study_of(&folder, args.study.as_deref())?;
    let chosen_in = study.map(|study| ChosenIn { storage, study });
    // Asked for before the work, which takes a while.
    let key = args.key.as_deref().map(key).transpose()?;
    let mut hear = |what: &str| output::error(&format!("looking at {what}"));
    let attempt = promote(&folder, &args.gate, chosen_in.as_ref(), key.as_ref(), machine, clock, &mut hear)?;
    output::line(&findings(&attempt));
    if !attempt.not_asked.is_empty() {
        output::line(&format!("Not asked by this gate: {}.", attempt.not_asked.join(", ")));
    }
    if !attempt.passed() {
        let missed = attempt.findings.iter().filter(|f| !f.passed()).count();
        output::line(&format!("Refused: {missed} of {} requirements are not met.", attempt.findings.len()));
        return Ok(ExitCode::from(2));
    }
    match &attempt.promoted {
        Some((signed, path)) => output::line(&format!(
            "Promoted: {} may trade until {}; signed by {}\npromotion {}",
            signed.record.run,
            cambist_core::UnixNanos(signed.record.expires),
            signed.record.signer,
            path.display()
        )),
        None => output::line("All requirements are met; nothing is signed without --key."),
    }
    Ok(ExitCode::SUCCESS)
}

fn findings(attempt: &Attempt) -> String {
    let head = ["", "found", "asked", "missed by", "what it says"].map(str::to_owned);
    let number = |x: f64| format!("{x:.3}");
    let rows: Vec<Vec<String>> = attempt
        .findings
        .iter()
        .map(|f| {
            let asked = format!("{} {}", if f.at_least { "at least" } else { "at most" }, number(f.limit));
            let missed = match (f.passed(), f.missed_by()) {
                (true, _) => "met".to_owned(),
                (_, Some(by)) => number(by),
                (_, None) => "cannot be told".to_owned(),
            };
            vec![f.name.clone(), f.value.map_or("–".to_owned(), number), asked, missed, f.note.clone()]
        })
        .collect();
    table::with_notes(&head, &rows)
}
