//! The batched market environment: `n_envs` accounts over one shared tape.
//!
//! At the close of bar *t* an agent sees row *t* of the features and its account, and names a target; the order fills at
//! the open of bar *t + 1*, the position is carried to that bar's close, and the reward is what equity did between the
//! two closes. Observation and decision are those of `cambist-decide`, money moves in `cambist-execution`; what is here
//! is the course of episodes.

mod episode;
mod execution;
mod reward;
mod state;

use std::ops::Range;
use std::sync::Arc;

use cambist_core::{
    ActionSpec, AutoReset, BatchedEnv, End, MarketTape, ObservationSpec, StateError, StepBuffers, UnixNanos,
};
use cambist_decide::{AccountView, DecisionPath, FeatureView, RegimeView, RewardState};
use cambist_execution::CostSplit;

use episode::stretches;
pub use episode::{EpisodeLength, EpisodePlan, Starts};
use execution::Books;
pub use execution::{Execution, FinerBars, FullExecution, Refusals, live_short};
use reward::Remembered;
pub use reward::{OwnReward, Reward};

/// What every environment of a batch shares.
#[derive(Debug, Clone)]
pub struct MarketSpec {
    /// The bars.
    pub tape: Arc<MarketTape>,
    /// Raw features, one row a bar.
    pub features: Arc<FeatureView>,
    /// From features and account to orders.
    pub path: DecisionPath,
    /// Costs and account rules.
    pub execution: Execution,
    /// What is rewarded.
    pub reward: Reward,
    /// Which market it was, for rewards that are weighted by it.
    pub regimes: Option<Arc<RegimeView>>,
    /// Where episodes begin and end.
    pub plan: EpisodePlan,
    /// Rows episodes may see.
    pub rows: Range<usize>,
    /// Rows of these that they may not, in order: each episode stays within what lies between.
    pub left_out: Vec<Range<usize>>,
    /// Money at the start of an episode.
    pub initial_cash: f64,
}

/// Why an environment cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MarketError {
    /// Too few rows.
    #[error(
        "the window {window} has {n_rows} usable bars, an episode needs at least {needed}; the features need {warm_up} bars to warm up"
    )]
    TooShort {
        /// Its first and last bar.
        window: String,
        /// Bars whose features are ready.
        n_rows: usize,
        /// Bars needed.
        needed: usize,
        /// Bars lost to warming up.
        warm_up: usize,
    },
    /// Outages leave too few bars with features.
    #[error(
        "the features are ready at {share:.0} % of the bars of the window {window}: its outages interrupt their warm-up of {warm_up} bars again and again; use shorter features, or another window"
    )]
    Blind {
        /// Its first and last bar.
        window: String,
        /// Bars with features, in percent.
        share: f64,
        /// Bars the first warm-up took.
        warm_up: usize,
    },
    /// Features and bars do not fit.
    #[error("there are {features} rows of features for {bars} bars")]
    Rows {
        /// Rows of features.
        features: usize,
        /// Bars.
        bars: usize,
    },
}

/// 64 bytes.
const FLOATS_OF_A_CACHE_LINE: usize = 16;

/// One environment's changing state.
#[derive(Debug, Clone)]
struct Course {
    books: Books,
    /// The account after the last step, as decisions see it.
    view: AccountView,
    row: usize,
    last_row: usize,
    /// What the reward remembers.
    remembered: Option<Box<RewardState>>,
    /// Equity, and costs and value traded since the episode began, before the step; none when the episode was over by then.
    before: Option<[f64; 3]>,
    episode: u64,
    end: End,
}

/// What a judge wants to know of one environment after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapshot {
    /// The bar whose close this is.
    pub row: usize,
    /// Equity.
    pub equity: f64,
    /// Units held, signed.
    pub units: f64,
    /// Value of the position over equity, signed.
    pub exposure: f64,
    /// Costs paid since the episode began.
    pub costs: CostSplit,
    /// Financing since the episode began.
    pub financing: f64,
    /// Value traded since the episode began.
    pub traded: f64,
}

/// The environment.
#[derive(Debug, Clone)]
pub struct MarketEnv {
    spec: MarketSpec,
    /// Rows that episodes live in, each in one of them.
    stretches: Vec<Range<usize>>,
    courses: Vec<Course>,
    first_env: u64,
    seed: u64,
    autoreset: AutoReset,
}

impl MarketEnv {
    /// `n_envs` environments, the first of which has the index `first_env` in the whole batch: what an environment does
    /// depends on its index, not on how the batch is cut.
    ///
    /// # Errors
    /// When the window cannot hold an episode, or most of its bars have no features.
    pub fn new(
        spec: MarketSpec,
        n_envs: usize,
        first_env: u64,
        autoreset: AutoReset,
    ) -> Result<Self, MarketError> {
        let (features, bars) = (spec.features.n_rows(), spec.tape.len());
        if features != bars {
            return Err(MarketError::Rows { features, bars });
        }
        let stretches = spec.usable()?;
        let books = spec.execution.books(spec.initial_cash);
        let course = Course {
            view: books.view(0.0),
            books,
            remembered: spec.reward.state(),
            row: stretches[0].start,
            last_row: stretches[0].end - 1,
            before: None,
            episode: 0,
            end: End::Running,
        };
        let mut env = Self { spec, stretches, courses: vec![course; n_envs], first_env, seed: 0, autoreset };
        (0..n_envs).for_each(|index| env.begin(index));
        Ok(env)
    }

