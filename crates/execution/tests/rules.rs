//! The numbered rules of `broker.rs`, one test each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use cambist_core::{
    BookDelta, Expiry, FillPolicy, MarketEvent, OrderKind, PriceSide, Quote, ServerClock, Side, Ticket,
    Trade, UnixNanos,
};
use cambist_execution::{
    AccountRules, AfterGap, Books, Commission, Ended, Funding, Impact, Instrument, Latency, Listing,
    MarginLevels, Notice, Reason, Refused, ShortSale, Shortfall, Slippage, Swap, SwapMode,
};
use common::{ACCOUNT, Desk, at, close, listing};

fn desk() -> Desk {
    with(listing("btcusd"))
}

fn with(listing: Listing) -> Desk {
    let mut desk = Desk::new(listing, ACCOUNT, 1_000_000.0);
    desk.bar(10_000, 10_010, 9_990, 10_000);
    desk
}

fn pending(steps: i64, kind: OrderKind) -> Ticket {
    Ticket { kind, fill: FillPolicy::Return, ..Ticket::market(0, steps) }
}

fn ended(desk: &Desk) -> Option<(Ended, i64)> {
    desk.log.iter().rev().find_map(|notice| match *notice {
        Notice::Ended { why, left, .. } => Some((why, left)),
        _ => None,
    })
}

#[test]
fn rule_1_volumes() {
    for steps in [0, 10_001] {
        let refused = desk().send(Ticket { steps, ..Ticket::market(0, 1) }).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("rule 1: an order of {steps} lot steps; allowed are 1 to 10000")
        );
    }
    assert!(desk().send(Ticket::market(0, 10_000)).is_ok());
}

#[test]
fn rule_2_long_only() {
    let mut desk = with(listing("btcusdt-spot"));
    assert_eq!(desk.send(Ticket::market(0, -5)), Err(Refused::LongOnly { held: 0, steps: 5 }));
    desk.send(Ticket::market(0, 5)).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    desk.send(Ticket::market(0, -8)).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    assert_eq!((desk.broker.account().steps(0), ended(&desk)), (0, Some((Ended::LongOnly, 3))));
}

#[test]
fn rule_3_stops_level() {
    let mut spec = listing("btcusd");
    spec.instrument.stops_level = 50;
    let mut desk = with(spec);
    let near = Ticket { stop_loss: Some(9_951), ..Ticket::market(0, 1) };
    let refused = desk.send(near).unwrap_err();
    assert_eq!(refused, Refused::TooClose { what: "stop loss", price: 9_951, distance: 49, level: 50 });
    assert!(desk.send(Ticket { stop_loss: Some(9_950), ..near }).is_ok());
    let wrong = Ticket { take_profit: Some(9_900), stop_loss: None, ..near };
    assert!(matches!(desk.send(wrong), Err(Refused::TooClose { what: "take profit", distance: -100, .. })));
    assert!(desk.send(pending(1, OrderKind::Stop { price: 10_049 })).is_err());
    assert!(desk.send(pending(-1, OrderKind::Limit { price: 10_050 })).is_ok());
}

#[test]
fn rule_4_rejects() {
    let mut desk = with(Listing { reject_share: 0.5, ..listing("btcusd") });
    for _ in 0..200 {
        desk.send(Ticket::market(0, 1)).unwrap();
    }
    desk.bar(10_000, 10_000, 10_000, 10_000);
    assert!((75..=125).contains(&desk.deals().len()), "{}", desk.deals().len());
    assert_eq!(ended(&desk), Some((Ended::Rejected, 1)));
}

#[test]
fn rule_5_freeze_level() {
    let mut spec = listing("btcusd");
    spec.instrument.freeze_level = 30;
    let mut desk = with(spec);
    let far = desk.send(pending(1, OrderKind::Limit { price: 9_960 })).unwrap();
    let near = desk.send(pending(1, OrderKind::Limit { price: 9_980 })).unwrap();
    let now = desk.now;
    let refused = desk.broker.cancel(near, now, &mut desk.log).unwrap_err();
    assert_eq!(refused, Refused::Frozen { what: "the order's price", distance: 20, level: 30 });
    assert!(desk.broker.cancel(far, now, &mut desk.log).is_ok());
    assert_eq!(desk.broker.cancel(far, now, &mut desk.log), Err(Refused::Unknown { what: "order", id: far }));
}

