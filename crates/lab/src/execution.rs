//! From the config's execution to what environments trade through: events, outlooks and rates of a tape.

use std::path::Path;
use std::sync::Arc;

use cambist_core::{MarketTape, UnixNanos};
use cambist_data::DataFolder;
use cambist_decide::TicketRules;
use cambist_execution::feed::outlooks;
use cambist_execution::{BrokerRules, Engine, Funding, Listing, bar_events};
use cambist_market::{Execution, FinerBars, FullExecution};
use cambist_risk::{GateLimits, Outlook, SizeRule};

use crate::config::ConfigError;
use crate::config::{BrokerSetup, Config, Conversion, DataSource, ExecutionSetup};
use crate::error::LabError;

/// A conversion rate older than ten days is none: markets are never closed for as long.
const OLDEST_RATE: i64 = 10 * 86_400 * 1_000_000_000;

/// What environments over `tape` trade through.
///
/// # Errors
/// When the tape lacks what the broker's terms need, or a file cannot be read.
pub(crate) fn execution(
    config: &Config,
    tape: &MarketTape,
    finer: Option<&MarketTape>,
    data: &Path,
) -> Result<Execution, LabError> {
    match &config.execution {
        ExecutionSetup::Short(rules) => Ok(Execution::Short(Engine::new(*rules))),
        ExecutionSetup::Broker(setup) => {
            Ok(Execution::Full(Arc::new(full(config, setup, tape, finer, data)?)))
        }
    }
}

fn full(
    config: &Config,
    setup: &BrokerSetup,
    tape: &MarketTape,
    finer: Option<&MarketTape>,
    data: &Path,
) -> Result<FullExecution, LabError> {
    let listing =
        Listing { price_side: tape.price_side, funding: funding(setup, tape)?, ..setup.listing.clone() };
    let events = bar_events(tape, &listing, &setup.feed)?;
    let finer = finer.map(|finer| finer_bars(finer, tape, &listing, setup)).transpose()?;
    let instrument = &listing.instrument;
    let step_units = instrument.contract_size * instrument.lots.step;
    let tickets = TicketRules {
        sizing: setup.sizing,
        step_units,
        steps_per_lot: 1.0 / instrument.lots.step,
        minimum: instrument.lots.minimum,
        maximum: instrument.lots.maximum,
        tick_size: instrument.tick_size,
        stop_ranges: setup.stop_ranges,
        target_ranges: setup.target_ranges,
        cost_fraction: listing.commission.taker_bp * 1e-4,
        cost_per_unit: listing.commission.per_lot / instrument.contract_size,
        slippage_ticks: listing.slippage.fixed,
    };
    let looks = setup.stop_ranges.is_some()
        || setup.target_ranges.is_some()
        || matches!(setup.sizing, SizeRule::VolatilityTarget { .. } | SizeRule::Kelly { .. });
    let outlooks = if looks { outlooks(tape, &setup.feed, setup.atr_bars) } else { Vec::new() };
    let rates = rates(config, setup, tape, data)?;
    let rules = BrokerRules { listings: vec![listing], account: setup.account, seed: config.raw.run.seed };
    Ok(FullExecution {
        rules: Arc::new(rules),
        events,
        finer,
        outlooks: outlooks.into(),
        rates: rates.into(),
        tickets,
        gate: setup.gate,
        ruin_fraction: setup.ruin_fraction,
    })
}

/// Refuses what [`stops_are_far_enough`] does, of bars that are trained or judged on.
pub(crate) fn usable(config: &Config, execution: Execution) -> Result<Execution, LabError> {
    if let (ExecutionSetup::Broker(setup), Execution::Full(full)) = (&config.execution, &execution) {
        stops_are_far_enough(setup, setup.listing.instrument.tick_size, &full.outlooks)?;
    }
    Ok(execution)
}

/// Refuses stops and targets that rule 3 would refuse with most orders: half of the bars' average true ranges are too small for
/// them.
fn stops_are_far_enough(setup: &BrokerSetup, tick: f64, outlooks: &[Outlook]) -> Result<(), LabError> {
    let level = setup.listing.instrument.stops_level;
    let mut ranges: Vec<f64> = outlooks.iter().map(|o| o.true_range).filter(|range| *range > 0.0).collect();
    ranges.sort_by(f64::total_cmp);
    let Some(median) = ranges.get(ranges.len() / 2) else { return Ok(()) };
    for (field, ranges) in
        [("broker.stop_loss_atr", setup.stop_ranges), ("broker.take_profit_atr", setup.target_ranges)]
    {
        let Some(ranges) = ranges else { continue };
        let ticks = ranges * median / tick;
        if ticks < level as f64 {
            return Err(LabError::Config(ConfigError::Value {
                field,
                value: ranges.to_string(),
                expected: format!(
                    "at least {:.2}: it lies {ticks:.0} ticks from the price in the median, and broker.stops_level is {level} (rule 3), \
                     so that most orders would be refused",
                    level as f64 * tick / median
                ),
            }));
        }
    }
    Ok(())
}

