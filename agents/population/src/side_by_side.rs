//! Members on threads.

use std::collections::VecDeque;
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

/// Lets `work` take every member through up to `n_turns` turns, on at most `n_threads` threads. A thread takes the member that has waited
/// longest, for one turn: members stay within a turn or two of each other, and no thread waits for another before all turns are done.
/// `work` says what came of a turn, and whether the member takes another. Returns the members' turns in their order.
///
/// # Panics
/// When `work` does.
pub fn in_turns<M: Send, R: Send>(
    members: &mut [M],
    n_turns: usize,
    n_threads: usize,
    work: &(dyn Fn(&mut M) -> (R, bool) + Sync),
) -> Vec<Vec<R>> {
    let mut results: Vec<Vec<R>> = members.iter().map(|_| Vec::with_capacity(n_turns)).collect();
    let n_threads = n_threads.clamp(1, members.len().max(1));
    let waiting: VecDeque<(&mut M, &mut Vec<R>)> =
        members.iter_mut().zip(&mut results).filter(|_| n_turns > 0).collect();
    let waiting = Mutex::new(waiting);
    let queue = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let drain = || {
        loop {
            let next = queue().pop_front();
            let Some((member, results)) = next else { return };
            let (result, goes_on) = work(member);
            results.push(result);
            if goes_on && results.len() < n_turns {
                queue().push_back((member, results));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(drain);
        }
        drain();
    });
    results
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

    #[test]
    fn members_take_turns_and_stop_when_they_say_so() {
        for n_threads in [1, 2, 3, 16] {
            let mut members: Vec<(u64, u64)> = (0..7).map(|index| (index, 0)).collect();
            let results = in_turns(&mut members, 5, n_threads, &|(index, done)| {
                *done += 1;
                // The fourth has enough after two.
                (*index * 100 + *done, *index != 3 || *done < 2)
            });
            for (index, turns) in (0..).zip(&results) {
                let n = if index == 3 { 2 } else { 5 };
                assert_eq!(
                    *turns,
                    (1..=n).map(|turn| index * 100 + turn).collect::<Vec<u64>>(),
                    "{n_threads}"
                );
            }
            assert!(in_turns(&mut members, 0, n_threads, &|_| ((), true)).iter().all(Vec::is_empty));
        }
    }
}