#[test]
fn rule_6_gaps_and_expiry() {
    let send_then_gap = |after_gap| {
        let mut desk = with(Listing { after_gap, ..listing("btcusd") });
        desk.send(Ticket::market(0, 1)).unwrap();
        desk.now = UnixNanos(desk.now.0 + 3_600_000_000_000);
        desk.bar(10_500, 10_500, 10_500, 10_500);
        desk
    };
    assert_eq!(send_then_gap(AfterGap::Fill).prices(), [10_500.0]);
    assert_eq!(ended(&send_then_gap(AfterGap::ExpireAfter(60))), Some((Ended::Gap, 1)));
    assert_eq!(send_then_gap(AfterGap::ExpireAfter(3600)).prices(), [10_500.0]);

    // Latency is no gap: the market was there all the time.
    let spec =
        Listing { after_gap: AfterGap::ExpireAfter(30), latency: Latency::Bars(1), ..listing("btcusd") };
    let mut patient = with(spec);
    patient.send(Ticket::market(0, 1)).unwrap();
    for _ in 0..2 {
        patient.bar(10_000, 10_000, 10_000, 10_000);
    }
    assert_eq!(patient.deals().len(), 1);

    // A trade of others does not fill what has expired.
    let mut dated = desk();
    let order = pending(1, OrderKind::Limit { price: 9_950 });
    dated.send(Ticket { expiry: Expiry::At(at("2023-03-06T10:04")), ..order }).unwrap();
    dated.bar(10_000, 10_000, 10_000, 10_000);
    dated.event(&MarketEvent::Trade(Trade { time: at("2023-03-06T10:05"), price: 9_900, steps: 5 }));
    assert_eq!((dated.deals().len(), ended(&dated)), (0, Some((Ended::Expired, 1))));

    let mut desk = desk();
    desk.send(Ticket { expiry: Expiry::Day, ..pending(1, OrderKind::Limit { price: 9_000 }) }).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    assert_eq!(desk.broker.working().len(), 1);
    desk.now = at("2023-03-07T00:00");
    desk.bar(8_000, 8_000, 8_000, 8_000);
    assert_eq!((desk.deals().len(), ended(&desk)), (0, Some((Ended::Expired, 1))));
    // Out of session, an order waits.
    let mut fx = Desk::new(listing("eurusd"), ACCOUNT, 10_000.0);
    fx.now = at("2023-03-11T10:00");
    fx.send(Ticket::market(0, 1)).unwrap();
    fx.bar(106_000, 106_000, 106_000, 106_000);
    assert!(fx.deals().is_empty(), "a Saturday");
    fx.now = at("2023-03-12T22:00");
    fx.bar(105_000, 105_000, 105_000, 105_000);
    assert_eq!(fx.prices(), [105_000.0]);

    // The week begins with New York's: on Sunday at 22:00 UTC in its winter, an hour earlier in its summer.
    let opens_at = |sunday: &str, hours: [&str; 2]| {
        let mut fx = Desk::new(listing("eurusd"), ACCOUNT, 10_000.0);
        fx.now = at(sunday);
        fx.send(Ticket::market(0, 1)).unwrap();
        hours.map(|hour| {
            fx.now = at(&format!("{sunday}T{hour}"));
            fx.bar(106_000, 106_000, 106_000, 106_000);
            fx.deals().len()
        })
    };
    assert_eq!(opens_at("2023-01-08", ["21:59", "22:00"]), [0, 1]);
    assert_eq!(opens_at("2023-07-09", ["20:59", "21:00"]), [0, 1]);
    // A day order ends with the broker's day, whose midnight moves with its clock.
    let ends_at = |date: &str, hours: [&str; 2]| {
        let clock = ServerClock::NEW_YORK_CLOSE;
        let mut desk = with(Listing { clock, ..listing("btcusd") });
        desk.now = at(&format!("{date}T12:00"));
        desk.bar(10_000, 10_000, 10_000, 10_000);
        desk.send(Ticket { expiry: Expiry::Day, ..pending(1, OrderKind::Limit { price: 9_000 }) }).unwrap();
        hours.map(|hour| {
            desk.now = at(&format!("{date}T{hour}"));
            desk.bar(10_000, 10_000, 10_000, 10_000);
            desk.broker.working().len()
        })
    };
    assert_eq!(ends_at("2023-01-10", ["21:59", "22:00"]), [1, 0]);
    assert_eq!(ends_at("2023-07-10", ["20:59", "21:00"]), [1, 0]);
}

