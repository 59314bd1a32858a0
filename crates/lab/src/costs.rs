//! What a round trip costs at a time of the data, line by line, by the broker that environments trade with.

use std::path::Path;
use std::sync::Arc;

use cambist_core::{BarEvent, MarketEvent, Ticket, UnixNanos};
use cambist_execution::rim::decimal;
use cambist_execution::{
    AccountRules, BrokerRules, Deal, Latency, Listing, Notice, Shortfall, SpreadModel, SwapMode,
};
use cambist_execution::{Broker, CostModel, Decimal};
use cambist_market::{Execution, FullExecution};
use cambist_risk::{Gate, GateLimits, Position};

use crate::config::{BrokerSetup, Config, ExecutionSetup, Layers};
use crate::error::LabError;
use crate::market::Market;

/// One line of the explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct CostLine {
    /// What it is for.
    pub what: String,
    /// Amount in the deposit currency; negative is paid; none for a fact.
    pub amount: Option<f64>,
    /// Where the number comes from.
    pub why: String,
}

fn line(what: impl Into<String>, amount: impl Into<Option<f64>>, why: impl Into<String>) -> CostLine {
    CostLine { what: what.into(), amount: amount.into(), why: why.into() }
}

/// What buying and selling `lots` costs at the open of the first bar at or after `at`; of the short form, on one unit's
/// worth of equity.
///
/// # Errors
/// When the config makes no sense, the data have no such bar, or the lots are not on the step or beyond the limits.
pub fn explain(layers: &Layers, data: &Path, lots: &str, at: &str) -> Result<Vec<CostLine>, LabError> {
    let lots = decimal(lots)?;
    let units: f64 = lots.to_string().parse().unwrap_or(f64::NAN);
    if !(units.is_finite() && units > 0.0) {
        return Err(LabError::Lots(lots.to_string()));
    }
    let config = Config::validate(layers.resolve()?)?;
    let time = UnixNanos::parse(at).ok_or_else(|| LabError::Time(at.to_owned()))?;
    let market = Market::prepare(&config, data)?;
    let row = market.tape.open_time.partition_point(|&open| open < time.0);
    if row >= market.tape.len() {
        let last = market.whole().until;
        return Err(LabError::NoBar { at: at.to_owned(), last: last.to_string() });
    }
    match (&market.execution, &config.execution) {
        (Execution::Full(full), ExecutionSetup::Broker(setup)) => broker(full, setup, lots, row),
        (Execution::Short(engine), _) => Ok(short(
            &engine.rules().costs,
            units,
            market.tape.open[row],
            UnixNanos(market.tape.open_time[row]),
        )),
        (Execution::Full(_), ExecutionSetup::Short(_)) => Ok(Vec::new()),
    }
}

fn short(costs: &CostModel, units: f64, price: f64, time: UnixNanos) -> Vec<CostLine> {
    let value = units * price;
    let twice = |bp: f64| format!("2 x {bp} bp of {value:.2}");
    let paid = |bp: f64| -2e-4 * bp * value;
    vec![
        line("bar", None, format!("{time}, open {price}; the short form counts units: {units}")),
        line("commission", paid(costs.commission.0), twice(costs.commission.0)),
        line("spread", paid(costs.half_spread.0), twice(costs.half_spread.0)),
        line("slippage", paid(costs.slippage.0), twice(costs.slippage.0)),
        line(
            "round trip",
            -2.0 * costs.of(value).total(),
            format!("{:.2} bp of the value", 2e4 * costs.one_way()),
        ),
        line(
            "a year short",
            -costs.borrow_rate * value,
            format!("borrowing at {} a year", costs.borrow_rate),
        ),
    ]
}

