//! One training among those that go side by side: an update, a look at the validation window, the best weights kept.

use std::ops::Range;
use std::sync::Arc;

use cambist_core::StateError;
use cambist_core::clock::Clock;
use cambist_evaluate::Track;
use cambist_evaluate::metrics::{drawdown, growth, sharpe};
use cambist_evaluate::windows::Fold;
use cambist_features::Normaliser;
use cambist_market::MarketSpec;
use cambist_nets::LearnError;
use cambist_policy::ActorCritic;
use cambist_ppo::{Iteration, Trainer};
use cambist_reward::DrawdownLimit;
use serde::{Deserialize, Serialize};

use crate::backtest::backtest_window;
use crate::checkpoint::{Best, MemberState};
use crate::config::Config;
use crate::config::raw::OnNotFinite;
use crate::error::LabError;
use crate::market::{Market, market_trainer};

/// A look at the validation window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// After which update.
    pub update: u64,
    /// What weights are chosen by.
    pub score: f64,
    /// Annual Sharpe ratio.
    pub sharpe: f64,
    /// Growth of the account.
    pub total_return: f64,
    /// Deepest drawdown.
    pub drawdown: f64,
}

/// What a member took over from another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Inheritance {
    /// After which update.
    pub update: u64,
    /// From which member, from 0.
    pub from: usize,
    /// Its learning rate since.
    pub learning_rate: f32,
    /// Its weight of the entropy bonus since.
    pub entropy_coefficient: f32,
}

/// Where members live.
pub(crate) struct Ground<'a> {
    pub(crate) market: &'a Market,
    pub(crate) normaliser: Arc<Normaliser>,
    /// Rows that are learned from, in stretches.
    pub(crate) train: Vec<Range<usize>>,
    pub(crate) validation: Range<usize>,
}

/// A training under way.
pub(crate) struct Member {
    pub(crate) config: Config,
    pub(crate) trainer: Trainer,
    best: Option<Best>,
    n_back: u32,
    pub(crate) looks: Vec<Look>,
    pub(crate) inherited: Vec<Inheritance>,
}

/// What an update came to.
pub(crate) struct Turn {
    pub(crate) iteration: Iteration,
    /// What validation showed, when it was looked at.
    pub(crate) look: Option<Look>,
    pub(crate) is_best: bool,
}

/// Most times that a training goes back.
const MOST_BACK: u32 = 10;

impl Member {
    /// Begins, or goes on from `state`, on `n_threads` threads.
    pub(crate) fn new(
        config: &Config,
        ground: &Ground<'_>,
        n_threads: usize,
        state: Option<MemberState>,
    ) -> Result<Self, LabError> {
        let spec = ground.training_spec(config)?;
        let mut trainer = market_trainer(&spec, config.trainer(n_threads), None)?;
        let (mut best, mut n_back, mut looks, mut inherited) = (None, 0, Vec::new(), Vec::new());
        if let Some(state) = state {
            let n = trainer.agent().parameters.len();
            StateError::fits("the number of the best weights", state.best.as_ref().map_or(n, Best::len), n)?;
            trainer.restore(state.trainer)?;
            (best, n_back, looks, inherited) = (state.best, state.n_back, state.looks, state.inherited);
        }
        Ok(Self { config: config.clone(), trainer, best, n_back, looks, inherited })
    }

    /// What must be written down to go on later.
    pub(crate) fn state(&self) -> Result<MemberState, LabError> {
        Ok(MemberState {
            trainer: self.trainer.state()?,
            best: self.best.clone(),
            n_back: self.n_back,
            looks: self.looks.clone(),
            inherited: self.inherited.clone(),
        })
    }

    /// Whether it has not done `update` yet, and will.
    pub(crate) fn owes(&self, update: u64) -> bool {
        self.trainer.n_done() < update.min(self.trainer.n_updates())
    }

    /// Environment steps done, and to do in all.
    pub(crate) fn steps(&self) -> (u64, u64) {
        let a_step = self.trainer.steps_per_update();
        (self.trainer.n_done() * a_step, self.trainer.n_updates() * a_step)
    }

    /// Environment steps done after `update`.
    pub(crate) fn steps_after(&self, update: u64) -> u64 {
        update.min(self.trainer.n_updates()) * self.trainer.steps_per_update()
    }

    /// One update, and a look at the validation window if one is due. A loss or gradient that is not finite is no error of the
    /// training yet: see [`Member::go_back`].
    pub(crate) fn turn(
        &mut self,
        ground: &Ground<'_>,
        clock: &dyn Clock,
    ) -> Result<Result<Turn, LearnError>, LabError> {
        let limit = limit_of(&self.config);
        let multiplier = limit.map(|_| ("multiplier".to_owned(), self.trainer.multiplier()));
        let mut iteration = match self.trainer.iterate(clock) {
            Ok(iteration) => iteration,
            Err(reason) => return Ok(Err(reason)),
        };
        iteration.terms.extend(multiplier);
        let update = self.trainer.n_done();
        let (mut seen, mut is_best) = (None, false);
        if update.is_multiple_of(self.config.raw.ppo.validate_every) || update == self.trainer.n_updates() {
            let multiplier = self.trainer.multiplier();
            let track = ground.validate(&self.config, self.trainer.agent(), multiplier)?;
            let look = Look::of(&self.config, update, &track);
            seen = Some(look);
            self.looks.push(look);
            is_best = self.best.as_ref().is_none_or(|best| look.score > best.score);
            if is_best {
                let parameters = self.trainer.agent().parameters.clone();
                self.best = Some(Best { score: look.score, update, multiplier, parameters });
            }
            if let Some(limit) = limit {
                self.trainer.set_multiplier(limit.next(multiplier, look.drawdown));
            }
        }
        Ok(Ok(Turn { iteration, look: seen, is_best }))
    }

