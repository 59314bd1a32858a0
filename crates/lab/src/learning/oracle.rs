//! The oracle and the null: can the agent exploit a leak, and does it stop when there is none?
//!
//! Both run in the market environment, through its ledger and next-open fills, on a made-up tape of independent normal
//! returns. In the oracle the observation holds the return the next fill will earn; in the null the same column holds
//! the return just past, which tells nothing, and a price on risk makes flat the one best policy.

use std::sync::Arc;

use cambist_analytic::OracleRule;
use cambist_core::clock::Clock;
use cambist_core::env::StepStorage;
use cambist_core::rng::{Purpose, Stream};
use cambist_core::{
    AutoReset, Bar, BasisPoints, BatchedEnv, InstrumentId, MarketTape, PriceSide, Timeframe, UnixNanos,
    VolumeKind,
};
use cambist_decide::{ActionKind, DecisionPath, DecisionRules, FeatureView, Normaliser, Sizing};
use cambist_execution::{CostModel, Engine, EngineRules};
use cambist_market::{EpisodeLength, EpisodePlan, MarketEnv, MarketSpec, Reward, Starts};
use cambist_policy::{ActorCritic, Runner};
use cambist_ppo::TrainError;

use super::{Budget, LearningError, settings};
use crate::market::market_trainer;

/// The market of both exercises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OracleMarket {
    /// Deviation of a bar's return.
    pub sigma: f64,
    /// One-way cost, as a fraction.
    pub psi: f64,
    /// Price of risk: `λ x²` a bar.
    pub lambda: f64,
}

impl Default for OracleMarket {
    /// 1 % a bar; a cost of half a deviation; risk at three tenths of a deviation.
    fn default() -> Self {
        Self { sigma: 0.01, psi: 0.005, lambda: 0.003 }
    }
}

/// What the oracle's agent earned.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleResult {
    /// The training's seed.
    pub seed: u64,
    /// g*, exact.
    pub optimum: f64,
    /// Value over that of the best rule on the same tape.
    pub share: f64,
    /// Environment steps trained.
    pub steps: u64,
    /// Seconds.
    pub seconds: f64,
}

/// What became of the agent without the leak.
#[derive(Debug, Clone, PartialEq)]
pub struct NullResult {
    /// The training's seed.
    pub seed: u64,
    /// Mean |position| before, on fresh paths.
    pub position_before: f64,
    /// And after.
    pub position_after: f64,
    /// Cost a bar before, as a fraction of the stake.
    pub cost_before: f64,
    /// And after.
    pub cost_after: f64,
    /// Environment steps trained.
    pub steps: u64,
    /// Seconds.
    pub seconds: f64,
}

/// What a greedy run over a tape came to, a bar each.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    reward: f64,
    position: f64,
    cost: f64,
}

const N_BARS: usize = 40_000;

/// Equity, in stakes: so much that no run of luck or cost reaches its end.
const EQUITY: f64 = 10_000.0;

/// Seeds of tapes never trained on.
const FRESH: u64 = 0x6672_6573_6800_0000;

impl OracleMarket {
    /// Bars whose opens are the closes before them, so that the return from fill to fill is a bar's own.
    fn tape(&self, seed: u64) -> MarketTape {
        let instrument = InstrumentId("ORACLE".into());
        let mut tape = MarketTape::empty(instrument, Timeframe::HOUR, PriceSide::Last, VolumeKind::None);
        let mut stream = Stream::new(seed, Purpose::Synthesis, 1);
        let mut price = 100.0;
        for row in 0..N_BARS {
            let open = price;
            price *= 1.0 + self.sigma * stream.normal();
            let open_time = UnixNanos(row as i64 * Timeframe::HOUR.nanos());
            let (high, low) = (open.max(price), open.min(price));
            tape.push(Bar {
                open_time,
                open,
                high,
                low,
                close: price,
                volume: 0.0,
                spread: 0.0,
                coverage: 1.0,
            });
        }
        tape
    }

    /// One column: the return of the next bar, in deviations, or of the last.
    fn features(&self, tape: &MarketTape, leak: bool) -> FeatureView {
        let ret = |row: usize| (tape.close[row] / tape.open[row] - 1.0) / self.sigma;
        let column = |row: usize| if leak { ret((row + 1).min(tape.len() - 1)) } else { ret(row) };
        let values = (0..tape.len()).map(|row| column(row) as f32).collect();
        FeatureView { names: vec!["return".into()], values, ready: vec![true; tape.len()] }
    }

