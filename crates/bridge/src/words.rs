//! What is said to the bridge and what it answers, looked at before it is believed.

use cambist_core::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::id::OrderId;

/// An answer that cannot be true.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the bridge answered nonsense: {field} of {what} is {found}")]
pub struct Nonsense {
    /// Which record.
    pub what: String,
    /// Which field.
    pub field: &'static str,
    /// What stood there.
    pub found: String,
}

/// What is known to be so of every answer of a kind. `now` is the latest time that anything may have happened at.
pub(crate) trait Sensible {
    fn check(&self, now: UnixNanos) -> Result<(), Nonsense>;
}

impl<T: Sensible> Sensible for Vec<T> {
    fn check(&self, now: UnixNanos) -> Result<(), Nonsense> {
        self.iter().try_for_each(|one| one.check(now))
    }
}

struct Looked<'a>(&'a str);

impl Looked<'_> {
    fn wrong(&self, field: &'static str, found: impl ToString) -> Result<(), Nonsense> {
        Err(Nonsense { what: self.0.to_owned(), field, found: found.to_string() })
    }

    fn positive(&self, field: &'static str, value: f64) -> Result<(), Nonsense> {
        if value.is_finite() && value > 0.0 { Ok(()) } else { self.wrong(field, value) }
    }

    fn not_negative(&self, field: &'static str, value: f64) -> Result<(), Nonsense> {
        if value.is_finite() && value >= 0.0 { Ok(()) } else { self.wrong(field, value) }
    }

    fn finite(&self, field: &'static str, value: f64) -> Result<(), Nonsense> {
        if value.is_finite() { Ok(()) } else { self.wrong(field, value) }
    }

    fn past(&self, field: &'static str, time_ms: i64, now: UnixNanos) -> Result<(), Nonsense> {
        let within = (0..=now.0 / 1_000_000).contains(&time_ms);
        if within { Ok(()) } else { self.wrong(field, format!("{time_ms} ms, and it is {now}")) }
    }
}

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are what they say")]
pub enum Side {
    Buy,
    Sell,
}

/// An order, as the bridge takes it. Volumes are lots, prices the broker's, times UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Order {
    /// Made again by the same decision.
    pub id: OrderId,
    /// Symbol.
    pub symbol: String,
    /// At most 31 letters; decoration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// What to do.
    #[serde(flatten)]
    pub action: Action,
}

/// What an order does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
#[expect(missing_docs, reason = "fields are named in `Order` and in the bridge's OpenAPI")]
pub enum Action {
    /// At the market.
    Market {
        side: Side,
        volume: f64,
        stop_loss: Option<f64>,
        take_profit: Option<f64>,
        deviation_points: u32,
    },
    /// At a price or better.
    Limit {
        side: Side,
        volume: f64,
        price: f64,
        stop_loss: Option<f64>,
        take_profit: Option<f64>,
        expires_ms: Option<i64>,
    },
    /// When a price is reached.
    Stop {
        side: Side,
        volume: f64,
        price: f64,
        stop_loss: Option<f64>,
        take_profit: Option<f64>,
        expires_ms: Option<i64>,
    },
    /// Closes a position, or `volume` of it.
    Close { position: u64, volume: Option<f64>, deviation_points: u32 },
    /// Sets stops of a position, or price and stops of an order.
    Modify {
        position: Option<u64>,
        order: Option<u64>,
        price: Option<f64>,
        stop_loss: Option<f64>,
        take_profit: Option<f64>,
    },
    /// Takes a pending order back.
    Cancel { order: u64 },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was carried out.
    Confirmed(Fill),
    /// It was not, and will not be under this id.
    Refused {
        /// The broker's code, if it was asked.
        retcode: Option<i64>,
        /// In words, with what to do.
        reason: String,
    },
    /// Nobody knows yet. Ask for it by its id; never send it again.
    Unknown(String),
}

