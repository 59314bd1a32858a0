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
        let today = day_of(close);
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

/// The day of a bar: one that closes at midnight is the day's last.
fn day_of(close: UnixNanos) -> i64 {
    (close.0 - 1).div_euclid(DAY)
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

/// Results since the policy was put to work. When as many days have passed as the band is long, the count begins anew.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Results {
    days: Days,
    /// Log returns of whole days.
    returns: Vec<f64>,
    paid_in: f64,
    /// Days of which nobody saw the end, after the last that somebody did.
    missed: Option<(i64, usize)>,
    /// The band was left, and on which of its days first.
    left: Option<usize>,
}

/// How results compare.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Report {
    /// Whole days counted.
    pub n_days: usize,
    /// Sum of their log returns.
    pub log_return: f64,
    /// Lower end of the band for so many days.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Probability of staying within it throughout, if nothing has changed.
    pub level: Option<f64>,
    /// The day on which results left it first.
    pub left: Option<usize>,
}

impl Results {
    /// Notes money that was paid in, or out.
    pub fn paid_in(&mut self, amount: f64) {
        self.paid_in += amount;
    }

    /// Notes a bar that closed while nobody looked at the account: its day counts all the same.
    pub fn missed(&mut self, close: UnixNanos) {
        let day = day_of(close);
        let seen = self.days.day.map_or(day, |(seen, ..)| seen);
        let (last, n) = self.missed.get_or_insert((seen, 0));
        if *last < day {
            (*last, *n) = (day, *n + 1);
        }
    }

    /// Takes the equity at a bar's close. Whether results have left `band` with it, for the first time.
    pub fn push(&mut self, close: UnixNanos, equity: f64, band: Option<&Band>) -> bool {
        let Some(ended) = self.days.push(close, equity, std::mem::take(&mut self.paid_in)) else {
            self.missed = None;
            return false;
        };
        let more = self.missed.take().map_or(0, |(last, n)| n + usize::from(last < day_of(close)));
        let mut news = false;
        // What happened on days that nobody saw is in the return of the first that somebody does.
        for earned in std::iter::once(ended).chain(std::iter::repeat_n(0.0, more.saturating_sub(1))) {
            if band.is_some_and(|band| self.returns.len() >= band.low.len().min(band.high.len())) {
                (self.returns, self.left) = (Vec::new(), None);
            }
            self.returns.push(earned);
            let Report { n_days, log_return, low, high, .. } = self.report(band);
            let outside =
                low.is_some_and(|low| log_return < low) || high.is_some_and(|high| log_return > high);
            if outside && self.left.is_none() {
                (self.left, news) = (Some(n_days), true);
            }
        }
        news
    }

    /// How they compare with `band`.
    #[must_use]
    pub fn report(&self, band: Option<&Band>) -> Report {
        let n_days = self.returns.len();
        let end = |values: &Vec<f64>| n_days.checked_sub(1).and_then(|n| values.get(n).copied());
        Report {
            n_days,
            // An empty sum is negative zero.
            log_return: self.returns.iter().fold(0.0, |sum, earned| sum + earned),
            low: band.and_then(|band| end(&band.low)),
            high: band.and_then(|band| end(&band.high)),
            level: band.map(|band| band.level),
            left: self.left,
        }
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
        for n in 1..=25 {
            results.push(hour(n), if n == 25 { 110.0 } else { 100.0 }, None);
            assert_eq!(results.returns.len(), usize::from(n == 25));
        }
        results.paid_in(50.0);
        for n in 26..=49 {
            results.push(hour(n), 160.0, None);
        }
        assert_eq!(results.returns, [0.0, libm::log(1.1)]);
        let report = results.report(None);
        assert_eq!((report.n_days, report.left, report.low), (2, None, None));
    }

    #[test]
    fn the_same_course_gives_the_backtest_and_the_live_account_the_same_days() {
        let course: Vec<(UnixNanos, f64)> =
            (1..=80).map(|n| (hour(n), 100.0 + f64::from((n % 7) as i32))).collect();
        let mut results = Results::default();
        for &(close, equity) in &course {
            results.push(close, equity, None);
        }
        assert_eq!(results.returns, daily(course)[..3]);
    }

    fn band() -> Band {
        Band { days: 30, level: 0.98, low: vec![-0.1, -0.14, -0.17], high: vec![0.1, 0.14, 0.17] }
    }

    /// Results after these equities, one at the first hour of each day; and on which days leaving was news.
    fn after(equities: &[f64]) -> (Report, Vec<usize>) {
        let (mut results, mut news) = (Results::default(), Vec::new());
        for (day, &equity) in equities.iter().enumerate() {
            if results.push(UnixNanos(1 + day as i64 * DAY), equity, Some(&band())) {
                news.push(day);
            }
        }
        (results.report(Some(&band())), news)
    }

    #[test]
    fn what_leaves_the_band_is_told_once_and_stays_told() {
        let left = |equities: &[f64]| after(equities).0.left;
        assert_eq!(left(&[100.0, 100.0, 95.0, 0.0]), None, "today is not over");
        assert_eq!(left(&[100.0, 100.0, 85.0, 85.0]), None, "three days, ln 0.85 is above -0.17");
        assert_eq!(left(&[100.0, 100.0, 84.0, 84.0]), Some(3), "ln 0.84 is below it");
        assert_eq!(left(&[100.0, 100.0, -5.0, -5.0]), Some(3), "an account that is lost leaves every band");
        assert_eq!(after(&[100.0, 120.0, 120.0]).1, [2], "two days, ln 1.2");
        let (report, news) = after(&[100.0, 85.0, 100.0, 100.0]);
        assert_eq!((report.left, news), (Some(2), vec![2]), "back inside, it has left all the same");
    }

    #[test]
    fn when_the_band_is_at_its_end_the_count_begins_anew() {
        let (report, news) = after(&[100.0, 85.0, 85.0, 85.0, 85.0, 85.0, 85.0]);
        assert_eq!((report.n_days, report.left, news), (3, None, vec![2]));
    }

    #[test]
    fn days_that_nobody_saw_count() {
        let mut results = Results::default();
        results.push(hour(24), 100.0, None);
        for n in 25..=48 {
            results.missed(hour(n));
        }
        results.push(hour(49), 90.0, None);
        results.push(hour(73), 90.0, None);
        assert_eq!(results.returns, [0.0, 0.0, libm::log(0.9)]);
        let mut results = Results::default();
        results.push(hour(23), 100.0, None);
        // Friday's last hours to Monday's first: two days are passed over.
        for n in 24..=72 {
            results.missed(hour(n));
        }
        results.push(hour(73), 90.0, None);
        assert_eq!(results.returns, [0.0; 3]);
        // A market that was closed meanwhile has no days to pass over.
        let mut closed = Results::default();
        closed.push(hour(24), 100.0, None);
        closed.push(hour(73), 90.0, None);
        assert_eq!(closed.returns, [0.0]);
    }
}
