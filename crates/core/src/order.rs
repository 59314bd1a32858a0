//! Orders, as a venue takes them: prices in whole ticks, volumes in whole lot steps.

use serde::{Deserialize, Serialize};

use crate::UnixNanos;

/// Which way an order trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Pays the ask.
    Buy,
    /// Receives the bid.
    Sell,
}

impl Side {
    /// 1 for buying, −1 for selling.
    #[inline]
    #[must_use]
    pub fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// The other one.
    #[inline]
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// The side that trades signed `steps`.
    #[inline]
    #[must_use]
    pub fn of(steps: i64) -> Self {
        if steps < 0 { Self::Sell } else { Self::Buy }
    }
}

/// At which price an order trades. Prices in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// At once, at the quote.
    Market,
    /// At the price or better.
    Limit {
        /// Worst price accepted.
        price: i64,
    },
    /// At the quote, once it has come to the price from the better side.
    Stop {
        /// Price that triggers.
        price: i64,
    },
    /// A limit order, once the quote has come to the stop.
    StopLimit {
        /// Price that triggers.
        stop: i64,
        /// Worst price accepted.
        limit: i64,
    },
}

/// What happens to volume that cannot be had at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FillPolicy {
    /// Immediate or cancel: what is not there is given up.
    Ioc,
    /// Fill or kill: all of it or nothing.
    Fok,
    /// The rest goes on working.
    Return,
}

/// How long an order works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expiry {
    /// Until cancelled.
    Gtc,
    /// Until the broker's day ends.
    Day,
    /// Until a time.
    At(UnixNanos),
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Index of the instrument.
    pub instrument: usize,
    /// Which way.
    pub side: Side,
    /// Volume, in lot steps; positive.
    pub steps: i64,
    /// At which price.
    pub kind: OrderKind,
    /// What happens to volume that is not there.
    pub fill: FillPolicy,
    /// How long it works.
    pub expiry: Expiry,
    /// Stop loss of the position it opens, in ticks.
    pub stop_loss: Option<i64>,
    /// Take profit of the position it opens, in ticks.
    pub take_profit: Option<i64>,
    /// In a hedging account, the position it closes.
    pub closes: Option<u64>,
}

impl Ticket {
    /// A market order of signed `steps` that gives up what is not there.
    #[must_use]
    pub fn market(instrument: usize, steps: i64) -> Self {
        Self {
            instrument,
            side: Side::of(steps),
            steps: steps.abs(),
            kind: OrderKind::Market,
            fill: FillPolicy::Ioc,
            expiry: Expiry::Gtc,
            stop_loss: None,
            take_profit: None,
            closes: None,
        }
    }
}
