//! What volume says. Running totals enter as windowed changes, so that no start is remembered.

use cambist_core::Bar;

use crate::family::Indicator;
use crate::window::{Window, ratio};

/// Money flow index (Quong & Soudack 1989).
pub struct MoneyFlow {
    last: Option<f64>,
    inflow: Window,
    outflow: Window,
}

impl MoneyFlow {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { last: None, inflow: Window::new(n), outflow: Window::new(n) }
    }
}

impl Indicator for MoneyFlow {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let typical = (bar.high + bar.low + bar.close) / 3.0;
        let Some(last) = self.last.replace(typical) else { return false };
        let flow = typical * bar.volume;
        self.inflow.push(if typical > last { flow } else { 0.0 });
        let ready = self.outflow.push(if typical < last { flow } else { 0.0 });
        let (inflow, outflow) = (self.inflow.sum(), self.outflow.sum());
        out[0] = 100.0 * ratio(inflow, inflow + outflow);
        ready
    }
}

/// Change of the on-balance volume (Granville 1963) over `n` bars, and the volume traded in them.
pub struct OnBalance {
    last: Option<f64>,
    signed: Window,
    volume: Window,
}

impl OnBalance {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { last: None, signed: Window::new(n), volume: Window::new(n) }
    }
}

impl Indicator for OnBalance {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let Some(last) = self.last.replace(bar.close) else { return false };
        let sign = f64::from(i8::from(bar.close > last) - i8::from(bar.close < last));
        self.signed.push(sign * bar.volume);
        let ready = self.volume.push(bar.volume);
        out[0] = self.signed.sum();
        out[1] = self.volume.sum();
        ready
    }
}

/// Volume-weighted average of the typical price; the plain average when nothing was traded.
pub struct VolumeWeighted {
    typical: Window,
    volume: Window,
}

impl VolumeWeighted {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { typical: Window::new(n), volume: Window::new(n) }
    }
}

impl Indicator for VolumeWeighted {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        self.typical.push((bar.high + bar.low + bar.close) / 3.0);
        let ready = self.volume.push(bar.volume);
        if ready {
            let total = self.volume.sum();
            let weighted: f64 = self.typical.iter().zip(self.volume.iter()).map(|(p, v)| p * v).sum();
            out[0] = if total > 0.0 { weighted / total } else { self.typical.mean() };
        }
        ready
    }
}

/// Volume's distance from its mean in standard deviations.
pub struct ZScore {
    volume: Window,
}

impl ZScore {
    /// Over `n` bars.
    #[must_use]
    pub fn new(n: usize) -> Self {
        Self { volume: Window::new(n) }
    }
}

impl Indicator for ZScore {
    fn push(&mut self, bar: &Bar, out: &mut [f64]) -> bool {
        let ready = self.volume.push(bar.volume);
        out[0] = ratio(bar.volume - self.volume.mean(), self.volume.deviation());
        ready
    }
}
