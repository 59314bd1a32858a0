//! Rules of a few numbers, one bar at a time: what a sweep runs over a grid.
//!
//! Averages are compared as whole sums of prices in their smallest decimal, so that no rounding decides a trade.

use cambist_core::MarketTape;

use super::SweepError;

/// A target at the close of one bar after another.
pub(crate) trait Rule {
    /// The target at the close of `row`; rows come one after another.
    fn next(&mut self, row: usize) -> i8;
}

/// Kinds of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// Long while the average of the last `fast` closes is above that of the last `slow`, short else.
    SmaCross,
    /// Long while the close is above that of `n` bars ago, short else.
    Momentum,
    /// Long from the first close above the highest of the `n` closes before it, short from the first below the lowest.
    Donchian,
    /// Short `k` deviations above the average of the last `n` closes, long as far below; flat once it is back.
    Reversion,
}

impl RuleKind {
    /// All, with their names and parameters.
    pub const ALL: [(Self, &'static str, &'static [&'static str]); 4] = [
        (Self::SmaCross, "sma_cross", &["fast", "slow"]),
        (Self::Momentum, "momentum", &["n"]),
        (Self::Donchian, "donchian", &["n"]),
        (Self::Reversion, "reversion", &["n", "k"]),
    ];

    /// The rule called `name`.
    ///
    /// # Errors
    /// When there is none, with the names of those there are.
    pub fn named(name: &str) -> Result<Self, SweepError> {
        let found = Self::ALL.iter().find(|(_, known, _)| *known == name);
        found.map(|(kind, ..)| *kind).ok_or_else(|| SweepError::Rule {
            name: name.to_owned(),
            known: Self::ALL.map(|(_, known, _)| known).join(", "),
        })
    }

    /// Names of its parameters.
    #[must_use]
    pub fn parameters(self) -> &'static [&'static str] {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or(&[], |(_, _, parameters)| parameters)
    }

    /// Refuses parameters that make no sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(self, parameters: &[f64]) -> Result<(), SweepError> {
        let wrong = |name: &'static str, value: f64, expected: &str| {
            Err(SweepError::Parameter { name, value, expected: expected.to_owned() })
        };
        for (&name, &value) in self.parameters().iter().zip(parameters) {
            let whole = value >= 1.0 && value.fract() == 0.0 && value <= 1e6;
            if name == "k" && !(value.is_finite() && value > 0.0) {
                return wrong(name, value, "positive");
            }
            if name != "k" && !whole {
                return wrong(name, value, "a whole number of bars, at least 1");
            }
        }
        match (self, parameters) {
            (Self::SmaCross, [fast, slow]) if fast >= slow => {
                wrong("fast", *fast, &format!("less than slow, {slow}"))
            }
            (Self::Reversion, [n, _]) if *n < 2.0 => wrong("n", *n, "at least 2"),
            _ => Ok(()),
        }
    }
}

/// Closes as whole numbers of the smallest decimal that keeps sums of `longest` of them exact.
#[derive(Debug, Clone)]
pub(crate) struct WholeCloses(Vec<i64>);

impl WholeCloses {
    pub(crate) fn of(tape: &MarketTape, longest: usize) -> Self {
        let highest = tape.close.iter().fold(1.0f64, |a, &b| a.max(b));
        // Sums of `longest` closes times another window stay below 2^63.
        let room = 4e18 / (highest * (longest.max(1) as f64) * (longest.max(1) as f64));
        let decimals = libm::floor(libm::log10(room)).clamp(0.0, 8.0);
        let scale = 10f64.powi(decimals as i32);
        Self(tape.close.iter().map(|close| (close * scale).round() as i64).collect())
    }
}

/// See [`RuleKind::SmaCross`].
pub(crate) struct SmaCross<'a> {
    closes: &'a [i64],
    fast: usize,
    slow: usize,
    sums: [i64; 2],
    begun: bool,
}

impl<'a> SmaCross<'a> {
    pub(crate) fn new(closes: &'a WholeCloses, fast: usize, slow: usize) -> Self {
        Self { closes: &closes.0, fast, slow, sums: [0; 2], begun: false }
    }
}

