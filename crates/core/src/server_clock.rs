//! A broker's wall clock: a fixed offset, moved forward by an hour while daylight saving holds.
//!
//! Knows the rule of the European Union since 1996 and that of the United States since 1987, as law has them today for all
//! years to come; a year before them is taken by the first rule there is. Times stay UTC everywhere: a clock only says which
//! hour, day and week of the broker's a time falls in.

use serde::{Deserialize, Serialize};

use crate::time::{NANOS_PER_SECOND, SECONDS_PER_DAY, UnixNanos};

/// By whose law clocks are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DaylightSaving {
    /// Never.
    #[default]
    None,
    /// The European Union's: from the last Sunday of March, 01:00 UTC, to the last of October, 01:00 UTC.
    Eu,
    /// New York's: since 2007 from the second Sunday of March, 07:00 UTC, to the first of November, 06:00 UTC. A server that
    /// follows New York moves at the same moments, wherever it stands.
    Us,
}

/// A broker's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServerClock {
    /// Ahead of UTC by so many minutes while daylight saving does not hold.
    pub offset_minutes: i32,
    /// When it is an hour further ahead.
    pub saving: DaylightSaving,
}

/// Seconds since 1970 between which a year's daylight saving holds.
type Summer = (i64, i64);

const FIRST_YEAR: i64 = 1970;
const YEARS: usize = 293; // UnixNanos end in 2262.
const EU: [Summer; YEARS] = table(false);
const US: [Summer; YEARS] = table(true);
/// Mean length of a Gregorian year. A day told to the wrong year by it is one of winter in both.
const SECONDS_PER_CIVIL_YEAR: i64 = 31_556_952;

impl ServerClock {
    /// UTC.
    pub const UTC: Self = Self { offset_minutes: 0, saving: DaylightSaving::None };
    /// UTC+2, in New York's summer UTC+3: midnight is 17:00 in New York, so that a week of foreign exchange has five days. What
    /// most MetaTrader 5 brokers keep.
    pub const NEW_YORK_CLOSE: Self = Self { offset_minutes: 120, saving: DaylightSaving::Us };

    /// Whether there is such a clock: within 14 hours of UTC, and on the hour if it is moved. A moved one off the hour could fall
    /// back through its own midnight and live through it twice.
    #[must_use]
    pub fn is_one(self) -> bool {
        let moved = self.saving != DaylightSaving::None;
        (-14 * 60..=14 * 60).contains(&self.offset_minutes) && (!moved || self.offset_minutes % 60 == 0)
    }

    /// Seconds ahead of UTC at `at`.
    #[inline]
    #[must_use]
    pub fn offset_seconds(self, at: UnixNanos) -> i64 {
        let years = match self.saving {
            DaylightSaving::None => return i64::from(self.offset_minutes) * 60,
            DaylightSaving::Eu => &EU,
            DaylightSaving::Us => &US,
        };
        let seconds = at.seconds();
        let year = (seconds / SECONDS_PER_CIVIL_YEAR).clamp(0, YEARS as i64 - 1);
        let (from, until) = years[year as usize];
        i64::from(self.offset_minutes) * 60 + 3600 * i64::from((from..until).contains(&seconds))
    }

    /// What the clock shows at `at`, as nanoseconds since its own 1970-01-01T00:00: a stamp to tell hour and day by, not a time.
    #[inline]
    #[must_use]
    pub fn shows(self, at: UnixNanos) -> UnixNanos {
        UnixNanos(at.0 + self.offset_seconds(at) * NANOS_PER_SECOND)
    }

    /// When the clock shows `shown`: of an hour it shows twice the first time, and of one it leaves out, as if it had not.
    #[must_use]
    pub fn when(self, shown: UnixNanos) -> UnixNanos {
        let unmoved = i64::from(self.offset_minutes) * 60;
        let [summer, winter] = [unmoved + 3600, unmoved]
            .map(|ahead| UnixNanos(shown.0.saturating_sub(ahead * NANOS_PER_SECOND)));
        if self.offset_seconds(summer) == unmoved + 3600 { summer } else { winter }
    }

    /// Days of the clock since 1970-01-01, a Thursday, which have ended at `at`: two times of one day have one number.
    #[inline]
    #[must_use]
    pub fn day(self, at: UnixNanos) -> i64 {
        self.shows(at).0.div_euclid(SECONDS_PER_DAY * NANOS_PER_SECOND)
    }

    /// When the day of `at` ends.
    #[must_use]
    pub fn next_midnight(self, at: UnixNanos) -> UnixNanos {
        let shown = (self.day(at) + 1) * SECONDS_PER_DAY;
        let unmoved = UnixNanos((shown - self.offset_seconds(at)) * NANOS_PER_SECOND);
        // The clock may be moved on the way there, even over midnight itself.
        let moved = UnixNanos((shown - self.offset_seconds(unmoved)) * NANOS_PER_SECOND);
        if self.day(moved) > self.day(at) { moved } else { unmoved }
    }

    /// Day of the week of [`Self::day`] number `day`, 0 for Monday.
    #[inline]
    #[must_use]
    pub fn weekday(day: i64) -> u8 {
        (day + 3).rem_euclid(7) as u8
    }
}

const fn table(us: bool) -> [Summer; YEARS] {
    let mut years = [(0, 0); YEARS];
    let mut place = 0;
    while place < YEARS {
        years[place] = summer(FIRST_YEAR + place as i64, us);
        place += 1;
    }
    years
}