#[test]
fn rule_7_latency_never_improves_a_price() {
    let fill = |close: i64, steps: i64| {
        let mut desk = with(Listing { latency: Latency::Millis(15_000), ..listing("btcusd") });
        desk.send(Ticket::market(0, steps)).unwrap();
        desk.bar(10_000, 10_500, 9_500, close);
        desk.prices()[0]
    };
    // A quarter of the bar later.
    assert_eq!([fill(10_400, 1), fill(9_600, 1)], [10_100.0, 10_000.0]);
    assert_eq!([fill(10_400, -1), fill(9_600, -1)], [10_000.0, 9_900.0]);
    let mut desk = with(Listing { latency: Latency::Bars(2), ..listing("btcusd") });
    desk.send(Ticket::market(0, 1)).unwrap();
    for open in [10_001, 10_002, 10_003] {
        desk.bar(open, open, open, open);
    }
    assert_eq!(desk.prices(), [10_003.0]);
}

#[test]
fn rule_8_sides_slippage_and_impact() {
    let round = |side: PriceSide| {
        let mut desk = with(Listing { price_side: side, ..listing("btcusd") });
        for steps in [1, -1] {
            desk.send(Ticket::market(0, steps)).unwrap();
            desk.bar_with(10_000, 10_000, 10_000, 10_000, 10, None, 0.0);
        }
        desk.prices()
    };
    assert_eq!(round(PriceSide::Bid), [10_010.0, 10_000.0]);
    assert_eq!(round(PriceSide::Ask), [10_000.0, 9_990.0]);
    assert_eq!(round(PriceSide::Mid), [10_005.0, 9_995.0]);
    // 1.2 ticks, 10 % of a volatility of 0.1 % of 10,000 (1 tick), and Y sigma sqrt(25/100) of 10,000 (5 ticks): 7.2, so 8.
    let slippage = Slippage { fixed: 1.2, volatility: 0.1 };
    let impact = Impact { temporary: 1.0, permanent: 0.4, half_life: 0.0 };
    let mut desk = with(Listing { slippage, impact, ..listing("btcusd") });
    desk.send(Ticket::market(0, 25)).unwrap();
    desk.bar_with(10_000, 10_000, 10_000, 10_000, 0, Some(100), 1e-3);
    let deal = desk.deals()[0];
    assert_eq!(deal.price, 10_008.0);
    // 25 steps of 0.0001 a tick: 5 ticks of impact, 3 of slippage.
    assert!(close(deal.costs.impact, 0.0125) && close(deal.costs.slippage, 0.0075));
    // It stays 0.4 * sigma * 25/100 of 10,000 = 1 tick higher, for this account.
    // and only for buying: what it pushed up it cannot sell into.
    assert_eq!((desk.broker.mark(0).bid, desk.broker.mark(0).ask), (10_000.0, 10_001.0));
    // No limit order pays more than its limit.
    desk.send(pending(25, OrderKind::Limit { price: 10_003 })).unwrap();
    desk.bar_with(10_000, 10_000, 10_000, 10_000, 0, Some(100), 1e-3);
    assert_eq!(desk.prices()[1], 10_003.0);
}

#[test]
fn rule_8_nobody_profits_from_pushing_the_price() {
    // Bought in thin bars, in pieces, sold in thick ones: whatever it does to the price, it is no gain.
    let impact = Impact { temporary: 0.0, permanent: 5.0, half_life: 0.0 };
    let mut desk = with(Listing { impact, ..listing("btcusd") });
    let start = desk.broker.equity();
    for (steps, volume) in [(50, 60), (80, 90), (70, 0), (-150, 100_000), (-50, 100_000)] {
        desk.send(Ticket::market(0, steps)).unwrap();
        desk.bar_with(10_000, 10_000, 10_000, 10_000, 0, Some(volume), 1e-3);
        assert!(desk.broker.equity() <= start + 1e-9, "{steps}: {}", desk.broker.equity());
    }
    assert_eq!(desk.broker.account().steps(0), 0);
}

