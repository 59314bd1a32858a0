//! Wilder's (1978) directional movement: ADX, +DI and −DI, with TA-Lib's way of starting up.

use cambist_core::Bar;

use super::trend::Smoother;
use super::volatility::true_range;
use crate::family::Indicator;
use crate::window::ratio;

/// ADX, +DI, −DI.
pub struct Directional {
    n: usize,
    last: Option<Bar>,
    n_seen: usize,
    plus: f64,
    minus: f64,
    range: f64,
    strength: Smoother,
}

impl Directional {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { n, last: None, n_seen: 0, plus: 0.0, minus: 0.0, range: 0.0, strength: Smoother::wilder(n) }
    }
}

impl Indicator for Directional {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let Some(last) = self.last.replace(*bar) else { return false };
        let (up, down) = (bar.high - last.high, last.low - bar.low);
        let plus = if up > down && up > 0.0 { up } else { 0.0 };
        let minus = if down > up && down > 0.0 { down } else { 0.0 };
        let range = true_range(bar, last.close);
        self.n_seen += 1;
        // The sums are gathered over n − 1 bars before the recursion begins.
        let keep = if self.n_seen < self.n { 1.0 } else { 1.0 - 1.0 / self.n as f64 };
        self.plus = self.plus * keep + plus;
        self.minus = self.minus * keep + minus;
        self.range = self.range * keep + range;
        if self.n_seen < self.n {
            return false;
        }
        let (plus_di, minus_di) =
            (100.0 * ratio(self.plus, self.range), 100.0 * ratio(self.minus, self.range));
        let index = 100.0 * ratio((plus_di - minus_di).abs(), plus_di + minus_di);
        let Some(adx) = self.strength.push(index) else { return false };
        out[0] = adx;
        out[1] = plus_di;
        out[2] = minus_di;
        true
    }
}
