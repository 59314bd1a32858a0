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

    /// How many meet.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// Returns when all have come: true, or false when one never will.
    pub(crate) fn meet(&self) -> bool {
        let round = self.round.load(Ordering::Acquire);
        if self.waiting.fetch_add(1, Ordering::AcqRel) + 1 == self.n {
            self.waiting.store(0, Ordering::Relaxed);
            self.round.store(round.wrapping_add(1), Ordering::Release);
            return true;
        }
        let mut turns = 0u32;
        // Who has met may go and leave the gate open before others look: that all have come is asked first.
        while self.round.load(Ordering::Acquire) == round {
            if self.broken.load(Ordering::Acquire) && self.round.load(Ordering::Acquire) == round {
                return false;
            }
            turns = turns.saturating_add(1);
            if turns < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        true
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

    /// The last to come goes at once and leaves the gate open: those who waited have met all the same.
    #[test]
    fn a_meeting_counts_even_when_somebody_goes_at_once() {
        for _ in 0..2000 {
            let gate = Gate::new(2);
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| gate.meet());
                let open = gate.leave_open();
                assert!(gate.meet());
                drop(open);
                assert!(waiting.join().unwrap());
            });
        }
    }
}
