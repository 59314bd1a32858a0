//! Invariants of the broker, by random accounts:
//! 1. spread, slippage, impact and commission are never negative; rebates and financing are signed apart;
//! 2. balance = start + profit + financing + rebates - commission, and equity adds what is open;
//! 3. a flat account's equity does not move, to the bit;
//! 4. splitting an order changes nothing beyond 1e-9 of turnover, and half a cent a further deal when money is rounded;
//! 5. in an account without leverage that cannot go short, margin never exceeds equity when an order has filled;
//! 6. one market order a bar under proportional costs is what `Engine`, the short form, makes of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::sync::Arc;

use cambist_core::{BarEvent, BasisPoints, MarketEvent, PriceSide, Ticket, UnixNanos};
use cambist_execution::{
    AccountRules, BarPrices, Broker, BrokerRules, Commission, CostModel, Engine, EngineRules, Impact, Ledger,
    Listing, MarginLevels, Notice, Order, ShortSale, Shortfall, Slippage,
};
use cambist_risk::{Gate, GateLimits, Limits, Position, Standing};
use common::{ACCOUNT, listing};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A bar: gap, change, wicks, in ticks; spread; volume; volatility; and an order in steps.
type Step = (i64, i64, i64, i64, i64, i64, f64, i64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step =
        (-300..300i64, -300..300i64, 0..100i64, 0..100i64, 0..20i64, 0..2000i64, 0.0..2e-3f64, -400..400i64);
    prop::collection::vec(step, 1..60)
}

fn approved(steps: i64) -> cambist_execution::Approved<Ticket> {
    let now = UnixNanos(0);
    let position = Position { now, priced_at: now, equity: 1.0, steps: 0, step_value: 1.0 };
    Gate::new(GateLimits::default()).approve(Ticket::market(0, steps), &position).unwrap()
}

/// Lives through `steps`, each order cut into `parts`; `each` sees the broker after every bar.
fn live(rules: BrokerRules, steps: &[Step], parts: i64, mut each: impl FnMut(&Broker, &[Notice])) -> Broker {
    let mut broker = Broker::new(Arc::new(rules), 1e6);
    let mut log = Vec::new();
    let mut price = 100_000;
    for (at, &(gap, change, up, down, spread, volume, volatility, order)) in steps.iter().enumerate() {
        let now = UnixNanos(at as i64 * 60_000_000_000);
        for part in 0..parts {
            let piece = order * (part + 1) / parts - order * part / parts;
            if piece != 0 {
                let _ = broker.submit(approved(piece), now);
            }
        }
        let open = price + gap;
        let close = open + change;
        let bar = BarEvent {
            open_time: now,
            close_time: UnixNanos(now.0 + 60_000_000_000),
            open,
            high: open.max(close) + up,
            low: open.min(close) - down,
            close,
            spread,
            volume: Some(volume),
            volatility,
        };
        broker.on(0, &MarketEvent::Bar(bar), &mut log);
        each(&broker, &log);
        price = close.max(50_000);
    }
    broker
}

fn one(listing: Listing, account: AccountRules) -> BrokerRules {
    BrokerRules { listings: vec![listing], account, seed: 3 }
}

