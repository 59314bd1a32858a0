//! Promotion: a policy that passes a gate gets a signed record; one that does not, a table of what it misses and by how much.

mod evidence;
mod gate;
mod luck;
mod stress;

use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_core::clock::Clock;
use cambist_runs::promotion::{PromotionError, Promotions, Record, Revocation, Signed};
use cambist_runs::signing::{PublicKey, SecretKey};
use cambist_runs::{RunFolder, artefact};

use crate::artefact::Artefact;
use crate::error::LabError;
use crate::run::Machine;

pub use evidence::{ChosenIn, Hear};
pub use gate::{Finding, Gate};
pub(crate) use luck::{BLOCKS, deflated};
pub use luck::{GateCheck, check_gate};

/// What came of an attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Everything the gate asked for.
    pub findings: Vec<Finding>,
    /// What the gate did not look at, though a gate can.
    pub not_asked: Vec<&'static str>,
    /// The promotion, where all is met and a key was given.
    pub promoted: Option<(Signed, PathBuf)>,
}

impl Attempt {
    /// Whether all is met.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.iter().all(Finding::passed)
    }
}

/// Puts `run` to the gate at `gate`, and signs with `key` what passes. Whatever comes of it is kept in the run's folder as
/// `promotion-attempt.json`.
///
/// # Errors
/// When the gate or the run cannot be used; a policy that fails is no error.
pub fn promote(
    run: &RunFolder,
    gate: &Path,
    chosen_in: Option<&ChosenIn>,
    key: Option<&SecretKey>,
    machine: &Machine,
    clock: &dyn Clock,
    hear: &mut Hear<'_>,
) -> Result<Attempt, LabError> {
    let (gate, gate_hash) = Gate::read(gate)?;
    let hash = artefact_hash(run)?;
    let case = evidence::Case::open(&gate, run, chosen_in, machine, clock)?;
    let findings = case.findings(hear)?;
    let mut attempt = Attempt { findings, not_asked: gate.not_asked(), promoted: None };
    let evidence = serde_json::json!({
        "gate": gate,
        "findings": attempt.findings,
        "not_asked": attempt.not_asked,
        "study": chosen_in.map(|c| &c.study),
    });
    let now = clock.now();
    let kept = serde_json::json!({ "at": now.to_string(), "passed": attempt.passed(), "evidence": evidence });
    run.write("promotion-attempt.json", &serde_json::to_string_pretty(&kept)?)?;
    let event = serde_json::json!({ "gate": gate.name, "passed": attempt.passed() });
    run.log(now, "promotion", &event)?;
    if let (true, Some(key)) = (attempt.passed(), key) {
        const DAY: i64 = 86_400_000_000_000;
        let record = Record {
            artefact: hash,
            run: run.name(),
            gate: (gate.name.clone(), gate_hash),
            evidence,
            issued: now.0,
            expires: now.0 + i64::from(gate.valid_days) * DAY,
            signer: key.public().to_string(),
        };
        let signed = record.sign(key);
        let path = Promotions::of(&machine.runs).keep(&signed)?;
        attempt.promoted = Some((signed, path));
    }
    Ok(attempt)
}

/// The study whose trials count for `run`: the one its config was chosen in, which cannot be exchanged for `named`; or that one, where its
/// config says none.
///
/// # Errors
/// When its artefact cannot be read, or another study is named.
pub fn study_of(run: &RunFolder, named: Option<&str>) -> Result<Option<String>, LabError> {
    let own = Artefact::load(run)?.0.config.run.study;
    match (own.is_empty(), named) {
        (true, named) => Ok(named.map(str::to_owned)),
        (false, Some(named)) if named != own => Err(LabError::OtherStudy { own, named: named.to_owned() }),
        (false, _) => Ok(Some(own)),
    }
}

/// Hash of the artefact of `run`, its files checked against it.
fn artefact_hash(run: &RunFolder) -> Result<String, LabError> {
    Ok(artefact::load::<serde_json::Value>(&run.artefact())?.hash)
}

/// Whether the artefact of `run` may trade now, for one who trusts `trusted`: the newest promotion that says so.
///
/// # Errors
/// Why none does.
pub fn verify(
    run: &RunFolder,
    trusted: &[PublicKey],
    machine: &Machine,
    now: UnixNanos,
) -> Result<Signed, LabError> {
    let hash = artefact_hash(run)?;
    let promotions = Promotions::of(&machine.runs);
    let (all, revocations) = (promotions.list()?, promotions.revocations()?);
    let mut own: Vec<&Signed> = all.iter().filter(|p| p.record.run == run.name()).collect();
    own.sort_by_key(|p| std::cmp::Reverse(p.record.issued));
    let mut last: Option<PromotionError> = None;
    for promotion in own {
        match promotion.verify(&hash, trusted, &revocations, now) {
            Ok(()) => return Ok(promotion.clone()),
            Err(error) => last = last.or(Some(error)),
        }
    }
    Err(last.map_or_else(|| LabError::NotPromoted(run.name()), LabError::Promotion))
}

/// Takes back the promotions of `run` that `key` signed.
///
/// # Errors
/// When there are none, or a revocation cannot be written.
pub fn revoke(
    run: &str,
    why: &str,
    key: &SecretKey,
    machine: &Machine,
    now: UnixNanos,
) -> Result<Vec<PathBuf>, LabError> {
    let promotions = Promotions::of(&machine.runs);
    let signer = key.public().to_string();
    let all = promotions.list()?;
    // What is taken back does not come again: one run, and no doubt which.
    let mut names: Vec<&str> = all.iter().map(|p| p.record.run.as_str()).collect();
    names.dedup();
    let fitting: Vec<&str> =
        names.into_iter().filter(|n| *n == run || (!run.is_empty() && n.starts_with(run))).collect();
    let exact = fitting.iter().copied().find(|n| *n == run);
    let only = if let [one] = fitting[..] { Some(one) } else { None };
    let run = exact.or(only).ok_or_else(|| LabError::NotPromoted(run.to_owned()))?;
    let mut out = Vec::new();
    for own in all.iter().filter(|p| p.record.run == run && p.record.signer == signer) {
        out.push(promotions.revoke(&Revocation::sign(own, why, now, key))?);
    }
    if out.is_empty() { Err(LabError::NotPromoted(run.to_owned())) } else { Ok(out) }
}

/// A promotion and how it stands.
///
/// # Errors
/// When a record cannot be read.
pub fn list(machine: &Machine, now: UnixNanos) -> Result<Vec<(Signed, String)>, LabError> {
    let promotions = Promotions::of(&machine.runs);
    let revocations = promotions.revocations()?;
    let standing = |p: &Signed| {
        // Whether it holds in itself; whom to trust is for each to say.
        let signer = PublicKey::parse(&p.record.signer);
        let verified = signer.map(|key| p.verify(&p.record.artefact, &[key], &revocations, now));
        match verified {
            Ok(Ok(())) => "holds".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    };
    Ok(promotions.list()?.into_iter().map(|p| (p.clone(), standing(&p))).collect())
}
