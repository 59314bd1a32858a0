//! Vectorised backtests: a rule or a trained policy over a grid of parameters, in parallel, by the engine that trains.

mod grid;
mod pages;
mod plain;
mod rules;
mod words;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cambist_core::UnixNanos;
use cambist_decide::DecisionPath;
use cambist_evaluate::Track;
use cambist_evaluate::metrics::{drawdown, growth, sharpe};
use cambist_evaluate::windows::Span;
use cambist_execution::Engine;
use cambist_features::Normaliser;
use cambist_market::{Execution, MarketEnv, Snapshot};
use cambist_policy::TrainedPolicy;

use crate::artefact::Artefact;
use crate::backtest::{backtest, backtest_policy};
use crate::config::{Config, Layers};
use crate::error::LabError;
use crate::market::Market;
use crate::run::Machine;

pub use grid::{Axis, Combination, Grid};
pub use pages::write;
use plain::{Kept, Plain};
pub use rules::RuleKind;
use rules::{Donchian, LongOnly, Momentum, Reversion, Rule, SmaCross, WholeCloses};
pub use words::{Outcome, Sort, Subject, SweepError, SweepRequest, TradeRow};

/// Curves and trades kept are those of so many best combinations.
const N_KEPT: usize = 5;

/// What a sweep came to.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The grid, as run.
    pub grid: Grid,
    /// One a combination, in the grid's order.
    pub outcomes: Vec<Outcome>,
    /// Combinations, best first.
    pub ranking: Vec<usize>,
    /// Bars of the window.
    pub n_bars: usize,
    /// First and last bar.
    pub span: Span,
    /// When each bar closed.
    pub time: Vec<UnixNanos>,
    /// Its price then.
    pub close: Vec<f64>,
    /// Equity and trades of the best combinations, best first.
    pub kept: Vec<(usize, Vec<f64>, Vec<TradeRow>)>,
    /// Whether the fast path ran.
    pub fast: bool,
    /// Whether a rule traded, and no policy.
    pub is_rule: bool,
    /// What a policy had seen of these bars when it was made: training, validation, or nothing.
    pub seen: &'static str,
}

