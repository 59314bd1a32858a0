//! Training on one fold: rollout, update, a look at the validation window, the best weights kept.

use std::path::PathBuf;
use std::sync::Arc;

use cambist_core::clock::Clock;
use cambist_evaluate::metrics::{drawdown, growth, sharpe};
use cambist_evaluate::windows::Fold;
use cambist_features::Normaliser;
use cambist_nets::LearnError;
use cambist_policy::ActorCritic;
use cambist_ppo::{Iteration, Phases, UpdateStats};
use cambist_reward::DrawdownLimit;

use crate::backtest::backtest_window;
use crate::config::Config;
use crate::config::raw::OnNotFinite;
use crate::error::LabError;
use crate::market::{Market, market_trainer};

/// How a training stands, after each update.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Fold, from 0, and how many there are.
    pub fold: (usize, usize),
    /// Environment steps done.
    pub steps: u64,
    /// Environment steps to do.
    pub total_steps: u64,
    /// Environment steps a second, so far.
    pub steps_per_second: f64,
    /// Mean undiscounted return of the episodes that ended in the rollout; NaN when none did.
    pub episode_return: f64,
    /// Share of them that were ruined; NaN when none ended.
    pub ruined: f64,
    /// The update's scalars.
    pub stats: UpdateStats,
    /// Where the update's time went.
    pub phases: Phases,
    /// Means over the rollout's steps of what rewards were made of.
    pub terms: Vec<(String, f64)>,
    /// Annual Sharpe ratio on the validation window, when it was looked at.
    pub validation_sharpe: Option<f64>,
}

/// Who watches a training.
pub trait Observer {
    /// Hears of an update; false ends the training at once, with everything saved.
    ///
    /// # Errors
    /// What it cannot write ends the training too.
    fn update(&mut self, progress: &Progress) -> Result<bool, LabError>;

    /// Hears that an update's loss or gradient was not finite, and of the last good weights. Returns where they were
    /// kept, if they were.
    ///
    /// # Errors
    /// What it cannot write ends the training.
    fn lost(&mut self, _lost: &Lost<'_>) -> Result<Option<PathBuf>, LabError> {
        Ok(None)
    }
}

/// An update that failed.
#[derive(Debug, Clone, Copy)]
pub struct Lost<'a> {
    /// Its number, from 0.
    pub update: u64,
    /// What was not finite, and at which step.
    pub reason: &'a LearnError,
    /// The last good weights.
    pub good: &'a ActorCritic,
    /// Factor of the learning rate from here on; none when the training ends.
    pub pace: Option<f32>,
}

/// Most times that a training goes back.
const MOST_BACK: u32 = 10;

/// What a training leaves.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The agent with the chosen weights.
    pub agent: ActorCritic,
    /// Fitted on the training window.
    pub normaliser: Arc<Normaliser>,
    /// Environment steps done.
    pub steps: u64,
    /// The update whose weights were chosen.
    pub chosen_update: u64,
    /// Multiplier of the reward's constraint when they were chosen.
    pub multiplier: f64,
    /// Whether the observer ended it early.
    pub stopped: bool,
}

