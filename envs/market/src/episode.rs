//! Where episodes begin and end.

use std::ops::Range;

use cambist_core::rng::{Purpose, Stream};

/// Where an episode begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// At a stretch's first row; of several stretches, one after the other.
    First,
    /// At a row drawn anew for each episode.
    Random,
    /// The same, one draw for so many environments in a row: they live through the same bars until one of them
    /// is ruined, which begins its next episode before the others.
    Together(usize),
}

/// How long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpisodeLength {
    /// This many steps.
    Steps(usize),
    /// To the stretch's last row.
    ToEnd,
}

/// Both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodePlan {
    /// Where.
    pub starts: Starts,
    /// How long.
    pub length: EpisodeLength,
}

/// Fewest steps an episode that runs to the end may have.
const SHORTEST: usize = 2;

impl EpisodePlan {
    /// Rows a stretch must have: one more than steps.
    #[must_use]
    pub fn needed_rows(&self) -> usize {
        1 + match self.length {
            EpisodeLength::Steps(n) => n.max(1),
            EpisodeLength::ToEnd => SHORTEST,
        }
    }

    /// The rows of an episode within one of `stretches`, each long enough: the first is observed at the start, the last at the end.
    #[must_use]
    pub fn draw(&self, stretches: &[Range<usize>], seed: u64, env: u64, episode: u64) -> Range<usize> {
        let (stretch, start) = match self.starts {
            Starts::First => {
                let stretch = &stretches[(episode % stretches.len() as u64) as usize];
                (stretch, stretch.start)
            }
            Starts::Random | Starts::Together(_) => {
                let path =
                    if let Starts::Together(group) = self.starts { env / group.max(1) as u64 } else { env };
                // Every row that an episode can begin at is as likely as any other.
                let room = |stretch: &Range<usize>| stretch.len() + 1 - self.needed_rows();
                let mut stream = Stream::new(seed, Purpose::Environment, path);
                stream.seek(episode);
                let (mut place, mut at) = (stream.index(stretches.iter().map(room).sum()), 0);
                while place >= room(&stretches[at]) {
                    place -= room(&stretches[at]);
                    at += 1;
                }
                (&stretches[at], stretches[at].start + place)
            }
        };
        let end = match self.length {
            EpisodeLength::Steps(n) => start + n.max(1) + 1,
            EpisodeLength::ToEnd => stretch.end,
        };
        start..end.min(stretch.end)
    }
}

/// `rows` without those that are left out: `apart`, in order.
pub(crate) fn stretches(rows: &Range<usize>, apart: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut out = Vec::with_capacity(apart.len() + 1);
    let mut from = rows.start;
    for hole in apart {
        out.push(from..hole.start.clamp(from, rows.end.max(from)));
        from = hole.end.max(from);
    }
    out.push(from..rows.end.max(from));
    out.retain(|stretch| !stretch.is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_stay_between_what_is_left_out() {
        let cut = stretches(&(10..100), &[0..12, 30..40, 40..45, 97..200]);
        assert_eq!(cut, [12..30, 45..97]);
        assert_eq!(stretches(&(10..100), &[]).pop(), Some(10..100));
        let plan = EpisodePlan { starts: Starts::Random, length: EpisodeLength::Steps(9) };
        // 9 and 43 rows to begin at.
        let mut begun = vec![0; 100];
        for episode in 0..52_000 {
            let rows = plan.draw(&cut, 1, 3, episode);
            assert_eq!(rows.len(), 10);
            assert!(cut.iter().any(|c| c.start <= rows.start && rows.end <= c.end), "{rows:?}");
            begun[rows.start] += 1;
        }
        // A thousand each, with a deviation of 32.
        let open: Vec<i32> = (12..21).chain(45..88).map(|row| begun[row]).collect();
        assert!(
            open.iter().all(|n| (850..1150).contains(n)) && open.iter().sum::<i32>() == 52_000,
            "{open:?}"
        );
        let starts =
            |starts, env| EpisodePlan { starts, length: EpisodeLength::Steps(9) }.draw(&cut, 1, env, 5).start;
        let together = [0, 3, 4, 7].map(|env| starts(Starts::Together(4), env));
        assert_eq!(together, [0, 0, 1, 1].map(|path| starts(Starts::Random, path)));
        let in_turn = EpisodePlan { starts: Starts::First, length: EpisodeLength::ToEnd };
        assert_eq!([0, 1, 2].map(|e| in_turn.draw(&cut, 1, 0, e)), [12..30, 45..97, 12..30]);
    }
}