/// Runs `request` on the data and execution of `layers`; `progress` is told how many combinations are done.
///
/// # Errors
/// When the grid, the config or the data make no sense.
pub fn sweep(
    layers: &Layers,
    request: &SweepRequest,
    machine: &Machine,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Sweep, LabError> {
    let prepared = Prepared::new(layers, request, machine)?;
    let outcomes = prepared.outcomes(machine.n_threads, progress)?;
    let mut ranking: Vec<usize> = (0..outcomes.len()).collect();
    ranking.sort_by(|&a, &b| request.sort.key(&outcomes[b]).total_cmp(&request.sort.key(&outcomes[a])));
    let closes = prepared.closes();
    let keep = |&at: &usize| {
        let mut kept = Kept::default();
        prepared.one(at, &closes, Some(&mut kept)).map(|_| (at, kept.curve, kept.trades))
    };
    let kept = ranking.iter().take(N_KEPT).map(keep).collect::<Result<_, _>>()?;
    let Scene { rows, market, .. } = &prepared.scenes[0];
    let tape = &market.tape;
    let span = Span { from: UnixNanos(tape.open_time[rows.start]), until: tape.close_time(rows.end - 1) };
    Ok(Sweep {
        outcomes,
        ranking,
        n_bars: rows.len(),
        span,
        time: rows.clone().map(|row| tape.close_time(row)).collect(),
        close: tape.close[rows.clone()].to_vec(),
        kept,
        seen: prepared.policy.as_ref().map_or("", |(artefact, ..)| artefact.seen(span)),
        fast: prepared.fast,
        is_rule: prepared.rule.is_some(),
        grid: prepared.grid,
    })
}

/// A sweep whose data are read.
pub(crate) struct Prepared {
    grid: Grid,
    scenes: Vec<Scene>,
    policy: Option<(Artefact, TrainedPolicy, String)>,
    rule: Option<(RuleKind, bool)>,
    fast: bool,
}

impl Prepared {
    /// Reads the data of `request`.
    pub(crate) fn new(layers: &Layers, request: &SweepRequest, machine: &Machine) -> Result<Self, LabError> {
        let (policy, rule) = match &request.subject {
            Subject::Policy(run) => (Some(Artefact::load(run)?), None),
            Subject::Rule { kind, long_only } => (None, Some((*kind, *long_only))),
        };
        let layers = match &policy {
            Some((artefact, ..)) => &Layers::of(&artefact.config)?,
            None => layers,
        };
        let grid = Grid::new(&request.subject, &request.axes)?;
        let scenes = scenes(layers, &grid, request, machine, policy.as_ref().map(|(artefact, ..)| artefact))?;
        let is_short = scenes.iter().all(|scene| matches!(scene.market.execution, Execution::Short(_)));
        let fast = rule.is_some() && is_short && !request.by_environment;
        Ok(Self { grid, scenes, policy, rule, fast })
    }

    /// Bars times combinations.
    pub(crate) fn bar_strategies(&self) -> usize {
        self.grid.combinations.iter().map(|c| self.scenes[c.scene].rows.len()).sum()
    }

    /// One outcome a combination.
    pub(crate) fn outcomes(
        &self,
        n_threads: usize,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Vec<Outcome>, LabError> {
        let closes = self.closes();
        in_parallel(self.grid.combinations.len(), n_threads, progress, &|at| self.one(at, &closes, None))
    }

    fn closes(&self) -> WholeCloses {
        let longest =
            self.grid.combinations.iter().flat_map(|c| &c.parameters).fold(1.0f64, |a, &b| a.max(b));
        WholeCloses::of(&self.scenes[0].market.tape, longest as usize)
    }

    fn one(&self, at: usize, closes: &WholeCloses, kept: Option<&mut Kept>) -> Result<Outcome, LabError> {
        let combination = &self.grid.combinations[at];
        let scene = &self.scenes[combination.scene];
        let (market, parameters) = (&scene.market, &combination.parameters);
        match (self.rule, &self.policy) {
            (Some((kind, long_only)), _) => match &market.execution {
                Execution::Short(engine) if self.fast => {
                    let lived = Lived { scene, engine, kept };
                    Ok(with_rule(kind, long_only, parameters, market, closes, lived))
                }
                Execution::Short(_) | Execution::Full(_) => {
                    with_rule(kind, long_only, parameters, market, closes, Stepped { scene, kept })
                }
            },
            (None, Some((artefact, trained, _))) => {
                let mut env = scene.env(false)?;
                let mut trades = Trades::default();
                let watch = |snapshot: &Snapshot| trades.note(&market.tape, snapshot);
                let track =
                    backtest_policy(&mut env, &market.tape, trained, artefact.action_mode, "policy", watch);
                Ok(finish(&track, trades, kept))
            }
            (None, None) => {
                Err(SweepError::Nothing("there is neither a rule nor a policy".to_owned()).into())
            }
        }
    }
}

/// A market under one choice of config fields.
struct Scene {
    config: Config,
    market: Market,
    normaliser: Arc<Normaliser>,
    rows: Range<usize>,
}

fn scenes(
    layers: &Layers,
    grid: &Grid,
    request: &SweepRequest,
    machine: &Machine,
    policy: Option<&Artefact>,
) -> Result<Vec<Scene>, LabError> {
    let mut scenes: Vec<Scene> = Vec::new();
    for sets in &grid.scenes {
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let config = Config::validate(layers.with(&sets)?.resolve()?)?;
        let config = match policy {
            Some(artefact) => config.acting(&artefact.policy, artefact.multiplier),
            None => config,
        };
        // The bars and features of the first scene serve all that differ in execution alone.
        let market = match scenes.first() {
            Some(first)
                if first.config.source == config.source && first.config.timeframe == config.timeframe =>
            {
                first.market.with_execution(&config, &machine.data)?
            }
            _ => {
                let market = Market::prepare(&config, &machine.data)?;
                match policy.and_then(|artefact| artefact.regime.clone()) {
                    Some(model) => market.with_regime_model(&config, model)?,
                    None => market,
                }
            }
        };
        let whole = market.whole();
        // A policy is tested where it has not been, unless one asks for more.
        let usual = policy.map_or(whole, |artefact| artefact.fold.test);
        let span =
            Span { from: request.from.unwrap_or(usual.from), until: request.until.unwrap_or(usual.until) };
        let window = market.rows("window", "--from and --until", span)?;
        let normaliser = match policy {
            Some(artefact) => Arc::new(artefact.normaliser.clone()),
            None => Arc::new(Normaliser::identity(&market.features.names, 1.0)),
        };
        let rows = market.once(&config, &normaliser, window, policy.is_none())?.rows();
        scenes.push(Scene { config, market, normaliser, rows });
    }
    Ok(scenes)
}

/// What is done with a rule once it is made.
trait WithRule {
    type Out;
    fn run(self, rule: &mut impl Rule) -> Self::Out;
}

fn with_rule<W: WithRule>(
    kind: RuleKind,
    long_only: bool,
    parameters: &[f64],
    market: &Market,
    closes: &WholeCloses,
    with: W,
) -> W::Out {
    let close = &market.tape.close;
    let n = |at: usize| parameters.get(at).copied().unwrap_or(1.0) as usize;
    match kind {
        RuleKind::SmaCross => sided(SmaCross::new(closes, n(0), n(1)), long_only, with),
        RuleKind::Momentum => sided(Momentum { close, n: n(0) }, long_only, with),
        RuleKind::Donchian => sided(Donchian::new(close, n(0)), long_only, with),
        RuleKind::Reversion => {
            let k = parameters.get(1).copied().unwrap_or(1.0);
            sided(Reversion::new(close, n(0), k), long_only, with)
        }
    }
}

fn sided<W: WithRule>(mut rule: impl Rule, long_only: bool, with: W) -> W::Out {
    if long_only { with.run(&mut LongOnly(rule)) } else { with.run(&mut rule) }
}

/// By the fast path.
struct Lived<'a> {
    scene: &'a Scene,
    engine: &'a Engine,
    kept: Option<&'a mut Kept>,
}

impl WithRule for Lived<'_> {
    type Out = Outcome;

    fn run(self, rule: &mut impl Rule) -> Outcome {
        let Scene { config, market, normaliser, rows } = self.scene;
        let engine = self.engine;
        let path = DecisionPath::new(Market::free_decision(config), Arc::clone(normaliser));

        let plain = Plain {
            tape: &market.tape,
            rows: rows.clone(),
            path: &path,
            engine,
            cash: config.initial_cash(),
        };
        match self.kept {
            Some(kept) => plain.run(rule, kept),
            None => plain.run(rule, &mut ()),
        }
    }
}