/// What was traded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fill {
    /// Ticket of the order.
    pub order: Option<u64>,
    /// Tickets of its deals.
    pub deals: Vec<u64>,
    /// Lots; less than was wanted where only a part was to be had.
    pub volume: f64,
    /// Their mean price.
    pub price: Option<f64>,
    /// Whether it turned up after it had been given up.
    pub late: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OutcomeBody {
    pub(crate) id: OrderId,
    pub(crate) state: State,
    retcode: Option<i64>,
    reason: String,
    advice: String,
    order: Option<u64>,
    deals: Vec<u64>,
    volume: f64,
    price: Option<f64>,
    late: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Confirmed,
    Refused,
    Unknown,
    Absent,
}

impl OutcomeBody {
    /// As the caller has it; nonsense is no outcome.
    pub(crate) fn outcome(self) -> Result<Outcome, Nonsense> {
        let looked = Looked("an outcome");
        looked.not_negative("volume", self.volume)?;
        if let Some(price) = self.price {
            looked.positive("price", price)?;
        }
        Ok(match self.state {
            State::Confirmed => Outcome::Confirmed(Fill {
                order: self.order,
                deals: self.deals,
                volume: self.volume,
                price: self.price,
                late: self.late,
            }),
            State::Refused | State::Absent => Outcome::Refused {
                retcode: self.retcode,
                reason: format!("{}: {}", self.reason, self.advice),
            },
            State::Unknown => Outcome::Unknown(self.reason),
        })
    }
}

/// `GET /health`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are the bridge's")]
pub struct Health {
    pub connected: bool,
    pub trading: bool,
    pub paused: Vec<String>,
    pub open_intents: Vec<OrderId>,
    pub lease_token: Option<u64>,
    pub lease_holder: Option<String>,
    pub now_ms: Option<i64>,
    pub version: String,
}

impl Sensible for Health {
    fn check(&self, now: UnixNanos) -> Result<(), Nonsense> {
        let looked = Looked("health");
        if let Some(now_ms) = self.now_ms {
            looked.past("now_ms", now_ms, now)?;
        }
        if self.trading && !self.connected {
            looked.wrong("trading", "true without a connection")
        } else {
            Ok(())
        }
    }
}

/// A lease: who may trade.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Lease {
    /// Fences off whoever had one before.
    pub token: u64,
    /// Whose it is.
    pub holder: String,
    /// When it ends if it is not renewed, by the bridge's clock.
    pub expires_ms: i64,
}

impl Sensible for Lease {
    fn check(&self, _: UnixNanos) -> Result<(), Nonsense> {
        if self.token > 0 { Ok(()) } else { Looked("a lease").wrong("token", self.token) }
    }
}

/// `GET /account`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct Account {
    pub login: u64,
    pub server: String,
    pub currency: String,
    pub margin_mode: u32,
    pub margin_so_mode: u32,
    pub margin_so_so: f64,
    pub leverage: u32,
    pub balance: f64,
    pub equity: f64,
    pub margin: f64,
    pub margin_free: f64,
    pub trade_allowed: bool,
}

impl Sensible for Account {
    fn check(&self, _: UnixNanos) -> Result<(), Nonsense> {
        let looked = Looked("the account");
        looked.finite("balance", self.balance)?;
        looked.finite("equity", self.equity)?;
        looked.finite("margin_free", self.margin_free)?;
        looked.not_negative("margin", self.margin)?;
        if self.leverage == 0 { looked.wrong("leverage", self.leverage) } else { Ok(()) }
    }
}

/// `GET /symbol/{s}`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct SymbolRecord {
    pub name: String,
    pub digits: u32,
    pub point: f64,
    pub trade_tick_size: f64,
    pub trade_tick_value: f64,
    pub trade_contract_size: f64,
    pub volume_min: f64,
    pub volume_max: f64,
    pub volume_step: f64,
    pub trade_stops_level: u32,
    pub trade_freeze_level: u32,
    pub filling_mode: u32,
    pub swap_mode: u32,
    pub swap_long: f64,
    pub swap_short: f64,
    pub currency_base: String,
    pub currency_profit: String,
    pub bid: f64,
    pub ask: f64,
}