#[test]
fn rule_9_volume() {
    let desk = |fill: FillPolicy, kind: OrderKind| {
        let mut desk = with(Listing { participation: Some(0.1), ..listing("btcusd") });
        desk.send(Ticket { fill, kind, ..Ticket::market(0, 30) }).unwrap();
        for _ in 0..4 {
            desk.bar_with(10_000, 10_200, 9_990, 10_000, 0, Some(120), 0.0);
        }
        let steps: Vec<i64> = desk.deals().iter().map(|d| d.steps).collect();
        (steps, ended(&desk))
    };
    assert_eq!(desk(FillPolicy::Return, OrderKind::Market), (vec![12, 12, 6], None));
    assert_eq!(desk(FillPolicy::Ioc, OrderKind::Market), (vec![12], Some((Ended::NoVolume, 18))));
    assert_eq!(desk(FillPolicy::Fok, OrderKind::Market), (vec![], Some((Ended::NoVolume, 30))));
    assert_eq!(desk(FillPolicy::Return, OrderKind::Stop { price: 10_100 }).0, [12, 12, 6]);
    assert_eq!(desk(FillPolicy::Return, OrderKind::Limit { price: 9_995 }).0, [12, 12, 6]);
    // A stop loss that finds too little volume goes on as a market order.
    let mut desk = with(Listing { participation: Some(0.1), ..listing("btcusd") });
    desk.send(Ticket { stop_loss: Some(9_900), ..Ticket::market(0, 12) }).unwrap();
    desk.bar_with(10_000, 10_000, 10_000, 10_000, 0, Some(120), 0.0);
    desk.bar_with(9_800, 9_800, 9_800, 9_800, 0, Some(70), 0.0);
    desk.bar_with(9_950, 9_950, 9_950, 9_950, 0, Some(70), 0.0);
    let out: Vec<(i64, f64)> = desk.deals()[1..].iter().map(|d| (d.steps, d.price)).collect();
    assert_eq!(out, [(7, 9_800.0), (5, 9_950.0)]);
}

#[test]
fn rule_10_money() {
    let buy = |shortfall, balance: f64| {
        let account = AccountRules { shortfall, leverage: 1.0, ..ACCOUNT };
        let commission = Commission { taker_bp: 100.0, ..Commission::default() };
        let mut desk = Desk::new(Listing { commission, ..listing("btcusd") }, account, balance);
        desk.bar(10_000, 10_000, 10_000, 10_000);
        desk.send(Ticket::market(0, 100)).unwrap();
        desk.bar(10_000, 10_000, 10_000, 10_000);
        (desk.broker.account().steps(0), ended(&desk).map(|e| e.0))
    };
    // A lot costs 100.00 and 1 % commission.
    assert_eq!(buy(Shortfall::Reject, 101.0), (100, None));
    assert_eq!(buy(Shortfall::Reject, 100.99), (0, Some(Ended::NoMoney)));
    assert_eq!(buy(Shortfall::Cut, 100.99), (99, Some(Ended::NoMoney)));
    assert_eq!(buy(Shortfall::Cut, 0.5), (0, Some(Ended::NoMoney)));
    // A limit inside the bar is judged where it fills, not at the open: 100 lots at 90.00 on top of 100 bought at 100.00, with
    // 190.00 in all, would ask 180.00 where 180.00 are left of them.
    let spec = AccountRules { leverage: 1.0, ..ACCOUNT };
    for (balance, held) in [(190.0, 200), (189.99, 100)] {
        let mut desk = Desk::new(listing("btcusdt-spot"), spec, balance);
        desk.send(Ticket::market(0, 100_000)).unwrap();
        desk.bar(10_000, 10_000, 10_000, 10_000);
        desk.send(pending(100_000, OrderKind::Limit { price: 9_000 })).unwrap();
        desk.bar(10_000, 10_000, 10_000, 10_000);
        desk.bar(10_000, 10_000, 8_990, 9_000);
        assert_eq!(desk.broker.account().steps(0), held * 1000, "{balance}");
    }
}

