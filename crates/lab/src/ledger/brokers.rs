//! Brokers that differ in every rule.

use cambist_core::{DaylightSaving, PriceSide, ServerClock, UnixNanos};
use cambist_execution::{
    AccountRules, AfterGap, Books, BrokerRules, Commission, Funding, Impact, Latency, Listing, MarginLevels,
    ShortSale, Shortfall, Slippage, Swap, SwapMode, presets,
};

use super::{MINUTE, START};

/// One of each kind.
pub(super) fn brokers(seed: u64) -> Vec<BrokerRules> {
    let listing = |name: &str, side| {
        presets::instrument(name)
            .map(|instrument| Listing { after_gap: AfterGap::Fill, ..Listing::free(instrument, side) })
    };
    let commission = Commission { per_lot: 3.5, taker_bp: 0.0, maker_bp: 0.0, minimum: 0.0 };
    let by_value = Commission { per_lot: 0.0, taker_bp: 5.0, maker_bp: -1.0, minimum: 1.0 };
    let impact = Impact { temporary: 0.8, permanent: 0.3, half_life: 20.0 };
    let slippage = Slippage { fixed: 0.7, volatility: 0.05 };
    let week = Swap { mode: SwapMode::Points { long: -6.5, short: 2.25 }, triple_day: Some(2) };
    let interest = Swap { mode: SwapMode::Interest { long: -18.0, short: -3.0 }, triple_day: None };
    let rates =
        (0..3000).map(|i| (UnixNanos(START + i * 480 * MINUTE), 1e-4 * ((i % 7) as f64 - 2.0))).collect();
    let funding = Funding::new(rates).unwrap_or_default();
    let percent = MarginLevels::Percent { call: 100.0, stop_out: 50.0 };
    let money = MarginLevels::Money { call: 30_000.0, stop_out: 20_000.0 };
    let account = AccountRules {
        books: Books::Netting,
        leverage: 100.0,
        levels: percent,
        shortfall: Shortfall::Reject,
        digits: None,
        whole_ticks: true,
    };
    let athens = ServerClock { offset_minutes: 120, saving: DaylightSaving::Eu };
    let forex = listing("eurusd", PriceSide::Bid).map(|l| Listing {
        clock: ServerClock::NEW_YORK_CLOSE,
        commission,
        slippage,
        swap: week,
        ..l
    });
    let coin = listing("btcusd", PriceSide::Bid).map(|l| Listing {
        clock: athens,
        commission: by_value,
        swap: interest,
        latency: Latency::Millis(20_000),
        ..l
    });
    let gold = listing("xauusd", PriceSide::Bid).map(|l| Listing {
        clock: ServerClock::NEW_YORK_CLOSE,
        swap: week,
        ..l
    });
    let perpetual = listing("btcusdt-perpetual", PriceSide::Last).map(|l| Listing {
        commission: by_value,
        funding,
        slippage,
        impact,
        participation: Some(0.1),
        ..l
    });
    let spot = listing("btcusdt-spot", PriceSide::Mid).map(|mut l| {
        l.instrument.short = ShortSale::Borrowed(0.2);
        l.instrument.lots.step = 0.001;
        Listing {
            commission: by_value,
            latency: Latency::Bars(1),
            participation: Some(0.2),
            reject_share: 0.02,
            ..l
        }
    });
    let long_only = listing("btcusdt-spot", PriceSide::Ask).map(|mut l| {
        l.instrument.lots.step = 0.001;
        l.instrument.stops_level = 20;
        Listing { after_gap: AfterGap::ExpireAfter(240), ..l }
    });
    let hedging = AccountRules { books: Books::Hedging, leverage: 30.0, ..account };
    let cases = [
        (vec![forex.clone()], account),
        (vec![forex.clone(), coin.clone()], AccountRules { digits: Some(2), ..account }),
        (vec![forex.clone(), coin.clone()], hedging),
        (vec![gold], AccountRules { digits: Some(2), ..hedging }),
        (vec![coin], AccountRules { levels: money, shortfall: Shortfall::Cut, leverage: 20.0, ..hedging }),
        (vec![perpetual.clone()], AccountRules { leverage: 10.0, shortfall: Shortfall::Cut, ..account }),
        (vec![perpetual], AccountRules { leverage: 10.0, whole_ticks: false, ..hedging }),
        (vec![spot], AccountRules { leverage: 1.0, shortfall: Shortfall::Cut, levels: money, ..account }),
        (vec![long_only], AccountRules { leverage: 1.0, digits: Some(2), ..account }),
    ];
    let full = |(listings, account): (Vec<Option<Listing>>, AccountRules)| {
        let listings: Option<Vec<Listing>> = listings.into_iter().collect();
        listings.map(|listings| BrokerRules { listings, account, seed })
    };
    cases.into_iter().filter_map(full).collect()
}
