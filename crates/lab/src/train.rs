//! Training on one fold: members side by side, what they take from each other, and the policy they make.

use std::path::PathBuf;
use std::sync::Arc;

use cambist_core::StateError;
use cambist_core::clock::Clock;
use cambist_evaluate::windows::Fold;
use cambist_features::Normaliser;
use cambist_nets::LearnError;
use cambist_policy::{ActorCritic, TrainedPolicy};
use cambist_population::{ExchangeRules, in_turns, side_by_side};
use cambist_ppo::{EpisodeSums, Phases, UpdateStats};

use crate::checkpoint::TrainingState;
use crate::config::Config;
use crate::ensemble::{Candidate, MemberRecord, assemble};
use crate::error::LabError;
use crate::market::Market;
use crate::member::{Ground, Inheritance, Look, Member, Turn};

/// How a training stands, after each update of all its members.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Fold, from 0, and how many there are.
    pub fold: (usize, usize),
    /// Environment steps done, by all members.
    pub steps: u64,
    /// Environment steps to do, by all members.
    pub total_steps: u64,
    /// Environment steps a second, so far.
    pub steps_per_second: f64,
    /// Mean undiscounted return of the episodes that ended in the rollout; NaN when none did.
    pub episode_return: f64,
    /// Share of them that were ruined; NaN when none ended.
    pub ruined: f64,
    /// The update's scalars, the mean over members.
    pub stats: UpdateStats,
    /// Where the update's time went, added up over members.
    pub phases: Phases,
    /// Means over the rollout's steps, and members, of what rewards were made of.
    pub terms: Vec<(String, f64)>,
    /// What the validation window showed, when it was looked at; the mean over members.
    pub validation: Option<Look>,
    /// Every member, where there are several.
    pub members: Vec<MemberProgress>,
}

/// How a member of a population stands.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberProgress {
    /// What the validation window showed, when it was looked at.
    pub validation: Option<Look>,
    /// What it took over after this update.
    pub inherited: Option<Inheritance>,
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
    /// First update since the last safe point.
    pub first: u64,
    /// Updates done in it.
    pub update: u64,
    /// Updates to do in it.
    pub n_updates: u64,
    /// Whether validation was best here, or since the last safe point.
    pub is_best: bool,
    /// Whether the training ends here: done, or stopped.
    pub is_last: bool,
}

impl Moment {
    /// Whether a checkpoint that is due every so many updates is due here.
    #[must_use]
    pub fn is_due(&self, every: u64) -> bool {
        let every = every.max(1);
        self.is_last || self.update / every > (self.first - 1) / every
    }
}

/// What is trained, and from where.
#[derive(Debug, Clone)]
pub struct Training<'a> {
    /// The config.
    pub config: &'a Config,
    /// Its members, each as the config of a run of its own.
    pub members: Vec<Config>,
    /// Bars, features and execution.
    pub market: &'a Market,
    /// Its windows.
    pub fold: &'a Fold,
    /// Which fold it is, from 0, and how many there are.
    pub place: (usize, usize),
    /// Threads; they change nothing but the time it takes.
    pub n_threads: usize,
}

impl Training<'_> {
    /// What its members take from each other: drawn by the first one's seed, so that other seeds draw otherwise.
    fn exchange(&self) -> ExchangeRules {
        let seed = self.members.first().map_or(0, |member| member.raw.run.seed);
        ExchangeRules { seed, ..self.config.exchange() }
    }
}

/// An update that failed.
#[derive(Debug, Clone, Copy)]
pub struct Lost<'a> {
    /// The member whose it is, from 0, and how many there are.
    pub member: (usize, usize),
    /// Its number, from 0.
    pub update: u64,
    /// What was not finite, and at which step.
    pub reason: &'a LearnError,
    /// The last good weights.
    pub good: &'a ActorCritic,
    /// Factor of the learning rate from here on; none when the training ends.
    pub pace: Option<f32>,
}

/// What a training leaves.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The policy with the chosen weights: of several members, their ensemble.
    pub policy: TrainedPolicy,
    /// What is known of its members.
    pub members: Vec<MemberRecord>,
    /// Fitted on the training window.
    pub normaliser: Arc<Normaliser>,
    /// Environment steps done, by all members.
    pub steps: u64,
    /// The update whose weights were chosen; of several members, the latest of theirs.
    pub chosen_update: u64,
    /// Multiplier of the reward's constraint when they were chosen; of several members, the mean.
    pub multiplier: f64,
    /// Whether the observer ended it early, and after which update.
    pub stopped: Option<u64>,
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
    let ground = Ground::of(training.config, training.market, training.fold)?;
    training.market.rows("test", "test_until", training.fold.test)?;
    train_on(&ground, training, state, clock, observer)
}