#[test]
fn rule_11_gaps_go_through_stops_and_are_kind_to_limits() {
    let mut desk = desk();
    desk.send(Ticket { stop_loss: Some(9_950), take_profit: Some(10_050), ..Ticket::market(0, 1) }).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    desk.bar(9_800, 9_800, 9_800, 9_800);
    assert_eq!((desk.prices()[1], desk.deals()[1].reason), (9_800.0, Reason::StopLoss));
    desk.send(pending(1, OrderKind::Limit { price: 9_700 })).unwrap();
    desk.send(pending(1, OrderKind::Stop { price: 9_900 })).unwrap();
    desk.bar(9_800, 9_800, 9_800, 9_800);
    desk.bar(9_600, 9_600, 9_600, 9_600);
    desk.bar(10_300, 10_300, 10_300, 10_300);
    assert_eq!(desk.prices()[2..], [9_600.0, 10_300.0]);
}

#[test]
fn rule_12_stops_before_limits_inside_a_bar() {
    let mut desk = desk();
    desk.send(Ticket { stop_loss: Some(9_950), take_profit: Some(10_050), ..Ticket::market(0, 1) }).unwrap();
    desk.bar(10_000, 10_100, 9_900, 10_000);
    assert_eq!((desk.prices()[1], desk.deals()[1].reason), (9_950.0, Reason::StopLoss));
    // A touch fills on bars of the bid (for a buyer, the ask), not on bars of trades.
    let touch = |side: PriceSide, low: i64| {
        let mut desk = with(Listing { price_side: side, ..listing("btcusd") });
        desk.send(pending(1, OrderKind::Limit { price: 9_950 })).unwrap();
        desk.bar(10_000, 10_000, 10_000, 10_000);
        desk.bar(10_000, 10_000, low, 10_000);
        desk.prices()
    };
    assert_eq!(touch(PriceSide::Bid, 9_950), [9_950.0]);
    assert!(touch(PriceSide::Last, 9_950).is_empty());
    assert_eq!(touch(PriceSide::Last, 9_949), [9_950.0]);
    // A stop-limit order triggered inside a bar rests from the next.
    let mut desk = desk_with_stop_limit();
    desk.bar(10_000, 10_120, 9_990, 10_000);
    assert!(desk.deals().is_empty());
    desk.bar(10_000, 10_000, 10_000, 10_000);
    assert_eq!(desk.prices(), [10_000.0], "marketable: the better price");
    // What it finds there it takes, with slippage; an IOC order rests for nobody.
    let slippage = Slippage { fixed: 5.0, volatility: 0.0 };
    let stop_limit = OrderKind::StopLimit { stop: 10_100, limit: 10_110 };
    for (fill, open, prices) in
        [(FillPolicy::Return, 10_105, vec![10_110.0]), (FillPolicy::Ioc, 10_120, vec![])]
    {
        let mut desk = with(Listing { slippage, ..listing("btcusd") });
        desk.send(Ticket { fill, ..pending(1, stop_limit) }).unwrap();
        desk.bar(10_000, 10_000, 10_000, 10_000);
        desk.bar(open, open, open, open);
        assert_eq!((desk.prices(), desk.broker.working().len()), (prices, 0), "{fill:?}");
    }
}

fn desk_with_stop_limit() -> Desk {
    let mut desk = desk();
    desk.send(pending(1, OrderKind::StopLimit { stop: 10_100, limit: 10_090 })).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    desk
}

#[test]
fn rule_13_one_way_only() {
    let mut desk = desk();
    desk.send(pending(1, OrderKind::Limit { price: 9_950 })).unwrap();
    desk.send(pending(-1, OrderKind::Limit { price: 10_050 })).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    desk.bar(10_000, 10_100, 9_900, 10_000);
    assert_eq!(desk.prices(), [9_950.0]);
    desk.bar(10_000, 10_100, 9_900, 10_000);
    assert_eq!(desk.prices(), [9_950.0, 10_050.0]);
}