/// Events of `finer`, by the bars of `tape` they lie in.
fn finer_bars(
    finer: &MarketTape,
    tape: &MarketTape,
    listing: &Listing,
    setup: &BrokerSetup,
) -> Result<FinerBars, LabError> {
    let begins = |open: &i64| finer.open_time.partition_point(|&time| time < *open);
    let starts: Vec<usize> = tape.open_time.iter().map(begins).chain([finer.len()]).collect();
    Ok(FinerBars { events: bar_events(finer, listing, &setup.feed)?, starts: starts.into() })
}

/// The same for rules that are no policy: any target at once the equity, without stops.
pub(crate) fn free(execution: &Execution) -> Execution {
    match execution {
        Execution::Short(engine) => Execution::Short(*engine),
        Execution::Full(full) => {
            let tickets = TicketRules {
                sizing: SizeRule::FixedFraction(1.0),
                stop_ranges: None,
                target_ranges: None,
                ..full.tickets
            };
            Execution::Full(Arc::new(FullExecution {
                tickets,
                gate: GateLimits::default(),
                ..full.as_ref().clone()
            }))
        }
    }
}

/// Series beside the bars that money depends on, as bits.
pub(crate) fn beside(execution: &Execution) -> Vec<(&'static str, Vec<u64>)> {
    let Execution::Full(full) = execution else { return Vec::new() };
    let funding = full.rules.listings.iter().flat_map(|listing| listing.funding.bits()).collect();
    let rates = full.rates.iter().map(|rate| rate.to_bits()).collect();
    let series: [(&'static str, Vec<u64>); 2] = [("funding", funding), ("rates", rates)];
    series.into_iter().filter(|(_, bits)| !bits.is_empty()).collect()
}

/// Funding from the file, which must have a rate every day of the tape.
fn funding(setup: &BrokerSetup, tape: &MarketTape) -> Result<Funding, LabError> {
    let Some(path) = &setup.funding_file else { return Ok(Funding::default()) };
    let wrong = |line: usize, reason: String| LabError::Series { path: path.clone(), line, reason };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(0, error.to_string()))?;
    let mut rates = Vec::new();
    for (at, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let (time, rate) =
            line.split_once(',').ok_or_else(|| wrong(at + 1, format!("'{line}' is not timestamp,rate")))?;
        let time = time.trim().parse().ok().map(UnixNanos::from_millis).or_else(|| UnixNanos::parse(time));
        let time =
            time.ok_or_else(|| wrong(at + 1, "the timestamp is neither a date nor milliseconds".into()))?;
        let rate = rate.split(',').next().unwrap_or("").trim();
        let rate = rate.parse().map_err(|_| wrong(at + 1, format!("the rate '{rate}' is no number")))?;
        rates.push((time, rate));
    }
    let funding = Funding::new(rates).map_err(|error| wrong(0, error.to_string()))?;
    if let (Some(&first), Some(&last)) = (tape.open_time.first(), tape.open_time.last()) {
        funding.covers(UnixNanos(first), UnixNanos(last + 1)).map_err(|error| wrong(0, error.to_string()))?;
    }
    Ok(funding)
}

/// Deposit currency for one of the profit currency at every bar's open: the last close before it.
fn rates(config: &Config, setup: &BrokerSetup, tape: &MarketTape, data: &Path) -> Result<Vec<f64>, LabError> {
    let (symbol, inverse) = match &setup.conversion {
        Conversion::Fixed(rate) if *rate == 1.0 => return Ok(Vec::new()),
        Conversion::Fixed(rate) => return Ok(vec![*rate; tape.len()]),
        Conversion::Symbol { symbol, inverse } => (symbol, *inverse),
    };
    let (venue, stored) = match &config.source {
        DataSource::Store { venue, stored, .. } => (venue.as_deref(), *stored),
        DataSource::Synthetic(_) => (None, config.timeframe),
    };
    let other = DataFolder::open(data)?.read(symbol, venue, stored)?.1;
    let bar = other.timeframe.nanos();
    let known_at = |time: i64| {
        let after = other.open_time.partition_point(|&open| open + bar <= time);
        let row = after.checked_sub(1).filter(|&row| time - other.close_time(row).0 <= OLDEST_RATE)?;
        Some(if inverse { 1.0 / other.close[row] } else { other.close[row] })
    };
    let missing = |time: i64| LabError::NoRate { symbol: symbol.clone(), time: UnixNanos(time).to_string() };
    tape.open_time.iter().map(|&time| known_at(time).ok_or_else(|| missing(time))).collect()
}