/// By the environment.
struct Stepped<'a> {
    scene: &'a Scene,
    kept: Option<&'a mut Kept>,
}

impl WithRule for Stepped<'_> {
    type Out = Result<Outcome, LabError>;

    fn run(self, rule: &mut impl Rule) -> Self::Out {
        let mut env = self.scene.env(true)?;
        let tape = &self.scene.market.tape;
        let mut trades = Trades::default();
        let track = backtest(
            &mut env,
            tape,
            "rule",
            |env, _, action| action[0] = f32::from(rule.next(env.snapshot(0).row)),
            |s| {
                trades.note(tape, s);
            },
        );
        Ok(finish(&track, trades, self.kept))
    }
}

impl Scene {
    fn env(&self, free: bool) -> Result<MarketEnv, LabError> {
        self.market.once(&self.config, &self.normaliser, self.rows.clone(), free)
    }
}

fn finish(track: &Track, trades: Trades, kept: Option<&mut Kept>) -> Outcome {
    let outcome = Outcome::of(track, trades.rows.len() as u64);
    if let Some(kept) = kept {
        *kept = Kept { curve: track.equity.clone(), trades: trades.rows };
    }
    outcome
}

/// Trades seen in an environment's snapshots.
#[derive(Default)]
struct Trades {
    rows: Vec<TradeRow>,
    last: Option<Snapshot>,
}

impl Trades {
    fn note(&mut self, tape: &cambist_core::MarketTape, snapshot: &Snapshot) {
        if let Some(last) = self.last.replace(*snapshot)
            && snapshot.traded > last.traded
        {
            self.rows.push(TradeRow {
                time: UnixNanos(tape.open_time[snapshot.row]),
                units: snapshot.units - last.units,
                value: snapshot.traded - last.traded,
                cost: snapshot.costs.total() - last.costs.total(),
                equity: snapshot.equity,
            });
        }
    }
}

impl Outcome {
    /// Of an account's course.
    #[must_use]
    pub fn of(track: &Track, trades: u64) -> Self {
        let held = track.exposure[1..].iter().filter(|&&e| e != 0.0).count();
        let start = track.equity.first().copied().unwrap_or(1.0);
        Self {
            total_return: growth::total_return(&track.equity),
            sharpe: sharpe::annual(&track.returns(), track.bars_per_year()),
            max_drawdown: drawdown::drawdown(&track.equity).deepest,
            trades,
            held: held as f64 / (track.exposure.len() - 1).max(1) as f64,
            costs: track.costs.last().copied().unwrap_or(0.0) / start,
            ruined: track.ruined,
        }
    }
}

/// `work(0..n)` on `n_threads`, in order whatever the threads.
fn in_parallel<T: Send>(
    n: usize,
    n_threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
    work: &(dyn Fn(usize) -> Result<T, LabError> + Sync),
) -> Result<Vec<T>, LabError> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<(usize, Result<T, LabError>)>> = Mutex::new(Vec::with_capacity(n));
    std::thread::scope(|scope| {
        for _ in 0..n_threads.clamp(1, n.max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= n {
                        break;
                    }
                    let result = work(at);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, n);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
