//! Threads that meet many times a second: a barrier that spins before it yields.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Turns of the loop before a waiting thread lets others run: about 20 µs.
const SPINS: u32 = 4000;

/// Where `n` threads wait for each other.
#[derive(Debug)]
pub(crate) struct Gate {
    n: usize,
    waiting: AtomicUsize,
    round: AtomicUsize,
    broken: AtomicBool,
}

impl Gate {
    pub(crate) fn new(n: usize) -> Self {
        let zero = || AtomicUsize::new(0);
        Self { n, waiting: zero(), round: zero(), broken: AtomicBool::new(false) }
    }

    /// Returns when all have come: true, or false when one never will.
    pub(crate) fn meet(&self) -> bool {
        let round = self.round.load(Ordering::Acquire);
        if self.waiting.fetch_add(1, Ordering::AcqRel) + 1 == self.n {
            self.waiting.store(0, Ordering::Relaxed);
            self.round.store(round.wrapping_add(1), Ordering::Release);
        } else {
            let mut turns = 0u32;
            while self.round.load(Ordering::Acquire) == round && !self.broken.load(Ordering::Acquire) {
                turns = turns.saturating_add(1);
                if turns < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
            }
        }
        !self.broken.load(Ordering::Acquire)
    }

    /// Whoever holds this and goes lets everybody go.
    pub(crate) fn leave_open(&self) -> Open<'_> {
        Open { gate: self, always: true }
    }

    /// The same, but only of a thread that panics, so that it leaves none waiting.
    pub(crate) fn leave_open_on_panic(&self) -> Open<'_> {
        Open { gate: self, always: false }
    }
}

/// See [`Gate::leave_open`].
pub(crate) struct Open<'a> {
    gate: &'a Gate,
    always: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.always || std::thread::panicking() {
            self.gate.broken.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_passes_before_everybody_has_come() {
        let (gate, steps) = (Gate::new(3), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..2000 {
                        steps.fetch_add(1, Ordering::AcqRel);
                        assert!(gate.meet());
                        assert_eq!(steps.load(Ordering::Acquire), 3 * (round + 1));
                        assert!(gate.meet());
                    }
                });
            }
        });
        drop(gate.leave_open());
        assert!(!gate.meet(), "an open gate holds nobody");
    }
}
