//! A circuit breaker (Nygard, Release It!, 2007): after some failures in a row nothing is asked for a while, and then one thing.

use std::time::Duration;

/// Counts failures in a row. Times are of a clock that only goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    allowed: u32,
    pause: Duration,
    failures: u32,
    open_until: Option<Duration>,
}

impl Breaker {
    /// Opens after `allowed` failures in a row, for `pause`.
    #[must_use]
    pub fn new(allowed: u32, pause: Duration) -> Self {
        Self { allowed: allowed.max(1), pause, failures: 0, open_until: None }
    }

    /// How long it stays open at `now`; none when something may be asked.
    #[must_use]
    pub fn closed_in(&self, now: Duration) -> Option<Duration> {
        self.open_until.filter(|until| *until > now).map(|until| until - now)
    }

    /// Notes how an attempt ended at `now`.
    pub fn note(&mut self, went_well: bool, now: Duration) {
        if went_well {
            (self.failures, self.open_until) = (0, None);
            return;
        }
        self.failures = self.failures.saturating_add(1);
        // The one attempt after a pause opens it again at once.
        if self.failures >= self.allowed {
            self.open_until = Some(now + self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_try_after_the_pause() {
        let at = Duration::from_secs;
        let mut breaker = Breaker::new(3, at(10));
        for (went_well, now, closed_in) in [
            (false, 0, None),
            (false, 1, None),
            (true, 2, None),
            (false, 3, None),
            (false, 4, None),
            (false, 5, Some(at(10))),
        ] {
            breaker.note(went_well, at(now));
            assert_eq!(breaker.closed_in(at(now)), closed_in, "at {now}");
        }
        assert_eq!((breaker.closed_in(at(14)), breaker.closed_in(at(15))), (Some(at(1)), None));
        breaker.note(false, at(15));
        assert_eq!(breaker.closed_in(at(16)), Some(at(9)), "one failure is enough now");
        breaker.note(true, at(25));
        breaker.note(false, at(26));
        assert_eq!(breaker.closed_in(at(26)), None);
    }
}
