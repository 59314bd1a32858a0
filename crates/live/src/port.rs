//! The two doors of a live loop: where bars come from, and where orders go.

use std::time::Duration;

use cambist_bridge::{OrderId, Outcome};
use cambist_core::{Bar, UnixNanos};

use crate::error::LiveError;
use crate::words::{Intent, Snapshot};

/// Where bars come from.
pub trait Feed {
    /// The last `count` bars that are closed, oldest first.
    ///
    /// # Errors
    /// When they cannot be had.
    fn history(&mut self, count: usize) -> Result<Vec<Bar>, LiveError>;

    /// Bars that have closed after `close`, oldest first; waits for one, but no longer than `patience`. None at the end of a tape.
    ///
    /// # Errors
    /// When the source is away, or says what cannot be.
    fn bars(&mut self, close: UnixNanos, patience: Duration) -> Result<Option<Vec<Bar>>, LiveError>;

    /// Now: our clock's, or a tape's.
    fn now(&self) -> UnixNanos;
}

/// Where orders go.
pub trait Broker {
    /// Number of the account, and the broker's name of the instrument.
    fn account(&self) -> (u64, String);

    /// The account, with its deals since `since`.
    ///
    /// # Errors
    /// When it cannot be read: that is never an empty list.
    fn snapshot(&mut self, since: UnixNanos) -> Result<Snapshot, LiveError>;

    /// Sends `intent`, once.
    ///
    /// # Errors
    /// When it was certainly not sent.
    fn send(&mut self, intent: &Intent) -> Result<Outcome, LiveError>;

    /// What became of an order; none when the broker has never had it.
    ///
    /// # Errors
    /// When nobody can tell now.
    fn outcome(&mut self, id: OrderId) -> Result<Option<Outcome>, LiveError>;

    /// How long after it left an order of which the broker has never heard may still come in.
    fn absent_after(&self) -> Duration;

    /// Begins to trade: nobody else may from now on.
    ///
    /// # Errors
    /// When somebody else does.
    fn begin(&mut self) -> Result<(), LiveError>;

    /// Shuts out every order that left before and has not come in.
    ///
    /// # Errors
    /// When that cannot be done now.
    fn fence(&mut self) -> Result<(), LiveError>;

    /// Ends in good order.
    ///
    /// # Errors
    /// When nobody can be told.
    fn end(&mut self) -> Result<(), LiveError>;

    /// Says that the loop is alive.
    ///
    /// # Errors
    /// When trading must stop.
    fn heartbeat(&mut self) -> Result<(), LiveError>;
}

/// A source and a broker in one: a bridge, or a simulated terminal.
pub trait Venue: Feed + Broker {}

impl<T: Feed + Broker> Venue for T {}
