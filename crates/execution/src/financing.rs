//! What holding a position costs or earns: swap at the broker's midnight, funding of a perpetual, rent of borrowed units.

use cambist_core::time::{NANOS_PER_SECOND, SECONDS_PER_DAY};
use cambist_core::{ServerClock, UnixNanos};
use serde::{Deserialize, Serialize};

const NANOS_PER_DAY: i64 = SECONDS_PER_DAY * NANOS_PER_SECOND;
/// Banks' year, by which MetaTrader 5 counts interest.
const DAYS_PER_YEAR: f64 = 360.0;

/// In what a swap is written (`SYMBOL_SWAP_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapMode {
    /// There is none.
    #[default]
    None,
    /// Ticks a lot and day: `lots · tick value · ticks`.
    Points {
        /// Of a long position; negative is paid.
        long: f64,
        /// Of a short position.
        short: f64,
    },
    /// Percent a year of the current value, over 360 days.
    Interest {
        /// Of a long position; negative is paid.
        long: f64,
        /// Of a short position.
        short: f64,
    },
}

/// Swap: charged to whoever holds a position through the broker's midnight.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Swap {
    /// In what it is written.
    pub mode: SwapMode,
    /// Day of the week, 0 for Monday, whose midnight counts three times; Saturday's and Sunday's count none then.
    /// None charges every midnight once.
    pub triple_day: Option<u8>,
}

impl Swap {
    /// Days charged of a position held from `from` to `until` at a broker of `clock`.
    #[inline]
    #[must_use]
    pub fn days_between(&self, clock: ServerClock, from: UnixNanos, until: UnixNanos) -> f64 {
        (clock.day(from)..clock.day(until)).map(|day| self.weight(day)).sum()
    }

    /// How often the midnight that ends the broker's day number `day` is charged.
    fn weight(&self, day: i64) -> f64 {
        let Some(triple) = self.triple_day else { return 1.0 };
        match ServerClock::weekday(day) {
            5 | 6 => 0.0,
            weekday if weekday == triple => 3.0,
            _ => 1.0,
        }
    }

    /// The same with what is paid `factor` times as high.
    #[must_use]
    pub fn dearer(&self, factor: f64) -> Self {
        let paid = |rate: f64| if rate < 0.0 { rate * factor } else { rate };
        let mode = match self.mode {
            SwapMode::None => SwapMode::None,
            SwapMode::Points { long, short } => SwapMode::Points { long: paid(long), short: paid(short) },
            SwapMode::Interest { long, short } => SwapMode::Interest { long: paid(long), short: paid(short) },
        };
        Self { mode, ..*self }
    }

    /// Money of one day on `lots` (signed) whose tick value is `tick_value` a lot and whose value is `value` (signed).
    #[inline]
    #[must_use]
    pub fn of_a_day(&self, lots: f64, tick_value: f64, value: f64) -> f64 {
        let pick = |long: f64, short: f64| if lots > 0.0 { long } else { short };
        match self.mode {
            SwapMode::None => 0.0,
            SwapMode::Points { long, short } => lots.abs() * tick_value * pick(long, short),
            SwapMode::Interest { long, short } => value.abs() * pick(long, short) / 100.0 / DAYS_PER_YEAR,
        }
    }
}

/// Funding of a perpetual swap: longs pay `rate · value` to shorts at each time, or receive it when the rate is negative.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Funding {
    /// Times and rates, in time's order.
    rates: Vec<(i64, f64)>,
}

/// Why a funding series cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FundingError {
    /// Not in order.
    #[error("funding rates must come in time's order, each time once (rule 17): {after} follows {before}")]
    Order {
        /// A time.
        before: UnixNanos,
        /// The next.
        after: UnixNanos,
    },
    /// Not a number.
    #[error("the funding rate of {time} is {rate}; it must be a number between -1 and 1 (rule 17)")]
    Rate {
        /// When.
        time: UnixNanos,
        /// What.
        rate: f64,
    },
    /// A day without.
    #[error(
        "there is no funding rate on {day}; a perpetual needs one every day from {first} to {last} (rule 17)"
    )]
    Missing {
        /// The day.
        day: String,
        /// First day needed.
        first: String,
        /// Last day needed.
        last: String,
    },
}

impl Funding {
    /// A series of (time, rate).
    ///
    /// # Errors
    /// When it is out of order or holds what is no rate.
    pub fn new(rates: Vec<(UnixNanos, f64)>) -> Result<Self, FundingError> {
        for pair in rates.windows(2) {
            if pair[0].0 >= pair[1].0 {
                return Err(FundingError::Order { before: pair[0].0, after: pair[1].0 });
            }
        }
        if let Some(&(time, rate)) = rates.iter().find(|(_, rate)| rate.is_nan() || rate.abs() > 1.0) {
            return Err(FundingError::Rate { time, rate });
        }
        Ok(Self { rates: rates.into_iter().map(|(time, rate)| (time.0, rate)).collect() })
    }

