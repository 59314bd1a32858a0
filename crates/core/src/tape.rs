//! Market history in columns, one copy shared by every environment, agent and fold.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Timeframe, UnixNanos};

/// What is traded, as the user names it: `BTCUSDT`, `EURUSD`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstrumentId(pub String);

impl fmt::Display for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which price a bar is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriceSide {
    /// Bars of the bid, as MetaTrader 5 makes them.
    Bid,
    /// Bars of the ask.
    Ask,
    /// Halfway between bid and ask.
    Mid,
    /// Bars of trades.
    Last,
}

/// What a volume counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeKind {
    /// Units of the base asset traded.
    Real,
    /// Changes of the quote.
    Tick,
    /// There is none.
    None,
}

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// When the bar opened; it is known one timeframe later.
    pub open_time: UnixNanos,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Volume, of the tape's [`VolumeKind`].
    pub volume: f64,
    /// Ask minus bid at the open, in price; zero when the tape has none.
    pub spread: f64,
    /// Share of the finer bars this one is made of that were there, in (0, 1].
    pub coverage: f64,
}

/// Bars as columns. All columns have the same length; `spread` is empty when the source has none.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketTape {
    /// What is traded.
    pub instrument: InstrumentId,
    /// The length of a bar.
    pub timeframe: Timeframe,
    /// Which price the bars are made of.
    pub price_side: PriceSide,
    /// What volume counts.
    pub volume_kind: VolumeKind,
    /// Open times, UTC nanoseconds.
    pub open_time: Vec<i64>,
    /// First prices.
    pub open: Vec<f64>,
    /// Highest prices.
    pub high: Vec<f64>,
    /// Lowest prices.
    pub low: Vec<f64>,
    /// Last prices.
    pub close: Vec<f64>,
    /// Volumes.
    pub volume: Vec<f64>,
    /// Ask minus bid at the open, in price; empty when unknown.
    pub spread: Vec<f64>,
    /// Share of finer bars present.
    pub coverage: Vec<f32>,
}

impl MarketTape {
    /// A tape without bars.
    #[must_use]
    pub fn empty(
        instrument: InstrumentId,
        timeframe: Timeframe,
        price_side: PriceSide,
        volume_kind: VolumeKind,
    ) -> Self {
        Self {
            instrument,
            timeframe,
            price_side,
            volume_kind,
            open_time: Vec::new(),
            open: Vec::new(),
            high: Vec::new(),
            low: Vec::new(),
            close: Vec::new(),
            volume: Vec::new(),
            spread: Vec::new(),
            coverage: Vec::new(),
        }
    }

