//! Two accounts worked by hand: EURUSD netting with swap, partial close and reversal; BTCUSD hedging with a covered leg and
//! a stop-out. Every number is derived in the comments.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use cambist_core::ServerClock;
use cambist_execution::{AccountRules, Books, Commission, Listing, Notice, Reason, Swap, SwapMode};
use common::{ACCOUNT, Desk, close, listing};

/// 3.50 a lot and side; swap -6.5 ticks long, +2 ticks short, at the broker's midnight, Wednesday's three times. A lot is 100,000 euros,
/// a tick 0.00001 and worth 1 USD to a lot; a step is 0.01 lots.
#[test]
fn eurusd_in_a_netting_account() {
    let swap = Swap { mode: SwapMode::Points { long: -6.5, short: 2.0 }, triple_day: Some(2) };
    let commission = Commission { per_lot: 3.5, ..Commission::default() };
    let mut desk = Desk::new(
        Listing { clock: ServerClock::NEW_YORK_CLOSE, swap, commission, ..listing("eurusd") },
        ACCOUNT,
        10_000.0,
    );

    // Monday. 1. Buy 1.00 at the ask, 1.06510: commission 3.50, so 9,996.50 are left.
    desk.quote("2023-03-06T10:00", 106_500, 106_510);
    let deal = desk.trade(100, None);
    assert_eq!((deal.price, deal.costs.commission, deal.costs.spread), (106_510.0, 3.5, 5.0));
    assert!(close(desk.balance(), 9_996.50));
    // Margin: 100,000 * 1.06510 / 100 = 1,065.10. Marked at the bid, ten ticks lower: 9,996.50 - 10 = 9,986.50.
    assert!(close(desk.broker.margin(), 1_065.10) && close(desk.broker.equity(), 9_986.50));

    // 2. Buy 0.50 at 1.06710: 1.75. Average entry (106,510 * 100 + 106,710 * 50) / 150 = 106,576 2/3.
    desk.quote("2023-03-06T12:00", 106_700, 106_710);
    desk.trade(50, None);
    assert!(close(desk.balance(), 9_994.75));
    assert!(close(desk.broker.account().holdings()[0].entry, 106_576.0 + 2.0 / 3.0));

    // Tuesday. Swap of Monday's night: 1.5 * -6.5 = -9.75.
    // 3. Sell 0.60 of 1.50 at 1.06900: profit 323 1/3 * 0.60 = 194.00; swap -9.75 * 60/150 = -3.90; commission 2.10.
    //    9,994.75 + 194.00 - 3.90 - 2.10 = 10,182.75.
    desk.quote("2023-03-07T10:00", 106_900, 106_912);
    let deal = desk.trade(-60, None);
    assert!(close(deal.profit, 194.0) && close(deal.financing, -3.9) && deal.closed == 60);
    assert!(close(desk.balance(), 10_182.75));

    // 4. Reversal: sell 2.00 at 1.06850. Closes 0.90: 273 1/3 * 0.90 = 246.00; swap -5.85; commission 7.00.
    //    10,182.75 + 246.00 - 5.85 - 7.00 = 10,415.90. Short 1.10 from 1.06850.
    desk.quote("2023-03-07T15:00", 106_850, 106_860);
    let deal = desk.trade(-200, None);
    assert!(close(deal.profit, 246.0) && close(deal.financing, -5.85) && deal.closed == 90);
    assert!(close(desk.balance(), 10_415.90));
    let held = desk.broker.account().holdings()[0];
    assert_eq!((held.steps, held.entry, desk.broker.account().holdings().len()), (-110, 106_850.0, 1));

    // Thursday. Swap of Tuesday's night 1.1 * 2 = 2.20, of Wednesday's three times that, 6.60.
    // 5. Buy 1.10 at 1.06410: profit 440 * 1.10 = 484.00; swap 8.80; commission 3.85.
    //    10,415.90 + 484.00 + 8.80 - 3.85 = 10,904.85.
    desk.quote("2023-03-09T09:00", 106_400, 106_410);
    let deal = desk.trade(110, None);
    assert!(close(deal.profit, 484.0) && close(deal.financing, 8.8));
    assert!(close(desk.balance(), 10_904.85));
    assert_eq!(desk.broker.equity().to_bits(), desk.balance().to_bits(), "flat");
}

