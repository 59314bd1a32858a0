//! Invariants of the ledger, by random accounts:
//! 1. change of equity = realised + change of unrealised − costs + financing;
//! 2. a flat account's equity does not move, to the bit;
//! 3. splitting a fill changes nothing beyond rounding;
//! 4. without margin, cash is never negative beyond rounding while nothing is short;
//! 5. for the same units at the same mid prices, more cost never means more equity.
#![allow(clippy::unwrap_used, reason = "a test")]

use cambist_core::BasisPoints;
use cambist_execution::{Approved, BarPrices, CostModel, Engine, EngineRules, Ledger, Order};
use cambist_risk::{Limits, Standing};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn costs(commission: f64, half_spread: f64, slippage: f64, borrow_rate: f64) -> CostModel {
    let bp = BasisPoints;
    CostModel {
        commission: bp(commission),
        half_spread: bp(half_spread),
        slippage: bp(slippage),
        borrow_rate,
    }
}

fn approved(units: f64, ledger: &Ledger<1>, price: f64) -> Approved<Order> {
    let standing = Standing { equity: ledger.equity(), units: ledger.position(0).units, price };
    let limits = Limits { max_exposure: f64::INFINITY };
    limits.approve(Order { instrument: 0, units }, &standing).unwrap_or_else(|_| limits.flatten(0, 0.0))
}

/// A bar: open and close moves in per mille, wick lengths, and an order as a share of the first equity.
type Step = (f64, f64, f64, f64, f64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (-50.0..50.0, -50.0..50.0, 0.0..20.0, 0.0..20.0, -1.0..1.0f64);
    prop::collection::vec(step, 1..60)
}

fn live(rules: EngineRules, steps: &[Step], mut each: impl FnMut(&Ledger<1>)) -> Ledger<1> {
    let engine = Engine::new(rules);
    let mut ledger = Ledger::<1>::new(10_000.0);
    let mut price = 100.0;
    for &(gap, change, up, down, order) in steps {
        let open = price * (1.0 + gap * 1e-3);
        let close = open * (1.0 + change * 1e-3);
        let (high, low) = (open.max(close) * (1.0 + up * 1e-3), open.min(close) * (1.0 - down * 1e-3));
        let order = approved(order * 100.0, &ledger, price);
        engine.open(&mut ledger, order, open);
        if engine.carry(&mut ledger, 0, &BarPrices { open, high, low, close }, 3600.0) {
            break;
        }
        each(&ledger);
        price = close;
    }
    ledger
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn equity_is_accounted_for(
        steps in steps(), c in 0.0..20.0f64, s in 0.0..20.0f64, rate in 0.0..0.5f64, margin: bool,
    ) {
        let rules = EngineRules { costs: costs(c, s, 1.0, rate), margin, ruin_fraction: 0.1 };
        let ledger = live(rules, &steps, |_| ());
        let explained = ledger.initial() + ledger.realised() + ledger.position(0).unrealised()
            - ledger.costs().total() + ledger.financing();
        let tolerance = 1e-12 * (ledger.traded() + ledger.initial());
        prop_assert!((ledger.equity() - explained).abs() <= tolerance, "{} {}", ledger.equity(), explained);
        prop_assert!(ledger.financing() <= 0.0 && ledger.costs().total() >= 0.0);
    }

    #[test]
    fn a_flat_account_does_not_move(steps in steps()) {
        let rules = EngineRules { costs: costs(5.0, 5.0, 5.0, 0.1), margin: true, ruin_fraction: 0.1 };
        let still: Vec<Step> = steps.iter().map(|&(a, b, c, d, _)| (a, b, c, d, 0.0)).collect();
        let ledger = live(rules, &still, |_| ());
        prop_assert_eq!(ledger.equity().to_bits(), 10_000f64.to_bits());
    }

    #[test]
    fn a_split_fill_is_one_fill(
        units in -50.0..50.0f64, share in 0.01..0.99f64, held in -50.0..50.0f64, price in 50.0..200.0f64,
    ) {
        let model = costs(3.0, 2.0, 1.0, 0.0);
        let mut whole = Ledger::<1>::new(10_000.0);
        whole.fill(0, held, 100.0, &model.of(held * 100.0));
        let mut parts = whole.clone();
        whole.fill(0, units, price, &model.of(units * price));
        for part in [units * share, units - units * share] {
            parts.fill(0, part, price, &model.of(part * price));
        }
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (a.abs() + b.abs() + 1.0);
        prop_assert!(close(whole.equity(), parts.equity()));
        prop_assert!(close(whole.realised(), parts.realised()));
        prop_assert!(close(whole.costs().total(), parts.costs().total()));
        prop_assert!(close(whole.position(0).unrealised(), parts.position(0).unrealised()));
    }

    #[test]
    fn without_margin_cash_stays(steps in steps(), c in 0.0..20.0f64) {
        let rules = EngineRules { costs: costs(c, 1.0, 1.0, 0.0), margin: false, ruin_fraction: 0.1 };
        let long: Vec<Step> = steps.iter().map(|&(a, b, u, d, o)| (a, b, u, d, o.abs())).collect();
        live(rules, &long, |ledger| assert!(ledger.cash() >= -1e-9 * ledger.initial(), "{}", ledger.cash()));
    }

    #[test]
    fn more_cost_is_never_more_equity(
        steps in steps(), c in 0.0..20.0f64, s in 0.0..20.0f64, more in 0.0..20.0f64,
    ) {
        // The same units: with margin nothing is cut, and orders of a hundredth keep ruin out of reach.
        let steps: Vec<Step> = steps.iter().map(|&(a, b, u, d, o)| (a, b, u, d, 0.01 * o)).collect();
        let at = |extra: f64| {
            let costs = costs(c + extra, s, 0.0, 0.05);
            let mut path = Vec::new();
            let rules = EngineRules { costs, margin: true, ruin_fraction: f64::NEG_INFINITY };
            live(rules, &steps, |ledger| path.push(ledger.equity()));
            path
        };
        for (cheap, dear) in at(0.0).into_iter().zip(at(more)) {
            prop_assert!(dear <= cheap + 1e-9, "{} > {}", dear, cheap);
        }
    }
}

