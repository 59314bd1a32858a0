//! `cambist check learning`: the exercises, their seeds, and what each must reach.

use cambist_analytic::{MarketKind, Signal, SignalMarket};
use cambist_core::clock::Clock;
use cambist_policy::ActorCritic;
use serde::Serialize;

use super::judge::Positions;
use super::picture::{Shown, policy};
use super::{
    Best, Budget, Classic, Earned, LearningError, NullResult, OracleMarket, OracleResult, SignalResult,
    learn_classic, learn_memory, learn_signal,
};

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exercise {
    /// Market A.
    Quadratic,
    /// Market B.
    Proportional,
    /// Market B with a continuous head: reported, nothing is asked of it.
    Continuous,
    /// Market C.
    Banded,
    /// The next return is leaked.
    Oracle,
    /// The leak is gone.
    Null,
    /// A sign pays k bars after it was shown, once with memory and once without.
    Memory,
    /// Balance a pole.
    CartPole,
    /// Swing a pendulum up.
    Pendulum,
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
    /// A, C: price of risk.
    pub lambda: f64,
    /// A: quadratic cost.
    pub phi: f64,
    /// B, C: proportional cost.
    pub psi: f64,
    /// B: position cap.
    pub cap: f64,
    /// Oracle and null: the market of leaked returns.
    pub oracle: OracleMarket,
    /// Memory: bars to remember, each a training of its own.
    pub lags: Vec<u32>,
}

/// What a row's numbers are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Shares of what is best.
    Share,
    /// Returns of episodes.
    Return,
}

/// One exercise over its seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub market: String,
    /// Seeds trained.
    pub n_seeds: usize,
    /// Mean share of g*; of the null, mean |position| left.
    pub mean: f64,
    /// The worst seed's.
    pub worst: f64,
    /// Largest standard error of a seed's share.
    pub standard_error: Option<f64>,
    /// Of the null: the largest cost left over the cost before.
    pub cost_left: Option<f64>,
    /// Mean of the learned rule's number: on A the weight of the signal, on B and the oracle the threshold (of the oracle in
    /// deviations of the return), on C the mean distance of the edges from the optimum's.
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
    /// What mean, worst and standard error are in.
    pub unit: Unit,
    /// The first seed's policy over the optimal one, as SVG.
    #[serde(skip)]
    pub picture: Option<String>,
}

/// What a market's mean share of g* must reach, the worst seed's, and the distance of the learned rule's number from the
/// exact one.
#[derive(Debug, Clone, Copy)]
struct Needed {
    mean: f64,
    worst: f64,
    rule: f64,
}

const NEEDED_A: Needed = Needed { mean: 0.98, worst: 0.96, rule: f64::INFINITY };
const NEEDED_B: Needed = Needed { mean: 0.98, worst: 0.96, rule: 0.08 };
const NEEDED_C: Needed = Needed { mean: 0.97, worst: 0.0, rule: 0.10 };
/// Largest standard error of a judgement, as a share of g*.
const JUDGED_WITHIN: f64 = 0.003;
const NOTHING_NEEDED: Needed =
    Needed { mean: f64::NEG_INFINITY, worst: f64::NEG_INFINITY, rule: f64::INFINITY };
const B_CONTINUOUS: &str = "B-continuous";
const NEEDED_ORACLE: f64 = 0.98;
const NULL_POSITION: f64 = 0.02;
const NULL_COST: f64 = 0.05;
const REMEMBERING: f64 = 0.95;
const FORGETTING: f64 = 0.05;
const CART_POLE: f64 = 475.0;
const PENDULUM: f64 = -200.0;

/// One training under a seed, that tells how far it is.
type LearnSeed<'a> =
    &'a mut dyn FnMut(u64, &mut dyn FnMut(u64, u64) -> bool) -> Result<Earned, LearningError>;

/// Who hears of the progress, and whether everything is to stop.
struct Watch<'a> {
    hear: &'a mut dyn FnMut(&str, u64, u64) -> bool,
    stopped: bool,
}

impl Watch<'_> {
    fn tell(&mut self, what: &str, done: u64, all: u64) -> bool {
        self.stopped |= !(self.hear)(what, done, all);
        !self.stopped
    }
}

