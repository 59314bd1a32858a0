//! The client of the bridge to MetaTrader 5: reads that are tried again, orders that are sent once.
//!
//! A read is retried with back-off and jitter, and not at all while the [`Breaker`] is open. An order is one request: what goes wrong
//! after it may have left is [`Outcome::Unknown`], which is asked for by its id ([`Client::outcome`]) and never sent again. Answers are
//! looked at before anybody sees them ([`Nonsense`]): a bridge that says what cannot be is an error that names the field.
//!
//! Assumes the bridge's own API (`bridge/`). Times are UTC.

mod breaker;
mod client;
mod id;
mod words;

pub use breaker::Breaker;
pub use client::{BridgeError, Client, Settings, keeps_secrets};
pub use id::OrderId;
pub use words::{
    Account, Action, BarRecord, DealRecord, Fill, Health, Lease, Nonsense, Order, OrderRecord, Outcome,
    PositionRecord, Side, SymbolRecord,
};
