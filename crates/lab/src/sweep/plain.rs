//! The fast path: a rule of whole targets under the short form of execution. Trades go through the same decision path,
//! engine and ledger as the environment's; between them nothing moves but the price, and only that is reckoned.
//!
//! `tests/sweep.rs` proves that its equity is the environment's, to the bit.

use std::ops::Range;

use cambist_core::{MarketTape, UnixNanos};
use cambist_decide::{AccountView, DecisionPath};
use cambist_execution::{BarPrices, Engine, Ledger};

use super::rules::Rule;
use super::{Outcome, TradeRow};

/// What every combination runs over.
pub(crate) struct Plain<'a> {
    pub(crate) tape: &'a MarketTape,
    pub(crate) rows: Range<usize>,
    pub(crate) path: &'a DecisionPath,
    pub(crate) engine: &'a Engine,
    pub(crate) cash: f64,
}

/// What a run keeps beside its sums.
pub(crate) trait Keep {
    fn equity(&mut self, equity: f64);
    fn trade(&mut self, trade: TradeRow);
}

/// Nothing.
impl Keep for () {
    #[inline]
    fn equity(&mut self, _: f64) {}
    #[inline]
    fn trade(&mut self, _: TradeRow) {}
}

/// Curve and trades.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) curve: Vec<f64>,
    pub(crate) trades: Vec<TradeRow>,
}

impl Keep for Kept {
    fn equity(&mut self, equity: f64) {
        self.curve.push(equity);
    }
    fn trade(&mut self, trade: TradeRow) {
        self.trades.push(trade);
    }
}

/// Sums over bars.
#[derive(Debug, Clone, Copy)]
struct Sums {
    n: f64,
    total: f64,
    squares: f64,
    last: f64,
    peak: f64,
    /// Smallest equity over the highest before it.
    trough: f64,
    held: f64,
}

impl Sums {
    fn new(cash: f64) -> Self {
        Self { n: 0.0, total: 0.0, squares: 0.0, last: cash, peak: cash, trough: 1.0, held: 0.0 }
    }

    #[inline]
    fn push(&mut self, equity: f64, held: bool) {
        let change = if self.last > 0.0 { equity / self.last - 1.0 } else { 0.0 };
        self.n += 1.0;
        self.total += change;
        self.squares += change * change;
        self.last = equity;
        if equity > self.peak {
            self.peak = equity;
        } else if equity < self.trough * self.peak {
            self.trough = equity / self.peak;
        }
        self.held += f64::from(u8::from(held));
    }
}

impl Plain<'_> {
    /// Lives `rule` through the rows.
    #[inline]
    pub(crate) fn run(&self, rule: &mut impl Rule, keep: &mut impl Keep) -> Outcome {
        let tape = self.tape;
        let mut ledger = Ledger::<1>::new(self.cash);
        ledger.mark(0, tape.close[self.rows.start]);
        let floor = self.engine.rules().ruin_fraction * self.cash * (1.0 + 1e-9);
        let mut sums = Sums::new(self.cash);
        let (mut target_held, mut ruined, mut trades) = (0.0, false, 0u64);
        let (mut units, mut cash) = (0.0, self.cash);
        keep.equity(self.cash);
        for row in self.rows.start..self.rows.end - 1 {
            let next = row + 1;
            if ruined {
                keep.equity(sums.last);
                sums.push(sums.last, false);
                continue;
            }
            let target = f64::from(rule.next(row));
            // A long or flat account that trades nothing only changes its value, unless its worst price ruins it.
            if target == target_held && units >= 0.0 && cash + units * tape.low[next] > floor {
                let equity = cash + units * tape.close[next];
                ledger.mark(0, tape.close[next]);
                keep.equity(equity);
                sums.push(equity, units != 0.0);
                continue;
            }
            let before = (ledger.traded(), ledger.costs().total());
            (target_held, ruined) = self.step(&mut ledger, row, target, target_held);
            let held = *ledger.position(0);
            if ledger.traded() > before.0 {
                trades += 1;
                keep.trade(TradeRow {
                    time: UnixNanos(tape.open_time[next]),
                    units: held.units - units,
                    value: ledger.traded() - before.0,
                    cost: ledger.costs().total() - before.1,
                    equity: ledger.equity(),
                });
            }
            (units, cash) = (held.units, ledger.cash());
            let equity = ledger.equity();
            keep.equity(equity);
            sums.push(equity, units != 0.0);
        }
        let years = {
            let span = tape.close_time(self.rows.end - 1).0 - tape.close_time(self.rows.start).0;
            span as f64 * 1e-9 / cambist_core::time::SECONDS_PER_YEAR
        };
        let mean = sums.total / sums.n;
        let variance = (sums.squares - sums.n * mean * mean) / (sums.n - 1.0).max(1.0);
        let sharpe = if variance > 0.0 { mean / variance.sqrt() } else { f64::NAN };
        Outcome {
            total_return: sums.last / self.cash - 1.0,
            sharpe: sharpe * (sums.n / years).sqrt(),
            max_drawdown: 1.0 - sums.trough,
            trades,
            held: sums.held / sums.n,
            costs: ledger.costs().total() / self.cash,
            ruined,
        }
    }

    /// A bar of the environment's own course: order at the open, carry to the close.
    fn step(&self, ledger: &mut Ledger<1>, row: usize, target: f64, target_held: f64) -> (f64, bool) {
        let (tape, next) = (self.tape, row + 1);
        let position = ledger.position(0);
        let view = AccountView {
            equity: ledger.equity(),
            initial: ledger.initial(),
            units: position.units,
            unrealised: position.unrealised(),
            price: position.mark,
            held_target: target_held,
        };
        let bar = BarPrices::of(tape, next);
        let closed = (tape.open_time[next] - tape.close_time(row).0) as f64 * 1e-9;
        cambist_market::live_short(
            self.engine,
            ledger,
            self.path,
            &bar,
            [closed, f64::from(tape.timeframe.seconds())],
            target,
            &view,
        )
    }
}