impl Rule for SmaCross<'_> {
    #[inline]
    fn next(&mut self, row: usize) -> i8 {
        if row + 1 < self.slow {
            return 0;
        }
        if self.begun {
            let close = self.closes[row];
            self.sums[0] += close - self.closes[row - self.fast];
            self.sums[1] += close - self.closes[row - self.slow];
        } else {
            let sum = |n: usize| self.closes[row + 1 - n..=row].iter().sum();
            self.sums = [sum(self.fast), sum(self.slow)];
            self.begun = true;
        }
        let above = self.sums[0] * self.slow as i64 > self.sums[1] * self.fast as i64;
        if above { 1 } else { -1 }
    }
}

/// See [`RuleKind::Momentum`].
pub(crate) struct Momentum<'a> {
    pub(crate) close: &'a [f64],
    pub(crate) n: usize,
}

impl Rule for Momentum<'_> {
    #[inline]
    fn next(&mut self, row: usize) -> i8 {
        match row.checked_sub(self.n) {
            Some(before) if self.close[row] > self.close[before] => 1,
            Some(_) => -1,
            None => 0,
        }
    }
}

/// See [`RuleKind::Donchian`].
pub(crate) struct Donchian<'a> {
    close: &'a [f64],
    n: usize,
    held: i8,
    /// Rows of closes that may still be the highest (lowest) of the window, best first.
    queues: [std::collections::VecDeque<usize>; 2],
    next_row: usize,
}

impl<'a> Donchian<'a> {
    pub(crate) fn new(close: &'a [f64], n: usize) -> Self {
        Self { close, n, held: 0, queues: Default::default(), next_row: 0 }
    }

    fn take(&mut self, row: usize) {
        let close = self.close;
        for (queue, sign) in self.queues.iter_mut().zip([1.0, -1.0]) {
            while queue.back().is_some_and(|&last| sign * close[last] <= sign * close[row]) {
                queue.pop_back();
            }
            queue.push_back(row);
            while queue.front().is_some_and(|&first| first + self.n <= row) {
                queue.pop_front();
            }
        }
        self.next_row = row + 1;
    }
}

impl Rule for Donchian<'_> {
    fn next(&mut self, row: usize) -> i8 {
        let Some(from) = row.checked_sub(self.n) else { return 0 };
        // The window is the n closes before this one.
        for before in self.next_row.max(from)..row {
            self.take(before);
        }
        let best =
            |queue: &std::collections::VecDeque<usize>| queue.front().map_or(f64::NAN, |&at| self.close[at]);
        let [highest, lowest] = [best(&self.queues[0]), best(&self.queues[1])];
        if self.close[row] > highest {
            self.held = 1;
        } else if self.close[row] < lowest {
            self.held = -1;
        }
        self.held
    }
}

/// See [`RuleKind::Reversion`].
pub(crate) struct Reversion<'a> {
    close: &'a [f64],
    n: usize,
    k: f64,
    held: i8,
}

impl<'a> Reversion<'a> {
    pub(crate) fn new(close: &'a [f64], n: usize, k: f64) -> Self {
        Self { close, n, k, held: 0 }
    }
}

impl Rule for Reversion<'_> {
    fn next(&mut self, row: usize) -> i8 {
        let Some(from) = (row + 1).checked_sub(self.n) else { return 0 };
        let closes = &self.close[from..=row];
        let mean = closes.iter().sum::<f64>() / self.n as f64;
        let square: f64 = closes.iter().map(|c| (c - mean) * (c - mean)).sum();
        let distance = (self.close[row] - mean) / (square / (self.n - 1) as f64).sqrt();
        if distance > self.k {
            self.held = -1;
        } else if distance < -self.k {
            self.held = 1;
        } else if distance * f64::from(self.held) > 0.0 {
            self.held = 0;
        }
        self.held
    }
}

/// Never short.
pub(crate) struct LongOnly<R>(pub(crate) R);

impl<R: Rule> Rule for LongOnly<R> {
    #[inline]
    fn next(&mut self, row: usize) -> i8 {
        self.0.next(row).max(0)
    }
}
