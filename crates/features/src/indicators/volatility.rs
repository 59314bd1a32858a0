//! How far prices range.

use cambist_core::Bar;

use super::trend::Smoother;
use crate::family::Indicator;
use crate::window::Window;

/// Bollinger bands: simple average ± `width` population standard deviations.
pub struct Bollinger {
    closes: Window,
    width: f64,
}

impl Bollinger {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize, width: f64) -> Self {
        Self { closes: Window::new(n), width }
    }
}

impl Indicator for Bollinger {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let ready = self.closes.push(bar.close);
        if ready {
            let (middle, deviation) = (self.closes.mean(), self.closes.deviation());
            out[0] = middle + self.width * deviation;
            out[1] = middle;
            out[2] = middle - self.width * deviation;
        }
        ready
    }
}

/// Average true range (Wilder 1978).
pub struct AverageTrueRange {
    last: Option<f64>,
    smoother: Smoother,
}

impl AverageTrueRange {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { last: None, smoother: Smoother::wilder(n) }
    }

    fn next(&mut self, bar: &Bar) -> Option<f64> {
        let last = self.last.replace(bar.close)?;
        self.smoother.push(true_range(bar, last))
    }
}

impl Indicator for AverageTrueRange {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let value = self.next(bar);
        out[0] = value.unwrap_or(f64::NAN);
        value.is_some()
    }
}

/// The bar's range, stretched to the close before it.
pub(crate) fn true_range(bar: &Bar, last_close: f64) -> f64 {
    bar.high.max(last_close) - bar.low.min(last_close)
}

/// Donchian channel: highest high and lowest low.
pub struct Donchian {
    highs: Window,
    lows: Window,
}

impl Donchian {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { highs: Window::new(n), lows: Window::new(n) }
    }
}

impl Indicator for Donchian {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        self.highs.push(bar.high);
        let ready = self.lows.push(bar.low);
        out[0] = self.highs.max();
        out[1] = self.lows.min();
        ready
    }
}

/// Keltner channel: exponential average ± `width` average true ranges.
pub struct Keltner {
    average: Smoother,
    range: AverageTrueRange,
    width: f64,
}

impl Keltner {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize, width: f64) -> Self {
        Self { average: Smoother::exponential(n), range: AverageTrueRange::new(n), width }
    }
}

impl Indicator for Keltner {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let (middle, range) = (self.average.push(bar.close), self.range.next(bar));
        let (Some(middle), Some(range)) = (middle, range) else { return false };
        out[0] = middle + self.width * range;
        out[1] = middle;
        out[2] = middle - self.width * range;
        true
    }
}

/// Realised volatility: root mean square of log returns.
pub struct Realised {
    last: Option<f64>,
    squares: Window,
}

impl Realised {
    /// Over `n` returns.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { last: None, squares: Window::new(n) }
    }
}

impl Indicator for Realised {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let Some(last) = self.last.replace(bar.close) else { return false };
        let change = libm::log(bar.close / last);
        let ready = self.squares.push(change * change);
        out[0] = self.squares.mean().sqrt();
        ready
    }
}

/// Parkinson (1980), "The extreme value method for estimating the variance of the rate of return", eq. 7.
pub struct Parkinson {
    squares: Window,
}

impl Parkinson {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { squares: Window::new(n) }
    }
}

impl Indicator for Parkinson {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let range = libm::log(bar.high / bar.low);
        let ready = self.squares.push(range * range);
        out[0] = (self.squares.mean() / (4.0 * std::f64::consts::LN_2)).sqrt();
        ready
    }
}

/// Garman & Klass (1980), "On the estimation of security price volatilities from historical data", the practical
/// estimator `½ ln(H/L)² − (2 ln 2 − 1) ln(C/O)²`.
pub struct GarmanKlass {
    terms: Window,
}

impl GarmanKlass {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { terms: Window::new(n) }
    }
}

impl Indicator for GarmanKlass {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let (range, body) = (libm::log(bar.high / bar.low), libm::log(bar.close / bar.open));
        let ready = self.terms.push(0.5 * range * range - (2.0 * std::f64::consts::LN_2 - 1.0) * body * body);
        out[0] = self.terms.mean().max(0.0).sqrt();
        ready
    }
}
