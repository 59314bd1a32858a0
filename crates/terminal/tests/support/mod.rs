//! Bars and a broker for the tests of the terminal.

use std::sync::Arc;

use cambist_core::rng::{Purpose, Stream};
use cambist_core::{BarEvent, PriceSide, ServerClock, UnixNanos};
use cambist_execution::{
    AccountRules, Books, BrokerRules, Commission, Impact, Listing, MarginLevels, Shortfall, Slippage, Swap,
    SwapMode, presets,
};
use cambist_terminal::Setup;

pub(crate) const MINUTE: i64 = 60_000_000_000;

pub(crate) fn bars(n: usize, seed: u64) -> Vec<BarEvent> {
    let mut stream = Stream::new(seed, Purpose::Check, 0);
    let first = UnixNanos::parse("2023-03-10T20:00").unwrap().0;
    let mut price = 2_000_000_i64;
    let mut step = |wide: f64| (wide * stream.normal()) as i64;
    (0..n as i64)
        .map(|minute| {
            let open = price + step(40.0);
            let close = open + step(400.0);
            let (high, low) = (open.max(close) + step(200.0).abs(), open.min(close) - step(200.0).abs());
            price = close;
            BarEvent {
                open_time: UnixNanos(first + minute * MINUTE),
                close_time: UnixNanos(first + (minute + 1) * MINUTE),
                open,
                high,
                low,
                close,
                spread: 50 + minute % 7,
                volume: Some(5_000),
                volatility: 2e-4,
            }
        })
        .collect()
}

pub(crate) fn setup(books: Books, bars: Vec<BarEvent>) -> Setup {
    let listing = Listing {
        clock: ServerClock::NEW_YORK_CLOSE,
        commission: Commission { taker_bp: 3.0, maker_bp: 1.0, ..Commission::default() },
        slippage: Slippage { fixed: 0.7, volatility: 0.05 },
        impact: Impact { temporary: 0.8, permanent: 0.3, half_life: 6.0 },
        participation: Some(0.05),
        swap: Swap { mode: SwapMode::Interest { long: -18.0, short: -3.0 }, triple_day: None },
        ..Listing::free(presets::instrument("btcusd").unwrap(), PriceSide::Bid)
    };
    let account = AccountRules {
        books,
        leverage: 20.0,
        levels: MarginLevels::Percent { call: 100.0, stop_out: 50.0 },
        shortfall: Shortfall::Reject,
        digits: Some(2),
        whole_ticks: true,
    };
    let bars: Arc<[BarEvent]> = bars.into();
    Setup {
        chart: Arc::clone(&bars),
        rules: Arc::new(BrokerRules { listings: vec![listing], account, seed: 3 }),
        symbol: "BTCUSD".to_owned(),
        bars,
        rates: Arc::new([]),
        seconds: 60,
        history: 10,
        balance: 100_000.0,
        currency: "USD".to_owned(),
        login: 7,
    }
}
