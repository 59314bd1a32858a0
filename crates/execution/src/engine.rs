//! How a bar treats an account.

use cambist_core::time::SECONDS_PER_YEAR;
use cambist_risk::{Approved, Order};
use serde::{Deserialize, Serialize};

use crate::costs::CostModel;
use crate::ledger::Ledger;

/// Mid prices of the bar an account lives through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BarPrices {
    /// First price: where orders decided before it fill.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price: where the account is valued.
    pub close: f64,
}

impl BarPrices {
    /// Those of row `row` of `tape`.
    ///
    /// # Panics
    /// When there is no such row.
    #[inline]
    #[must_use]
    pub fn of(tape: &cambist_core::MarketTape, row: usize) -> Self {
        Self { open: tape.open[row], high: tape.high[row], low: tape.low[row], close: tape.close[row] }
    }
}

/// Rules of the account.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EngineRules {
    /// What trading costs.
    pub costs: CostModel,
    /// Whether buying may leave cash negative. If not, a purchase is cut to what the cash pays for.
    pub margin: bool,
    /// An account whose equity falls to this share of its start is liquidated.
    pub ruin_fraction: f64,
}

/// The execution engine: rules, and nothing that changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Engine {
    rules: EngineRules,
}

impl Engine {
    /// An engine with `rules`.
    #[must_use]
    pub fn new(rules: EngineRules) -> Self {
        Self { rules }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &EngineRules {
        &self.rules
    }

    /// 1. An order decided before the bar fills at the bar's open, whole, but for rule 2; costs are charged on top.
    /// 2. Without margin, a purchase that the cash cannot pay is cut to what it can. Returns the units filled.
    pub fn open<const N: usize>(&self, ledger: &mut Ledger<N>, order: Approved<Order>, open: f64) -> f64 {
        let Order { instrument, units } = order.get();
        let mut filled = units;
        if !self.rules.margin && units > 0.0 {
            // What covers a short is always affordable: it ends a debt.
            let cover = (-ledger.position(instrument).units).clamp(0.0, units);
            let price = open * (1.0 + self.rules.costs.one_way());
            let affordable = (ledger.cash() - cover * price).max(0.0) / price;
            filled = cover + (units - cover).min(affordable);
        }
        if filled != 0.0 {
            ledger.fill(instrument, filled, open, &self.rules.costs.of(filled * open));
        }
        filled
    }

    /// Rule 3 alone, for the time between a close and the next open: whoever held the position through it pays.
    pub fn accrue<const N: usize>(&self, ledger: &mut Ledger<N>, instrument: usize, seconds: f64) {
        let position = *ledger.position(instrument);
        if position.units < 0.0 && seconds > 0.0 {
            ledger.finance(position.value() * self.rules.costs.borrow_rate * seconds / SECONDS_PER_YEAR);
        }
    }

    /// 3. A short pays the borrow rate on its value at the last mark for `seconds`, the length of the bar.
    /// 4. If the bar's worst price for the position takes equity to the ruin level or below, the position is closed at
    ///    that price, with costs. Returns whether the account is ruined; a flat one is when its equity is at that level.
    /// 5. Otherwise the position is valued at the bar's close.
    pub fn carry<const N: usize>(
        &self,
        ledger: &mut Ledger<N>,
        instrument: usize,
        bar: &BarPrices,
        seconds: f64,
    ) -> bool {
        let position = *ledger.position(instrument);
        if position.units == 0.0 {
            ledger.mark(instrument, bar.close);
            return ledger.equity() <= self.rules.ruin_fraction * ledger.initial();
        }
        self.accrue(ledger, instrument, seconds);
        let worst = if position.units > 0.0 { bar.low } else { bar.high };
        if ledger.equity_at(instrument, worst) <= self.rules.ruin_fraction * ledger.initial() {
            ledger.fill(instrument, -position.units, worst, &self.rules.costs.of(position.units * worst));
            return true;
        }
        ledger.mark(instrument, bar.close);
        false
    }
}