fn broker(
    full: &FullExecution,
    setup: &BrokerSetup,
    lots: Decimal,
    row: usize,
) -> Result<Vec<CostLine>, LabError> {
    let listing = &full.rules.listings[0];
    let instrument = &listing.instrument;
    let steps = instrument.steps_of(lots)?;
    let bar = full.events[row];
    let rate = full.rates.get(row).copied().unwrap_or(1.0);
    let deals = round_trip(full, steps, row, rate)?;
    let value = instrument.value(steps, bar.open as f64) * rate;
    let mut lines = vec![
        line(
            "bar",
            None,
            format!(
                "{}, open {}, volatility {:.5} a bar, volume {}",
                bar.open_time,
                instrument.to_price(bar.open as f64),
                bar.volatility,
                bar.volume.map_or("unknown".to_owned(), |v| format!("{:.2} lots", instrument.to_lots(v)))
            ),
        ),
        line("size", None, format!("{lots} lots are {steps} steps, worth {value:.2}")),
    ];
    if !instrument.trades_at(bar.open_time) {
        let closed = "the market is closed: no order is served at this time (rule 6); what follows is what it would cost";
        lines.push(line("out of session", None, closed));
    }
    let filled: i64 = deals.iter().map(|deal| deal.steps).sum();
    if filled < 2 * steps {
        let most = listing.participation.unwrap_or(1.0);
        let (bought, all) = (instrument.to_lots(filled / 2), 2 * steps);
        lines.push(line(
            "not filled",
            None,
            format!("only {bought:.2} lots: {most} of this bar's volume (rule 9); what follows is for these, {filled} of {all} steps"),
        ));
    }
    let steps = (filled / 2).max(1);
    let value = instrument.value(steps, bar.open as f64) * rate;
    let sum = |part: fn(&Deal) -> f64| deals.iter().map(part).sum::<f64>();
    lines.push(line("commission", -sum(|d| d.costs.commission), commission_of(listing, &deals)));
    if sum(|d| d.rebate) > 0.0 {
        lines.push(line("rebate", sum(|d| d.rebate), "makers"));
    }
    lines.push(line("spread", -sum(|d| d.costs.spread), spread_of(listing, &setup.feed.spread, &bar)));
    lines.push(line(
        "slippage",
        -sum(|d| d.costs.slippage),
        format!(
            "{} ticks and {} of {:.5} a fill, up to the next whole tick",
            listing.slippage.fixed, listing.slippage.volatility, bar.volatility
        ),
    ));
    lines.push(line(
        "impact",
        -sum(|d| d.costs.impact),
        format!(
            "{} x {:.5} x sqrt(size / volume) of the price, twice; {} x {:.5} x size / volume stays, half-life {} bars",
            listing.impact.temporary,
            bar.volatility,
            listing.impact.permanent,
            bar.volatility,
            listing.impact.half_life
        ),
    ));
    let total = sum(|d| d.costs.total() - d.rebate);
    lines.push(line("round trip", -total, format!("{:.2} bp of the value", 1e4 * total / value)));
    lines.extend(holding(listing, steps, &bar, rate));
    let margin = instrument.margin(steps, bar.open as f64, full.rules.account.leverage) * rate;
    let leverage = full.rules.account.leverage;
    lines.push(line("margin", None, format!("{margin:.2} while it is held, at leverage {leverage}")));
    let delay = match listing.latency {
        Latency::Millis(ms) => {
            format!("{ms} ms: filled at the worse of the open and the price then (rule 7)")
        }
        Latency::Bars(bars) => format!("{bars} bars: filled at the open after them"),
    };
    lines.push(line("latency", None, delay));
    Ok(lines)
}

