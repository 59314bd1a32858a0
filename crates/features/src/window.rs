//! The last `n` values, oldest first.

#[derive(Debug, Clone)]
pub(crate) struct Window {
    values: Vec<f64>,
    next: usize,
    capacity: usize,
}

impl Window {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { values: Vec::with_capacity(capacity), next: 0, capacity }
    }

    /// Adds a value, forgetting the oldest of a full window; true once the window is full.
    pub(crate) fn push(&mut self, value: f64) -> bool {
        if self.values.len() < self.capacity {
            self.values.push(value);
        } else {
            self.values[self.next] = value;
            self.next = (self.next + 1) % self.capacity;
        }
        self.is_full()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.values.len() == self.capacity
    }

    /// Oldest first, whatever the place in the ring: sums taken in this order have the same bits from any start.
    pub(crate) fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        let (tail, head) = self.values.split_at(self.next);
        head.iter().chain(tail).copied()
    }

    pub(crate) fn oldest(&self) -> f64 {
        self.values.get(self.next).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn sum(&self) -> f64 {
        self.iter().sum()
    }

    pub(crate) fn mean(&self) -> f64 {
        self.sum() / self.values.len() as f64
    }

    /// Population standard deviation.
    pub(crate) fn deviation(&self) -> f64 {
        let mean = self.mean();
        (self.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / self.values.len() as f64).sqrt()
    }

    pub(crate) fn max(&self) -> f64 {
        self.iter().fold(f64::NEG_INFINITY, f64::max)
    }

    pub(crate) fn min(&self) -> f64 {
        self.iter().fold(f64::INFINITY, f64::min)
    }
}

/// `a / b`, and zero when nothing can be divided.
pub(crate) fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}
