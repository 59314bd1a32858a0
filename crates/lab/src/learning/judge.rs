//! The greedy policy beside the optimum, on the same noise.

use cambist_analytic::{LinearPolicy, SignalEnv, SignalMarket, ThresholdPolicy};
use cambist_core::BatchedEnv;
use cambist_core::env::StepStorage;
use cambist_policy::{ActorCritic, Head, Instructions, Scratch};

use super::{JUDGED_EPISODES, JUDGED_STEPS};

/// Seed of the noise of judgements; trainings use small ones.
const JUDGE_SEED: u64 = 0x6A75_6467_6500_0000;

/// What a policy is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The exact optimum per step, g*.
    pub optimum: f64,
    /// Value over g*, paired with the optimum on the same noise.
    pub share: f64,
    /// Standard error of the share.
    pub standard_error: f64,
    /// The exact decision: on B the threshold q*, on A the weight of the signal.
    pub exact_rule: f64,
    /// The same of the learned policy: on B the mean of its two reversal points, on A the slope at rest.
    pub learned_rule: f64,
}

enum Best {
    Linear(LinearPolicy),
    Threshold(ThresholdPolicy),
}

impl Best {
    fn of(market: &SignalMarket) -> Option<(Self, f64, f64)> {
        if let Some(policy) = LinearPolicy::optimal(market) {
            let value = policy.value(market)?;
            return Some((Self::Linear(policy), value, policy.b));
        }
        let policy = ThresholdPolicy::optimal(market)?;
        let (value, rule) = (policy.value(), policy.threshold());
        Some((Self::Threshold(policy), value, rule))
    }

    fn act(&self, p: f64, position: f64) -> f64 {
        match self {
            Self::Linear(policy) => policy.k * position + policy.b * p,
            Self::Threshold(policy) => policy.act(p, position),
        }
    }
}

/// Judges `agent` greedily over [`JUDGED_EPISODES`] episodes of [`JUDGED_STEPS`] steps.
#[must_use]
pub fn judge_signal(market: SignalMarket, agent: &ActorCritic, n_threads: usize) -> Judged {
    let nothing =
        Judged { optimum: 0.0, share: 0.0, standard_error: 0.0, exact_rule: 0.0, learned_rule: 0.0 };
    let Some((best, optimum, exact_rule)) = Best::of(&market) else { return nothing };
    let share = JUDGED_EPISODES.div_ceil(n_threads.max(1));
    let mut shortfalls = vec![0.0; JUDGED_EPISODES];
    std::thread::scope(|scope| {
        for (chunk, out) in shortfalls.chunks_mut(share).enumerate() {
            let best = &best;
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
        learned_rule: learned_rule(market, agent),
    }
}

/// Mean of the policy's minus the optimum's reward, an episode each.
fn paired(market: SignalMarket, agent: &ActorCritic, best: &Best, first: u64, out: &mut [f64]) {
    let n = out.len();
    let mut ours = SignalEnv::new(market, n, first, JUDGED_STEPS + 1);
    let mut theirs = ours.clone();
    let mut storage = StepStorage::for_env(&ours);
    let mut other = storage.clone();
    ours.reset(JUDGE_SEED, &mut storage.observations);
    theirs.reset(JUDGE_SEED, &mut other.observations);
    let mut greedy = Greedy::new(agent);
    let (mut actions, mut best_actions) = (vec![0.0; n], vec![0.0; n]);
    for _ in 0..JUDGED_STEPS {
        greedy.act(&storage.observations, &mut actions);
        for (index, action) in best_actions.iter_mut().enumerate() {
            let (p, position) = theirs.state(index);
            *action = theirs.action_for(best.act(p, position));
        }
        ours.step(&actions, &mut storage.buffers());
        theirs.step(&best_actions, &mut other.buffers());
        for (index, sum) in out.iter_mut().enumerate() {
            *sum += (ours.market_reward(index) - theirs.market_reward(index)) / f64::from(JUDGED_STEPS);
        }
    }
}

/// The actor alone, taking the most probable action.
pub(super) struct Greedy<'a> {
    agent: &'a ActorCritic,
    isa: Instructions,
    outputs: Vec<f32>,
    scratch: Scratch,
}

impl<'a> Greedy<'a> {
    pub(super) fn new(agent: &'a ActorCritic) -> Self {
        Self { agent, isa: Instructions::detect(), outputs: Vec::new(), scratch: Scratch::default() }
    }

    pub(super) fn act(&mut self, observations: &[f32], actions: &mut [f32]) {
        let head = self.agent.spec().head;
        self.outputs.resize(actions.len() / head.action_width() * head.width(), 0.0);
        self.agent.actor_forward(self.isa, observations, &mut self.outputs, &mut self.scratch);
        match head {
            Head::Gaussian { .. } => actions.copy_from_slice(&self.outputs),
            Head::Categorical { n } => {
                for (action, logits) in actions.iter_mut().zip(self.outputs.chunks_exact(n)) {
                    let best =
                        logits.iter().enumerate().fold(0, |b, (i, v)| if *v > logits[b] { i } else { b });
                    *action = best as f32;
                }
            }
        }
    }
}

/// Where the learned policy turns: from −M to +M and back, averaged; on A its slope around rest.
fn learned_rule(market: SignalMarket, agent: &ActorCritic) -> f64 {
    let env = SignalEnv::new(market, 1, 0, 1);
    let mut greedy = Greedy::new(agent);
    let mut position_at = |p: f64, held: f64| {
        let mut action = [0.0];
        greedy.act(&env.observation(p, held), &mut action);
        env.position_of(action[0])
    };
    let deviation = market.signal.variance().sqrt();
    match market.kind {
        cambist_analytic::MarketKind::Quadratic { .. } => {
            (position_at(deviation, 0.0) - position_at(-deviation, 0.0)) / (2.0 * deviation)
        }
        cambist_analytic::MarketKind::Proportional { cap, .. } => {
            let grid = |i: i32| 4.0 * deviation * f64::from(i) / 4000.0;
            let up = (-4000..=4000).map(grid).find(|&p| position_at(p, -cap) > 0.0);
            let down = (-4000..=4000).rev().map(grid).find(|&p| position_at(p, cap) < 0.0);
            match (up, down) {
                (Some(up), Some(down)) => 0.5 * (up - down),
                _ => f64::NAN,
            }
        }
    }
}
