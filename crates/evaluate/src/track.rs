//! What an account did over a window, bar by bar.

use cambist_core::{Timeframe, UnixNanos};
use serde::{Deserialize, Serialize};

/// An account's course; all columns have one entry a bar, the first of which is the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Who traded.
    pub name: String,
    /// The length of a bar.
    pub timeframe: Timeframe,
    /// When each bar closed.
    pub time: Vec<UnixNanos>,
    /// Equity at each close.
    pub equity: Vec<f64>,
    /// Position value over equity at each close, signed.
    pub exposure: Vec<f64>,
    /// Costs paid up to each close, in money.
    pub costs: Vec<f64>,
    /// Value traded up to each close, in money.
    pub traded: Vec<f64>,
    /// Whether the account was liquidated.
    pub ruined: bool,
    /// Orders that the broker refused.
    #[serde(default)]
    pub refused: u64,
    /// Why the last of them was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub refusal: String,
}

impl Track {
    /// Simple returns, one less than bars.
    #[must_use]
    pub fn returns(&self) -> Vec<f64> {
        self.equity.windows(2).map(|w| if w[0] > 0.0 { w[1] / w[0] - 1.0 } else { 0.0 }).collect()
    }

    /// Years from start to end.
    #[must_use]
    pub fn years(&self) -> f64 {
        let span = self.time.last().zip(self.time.first()).map_or(0, |(last, first)| last.0 - first.0);
        span as f64 * 1e-9 / cambist_core::time::SECONDS_PER_YEAR
    }

    /// Bars in a year of this track, from its own stamps: markets that close at night have fewer.
    #[must_use]
    pub fn bars_per_year(&self) -> f64 {
        let years = self.years();
        if years > 0.0 { (self.time.len() - 1) as f64 / years } else { self.timeframe.per_year() }
    }

    /// Appends `next`, scaled so that its equity goes on where this one ends.
    pub fn append(&mut self, next: &Self) {
        let factor = match (self.equity.last(), next.equity.first()) {
            // What is lost stays lost.
            (Some(end), Some(start)) if *start > 0.0 => (end / start).max(0.0),
            _ => 1.0,
        };
        let skip = usize::from(!self.equity.is_empty());
        let (costs, traded) =
            (self.costs.last().copied().unwrap_or(0.0), self.traded.last().copied().unwrap_or(0.0));
        self.time.extend(&next.time[skip..]);
        self.equity.extend(next.equity[skip..].iter().map(|e| e * factor));
        self.exposure.extend(&next.exposure[skip..]);
        self.costs.extend(next.costs[skip..].iter().map(|c| costs + c * factor));
        self.traded.extend(next.traded[skip..].iter().map(|t| traded + t * factor));
        self.ruined |= next.ruined;
        self.refused += next.refused;
        if !next.refusal.is_empty() {
            self.refusal.clone_from(&next.refusal);
        }
    }
}
