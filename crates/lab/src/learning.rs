//! Proof that learning works: train on markets whose optimum is known, and judge against it.
//!
//! The stock trainer learns; the judge pairs the greedy policy with the optimum on the same noise, on seeds never
//! trained on. Settings follow from the markets' own scales and are the same for every parameter and seed.

mod exercises;
mod judge;
mod memory;
mod oracle;
mod picture;
mod rows;

use cambist_analytic::{ParameterError, SignalEnv, SignalMarket};
use cambist_core::BatchedEnv;
use cambist_core::clock::Clock;
use cambist_policy::{Activation, ActorCritic, Trunk};
use cambist_ppo::{LearnerChoice, PpoConfig, Schedule, TrainError, Trainer, TrainerSpec};

pub use exercises::{Exercise, LearningRequest, check_learning};
pub use judge::{Best, Judged, judge_signal};
pub use memory::{Classic, Earned, learn_classic, learn_memory};
pub use oracle::{NullResult, OracleMarket, OracleResult};
pub use picture::write_pictures;
pub use rows::{Row, Unit};

/// Episodes of a judgement.
pub const JUDGED_EPISODES: usize = 256;
/// Steps of each.
pub const JUDGED_STEPS: u32 = 5000;

/// Environments on the same path, in every market here: it goes its way whatever the agent does.
const PATH_GROUP: usize = 4;

/// How much is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Environment steps of one training.
    pub steps: u64,
    /// Threads.
    pub n_threads: usize,
}

/// One training and its judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalResult {
    /// The training's seed.
    pub seed: u64,
    /// The judgement.
    pub judged: Judged,
    /// Environment steps trained.
    pub steps: u64,
    /// Seconds the training took.
    pub seconds: f64,
}

/// A training or a judgement failed.
#[derive(Debug, thiserror::Error)]
pub enum LearningError {
    /// A market's parameter is out of range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError<std::convert::Infallible>),
    /// Training in the market environment failed.
    #[error(transparent)]
    Market(#[from] TrainError<cambist_market::MarketError>),
    /// The synthetic tape could not be made.
    #[error(transparent)]
    Data(#[from] cambist_data::DataError),
    /// The oracle's parameters are out of range.
    #[error(
        "the oracle's cost {psi} and price of risk {lambda} must be from 0 to 2 and from 0 to 1 deviations of the return"
    )]
    Oracle {
        /// Cost.
        psi: f64,
        /// Price of risk.
        lambda: f64,
    },
    /// There is no closed form.
    #[error("the best policy of this market is not known")]
    Unsolved,
    /// A chart cannot be drawn.
    #[error(transparent)]
    Chart(#[from] cambist_evaluate::chart::ChartError),
    /// Learning failed.
    #[error(transparent)]
    Learn(#[from] cambist_nets::LearnError),
}

/// The settings of every training here, for environments of one's own too: 256 of them, `steps` steps in all.
#[must_use]
pub fn stock_settings(steps: u64, n_threads: usize, seed: u64) -> TrainerSpec {
    settings(&Budget { steps, n_threads }, seed)
}

fn settings(budget: &Budget, seed: u64) -> TrainerSpec {
    let (n_envs, horizon) = (256, 128);
    TrainerSpec {
        ppo: PpoConfig {
            horizon,
            n_epochs: 4,
            minibatch_size: 8192,
            gamma: 0.98,
            gae_lambda: 0.95,
            clip_range: 0.2,
            clip_range_value: 0.0,
            value_coefficient: 0.5,
            entropy_coefficient: 0.0,
            learning_rate: 1.5e-3,
            schedule: Schedule::Linear,
            max_grad_norm: 0.5,
            target_kl: 0.0,
            normalise_advantage: true,
            scale_rewards: false,
            sequence_length: 1,
            burn_in: 0,
            path_group: 1,
        },
        learner: LearnerChoice::Fused,
        trunk: Trunk::None,
        hidden: vec![64, 64],
        // Edges grow with the signal; tanh flattens where data are few (experiments/learning).
        activation: Activation::Silu,
        initial_log_deviation: -0.7,
        n_envs,
        n_updates: (budget.steps / (n_envs * horizon) as u64).max(1),
        seed,
        n_threads: budget.n_threads,
    }
}

/// The settings where the path does not depend on what is done: environments share one, and are compared on it.
fn market_settings(budget: &Budget, seed: u64) -> TrainerSpec {
    let mut spec = settings(budget, seed);
    spec.ppo.path_group = PATH_GROUP;
    spec
}

/// Trains by `spec` in the environments of `make`: the agent, steps and seconds.
fn train_in(
    spec: TrainerSpec,
    make: &memory::Make<'_>,
    clock: &dyn Clock,
    on_update: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<(ActorCritic, u64, f64), LearningError> {
    let n_updates = spec.n_updates;
    let begun = clock.elapsed();
    let mut trainer = Trainer::new(spec, &|n, first| Ok::<_, memory::Never>(make(n, first)), None)?;
    while trainer.n_done() < n_updates && on_update(trainer.n_done(), n_updates) {
        trainer.iterate(clock)?;
    }
    let seconds = (clock.elapsed() - begun).as_secs_f64();
    Ok((trainer.agent().clone(), trainer.n_done() * trainer.steps_per_update(), seconds))
}

/// Trains on `market`, whose `best` policy is known, from `seed` and judges; with a `continuous` head on B too. `on_update` hears how many of how many
/// updates are done, and may end the training by returning false.
///
/// # Errors
/// When a parameter is out of range or learning fails.
pub fn learn_signal(
    market: SignalMarket,
    continuous: bool,
    best: &(Best, f64, f64),
    seed: u64,
    budget: &Budget,
    clock: &dyn Clock,
    on_update: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<(SignalResult, ActorCritic), LearningError> {
    let market = market.checked()?;
    let make = |n, first| {
        let env = SignalEnv::new(market, n, first, 1000).on_shared_paths(PATH_GROUP);
        Box::new(if continuous { env.with_continuous_head() } else { env }) as Box<dyn BatchedEnv>
    };
    let spec = market_settings(budget, seed);
    let (agent, steps, seconds) = train_in(spec, &make, clock, on_update)?;
    let judged = judge_signal(market, best, &agent, budget.n_threads);
    Ok((SignalResult { seed, judged, steps, seconds }, agent))
}