    /// The rows episodes live through: from the first of the window whose features are ready to the last.
    #[must_use]
    pub fn rows(&self) -> Range<usize> {
        let (first, last) = (&self.stretches[0], &self.stretches[self.stretches.len() - 1]);
        first.start..last.end
    }

    /// How environment `index` stands.
    ///
    /// # Panics
    /// When there is no such environment.
    #[must_use]
    pub fn snapshot(&self, index: usize) -> Snapshot {
        let course = &self.courses[index];
        let view = &course.view;
        let paid = course.books.paid();
        Snapshot {
            row: course.row,
            equity: view.equity,
            units: view.units,
            exposure: if view.equity > 0.0 { view.units * view.price / view.equity } else { 0.0 },
            costs: paid.costs,
            financing: paid.financing,
            traded: paid.traded,
        }
    }

    /// Orders of environment `index` that its broker refused since its episode began.
    ///
    /// # Panics
    /// When there is no such environment.
    #[must_use]
    pub fn refusals(&self, index: usize) -> Refusals {
        self.courses[index].books.refusals()
    }

    fn begin(&mut self, index: usize) {
        let Self { spec, stretches, courses, .. } = self;
        let course = &mut courses[index];
        let episode = spec.plan.draw(stretches, self.seed, self.first_env + index as u64, course.episode);
        course.row = episode.start;
        course.last_row = episode.end - 1;
        let luck = ((self.first_env + index as u64) << 32) ^ course.episode;
        course.books.begin(&spec.tape, course.row, spec.initial_cash, luck);
        course.view = course.books.view(0.0);
        if let (Some(reward), Some(state)) = (spec.reward.composed(), &mut course.remembered) {
            reward.begin(state);
        }
        course.end = End::Running;
    }

    fn observe(&self, index: usize, out: &mut [f32]) {
        let course = &self.courses[index];
        let remembered = course.remembered.as_deref();
        self.spec.path.observe(self.spec.seen(course.row), &course.view, remembered, out);
    }

    /// Reads a little of what the next bars hold, for all environments at once: what is far away in memory comes while
    /// other rows are asked for, not one row at a time when an account waits for it.
    fn approach(&self) {
        let Self { spec, courses, .. } = self;
        let tape = &spec.tape;
        let mut sum = 0.0;
        for course in courses.iter().filter(|course| course.end == End::Running) {
            let next = course.row + 1;
            sum += spec.execution.touch(tape, next) + f64::from(u8::from(spec.features.ready[next]));
            let features = spec.features.rows(next, 1);
            sum += features.iter().step_by(FLOATS_OF_A_CACHE_LINE).copied().map(f64::from).sum::<f64>();
        }
        std::hint::black_box(sum);
    }

    /// One bar of one environment: order at the open, carry to the close.
    fn advance(&mut self, index: usize, action: &[f32]) {
        let Self { spec, courses, .. } = self;
        let course = &mut courses[index];
        let paid = course.remembered.is_some().then(|| course.books.paid());
        let [costs, traded] = paid.map_or([0.0; 2], |paid| [paid.costs.total(), paid.traded]);
        course.before = Some([course.view.equity, costs, traded]);
        let sees = spec.seen(course.row).is_some();
        let target = spec.path.target(action, course.view.held_target, sees);
        let Course { books, view, row, .. } = course;
        let (held, ruined) = books.live(&spec.path, &spec.tape, *row, target, view);
        *view = books.view(held);
        let next = course.row + 1;
        course.row = next;
        course.end = if ruined {
            End::Terminated
        } else if next == course.last_row {
            End::Truncated
        } else {
            End::Running
        };
    }
}

impl Course {
    /// The reward of the step that began with equity, costs and value traded `before`.
    #[inline]
    fn rewarded(&mut self, spec: &MarketSpec, before: [f64; 3]) -> f64 {
        let [equity, costs, traded] = before;
        let mut step = Remembered {
            state: self.remembered.as_deref_mut(),
            paid: [0.0; 2],
            ruined: self.end == End::Terminated,
            probabilities: None,
        };
        if step.state.is_some() {
            let paid = self.books.paid();
            step.paid = [paid.costs.total() - costs, paid.traded - traded];
            step.probabilities = spec.regimes.as_ref().and_then(|regimes| regimes.at(self.row - 1));
        }
        spec.reward.of(equity, &self.view, &mut step)
    }
}

impl MarketSpec {
    /// The features a decision at the close of `row` sees; none while they warm up.
    fn seen(&self, row: usize) -> Option<&[f32]> {
        self.features.ready_rows(row, self.path.window())
    }

