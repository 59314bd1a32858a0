//! What may be done: running, paused, killed; what holds entries back; and the stop that an entry carries.

use cambist_bridge::OrderId;
use cambist_core::UnixNanos;
use serde::Serialize;

use crate::books::PATIENCE;
use crate::words::{Finding, Snapshot};

/// An order, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sent {
    /// Its id.
    pub id: OrderId,
    /// Signed lot steps.
    pub steps: i64,
}

/// What may be done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Mode {
    /// Everything that no limit forbids.
    Running,
    /// Nothing is opened.
    Paused {
        /// Why.
        why: String,
    },
    /// Nothing is opened until an operator resumes; what is held is closed, or left as it is.
    Killed {
        /// Why.
        why: String,
        /// Whether it is closed.
        flatten: bool,
    },
}

/// An entry's stop, and since when it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Carried {
    since: UnixNanos,
    missing: bool,
}

/// How the loop stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// What may be done.
    pub mode: Mode,
    /// Books and broker differ in this.
    pub disagreement: Option<String>,
    /// The last order.
    pub last_order: Option<Sent>,
    /// Orders since the journal began, and of these refused.
    pub orders: [u64; 2],
    carried: Option<Carried>,
    /// Something is held, as far as is known.
    holds: bool,
    /// Looks in a row at which nothing was: positions may lag behind deals.
    empty: u32,
}

impl Standing {
    /// Of an account that was found holding `steps`.
    #[must_use]
    pub fn new(steps: i64) -> Self {
        let found = (steps != 0).then(|| format!("the account was found holding {steps} lot steps"));
        Self {
            mode: Mode::Running,
            disagreement: found,
            last_order: None,
            orders: [0; 2],
            carried: None,
            holds: steps != 0,
            empty: 0,
        }
    }

    /// Why nothing is opened, if so.
    #[must_use]
    pub fn held_by(&self) -> Option<String> {
        match (&self.mode, &self.disagreement) {
            (Mode::Paused { why }, _) => Some(format!("paused: {why}")),
            (Mode::Killed { why, .. }, _) => Some(format!("killed: {why}")),
            (Mode::Running, Some(what)) => {
                Some(format!("books and broker disagree: {what}; look, then reconcile --adopt"))
            }
            (Mode::Running, None) => None,
        }
    }

    /// Whether what is held must stay as it is.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        matches!(self.mode, Mode::Killed { flatten: false, .. })
    }

    pub(crate) fn must_flatten(&self) -> Option<String> {
        match &self.mode {
            Mode::Killed { why, flatten: true } => self.holds.then(|| why.clone()),
            Mode::Killed { .. } => None,
            _ => self.carried.filter(|c| c.missing).map(|_| "the stop of the entry is missing".to_owned()),
        }
    }

    pub(crate) fn pause(&mut self, why: &str) {
        if !matches!(self.mode, Mode::Killed { .. }) {
            self.mode = Mode::Paused { why: why.to_owned() };
        }
    }

    pub(crate) fn resume(&mut self) {
        self.mode = Mode::Running;
    }

    pub(crate) fn kill(&mut self, why: &str, flatten: bool) {
        self.mode = Mode::Killed { why: why.to_owned(), flatten };
        // What nobody has looked at may be held.
        (self.holds, self.empty) = (true, 0);
    }

    pub(crate) fn disagree(&mut self, what: &str) {
        self.disagreement.get_or_insert_with(|| what.to_owned());
    }

    pub(crate) fn adopt(&mut self) {
        self.disagreement = None;
    }

    pub(crate) fn sent(&mut self, sent: Sent) {
        self.orders[0] += 1;
        self.last_order = Some(sent);
    }

    pub(crate) fn refused(&mut self) {
        self.orders[1] += 1;
    }

    /// An order that opens was filled: the position carries a stop from now on, or none.
    pub(crate) fn carries(&mut self, at: UnixNanos, stop: bool) {
        (self.holds, self.empty) = (true, 0);
        self.carried = stop.then_some(Carried { since: at, missing: false });
    }

    /// Whether an entry's stop is to be looked for.
    #[must_use]
    pub fn carries_a_stop(&self) -> bool {
        self.carried.is_some_and(|carried| !carried.missing)
    }

    /// Notes whether anything is held or on its way.
    pub(crate) fn note(&mut self, account: &Snapshot) {
        let empty = account.holdings.is_empty() && account.under_way == 0;
        self.empty = if empty { self.empty + 1 } else { 0 };
        self.holds |= !empty;
        if self.empty >= PATIENCE {
            (self.holds, self.carried) = (false, None);
        }
    }

    /// Looks for the stop that the last entry carried.
    pub(crate) fn stop_missing(
        &mut self,
        at: UnixNanos,
        account: &Snapshot,
        grace: Option<f64>,
    ) -> Option<Finding> {
        let carried = self.carried.as_mut()?;
        if account.holdings.is_empty() || account.holdings.iter().all(|held| held.stop_loss.is_some()) {
            carried.since = at;
            return None;
        }
        let seconds = (at.0 - carried.since.0) as f64 * 1e-9;
        let late = grace.is_some_and(|grace| seconds >= grace);
        carried.missing |= late;
        late.then_some(Finding::StopMissing { seconds })
    }
}
