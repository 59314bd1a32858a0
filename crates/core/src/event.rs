//! What a market says: bars, quotes, trades and changes of a book. Prices in whole ticks, volumes in whole lot steps.

use serde::{Deserialize, Serialize};

use crate::UnixNanos;
use crate::order::Side;

/// A bar, with what was known of it at its open.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BarEvent {
    /// When it opened.
    pub open_time: UnixNanos,
    /// When it closed.
    pub close_time: UnixNanos,
    /// First price.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Last price.
    pub close: i64,
    /// Ask minus bid, in ticks.
    pub spread: i64,
    /// Volume traded, in lot steps; none when the source counts no volume.
    pub volume: Option<i64>,
    /// Standard deviation of a bar's log return, from the bars before this one.
    pub volatility: f64,
}

/// Best bid and ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// When.
    pub time: UnixNanos,
    /// Best bid.
    pub bid: i64,
    /// Best ask.
    pub ask: i64,
    /// Volume at the bid and at the ask, in lot steps; none when unknown.
    pub depth: Option<(i64, i64)>,
}

/// A trade of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// When.
    pub time: UnixNanos,
    /// Price.
    pub price: i64,
    /// Volume, in lot steps.
    pub steps: i64,
}

/// New volume of one price of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookDelta {
    /// When.
    pub time: UnixNanos,
    /// Bids ([`Side::Buy`]) or asks.
    pub side: Side,
    /// Which price.
    pub price: i64,
    /// Volume there from now on, in lot steps; zero takes the price away.
    pub steps: i64,
}

/// One piece of news.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketEvent {
    /// A bar.
    Bar(BarEvent),
    /// A quote.
    Quote(Quote),
    /// A trade.
    Trade(Trade),
    /// A change of a book.
    BookDelta(BookDelta),
}
