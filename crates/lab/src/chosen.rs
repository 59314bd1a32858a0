//! An ensemble from chosen runs: their members, checked to see and to trade alike, rated on validation, and judged together.

use std::sync::Arc;

use cambist_core::clock::Clock;
use cambist_policy::ActorCritic;
use cambist_runs::RunFolder;

use crate::artefact::Artefact;
use crate::config::{Config, Layers};
use crate::ensemble::{Candidate, Chosen, MemberRecord, assemble, months};
use crate::error::LabError;
use crate::evaluate::same;
use crate::market::Market;
use crate::member::Ground;
use crate::outcome::{Concluding, Outcome, registered};
use crate::run::{Machine, test_tracks, written};
use crate::train::Trained;

/// Which runs, and how they become one.
#[derive(Debug, Clone)]
pub struct EnsembleRequest {
    /// The runs; members of ensembles among them join one by one.
    pub runs: Vec<RunFolder>,
    /// What the ensemble is called.
    pub name: String,
    /// Fields of `[ensemble]`, as `ensemble.disagreement=0`; and of `[regime]`, where the runs know no regimes.
    pub sets: Vec<String>,
}

/// A chosen run's artefact, and its config as it trained.
struct Source {
    artefact: Artefact,
    config: Config,
    networks: Vec<ActorCritic>,
    hash: String,
    name: String,
}

impl Source {
    fn open(run: &RunFolder) -> Result<Self, LabError> {
        let (artefact, policy, hash) = Artefact::load(run)?;
        let config = Config::validate(artefact.config.clone())?;
        let name = run.name();
        if artefact.members.len() != policy.networks().len() {
            let reason =
                format!("{name} says nothing of its members: it was trained before they were recorded");
            return Err(LabError::Ensemble { reason });
        }
        if config.raw.population.exchange_every > 0 {
            let reason = format!(
                "members of {name} learned from each other: it is one policy, and its members could not be trained anew apart"
            );
            return Err(LabError::Ensemble { reason });
        }
        Ok(Self { networks: policy.networks().to_vec(), artefact, config, hash, name })
    }

    /// Refuses a source whose members see or trade otherwise than `first`'s.
    fn check(&self, first: &Self) -> Result<(), LabError> {
        let (a, b) = (&first.artefact, &self.artefact);
        let reward =
            |s: &Self| (!s.artefact.reward_columns.is_empty()).then(|| format!("{:?}", s.config.raw.reward));
        let fields = [
            ("data", a.data_fingerprint == b.data_fingerprint),
            ("instrument", a.instrument == b.instrument),
            ("timeframe", a.timeframe == b.timeframe),
            ("windows", a.fold == b.fold),
            ("observation", a.observation == b.observation),
            ("normaliser", a.normaliser == b.normaliser),
            ("way of acting", a.action_mode == b.action_mode),
            ("costs and account", a.execution == b.execution),
            ("decision rules", first.config.decision == self.config.decision),
            ("initial cash", first.config.initial_cash() == self.config.initial_cash()),
            ("regime model", a.regime == b.regime),
            ("reward, which its observation shows", reward(first) == reward(self)),
        ];
        match fields.iter().find(|(_, same)| !same) {
            None => Ok(()),
            Some((field, _)) => {
                let (own, other) = (&self.name, &first.name);
                let reason = format!("{other} and {own} differ in their {field}; members must share it");
                Err(LabError::Ensemble { reason })
            }
        }
    }

    /// Its members as candidates, each through the validation window once more.
    fn candidates(&self, ground: &Ground<'_>) -> Result<Vec<Candidate>, LabError> {
        let configs = self.config.members();
        let members = self.networks.iter().zip(&self.artefact.members).enumerate();
        members
            .map(|(index, (network, record))| {
                let track = ground.validate(&self.config, network, record.multiplier)?;
                let own = configs.get(index).unwrap_or(&self.config).raw.clone();
                let here = Chosen { artefact: self.hash.clone(), config: own };
                let chosen = record.chosen.clone().unwrap_or_else(|| Box::new(here));
                let name = match (self.networks.len(), &record.chosen) {
                    (_, Some(_)) => record.name.clone(),
                    (1, None) => self.name.clone(),
                    (_, None) => format!("{} {}", self.name, record.name),
                };
                let record = MemberRecord {
                    name,
                    ratings: Vec::new(),
                    months: months(&track),
                    chosen: Some(chosen),
                    ..record.clone()
                };
                Ok(Candidate { network: network.clone(), record, track })
            })
            .collect()
    }
}