/// 5 bp a side; interest of 18 % long and 3.6 % short a year of 360 days, every midnight UTC; leverage 10; stop-out at
/// 50 %. A lot is one coin, a tick 0.01, a step 0.01 lots; what is covered asks no margin.
#[test]
fn btcusd_in_a_hedging_account() {
    let swap = Swap { mode: SwapMode::Interest { long: -18.0, short: -3.6 }, triple_day: None };
    let commission = Commission { taker_bp: 5.0, ..Commission::default() };
    let account = AccountRules { books: Books::Hedging, leverage: 10.0, ..ACCOUNT };
    let mut desk = Desk::new(Listing { swap, commission, ..listing("btcusd") }, account, 5_000.0);

    // Monday. 6. Buy 0.50 at 20,010: value 10,005, commission 5.0025: 4,994.9975. Margin 1,000.50.
    desk.quote("2023-03-06T10:00", 2_000_000, 2_001_000);
    let long = desk.trade(50, None).position;
    assert!(close(desk.balance(), 4994.9975) && close(desk.broker.margin(), 1_000.50));

    // 7. Sell 0.20 beside it at 20,000: value 4,000, commission 2.00: 4,992.9975.
    //    Margin of the surplus: 0.30 * 20,010 / 10 = 600.30; the covered 0.20 ask none.
    let short = desk.trade(-20, None).position;
    assert!(close(desk.balance(), 4992.9975) && close(desk.broker.margin(), 600.30));
    assert_ne!(long, short);

    // Tuesday. Interest of the night: long 0.50 * 20,000 * 18 % / 360 = -5.00; short 0.20 * 20,010 * 3.6 % / 360 = -0.4002.
    // 8. Close 0.30 of the long at 21,000: 990 * 0.30 = 297.00; interest -5.00 * 30/50 = -3.00; 5 bp of 6,300 = 3.15.
    //    4,992.9975 + 297.00 - 3.00 - 3.15 = 5,283.8475.
    desk.quote("2023-03-07T10:00", 2_100_000, 2_101_000);
    let deal = desk.trade(-30, Some(long));
    assert!(close(deal.profit, 297.0) && close(deal.financing, -3.0) && deal.position == long);
    assert!(close(desk.balance(), 5283.8475));

    // 9. Turning the short into a long takes two orders. Close 0.20 at 21,010: -1,010 * 0.20 = -202.00; interest -0.4002;
    //    5 bp of 4,202 = 2.101. 5,283.8475 - 202.00 - 0.4002 - 2.101 = 5,079.3463.
    desk.trade(20, Some(short));
    assert!(close(desk.balance(), 5079.3463));
    //    Buy 2.00 at 21,010: 5 bp of 42,020 = 21.01: 5,058.3363. Margin 4,202.00 + 0.20 * 20,010 / 10 = 4,602.20.
    //    Equity + 0.20 * 990 - 2.00 interest - 2.00 * 10 spread = 5,234.3363.
    let large = desk.trade(200, None).position;
    assert!(close(desk.balance(), 5058.3363) && close(desk.broker.margin(), 4_602.20));
    assert!(close(desk.broker.equity(), 5234.3363));

    // 10. The bid falls to 19,500: equity 5,058.3363 - 0.20 * 510 - 2.00 - 2.00 * 1,510 = 1,934.3363, 42 % of the margin.
    //     The largest loser goes: -3,020.00, 5 bp of 39,000 = 19.50: 2,018.8363. Then 478 %: the other one stays.
    desk.quote("2023-03-07T12:00", 1_950_000, 1_951_000);
    assert!(close(desk.balance(), 2018.8363), "{}", desk.balance());
    let out = *desk.deals().last().unwrap();
    assert_eq!((out.reason, out.position, out.price), (Reason::StopOut, large, 1_950_000.0));
    assert!(desk.log.iter().any(|n| matches!(n, Notice::MarginCall { .. })));
    assert_eq!(desk.broker.account().holdings().len(), 1);
    assert!(close(desk.broker.margin(), 400.20) && close(desk.broker.equity(), 1914.8363));
}