    /// After a loss or gradient that was not finite: goes back to the last good weights, if the config says so and it has not too
    /// often. Returns the factor of the learning rate from here on.
    pub(crate) fn go_back(&mut self) -> Option<f32> {
        let halves = self.config.raw.ppo.on_not_finite == OnNotFinite::Halve && self.n_back < MOST_BACK;
        halves.then(|| {
            self.n_back += 1;
            self.trainer.go_back()
        })
    }

    /// The agent with the chosen weights, the update they are of, and the multiplier they were chosen under.
    pub(crate) fn chosen(&self) -> (ActorCritic, u64, f64) {
        let agent = self.trainer.agent();
        let best = self.best.as_ref();
        best.and_then(|best| Some((best.agent(agent)?, best.update, best.multiplier)))
            .unwrap_or_else(|| (agent.clone(), self.trainer.n_done(), self.trainer.multiplier()))
    }

    /// What it is compared with others by: its last look.
    pub(crate) fn score(&self) -> f64 {
        self.looks.last().map_or(f64::NEG_INFINITY, |look| look.score)
    }
}

impl<'a> Ground<'a> {
    /// The windows of `fold`.
    pub(crate) fn of(config: &Config, market: &'a Market, fold: &Fold) -> Result<Self, LabError> {
        Ok(Self {
            market,
            normaliser: market.training_normaliser(config, fold)?,
            train: vec![market.rows("train", "train_until", fold.train)?],
            validation: market.rows("validation", "validation_until", fold.validation)?,
        })
    }

    /// What training environments under `config` are made of.
    fn training_spec(&self, config: &Config) -> Result<MarketSpec, LabError> {
        let Self { market, normaliser, train, .. } = self;
        let start = train.first().map_or(0, |piece| piece.start);
        let end = train.last().map_or(0, |piece| piece.end);
        let left_out = train.windows(2).map(|pair| pair[0].end..pair[1].start).collect();
        let spec = market.spec(config, normaliser, config.decision, config.plan, start..end)?;
        Ok(MarketSpec { left_out, ..spec })
    }

    /// `agent` through the validation window, acting as `config` says.
    pub(crate) fn validate(
        &self,
        config: &Config,
        agent: &ActorCritic,
        multiplier: f64,
    ) -> Result<Track, LabError> {
        let (config, policy) = (config.with_multiplier(multiplier), agent.clone().into());
        let rows = self.validation.clone();
        backtest_window(self.market, &config, &self.normaliser, rows, &policy, "validation")
    }
}

/// The limit on drawdown, if the reward has one.
fn limit_of(config: &Config) -> Option<DrawdownLimit> {
    config.reward.composed().and_then(|reward| reward.limit)
}

impl Look {
    /// What `track` shows after `update`. Weights are chosen by the Sharpe ratio; a policy that never trades scores zero, a ruined one
    /// worst of all. Under a reward with a drawdown limit they are chosen by log growth, and breaking the limit scores less than
    /// anything else.
    fn of(config: &Config, update: u64, track: &Track) -> Self {
        let total_return = growth::total_return(&track.equity);
        if track.ruined {
            return Self { update, score: -1e9, sharpe: -1e9, total_return, drawdown: 1.0 };
        }
        let drawdown = drawdown::drawdown(&track.equity).deepest;
        let sharpe = sharpe::annual(&track.returns(), track.bars_per_year());
        let sharpe = if sharpe.is_nan() { 0.0 } else { sharpe };
        let score = match limit_of(config) {
            None => sharpe,
            // Weights that break the limit are chosen only where all do, and then those that break it least. Within it, what
            // grows most is best: a ratio would choose the smallest position.
            Some(limit) if drawdown > limit.limit => -1e3 * (1.0 + drawdown - limit.limit),
            Some(_) => libm::log(1.0 + total_return),
        };
        Self { update, score, sharpe, total_return, drawdown }
    }

    /// The mean of several members', none where none looked.
    pub(crate) fn mean(looks: &[Self]) -> Option<Self> {
        let update = looks.first()?.update;
        let of = |pick: fn(&Self) -> f64| looks.iter().map(pick).sum::<f64>() / looks.len() as f64;
        Some(Self {
            update,
            score: of(|l| l.score),
            sharpe: of(|l| l.sharpe),
            total_return: of(|l| l.total_return),
            drawdown: of(|l| l.drawdown),
        })
    }
}
