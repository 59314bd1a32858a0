//! MetaTrader 5's structures, field by field as its Python package names them.

use serde::{Deserialize, Serialize};

/// `MqlTradeRequest`. Prices in the instrument's currency, volume in lots, expiration in seconds of the server's clock.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// `TRADE_ACTION_*`: 1 deal, 5 pending, 6 stops, 7 modify, 8 remove.
    pub action: u32,
    /// The client's mark.
    pub magic: u64,
    /// Ticket of the order to modify or remove.
    pub order: u64,
    /// Symbol.
    pub symbol: String,
    /// Lots.
    pub volume: f64,
    /// Price of a pending order; of a deal, the one seen.
    pub price: f64,
    /// Limit price of a stop-limit order.
    pub stoplimit: f64,
    /// Stop loss, or 0.
    pub sl: f64,
    /// Take profit, or 0.
    pub tp: f64,
    /// Points a price may differ by; without effect under execution by market.
    pub deviation: u64,
    /// `ORDER_TYPE_*`: 0 buy, 1 sell, 2 and 3 limits, 4 and 5 stops, 6 and 7 stop limits.
    #[serde(rename = "type")]
    pub kind: u32,
    /// `ORDER_FILLING_*`: 0 FOK, 1 IOC, 2 return.
    pub type_filling: u32,
    /// `ORDER_TIME_*`: 0 until cancelled, 1 the day, 2 until `expiration`.
    pub type_time: u32,
    /// When a dated order ends.
    pub expiration: i64,
    /// At most 31 letters.
    pub comment: String,
    /// Ticket of the position to close or protect.
    pub position: u64,
    /// Opposite position of a close by.
    pub position_by: u64,
}

/// `MqlTradeResult`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SendResult {
    /// `TRADE_RETCODE_*`.
    pub retcode: u32,
    /// Ticket of the deal, or 0.
    pub deal: u64,
    /// Ticket of the order, or 0.
    pub order: u64,
    /// Lots that were traded.
    pub volume: f64,
    /// Their mean price.
    pub price: f64,
    /// Bid.
    pub bid: f64,
    /// Ask.
    pub ask: f64,
    /// The code in words.
    pub comment: String,
    /// Number of the request.
    pub request_id: u64,
    /// Code of an exchange; always 0.
    pub retcode_external: i32,
    /// What was asked.
    pub request: Request,
}

/// `TradeOrder`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct OrderRecord {
    pub ticket: u64,
    pub time_setup: i64,
    pub time_setup_msc: i64,
    pub time_done: i64,
    pub time_done_msc: i64,
    pub time_expiration: i64,
    #[serde(rename = "type")]
    pub kind: u32,
    pub type_time: u32,
    pub type_filling: u32,
    pub state: u32,
    pub magic: u64,
    pub position_id: u64,
    pub position_by_id: u64,
    pub reason: u32,
    pub volume_initial: f64,
    pub volume_current: f64,
    pub price_open: f64,
    pub sl: f64,
    pub tp: f64,
    pub price_current: f64,
    pub price_stoplimit: f64,
    pub symbol: String,
    pub comment: String,
    pub external_id: String,
}

/// `TradeDeal`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct DealRecord {
    pub ticket: u64,
    pub order: u64,
    pub time: i64,
    pub time_msc: i64,
    #[serde(rename = "type")]
    pub kind: u32,
    pub entry: u32,
    pub magic: u64,
    pub position_id: u64,
    pub reason: u32,
    pub volume: f64,
    pub price: f64,
    pub commission: f64,
    pub swap: f64,
    pub profit: f64,
    pub fee: f64,
    pub symbol: String,
    pub comment: String,
    pub external_id: String,
}

/// `TradePosition`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct PositionRecord {
    pub ticket: u64,
    pub time: i64,
    pub time_msc: i64,
    pub time_update: i64,
    pub time_update_msc: i64,
    #[serde(rename = "type")]
    pub kind: u32,
    pub magic: u64,
    pub identifier: u64,
    pub reason: u32,
    pub volume: f64,
    pub price_open: f64,
    pub sl: f64,
    pub tp: f64,
    pub price_current: f64,
    pub swap: f64,
    pub profit: f64,
    pub symbol: String,
    pub comment: String,
    pub external_id: String,
}

/// A row of `copy_rates_*`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct Rate {
    pub time: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub tick_volume: u64,
    pub spread: i32,
    pub real_volume: u64,
}
