//! What a broker publishes of an instrument, and what follows from it: lots, ticks, values, margin.
//!
//! Prices are in ticks and volumes in lot steps; a lot is `contract_size` units of the base. The numbers are those of
//! MetaTrader 5's symbol specification, whose names stand in brackets.

use cambist_core::{ServerClock, Side, UnixNanos};
use serde::{Deserialize, Serialize};

/// How margin is reckoned (`SYMBOL_TRADE_CALC_MODE`). Profit is `ticks · tick value · lots` in all of them.
/// Source: MetaTrader 5 help, "Margin calculation for retail Forex, futures" and "exchange model".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calculation {
    /// `lots · contract size / leverage · margin rate`, in the base currency.
    Forex,
    /// `lots · contract size · price · margin rate`.
    Cfd,
    /// `lots · contract size · price / leverage · margin rate`.
    CfdLeverage,
    /// `lots · contract size · price · margin rate`, of an exchange; with a margin rate of 1, of a spot market.
    Exchange,
}

/// Sizes an order may have (`SYMBOL_VOLUME_MIN`, `_STEP`, `_MAX`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LotRule {
    /// Distance of one size to the next, in lots.
    pub step: f64,
    /// Smallest order, in steps.
    pub minimum: i64,
    /// Largest order, in steps.
    pub maximum: i64,
}

/// What selling something one does not have costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortSale {
    /// A contract: a short needs nothing borrowed.
    Contract,
    /// The units are borrowed at this rate a year on their value.
    Borrowed(f64),
    /// Not possible: long only.
    Forbidden,
}

/// Hours in which an instrument trades, as minutes of the week from Monday 00:00; none for always.
pub type Sessions = Vec<(u32, u32)>;

/// An instrument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instrument {
    /// Its name.
    pub name: String,
    /// How margin is reckoned.
    pub calculation: Calculation,
    /// Smallest change of the price, in price (`SYMBOL_TRADE_TICK_SIZE`).
    pub tick_size: f64,
    /// What a tick is worth to one lot, in the profit currency (`SYMBOL_TRADE_TICK_VALUE`).
    pub tick_value: f64,
    /// Units of a lot (`SYMBOL_TRADE_CONTRACT_SIZE`).
    pub contract_size: f64,
    /// Sizes.
    pub lots: LotRule,
    /// Least distance of stops and pending prices from the quote, in ticks (`SYMBOL_TRADE_STOPS_LEVEL`).
    pub stops_level: i64,
    /// Within this distance of the quote nothing pending may be changed, in ticks (`SYMBOL_TRADE_FREEZE_LEVEL`).
    pub freeze_level: i64,
    /// Share of the margin formula that is asked for (`SYMBOL_MARGIN_INITIAL`).
    pub margin_rate: f64,
    /// Units of a lot whose margin a covered lot of a hedged position asks for (`SYMBOL_MARGIN_HEDGED`); zero for none.
    pub hedged_margin: f64,
    /// What selling short takes.
    pub short: ShortSale,
    /// Currency or thing that is traded (`SYMBOL_CURRENCY_BASE`).
    pub base: String,
    /// Currency of prices and profits (`SYMBOL_CURRENCY_PROFIT`).
    pub profit: String,
    /// When it trades.
    pub sessions: Sessions,
    /// The clock that sessions are read by: that of the market, which need not be the broker's.
    pub session_clock: ServerClock,
}

/// Why an instrument cannot be traded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("rule 20: instrument {name}: {field} is {value}; it must be {expected}")]
pub struct InstrumentError {
    /// Which instrument.
    pub name: String,
    /// Which field.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What it must be.
    pub expected: &'static str,
}

const MINUTES_PER_DAY: i64 = 24 * 60;
const MINUTES_PER_WEEK: i64 = 7 * MINUTES_PER_DAY;
/// 1970-01-01 was a Thursday.
const FIRST_MINUTE_OF_WEEK: i64 = 3 * MINUTES_PER_DAY;

impl Instrument {
    /// Refuses what no broker would publish.
    ///
    /// # Errors
    /// The first field that makes no sense.
    pub fn validate(&self) -> Result<(), InstrumentError> {
        let positive = "positive";
        let steps = &self.lots;
        let sessions =
            self.sessions.iter().all(|&(from, until)| from < until && i64::from(until) <= MINUTES_PER_WEEK);
        let rules: [(&'static str, bool, String, &'static str); 11] = [
            ("tick_size", good(self.tick_size), self.tick_size.to_string(), positive),
            (
                "tick_value",
                good(self.tick_value),
                self.tick_value.to_string(),
                "positive: what a tick is worth to a lot",
            ),
            ("contract_size", good(self.contract_size), self.contract_size.to_string(), positive),
            ("lot_step", good(steps.step), steps.step.to_string(), positive),
            ("lot_minimum", steps.minimum >= 1, steps.minimum.to_string(), "at least one lot step"),
            (
                "lot_maximum",
                steps.maximum >= steps.minimum,
                steps.maximum.to_string(),
                "at least lot_minimum",
            ),
            ("stops_level", self.stops_level >= 0, self.stops_level.to_string(), "at least 0 ticks"),
            ("freeze_level", self.freeze_level >= 0, self.freeze_level.to_string(), "at least 0 ticks"),
            ("margin_rate", good(self.margin_rate), self.margin_rate.to_string(), positive),
            ("hedged_margin", self.hedged_margin >= 0.0, self.hedged_margin.to_string(), "at least 0 units"),
            (
                "sessions",
                sessions,
                format!("{:?}", self.sessions),
                "minutes of the week, each from before until",
            ),
        ];
        match rules.into_iter().find(|(_, holds, ..)| !holds) {
            Some((field, _, value, expected)) => {
                Err(InstrumentError { name: self.name.clone(), field, value, expected })
            }
            None => self.validate_short(),
        }
    }