#[test]
fn rule_14_entry_and_exit_in_one_bar() {
    let entry = |stop_loss, take_profit| {
        let mut desk = desk();
        let order = pending(1, OrderKind::Limit { price: 9_950 });
        desk.send(Ticket { stop_loss, take_profit, ..order }).unwrap();
        desk.bar(10_000, 10_000, 10_000, 10_000);
        desk.bar(10_000, 10_100, 9_900, 10_000);
        desk
    };
    assert_eq!(entry(None, Some(10_050)).prices(), [9_950.0], "the take profit waits");
    assert_eq!(entry(Some(9_920), None).prices(), [9_950.0, 9_920.0], "the stop loss does not");
    // What is added inside a bar to what was held makes all of it fresh.
    let mut added = desk();
    added.send(Ticket::market(0, 1)).unwrap();
    added.bar(10_000, 10_000, 10_000, 10_000);
    let order = pending(1, OrderKind::Limit { price: 9_950 });
    added.send(Ticket { stop_loss: Some(9_920), ..order }).unwrap();
    added.bar(10_000, 10_000, 10_000, 10_000);
    added.bar(10_000, 10_000, 9_900, 9_990);
    assert_eq!((added.prices()[2], added.broker.account().steps(0)), (9_920.0, 0));
    // Rule 16: finer bars decide. First down to 9,940, then up to 10,100.
    let mut desk = desk();
    let order = pending(1, OrderKind::Limit { price: 9_950 });
    desk.send(Ticket { take_profit: Some(10_050), ..order }).unwrap();
    desk.bar(10_000, 10_000, 9_940, 9_960);
    desk.bar(9_960, 9_970, 9_940, 9_960);
    desk.bar(9_960, 10_100, 9_960, 10_000);
    assert_eq!(desk.prices(), [9_950.0, 10_050.0]);
}

#[test]
fn rule_15_stop_out_at_the_worst_price() {
    // 100 lots of 100.00 at leverage 100 ask 100.00; stop-out at 50 %: when 150.00 of 200.00 are lost, at 98.50.
    let mut desk = Desk::new(listing("btcusd"), ACCOUNT, 200.0);
    desk.bar(10_000, 10_000, 10_000, 10_000);
    desk.send(Ticket::market(0, 10_000)).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    desk.send(pending(1, OrderKind::Limit { price: 5_000 })).unwrap();
    desk.bar(10_000, 10_000, 9_851, 10_000);
    assert_eq!(desk.broker.account().steps(0), 10_000);
    desk.bar(10_000, 10_000, 9_840, 10_000);
    assert_eq!(desk.prices()[1], 9_840.0);
    assert_eq!((desk.broker.account().steps(0), desk.broker.working().len()), (0, 0));
    assert!(close(desk.broker.equity(), 200.0 - 160.0));
    assert_eq!(ended(&desk), Some((Ended::StoppedOut, 1)));
    // In money; a gap goes through it.
    let levels = MarginLevels::Money { call: 150.0, stop_out: 100.0 };
    let mut desk = Desk::new(listing("btcusd"), AccountRules { levels, ..ACCOUNT }, 200.0);
    desk.bar(10_000, 10_000, 10_000, 10_000);
    desk.send(Ticket::market(0, 10_000)).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    desk.bar(9_000, 9_000, 9_000, 9_000);
    assert!(close(desk.broker.equity(), -800.0), "what a gap does to a margin account");
}

