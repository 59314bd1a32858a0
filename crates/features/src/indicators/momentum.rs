//! How far and how one-sidedly the close has moved.

use cambist_core::Bar;

use super::trend::Smoother;
use crate::family::Indicator;
use crate::window::{Window, ratio};

/// Log of the close over the close `n` bars ago.
pub struct LogReturn {
    closes: Window,
}

impl LogReturn {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { closes: Window::new(n + 1) }
    }
}

impl Indicator for LogReturn {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let ready = self.closes.push(bar.close);
        out[0] = libm::log(bar.close / self.closes.oldest());
        ready
    }
}

/// Rate of change in percent.
pub struct RateOfChange {
    closes: Window,
}

impl RateOfChange {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { closes: Window::new(n + 1) }
    }
}

impl Indicator for RateOfChange {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let ready = self.closes.push(bar.close);
        out[0] = 100.0 * (bar.close / self.closes.oldest() - 1.0);
        ready
    }
}

/// Relative strength index (Wilder 1978).
pub struct RelativeStrength {
    last: Option<f64>,
    gain: Smoother,
    loss: Smoother,
}

impl RelativeStrength {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { last: None, gain: Smoother::wilder(n), loss: Smoother::wilder(n) }
    }
}

impl Indicator for RelativeStrength {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let Some(last) = self.last.replace(bar.close) else { return false };
        let change = bar.close - last;
        let (gain, loss) = (self.gain.push(change.max(0.0)), self.loss.push((-change).max(0.0)));
        let (Some(gain), Some(loss)) = (gain, loss) else { return false };
        out[0] = 100.0 * ratio(gain, gain + loss);
        true
    }
}

/// Slow stochastic (Lane).
pub struct Stochastic {
    highs: Window,
    lows: Window,
    fast: Window,
    slow: Window,
}

impl Stochastic {
    /// Range of `fast_k` bars, averaged over `slow_k` and again over `slow_d`.
    #[must_use]
    pub fn new(fast_k: usize, slow_k: usize, slow_d: usize) -> Self {
        Self {
            highs: Window::new(fast_k),
            lows: Window::new(fast_k),
            fast: Window::new(slow_k),
            slow: Window::new(slow_d),
        }
    }
}

impl Indicator for Stochastic {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        self.highs.push(bar.high);
        if !self.lows.push(bar.low) {
            return false;
        }
        let (high, low) = (self.highs.max(), self.lows.min());
        if !self.fast.push(100.0 * ratio(bar.close - low, high - low)) {
            return false;
        }
        out[0] = self.fast.mean();
        let ready = self.slow.push(out[0]);
        out[1] = self.slow.mean();
        ready
    }
}

/// Commodity channel index (Lambert 1980).
pub struct CommodityChannel {
    typical: Window,
}

impl CommodityChannel {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { typical: Window::new(n) }
    }
}

impl Indicator for CommodityChannel {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let typical = (bar.high + bar.low + bar.close) / 3.0;
        let ready = self.typical.push(typical);
        if ready {
            let mean = self.typical.mean();
            let n = self.typical.iter().count() as f64;
            let spread = self.typical.iter().map(|v| (v - mean).abs()).sum::<f64>() / n;
            out[0] = ratio(typical - mean, 0.015 * spread);
        }
        ready
    }
}

/// Williams' %R.
pub struct Williams {
    highs: Window,
    lows: Window,
}

impl Williams {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { highs: Window::new(n), lows: Window::new(n) }
    }
}

impl Indicator for Williams {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        self.highs.push(bar.high);
        let ready = self.lows.push(bar.low);
        let (high, low) = (self.highs.max(), self.lows.min());
        out[0] = -100.0 * ratio(high - bar.close, high - low);
        ready
    }
}
