//! MetaTrader 5's return codes of the trade server (`TRADE_RETCODE_*`), with its comments.

use cambist_execution::{Ended, Refused};

/// A code with what the terminal writes beside it.
pub(crate) type Code = (u32, &'static str);

pub(crate) const REQUOTE: Code = (10004, "Requote");
pub(crate) const REJECT: Code = (10006, "Request rejected");
pub(crate) const CANCEL: Code = (10007, "Request canceled");
pub(crate) const PLACED: Code = (10008, "Request placed");
pub(crate) const DONE: Code = (10009, "Request executed");
pub(crate) const DONE_PARTIAL: Code = (10010, "Partial request executed");
pub(crate) const TIMEOUT: Code = (10012, "Request timeout");
pub(crate) const INVALID: Code = (10013, "Invalid request");
pub(crate) const INVALID_VOLUME: Code = (10014, "Invalid volume");
pub(crate) const INVALID_PRICE: Code = (10015, "Invalid price");
pub(crate) const INVALID_STOPS: Code = (10016, "Invalid stops");
pub(crate) const MARKET_CLOSED: Code = (10018, "Market closed");
pub(crate) const NO_MONEY: Code = (10019, "No money");
pub(crate) const PRICE_OFF: Code = (10021, "No prices");
pub(crate) const INVALID_EXPIRATION: Code = (10022, "Invalid expiration");
pub(crate) const NO_CHANGES: Code = (10025, "No changes");
pub(crate) const FROZEN: Code = (10029, "Order locked");
pub(crate) const INVALID_FILL: Code = (10030, "Unsupported filling mode");
pub(crate) const CONNECTION: Code = (10031, "No connection");
pub(crate) const INVALID_ORDER: Code = (10035, "Invalid order");
pub(crate) const POSITION_CLOSED: Code = (10036, "Position doesn't exist");
pub(crate) const INVALID_CLOSE_VOLUME: Code = (10038, "Invalid close volume");
pub(crate) const LONG_ONLY: Code = (10042, "Only long positions allowed");

/// The code of what the broker refuses at once.
pub(crate) fn of_refusal(reason: &Refused) -> Code {
    match reason {
        Refused::Volume { .. } => INVALID_VOLUME,
        Refused::LongOnly { .. } => LONG_ONLY,
        Refused::TooClose { what, .. } if what.contains("price") => INVALID_PRICE,
        Refused::TooClose { .. } => INVALID_STOPS,
        Refused::Frozen { .. } => FROZEN,
        Refused::Unknown { what: "order", .. } => INVALID_ORDER,
        Refused::Unknown { .. } => POSITION_CLOSED,
        Refused::NoQuote { .. } => PRICE_OFF,
    }
}

/// The code of an order that ended without a deal.
pub(crate) fn of_end(why: Ended) -> Code {
    match why {
        Ended::NoMoney => NO_MONEY,
        Ended::Rejected | Ended::StoppedOut => REJECT,
        Ended::NothingToClose => POSITION_CLOSED,
        Ended::LongOnly => LONG_ONLY,
        Ended::Cancelled | Ended::Expired | Ended::Gap | Ended::NoVolume => CANCEL,
    }
}