    fn spec(&self, tape_seed: u64, leak: bool, plan: EpisodePlan) -> MarketSpec {
        let tape = self.tape(tape_seed);
        let features = self.features(&tape, leak);
        let costs = CostModel { commission: BasisPoints(self.psi * 1e4), ..CostModel::FREE };
        let rules = DecisionRules {
            action: ActionKind::Discrete,
            dead_band: 0.0,
            long_only: false,
            sizing: Sizing::FixedNotional,
            leverage: 1.0 / EQUITY,
            one_way_cost: costs.one_way(),
            limits: cambist_risk::Limits { max_exposure: f64::INFINITY },
            window: 1,
            flat_when_blind: true,
        };
        let normaliser = Arc::new(Normaliser::identity(&features.names, 10.0));
        MarketSpec {
            rows: 0..tape.len(),
            tape: Arc::new(tape),
            features: Arc::new(features),
            path: DecisionPath::new(rules, normaliser),
            engine: Engine::new(EngineRules { costs, margin: true, ruin_fraction: 0.0 }),
            reward: Reward::Simple {
                scale: 1.0 / self.sigma,
                stake: 1.0 / EQUITY,
                risk_aversion: self.lambda,
            },
            plan,
            initial_cash: EQUITY,
        }
    }

    fn train(
        &self,
        seed: u64,
        leak: bool,
        start: Option<&ActorCritic>,
        budget: &Budget,
        clock: &dyn Clock,
        on_update: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<(ActorCritic, u64), LearningError> {
        let plan = EpisodePlan { starts: Starts::Random, length: EpisodeLength::Steps(200) };
        let market = self.spec(seed + 1000 * u64::from(leak), leak, plan);
        let spec = settings(budget, seed);
        let n_updates = spec.n_updates;
        let mut trainer = market_trainer(&market, spec, start).map_err(LearningError::Market)?;
        while trainer.n_done() < n_updates && on_update(trainer.n_done(), n_updates) {
            trainer.iterate(clock)?;
        }
        Ok((trainer.agent().clone(), trainer.n_done() * trainer.steps_per_update()))
    }

    /// Runs `act` (observation to action) once over a fresh tape.
    fn run(&self, leak: bool, mut act: impl FnMut(&[f32]) -> f32) -> Result<Run, LearningError> {
        let plan = EpisodePlan { starts: Starts::First, length: EpisodeLength::ToEnd };
        let failed = |e| LearningError::Market(TrainError::Env(e));
        let mut env =
            MarketEnv::new(self.spec(FRESH, leak, plan), 1, 0, AutoReset::Disabled).map_err(failed)?;
        let mut storage = StepStorage::for_env(&env);
        env.reset(0, &mut storage.observations);
        let mut run = Run::default();
        let n = (N_BARS - 1) as f64;
        for _ in 1..N_BARS {
            let action = act(&storage.observations);
            env.step(&[action], &mut storage.buffers());
            run.reward += f64::from(storage.rewards[0]) * self.sigma / n;
            let snapshot = env.snapshot(0);
            // The stake is 1.
            run.position += (snapshot.exposure * snapshot.equity).abs() / n;
            run.cost = snapshot.costs.total() / n;
        }
        Ok(run)
    }

    fn greedy(&self, leak: bool, agent: &ActorCritic) -> Result<Run, LearningError> {
        let mut greedy = Runner::greedy(agent.clone(), 1);
        self.run(leak, |observation| {
            let mut action = [0.0];
            greedy.act(observation, None, &mut action);
            action[0]
        })
    }

    /// Trains with the leak and judges on a fresh tape beside the best rule.
    ///
    /// # Errors
    /// When learning fails.
    pub fn oracle(
        &self,
        seed: u64,
        budget: &Budget,
        clock: &dyn Clock,
        on_update: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<(OracleResult, ActorCritic), LearningError> {
        let begun = clock.elapsed();
        let (agent, steps) = self.train(seed, true, None, budget, clock, on_update)?;
        let seconds = (clock.elapsed() - begun).as_secs_f64();
        let rule = OracleRule::optimal(self.sigma, self.lambda, self.psi, 1.0);
        let mut held = 0.0;
        let best = self.run(true, |observation| {
            held = rule.act(f64::from(observation[0]) * self.sigma, held);
            held as f32 + 1.0
        })?;
        let ours = self.greedy(true, &agent)?;
        let result =
            OracleResult { seed, optimum: rule.value, share: ours.reward / best.reward, steps, seconds };
        Ok((result, agent))
    }

    /// Trains on from `oracle`'s weights with the leak gone, and judges on fresh paths before and after.
    ///
    /// # Errors
    /// When learning fails.
    pub fn null(
        &self,
        seed: u64,
        oracle: &ActorCritic,
        budget: &Budget,
        clock: &dyn Clock,
        on_update: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<NullResult, LearningError> {
        let before = self.greedy(false, oracle)?;
        let begun = clock.elapsed();
        let (agent, steps) = self.train(seed, false, Some(oracle), budget, clock, on_update)?;
        let seconds = (clock.elapsed() - begun).as_secs_f64();
        let after = self.greedy(false, &agent)?;
        Ok(NullResult {
            seed,
            position_before: before.position,
            position_after: after.position,
            cost_before: before.cost,
            cost_after: after.cost,
            steps,
            seconds,
        })
    }
}
