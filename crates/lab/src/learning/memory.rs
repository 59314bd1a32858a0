//! The memory market and the two classic tasks: trained as everything else, judged by what they earn.

use std::convert::Infallible;

use cambist_analytic::{CartPole, MemoryEnv, Pendulum};
use cambist_core::clock::Clock;
use cambist_core::env::StepStorage;
use cambist_core::{BatchedEnv, End};
use cambist_policy::{ActorCritic, Runner, Trunk};
use cambist_ppo::TrainerSpec;

use super::judge::JUDGE_SEED;
use super::{Budget, JUDGED_EPISODES, LearningError, PATH_GROUP, market_settings, settings, train_in};

/// Signs of an episode of the memory market.
const ROUNDS: u32 = 16;
/// Units of the recurrent policy.
const UNITS: usize = 32;

/// What a trained policy earned over episodes never trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Earned {
    /// Mean: a step of the memory market, an episode of a classic task.
    pub mean: f64,
    /// Its standard error over episodes.
    pub standard_error: f64,
    /// Environment steps trained.
    pub steps: u64,
    /// Seconds of the training.
    pub seconds: f64,
}

type OnUpdate<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// Trains on a sign that pays `lag` bars after it was shown, with a GRU or, `remembers` being false, without memory.
///
/// # Errors
/// When learning fails.
pub fn learn_memory(
    lag: u32,
    remembers: bool,
    seed: u64,
    budget: &Budget,
    clock: &dyn Clock,
    on_update: OnUpdate<'_>,
) -> Result<Earned, LearningError> {
    let base = market_settings(budget, seed);
    // Long enough for the gradient to reach from the payment back to the sign.
    let horizon = (2 * (lag as usize + 1)).next_power_of_two().max(32);
    let mut spec = TrainerSpec { n_envs: base.n_envs * base.ppo.horizon / horizon, ..base };
    spec.ppo.horizon = horizon;
    if remembers {
        spec.trunk = Trunk::Gru { width: UNITS };
        spec.hidden = Vec::new();
        spec.ppo.sequence_length = horizon;
    }
    let alone = MemoryEnv::new(lag, JUDGED_EPISODES, 0, ROUNDS);
    let make = move |n, first| {
        Box::new(MemoryEnv::new(lag, n, first, ROUNDS).on_shared_paths(PATH_GROUP)) as Box<dyn BatchedEnv>
    };
    let (agent, steps, seconds) = train_in(spec, &make, clock, on_update)?;
    let unit = alone.reward_a_step();
    let returns = greedy_returns(Box::new(alone), &agent);
    let length = f64::from(ROUNDS * (lag + 1));
    let shares: Vec<f64> = returns.iter().map(|r| r * unit / length).collect();
    Ok(earned(&shares, steps, seconds))
}

/// Which classic task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classic {
    /// `CartPole-v1`.
    CartPole,
    /// `Pendulum-v1`.
    Pendulum,
}

/// Trains on a classic task.
///
/// # Errors
/// When learning fails.
pub fn learn_classic(
    task: Classic,
    seed: u64,
    budget: &Budget,
    clock: &dyn Clock,
    on_update: OnUpdate<'_>,
) -> Result<Earned, LearningError> {
    let make = move |n, first| match task {
        Classic::CartPole => Box::new(CartPole::new(n, first)) as Box<dyn BatchedEnv>,
        Classic::Pendulum => Box::new(Pendulum::new(n, first)) as Box<dyn BatchedEnv>,
    };
    let mut spec = settings(budget, seed);
    // Rewards of these tasks have no scale of their own.
    spec.ppo.scale_rewards = true;
    let (agent, steps, seconds) = train_in(spec, &make, clock, on_update)?;
    Ok(earned(&greedy_returns(make(JUDGED_EPISODES, 0), &agent), steps, seconds))
}

fn earned(values: &[f64], steps: u64, seconds: f64) -> Earned {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    Earned { mean, standard_error: (variance / n).sqrt(), steps, seconds }
}

/// Undiscounted return of each environment's first episode.
fn greedy_returns(mut env: Box<dyn BatchedEnv>, agent: &ActorCritic) -> Vec<f64> {
    let n = env.n_envs();
    let mut storage = StepStorage::for_env(env.as_ref());
    env.reset(JUDGE_SEED, &mut storage.observations);
    let mut greedy = Runner::greedy(agent.clone(), n);
    let mut actions = vec![0.0; n * env.action_spec().width()];
    let (mut returns, mut over) = (vec![0.0; n], vec![false; n]);
    while over.iter().any(|o| !o) {
        greedy.act(&storage.observations, &mut actions);
        env.step(&actions, &mut storage.buffers());
        for index in 0..n {
            if !over[index] {
                returns[index] += f64::from(storage.rewards[index]);
                over[index] = storage.ends[index] != End::Running;
            }
            if storage.ends[index] != End::Running {
                greedy.forget(index);
            }
        }
    }
    returns
}

/// An environment that cannot fail to be made.
pub(super) type Make<'a> = dyn Fn(usize, u64) -> Box<dyn BatchedEnv> + 'a;
/// Nothing fails.
pub(super) type Never = Infallible;
