//! Averages of the close.

use cambist_core::Bar;

use crate::family::Indicator;
use crate::window::Window;

/// Simple moving average.
pub struct Simple {
    closes: Window,
}

impl Simple {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { closes: Window::new(n) }
    }
}

impl Indicator for Simple {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let ready = self.closes.push(bar.close);
        if ready {
            out[0] = self.closes.mean();
        }
        ready
    }
}

/// Linearly weighted moving average: the newest of `n` bars has weight n, the oldest 1.
pub struct Weighted {
    closes: Window,
}

impl Weighted {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { closes: Window::new(n) }
    }
}

impl Indicator for Weighted {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let ready = self.closes.push(bar.close);
        if ready {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (index, close) in self.closes.iter().enumerate() {
                let weight = (index + 1) as f64;
                sum += weight * close;
                weights += weight;
            }
            out[0] = sum / weights;
        }
        ready
    }
}

/// A recursive average that starts from the plain mean of its first `n` values.
#[derive(Debug, Clone)]
pub(crate) struct Smoother {
    n: usize,
    weight: f64,
    n_seen: usize,
    value: f64,
}

impl Smoother {
    /// Weight `2/(n+1)` for the newest value.
    pub(crate) fn exponential(n: usize) -> Self {
        Self { n, weight: 2.0 / (n as f64 + 1.0), n_seen: 0, value: 0.0 }
    }

    /// Weight `1/n` for the newest value (Wilder 1978).
    pub(crate) fn wilder(n: usize) -> Self {
        Self { n, weight: 1.0 / n as f64, n_seen: 0, value: 0.0 }
    }

    pub(crate) fn push(&mut self, value: f64) -> Option<f64> {
        if self.n_seen < self.n {
            self.n_seen += 1;
            self.value += value;
            if self.n_seen < self.n {
                return None;
            }
            self.value /= self.n as f64;
        } else {
            self.value += self.weight * (value - self.value);
        }
        Some(self.value)
    }
}

/// Exponential moving average.
pub struct Exponential {
    smoother: Smoother,
}

impl Exponential {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { smoother: Smoother::exponential(n) }
    }
}

impl Indicator for Exponential {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let value = self.smoother.push(bar.close);
        out[0] = value.unwrap_or(f64::NAN);
        value.is_some()
    }
}

/// Moving average convergence and divergence (Appel).
pub struct Macd {
    fast: Smoother,
    slow: Smoother,
    signal: Smoother,
}

impl Macd {
    /// Averages of `fast` and `slow` bars, and of `signal` bars for their difference.
    #[must_use]
    pub fn new(fast: usize, slow: usize, signal: usize) -> Self {
        Self {
            fast: Smoother::exponential(fast),
            slow: Smoother::exponential(slow),
            signal: Smoother::exponential(signal),
        }
    }
}

impl Indicator for Macd {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let (fast, slow) = (self.fast.push(bar.close), self.slow.push(bar.close));
        let (Some(fast), Some(slow)) = (fast, slow) else { return false };
        let line = fast - slow;
        let Some(signal) = self.signal.push(line) else { return false };
        out[0] = line;
        out[1] = signal;
        out[2] = line - signal;
        true
    }
}
