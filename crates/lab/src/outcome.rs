//! What a run came to: its judgement, the file that says it is finished, and what the registry hears of it.

use cambist_core::clock::Clock;
use cambist_evaluate::judgement::scorecards;
use cambist_evaluate::windows::{Fold, Span};
use cambist_evaluate::{Judgement, Scorecard, Track};
use cambist_runs::{RunFolder, RunRecord, Status};
use serde_json::Value;

use crate::config::Config;
use crate::error::LabError;
use crate::evaluate::{Judging, judge_and_report};
use crate::market::Market;
use crate::run::Machine;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its folder.
    pub folder: RunFolder,
    /// Hash of its artefact; of a walk-forward, of the last fold's.
    pub artefact_hash: String,
    /// Its judgement on the test window, or over all folds' tests.
    pub judgement: Judgement,
    /// Scorecards of every fold's test alone: policy first, then baselines.
    pub folds: Vec<Vec<Scorecard>>,
    /// Bars without features after an outage, and all bars.
    pub blind: (usize, usize),
    /// Members of its policy.
    pub n_members: usize,
    /// The policy's orders that the broker refused, and why the last of them was.
    pub refused: (u64, String),
}

/// A trained run that is to be judged.
pub(crate) struct Concluding<'a> {
    pub(crate) folder: &'a RunFolder,
    pub(crate) config: &'a Config,
    pub(crate) market: &'a Market,
    pub(crate) machine: &'a Machine,
    /// Hash of its artefact, or of its last.
    pub(crate) artefact_hash: &'a str,
    pub(crate) folds: &'a [Fold],
    pub(crate) n_members: usize,
}

/// Holds a run's outcome once it is finished.
const OUTCOME: &str = "outcome.json";

impl Outcome {
    /// Judges `tracks`, policy first, over the tests of all folds.
    pub(crate) fn of(
        concluding: &Concluding<'_>,
        tracks: &[Track],
        clock: &dyn Clock,
    ) -> Result<Self, LabError> {
        let Concluding { folder, config, market, machine, artefact_hash, folds, n_members } = *concluding;
        let judging = Judging {
            window: if folds.len() > 1 { "walk-forward" } else { "test" },
            suffix: "",
            span: Span { from: folds[0].test.from, until: folds[folds.len() - 1].test.until },
            folder,
            config,
            artefact_hash,
            fingerprint: &market.fingerprint,
            machine,
        };
        Ok(Self {
            folder: folder.clone(),
            artefact_hash: artefact_hash.to_owned(),
            judgement: judge_and_report(&judging, tracks, clock)?,
            folds: scorecards(tracks).into_iter().collect(),
            blind: (market.n_blind(config.decision.window), market.tape.len()),
            n_members,
            refused: tracks.first().map_or((0, String::new()), |own| (own.refused, own.refusal.clone())),
        })
    }

    /// Writes down that the run is finished.
    pub(crate) fn keep(&self) -> Result<(), LabError> {
        let value = serde_json::json!({ "artefact": self.artefact_hash, "judgement": self.judgement });
        self.folder.write(OUTCOME, &value.to_string())?;
        Ok(())
    }

    /// What the registry keeps of it.
    pub(crate) fn standing(&self) -> Result<Standing, LabError> {
        let metrics = serde_json::to_value(&self.judgement.scores[0])?;
        Ok(Standing { status: Status::Finished, artefact: Some(self.artefact_hash.clone()), metrics })
    }
}

/// Whether the run in `folder` is finished.
pub(crate) fn is_finished(folder: &RunFolder) -> bool {
    folder.path().join(OUTCOME).is_file()
}

/// How a run stands when it ends.
pub(crate) struct Standing {
    pub(crate) status: Status,
    pub(crate) artefact: Option<String>,
    pub(crate) metrics: Value,
}

impl Standing {
    /// Of a run that can go on.
    pub(crate) fn interrupted() -> Self {
        Self { status: Status::Interrupted, artefact: None, metrics: serde_json::json!({}) }
    }
}

/// Does `work`, the run in `folder`, and the registry hears how it began and ended.
pub(crate) fn registered<T>(
    folder: &RunFolder,
    config: &Config,
    tag: Option<&str>,
    machine: &Machine,
    clock: &dyn Clock,
    work: impl FnOnce() -> Result<T, LabError>,
    standing: impl FnOnce(&T) -> Result<Standing, LabError>,
) -> Result<T, LabError> {
    let (registry, name) = (machine.registry(&folder.root())?, folder.name());
    registry.begin(&RunRecord {
        name: name.clone(),
        experiment: config.raw.run.name.clone(),
        market: config.market_name(),
        seed: config.raw.run.seed,
        status: Status::Running,
        begun: clock.now().0,
        ended: None,
        artefact: None,
        config: serde_json::to_value(&config.raw)?,
        metrics: Value::Null,
        note: String::new(),
        tags: Vec::new(),
    })?;
    tag.map_or(Ok(()), |tag| registry.tag(&name, tag, true))?;
    let done = work();
    match done.as_ref().map(standing) {
        Ok(standing) => {
            let Standing { status, artefact, metrics } = standing?;
            registry.ended(&name, status, clock.now(), artefact.as_deref(), &metrics, "")?;
        }
        Err(error) => {
            let (none, note) = (serde_json::json!({}), error.to_string());
            // The first error is the one to report.
            drop(registry.ended(&name, Status::Failed, clock.now(), None, &none, &note));
        }
    }
    done
}

/// Tells the registry of a finished run what it did not hear.
pub(crate) fn settle(folder: &RunFolder, machine: &Machine, clock: &dyn Clock) -> Result<(), LabError> {
    let registry = machine.registry(&folder.root())?;
    let name = folder.name();
    if !registry.runs()?.iter().any(|run| run.name == name && run.status == Status::Running) {
        return Ok(());
    }
    let path = folder.path().join(OUTCOME);
    let text = std::fs::read_to_string(&path).map_err(cambist_store::FileError::on("read", &path))?;
    let outcome: Value = serde_json::from_str(&text)?;
    let metrics = &outcome["judgement"]["scores"][0];
    registry.ended(&name, Status::Finished, clock.now(), outcome["artefact"].as_str(), metrics, "")?;
    Ok(())
}
