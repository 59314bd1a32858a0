//! Combinatorial purged cross-validation with embargo (López de Prado 2018, *Advances in Financial Machine Learning*, chapters 7 and 12).

use std::ops::Range;

/// One split: what is learned from, and what is judged on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Groups that are judged on, of all.
    pub groups: Vec<usize>,
    /// Rows to learn from, in pieces that touch no test.
    pub train: Vec<Range<usize>>,
    /// Rows to judge on, a piece a group.
    pub test: Vec<Range<usize>>,
}

/// Cuts `n_rows` rows into `n_groups` groups and judges on every choice of `n_test` of them. `purge` rows before every test and
/// `purge + embargo` rows after it are not learned from: labels there reach into the test, or it into them.
///
/// None when there are too few rows or groups, or more than 5,000 splits.
#[must_use]
pub fn combinatorial(
    n_rows: usize,
    n_groups: usize,
    n_test: usize,
    purge: usize,
    embargo: usize,
) -> Option<Vec<Split>> {
    if !(2..=32).contains(&n_groups) || !(1..n_groups).contains(&n_test) || n_rows < 2 * n_groups {
        return None;
    }
    let edge = |group: usize| group * n_rows / n_groups;
    let mut splits = Vec::new();
    for chosen in (0u64..1 << n_groups).filter(|set| set.count_ones() as usize == n_test) {
        if splits.len() >= 5000 {
            return None;
        }
        let is_test = |group: usize| chosen >> group & 1 == 1;
        let groups: Vec<usize> = (0..n_groups).filter(|&g| is_test(g)).collect();
        let test: Vec<Range<usize>> = groups.iter().map(|&g| edge(g)..edge(g + 1)).collect();
        let mut train: Vec<Range<usize>> = Vec::new();
        for group in (0..n_groups).filter(|&g| !is_test(g)) {
            let after_test = group > 0 && is_test(group - 1);
            let before_test = group + 1 < n_groups && is_test(group + 1);
            let from = edge(group) + if after_test { purge + embargo } else { 0 };
            let until = edge(group + 1).saturating_sub(if before_test { purge } else { 0 });
            match train.last_mut() {
                Some(last) if last.end == from => last.end = until.max(from),
                _ if from < until => train.push(from..until),
                _ => {}
            }
        }
        train.retain(|piece| !piece.is_empty());
        splits.push(Split { groups, train, test });
    }
    Some(splits)
}

/// Number of whole histories that the splits' tests make: `k/N · C(N, k)`.
#[must_use]
pub fn n_paths(n_groups: usize, n_test: usize) -> usize {
    let choose = (0..n_test).fold(1usize, |c, i| c * (n_groups - i) / (i + 1));
    choose * n_test / n_groups.max(1)
}

/// The paths: of each, for every group the split that judged it. The first time a group is judged belongs to the first path, and so on.
#[must_use]
pub fn paths(splits: &[Split], n_groups: usize) -> Vec<Vec<usize>> {
    let of_group = |group: usize| {
        splits.iter().enumerate().filter(move |(_, s)| s.groups.contains(&group)).map(|(index, _)| index)
    };
    let per_group: Vec<Vec<usize>> = (0..n_groups).map(|g| of_group(g).collect()).collect();
    let n = per_group.iter().map(Vec::len).min().unwrap_or(0);
    (0..n).map(|path| per_group.iter().map(|splits| splits[path]).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The book's example: six groups, two of them judged on: 15 splits, five paths.
    #[test]
    fn six_groups_two_tests() {
        let (purge, embargo) = (3, 5);
        let splits = combinatorial(600, 6, 2, purge, embargo).unwrap();
        assert_eq!((splits.len(), n_paths(6, 2)), (15, 5));
        for split in &splits {
            for test in &split.test {
                for train in &split.train {
                    assert!(
                        train.end + purge <= test.start || test.end + purge + embargo <= train.start,
                        "{split:?}"
                    );
                }
            }
            let kept: usize = split.train.iter().map(Range::len).sum();
            assert!((400 - 2 * 11..=400).contains(&kept), "{kept}");
        }
        let paths = paths(&splits, 6);
        assert_eq!(paths.len(), 5);
        // Every test of every split is in one path once.
        let mut used: Vec<(usize, usize)> =
            paths.iter().flat_map(|path| path.iter().copied().enumerate()).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), 30);
        assert!(combinatorial(600, 6, 6, 0, 0).is_none() && combinatorial(6, 6, 2, 0, 0).is_none());
    }
}
