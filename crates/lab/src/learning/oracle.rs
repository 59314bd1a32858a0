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
use cambist_market::{EpisodeLength, EpisodePlan, Execution, MarketEnv, MarketSpec, Reward, Starts};
use cambist_policy::{ActorCritic, Runner};
use cambist_ppo::TrainError;

use super::judge::reversal;
use super::picture::{Shown, policy};
use super::{Budget, LearningError, PATH_GROUP, market_settings};
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
    /// g*, exact: the best rule's reward a bar.
    pub optimum: f64,
    /// What the best rule earned a bar on the tapes of the judgement.
    pub best: f64,
    /// Value over g*, paired with the best rule on the same tapes.
    pub share: f64,
    /// Its standard error over tapes.
    pub standard_error: f64,
    /// Mean of the two returns, in deviations, at which the agent turns its position round.
    pub learned_rule: f64,
    /// The same of the best rule.
    pub exact_rule: f64,
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

/// Tapes of a judgement: 1.28 million bars.
const N_TAPES: u64 = 32;

impl OracleMarket {
    /// Returns of 1 % a bar; cost and price of risk in their deviations.
    ///
    /// # Errors
    /// When one is negative or not finite, or the cost is so high that nothing is worth a trade.
    pub fn scaled(psi: f64, lambda: f64) -> Result<Self, LearningError> {
        let sigma = 0.01;
        if !(0.0..=2.0).contains(&psi) || !(0.0..=1.0).contains(&lambda) {
            return Err(LearningError::Oracle { psi, lambda });
        }
        Ok(Self { sigma, psi: psi * sigma, lambda: lambda * sigma })
    }

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
            execution: Execution::Short(Engine::new(EngineRules { costs, margin: true, ruin_fraction: 0.0 })),
            regimes: None,
            reward: Reward::Simple {
                scale: 1.0 / self.sigma,
                stake: 1.0 / EQUITY,
                risk_aversion: self.lambda,
            },
            plan,
            left_out: Vec::new(),
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
        let plan = EpisodePlan { starts: Starts::Together(PATH_GROUP), length: EpisodeLength::Steps(200) };
        let market = self.spec(seed + 1000 * u64::from(leak), leak, plan);
        let spec = market_settings(budget, seed);
        let n_updates = spec.n_updates;
        let mut trainer = market_trainer(&market, spec, start).map_err(LearningError::Market)?;
        while trainer.n_done() < n_updates && on_update(trainer.n_done(), n_updates) {
            trainer.iterate(clock)?;
        }
        Ok((trainer.agent().clone(), trainer.n_done() * trainer.steps_per_update()))
    }

    /// A fresh tape, to be lived through once.
    fn fresh(&self, tape: u64, leak: bool) -> MarketSpec {
        let plan = EpisodePlan { starts: Starts::First, length: EpisodeLength::ToEnd };
        self.spec(FRESH + tape, leak, plan)
    }

    /// Runs `act` (observation to action) once over `market`.
    fn run(&self, market: &MarketSpec, mut act: impl FnMut(&[f32]) -> f32) -> Result<Run, LearningError> {
        let failed = |e| LearningError::Market(TrainError::Env(e));
        let mut env = MarketEnv::new(market.clone(), 1, 0, AutoReset::Disabled).map_err(failed)?;
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

    fn greedy(&self, market: &MarketSpec, agent: &ActorCritic) -> Result<Run, LearningError> {
        let mut greedy = Runner::greedy(agent.clone(), 1);
        self.run(market, |observation| {
            let mut action = [0.0];
            greedy.act(observation, &mut action);
            action[0]
        })
    }

    fn rule(&self) -> OracleRule {
        OracleRule::optimal(self.sigma, self.lambda, self.psi, 1.0)
    }

    /// What the agent and the best rule earn a bar on each fresh tape.
    fn paired(&self, agent: &ActorCritic) -> Result<Vec<(f64, f64)>, LearningError> {
        let rule = self.rule();
        (0..N_TAPES)
            .map(|tape| {
                let market = self.fresh(tape, true);
                let mut held = 0.0;
                let best = self.run(&market, |observation| {
                    held = rule.act(f64::from(observation[0]) * self.sigma, held);
                    held as f32 + 1.0
                })?;
                Ok((self.greedy(&market, agent)?.reward, best.reward))
            })
            .collect()
    }

    /// The position that `agent` takes when `r`, in deviations, is shown and `held` is held, at no profit.
    fn position(greedy: &mut Runner, r: f64, held: f64) -> f64 {
        let mut action = [0.0];
        greedy.act(&[r as f32, held as f32, 0.0], &mut action);
        f64::from(action[0]) - 1.0
    }

    /// The first trained agent's positions over the best rule's.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub(super) fn picture(&self, agent: &ActorCritic) -> Result<String, LearningError> {
        let (rule, mut greedy) = (self.rule(), Runner::greedy(agent.clone(), 1));
        let shown = Shown {
            title: "Oracle: the learned policy over the optimal one",
            deviation: 1.0,
            held: [-1.0, 0.0, 1.0],
        };
        let learned = &mut |r, held| Self::position(&mut greedy, r, held);
        Ok(policy(&shown, learned, &|r, held| rule.act(r * self.sigma, held))?)
    }

    /// Trains with the leak and judges on fresh tapes beside the best rule.
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
        let (rule, mut greedy) = (self.rule(), Runner::greedy(agent.clone(), 1));
        let runs = self.paired(&agent)?;
        let n = runs.len() as f64;
        let shortfall = runs.iter().map(|(ours, best)| ours - best).sum::<f64>() / n;
        let squares = runs.iter().map(|(ours, best)| (ours - best - shortfall).powi(2)).sum::<f64>();
        let result = OracleResult {
            seed,
            optimum: rule.value,
            best: runs.iter().map(|(_, best)| best).sum::<f64>() / n,
            share: 1.0 + shortfall / rule.value,
            standard_error: (squares / (n - 1.0) / n).sqrt() / rule.value,
            learned_rule: reversal(1.0, 1.0, &mut |r, held| Self::position(&mut greedy, r, held)),
            exact_rule: reversal(1.0, 1.0, &mut |r, held| rule.act(r * self.sigma, held)),
            steps,
            seconds,
        };
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
        let market = self.fresh(0, false);
        let before = self.greedy(&market, oracle)?;
        let begun = clock.elapsed();
        let (agent, steps) = self.train(seed, false, Some(oracle), budget, clock, on_update)?;
        let seconds = (clock.elapsed() - begun).as_secs_f64();
        let after = self.greedy(&market, &agent)?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use cambist_policy::{Activation, ActorCriticSpec, Head, Trunk};

    /// Through ledger, next-open fills and costs, the best rule earns what its closed form says: at λ = 0 that is
    /// `M E(|r| − ψ)₊ = 2 (σ φ(ψ/σ) − ψ (1 − Φ(ψ/σ)))`.
    #[test]
    fn the_best_rule_earns_its_closed_form_in_the_market_environment() {
        let market = OracleMarket { lambda: 0.0, ..OracleMarket::default() };
        let z = market.psi / market.sigma;
        let density = libm::exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt();
        let beyond = 0.5 * libm::erfc(z / std::f64::consts::SQRT_2);
        let exact = 2.0 * (market.sigma * density - market.psi * beyond);
        assert!((market.rule().value / exact - 1.0).abs() < 1e-4, "{} {exact}", market.rule().value);
        for market in [market, OracleMarket::default()] {
            let spec = ActorCriticSpec {
                observation: 3,
                trunk: Trunk::None,
                hidden: vec![4],
                activation: Activation::Tanh,
                head: Head::Categorical { n: 3 },
            };
            let agent = cambist_nets::init::orthogonal(&spec, 1, 0.0).unwrap();
            let earned: Vec<f64> = market.paired(&agent).unwrap().iter().map(|(_, best)| *best).collect();
            let n = earned.len() as f64;
            let mean = earned.iter().sum::<f64>() / n;
            let error = (earned.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
            assert!(
                (mean - market.rule().value).abs() < 3.0 * error,
                "{mean} ± {error}, {}",
                market.rule().value
            );
            assert!(error < 0.005 * mean, "{error} of {mean}");
        }
    }
}
