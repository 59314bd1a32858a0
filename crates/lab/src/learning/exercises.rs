//! `cambist check learning`: the exercises, their seeds, and what each must reach.

use cambist_analytic::{MarketKind, Signal, SignalMarket};
use cambist_core::clock::Clock;
use cambist_policy::ActorCritic;

use super::judge::Positions;
use super::picture::{Shown, policy};
use super::rows::{
    NEEDED_A, NEEDED_B, NEEDED_C, NOTHING_NEEDED, Needed, Row, classic_row, memory_row, null_row, oracle_row,
    signal_row,
};
use super::{
    Best, Budget, Classic, Earned, LearningError, OracleMarket, OracleResult, learn_classic, learn_memory,
    learn_signal,
};

const B_CONTINUOUS: &str = "B-continuous";

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
    Ok(memory_row(name, remembers, &results))
}

fn classic(
    task: Classic,
    request: &LearningRequest,
    clock: &dyn Clock,
    watch: &mut Watch<'_>,
) -> Result<Row, LearningError> {
    let name = match task {
        Classic::CartPole => "CartPole-v1",
        Classic::Pendulum => "Pendulum-v1",
    };
    let mut learn = |seed, watch: &mut dyn FnMut(u64, u64) -> bool| {
        learn_classic(task, seed, &request.budget, clock, watch)
    };
    Ok(classic_row(name, task, &each_seed(name, request, watch, &mut learn)?))
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
