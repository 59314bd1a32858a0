//! The books of one account: cash, a position per instrument, and where every change of equity came from.
//!
//! Change of equity = realised + change of unrealised − costs + financing, each signed and separate (invariant 4).
//! Positions are carried at average entry price.

use serde::{Deserialize, Serialize};

use crate::costs::CostSplit;

/// Units held of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Signed units.
    pub units: f64,
    /// Average mid price at which they were entered; zero when flat.
    pub entry: f64,
    /// Latest mid price.
    pub mark: f64,
}

impl Position {
    /// Profit that closing at the mark would realise, costs apart.
    #[inline]
    #[must_use]
    pub fn unrealised(&self) -> f64 {
        self.units * (self.mark - self.entry)
    }

    /// Value at the mark, signed.
    #[inline]
    #[must_use]
    pub fn value(&self) -> f64 {
        self.units * self.mark
    }
}

/// One account's books over `N` instruments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger<const N: usize = 1> {
    initial: f64,
    cash: f64,
    #[serde(with = "positions")]
    positions: [Position; N],
    realised: f64,
    costs: CostSplit,
    financing: f64,
    traded: f64,
}

impl<const N: usize> Ledger<N> {
    /// A flat account with `cash`.
    #[must_use]
    pub fn new(cash: f64) -> Self {
        Self {
            initial: cash,
            cash,
            positions: [Position::default(); N],
            realised: 0.0,
            costs: CostSplit::default(),
            financing: 0.0,
            traded: 0.0,
        }
    }

    /// Books a fill of signed `units` of `instrument` at the mid price, with its costs beside it.
    ///
    /// # Panics
    /// When there is no such instrument.
    pub fn fill(&mut self, instrument: usize, units: f64, mid: f64, costs: &CostSplit) {
        let position = &mut self.positions[instrument];
        let held = position.units;
        let after = held + units;
        if held * units >= 0.0 {
            if after != 0.0 {
                position.entry = (held * position.entry + units * mid) / after;
            }
        } else {
            let closed = if units.abs() < held.abs() { -units } else { held };
            self.realised += closed * (mid - position.entry);
            if held * after < 0.0 {
                position.entry = mid;
            } else if after == 0.0 {
                position.entry = 0.0;
            }
        }
        position.units = after;
        position.mark = mid;
        self.cash -= units * mid + costs.total();
        self.costs.add(costs);
        self.traded += (units * mid).abs();
    }

    /// Pays (negative) or receives financing.
    pub fn finance(&mut self, amount: f64) {
        self.cash += amount;
        self.financing += amount;
    }

    /// Values the position at `mid`.
    ///
    /// # Panics
    /// When there is no such instrument.
    pub fn mark(&mut self, instrument: usize, mid: f64) {
        self.positions[instrument].mark = mid;
    }

    /// Cash plus the value of all positions.
    #[must_use]
    pub fn equity(&self) -> f64 {
        self.cash + self.positions.iter().map(Position::value).sum::<f64>()
    }

    /// Equity if `instrument` stood at `mid`.
    #[must_use]
    pub fn equity_at(&self, instrument: usize, mid: f64) -> f64 {
        self.equity() + self.positions[instrument].units * (mid - self.positions[instrument].mark)
    }

    /// The position in `instrument`.
    #[must_use]
    pub fn position(&self, instrument: usize) -> &Position {
        &self.positions[instrument]
    }

    /// Cash at hand.
    #[must_use]
    pub fn cash(&self) -> f64 {
        self.cash
    }

    /// Equity at the start.
    #[must_use]
    pub fn initial(&self) -> f64 {
        self.initial
    }

    /// Profit realised so far, costs and financing apart.
    #[must_use]
    pub fn realised(&self) -> f64 {
        self.realised
    }

    /// Costs paid so far.
    #[must_use]
    pub fn costs(&self) -> &CostSplit {
        &self.costs
    }

    /// Financing so far: received minus paid.
    #[must_use]
    pub fn financing(&self) -> f64 {
        self.financing
    }

    /// Value traded so far, both ways.
    #[must_use]
    pub fn traded(&self) -> f64 {
        self.traded
    }
}
/// Positions are written as a sequence, whatever their number.
mod positions {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Position;

    pub(super) fn serialize<S: Serializer, const N: usize>(
        positions: &[Position; N],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        positions.as_slice().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        from: D,
    ) -> Result<[Position; N], D::Error> {
        let positions: Vec<Position> = Vec::deserialize(from)?;
        let n = positions.len();
        positions.try_into().map_err(|_| D::Error::custom(format!("{n} positions for {N} instruments")))
    }
}
