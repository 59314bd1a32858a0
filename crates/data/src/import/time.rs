//! Time stamps as files write them, to UTC nanoseconds.

use chrono::{MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

use crate::error::DataError;

/// The zone of stamps that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self(Tz::UTC)
    }

    /// A zone by its IANA name.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn named(name: &str) -> Result<Self, DataError> {
        name.parse().map(Self).map_err(|_| DataError::UnknownZone(name.to_owned()))
    }

    /// Local wall time to UTC. Of an hour that the clock passes twice, the earlier is taken unless that would go back
    /// behind `previous`; an hour that the clock leaps over does not exist.
    #[must_use]
    pub fn to_utc(self, local: NaiveDateTime, previous: Option<i64>) -> Option<i64> {
        let nanos = |at: chrono::DateTime<Tz>| at.timestamp_nanos_opt();
        match self.0.from_local_datetime(&local) {
            MappedLocalTime::Single(at) => nanos(at),
            MappedLocalTime::Ambiguous(early, late) => match (nanos(early), previous) {
                (Some(early), Some(previous)) if early <= previous => nanos(late),
                (early, _) => early,
            },
            MappedLocalTime::None => None,
        }
    }
}

/// A whole number of seconds, milliseconds, microseconds or nanoseconds since the epoch; which of them, its size tells
/// for every date from 1973 to 2255.
pub(super) fn epoch(number: i64) -> Option<i64> {
    let scale = match number.unsigned_abs() {
        100_000_000..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        100_000_000_000_000_000.. => 1,
        _ => return None,
    };
    number.checked_mul(scale)
}

/// A date and time in one cell: ISO, MT5 (`2021.03.05 14:00`), or Dukascopy (`05.03.2021 14:00:00.000`).
pub(super) fn civil(cell: &str) -> Option<NaiveDateTime> {
    let cell = cell.trim();
    let (day, clock) = cell.split_once([' ', 'T']).unwrap_or((cell, ""));
    Some(date(day)?.and_time(time(clock.trim_end_matches('Z'))?))
}

/// `YYYY-MM-DD`, `YYYY.MM.DD`, `YYYY/MM/DD` or `DD.MM.YYYY`.
pub(super) fn date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split(['-', '.', '/']);
    let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, day) = if a.len() == 4 {
        (a, c)
    } else if c.len() == 4 && text.contains('.') {
        (c, a)
    } else {
        return None;
    };
    NaiveDate::from_ymd_opt(year.parse().ok()?, b.parse().ok()?, day.parse().ok()?)
}

/// `HH:MM`, `HH:MM:SS`, `HH:MM:SS.fff`, or nothing, which is midnight.
pub(super) fn time(text: &str) -> Option<NaiveTime> {
    let text = text.trim().trim_end_matches("+00:00");
    if text.is_empty() {
        return Some(NaiveTime::MIN);
    }
    let mut parts = text.split(':');
    let (hour, minute) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let seconds: f64 = parts.next().map_or(Some(0.0), |s| s.parse().ok())?;
    if parts.next().is_some() || !(0.0..60.0).contains(&seconds) {
        return None;
    }
    let nanos = ((seconds - seconds.floor()) * 1e9).round() as u32;
    NaiveTime::from_hms_nano_opt(hour, minute, seconds as u32, nanos.min(999_999_999))
}

/// A stamp that carries its own meaning: an epoch number, or an ISO time with an offset.
pub(super) fn absolute(cell: &str) -> Option<i64> {
    let cell = cell.trim();
    if let Ok(number) = cell.parse::<i64>() {
        return epoch(number);
    }
    if cell.ends_with('Z') {
        return civil(cell).and_then(|at| at.and_utc().timestamp_nanos_opt());
    }
    chrono::DateTime::parse_from_rfc3339(&cell.replacen(' ', "T", 1)).ok()?.timestamp_nanos_opt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_core::UnixNanos;

    #[test]
    fn stamps_of_every_form_agree() {
        let wanted = UnixNanos::parse("2021-03-05T14:00").unwrap().0;
        for cell in ["1614952800", "1614952800000", "1614952800000000", "1614952800000000000"] {
            assert_eq!(absolute(cell), Some(wanted), "{cell}");
        }
        assert_eq!(absolute("2021-03-05T16:00:00+02:00"), Some(wanted));
        for cell in ["2021-03-05 14:00:00", "2021.03.05 14:00", "05.03.2021 14:00:00.000", "2021/03/05T14:00"]
        {
            assert_eq!(Zone::utc().to_utc(civil(cell).unwrap(), None), Some(wanted), "{cell}");
        }
        for bad in
            ["", "2021-13-05", "14:00", "5", "2021-03-05 25:00", "2021-03-05 12:00:61", "05/03/2021 12:00"]
        {
            assert!(absolute(bad).or_else(|| civil(bad).map(|_| 0)).is_none(), "{bad}");
        }
    }

    #[test]
    fn clocks_that_change_are_followed() {
        let athens = Zone::named("Europe/Athens").unwrap();
        let utc = |text: &str| UnixNanos::parse(text).unwrap().0;
        assert_eq!(athens.to_utc(civil("2021-01-15 14:00").unwrap(), None), Some(utc("2021-01-15T12:00")));
        assert_eq!(athens.to_utc(civil("2021-07-15 14:00").unwrap(), None), Some(utc("2021-07-15T11:00")));
        // 2021-10-31 04:00 local falls back to 03:00: 03:30 comes twice.
        let twice = civil("2021-10-31 03:30").unwrap();
        let early = athens.to_utc(twice, None).unwrap();
        assert_eq!(early, utc("2021-10-31T00:30"));
        assert_eq!(athens.to_utc(twice, Some(early)), Some(utc("2021-10-31T01:30")));
        // 2021-03-28 03:00 local leaps to 04:00.
        assert_eq!(athens.to_utc(civil("2021-03-28 03:30").unwrap(), None), None);
        assert!(Zone::named("Europe/Nowhere").is_err());
    }
}