    fn validate_short(&self) -> Result<(), InstrumentError> {
        match self.short {
            ShortSale::Borrowed(rate) if !(rate.is_finite() && rate >= 0.0) => Err(InstrumentError {
                name: self.name.clone(),
                field: "borrow_rate",
                value: rate.to_string(),
                expected: "a rate a year, at least 0",
            }),
            _ => Ok(()),
        }
    }

    /// What a tick is worth to one lot step, in the profit currency.
    #[inline]
    #[must_use]
    pub fn step_tick_value(&self) -> f64 {
        self.tick_value * self.lots.step
    }

    /// Lots of `steps`.
    #[inline]
    #[must_use]
    pub fn to_lots(&self, steps: i64) -> f64 {
        steps as f64 * self.lots.step
    }

    /// The price of `ticks`.
    #[inline]
    #[must_use]
    pub fn to_price(&self, ticks: f64) -> f64 {
        ticks * self.tick_size
    }

    /// The tick nearest to `price`: for market data, which may come from elsewhere than the broker.
    #[inline]
    #[must_use]
    pub fn nearest_tick(&self, price: f64) -> i64 {
        (price / self.tick_size).round() as i64
    }

    /// Value of `steps` at `ticks`, in the profit currency; signed as the steps are.
    #[inline]
    #[must_use]
    pub fn value(&self, steps: i64, ticks: f64) -> f64 {
        steps as f64 * self.lots.step * self.contract_size * (ticks * self.tick_size)
    }

    /// Margin of `steps` opened at `ticks` under account `leverage`, in the profit currency.
    #[inline]
    #[must_use]
    pub fn margin(&self, steps: i64, ticks: f64, leverage: f64) -> f64 {
        let value = self.value(steps, ticks).abs() * self.margin_rate;
        match self.calculation {
            // A Forex margin is in the base currency, which is worth `price` of the profit currency.
            Calculation::Forex | Calculation::CfdLeverage => value / leverage,
            Calculation::Cfd | Calculation::Exchange => value,
        }
    }

    /// Whether it trades at `time`.
    #[inline]
    #[must_use]
    pub fn trades_at(&self, time: UnixNanos) -> bool {
        if self.sessions.is_empty() {
            return true;
        }
        let shown = self.session_clock.shows(time).seconds();
        let minute = (shown.div_euclid(60) + FIRST_MINUTE_OF_WEEK).rem_euclid(MINUTES_PER_WEEK);
        self.sessions.iter().any(|&(from, until)| (i64::from(from)..i64::from(until)).contains(&minute))
    }

    /// Whether `side` may open a position.
    #[inline]
    #[must_use]
    pub fn may_open(&self, side: Side) -> bool {
        side == Side::Buy || self.short != ShortSale::Forbidden
    }
}

fn good(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use super::*;
    use crate::presets;

    #[test]
    fn presets_are_valid_and_worth_what_their_contracts_say() {
        for name in presets::NAMES {
            let instrument = presets::instrument(name).unwrap();
            instrument.validate().unwrap();
            let per_tick = instrument.tick_size * instrument.contract_size;
            assert!((instrument.tick_value - per_tick).abs() < 1e-12, "{name}");
        }
        // MetaTrader 5 help: 1 lot EURUSD at leverage 1:500 asks 100,000 / 500 = 200 EUR.
        let eurusd = presets::instrument("eurusd").unwrap();
        let margin = eurusd.margin(100, 110_000.0, 500.0);
        assert!((margin - 200.0 * 1.1).abs() < 1e-9);
    }

    #[test]
    fn a_tick_is_worth_something() {
        let eurusd = presets::instrument("eurusd").unwrap();
        let worthless = Instrument { tick_value: 0.0, ..eurusd };
        assert!(worthless.validate().unwrap_err().to_string().contains("tick_value is 0"));
    }

    #[test]
    fn sessions_are_minutes_of_the_week() {
        let eurusd = presets::instrument("eurusd").unwrap();
        let at = |text: &str| eurusd.trades_at(UnixNanos::parse(text).unwrap());
        assert!(at("2023-03-08T12:00"), "a Wednesday");
        assert!(!at("2023-03-11T12:00"), "a Saturday");
        assert!(at("2023-03-10T21:59") && !at("2023-03-10T22:00"), "Friday evening, New York's winter");
        assert!(
            !at("2023-03-12T20:59") && at("2023-03-12T21:00"),
            "Sunday evening, on which its summer began"
        );
        assert!(at("2023-11-03T20:59") && !at("2023-11-03T21:00"), "Friday evening in summer");
        assert!(!at("2023-11-05T21:59") && at("2023-11-05T22:00"), "Sunday evening, on which it ended");
        let gold = presets::instrument("xauusd").unwrap();
        let at = |text: &str| gold.trades_at(UnixNanos::parse(text).unwrap());
        for (day, close) in [("2023-01-0", 21), ("2023-07-0", 20)] {
            for date in [3, 4, 5] {
                let at = |hour: i32, minute: i32| at(&format!("{day}{date}T{hour:02}:{minute:02}"));
                let open = [at(close, 59), at(close + 1, 0), at(close + 1, 59), at(close + 2, 0), at(7, 0)];
                assert_eq!(open, [true, false, false, true, true], "an hour's rest after New York's close");
            }
        }
        assert!(at("2023-07-07T20:59") && !at("2023-07-07T22:30"), "Friday");
        assert!(!at("2023-07-09T21:59") && at("2023-07-09T22:00"), "Sunday");
    }
}