/// Deals of buying and selling at the open of `row`, with money enough and no delay.
fn round_trip(full: &FullExecution, steps: i64, row: usize, rate: f64) -> Result<Vec<Deal>, LabError> {
    let mut listing = full.rules.listings[0].clone();
    (listing.latency, listing.reject_share) = (Latency::Millis(0), 0.0);
    listing.instrument.sessions.clear();
    let account = AccountRules { leverage: 1e12, shortfall: Shortfall::Cut, ..full.rules.account };
    let rules = BrokerRules { listings: vec![listing], account, ..full.rules.as_ref().clone() };
    let mut broker = Broker::new(Arc::new(rules), 1e15);
    broker.set_rate(0, rate);
    let bar = full.events[row];
    let mut log = Vec::new();
    let mut gate = Gate::new(GateLimits::default());
    let now = bar.open_time;
    broker.on(0, &MarketEvent::Bar(bar), &mut log);
    for signed in [steps, -steps] {
        let held = broker.account().steps(0);
        if signed < 0 && held == 0 {
            return Err(LabError::NothingFilled { at: now.to_string() });
        }
        let signed = if signed < 0 { -held } else { signed };
        let position = Position { now, priced_at: now, equity: 1e15, steps: held, step_value: 1.0 };
        let mut ticket = Ticket::market(0, signed);
        ticket.closes = broker.account().holdings().first().map(|held| held.id);
        if let Ok(order) = gate.approve(ticket, &position) {
            broker.submit(order, now)?;
        }
        broker.on(0, &MarketEvent::Bar(bar), &mut log);
    }
    Ok(log
        .iter()
        .filter_map(|notice| if let Notice::Deal(deal) = notice { Some(*deal) } else { None })
        .collect())
}

fn commission_of(listing: &Listing, deals: &[Deal]) -> String {
    let tariff = &listing.commission;
    let lots: f64 = deals.iter().map(|deal| listing.instrument.to_lots(deal.steps)).sum();
    let least =
        if tariff.minimum > 0.0 { format!(", at least {} an order", tariff.minimum) } else { String::new() };
    format!(
        "{} a lot x {lots:.2} lots traded, and {} bp of each fill's value{least}",
        tariff.per_lot, tariff.taker_bp
    )
}

fn spread_of(listing: &Listing, model: &SpreadModel, bar: &BarEvent) -> String {
    let wide = listing.instrument.to_price(bar.spread as f64);
    let spread = format!("half of {} ticks ({wide:.5}) twice", bar.spread);
    match model {
        SpreadModel::Fixed(_) => format!("{spread}: fixed"),
        SpreadModel::Data => format!("{spread}: as recorded with the bar"),
        SpreadModel::Hourly { ticks, power, reference } => {
            let hour = listing.clock.shows(bar.open_time).seconds().rem_euclid(86_400) / 3600;
            let base = ticks[hour as usize];
            format!(
                "{spread}: {base} at the broker's {hour}:00 x max(1, {:.5} / {reference})^{power}",
                bar.volatility
            )
        }
    }
}

fn holding(listing: &Listing, steps: i64, bar: &BarEvent, rate: f64) -> Vec<CostLine> {
    let instrument = &listing.instrument;
    let night = |signed: i64| {
        let value = instrument.value(signed, bar.open as f64);
        listing.swap.of_a_day(instrument.to_lots(signed), instrument.tick_value, value) * rate
    };
    let next = listing.clock.next_midnight(bar.open_time).civil().format("%H:%M UTC of %-d %B");
    let midnight = format!("the broker's midnight, next {next}");
    let (unit, long, short) = match listing.swap.mode {
        SwapMode::None => return vec![line("a night", 0.0, "no swap")],
        SwapMode::Points { long, short } => ("ticks a lot", long, short),
        SwapMode::Interest { long, short } => ("% a year of 360 days", long, short),
    };
    let thrice = listing.swap.triple_day.map_or(String::new(), |day| {
        let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
        format!("; three times on {}, none at weekends", days.get(usize::from(day)).unwrap_or(&"?"))
    });
    vec![
        line("a night long", night(steps), format!("{long} {unit}, at {midnight}{thrice}")),
        line("a night short", night(-steps), format!("{short} {unit}, at {midnight}{thrice}")),
    ]
}