    /// Refuses a series that has a day without a rate between two times.
    ///
    /// # Errors
    /// The first such day.
    pub fn covers(&self, from: UnixNanos, until: UnixNanos) -> Result<(), FundingError> {
        let day = |t: i64| t.div_euclid(NANOS_PER_DAY);
        let name = |d: i64| UnixNanos(d * NANOS_PER_DAY).to_string()[..10].to_owned();
        let (first, last) = (day(from.0), day(until.0 - 1));
        let mut rates = self.rates.iter().map(|&(time, _)| day(time)).peekable();
        for d in first..=last {
            while rates.next_if(|&r| r < d).is_some() {}
            if rates.peek() != Some(&d) {
                return Err(FundingError::Missing { day: name(d), first: name(first), last: name(last) });
            }
        }
        Ok(())
    }

    /// Times and rates as bits, one after the other: what fingerprints are made of.
    #[must_use]
    pub fn bits(&self) -> Vec<u64> {
        self.rates.iter().flat_map(|&(time, rate)| [time as u64, rate.to_bits()]).collect()
    }

    /// Whether there is none at all.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty()
    }

    /// Sum of the rates after `from` up to and with `until`.
    #[inline]
    #[must_use]
    pub fn between(&self, from: UnixNanos, until: UnixNanos) -> f64 {
        if self.rates.is_empty() {
            return 0.0;
        }
        let start = self.rates.partition_point(|&(time, _)| time <= from.0);
        self.rates[start..].iter().take_while(|&&(time, _)| time <= until.0).map(|&(_, rate)| rate).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use super::*;

    fn at(text: &str) -> UnixNanos {
        UnixNanos::parse(text).unwrap()
    }

    #[test]
    fn a_week_has_seven_days_whether_counted_three_times_or_once() {
        let (from, until) = (at("2023-03-06T12:00"), at("2023-03-13T12:00"));
        for offset_minutes in [-300, 0, 120] {
            for triple_day in [None, Some(2), Some(4)] {
                let clock = ServerClock { offset_minutes, ..ServerClock::UTC };
                let swap = Swap { mode: SwapMode::None, triple_day };
                assert_eq!(swap.days_between(clock, from, until), 7.0, "{offset_minutes} {triple_day:?}");
            }
        }
    }

    #[test]
    fn the_night_of_wednesday_counts_three_times_and_the_weekend_not() {
        let swap = Swap { triple_day: Some(2), ..Swap::default() };
        let night = |from, until| swap.days_between(ServerClock::NEW_YORK_CLOSE, at(from), at(until));
        assert_eq!(night("2023-03-08T21:59", "2023-03-08T22:00"), 3.0, "Wednesday");
        assert_eq!(night("2023-03-09T21:59", "2023-03-09T22:01"), 1.0, "Thursday");
        assert_eq!(night("2023-03-11T21:00", "2023-03-11T23:00"), 0.0, "Saturday");
        assert_eq!(night("2023-03-09T22:00", "2023-03-10T21:00"), 0.0, "within a day");
        // In New York's summer, which began on the 12th, an hour earlier.
        assert_eq!(night("2023-03-15T20:59", "2023-03-15T21:00"), 3.0, "Wednesday");
        assert_eq!(night("2023-03-15T21:00", "2023-03-15T22:01"), 0.0, "within a day");
        assert_eq!(night("2023-03-06T12:00", "2023-03-20T12:00"), 14.0, "two weeks, one an hour short");
        // Midnight UTC: the night of Wednesday ends at Thursday 00:00.
        assert_eq!(swap.days_between(ServerClock::UTC, at("2023-03-08T23:00"), at("2023-03-09T01:00")), 3.0);
    }

    #[test]
    fn swap_in_points_and_in_interest() {
        // 2 lots EURUSD, tick value 1 USD: -6.5 points cost 13 USD a day.
        let points = Swap { mode: SwapMode::Points { long: -6.5, short: 2.0 }, ..Swap::default() };
        assert_eq!(points.of_a_day(2.0, 1.0, 220_000.0), -13.0);
        assert_eq!(points.of_a_day(-2.0, 1.0, -220_000.0), 4.0);
        // 18 % a year of 36,000 is 18 a day.
        let interest = Swap { mode: SwapMode::Interest { long: -18.0, short: 0.0 }, ..Swap::default() };
        assert_eq!(interest.of_a_day(1.0, 0.01, 36_000.0), -18.0);
    }

    #[test]
    fn a_day_without_funding_is_named() {
        let rate = |text| (at(text), 1e-4);
        let funding =
            Funding::new(vec![rate("2023-01-01"), rate("2023-01-01T08:00"), rate("2023-01-03")]).unwrap();
        assert_eq!(funding.between(at("2023-01-01"), at("2023-01-01T08:00")), 1e-4);
        let error = funding.covers(at("2023-01-01"), at("2023-01-04")).unwrap_err();
        assert!(error.to_string().starts_with("there is no funding rate on 2023-01-02"), "{error}");
        assert!(funding.covers(at("2023-01-03"), at("2023-01-04")).is_ok());
        assert!(Funding::new(vec![rate("2023-01-02"), rate("2023-01-01")]).is_err());
    }
}
