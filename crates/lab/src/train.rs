//! Training on one fold: rollout, update, a look at the validation window, the best weights kept.

use std::path::PathBuf;
use std::sync::Arc;

use cambist_core::StateError;
use cambist_core::clock::Clock;
use cambist_evaluate::metrics::{drawdown, growth, sharpe};
use cambist_evaluate::windows::Fold;
use cambist_features::Normaliser;
use cambist_nets::LearnError;
use cambist_policy::ActorCritic;
use cambist_ppo::{Iteration, Phases, UpdateStats};
use cambist_reward::DrawdownLimit;

use crate::backtest::backtest_window;
use crate::checkpoint::{Best, TrainingState};
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

    /// Hears where an interrupted training goes on.
    fn resumed(&mut self, _resumed: &Resumed) {}

    /// Hears that `moment` is a safe point, from which `state` goes on.
    ///
    /// # Errors
    /// What it cannot keep ends the training; what was kept before stays.
    fn keep(
        &mut self,
        _moment: Moment,
        _state: &dyn Fn() -> Result<TrainingState, LabError>,
    ) -> Result<(), LabError> {
        Ok(())
    }
}

/// Where an interrupted training goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// Updates done, over all folds.
    pub updates: u64,
    /// Of how many.
    pub of: u64,
    /// Checkpoints that could not be used, and why.
    pub damaged: Vec<String>,
}

/// A safe point of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Fold, from 0.
    pub fold: usize,
    /// Updates done in it.
    pub update: u64,
    /// Updates to do in it.
    pub n_updates: u64,
    /// Whether validation was best here.
    pub is_best: bool,
    /// Whether the training ends here: done, or stopped.
    pub is_last: bool,
}

/// What is trained, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// The config.
    pub config: &'a Config,
    /// Bars, features and execution.
    pub market: &'a Market,
    /// Its windows.
    pub fold: &'a Fold,
    /// Which fold it is, from 0, and how many there are.
    pub place: (usize, usize),
    /// Threads; they change nothing but the time it takes.
    pub n_threads: usize,
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

/// Trains, from the beginning or from where `state` was kept.
///
/// # Errors
/// When a window is empty, the state does not fit, learning fails, or the observer fails.
pub fn train(
    training: &Training<'_>,
    state: Option<TrainingState>,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
) -> Result<Trained, LabError> {
    let Training { config, market, fold, place, n_threads } = *training;
    let validation_rows = market.rows("validation", "validation_until", fold.validation)?;
    market.rows("test", "test_until", fold.test)?;
    let normaliser = market.training_normaliser(config, fold)?;
    let spec = market.training_spec(config, fold)?;
    let settings = config.trainer(n_threads);
    let n_updates = settings.n_updates;
    let mut trainer = market_trainer(&spec, settings, None)?;
    let (mut best, mut n_back) = (None, 0);
    if let Some(state) = state {
        let n = trainer.agent().parameters.len();
        StateError::fits("the number of the best weights", state.best.as_ref().map_or(n, Best::len), n)?;
        trainer.restore(state.trainer)?;
        (best, n_back) = (state.best, state.n_back);
    }
    let (mut stopped, first, begun) = (false, trainer.n_done(), clock.elapsed());
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
        let (mut validation_sharpe, mut is_best) = (None, false);
        if done.is_multiple_of(config.raw.ppo.validate_every) || done == n_updates {
            let validation = validation_score(
                &config.with_multiplier(trainer.multiplier()),
                market,
                &normaliser,
                validation_rows.clone(),
                trainer.agent(),
            )?;
            validation_sharpe = Some(validation.sharpe);
            is_best = best.as_ref().is_none_or(|best| validation.score > best.score);
            if is_best {
                best = Some(Best {
                    score: validation.score,
                    update: done,
                    multiplier: trainer.multiplier(),
                    parameters: trainer.agent().parameters.clone(),
                });
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
            steps_per_second: ((done - first) * trainer.steps_per_update()) as f64
                / (clock.elapsed() - begun).as_secs_f64().max(1e-9),
            episode_return: episodes.total_return / n,
            ruined: episodes.n_terminated as f64 / n,
            stats,
            phases,
            terms,
            validation_sharpe,
        };
        stopped = !observer.update(&progress)? && done < n_updates;
        let is_last = stopped || done == n_updates;
        let moment = Moment { fold: place.0, update: done, n_updates, is_best, is_last };
        let state = || Ok(TrainingState { trainer: trainer.state()?, best: best.clone(), n_back });
        observer.keep(moment, &state)?;
    }
    let steps = trainer.n_done() * trainer.steps_per_update();
    let agent = best.as_ref().and_then(|best| best.agent(trainer.agent()));
    let (chosen_update, multiplier) = match &best {
        Some(best) => (best.update, best.multiplier),
        None => (trainer.n_done(), trainer.multiplier()),
    };
    let agent = agent.unwrap_or_else(|| trainer.agent().clone());
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
