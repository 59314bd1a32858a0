//! Instruments as brokers and venues publish them: specifications only. What trading them costs is written in the config.

use cambist_core::ServerClock;

use crate::instrument::{Calculation, Instrument, LotRule, Sessions, ShortSale};

/// Names of the presets.
pub const NAMES: [&str; 5] = ["btcusd", "eurusd", "xauusd", "btcusdt-spot", "btcusdt-perpetual"];

/// From New York's 17:00 on Sunday to its 17:00 on Friday: five days of [`ServerClock::NEW_YORK_CLOSE`].
fn forex_week() -> Sessions {
    vec![(0, 5 * 1440)]
}

/// The same five days, each without its first hour, in which the metals market rests.
fn metal_week() -> Sessions {
    (0..5).map(|day| (day * 1440 + 60, (day + 1) * 1440)).collect()
}

/// The preset `name`:
/// - `btcusd`: a CFD on bitcoin at a MetaTrader 5 broker, a lot is one coin, around the clock;
/// - `eurusd`: Forex, a lot is 100,000 euros, from Sunday to Friday 17:00 in New York;
/// - `xauusd`: gold at a MetaTrader 5 broker, a lot is 100 ounces, in the same week with an hour of rest a day;
/// - `btcusdt-spot`: a spot venue; long only until a borrow rate is written;
/// - `btcusdt-perpetual`: a linear perpetual swap with funding.
#[must_use]
pub fn instrument(name: &str) -> Option<Instrument> {
    let cfd = Instrument {
        name: name.to_owned(),
        calculation: Calculation::CfdLeverage,
        tick_size: 0.01,
        tick_value: 0.01,
        contract_size: 1.0,
        lots: LotRule { step: 0.01, minimum: 1, maximum: 10_000 },
        stops_level: 0,
        freeze_level: 0,
        margin_rate: 1.0,
        hedged_margin: 0.0,
        short: ShortSale::Contract,
        base: "BTC".to_owned(),
        profit: "USD".to_owned(),
        sessions: Vec::new(),
        session_clock: ServerClock::NEW_YORK_CLOSE,
    };
    Some(match name {
        "btcusd" => cfd,
        "eurusd" => Instrument {
            calculation: Calculation::Forex,
            tick_size: 1e-5,
            tick_value: 1.0,
            contract_size: 100_000.0,
            hedged_margin: 50_000.0,
            base: "EUR".to_owned(),
            sessions: forex_week(),
            ..cfd
        },
        "xauusd" => Instrument {
            tick_value: 1.0,
            contract_size: 100.0,
            hedged_margin: 50.0,
            base: "XAU".to_owned(),
            sessions: metal_week(),
            ..cfd
        },
        "btcusdt-spot" => Instrument {
            calculation: Calculation::Exchange,
            tick_value: 0.01,
            lots: LotRule { step: 1e-5, minimum: 1, maximum: 900_000_000 },
            short: ShortSale::Forbidden,
            profit: "USDT".to_owned(),
            ..cfd
        },
        "btcusdt-perpetual" => Instrument {
            tick_size: 0.1,
            tick_value: 0.1,
            lots: LotRule { step: 0.001, minimum: 1, maximum: 1_000_000 },
            profit: "USDT".to_owned(),
            ..cfd
        },
        _ => return None,
    })
}