/// The same on `ground`, whatever the fold's windows are.
pub(crate) fn train_on(
    ground: &Ground<'_>,
    training: &Training<'_>,
    state: Option<TrainingState>,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
) -> Result<Trained, LabError> {
    let Training { config, market, place, n_threads, .. } = *training;
    let mut members = begin(training, ground, state)?;
    let exchange = training.exchange();
    let n_updates = members.iter().map(|m| m.trainer.n_updates()).max().unwrap_or(0);
    let steps = |members: &[Member]| members.iter().map(|m| m.steps().0).sum::<u64>();
    let total_steps = members.iter().map(|m| m.steps().1).sum();
    let (before, begun) = (steps(&members), clock.elapsed());
    let mut update = members.iter().map(|m| m.trainer.n_done()).max().unwrap_or(0);
    let mut stopped = None;
    while update < n_updates && stopped.is_none() {
        let first = update + 1;
        update = window_end(update, n_updates, members.len(), n_threads, &exchange);
        let turns = window(&mut members, update, ground, n_threads, clock, observer)?;
        let inherited = if exchange.is_due(update, n_updates) {
            exchanged(&mut members, &exchange, update)
        } else {
            vec![None; members.len()]
        };
        let seconds = (clock.elapsed() - begun).as_secs_f64().max(1e-9);
        let steps_per_second = (steps(&members) - before) as f64 / seconds;
        let is_best = turns.iter().flatten().any(|turn| turn.is_best);
        let nothing = vec![None; members.len()];
        let mut goes_on = true;
        for own in first..=update {
            let at: Vec<&Turn> = turns.iter().filter_map(|turns| turns.get((own - first) as usize)).collect();
            let progress = Progress {
                fold: place,
                steps: members.iter().map(|m| m.steps_after(own)).sum(),
                total_steps,
                steps_per_second,
                ..summed_up(&at, if own == update { &inherited } else { &nothing })
            };
            goes_on &= observer.update(&progress)?;
        }
        if !goes_on && update < n_updates {
            stopped = Some(update);
        }
        let is_last = stopped.is_some() || update == n_updates;
        let moment = Moment { fold: place.0, first, update, n_updates, is_best, is_last };
        let state = || {
            let members = members.iter().map(Member::state).collect::<Result<_, _>>()?;
            Ok(TrainingState { members })
        };
        observer.keep(moment, &state)?;
    }
    let candidates = side_by_side(&mut members, n_threads, &|_, member| candidate(member, ground));
    let candidates = candidates.into_iter().collect::<Result<Vec<_>, _>>()?;
    let steps = steps(&members);
    let chosen_update = candidates.iter().map(|c| c.record.chosen_update).max().unwrap_or(0);
    let multiplier = candidates.iter().map(|c| c.record.multiplier).sum::<f64>() / candidates.len() as f64;
    let (policy, members) = assemble(config, market, candidates)?;
    let normaliser = Arc::clone(&ground.normaliser);
    Ok(Trained { policy, members, normaliser, steps, chosen_update, multiplier, stopped })
}

/// Makes the members, or restores them. Where there are more threads than members, they share them.
fn begin(
    training: &Training<'_>,
    ground: &Ground<'_>,
    state: Option<TrainingState>,
) -> Result<Vec<Member>, LabError> {
    let (n, exchange) = (training.members.len(), training.exchange());
    let states: Vec<Option<_>> = match state {
        Some(state) => {
            StateError::fits("the number of members", state.members.len(), n)?;
            state.members.into_iter().map(Some).collect()
        }
        None => training.members.iter().map(|_| None).collect(),
    };
    let n_threads = (training.n_threads / n.max(1)).max(1);
    let mut members = Vec::with_capacity(n);
    for (index, (config, state)) in training.members.iter().zip(states).enumerate() {
        let fresh = state.is_none();
        let mut member = Member::new(config, ground, n_threads, state)?;
        if fresh {
            let ppo = exchange.at_start(*member.trainer.ppo(), index);
            member.trainer.set_ppo(ppo);
        }
        members.push(member);
    }
    Ok(members)
}

/// Updates that a population does before its threads meet, for each thread and member: so many that who is done first waits for
/// little, so few that one can stop it.
const TURNS_A_THREAD: usize = 32;

/// Where the next window ends: one member meets after every update; several do some before they meet, but for an exchange.
fn window_end(
    done: u64,
    n_updates: u64,
    n_members: usize,
    n_threads: usize,
    exchange: &ExchangeRules,
) -> u64 {
    let several = (TURNS_A_THREAD * n_threads).div_ceil(n_members).clamp(1, 16) as u64;
    let end = done + if n_members > 1 { several } else { 1 };
    let end = match done.checked_div(exchange.every) {
        Some(exchanges) => end.min((exchanges + 1) * exchange.every),
        None => end,
    };
    end.min(n_updates)
}

