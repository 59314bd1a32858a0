//! Time stamps and bar lengths. Everything is UTC; a zone exists only at the importer's rim.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(pub i64);

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Seconds in a day.
pub const SECONDS_PER_DAY: i64 = 86_400;
/// Seconds in a Julian year (365.25 days).
pub const SECONDS_PER_YEAR: f64 = 31_557_600.0;

impl UnixNanos {
    /// From milliseconds since the epoch.
    #[must_use]
    pub fn from_millis(ms: i64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// Civil UTC date and time.
    #[must_use]
    pub fn civil(self) -> chrono::NaiveDateTime {
        chrono::DateTime::from_timestamp_nanos(self.0).naive_utc()
    }

    /// Reads `YYYY-MM-DD`, `YYYY-MM-DDTHH:MM`, `YYYY-MM-DDTHH:MM:SS` (a blank for the `T` and a closing `Z` are
    /// accepted), as UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('Z').replace(' ', "T");
        let full = match text.len() {
            10 => format!("{text}T00:00:00"),
            16 => format!("{text}:00"),
            _ => text,
        };
        let civil = chrono::NaiveDateTime::parse_from_str(&full, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        civil.and_utc().timestamp_nanos_opt().map(UnixNanos)
    }
}

impl fmt::Display for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.civil().format("%Y-%m-%d %H:%M:%S"))
    }
}

/// The length of a bar. Bars begin at multiples of it since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeframe {
    seconds: u32,
}

impl Timeframe {
    /// One minute.
    pub const MINUTE: Self = Self { seconds: 60 };
    /// One hour.
    pub const HOUR: Self = Self { seconds: 3600 };
    /// One day.
    pub const DAY: Self = Self { seconds: 86_400 };

    /// A bar of `seconds`; it must divide a day or be whole days.
    #[must_use]
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        let day = 86_400u32;
        (seconds > 0 && (day.is_multiple_of(seconds) || seconds.is_multiple_of(day)))
            .then_some(Self { seconds })
    }

    /// Length in seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.seconds
    }

    /// Length in nanoseconds.
    #[must_use]
    pub fn nanos(self) -> i64 {
        i64::from(self.seconds) * NANOS_PER_SECOND
    }

    /// The open time of the bar that contains `at`.
    #[must_use]
    pub fn floor(self, at: UnixNanos) -> UnixNanos {
        UnixNanos(at.0.div_euclid(self.nanos()) * self.nanos())
    }

    /// Whether bars of this length can be made of bars of `finer`.
    #[must_use]
    pub fn is_multiple_of(self, finer: Self) -> bool {
        self.seconds.is_multiple_of(finer.seconds)
    }

    /// Bars in a Julian year when the market never closes.
    #[must_use]
    pub fn per_year(self) -> f64 {
        SECONDS_PER_YEAR / f64::from(self.seconds)
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.seconds {
            s if s % 86_400 == 0 => (s / 86_400, "d"),
            s if s % 3600 == 0 => (s / 3600, "h"),
            s if s % 60 == 0 => (s / 60, "m"),
            s => (s, "s"),
        };
        write!(f, "{count}{unit}")
    }
}

/// Why a text is not a timeframe.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is not a timeframe: write a number and s, m, h or d, such as 1m, 15m, 4h or 1d; below a day it must divide a day"
)]
pub struct TimeframeError(String);

impl FromStr for Timeframe {
    type Err = TimeframeError;

    fn from_str(text: &str) -> Result<Self, TimeframeError> {
        let parsed = || {
            let unit = match text.chars().last()? {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                _ => return None,
            };
            let count: u32 = text.get(..text.len() - 1)?.parse().ok()?;
            Self::from_seconds(count.checked_mul(unit)?)
        };
        parsed().ok_or_else(|| TimeframeError(text.to_owned()))
    }
}

impl Serialize for Timeframe {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timeframe {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeframes_read_and_print() {
        for text in ["1s", "1m", "15m", "1h", "4h", "1d", "7d"] {
            assert_eq!(text.parse::<Timeframe>().unwrap().to_string(), text);
        }
        for bad in ["", "m", "0m", "7m", "1w", "-1h", "é"] {
            assert!(bad.parse::<Timeframe>().is_err(), "{bad}");
        }
    }

    #[test]
    fn time_reads_what_it_prints() {
        let at = UnixNanos::parse("2021-03-05T14:00").unwrap();
        assert_eq!(at.0, 1_614_952_800 * NANOS_PER_SECOND);
        assert_eq!(UnixNanos::parse(&at.to_string()), Some(at));
        assert_eq!(Timeframe::DAY.floor(at), UnixNanos::parse("2021-03-05").unwrap());
        assert_eq!(UnixNanos::parse("2021-13-05"), None);
    }
}
