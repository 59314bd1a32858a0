//! `cambist check learning`: the exercises, their seeds, and what each must reach.

use cambist_analytic::{MarketKind, Signal, SignalMarket};
use cambist_core::clock::Clock;
use cambist_policy::ActorCritic;
use serde::Serialize;

use super::{Budget, LearningError, NullResult, OracleMarket, OracleResult, SignalResult, learn_signal};

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exercise {
    /// Market A.
    Quadratic,
    /// Market B.
    Proportional,
    /// The next return is leaked.
    Oracle,
    /// The leak is gone.
    Null,
}

/// Which exercises, how often, with which parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct LearningRequest {
    /// In this order; the null trains its own oracle first.
    pub exercises: Vec<Exercise>,
    /// Seeds 1 to this.
    pub n_seeds: u64,
    /// Of each training.
    pub budget: Budget,
    /// Persistence of the signal.
    pub rho: f64,
    /// Its noise.
    pub s: f64,
    /// A: price of risk.
    pub lambda: f64,
    /// A: quadratic cost.
    pub phi: f64,
    /// B: proportional cost.
    pub psi: f64,
    /// B: position cap.
    pub cap: f64,
}

/// One exercise over its seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub market: &'static str,
    /// Seeds trained.
    pub n_seeds: usize,
    /// Mean share of g*; of the null, mean |position| left.
    pub mean: f64,
    /// The worst seed's.
    pub worst: f64,
    /// Largest standard error of a seed's share; of the oracle, that of the mean over seeds.
    pub standard_error: Option<f64>,
    /// Of the null: the largest cost left over the cost before.
    pub cost_left: Option<f64>,
    /// Mean of the learned rule's number: on B the threshold, on A the weight of the signal.
    pub learned_rule: Option<f64>,
    /// The exact one.
    pub exact_rule: Option<f64>,
    /// What the mean must reach.
    pub needed: String,
    /// Environment steps of each training.
    pub steps: u64,
    /// Mean seconds of a training.
    pub seconds: f64,
    /// Whether it was reached.
    pub passed: bool,
}

const NEEDED_A: f64 = 0.97;
const NEEDED_B: f64 = 0.95;
const NEEDED_ORACLE: f64 = 0.95;
const NULL_POSITION: f64 = 0.02;
const NULL_COST: f64 = 0.05;

/// Runs the exercises. `on_progress` hears what is trained, how many updates are done and how many there are, and may
/// stop everything by returning false; exercises begun are then judged as they stand.
///
/// # Errors
/// When a parameter is out of range or learning fails.
pub fn check_learning(
    request: &LearningRequest,
    clock: &dyn Clock,
    on_progress: &mut dyn FnMut(&str, u64, u64) -> bool,
) -> Result<Vec<Row>, LearningError> {
    let signal = Signal { rho: request.rho, s: request.s };
    let mut rows = Vec::new();
    let mut oracles: Vec<(OracleResult, ActorCritic)> = Vec::new();
    let market = OracleMarket::default();
    for exercise in &request.exercises {
        match exercise {
            Exercise::Quadratic | Exercise::Proportional => {
                let a = *exercise == Exercise::Quadratic;
                let (name, kind) = if a {
                    ("A", MarketKind::Quadratic { lambda: request.lambda, phi: request.phi })
                } else {
                    ("B", MarketKind::Proportional { psi: request.psi, cap: request.cap })
                };
                let mut results = Vec::new();
                for seed in 1..=request.n_seeds {
                    let what = format!("{name}, seed {seed}");
                    let market = SignalMarket { signal, kind };
                    let mut watch = |done, all| on_progress(&what, done, all);
                    results.push(learn_signal(market, seed, &request.budget, clock, &mut watch)?.0);
                }
                rows.push(signal_row(name, &results, if a { NEEDED_A } else { NEEDED_B }));
            }
            Exercise::Oracle => {
                train_oracles(&market, request, clock, on_progress, &mut oracles)?;
                let results: Vec<&OracleResult> = oracles.iter().map(|(result, _)| result).collect();
                rows.push(oracle_row(&results));
            }
            Exercise::Null => {
                train_oracles(&market, request, clock, on_progress, &mut oracles)?;
                let mut results = Vec::new();
                for (oracle, agent) in &oracles {
                    let what = format!("null, seed {}", oracle.seed);
                    let mut watch = |done, all| on_progress(&what, done, all);
                    results.push(market.null(oracle.seed, agent, &request.budget, clock, &mut watch)?);
                }
                rows.push(null_row(&results));
            }
        }
    }
    Ok(rows)
}

