//! The forms bars come in, told apart by their columns.

use std::path::Path;

use cambist_core::{PriceSide, VolumeKind};

use super::table::Table;
use crate::error::DataError;

/// A known arrangement of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `timestamp` (or `open_time`, `time`, `date`, `datetime`), open, high, low, close and maybe volume and spread.
    Plain,
    /// Bid and ask bars in one file: `timestamp`, `bid_open` … `bid_close`, `ask_open` … `ask_close`, maybe volume.
    BidAsk,
    /// Binance kline files: twelve columns, with or without a header, stamps in milliseconds or microseconds.
    BinanceKline,
    /// MetaTrader 5 exports: `<DATE> <TIME> <OPEN> <HIGH> <LOW> <CLOSE> <TICKVOL> <VOL> <SPREAD>`; daily ones have no time.
    Mt5,
    /// Dukascopy, gym-anytrading: `Time` or `Gmt time` as day.month.year, Open, High, Low, Close, Volume.
    Dukascopy,
}

pub(super) const KNOWN: &str = "timestamp,open,high,low,close[,volume,spread]; \
    timestamp,bid_open,…,bid_close,ask_open,…,ask_close[,volume]; Binance klines; MT5 exports (<DATE> <TIME> …); \
    Dukascopy (Gmt time,Open,High,Low,Close,Volume)";

/// Names a stamp column may have.
pub(super) const STAMPS: [&str; 6] = ["timestamp", "open_time", "time", "date", "datetime", "gmt_time"];

impl Form {
    /// What its prices and volumes are.
    #[must_use]
    pub fn meaning(self) -> (PriceSide, VolumeKind) {
        match self {
            Self::Plain | Self::BinanceKline => (PriceSide::Last, VolumeKind::Real),
            Self::BidAsk => (PriceSide::Mid, VolumeKind::Tick),
            Self::Mt5 => (PriceSide::Bid, VolumeKind::Tick),
            Self::Dukascopy => (PriceSide::Bid, VolumeKind::Tick),
        }
    }
}

/// Tells the form from the columns.
pub(super) fn detect(table: &Table, path: &Path) -> Result<Form, DataError> {
    let sides =
        ["bid_open", "bid_high", "bid_low", "bid_close", "ask_open", "ask_high", "ask_low", "ask_close"];
    let prices = ["open", "high", "low", "close"];
    let stamp = table.names.iter().any(|n| STAMPS.contains(&n.as_str()));
    if table.has(&["date"]) && table.has(&["tickvol"]) && table.has(&prices) {
        return Ok(Form::Mt5);
    }
    if stamp && table.has(&sides) {
        return Ok(Form::BidAsk);
    }
    if table.has(&["open_time", "quote_volume"]) || (!table.has_header && table.names.len() == 12) {
        return Ok(Form::BinanceKline);
    }
    if stamp && table.has(&prices) {
        return Ok(if looks_dukascopy(table) { Form::Dukascopy } else { Form::Plain });
    }
    let found = if table.has_header {
        table.names.clone()
    } else {
        vec![format!("{} without a header", table.names.len())]
    };
    Err(DataError::UnknownForm { path: path.to_owned(), found, known: KNOWN })
}

fn looks_dukascopy(table: &Table) -> bool {
    let cell =
        ["gmt_time", "time"].iter().find_map(|name| table.column(name)).and_then(|c| c.str().ok()?.get(0));
    cell.is_some_and(|text| {
        text.len() >= 10 && text.as_bytes().get(2) == Some(&b'.') && text.as_bytes().get(5) == Some(&b'.')
    })
}