    /// Number of bars.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open_time.len()
    }

    /// Whether there is no bar.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open_time.is_empty()
    }

    /// Bar `index`.
    ///
    /// # Panics
    /// When `index` is past the end.
    #[must_use]
    pub fn bar(&self, index: usize) -> Bar {
        Bar {
            open_time: UnixNanos(self.open_time[index]),
            open: self.open[index],
            high: self.high[index],
            low: self.low[index],
            close: self.close[index],
            volume: self.volume[index],
            spread: self.spread.get(index).copied().unwrap_or(0.0),
            coverage: f64::from(self.coverage[index]),
        }
    }

    /// All bars in order.
    pub fn bars(&self) -> impl Iterator<Item = Bar> + '_ {
        (0..self.len()).map(|index| self.bar(index))
    }

    /// Appends a bar, its spread included; [`MarketTape::forget_spread`] when the source has none.
    pub fn push(&mut self, bar: Bar) {
        self.open_time.push(bar.open_time.0);
        self.open.push(bar.open);
        self.high.push(bar.high);
        self.low.push(bar.low);
        self.close.push(bar.close);
        self.volume.push(bar.volume);
        self.spread.push(bar.spread);
        self.coverage.push(bar.coverage as f32);
    }

    /// Says that spreads are not known, rather than zero.
    pub fn forget_spread(&mut self) {
        self.spread = Vec::new();
    }

    /// When bar `index` is known: its open time plus the timeframe.
    #[must_use]
    pub fn close_time(&self, index: usize) -> UnixNanos {
        UnixNanos(self.open_time[index] + self.timeframe.nanos())
    }

    /// The rows whose bars open in `[from, until)`.
    #[must_use]
    pub fn rows_between(&self, from: UnixNanos, until: UnixNanos) -> std::ops::Range<usize> {
        let start = self.open_time.partition_point(|&t| t < from.0);
        let end = self.open_time.partition_point(|&t| t < until.0);
        start..end.max(start)
    }

    /// A copy of the rows in `rows`.
    #[must_use]
    pub fn slice(&self, rows: std::ops::Range<usize>) -> Self {
        let cut = |column: &Vec<f64>| column.get(rows.clone()).map(<[f64]>::to_vec).unwrap_or_default();
        Self {
            instrument: self.instrument.clone(),
            timeframe: self.timeframe,
            price_side: self.price_side,
            volume_kind: self.volume_kind,
            open_time: self.open_time.get(rows.clone()).map(<[i64]>::to_vec).unwrap_or_default(),
            open: cut(&self.open),
            high: cut(&self.high),
            low: cut(&self.low),
            close: cut(&self.close),
            volume: cut(&self.volume),
            spread: cut(&self.spread),
            coverage: self.coverage.get(rows.clone()).map(<[f32]>::to_vec).unwrap_or_default(),
        }
    }

    /// Forgets bars from place `n` on.
    pub fn truncate(&mut self, n: usize) {
        self.open_time.truncate(n);
        for column in self.columns_mut() {
            column.truncate(n);
        }
        self.coverage.truncate(n);
    }

    /// Makes room for `n` more bars at once: vectors that grow by themselves take twice what they hold.
    pub fn reserve(&mut self, n: usize) {
        self.open_time.reserve_exact(n);
        for column in self.columns_mut() {
            column.reserve_exact(n);
        }
        self.coverage.reserve_exact(n);
    }

    fn columns_mut(&mut self) -> [&mut Vec<f64>; 6] {
        let Self { open, high, low, close, volume, spread, .. } = self;
        [open, high, low, close, volume, spread]
    }

    /// A content hash (BLAKE3, hex): a change of one value, stamp or unit changes it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.fingerprint_with(&[])
    }

    /// The same of the bars and of named series beside them, given as bits.
    #[must_use]
    pub fn fingerprint_with(&self, series: &[(&str, Vec<u64>)]) -> String {
        let mut hasher = blake3::Hasher::new();
        let head = format!(
            "cambist-tape-1\n{}\n{}\n{:?}\n{:?}\n{}\n{}\n",
            self.instrument,
            self.timeframe,
            self.price_side,
            self.volume_kind,
            self.len(),
            self.spread.len()
        );
        hasher.update(head.as_bytes());
        hash_column(&mut hasher, &self.open_time, |v| v.to_le_bytes());
        for column in [&self.open, &self.high, &self.low, &self.close, &self.volume, &self.spread] {
            hash_column(&mut hasher, column, |v| v.to_bits().to_le_bytes());
        }
        hash_column(&mut hasher, &self.coverage, |v| v.to_bits().to_le_bytes());
        for (name, bits) in series {
            hasher.update(name.as_bytes());
            hash_column(&mut hasher, bits, |v| v.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn hash_column<T: Copy, const N: usize>(
    hasher: &mut blake3::Hasher,
    column: &[T],
    bytes: impl Fn(T) -> [u8; N],
) {
    let mut buffer = Vec::with_capacity(4096 * N);
    for chunk in column.chunks(4096) {
        buffer.clear();
        chunk.iter().for_each(|&value| buffer.extend_from_slice(&bytes(value)));
        hasher.update(&buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape() -> MarketTape {
        let mut tape =
            MarketTape::empty(InstrumentId("X".into()), Timeframe::MINUTE, PriceSide::Last, VolumeKind::Real);
        for minute in 0..10 {
            tape.push(Bar {
                open_time: UnixNanos(minute * 60_000_000_000),
                open: 1.0,
                high: 2.0,
                low: 0.5,
                close: 1.5,
                volume: 3.0,
                spread: 0.0,
                coverage: 1.0,
            });
        }
        tape
    }

    #[test]
    fn one_changed_value_changes_the_fingerprint() {
        let base = tape();
        let mut prints = vec![base.fingerprint()];
        for change in 0..7 {
            let mut other = base.clone();
            match change {
                0 => other.open_time[3] += 1,
                1 => other.open[3] += 1e-12,
                2 => other.high[3] += 1e-12,
                3 => other.low[3] += 1e-12,
                4 => other.close[3] += 1e-12,
                5 => other.volume[3] += 1e-12,
                _ => other.volume_kind = VolumeKind::Tick,
            }
            prints.push(other.fingerprint());
        }
        let distinct: std::collections::BTreeSet<_> = prints.iter().collect();
        assert_eq!(distinct.len(), prints.len());
        assert_eq!(base.fingerprint(), tape().fingerprint());
    }

    #[test]
    fn rows_between_takes_the_start_and_leaves_the_end() {
        let at = |minute: i64| UnixNanos(minute * 60_000_000_000);
        assert_eq!(tape().rows_between(at(2), at(5)), 2..5);
        assert_eq!(tape().rows_between(at(50), at(60)), 10..10);
    }
}