/// Trains the oracles that are not there yet.
fn train_oracles(
    market: &OracleMarket,
    request: &LearningRequest,
    clock: &dyn Clock,
    on_progress: &mut dyn FnMut(&str, u64, u64) -> bool,
    oracles: &mut Vec<(OracleResult, ActorCritic)>,
) -> Result<(), LearningError> {
    for seed in oracles.len() as u64 + 1..=request.n_seeds {
        let what = format!("oracle, seed {seed}");
        let mut watch = |done, all| on_progress(&what, done, all);
        oracles.push(market.oracle(seed, &request.budget, clock, &mut watch)?);
    }
    Ok(())
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

fn signal_row(market: &'static str, results: &[SignalResult], needed: f64) -> Row {
    let share = mean(results.iter().map(|r| r.judged.share));
    Row {
        market,
        n_seeds: results.len(),
        mean: share,
        worst: results.iter().map(|r| r.judged.share).fold(f64::INFINITY, f64::min),
        standard_error: Some(results.iter().map(|r| r.judged.standard_error).fold(0.0, f64::max)),
        cost_left: None,
        learned_rule: Some(mean(results.iter().map(|r| r.judged.learned_rule))),
        exact_rule: results.first().map(|r| r.judged.exact_rule),
        needed: format!("{:.0} % of g*", 100.0 * needed),
        steps: results.first().map_or(0, |r| r.steps),
        seconds: mean(results.iter().map(|r| r.seconds)),
        passed: share >= needed,
    }
}

fn oracle_row(results: &[&OracleResult]) -> Row {
    let share = mean(results.iter().map(|r| r.share));
    let spread = results.iter().map(|r| (r.share - share).powi(2)).sum::<f64>();
    let n = results.len() as f64;
    Row {
        market: "oracle",
        n_seeds: results.len(),
        mean: share,
        worst: results.iter().map(|r| r.share).fold(f64::INFINITY, f64::min),
        standard_error: (n > 1.0).then(|| (spread / (n - 1.0) / n).sqrt()),
        cost_left: None,
        learned_rule: None,
        exact_rule: None,
        needed: format!("{:.0} % of g*", 100.0 * NEEDED_ORACLE),
        steps: results.first().map_or(0, |r| r.steps),
        seconds: mean(results.iter().map(|r| r.seconds)),
        passed: share >= NEEDED_ORACLE,
    }
}

fn null_row(results: &[NullResult]) -> Row {
    let position = results.iter().map(|r| r.position_after).fold(0.0, f64::max);
    let cost = results.iter().map(|r| r.cost_after / r.cost_before).fold(0.0, f64::max);
    Row {
        market: "null",
        n_seeds: results.len(),
        mean: mean(results.iter().map(|r| r.position_after)),
        worst: position,
        standard_error: None,
        cost_left: Some(cost),
        learned_rule: None,
        exact_rule: None,
        needed: format!("position ≤ {:.0} %, cost ≤ {:.0} %", 100.0 * NULL_POSITION, 100.0 * NULL_COST),
        steps: results.first().map_or(0, |r| r.steps),
        seconds: mean(results.iter().map(|r| r.seconds)),
        passed: position <= NULL_POSITION && cost <= NULL_COST,
    }
}
