//! What a broker tells: deals, orders that ended, margin calls; and why it refuses.

use cambist_core::{Side, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::costs::CostSplit;

/// Why there was a deal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An order of the client.
    Client,
    /// The position's stop loss.
    StopLoss,
    /// The position's take profit.
    TakeProfit,
    /// The broker, for want of margin.
    StopOut,
}

/// Volume that changed hands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Deal {
    /// The order; zero for the broker's own.
    pub order: u64,
    /// The position it changed.
    pub position: u64,
    /// When: the time of the price it was made at.
    pub time: UnixNanos,
    /// Index of the instrument.
    pub instrument: usize,
    /// Which way.
    pub side: Side,
    /// Volume, in lot steps.
    pub steps: i64,
    /// Of these, the volume that closed what was held.
    pub closed: i64,
    /// Price, in ticks.
    pub price: f64,
    /// Profit of the volume closed, before costs, in the deposit currency.
    pub profit: f64,
    /// Financing of the volume closed: swap, funding, rent.
    pub financing: f64,
    /// Costs; those of spread, slippage and impact are in the price already.
    pub costs: CostSplit,
    /// Rebate received.
    pub rebate: f64,
    /// Why.
    pub reason: Reason,
}

/// Why an order ended without its whole volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The client took it back.
    Cancelled,
    /// Its time was over.
    Expired,
    /// Rule 6: the market was away for too long.
    Gap,
    /// Rule 9: there was not enough volume.
    NoVolume,
    /// Rule 10: there was not enough free margin.
    NoMoney,
    /// Rule 4: the broker rejected it.
    Rejected,
    /// Rule 15: the account was stopped out.
    StoppedOut,
    /// The position it was to close is gone.
    NothingToClose,
    /// Rule 2: a position on that side may not be opened.
    LongOnly,
}

/// A line of the broker's log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A deal.
    Deal(Deal),
    /// An order ended with volume left.
    Ended {
        /// Which.
        order: u64,
        /// When.
        time: UnixNanos,
        /// Volume left, in lot steps.
        left: i64,
        /// Why.
        why: Ended,
    },
    /// Equity fell below the level at which the broker calls.
    MarginCall {
        /// When.
        time: UnixNanos,
        /// Equity.
        equity: f64,
        /// Margin used.
        margin: f64,
    },
}

/// Takes the broker's log: a vector, a file, or nobody.
pub trait Log {
    /// Takes a line.
    fn tell(&mut self, notice: Notice);
}

/// Nobody listens.
impl Log for () {
    #[inline]
    fn tell(&mut self, _: Notice) {}
}

impl Log for Vec<Notice> {
    #[inline]
    fn tell(&mut self, notice: Notice) {
        self.push(notice);
    }
}

/// Why an order was not taken. The number is that of the rule in [`crate::broker`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Refused {
    /// Rule 1.
    #[error("rule 1: an order of {steps} lot steps; allowed are {minimum} to {maximum}")]
    Volume {
        /// What was asked.
        steps: i64,
        /// Smallest.
        minimum: i64,
        /// Largest.
        maximum: i64,
    },
    /// Rule 2.
    #[error("rule 2: selling short is not possible here; held are {held} lot steps, {steps} are to be sold")]
    LongOnly {
        /// Held.
        held: i64,
        /// To be sold.
        steps: i64,
    },
    /// Rule 3.
    #[error(
        "rule 3: the {what} at {price} is {distance} ticks from the quote on the side it must be; it must be at least {level}"
    )]
    TooClose {
        /// Which price.
        what: &'static str,
        /// Where it is, in ticks.
        price: i64,
        /// How far from the quote it is, in ticks; negative on the wrong side.
        distance: i64,
        /// How far it must be.
        level: i64,
    },
    /// Rule 5.
    #[error("rule 5: {what} is {distance} ticks from the quote; within {level} nothing may be changed")]
    Frozen {
        /// Which price.
        what: &'static str,
        /// How far from the quote it is.
        distance: i64,
        /// The freeze level.
        level: i64,
    },
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    Unknown {
        /// What.
        what: &'static str,
        /// Its number.
        id: u64,
    },
    /// Nothing is known of the market yet.
    #[error("instrument {instrument} has no quote yet")]
    NoQuote {
        /// Which.
        instrument: usize,
    },
}
