//! Members on threads.

use std::sync::{Mutex, PoisonError};

/// Lets `work` do something with every member, on at most `n_threads` threads, the calling one among them, which take the next member as
/// they become free. Returns what came of it in the members' order, whichever was done first.
///
/// # Panics
/// When `work` does.
pub fn side_by_side<M: Send, R: Send>(
    members: &mut [M],
    n_threads: usize,
    work: &(dyn Fn(usize, &mut M) -> R + Sync),
) -> Vec<R> {
    let mut results: Vec<Option<R>> = members.iter().map(|_| None).collect();
    let n_threads = n_threads.clamp(1, members.len().max(1));
    let queue = Mutex::new(members.iter_mut().zip(&mut results).enumerate());
    let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let drain = || {
        while let Some((index, (member, result))) = take() {
            *result = Some(work(index, member));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(drain);
        }
        drain();
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_members_order() {
        for n_threads in [1, 2, 3, 16] {
            let mut members: Vec<u64> = (0..9).collect();
            // The first take longest.
            let results = side_by_side(&mut members, n_threads, &|index, member| {
                let n = (9 - index as u64) * 20_000;
                *member = (0..n).fold(*member, |a, b| a.wrapping_mul(31).wrapping_add(b));
                (index, *member)
            });
            assert_eq!(results, members.iter().copied().enumerate().collect::<Vec<_>>(), "{n_threads}");
        }
        assert!(side_by_side(&mut [0u8; 0], 4, &|_, _| ()).is_empty());
    }
}