impl Sensible for SymbolRecord {
    fn check(&self, _: UnixNanos) -> Result<(), Nonsense> {
        let looked = Looked(&self.name);
        let positive = [
            ("point", self.point),
            ("trade_tick_size", self.trade_tick_size),
            ("trade_contract_size", self.trade_contract_size),
            ("volume_min", self.volume_min),
            ("volume_max", self.volume_max),
            ("volume_step", self.volume_step),
            ("bid", self.bid),
            ("ask", self.ask),
        ];
        positive.into_iter().try_for_each(|(field, value)| looked.positive(field, value))?;
        looked.not_negative("trade_tick_value", self.trade_tick_value)?;
        looked.finite("swap_long", self.swap_long)?;
        looked.finite("swap_short", self.swap_short)?;
        if self.ask < self.bid {
            looked.wrong("ask", format!("{}, below the bid of {}", self.ask, self.bid))
        } else {
            Ok(())
        }
    }
}

/// A bar of `GET /ohlcv`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct BarRecord {
    /// When it opened.
    pub time_ms: i64,
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub tick_volume: u64,
    pub spread: i64,
    pub real_volume: u64,
    /// Whether it is over.
    pub complete: bool,
}

impl Sensible for BarRecord {
    fn check(&self, now: UnixNanos) -> Result<(), Nonsense> {
        let what = format!("the bar of {} ms", self.time_ms);
        let looked = Looked(&what);
        looked.past("time_ms", self.time_ms, now)?;
        let prices = [("open", self.open), ("high", self.high), ("low", self.low), ("close", self.close)];
        prices.into_iter().try_for_each(|(field, value)| looked.positive(field, value))?;
        if self.high < self.open.max(self.close) || self.high < self.low {
            return looked.wrong("high", self.high);
        }
        if self.low > self.open.min(self.close) {
            return looked.wrong("low", self.low);
        }
        if self.spread < 0 { looked.wrong("spread", self.spread) } else { Ok(()) }
    }
}

/// A row of `GET /positions`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct PositionRecord {
    pub ticket: u64,
    pub symbol: String,
    #[serde(rename = "type")]
    pub kind: u32,
    pub magic: u64,
    pub volume: f64,
    pub price_open: f64,
    pub sl: f64,
    pub tp: f64,
    pub swap: f64,
    pub profit: f64,
    pub time_ms: i64,
}

impl Sensible for PositionRecord {
    fn check(&self, now: UnixNanos) -> Result<(), Nonsense> {
        let what = format!("position {}", self.ticket);
        let looked = Looked(&what);
        looked.positive("volume", self.volume)?;
        looked.positive("price_open", self.price_open)?;
        looked.not_negative("sl", self.sl)?;
        looked.not_negative("tp", self.tp)?;
        looked.finite("swap", self.swap)?;
        looked.finite("profit", self.profit)?;
        if self.kind > 1 {
            return looked.wrong("type", self.kind);
        }
        looked.past("time_ms", self.time_ms, now)
    }
}

/// A row of `GET /orders`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct OrderRecord {
    pub ticket: u64,
    pub symbol: String,
    #[serde(rename = "type")]
    pub kind: u32,
    pub magic: u64,
    pub state: u32,
    pub volume_current: f64,
    pub price_open: f64,
    pub sl: f64,
    pub tp: f64,
    pub time_setup_ms: i64,
}

impl Sensible for OrderRecord {
    fn check(&self, now: UnixNanos) -> Result<(), Nonsense> {
        let what = format!("order {}", self.ticket);
        let looked = Looked(&what);
        looked.not_negative("volume_current", self.volume_current)?;
        looked.not_negative("price_open", self.price_open)?;
        looked.past("time_setup_ms", self.time_setup_ms, now)
    }
}

/// A row of `GET /deals`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are MetaTrader's")]
pub struct DealRecord {
    pub ticket: u64,
    pub order: u64,
    pub symbol: String,
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
    pub time_ms: i64,
}

impl Sensible for DealRecord {
    fn check(&self, now: UnixNanos) -> Result<(), Nonsense> {
        let what = format!("deal {}", self.ticket);
        let looked = Looked(&what);
        looked.not_negative("volume", self.volume)?;
        looked.not_negative("price", self.price)?;
        let money = [
            ("commission", self.commission),
            ("swap", self.swap),
            ("profit", self.profit),
            ("fee", self.fee),
        ];
        money.into_iter().try_for_each(|(field, value)| looked.finite(field, value))?;
        looked.past("time_ms", self.time_ms, now)
    }
}
