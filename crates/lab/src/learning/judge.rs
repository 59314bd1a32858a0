//! The greedy policy beside the optimum, on the same noise.

use cambist_analytic::{BandPolicy, LinearPolicy, MarketKind, SignalEnv, SignalMarket, ThresholdPolicy};
use cambist_core::BatchedEnv;
use cambist_core::env::StepStorage;
use cambist_policy::{ActorCritic, Head, Runner};

use super::{JUDGED_EPISODES, JUDGED_STEPS};

/// Seed of the noise of judgements; trainings use small ones.
pub(super) const JUDGE_SEED: u64 = 0x6A75_6467_6500_0000;

/// What a policy is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The exact optimum per step, g*.
    pub optimum: f64,
    /// Value over g*, paired with the optimum on the same noise.
    pub share: f64,
    /// Standard error of the share.
    pub standard_error: f64,
    /// The exact decision: on A the weight of the signal, on B the threshold q*, on C zero.
    pub exact_rule: f64,
    /// The same of the learned policy: on A the slope at rest, on B the mean of its two reversal points, on C the mean
    /// absolute error of the edges, weighted by the optimum's visits to them.
    pub learned_rule: f64,
}

/// The best policy of a market.
#[derive(Debug, Clone)]
pub enum Best {
    /// Of A.
    Linear(LinearPolicy),
    /// Of B.
    Threshold(ThresholdPolicy),
    /// Of C.
    Band(BandPolicy),
}

impl Best {
    /// Solves `market`: the policy, what it earns, and its rule's number.
    #[must_use]
    pub fn of(market: &SignalMarket) -> Option<(Self, f64, f64)> {
        if let Some(policy) = LinearPolicy::optimal(market) {
            let value = policy.value(market)?;
            return Some((Self::Linear(policy), value, policy.b));
        }
        if let Some(policy) = ThresholdPolicy::optimal(market) {
            let (value, rule) = (policy.value(), policy.threshold());
            return Some((Self::Threshold(policy), value, rule));
        }
        let policy = BandPolicy::optimal(market)?;
        let value = policy.value();
        Some((Self::Band(policy), value, 0.0))
    }

    /// The position it takes.
    #[must_use]
    pub fn act(&self, p: f64, position: f64) -> f64 {
        match self {
            Self::Linear(policy) => policy.k * position + policy.b * p,
            Self::Threshold(policy) => policy.act(p, position),
            Self::Band(policy) => policy.act(p, position),
        }
    }
}

/// Judges `agent` greedily over [`JUDGED_EPISODES`] episodes of [`JUDGED_STEPS`] steps.
#[must_use]
pub fn judge_signal(
    market: SignalMarket,
    (best, optimum, exact_rule): &(Best, f64, f64),
    agent: &ActorCritic,
    n_threads: usize,
) -> Judged {
    let (optimum, exact_rule) = (*optimum, *exact_rule);
    let share = JUDGED_EPISODES.div_ceil(n_threads.max(1));
    let mut shortfalls = vec![0.0; JUDGED_EPISODES];
    std::thread::scope(|scope| {
        for (chunk, out) in shortfalls.chunks_mut(share).enumerate() {
            scope.spawn(move || paired(market, agent, best, (chunk * share) as u64, out));
        }
    });
    let n = JUDGED_EPISODES as f64;
    let mean = shortfalls.iter().sum::<f64>() / n;
    let variance = shortfalls.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / (n - 1.0);
    Judged {
        optimum,
        share: 1.0 + mean / optimum,
        standard_error: (variance / n).sqrt() / optimum,
        exact_rule,
        learned_rule: learned_rule(market, best, agent),
    }
}

/// `env` with the actions that `agent` takes.
fn env_for(agent: &ActorCritic, env: SignalEnv) -> SignalEnv {
    match agent.spec().head {
        Head::Gaussian { .. } => env.with_continuous_head(),
        Head::Categorical { .. } => env,
    }
}