#[test]
fn rule_17_financing() {
    // One lot of the CFD, ten ticks of 0.01 a night, through the week in which New York's summer begins: Thursday's and Friday's
    // midnights at 22:00 UTC, no weekend's, Monday's to Wednesday's at 21:00, the last three times: 0.1 * (1 + 1 + 1 + 1 + 3).
    let swap = Swap { mode: SwapMode::Points { long: -10.0, short: 0.0 }, triple_day: Some(2) };
    let mut desk = with(Listing { clock: ServerClock::NEW_YORK_CLOSE, swap, ..listing("btcusd") });
    desk.quote("2023-03-09T12:00", 10_000, 10_000);
    desk.trade(100, None);
    let before = desk.broker.equity();
    let paid_until = |desk: &mut Desk, time: &str| {
        desk.quote(time, 10_000, 10_000);
        before - desk.broker.equity()
    };
    for (time, nights) in [
        ("2023-03-09T21:59", 0.0),
        ("2023-03-09T22:00", 1.0),
        ("2023-03-10T22:00", 2.0),
        ("2023-03-13T20:59", 2.0),
        ("2023-03-13T21:00", 3.0),
        ("2023-03-15T20:59", 4.0),
        ("2023-03-15T21:00", 7.0),
    ] {
        let paid = paid_until(&mut desk, time);
        assert!(close(paid, 0.1 * nights), "{time}: {paid}");
    }

    // Funding of 0.01 % on 10,000.00 at 08:00: longs pay 1.00.
    let funding = Funding::new(vec![(at("2023-03-06T10:03"), 1e-4)]).unwrap();
    let pay = |steps: i64, listing: Listing| {
        let mut desk = with(listing);
        desk.send(Ticket::market(0, steps)).unwrap();
        for _ in 0..4 {
            desk.bar(100_000, 100_000, 100_000, 100_000);
        }
        desk.broker.equity() - 1_000_000.0
    };
    let swap = || Listing { funding: funding.clone(), ..listing("btcusdt-perpetual") };
    assert!(close(pay(1_000, swap()), -1.0) && close(pay(-1_000, swap()), 1.0));
    // A borrowed coin at 1,000.00 for three minutes at 50 % a year.
    let mut spot = listing("btcusdt-spot");
    spot.instrument = Instrument { short: ShortSale::Borrowed(0.5), ..spot.instrument };
    let rent = pay(-100_000, spot);
    assert!((rent + 1000.0 * 0.5 * 180.0 / 31_557_600.0).abs() < 1e-9, "{rent}");
}

#[test]
fn rule_18_trades_fill_limits_they_go_beyond() {
    let mut desk = desk();
    desk.send(pending(5, OrderKind::Limit { price: 9_950 })).unwrap();
    desk.bar(10_000, 10_000, 10_000, 10_000);
    let trade = |price, steps| MarketEvent::Trade(Trade { time: at("2023-03-06T10:05"), price, steps });
    desk.event(&trade(9_950, 100));
    assert!(desk.deals().is_empty());
    desk.event(&trade(9_949, 3));
    assert_eq!((desk.deals()[0].steps, desk.prices()[0]), (3, 9_950.0));
}

#[test]
fn rule_19_books_make_quotes() {
    let mut desk = desk();
    let time = at("2023-03-06T10:05");
    let delta = |side, price, steps| MarketEvent::BookDelta(BookDelta { time, side, price, steps });
    desk.event(&delta(Side::Buy, 9_990, 5));
    desk.event(&delta(Side::Sell, 10_010, 7));
    assert_eq!((desk.broker.mark(0).bid, desk.broker.mark(0).ask), (9_990.0, 10_010.0));
    desk.event(&delta(Side::Sell, 10_005, 2));
    assert_eq!(desk.broker.mark(0).ask, 10_005.0);
    desk.event(&delta(Side::Sell, 10_005, 0));
    assert_eq!(desk.broker.mark(0).ask, 10_010.0);
    desk.event(&delta(Side::Buy, 10_010, 1));
    desk.event(&delta(Side::Sell, 10_020, 1));
    assert_eq!((desk.broker.mark(0).bid, desk.broker.mark(0).ask), (10_010.0, 10_020.0));
}

#[test]
fn hedging_orders_close_what_they_name() {
    let account = AccountRules { books: Books::Hedging, ..ACCOUNT };
    let mut desk = Desk::new(listing("btcusd"), account, 10_000.0);
    desk.quote("2023-03-06T10:00", 10_000, 10_010);
    let (long, short) = (desk.trade(10, None).position, desk.trade(-4, None).position);
    assert_eq!(desk.broker.account().holdings().len(), 2);
    desk.trade(-10, Some(long));
    assert_eq!(desk.broker.account().holdings()[0].id, short);
    // A position that is gone cannot be closed again.
    desk.send(Ticket { closes: Some(long), ..Ticket::market(0, -1) }).unwrap();
    let quote = Quote { time: desk.now, bid: 10_000, ask: 10_010, depth: None };
    desk.event(&MarketEvent::Quote(quote));
    assert_eq!(ended(&desk).map(|e| e.0), Some(Ended::NothingToClose));
}
