//! Instruments as brokers and venues publish them: specifications only. What trading them costs is written in the config.

use crate::instrument::{Calculation, Instrument, LotRule, Sessions, ShortSale};

/// Names of the presets.
pub const NAMES: [&str; 5] = ["btcusd", "eurusd", "xauusd", "btcusdt-spot", "btcusdt-perpetual"];

/// Sunday 22:00 to Friday 22:00 UTC.
fn forex_week() -> Sessions {
    let friday_evening = 4 * 1440 + 22 * 60;
    let sunday_evening = 6 * 1440 + 22 * 60;
    vec![(0, friday_evening), (sunday_evening, 7 * 1440)]
}

/// The preset `name`:
/// - `btcusd`: a CFD on bitcoin at a MetaTrader 5 broker, a lot is one coin, around the clock;
/// - `eurusd`: Forex, a lot is 100,000 euros;
/// - `xauusd`: gold at a MetaTrader 5 broker, a lot is 100 ounces;
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
            sessions: forex_week(),
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