/// Mean of the policy's minus the optimum's reward, an episode each.
fn paired(market: SignalMarket, agent: &ActorCritic, best: &Best, first: u64, out: &mut [f64]) {
    let n = out.len();
    let mut ours = env_for(agent, SignalEnv::new(market, n, first, JUDGED_STEPS + 1));
    let mut theirs = ours.clone();
    let mut storage = StepStorage::for_env(&ours);
    let mut other = storage.clone();
    ours.reset(JUDGE_SEED, &mut storage.observations);
    theirs.reset(JUDGE_SEED, &mut other.observations);
    let mut greedy = Runner::greedy(agent.clone(), n);
    let width = ours.action_spec().width();
    let (mut actions, mut best_actions) = (vec![0.0; n * width], vec![0.0; n * width]);
    for _ in 0..JUDGED_STEPS {
        greedy.act(&storage.observations, &mut actions);
        for (index, action) in best_actions.chunks_exact_mut(width).enumerate() {
            let (p, position) = theirs.state(index);
            // On C a band of no width at the position wanted: exact but for its own rounding, so held when near.
            action.copy_from_slice(&theirs.action_for(best.act(p, position))[..width]);
        }
        ours.step(&actions, &mut storage.buffers());
        theirs.step(&best_actions, &mut other.buffers());
        for (index, sum) in out.iter_mut().enumerate() {
            *sum += (ours.market_reward(index) - theirs.market_reward(index)) / f64::from(JUDGED_STEPS);
        }
    }
}

/// The positions an agent takes, greedily.
pub(super) struct Positions {
    env: SignalEnv,
    greedy: Runner,
}

impl Positions {
    pub(super) fn of(market: SignalMarket, agent: &ActorCritic) -> Self {
        let env = env_for(agent, SignalEnv::new(market, 1, 0, 1));
        Self { env, greedy: Runner::greedy(agent.clone(), 1) }
    }

    /// On C: the edges of the band, in the market's units.
    fn edges(&mut self, p: f64, held: f64) -> (f64, f64) {
        let mut action = [0.0; 2];
        self.greedy.act(&self.env.observation(p, held), &mut action);
        let [a, b] = action.map(|edge| f64::from(edge) * self.env.market().position_scale());
        (a.min(b), a.max(b))
    }

    pub(super) fn at(&mut self, p: f64, held: f64) -> f64 {
        let mut action = vec![0.0; self.env.action_spec().width()];
        self.greedy.act(&self.env.observation(p, held), &mut action);
        self.env.position_of(&action, held)
    }
}

/// See [`Judged::learned_rule`].
fn learned_rule(market: SignalMarket, best: &Best, agent: &ActorCritic) -> f64 {
    let mut positions = Positions::of(market, agent);
    let deviation = market.signal.variance().sqrt();
    match (market.kind, best) {
        (MarketKind::Proportional { cap, .. }, _) => {
            reversal(deviation, cap, &mut |p, held| positions.at(p, held))
        }
        (MarketKind::Banded { .. }, Best::Band(best)) => band_error(market, best, &mut positions),
        _ => (positions.at(deviation, 0.0) - positions.at(-deviation, 0.0)) / (2.0 * deviation),
    }
}

/// Mean of the two signals at which a policy (signal and position held to new position) turns its position round: upwards
/// from `-cap`, downwards from `cap`; NaN when it does not within four deviations.
pub(super) fn reversal(deviation: f64, cap: f64, position: &mut dyn FnMut(f64, f64) -> f64) -> f64 {
    let grid = |i: i32| 4.0 * deviation * f64::from(i) / 4000.0;
    let up = (-4000..=4000).map(grid).find(|&p| position(p, -cap) > 0.0);
    let down = (-4000..=4000).rev().map(grid).find(|&p| position(p, cap) < 0.0);
    match (up, down) {
        (Some(up), Some(down)) => 0.5 * (up - down),
        _ => f64::NAN,
    }
}

/// Mean distance of the learned edges from the optimum's, weighted by the optimum's visits to them: an edge is visited when
/// the optimum trades to it. Edges are compared, not positions, so a band too wide to trade is wrong by all of its width.
fn band_error(market: SignalMarket, best: &BandPolicy, positions: &mut Positions) -> f64 {
    const VISITS: u32 = 50_000;
    let mut env = SignalEnv::new(market, 1, 0, VISITS + 1);
    let mut storage = StepStorage::for_env(&env);
    env.reset(JUDGE_SEED + 1, &mut storage.observations);
    let (mut sum, mut n) = (0.0, 0.0);
    for _ in 0..VISITS {
        let (p, held) = env.state(0);
        let (buy, sell) = best.edges(p);
        if held < buy || held > sell {
            let (low, high) = positions.edges(p, held);
            sum += if held < buy { (low - buy).abs() } else { (high - sell).abs() };
            n += 1.0;
        }
        env.step(&env.action_for(best.act(p, held)), &mut storage.buffers());
    }
    sum / f64::max(n, 1.0)
}
