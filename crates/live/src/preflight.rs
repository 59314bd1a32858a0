//! Whether an account is what a policy was trained at: field by field, before the first order.

use cambist_bridge::{Account, SymbolRecord};
use cambist_execution::{MarginLevels, SwapMode};
use serde::Serialize;

use crate::deployment::Deployment;

/// Swap may differ by as much, of itself: brokers change it from day to day.
const SWAP_TOLERANCE: f64 = 0.25;

/// Where these differ, an order would be something else.
const DECIDES: [&str; 8] = [
    "account kind",
    "deposit currency",
    "trading allowed",
    "profit currency",
    "tick size",
    "contract size",
    "lot step",
    "tick value",
];

/// One field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Which.
    pub field: &'static str,
    /// As the policy was trained.
    pub trained: String,
    /// As the broker says.
    pub broker: String,
    /// Whether that will do.
    pub good: bool,
    /// Whether nothing is traded if it will not.
    pub decides: bool,
    /// What it means if it does not.
    pub meaning: &'static str,
}

/// Compares `account` and `symbol` with what `deployment` was trained at.
#[must_use]
pub fn preflight(deployment: &Deployment, account: &Account, symbol: &SymbolRecord) -> Vec<Check> {
    let listing = deployment.listing();
    let (instrument, rules) = (&listing.instrument, &deployment.rules.account);
    let lots = |steps: i64| instrument.to_lots(steps);
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    let mut checks = Vec::new();
    let mut check = |field, trained: String, broker: String, good, meaning| {
        checks.push(Check { field, trained, broker, good, decides: DECIDES.contains(&field), meaning });
    };
    let kind = |hedging| if hedging { "hedging" } else { "netting" }.to_owned();
    let hedges = account.margin_mode == 2;
    check(
        "account kind",
        kind(deployment.is_hedging()),
        kind(hedges),
        hedges == deployment.is_hedging(),
        "orders would open positions beside each other, or turn them round",
    );
    check(
        "deposit currency",
        deployment.terms.deposit_currency.clone(),
        account.currency.clone(),
        account.currency == deployment.terms.deposit_currency,
        "equity, sizes and limits are in another money",
    );
    check(
        "leverage",
        rules.leverage.to_string(),
        account.leverage.to_string(),
        f64::from(account.leverage) >= rules.leverage,
        "positions that training could pay for may be refused",
    );
    check(
        "trading allowed",
        "true".to_owned(),
        account.trade_allowed.to_string(),
        account.trade_allowed,
        "the broker, or a read-only password, forbids it",
    );
    for (field, trained, broker) in [
        ("base currency", &instrument.base, &symbol.currency_base),
        ("profit currency", &instrument.profit, &symbol.currency_profit),
    ] {
        check(field, trained.clone(), broker.clone(), trained == broker, "it is another instrument");
    }
    let numbers = [
        ("tick size", instrument.tick_size, symbol.trade_tick_size, "prices and stops are on another grid"),
        ("contract size", instrument.contract_size, symbol.trade_contract_size, "a lot is something else"),
        ("lot step", instrument.lots.step, symbol.volume_step, "sizes are on another grid"),
        (
            "smallest order",
            lots(instrument.lots.minimum),
            symbol.volume_min,
            "small changes are traded otherwise",
        ),
    ];
    for (field, trained, broker, meaning) in numbers {
        check(field, trained.to_string(), broker.to_string(), near(trained, broker), meaning);
    }
    check(
        "largest order",
        lots(instrument.lots.maximum).to_string(),
        symbol.volume_max.to_string(),
        symbol.volume_max >= lots(instrument.lots.maximum) * (1.0 - 1e-9),
        "large orders would be refused",
    );
    let worth = symbol.trade_tick_value / instrument.tick_value;
    check(
        "tick value",
        instrument.tick_value.to_string(),
        symbol.trade_tick_value.to_string(),
        // In another money it moves with the rate.
        (worth - 1.0).abs() <= 1e-6 || account.currency != instrument.profit,
        "a tick earns something else",
    );
    check(
        "stops level",
        instrument.stops_level.to_string(),
        symbol.trade_stops_level.to_string(),
        i64::from(symbol.trade_stops_level) <= instrument.stops_level.max(nearest_stop(deployment)),
        "stops as near as training's would be refused",
    );
    let (mode, trained) = match listing.swap.mode {
        SwapMode::None => (0, [0.0; 2]),
        SwapMode::Points { long, short } => (1, [long, short]),
        SwapMode::Interest { long, short } => (5, [long, short]),
    };
    // By the last price or by the price of entry: both are yearly interest.
    let same_mode = symbol.swap_mode == mode || (mode == 5 && matches!(symbol.swap_mode, 5 | 6));
    check(
        "swap mode",
        mode.to_string(),
        symbol.swap_mode.to_string(),
        same_mode,
        "holding over night costs something else",
    );
    for (field, trained, broker) in
        [("swap long", trained[0], symbol.swap_long), ("swap short", trained[1], symbol.swap_short)]
    {
        let good = broker >= trained - SWAP_TOLERANCE * trained.abs() - 1e-9;
        check(
            field,
            trained.to_string(),
            broker.to_string(),
            good,
            "holding over night costs more than training reckoned with",
        );
    }
    let (mode, stop_out) = match rules.levels {
        MarginLevels::Percent { stop_out, .. } => (0, stop_out),
        MarginLevels::Money { stop_out, .. } => (1, stop_out),
    };
    let unit = |mode: u32, level: f64| format!("{level}{}", if mode == 0 { " %" } else { " in money" });
    check(
        "stop-out",
        unit(mode, stop_out),
        unit(account.margin_so_mode, account.margin_so_so),
        account.margin_so_mode == mode && account.margin_so_so <= stop_out + 1e-9,
        "the broker closes positions earlier",
    );
    checks
}

/// Ticks of a stop that is nearer than any that training set: nothing is known of one, so none.
fn nearest_stop(deployment: &Deployment) -> i64 {
    if deployment.terms.tickets.stop_ranges.is_none() && deployment.terms.tickets.target_ranges.is_none() {
        i64::MAX
    } else {
        0
    }
}