fn dear() -> Listing {
    Listing {
        commission: Commission { per_lot: 2.0, taker_bp: 3.0, maker_bp: -1.0, minimum: 0.0 },
        slippage: Slippage { fixed: 0.4, volatility: 0.1 },
        impact: Impact { temporary: 0.9, permanent: 0.2, half_life: 5.0 },
        participation: Some(0.3),
        ..listing("btcusd")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn money_is_accounted_for(steps in steps()) {
        let mut flat_equity = None;
        let broker = live(one(dear(), ACCOUNT), &steps, 1, |broker, log| {
            for notice in log {
                if let Notice::Deal(deal) = notice {
                    let c = deal.costs;
                    let least = c.commission.min(c.spread).min(c.slippage).min(c.impact).min(deal.rebate);
                    assert!(least >= 0.0, "{deal:?}");
                }
            }
            let deals = broker.account().totals().deals;
            if broker.account().holdings().is_empty() {
                if let Some((at, bits)) = flat_equity && at == deals {
                    assert_eq!(bits, broker.equity().to_bits());
                }
                flat_equity = Some((deals, broker.equity().to_bits()));
            }
        });
        let t = broker.account().totals();
        let balance = 1e6 + t.profit + t.financing + t.rebates - t.costs.commission;
        prop_assert!((balance - broker.account().balance()).abs() <= 1e-9 * t.turnover.max(1.0));
    }

    #[test]
    fn splitting_changes_only_rounding(steps in steps(), parts in 2..5i64) {
        let linear = |digits| {
            let listing = Listing { impact: Impact::default(), participation: None, ..dear() };
            one(listing, AccountRules { digits, whole_ticks: false, ..ACCOUNT })
        };
        for digits in [None, Some(2)] {
            let whole = live(linear(digits), &steps, 1, |_, _| {});
            let split = live(linear(digits), &steps, parts, |_, _| {});
            let (a, b) = (whole.account().totals(), split.account().totals());
            let further = b.deals.saturating_sub(a.deals) as f64;
            let allowed = 1e-9 * a.turnover.max(1.0) + if digits.is_some() { 0.005 * further } else { 0.0 };
            let error = (whole.equity() - split.equity()).abs();
            prop_assert!(error <= allowed, "{error} with {further} further deals");
        }
    }

    #[test]
    fn cash_is_never_overdrawn(steps in steps()) {
        let mut spot = Listing { commission: Commission { taker_bp: 10.0, ..Commission::default() }, ..listing("btcusdt-spot") };
        spot.instrument.lots.step = 1.0;
        let levels = MarginLevels::Percent { call: 0.0, stop_out: 0.0 };
        let account = AccountRules { leverage: 1.0, shortfall: Shortfall::Cut, levels, ..ACCOUNT };
        live(one(spot, account), &steps, 1, |broker, log| {
            let bought = |notice: &Notice| matches!(notice, Notice::Deal(d) if d.closed < d.steps);
            if log.last().is_some_and(bought) {
                let held = broker.account().holdings();
                let paid: f64 = held.iter().map(|h| h.steps as f64 * h.entry * 0.01).sum();
                assert!(paid <= broker.account().balance() * (1.0 + 1e-9) || held.is_empty(), "{paid}");
            }
        });
    }

    #[test]
    fn the_short_form_is_the_broker_in_brief(steps in steps(), bp in 0.0..20.0f64) {
        let mut coin = Listing {
            commission: Commission { taker_bp: bp, ..Commission::default() },
            price_side: PriceSide::Mid,
            ..listing("btcusd")
        };
        coin.instrument.short = ShortSale::Contract;
        let levels = MarginLevels::Money { call: f64::NEG_INFINITY, stop_out: f64::NEG_INFINITY };
        let account = AccountRules { leverage: 1e6, levels, whole_ticks: false, ..ACCOUNT };
        let costs = CostModel { commission: BasisPoints(bp), ..CostModel::FREE };
        let engine = Engine::new(EngineRules { costs, margin: true, ruin_fraction: 0.0 });
        let mut ledger = Ledger::<1>::new(1e6);
        let limits = Limits { max_exposure: f64::INFINITY };
        let mut price = 100_000i64;
        let no_spread: Vec<Step> = steps.iter().map(|&(a, b, c, d, _, f, g, h)| (a, b, c, d, 0, f, g, h)).collect();
        let mut at = 0;
        live(one(coin, account), &no_spread, 1, |broker, _| {
            let (gap, change, up, down, _, _, _, order) = no_spread[at];
            at += 1;
            let money = |ticks: i64| ticks as f64 * 0.01;
            let (open, close) = (price + gap, price + gap + change);
            let bar = BarPrices {
                open: money(open),
                high: money(open.max(close) + up),
                low: money(open.min(close) - down),
                close: money(close),
            };
            let standing = Standing { equity: ledger.equity(), units: ledger.position(0).units, price: money(price) };
            let order = Order { instrument: 0, units: order as f64 * 0.01 };
            engine.open(&mut ledger, limits.approve(order, &standing).unwrap(), bar.open);
            engine.carry(&mut ledger, 0, &bar, 60.0);
            price = close.max(50_000);
            let error = (ledger.equity() - broker.equity()).abs();
            assert!(error <= 1e-9 * ledger.traded().max(1.0), "{} {}", ledger.equity(), broker.equity());
        });
    }
}
