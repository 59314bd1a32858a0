//! From trained members to one policy: what each did on validation, what it counts for, and how they act together.

use cambist_core::ActionSpec;
use cambist_decide::{ActionKind, DecisionPath, DecisionRules};
use cambist_evaluate::Track;
use cambist_evaluate::report::monthly;
use cambist_evaluate::shrinkage::{Estimate, shrink, shrink_parts, weights};
use cambist_policy::{ActorCritic, Combination, Ensemble, EnsembleSpec, MemberSpec, TrainedPolicy, Wish};
use serde::{Deserialize, Serialize};

use crate::config::{Config, RawConfig};
use crate::error::LabError;
use crate::market::{Market, Regimes};
use crate::member::{Inheritance, Look, Member};

/// What an artefact keeps of a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Its name: the run it comes from, or its seed.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// The update whose weights it has.
    pub chosen_update: u64,
    /// Multiplier of the reward's constraint that it learned.
    pub multiplier: f64,
    /// What it did on validation and what it counts for: on the whole, and in an ensemble by regimes in each of these.
    pub ratings: Vec<Rating>,
    /// Its looks at the validation window while it trained.
    pub looks: Vec<Look>,
    /// What it made in each calendar month of the validation window.
    pub months: Vec<Month>,
    /// What it took over from other members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherited: Vec<Inheritance>,
    /// The run it was chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Box<Chosen>>,
}

/// Where a chosen member comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chosen {
    /// Hash of its artefact.
    pub artefact: String,
    /// Its config, resolved.
    pub config: RawConfig,
}

impl PartialEq for Chosen {
    fn eq(&self, other: &Self) -> bool {
        self.artefact == other.artefact
    }
}

/// What a member is worth in a regime, or on the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rating {
    /// The regime; empty for the whole.
    pub regime: String,
    /// Annual Sharpe ratio on validation.
    pub sharpe: f64,
    /// Its standard error; none where too few bars say nothing.
    pub standard_error: Option<f64>,
    /// The ratio that is expected once all members are known.
    pub expected: f64,
    /// What the member counts for.
    pub weight: f64,
}

/// A calendar month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Month {
    /// As in 2022-03.
    pub month: String,
    /// Growth of the account.
    pub earned: f64,
}

/// A trained member that may enter an ensemble.
pub(crate) struct Candidate {
    pub(crate) network: ActorCritic,
    pub(crate) record: MemberRecord,
    /// Its account through the validation window.
    pub(crate) track: Track,
}

impl MemberRecord {
    /// What is known of `member` before it is compared with others.
    pub(crate) fn of(
        config: &Config,
        chosen_update: u64,
        multiplier: f64,
        track: &Track,
        member: &Member,
    ) -> Self {
        let seed = config.raw.run.seed;
        Self {
            name: format!("seed {seed}"),
            seed,
            chosen_update,
            multiplier,
            ratings: Vec::new(),
            looks: member.looks.clone(),
            months: months(track),
            inherited: member.inherited.clone(),
            chosen: None,
        }
    }
}

/// Growth by calendar months.
pub(crate) fn months(track: &Track) -> Vec<Month> {
    let named = |(year, month, earned)| Month { month: format!("{year}-{month:02}"), earned };
    monthly(track).into_iter().map(named).collect()
}

/// The policy that `candidates` make by the rules of `config`, with what each counts for; one alone is itself.
pub(crate) fn assemble(
    config: &Config,
    market: &Market,
    mut candidates: Vec<Candidate>,
) -> Result<(TrainedPolicy, Vec<MemberRecord>), LabError> {
    rate(config, market, &mut candidates);
    let reject = |reason: String| LabError::Ensemble { reason };
    if candidates.len() == 1 {
        let one = candidates.into_iter().next().ok_or_else(|| reject("it has no members".to_owned()))?;
        return Ok((one.network.into(), vec![one.record]));
    }
    let rules = config.ensemble();
    let (wish, low) = wishes(&config.decision);
    let n_rows = candidates.iter().map(|c| c.record.ratings.len()).min().unwrap_or(0);
    let row = |row: usize| candidates.iter().map(|c| c.record.ratings[row].weight).collect();
    let spec = EnsembleSpec {
        members: candidates.iter().map(|c| member_spec(config, c)).collect(),
        wish,
        low,
        combination: rules.combination,
        weights: (0..n_rows).map(row).collect(),
        disagreement: rules.disagreement,
    };
    let (networks, records) = candidates.into_iter().map(|c| (c.network, c.record)).unzip();
    Ok((TrainedPolicy::Ensemble(Ensemble::new(spec, networks).map_err(reject)?), records))
}