/// EU: directive 2000/84/EC. US: Uniform Time Act as amended in 1986 and by the Energy Policy Act of 2005.
const fn summer(year: i64, us: bool) -> Summer {
    let hour = 3600;
    match (us, year < 2007) {
        (false, _) => (sunday(year, 4, 1, -7) + hour, sunday(year, 11, 1, -7) + hour),
        (true, true) => (sunday(year, 4, 1, 0) + 7 * hour, sunday(year, 11, 1, -7) + 6 * hour),
        (true, false) => (sunday(year, 3, 8, 0) + 7 * hour, sunday(year, 11, 1, 0) + 6 * hour),
    }
}

/// Midnight, UTC, that begins the first Sunday at or after a date, and `days` more.
const fn sunday(year: i64, month: i64, day: i64, days: i64) -> i64 {
    let date = days_from_civil(year, month, day);
    let ahead = (6 - (date + 3).rem_euclid(7)).rem_euclid(7);
    (date + ahead + days) * SECONDS_PER_DAY
}

/// Days since 1970-01-01 of a Gregorian date. Source: H. Hinnant, "chrono-compatible low-level date algorithms".
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let shifted = (month + 9) % 12;
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use super::*;
    use chrono::Offset;

    /// Every hour of the years the rules speak of, against the IANA database.
    #[test]
    fn clocks_move_when_the_law_says() {
        let agree = |clock: ServerClock, zone: chrono_tz::Tz, apart: i64, from: &str| {
            let (mut at, end) = (UnixNanos::parse(from).unwrap(), UnixNanos::parse("2040-01-01").unwrap());
            while at < end {
                let theirs = zone.offset_from_utc_datetime(&at.civil()).fix().local_minus_utc();
                assert_eq!(clock.offset_seconds(at), i64::from(theirs) + apart, "{zone} at {at}");
                at.0 += 3600 * NANOS_PER_SECOND;
            }
        };
        use chrono::TimeZone;
        let athens = ServerClock { offset_minutes: 120, saving: DaylightSaving::Eu };
        agree(athens, chrono_tz::Europe::Athens, 0, "1996-01-01");
        agree(ServerClock::NEW_YORK_CLOSE, chrono_tz::America::New_York, 7 * 3600, "1987-01-01");
        agree(ServerClock::UTC, chrono_tz::UTC, 0, "2020-01-01");
    }

    #[test]
    fn a_day_of_the_clock_ends_an_hour_earlier_in_summer() {
        let clock = ServerClock::NEW_YORK_CLOSE;
        let day = |text: &str| clock.day(UnixNanos::parse(text).unwrap());
        assert_eq!(day("2023-01-10T21:59"), day("2023-01-09T22:00"));
        assert_eq!(day("2023-01-10T22:00"), day("2023-01-10T21:59") + 1);
        assert_eq!(day("2023-07-10T21:00"), day("2023-07-10T20:59") + 1);
        assert_eq!(ServerClock::weekday(day("2023-01-08T22:00")), 0, "a Sunday evening is Monday");
        let shown = clock.shows(UnixNanos::parse("2023-07-10T20:59").unwrap());
        assert_eq!(shown, UnixNanos::parse("2023-07-10T23:59").unwrap());
    }

    /// A day begins where the one before ends, and days only go up: of every clock there is, around every change of it.
    #[test]
    fn days_follow_one_another() {
        for saving in [DaylightSaving::None, DaylightSaving::Eu, DaylightSaving::Us] {
            for offset_minutes in (-840..=840).step_by(60) {
                let clock = ServerClock { offset_minutes, saving };
                assert!(clock.is_one());
                let (mut at, end) =
                    (UnixNanos::parse("2026-03-01").unwrap(), UnixNanos::parse("2026-11-10").unwrap());
                let mut day = clock.day(at);
                while at < end {
                    let midnight = clock.next_midnight(at);
                    assert_eq!(clock.day(UnixNanos(midnight.0 - 1)), day, "{clock:?} before {midnight}");
                    at.0 += 900 * NANOS_PER_SECOND;
                    let next = clock.day(at);
                    assert_eq!(next - day, i64::from(at >= midnight), "{clock:?} at {at}");
                    day = next;
                }
            }
        }
        let off = |offset_minutes, saving| ServerClock { offset_minutes, saving }.is_one();
        assert!(
            off(330, DaylightSaving::None)
                && !off(-105, DaylightSaving::Eu)
                && !off(i32::MIN, DaylightSaving::Us)
        );
    }

    /// The first and the last moment of a summer, to the second.
    #[test]
    fn an_hour_is_gained_and_lost_once() {
        let eu = ServerClock { offset_minutes: 0, saving: DaylightSaving::Eu };
        for (clock, from, until) in [
            (eu, "2026-03-29T01:00:00", "2026-10-25T01:00:00"),
            (ServerClock::NEW_YORK_CLOSE, "2026-03-08T07:00:00", "2026-11-01T06:00:00"),
        ] {
            let at = |text: &str, later: i64| {
                let time = UnixNanos::parse(text).unwrap().0 + later * NANOS_PER_SECOND;
                clock.offset_seconds(UnixNanos(time)) - i64::from(clock.offset_minutes) * 60
            };
            assert_eq!([at(from, -1), at(from, 0), at(until, -1), at(until, 0)], [0, 3600, 3600, 0]);
            // What is shown tells when it was, but in the hour that is shown twice.
            for (text, hours) in [(from, -3..=3), (until, -3..=3)] {
                for hour in hours {
                    let time = UnixNanos(UnixNanos::parse(text).unwrap().0 + hour * 3600 * NANOS_PER_SECOND);
                    let twice = text == until && hour == 0;
                    let first = UnixNanos(time.0 - i64::from(twice) * 3600 * NANOS_PER_SECOND);
                    assert_eq!(clock.when(clock.shows(time)), first, "{time}");
                }
            }
        }
    }
}