/// Runs the exercises. `on_progress` hears what is trained, how many updates are done and how many there are, and may
/// stop everything by returning false: the seed in training is then judged as it stands, and no other is begun.
///
/// # Errors
/// When a parameter is out of range or learning fails.
pub fn check_learning(
    request: &LearningRequest,
    clock: &dyn Clock,
    on_progress: &mut dyn FnMut(&str, u64, u64) -> bool,
) -> Result<Vec<Row>, LearningError> {
    let watch = &mut Watch { hear: on_progress, stopped: false };
    let LearningRequest { lambda, phi, psi, cap, .. } = *request;
    let mut rows = Vec::new();
    let mut oracles: Vec<(OracleResult, ActorCritic)> = Vec::new();
    let market = request.oracle;
    for exercise in &request.exercises {
        if watch.stopped {
            break;
        }
        match exercise {
            Exercise::Quadratic => {
                let kind = MarketKind::Quadratic { lambda, phi };
                rows.push(signal("A", kind, NEEDED_A, request, clock, watch)?);
            }
            Exercise::Proportional => {
                let kind = MarketKind::Proportional { psi, cap };
                rows.push(signal("B", kind, NEEDED_B, request, clock, watch)?);
            }
            Exercise::Continuous => {
                let kind = MarketKind::Proportional { psi, cap };
                let row = signal(B_CONTINUOUS, kind, NOTHING_NEEDED, request, clock, watch)?;
                rows.push(Row { needed: "reported".to_owned(), ..row });
            }
            Exercise::Banded => {
                let kind = MarketKind::Banded { lambda, psi };
                rows.push(signal("C", kind, NEEDED_C, request, clock, watch)?);
            }
            Exercise::Oracle => {
                train_oracles(&market, request, clock, watch, &mut oracles)?;
                let results: Vec<&OracleResult> = oracles.iter().map(|(result, _)| result).collect();
                if let Some((_, agent)) = oracles.first() {
                    let picture = Some(market.picture(agent)?);
                    rows.push(Row { picture, ..oracle_row(&results) });
                }
            }
            Exercise::Null => {
                train_oracles(&market, request, clock, watch, &mut oracles)?;
                let mut results = Vec::new();
                for (oracle, agent) in &oracles {
                    if watch.stopped {
                        break;
                    }
                    let what = format!("null, seed {}", oracle.seed);
                    let mut tell = |done, all| watch.tell(&what, done, all);
                    results.push(market.null(oracle.seed, agent, &request.budget, clock, &mut tell)?);
                }
                if !results.is_empty() {
                    rows.push(null_row(&results));
                }
            }
            Exercise::Memory => {
                for &lag in &request.lags {
                    for remembers in [true, false] {
                        if watch.stopped {
                            break;
                        }
                        rows.push(memory(lag, remembers, request, clock, watch)?);
                    }
                }
            }
            Exercise::CartPole => rows.push(classic(Classic::CartPole, request, clock, watch)?),
            Exercise::Pendulum => rows.push(classic(Classic::Pendulum, request, clock, watch)?),
        }
    }
    if let Some(row) = rows.last_mut().filter(|_| watch.stopped) {
        (row.passed, row.needed) = (false, format!("stopped early; {}", row.needed));
    }
    Ok(rows)
}

fn signal(
    name: &str,
    kind: MarketKind,
    needed: Needed,
    request: &LearningRequest,
    clock: &dyn Clock,
    watch: &mut Watch<'_>,
) -> Result<Row, LearningError> {
    let signal = Signal { rho: request.rho, s: request.s };
    let market = SignalMarket { signal, kind }.checked()?;
    let best = Best::of(&market).ok_or(LearningError::Unsolved)?;
    let (mut results, mut picture) = (Vec::new(), None);
    for seed in 1..=request.n_seeds {
        if watch.stopped {
            break;
        }
        let what = format!("{name}, seed {seed}");
        let mut tell = |done, all| watch.tell(&what, done, all);
        let (result, agent) =
            learn_signal(market, name == B_CONTINUOUS, &best, seed, &request.budget, clock, &mut tell)?;
        if seed == 1 {
            let title = format!("Market {name}: the learned policy over the optimal one");
            let mut positions = Positions::of(market, &agent);
            let learned = &mut |p, held| positions.at(p, held);
            picture = Some(policy(&Shown::of(&title, market), learned, &|p, held| best.0.act(p, held))?);
        }
        results.push(result);
    }
    Ok(Row { picture, ..signal_row(name, &results, needed) })
}

fn memory(
    lag: u32,
    remembers: bool,
    request: &LearningRequest,
    clock: &dyn Clock,
    watch: &mut Watch<'_>,
) -> Result<Row, LearningError> {
    let name = format!("memory {lag}, {}", if remembers { "GRU" } else { "MLP" });
    let mut learn = |seed, watch: &mut dyn FnMut(u64, u64) -> bool| {
        learn_memory(lag, remembers, seed, &request.budget, clock, watch)
    };
    let results = each_seed(&name, request, watch, &mut learn)?;
    let row = earned_row(name, &results);
    let (passed, needed) = if remembers {
        (row.mean >= REMEMBERING, format!("at least {:.0} %", 100.0 * REMEMBERING))
    } else {
        (row.mean <= FORGETTING, format!("at most {:.0} %", 100.0 * FORGETTING))
    };
    Ok(Row { needed, passed, ..row })
}

fn classic(
    task: Classic,
    request: &LearningRequest,
    clock: &dyn Clock,
    watch: &mut Watch<'_>,
) -> Result<Row, LearningError> {
    let (name, solved) = match task {
        Classic::CartPole => ("CartPole-v1", CART_POLE),
        Classic::Pendulum => ("Pendulum-v1", PENDULUM),
    };
    let mut learn = |seed, watch: &mut dyn FnMut(u64, u64) -> bool| {
        learn_classic(task, seed, &request.budget, clock, watch)
    };
    let results = each_seed(name, request, watch, &mut learn)?;
    let row = earned_row(name.to_owned(), &results);
    Ok(Row { needed: format!("return {solved:.0}"), passed: row.mean >= solved, unit: Unit::Return, ..row })
}