/// Makes an ensemble of the runs of `request`, keeps it as a run of its own, and judges it on their test window.
///
/// # Errors
/// When a run cannot be used, members do not see and trade alike, or the data changed.
pub fn ensemble(
    request: &EnsembleRequest,
    machine: &Machine,
    clock: &dyn Clock,
) -> Result<Outcome, LabError> {
    let sources = sources(request)?;
    let first = &sources[0].artefact;
    let config = configured(&sources[0], request)?;
    let market = Market::prepare(&config, &machine.data)?;
    same("data fingerprint", &first.data_fingerprint, &market.fingerprint)?;
    let fold = first.fold;
    let market = match &first.regime {
        Some(model) => market.with_regime_model(&config, model.clone())?,
        None => market.with_regimes(&config, &fold)?,
    };
    let trained = together(&sources, &config, &market)?;
    let folder = RunFolder::create(&machine.runs, &machine.run_name(&request.name, clock), clock.now())?;
    let _alone = folder.lock()?;
    folder.write("config.toml", &written(&config)?)?;
    let work = || {
        let acting = config.acting(&trained.policy.spec(), trained.multiplier);
        let tracks = test_tracks(&acting, &market, &trained, &fold)?;
        let artefact = Artefact {
            deterministic: sources.iter().all(|source| source.artefact.deterministic),
            ..Artefact::of(&config, &market, &fold, &trained, tracks.first())
        };
        let artefact_hash = artefact.save(&trained.policy, &folder.artefact())?;
        let names: Vec<&String> = trained.members.iter().map(|m| &m.name).collect();
        let event = serde_json::json!({ "members": names, "artefact": artefact_hash });
        folder.log(clock.now(), "ensemble", &event)?;
        let concluding = Concluding {
            folder: &folder,
            config: &config,
            market: &market,
            machine,
            artefact_hash: &artefact_hash,
            folds: &[fold],
            n_members: trained.members.len(),
        };
        let outcome = Outcome::of(&concluding, &tracks, clock)?;
        outcome.keep()?;
        Ok(outcome)
    };
    registered(&folder, &config, Some("ensemble"), machine, clock, work, Outcome::standing)
}

/// The chosen runs, which see and trade alike, and no policy twice.
fn sources(request: &EnsembleRequest) -> Result<Vec<Source>, LabError> {
    let reject = |reason: String| Err(LabError::Ensemble { reason });
    let sources = request.runs.iter().map(Source::open).collect::<Result<Vec<_>, _>>()?;
    if sources.len() < 2 {
        return reject(format!("{} runs were given, two at least are needed", sources.len()));
    }
    sources.iter().skip(1).try_for_each(|source| source.check(&sources[0]))?;
    let networks: Vec<(&str, &ActorCritic)> =
        sources.iter().flat_map(|s| s.networks.iter().map(|n| (s.name.as_str(), n))).collect();
    for (index, (name, network)) in networks.iter().enumerate() {
        if let Some((twin, _)) = networks[..index].iter().find(|(_, other)| other == network) {
            return reject(format!("{twin} and {name} hold the same policy, which would vote twice"));
        }
    }
    Ok(sources)
}

/// The members of `sources` as one policy by the rules of `config`.
fn together(sources: &[Source], config: &Config, market: &Market) -> Result<Trained, LabError> {
    let first = &sources[0].artefact;
    let normaliser = Arc::new(first.normaliser.clone());
    let ground = Ground { normaliser: Arc::clone(&normaliser), ..Ground::of(config, market, &first.fold)? };
    let mut candidates = Vec::new();
    for source in sources {
        candidates.extend(source.candidates(&ground)?);
    }
    let n = candidates.len() as f64;
    let multiplier = candidates.iter().map(|c| c.record.multiplier).sum::<f64>() / n;
    let chosen_update = candidates.iter().map(|c| c.record.chosen_update).max().unwrap_or(0);
    let (policy, members) = assemble(config, market, candidates)?;
    let steps = sources.iter().map(|source| source.artefact.steps).sum();
    Ok(Trained { policy, members, normaliser, steps, chosen_update, multiplier, stopped: None })
}

/// The first source's config under the ensemble's name and rules.
fn configured(first: &Source, request: &EnsembleRequest) -> Result<Config, LabError> {
    let knows = first.artefact.regime.is_some();
    for set in &request.sets {
        let fits = set.starts_with("ensemble.") || (set.starts_with("regime.") && !knows);
        if !fits {
            let only = if knows { "fields of [ensemble]" } else { "fields of [ensemble] and [regime]" };
            let reason =
                format!("'{set}' would change what its members were trained with; only {only} can be set");
            return Err(LabError::Ensemble { reason });
        }
    }
    let mut raw = first.artefact.config.clone();
    raw.population = Default::default();
    raw.run.name.clone_from(&request.name);
    if !knows {
        // Regimes that only the ensemble asks for are not in the members' observation.
        raw.regime.observe = false;
    }
    let sets: Vec<&str> = request.sets.iter().map(String::as_str).collect();
    let config = Config::validate(Layers::of(&raw)?.with(&sets)?.resolve()?)?;
    if !knows && config.raw.regime.observe {
        let reason = "its members were trained without regimes: regime.observe must stay false".to_owned();
        return Err(LabError::Ensemble { reason });
    }
    Ok(config)
}