/// A member's network, and the column of the observation in which it sees its own multiplier.
fn member_spec(config: &Config, candidate: &Candidate) -> MemberSpec {
    let network = candidate.network.spec().clone();
    let columns = config.reward.composed().map_or(Vec::new(), |reward| reward.columns());
    let first = network.observation - columns.len().min(network.observation);
    let own = columns.iter().position(|name| name == "reward.multiplier");
    let multiplier = candidate.record.multiplier;
    // As the reward shows it.
    let shown = (multiplier / (1.0 + multiplier)) as f32;
    MemberSpec { network, own_columns: own.map(|at| (first + at, shown)).into_iter().collect() }
}

/// How actions under `decision` say which position is wanted, and the smallest position.
fn wishes(decision: &DecisionRules) -> (Wish, f64) {
    let low = if decision.long_only { 0.0 } else { -1.0 };
    // Forbidden choices are told from flat by the position they would stand for.
    let open = DecisionRules { long_only: false, ..*decision };
    let normaliser = cambist_features::Normaliser::identity(&[], 1.0);
    let path = DecisionPath::new(open, std::sync::Arc::new(normaliser));
    let wish = match (decision.action, path.action_spec()) {
        (ActionKind::Discrete, ActionSpec::Discrete { n }) => {
            Wish::Choice((0..n).map(|choice| path.target(&[choice as f32], 0.0, true)).collect())
        }
        (ActionKind::Band, _) => Wish::Band,
        _ => Wish::Target,
    };
    (wish, low)
}

/// What every candidate did, is expected to do, and counts for.
fn rate(config: &Config, market: &Market, candidates: &mut [Candidate]) {
    let rules = config.ensemble();
    let regimes = market.regime.as_ref().filter(|_| rules.by_regime);
    let year = candidates.first().map_or(1.0, |c| c.track.bars_per_year());
    let whole: Vec<Estimate> =
        candidates.iter().map(|c| Estimate::of_sharpe(&c.track.returns(), year)).collect();
    let expected = shrink(&whole, rules.shrinkage);
    let mut rows = vec![(String::new(), whole, expected.clone())];
    for (state, name) in regimes.iter().flat_map(|r| r.view.names.iter().enumerate()) {
        let within = |c: &Candidate| within(&c.track, market, regimes.map(AsRef::as_ref), state);
        let own: Vec<Estimate> = candidates.iter().map(|c| Estimate::of_sharpe(&within(c), year)).collect();
        let parts = shrink_parts(&own, &expected, rules.shrinkage);
        rows.push((name.clone(), own, parts));
    }
    let n = candidates.len();
    for (regime, estimates, expected) in rows {
        let given = match rules.combination {
            Combination::Weighted => weights(&expected),
            Combination::Majority | Combination::Mean => vec![1.0 / n as f64; n],
        };
        for (index, candidate) in candidates.iter_mut().enumerate() {
            let Estimate { value, variance } = estimates[index];
            candidate.record.ratings.push(Rating {
                regime: regime.clone(),
                sharpe: value,
                standard_error: variance.is_finite().then(|| variance.sqrt()),
                expected: expected[index],
                weight: given[index],
            });
        }
    }
}

/// Returns of the bars that were decided on in regime `state`: at the close before.
fn within(track: &Track, market: &Market, regimes: Option<&Regimes>, state: usize) -> Vec<f64> {
    let Some(regimes) = regimes else { return Vec::new() };
    let first = track.time.first().map_or(0, |&time| market.row_of_close(time));
    let decided = |bar: usize| regimes.view.label.get(first + bar).copied().flatten();
    let returns = track.returns().into_iter().enumerate();
    returns.filter(|(bar, _)| decided(*bar) == Some(state as u8)).map(|(_, r)| r).collect()
}