fn each_seed(
    name: &str,
    request: &LearningRequest,
    watch: &mut Watch<'_>,
    learn: LearnSeed<'_>,
) -> Result<Vec<Earned>, LearningError> {
    let mut results = Vec::new();
    for seed in 1..=request.n_seeds {
        if watch.stopped {
            break;
        }
        let what = format!("{name}, seed {seed}");
        results.push(learn(seed, &mut |done, all| watch.tell(&what, done, all))?);
    }
    Ok(results)
}

fn earned_row(market: String, results: &[Earned]) -> Row {
    Row {
        market,
        n_seeds: results.len(),
        mean: mean(results.iter().map(|r| r.mean)),
        worst: results.iter().map(|r| r.mean).fold(f64::INFINITY, f64::min),
        standard_error: Some(results.iter().map(|r| r.standard_error).fold(0.0, f64::max)),
        cost_left: None,
        learned_rule: None,
        exact_rule: None,
        needed: String::new(),
        steps: results.first().map_or(0, |r| r.steps),
        seconds: mean(results.iter().map(|r| r.seconds)),
        passed: false,
        unit: Unit::Share,
        picture: None,
    }
}

/// Trains the oracles that are not there yet.
fn train_oracles(
    market: &OracleMarket,
    request: &LearningRequest,
    clock: &dyn Clock,
    watch: &mut Watch<'_>,
    oracles: &mut Vec<(OracleResult, ActorCritic)>,
) -> Result<(), LearningError> {
    for seed in oracles.len() as u64 + 1..=request.n_seeds {
        if watch.stopped {
            break;
        }
        let what = format!("oracle, seed {seed}");
        let mut tell = |done, all| watch.tell(&what, done, all);
        oracles.push(market.oracle(seed, &request.budget, clock, &mut tell)?);
    }
    Ok(())
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

fn signal_row(market: &str, results: &[SignalResult], needed: Needed) -> Row {
    let share = mean(results.iter().map(|r| r.judged.share));
    let worst = results.iter().map(|r| r.judged.share).fold(f64::INFINITY, f64::min);
    let rule = mean(results.iter().map(|r| r.judged.learned_rule));
    let exact = results.first().map_or(f64::NAN, |r| r.judged.exact_rule);
    // Seeds on either side do not make up for each other.
    let error = mean(results.iter().map(|r| (r.judged.learned_rule - exact).abs()));
    let standard_error = results.iter().map(|r| r.judged.standard_error).fold(0.0, f64::max);
    let mut words = format!("{:.0} % of g*", 100.0 * needed.mean);
    if needed.worst > 0.0 {
        words.push_str(&format!(", worst {:.0} %", 100.0 * needed.worst));
    }
    if needed.rule.is_finite() {
        words.push_str(&format!(", rule within {:.2}", needed.rule));
    }
    Row {
        market: market.to_owned(),
        n_seeds: results.len(),
        mean: share,
        worst,
        standard_error: Some(standard_error),
        cost_left: None,
        learned_rule: Some(rule),
        exact_rule: Some(exact),
        needed: words,
        steps: results.first().map_or(0, |r| r.steps),
        seconds: mean(results.iter().map(|r| r.seconds)),
        passed: share >= needed.mean
            && worst >= needed.worst
            && standard_error <= JUDGED_WITHIN
            && (needed.rule.is_infinite() || error <= needed.rule),
        unit: Unit::Share,
        picture: None,
    }
}

fn oracle_row(results: &[&OracleResult]) -> Row {
    let share = mean(results.iter().map(|r| r.share));
    let standard_error = results.iter().map(|r| r.standard_error).fold(0.0, f64::max);
    Row {
        market: "oracle".to_owned(),
        n_seeds: results.len(),
        mean: share,
        worst: results.iter().map(|r| r.share).fold(f64::INFINITY, f64::min),
        standard_error: Some(standard_error),
        cost_left: None,
        learned_rule: Some(mean(results.iter().map(|r| r.learned_rule))),
        exact_rule: results.first().map(|r| r.exact_rule),
        needed: format!("{:.0} % of g*", 100.0 * NEEDED_ORACLE),
        steps: results.first().map_or(0, |r| r.steps),
        seconds: mean(results.iter().map(|r| r.seconds)),
        passed: share >= NEEDED_ORACLE && standard_error <= JUDGED_WITHIN,
        unit: Unit::Share,
        picture: None,
    }
}

fn null_row(results: &[NullResult]) -> Row {
    let position = results.iter().map(|r| r.position_after).fold(0.0, f64::max);
    let cost = results.iter().map(|r| r.cost_after / r.cost_before).fold(0.0, f64::max);
    Row {
        market: "null".to_owned(),
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
        unit: Unit::Share,
        picture: None,
    }
}
