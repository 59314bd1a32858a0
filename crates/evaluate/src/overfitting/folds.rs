//! Combinatorial purged cross-validation with embargo (López de Prado 2018, *Advances in Financial Machine Learning*, chapters 7 and 12).

use std::ops::Range;

/// One split: what is learned from, chosen by, and judged on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Groups that are judged on, of all.
    pub groups: Vec<usize>,
    /// Rows to learn from, in pieces that touch neither a test nor the validation.
    pub train: Vec<Range<usize>>,
    /// Rows to choose by, if asked for, which touch no test.
    pub validation: Range<usize>,
    /// Rows to judge on, a piece a group.
    pub test: Vec<Range<usize>>,
}

/// How rows are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Groups, 2 to 32.
    pub n_groups: usize,
    /// Groups that are judged on at a time, fewer than all.
    pub n_test: usize,
    /// Whether one of the other groups is set aside to choose by: another one from split to split.
    pub validates: bool,
    /// Rows before what is set aside that are not learned from: labels there reach into it.
    pub purge: usize,
    /// Rows after it, beside `purge`: it reaches into their features.
    pub embargo: usize,
}

/// Why rows cannot be cut so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// Too few or too many groups.
    #[error("of 2 to 32 groups of two rows at least, of which {most} at most are tested at a time")]
    Groups {
        /// Most test groups.
        most: usize,
    },
    /// Too many splits.
    #[error("such that there are at most {MOST_SPLITS} splits")]
    Splits,
    /// What is left out at an edge reaches through a whole group.
    #[error(
        "such that {apart} rows left out after a test, and those before the next, leave something of a group of {group}"
    )]
    Apart {
        /// Purge and embargo.
        apart: usize,
        /// Rows of the smallest group.
        group: usize,
    },
}

const MOST_SPLITS: usize = 5000;

/// What becomes of a group; whatever a lower one touches is trimmed at its edge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Train,
    Validation,
    Test,
}

impl Cut {
    /// Every choice of test groups among `n_rows` rows.
    ///
    /// # Errors
    /// When there are too few rows or groups, too many splits, or the edges reach through a group.
    pub fn splits(&self, n_rows: usize) -> Result<Vec<Split>, CutError> {
        let Self { n_groups, n_test, validates, .. } = *self;
        let most = n_groups.saturating_sub(1 + usize::from(validates));
        if !(2..=32).contains(&n_groups) || !(1..=most).contains(&n_test) || n_rows < 2 * n_groups {
            return Err(CutError::Groups { most });
        }
        let (apart, group) = (self.purge + self.embargo, n_rows / n_groups);
        // A group is trimmed at both its ends.
        if apart + self.purge >= group {
            return Err(CutError::Apart { apart, group });
        }
        let mut splits = Vec::new();
        for chosen in (0u64..1 << n_groups).filter(|set| set.count_ones() as usize == n_test) {
            if splits.len() >= MOST_SPLITS {
                return Err(CutError::Splits);
            }
            let is_test = |group: &usize| chosen >> group & 1 == 1;
            let others: Vec<usize> = (0..n_groups).filter(|g| !is_test(g)).collect();
            let aside = validates.then(|| others[splits.len() % others.len()]);
            let role = |group: usize| match group {
                g if is_test(&g) => Role::Test,
                g if Some(g) == aside => Role::Validation,
                _ => Role::Train,
            };
            let of = |wanted: Role| self.pieces(n_rows, wanted, &role);
            splits.push(Split {
                groups: (0..n_groups).filter(is_test).collect(),
                train: of(Role::Train),
                validation: of(Role::Validation).pop().unwrap_or(0..0),
                test: (0..n_groups).filter(is_test).map(|g| self.group(g, n_rows)).collect(),
            });
        }
        Ok(splits)
    }

    fn group(&self, group: usize, n_rows: usize) -> Range<usize> {
        group * n_rows / self.n_groups..(group + 1) * n_rows / self.n_groups
    }

    /// Rows of the groups with the role `wanted`, purged of what a stronger role touches; neighbours are one piece.
    fn pieces(&self, n_rows: usize, wanted: Role, role: &dyn Fn(usize) -> Role) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        for group in (0..self.n_groups).filter(|&g| role(g) == wanted) {
            let after = group > 0 && role(group - 1) > wanted;
            let before = group + 1 < self.n_groups && role(group + 1) > wanted;
            let Range { start, end } = self.group(group, n_rows);
            let from = start + if after { self.purge + self.embargo } else { 0 };
            let until = end.saturating_sub(if before { self.purge } else { 0 });
            match out.last_mut() {
                Some(last) if last.end == from => last.end = until.max(from),
                _ if from < until => out.push(from..until),
                _ => {}
            }
        }
        out.retain(|piece| !piece.is_empty());
        out
    }
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
        let cut = Cut { n_groups: 6, n_test: 2, validates: false, purge, embargo };
        let splits = cut.splits(600).unwrap();
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
        assert_eq!(Cut { n_test: 6, ..cut }.splits(600), Err(CutError::Groups { most: 5 }));
        assert_eq!(cut.splits(6), Err(CutError::Groups { most: 5 }));
        assert_eq!(Cut { embargo: 94, ..cut }.splits(600), Err(CutError::Apart { apart: 97, group: 100 }));
        assert_eq!(Cut { n_groups: 20, n_test: 10, ..cut }.splits(6000), Err(CutError::Splits));
        // With a group to choose by, nothing touches anything, and every group is chosen by somewhere.
        let splits = Cut { validates: true, ..cut }.splits(600).unwrap();
        let apart = |early: &Range<usize>, late: &Range<usize>| {
            early.end + purge <= late.start || late.end + purge + embargo <= early.start
        };
        for split in &splits {
            let held = split.test.iter().chain([&split.validation]);
            assert!(held.clone().all(|h| split.train.iter().all(|t| apart(t, h))), "{split:?}");
            assert!(split.test.iter().all(|t| apart(&split.validation, t)), "{split:?}");
            let kept: usize = split.train.iter().map(Range::len).sum();
            assert!((300 - 3 * 11..=300).contains(&kept), "{kept}");
        }
        let mut chosen_by: Vec<usize> = splits.iter().map(|s| (s.validation.start + 50) / 100).collect();
        chosen_by.sort_unstable();
        chosen_by.dedup();
        assert!(chosen_by.len() >= 5, "{chosen_by:?}");
        assert!(Cut { validates: true, n_test: 5, ..cut }.splits(600).is_err(), "nothing to learn from");
    }
}
