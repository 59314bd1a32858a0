//! Where episodes begin and end.

use std::ops::Range;

use cambist_core::rng::{Purpose, Stream};

/// Where an episode begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// At the window's first row.
    First,
    /// At a row drawn anew for each episode.
    Random,
}

/// How long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpisodeLength {
    /// This many steps.
    Steps(usize),
    /// To the window's last row.
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
    /// Rows a window must have: one more than steps.
    #[must_use]
    pub fn needed_rows(&self) -> usize {
        1 + match self.length {
            EpisodeLength::Steps(n) => n.max(1),
            EpisodeLength::ToEnd => SHORTEST,
        }
    }

    /// The rows of an episode: the first is observed at the start, the last at the end.
    #[must_use]
    pub fn draw(&self, window: &Range<usize>, seed: u64, env: u64, episode: u64) -> Range<usize> {
        let start = match self.starts {
            Starts::First => window.start,
            Starts::Random => {
                let room = window.len() + 1 - self.needed_rows();
                let mut stream = Stream::new(seed, Purpose::Environment, env);
                stream.seek(episode);
                window.start + stream.index(room)
            }
        };
        let end = match self.length {
            EpisodeLength::Steps(n) => start + n.max(1) + 1,
            EpisodeLength::ToEnd => window.end,
        };
        start..end.min(window.end)
    }
}
