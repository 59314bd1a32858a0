//! Whether live results are those of the backtest: the sum of daily log returns, held against the band in which an account stays that
//! goes on as it did in its test window.

use cambist_core::UnixNanos;
use serde::{Deserialize, Serialize};

const DAY: i64 = 86_400_000_000_000;

/// Where the backtest says that results lie. The probability is for all lengths at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Days of the backtest it was made of.
    pub days: usize,
    /// Probability of an account that goes on as before to stay in it throughout.
    pub level: f64,
    /// Lower end of the sum of the first n log returns, a day each; n from 1.
    pub low: Vec<f64>,
    /// Upper end.
    pub high: Vec<f64>,
}

/// Cuts an account's course into days of UTC: a day that no bar closes in has no return.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Days {
    /// The day at hand, its equity before, its equity now, and what was paid in since it began.
    day: Option<(i64, f64, f64, f64)>,
}

impl Days {
    /// Takes the `equity` at a bar's `close`, of which `paid_in` came since the close before; gives the log return of the day that
    /// ended with the close before, if one did.
    pub fn push(&mut self, close: UnixNanos, equity: f64, paid_in: f64) -> Option<f64> {
        // A bar that closes at midnight is the day's last.
        let today = (close.0 - 1).div_euclid(DAY);
        let Some((day, start, last, paid)) = &mut self.day else {
            self.day = Some((today, equity, equity, 0.0));
            return None;
        };
        if *day == today {
            (*last, *paid) = (equity, *paid + paid_in);
            return None;
        }
        let done = gained(*start, *last - *paid);
        self.day = Some((today, *last, equity, paid_in));
        Some(done)
    }

    /// The log return of the day at hand so far.
    #[must_use]
    pub fn so_far(&self) -> f64 {
        self.day.map_or(0.0, |(_, start, last, paid)| gained(start, last - paid))
    }
}

/// Log return; of an account that is lost, a loss beyond every band.
fn gained(from: f64, to: f64) -> f64 {
    if from > 0.0 && to > 0.0 { libm::log(to / from) } else { -1e3 }
}

/// Daily log returns of an account's course; the last day as far as it goes.
pub fn daily(course: impl IntoIterator<Item = (UnixNanos, f64)>) -> Vec<f64> {
    let mut days = Days::default();
    let mut returns: Vec<f64> =
        course.into_iter().filter_map(|(close, equity)| days.push(close, equity, 0.0)).collect();
    returns.push(days.so_far());
    returns
}

/// Results since the policy was put to work.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Results {
    days: Days,
    /// Log returns of whole days.
    returns: Vec<f64>,
    paid_in: f64,
}

/// How results compare.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Report {
    /// Whole days counted, at most as many as the band is long: the last ones.
    pub n_days: usize,
    /// Sum of their log returns.
    pub log_return: f64,
    /// Lower end of the band for so many days.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Probability of staying within it throughout, if nothing has changed.
    pub level: Option<f64>,
    /// Whether results have left it.
    pub outside: bool,
}

impl Results {
    /// Notes money that was paid in, or out.
    pub fn paid_in(&mut self, amount: f64) {
        self.paid_in += amount;
    }

    /// Takes the equity at a bar's close. Whether a day has ended.
    pub fn push(&mut self, close: UnixNanos, equity: f64) -> bool {
        let ended = self.days.push(close, equity, std::mem::take(&mut self.paid_in));
        self.returns.extend(ended);
        ended.is_some()
    }

    /// How they compare with `band`.
    #[must_use]
    pub fn report(&self, band: Option<&Band>) -> Report {
        let longest = band.map_or(usize::MAX, |band| band.low.len().min(band.high.len()));
        let n_days = self.returns.len().min(longest);
        let log_return = self.returns.iter().rev().take(n_days).sum();
        let end = |values: &Vec<f64>| n_days.checked_sub(1).and_then(|n| values.get(n).copied());
        let (low, high) = (band.and_then(|b| end(&b.low)), band.and_then(|b| end(&b.high)));
        let outside = low.is_some_and(|low| log_return < low) || high.is_some_and(|high| log_return > high);
        Report { n_days, log_return, low, high, level: band.map(|band| band.level), outside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(n: i64) -> UnixNanos {
        UnixNanos(n * DAY / 24)
    }

    #[test]
    fn a_day_ends_with_the_bar_that_closes_at_midnight_and_deposits_are_no_gain() {
        let mut results = Results::default();
        for n in 1..=24 {
            assert!(!results.push(hour(n), 100.0));
        }
        assert!(results.push(hour(25), 110.0));
        results.paid_in(50.0);
        for n in 26..=48 {
            results.push(hour(n), 160.0);
        }
        assert!(results.push(hour(49), 160.0));
        assert_eq!(results.returns, [0.0, libm::log(1.1)]);
        let report = results.report(None);
        assert_eq!((report.n_days, report.outside, report.low), (2, false, None));
    }

    #[test]
    fn the_same_course_gives_the_backtest_and_the_live_account_the_same_days() {
        let course: Vec<(UnixNanos, f64)> =
            (1..=80).map(|n| (hour(n), 100.0 + f64::from((n % 7) as i32))).collect();
        let mut results = Results::default();
        for &(close, equity) in &course {
            results.push(close, equity);
        }
        assert_eq!(results.returns, daily(course)[..3]);
    }

    #[test]
    fn what_leaves_the_band_is_outside_and_an_account_that_is_lost_leaves_every_band() {
        let band = Band { days: 30, level: 0.98, low: vec![-0.1, -0.14], high: vec![0.1, 0.14] };
        let after = |equities: &[f64]| {
            let mut results = Results::default();
            for (day, &equity) in equities.iter().enumerate() {
                results.push(UnixNanos(1 + day as i64 * DAY), equity);
            }
            results.report(Some(&band))
        };
        assert!(!after(&[100.0, 100.0, 95.0, 0.0]).outside, "today is not over");
        assert!(after(&[100.0, 100.0, 85.0, 85.0]).outside, "two days, ln 0.85 is below -0.14");
        assert!(after(&[100.0, 120.0, 120.0]).outside, "one day of ln 1.2");
        // Two days are all the band knows of: the last two are counted.
        assert!(!after(&[100.0, 85.0, 85.0, 85.0, 85.0]).outside);
        assert!(after(&[100.0, 100.0, -5.0, -5.0]).outside);
    }
}