/// By hand: 10 000, buy 50 at 100 with 4 + 3 + 3 bp, a bar to 110, sell 80 at 110, a bar to 105.
#[test]
fn a_worked_account() {
    let rules = EngineRules { costs: costs(4.0, 3.0, 3.0, 0.0365), margin: true, ruin_fraction: 0.1 };
    let engine = Engine::new(rules);
    let mut ledger = Ledger::<1>::new(10_000.0);
    let order = approved(50.0, &ledger, 100.0);
    engine.open(&mut ledger, order, 100.0);
    // 5 000 traded, 10 bp = 5.
    assert!((ledger.equity() - 9_995.0).abs() < 1e-9);
    engine.carry(&mut ledger, 0, &BarPrices { open: 100.0, high: 111.0, low: 99.0, close: 110.0 }, 86_400.0);
    // +10 a unit on 50.
    assert!((ledger.equity() - 10_495.0).abs() < 1e-9);
    let order = approved(-80.0, &ledger, 110.0);
    engine.open(&mut ledger, order, 110.0);
    // 8 800 traded, 8.80 paid; 500 realised; 30 short at 110.
    assert!((ledger.realised() - 500.0).abs() < 1e-9);
    assert!((ledger.equity() - 10_486.2).abs() < 1e-9);
    assert!((ledger.position(0).entry - 110.0).abs() < 1e-12);
    engine.carry(&mut ledger, 0, &BarPrices { open: 110.0, high: 112.0, low: 104.0, close: 105.0 }, 86_400.0);
    // A day's borrowing: 3 300 × 3.65 % / 365.25; then +5 a unit on 30.
    let borrowed = 3_300.0 * 0.0365 / 365.25;
    assert!((ledger.financing() + borrowed).abs() < 1e-9);
    assert!((ledger.equity() - (10_486.2 - borrowed + 150.0)).abs() < 1e-9);
    assert!((ledger.costs().commission - 13_800.0 * 4e-4).abs() < 1e-9);
}

/// Short 100 at 100 with 10 000; a bar that reaches 191 leaves 900, below a tenth: closed there.
#[test]
fn ruin_is_liquidated_at_the_worst_price() {
    let rules = EngineRules { costs: CostModel::FREE, margin: true, ruin_fraction: 0.1 };
    let engine = Engine::new(rules);
    let mut ledger = Ledger::<1>::new(10_000.0);
    let order = approved(-100.0, &ledger, 100.0);
    engine.open(&mut ledger, order, 100.0);
    let bar = BarPrices { open: 100.0, high: 191.0, low: 99.0, close: 120.0 };
    assert!(engine.carry(&mut ledger, 0, &bar, 3600.0));
    assert!((ledger.equity() - 900.0).abs() < 1e-9 && ledger.position(0).units.abs() < 1e-12);
}