/// Trains on `fold`.
///
/// # Errors
/// When a window is empty, learning fails, or the observer fails.
pub fn train(
    config: &Config,
    market: &Market,
    fold: &Fold,
    place: (usize, usize),
    n_threads: usize,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
) -> Result<Trained, LabError> {
    let validation_rows = market.rows("validation", "validation_until", fold.validation)?;
    market.rows("test", "test_until", fold.test)?;
    let normaliser = market.training_normaliser(config, fold)?;
    let spec = market.training_spec(config, fold)?;
    let settings = config.trainer(n_threads);
    let n_updates = settings.n_updates;
    let mut trainer = market_trainer(&spec, settings, None)?;
    let mut best: Option<(f64, u64, f64, ActorCritic)> = None;
    let (mut stopped, mut n_back) = (false, 0);
    let begun = clock.elapsed();
    while trainer.n_done() < n_updates && !stopped {
        let multiplier = limit_of(config).map(|_| ("multiplier".to_owned(), trainer.multiplier()));
        let Iteration { stats, episodes, phases, mut terms } = match trainer.iterate(clock) {
            Ok(iteration) => iteration,
            Err(reason) => {
                let (update, good) = (trainer.n_done(), trainer.good());
                let halves = config.raw.ppo.on_not_finite == OnNotFinite::Halve && n_back < MOST_BACK;
                let pace = halves.then(|| trainer.go_back());
                let kept = observer.lost(&Lost { update, reason: &reason, good: &good, pace })?;
                if halves {
                    n_back += 1;
                    continue;
                }
                let kept = kept.map_or("kept nowhere".to_owned(), |path| path.display().to_string());
                return Err(LabError::NotFinite { update, reason, kept });
            }
        };
        terms.extend(multiplier);
        let done = trainer.n_done();
        let mut validation_sharpe = None;
        if done.is_multiple_of(config.raw.ppo.validate_every) || done == n_updates {
            let validation = validation_score(
                &config.with_multiplier(trainer.multiplier()),
                market,
                &normaliser,
                validation_rows.clone(),
                trainer.agent(),
            )?;
            validation_sharpe = Some(validation.sharpe);
            if best.as_ref().is_none_or(|(top, ..)| validation.score > *top) {
                best = Some((validation.score, done, trainer.multiplier(), trainer.agent().clone()));
            }
            if let Some(limit) = limit_of(config) {
                trainer.set_multiplier(limit.next(trainer.multiplier(), validation.drawdown));
            }
        }
        let steps = done * trainer.steps_per_update();
        let n = episodes.n as f64;
        let progress = Progress {
            fold: place,
            steps,
            total_steps: n_updates * trainer.steps_per_update(),
            steps_per_second: steps as f64 / (clock.elapsed() - begun).as_secs_f64().max(1e-9),
            episode_return: episodes.total_return / n,
            ruined: episodes.n_terminated as f64 / n,
            stats,
            phases,
            terms,
            validation_sharpe,
        };
        stopped = !observer.update(&progress)?;
    }
    let steps = trainer.n_done() * trainer.steps_per_update();
    let last = (0.0, trainer.n_done(), trainer.multiplier(), trainer.agent().clone());
    let (_, chosen_update, multiplier, agent) = best.unwrap_or(last);
    Ok(Trained { agent, normaliser, steps, chosen_update, multiplier, stopped })
}

/// What a policy did on the validation window, acting as it will.
struct Validation {
    /// What weights are chosen by: the Sharpe ratio; a policy that never trades scores zero, a ruined one worst of all. Under a
    /// reward with a drawdown limit it is log growth, and less for breaking the limit than for anything else.
    score: f64,
    /// Annual Sharpe ratio.
    sharpe: f64,
    /// Deepest drawdown.
    drawdown: f64,
}

/// The limit on drawdown, if the reward has one.
fn limit_of(config: &Config) -> Option<DrawdownLimit> {
    config.reward.composed().and_then(|reward| reward.limit)
}

fn validation_score(
    config: &Config,
    market: &Market,
    normaliser: &Arc<Normaliser>,
    rows: std::ops::Range<usize>,
    agent: &ActorCritic,
) -> Result<Validation, LabError> {
    let track = backtest_window(market, config, normaliser, rows, agent, "validation")?;
    if track.ruined {
        return Ok(Validation { score: -1e9, sharpe: -1e9, drawdown: 1.0 });
    }
    let drawdown = drawdown::drawdown(&track.equity).deepest;
    let sharpe = sharpe::annual(&track.returns(), track.bars_per_year());
    let sharpe = if sharpe.is_nan() { 0.0 } else { sharpe };
    if let Some(limit) = limit_of(config) {
        // Weights that break the limit are chosen only where all do, and then those that break it least. Within it, what grows
        // most is best: a ratio would choose the smallest position.
        let over = drawdown - limit.limit;
        let growth = libm::log(1.0 + growth::total_return(&track.equity));
        let score = if over > 0.0 { -1e3 * (1.0 + over) } else { growth };
        return Ok(Validation { score, sharpe, drawdown });
    }
    Ok(Validation { score: sharpe, sharpe, drawdown })
}
