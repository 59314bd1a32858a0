//! What an environment writes down of one account's course, to go on later as if it had never stopped.

use std::ops::Range;

use cambist_core::End;
use cambist_core::state::{StateError, decode, encode};
use cambist_decide::{AccountView, Desk, RewardState};
use cambist_execution::{BrokerState, Ledger};
use serde::{Deserialize, Serialize};

use crate::execution::Books;
use crate::{Course, MarketEnv, MarketSpec};

/// In errors.
const WHAT: &str = "a market environment";

/// A course, without what the config says.
#[derive(Serialize, Deserialize)]
struct CourseState {
    /// Of the whole batch.
    seed: u64,
    books: BooksState,
    view: AccountView,
    row: usize,
    last_row: usize,
    remembered: Option<Box<RewardState>>,
    before: Option<[f64; 3]>,
    episode: u64,
    end: End,
}

#[derive(Serialize, Deserialize)]
enum BooksState {
    Short(Ledger<1>),
    Full(Box<FullState>),
}

#[derive(Serialize, Deserialize)]
struct FullState {
    broker: BrokerState,
    desk: Desk,
}

impl Books {
    fn state(&self) -> BooksState {
        match self {
            Self::Short(_, ledger) => BooksState::Short(ledger.clone()),
            Self::Full(client) => BooksState::Full(Box::new(FullState {
                broker: client.broker.state().clone(),
                desk: client.desk.clone(),
            })),
        }
    }

    fn restore(&mut self, state: BooksState) -> Result<(), StateError> {
        match (self, state) {
            (Self::Short(_, ledger), BooksState::Short(kept)) => *ledger = kept,
            (Self::Full(client), BooksState::Full(state)) => {
                let FullState { broker, desk } = *state;
                client.broker.restore(broker)?;
                client.desk = desk;
            }
            (here, _) => {
                let name = |short| if short { "the short form" } else { "a broker" }.to_owned();
                let short = matches!(here, Self::Short(..));
                return Err(StateError::Misfit { what: "execution", found: name(!short), here: name(short) });
            }
        }
        Ok(())
    }
}

impl CourseState {
    /// Refuses a state that is not of `spec` and its `stretches`, or holds what is no number.
    fn check(&self, spec: &MarketSpec, stretches: &[Range<usize>]) -> Result<(), StateError> {
        let Self { view, row, last_row, .. } = self;
        if !stretches.iter().any(|stretch| stretch.contains(row) && stretch.contains(last_row)) {
            return Err(StateError::Misfit {
                what: "the window",
                found: format!("an account at row {row} of an episode that ends at {last_row}"),
                here: format!("rows {stretches:?}"),
            });
        }
        let numbers = [view.equity, view.initial, view.units, view.unrealised, view.price, view.held_target];
        if numbers.iter().any(|x| !x.is_finite()) {
            let reason = format!("the account holds what is no number: {view:?}");
            return Err(StateError::Unreadable { what: WHAT, reason });
        }
        let has = |yes| if yes { "one that remembers" } else { "one that does not" };
        let (found, here) = (self.remembered.is_some(), spec.reward.state().is_some());
        StateError::fits("the reward", has(found), has(here))
    }
}

impl MarketEnv {
    pub(crate) fn save_course(&self, index: usize, out: &mut Vec<u8>) -> Result<(), StateError> {
        let Course { books, view, row, last_row, remembered, before, episode, end } = &self.courses[index];
        let state = CourseState {
            seed: self.seed,
            books: books.state(),
            view: *view,
            row: *row,
            last_row: *last_row,
            remembered: remembered.clone(),
            before: *before,
            episode: *episode,
            end: *end,
        };
        out.extend(encode(WHAT, &state)?);
        Ok(())
    }

    pub(crate) fn load_course(&mut self, index: usize, bytes: &[u8]) -> Result<(), StateError> {
        let state: CourseState = decode(WHAT, bytes)?;
        state.check(&self.spec, &self.stretches)?;
        let CourseState { seed, books, view, row, last_row, remembered, before, episode, end } = state;
        let mut course = self.courses[index].clone();
        course.books.restore(books)?;
        self.seed = seed;
        self.courses[index] =
            Course { books: course.books, view, row, last_row, remembered, before, episode, end };
        Ok(())
    }
}