/// Every member's updates up to `update`, as many as it has left; those whose loss or gradient was not finite go back and try again.
fn window(
    members: &mut [Member],
    update: u64,
    ground: &Ground<'_>,
    n_threads: usize,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<Turn>>, LabError> {
    let n = members.len();
    let mut turns: Vec<Vec<Turn>> = members.iter().map(|_| Vec::new()).collect();
    loop {
        let mut due: Vec<(usize, &mut Member)> =
            members.iter_mut().enumerate().filter(|(_, m)| m.owes(update)).collect();
        if due.is_empty() {
            return Ok(turns);
        }
        let most = due.iter().map(|(_, m)| update - m.trainer.n_done()).max().unwrap_or(0) as usize;
        let results = in_turns(&mut due, most, n_threads, &|(_, member)| {
            let turn = member.turn(ground, clock);
            let goes_on = matches!(turn, Ok(Ok(_))) && member.owes(update);
            (turn, goes_on)
        });
        for ((index, member), results) in due.into_iter().zip(results) {
            for result in results {
                match result? {
                    Ok(turn) => turns[index].push(turn),
                    Err(reason) => lost(member, (index, n), &reason, observer)?,
                }
            }
        }
    }
}

/// Tells of a loss or gradient that was not finite, and goes back, or ends the training.
fn lost(
    member: &mut Member,
    place: (usize, usize),
    reason: &LearnError,
    observer: &mut dyn Observer,
) -> Result<(), LabError> {
    let (update, good) = (member.trainer.n_done(), member.trainer.good());
    let pace = member.go_back();
    let kept = observer.lost(&Lost { member: place, update, reason, good: &good, pace })?;
    if pace.is_some() {
        return Ok(());
    }
    let kept = kept.map_or("kept nowhere".to_owned(), |path| path.display().to_string());
    Err(LabError::NotFinite { update, reason: reason.clone(), kept })
}

/// The worst members take over what the best have learned. Returns what each took.
fn exchanged(members: &mut [Member], exchange: &ExchangeRules, update: u64) -> Vec<Option<Inheritance>> {
    let mut inherited = vec![None; members.len()];
    let scores: Vec<f64> = members.iter().map(Member::score).collect();
    for one in exchange.exchanges(&scores, update) {
        let (legacy, ppo) = (members[one.from].trainer.legacy(), *members[one.from].trainer.ppo());
        let to = &mut members[one.to];
        to.trainer.inherit(&legacy);
        let own = exchange.explored(ppo, update, one.to);
        to.trainer.set_ppo(own);
        let (learning_rate, entropy_coefficient) = (own.learning_rate, own.entropy_coefficient);
        let note = Inheritance { update, from: one.from, learning_rate, entropy_coefficient };
        to.inherited.push(note);
        inherited[one.to] = Some(note);
    }
    inherited
}

/// What the members' turns came to together; of one member, what it came to.
fn summed_up(turns: &[&Turn], inherited: &[Option<Inheritance>]) -> Progress {
    let n = turns.len().max(1) as f64;
    let stats: Vec<UpdateStats> = turns.iter().map(|turn| turn.iteration.stats).collect();
    let (mut episodes, mut phases) = (EpisodeSums::default(), Phases::default());
    let mut terms: Vec<(String, f64)> = Vec::new();
    for Turn { iteration, .. } in turns {
        episodes.add(&iteration.episodes);
        phases.add(&iteration.phases);
        for (name, mean) in &iteration.terms {
            match terms.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += mean / n,
                None => terms.push((name.clone(), mean / n)),
            }
        }
    }
    let looks: Vec<Look> = turns.iter().filter_map(|turn| turn.look).collect();
    let n_episodes = episodes.n as f64;
    let each = turns.iter().zip(inherited);
    let members = each.map(|(turn, &inherited)| MemberProgress { validation: turn.look, inherited });
    Progress {
        fold: (0, 0),
        steps: 0,
        total_steps: 0,
        steps_per_second: 0.0,
        episode_return: episodes.total_return / n_episodes,
        ruined: episodes.n_terminated as f64 / n_episodes,
        stats: UpdateStats::mean(&stats),
        phases,
        terms,
        validation: Look::mean(&looks),
        members: if turns.len() > 1 { members.collect() } else { Vec::new() },
    }
}

/// A member with its chosen weights, and what it did on validation with them.
fn candidate(member: &Member, ground: &Ground<'_>) -> Result<Candidate, LabError> {
    let (network, chosen_update, multiplier) = member.chosen();
    let track = ground.validate(&member.config, &network, multiplier)?;
    let record = MemberRecord::of(&member.config, chosen_update, multiplier, &track, member);
    Ok(Candidate { network, record, track })
}