    /// Stretches of the window between what is left out, each from the first row whose features are ready, that can hold an episode.
    fn usable(&self) -> Result<Vec<Range<usize>>, MarketError> {
        let sees = |row: &usize| self.seen(*row).is_some();
        let from_first_seen = |piece: Range<usize>| piece.clone().find(sees).unwrap_or(piece.end)..piece.end;
        let needed = self.plan.needed_rows();
        let pieces = stretches(&self.rows, &self.left_out);
        let n_before: usize = pieces.iter().map(Range::len).sum();
        let ready: Vec<Range<usize>> = pieces.into_iter().map(from_first_seen).collect();
        let name = |row: usize| {
            self.tape.open_time.get(row).map_or("nothing".to_owned(), |&t| UnixNanos(t).to_string())
        };
        let window = || format!("{} to {}", name(self.rows.start), name(self.rows.end.saturating_sub(1)));
        let n_ready: usize = ready.iter().map(Range::len).sum();
        let n_rows = ready.iter().map(Range::len).max().unwrap_or(0);
        let warm_up = n_before - n_ready;
        let long: Vec<Range<usize>> = ready.into_iter().filter(|piece| piece.len() >= needed).collect();
        if long.is_empty() {
            return Err(MarketError::TooShort { window: window(), n_rows, needed, warm_up });
        }
        let n_rows: usize = long.iter().map(Range::len).sum();
        let n_seen = long.iter().cloned().flatten().filter(sees).count();
        if 2 * n_seen < n_rows {
            let share = 100.0 * n_seen as f64 / n_rows as f64;
            return Err(MarketError::Blind { window: window(), share, warm_up });
        }
        Ok(long)
    }
}

impl BatchedEnv for MarketEnv {
    fn n_envs(&self) -> usize {
        self.courses.len()
    }

    fn observation_spec(&self) -> &ObservationSpec {
        self.spec.path.observation_spec()
    }

    fn action_spec(&self) -> ActionSpec {
        self.spec.path.action_spec()
    }

    fn mask_width(&self) -> usize {
        self.spec.path.mask_width()
    }

    fn masks(&self, allowed: &mut [bool]) {
        for row in allowed.chunks_exact_mut(self.mask_width().max(1)) {
            self.spec.path.mask(row);
        }
    }

    fn regimes(&self, regimes: &mut [Option<u8>]) {
        let view = self.spec.regimes.as_ref();
        for (regime, course) in regimes.iter_mut().zip(&self.courses) {
            *regime = view.and_then(|view| view.label.get(course.row).copied().flatten());
        }
    }

    fn term_names(&self) -> Vec<String> {
        self.spec.reward.composed().map_or(Vec::new(), |reward| reward.sum_names())
    }

    fn drain_terms(&mut self, each: &mut dyn FnMut(usize, f64)) -> f64 {
        let Some(reward) = self.spec.reward.composed() else { return 0.0 };
        let states = self.courses.iter_mut().filter_map(|course| course.remembered.as_deref_mut());
        states.map(|state| reward.drain(state, each)).sum()
    }

    fn set_multiplier(&mut self, multiplier: f64) {
        self.courses
            .iter_mut()
            .filter_map(|c| c.remembered.as_deref_mut())
            .for_each(|s| s.multiplier = multiplier);
    }

    fn save_env(&self, index: usize, out: &mut Vec<u8>) -> Result<(), StateError> {
        self.save_course(index, out)
    }

    fn load_env(&mut self, index: usize, state: &[u8]) -> Result<(), StateError> {
        self.load_course(index, state)
    }

    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        self.seed = seed;
        let width = self.observation_spec().width();
        for (index, row) in observations.chunks_exact_mut(width).enumerate() {
            self.courses[index].episode = 0;
            self.begin(index);
            self.observe(index, row);
        }
    }

    fn step(&mut self, actions: &[f32], out: &mut StepBuffers<'_>) {
        let width = self.observation_spec().width();
        let action_width = self.action_spec().width();
        self.approach();
        // A pass for each part: the accounts' arithmetic is one long chain each, and the processor works on several.
        for (index, action) in actions.chunks_exact(action_width).enumerate().take(self.courses.len()) {
            if self.courses[index].end == End::Running {
                self.advance(index, action);
            } else {
                self.courses[index].before = None;
            }
        }
        let spec = &self.spec;
        for (course, reward) in self.courses.iter_mut().zip(&mut *out.rewards) {
            *reward = match course.before {
                Some(before) => course.rewarded(spec, before) as f32,
                None => 0.0,
            };
        }
        for index in 0..self.courses.len() {
            let row = &mut out.observations[index * width..(index + 1) * width];
            let end = self.courses[index].end;
            out.ends[index] = end;
            self.observe(index, row);
            if end != End::Running {
                out.terminal_observations[index * width..(index + 1) * width].copy_from_slice(row);
                if self.autoreset == AutoReset::SameStep {
                    self.courses[index].episode += 1;
                    self.begin(index);
                    self.observe(index, row);
                }
            }
        }
    }
}
