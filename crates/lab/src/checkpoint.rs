//! What a run writes down so that it can go on, and what is compared before it does.

use cambist_core::state::{decode, encode};
use cambist_policy::ActorCritic;
use cambist_ppo::TrainerState;
use cambist_runs::Checkpoints;
use serde::{Deserialize, Serialize};

use crate::artefact::REVISION;
use crate::config::{Config, RawConfig};
use crate::error::LabError;
use crate::evaluate::same;
use crate::member::{Inheritance, Look};

const WHAT: &str = "a checkpoint";

/// A run between two updates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The config, resolved, as JSON.
    config: String,
    data_fingerprint: String,
    /// Of the code.
    pub(crate) revision: String,
    /// Kernels it was trained with; all give the same bits.
    kernels: String,
    /// Fold being trained, from 0; those before are done.
    pub(crate) fold: usize,
    /// Its training.
    pub(crate) training: TrainingState,
}

/// A training between two updates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Its members, one or more.
    pub(crate) members: Vec<MemberState>,
}

impl TrainingState {
    /// Updates that every member has done.
    pub(crate) fn n_done(&self) -> u64 {
        self.members.iter().map(|member| member.trainer.n_done()).min().unwrap_or(0)
    }
}

/// A member between two updates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemberState {
    /// Learner, environments, streams and schedules.
    pub(crate) trainer: TrainerState,
    /// The best weights so far.
    pub(crate) best: Option<Best>,
    /// How often it went back to good weights.
    pub(crate) n_back: u32,
    /// Its looks at the validation window.
    pub(crate) looks: Vec<Look>,
    /// What it took over from others.
    pub(crate) inherited: Vec<Inheritance>,
}

/// Weights that validation chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    /// What they are chosen by.
    pub(crate) score: f64,
    /// The update they are of.
    pub(crate) update: u64,
    /// Multiplier of the reward's constraint then.
    pub(crate) multiplier: f64,
    /// The weights.
    pub(crate) parameters: Vec<f32>,
}

impl Best {
    /// Number of weights.
    pub(crate) fn len(&self) -> usize {
        self.parameters.len()
    }

    /// `agent` with these weights; none when they do not fit.
    pub(crate) fn agent(&self, agent: &ActorCritic) -> Option<ActorCritic> {
        ActorCritic::new(agent.spec().clone(), self.parameters.clone())
    }
}

impl Checkpoint {
    pub(crate) fn new(
        config: &Config,
        fingerprint: &str,
        fold: usize,
        training: TrainingState,
    ) -> Result<Self, LabError> {
        Ok(Self {
            config: serde_json::to_string(&config.raw)?,
            data_fingerprint: fingerprint.to_owned(),
            revision: REVISION.to_owned(),
            kernels: cambist_policy::Instructions::detect().name().to_owned(),
            fold,
            training,
        })
    }

    pub(crate) fn save(&self, to: &Checkpoints, number: u64, best: bool) -> Result<(), LabError> {
        to.save(number, &encode(WHAT, self)?, best)?;
        Ok(())
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, LabError> {
        Ok(decode(WHAT, bytes)?)
    }

    /// Refuses to go on under another config, or on other bars.
    pub(crate) fn check(&self, config: &Config, fingerprint: &str) -> Result<(), LabError> {
        same_experiment(&self.config, &self.data_fingerprint, config, fingerprint)
    }
}

/// Refuses what was made under another config than `config`, or on other bars.
pub(crate) fn same_experiment(
    kept: &str,
    kept_fingerprint: &str,
    config: &Config,
    fingerprint: &str,
) -> Result<(), LabError> {
    let kept: RawConfig = serde_json::from_str(kept)?;
    let fields = differing(&serde_json::to_value(&kept)?, &serde_json::to_value(&config.raw)?);
    if !fields.is_empty() {
        return Err(LabError::OtherConfig { fields: fields.join("; ") });
    }
    same("data fingerprint", kept_fingerprint, fingerprint)
}

/// Fields that differ, as `section.name is A in the checkpoint and B in the config`.
fn differing(kept: &serde_json::Value, here: &serde_json::Value) -> Vec<String> {
    fn walk(path: &str, kept: &serde_json::Value, here: &serde_json::Value, out: &mut Vec<String>) {
        use serde_json::Value::{Null, Object};
        match (kept, here) {
            (Object(a), Object(b)) => {
                let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for name in names {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(&path, a.get(name).unwrap_or(&Null), b.get(name).unwrap_or(&Null), out);
                }
            }
            _ if kept != here => {
                out.push(format!("{path} is {kept} in the checkpoint and {here} in config.toml"));
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk("", kept, here, &mut out);
    out
}
