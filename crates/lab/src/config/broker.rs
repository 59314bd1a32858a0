//! The section `[broker]`: what it must be, and the broker it becomes.

use std::path::PathBuf;

use cambist_core::{DaylightSaving, PriceSide, ServerClock};
use cambist_execution::rim::decimal;
use cambist_execution::{
    AccountRules, AfterGap, Books, Commission, FeedRules, Funding, Impact, Instrument, Latency, Listing,
    MarginLevels, ShortSale, Shortfall, Slippage, SpreadModel, Swap, SwapMode, presets,
};
use cambist_risk::{GateLimits, SizeRule};

use super::ConfigError;
use super::raw::{
    BooksName, LevelsName, RawBroker, SavingName, ShortfallName, SizingName, SpreadName, SwapName,
};
use super::sections::{refuse, require};

/// A broker and how it is traded with; what must be read from files is still to come.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerSetup {
    /// Instrument and terms, as yet without funding.
    pub listing: Listing,
    /// The account.
    pub account: AccountRules,
    /// From bars to events.
    pub feed: FeedRules,
    /// How large a full position is.
    pub sizing: SizeRule,
    /// Distance of the stop loss in average true ranges.
    pub stop_ranges: Option<f64>,
    /// Distance of the take profit in average true ranges.
    pub target_ranges: Option<f64>,
    /// Bars of the average true range.
    pub atr_bars: usize,
    /// The gate.
    pub gate: GateLimits,
    /// From profit to deposit currency.
    pub conversion: Conversion,
    /// Funding rates.
    pub funding_file: Option<PathBuf>,
    /// Equity at the start.
    pub initial_cash: f64,
    /// Share of it at which the account is over.
    pub ruin_fraction: f64,
}

/// What one unit of the profit currency is worth in the deposit currency.
#[derive(Debug, Clone, PartialEq)]
pub enum Conversion {
    /// Always the same.
    Fixed(f64),
    /// The last close of a data set.
    Symbol {
        /// Its name.
        symbol: String,
        /// Whether the rate is one over the close.
        inverse: bool,
    },
}

/// The price side is that of the bars, which the setup does not know yet.
const SIDE_TO_COME: PriceSide = PriceSide::Bid;

/// # Errors
/// The first field that makes no sense.
pub(super) fn setup(raw: &RawBroker) -> Result<BrokerSetup, ConfigError> {
    let listing = listing(raw)?;
    listing.validate().map_err(ConfigError::Instrument)?;
    let cash = raw.initial_cash;
    require((1e-6..=1e15).contains(&cash), "broker.initial_cash", cash, "from 1e-6 to 1e15")?;
    let ruin = raw.ruin_fraction;
    require((0.0..1.0).contains(&ruin), "broker.ruin_fraction", ruin, "at least 0 and less than 1")?;
    for (field, value) in [
        ("broker.stop_loss_atr", raw.stop_loss_atr),
        ("broker.take_profit_atr", raw.take_profit_atr),
        ("broker.lots_per_tick", raw.lots_per_tick),
        ("broker.stale_after", raw.stale_after),
    ] {
        require(value.is_finite() && value >= 0.0, field, value, "at least 0")?;
    }
    for (field, bars) in [("broker.volatility_bars", raw.volatility_bars), ("broker.atr_bars", raw.atr_bars)]
    {
        require((1..=100_000).contains(&bars), field, bars, "from 1 to 100000")?;
    }
    let digits = raw.money_digits;
    require(digits <= 8, "broker.money_digits", digits, "at most 8, or negative for none")?;
    let some = |value: f64| (value > 0.0).then_some(value);
    Ok(BrokerSetup {
        account: account(raw)?,
        feed: feed(raw)?,
        sizing: sizing(raw, &listing.instrument)?,
        stop_ranges: some(raw.stop_loss_atr),
        target_ranges: some(raw.take_profit_atr),
        atr_bars: raw.atr_bars,
        gate: gate(raw)?,
        conversion: conversion(raw, &listing.instrument)?,
        funding_file: funding_file(raw)?,
        initial_cash: cash,
        ruin_fraction: ruin,
        listing,
    })
}

fn instrument(raw: &RawBroker) -> Result<Instrument, ConfigError> {
    let Some(mut instrument) = presets::instrument(&raw.instrument) else {
        let names = presets::NAMES.join(", ");
        return refuse("broker.instrument", format!("'{}'", raw.instrument), format!("one of {names}"));
    };
    // A contract of another size or tick is worth another tick, unless that is written too.
    let resized = raw.tick_size.is_some() || raw.contract_size.is_some();
    instrument.tick_size = raw.tick_size.unwrap_or(instrument.tick_size);
    instrument.contract_size = raw.contract_size.unwrap_or(instrument.contract_size);
    if resized {
        instrument.tick_value = instrument.tick_size * instrument.contract_size;
    }
    instrument.tick_value = raw.tick_value.unwrap_or(instrument.tick_value);
    let (smallest, largest) = (instrument.lots.minimum, instrument.lots.maximum);
    let (least, most) = (instrument.to_lots(smallest), instrument.to_lots(largest));
    let step = raw.lot_step.unwrap_or(instrument.lots.step);
    require(step.is_finite() && step > 0.0, "broker.lot_step", step, "positive (rule 20)")?;
    instrument.lots.step = step;
    let steps = |field: &'static str, lots: f64| {
        let written = decimal(&lots.to_string()).and_then(|lots| instrument.steps_of(lots));
        written.or_else(|error| refuse(field, lots, format!("on the step: {error}")))
    };
    let minimum = steps("broker.lot_minimum", raw.lot_minimum.unwrap_or(least.max(instrument.lots.step)))?;
    let maximum = steps("broker.lot_maximum", raw.lot_maximum.unwrap_or(most))?;
    (instrument.lots.minimum, instrument.lots.maximum) = (minimum, maximum);
    instrument.stops_level = i64::from(raw.stops_level);
    instrument.freeze_level = i64::from(raw.freeze_level);
    if raw.borrow_rate >= 0.0 {
        let borrows = instrument.short != ShortSale::Contract;
        require(borrows, "broker.borrow_rate", raw.borrow_rate, "left out: a contract is not borrowed")?;
        instrument.short = ShortSale::Borrowed(raw.borrow_rate);
    }
    Ok(instrument)
}

fn listing(raw: &RawBroker) -> Result<Listing, ConfigError> {
    let both = raw.latency_ms > 0 && raw.latency_bars > 0;
    require(!both, "broker.latency_bars", raw.latency_bars, "0 when latency_ms is given")?;
    Ok(Listing {
        instrument: instrument(raw)?,
        clock: clock(raw),
        price_side: SIDE_TO_COME,
        commission: Commission {
            per_lot: raw.commission_per_lot,
            taker_bp: raw.taker_bp,
            maker_bp: raw.maker_bp,
            minimum: raw.commission_minimum,
        },
        slippage: Slippage { fixed: raw.slippage_ticks, volatility: raw.slippage_volatility },
        impact: Impact {
            temporary: raw.impact_temporary,
            permanent: raw.impact_permanent,
            half_life: raw.impact_half_life,
        },
        participation: (raw.participation != 0.0).then_some(raw.participation),
        swap: swap(raw)?,
        funding: Funding::default(),
        latency: match raw.latency_bars {
            0 => Latency::Millis(raw.latency_ms),
            bars => Latency::Bars(bars),
        },
        after_gap: match raw.expire_after_gap {
            0 => AfterGap::Fill,
            seconds => AfterGap::ExpireAfter(seconds),
        },
        reject_share: raw.reject_share,
    })
}

fn clock(raw: &RawBroker) -> ServerClock {
    let saving = match raw.daylight_saving {
        SavingName::None => DaylightSaving::None,
        SavingName::Eu => DaylightSaving::Eu,
        SavingName::Us => DaylightSaving::Us,
    };
    ServerClock { offset_minutes: raw.server_offset_minutes, saving }
}

fn swap(raw: &RawBroker) -> Result<Swap, ConfigError> {
    const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let triple_day = match DAYS.iter().position(|&day| day == raw.triple_day) {
        Some(day) if day < 5 => Some(day as u8),
        None if raw.triple_day.is_empty() => None,
        _ => {
            return refuse(
                "broker.triple_day",
                format!("'{}'", raw.triple_day),
                "monday to friday, or empty",
            );
        }
    };
    let (long, short) = (raw.swap_long, raw.swap_short);
    let mode = match raw.swap {
        SwapName::None => SwapMode::None,
        SwapName::Points => SwapMode::Points { long, short },
        SwapName::Interest => SwapMode::Interest { long, short },
    };
    let unused = raw.swap == SwapName::None && (long != 0.0 || short != 0.0);
    require(!unused, "broker.swap", "none", "points or interest when swap_long or swap_short is given")?;
    Ok(Swap { mode, triple_day })
}

fn account(raw: &RawBroker) -> Result<AccountRules, ConfigError> {
    let leverage = raw.leverage;
    require((1.0..=10_000.0).contains(&leverage), "broker.leverage", leverage, "from 1 to 10000")?;
    let (call, stop_out) = (raw.margin_call, raw.stop_out);
    require(stop_out.is_finite(), "broker.stop_out", stop_out, "a number")?;
    require(call >= stop_out, "broker.margin_call", call, "at least broker.stop_out")?;
    Ok(AccountRules {
        books: match raw.books {
            BooksName::Netting => Books::Netting,
            BooksName::Hedging => Books::Hedging,
        },
        leverage,
        levels: match raw.margin_levels {
            LevelsName::Percent => MarginLevels::Percent { call, stop_out },
            LevelsName::Money => MarginLevels::Money { call, stop_out },
        },
        shortfall: match raw.shortfall {
            ShortfallName::Reject => Shortfall::Reject,
            ShortfallName::Cut => Shortfall::Cut,
        },
        digits: u32::try_from(raw.money_digits).ok(),
        whole_ticks: true,
    })
}

/// A perpetual without a word on funding would be held for nothing.
fn funding_file(raw: &RawBroker) -> Result<Option<PathBuf>, ConfigError> {
    let silent = raw.instrument.contains("perpetual") && raw.funding_file.is_empty();
    require(!silent, "broker.funding_file", "empty", "a file of funding rates for a perpetual, or \"none\"")?;
    Ok((!raw.funding_file.is_empty() && raw.funding_file != "none").then(|| raw.funding_file.clone().into()))
}

fn feed(raw: &RawBroker) -> Result<FeedRules, ConfigError> {
    let spread = match raw.spread {
        SpreadName::Fixed => SpreadModel::Fixed(raw.spread_ticks),
        SpreadName::Data => SpreadModel::Data,
        SpreadName::Hourly => match <[f64; 24]>::try_from(raw.spread_by_hour.as_slice()) {
            Ok(ticks) => SpreadModel::Hourly {
                ticks,
                power: raw.spread_volatility,
                reference: raw.reference_volatility,
            },
            Err(_) => {
                let found = format!("{} numbers", raw.spread_by_hour.len());
                return refuse("broker.spread_by_hour", found, "24 numbers, one an hour");
            }
        },
    };
    let lots_per_tick = (raw.lots_per_tick > 0.0).then_some(raw.lots_per_tick);
    Ok(FeedRules { spread, volatility_bars: raw.volatility_bars, lots_per_tick })
}

fn sizing(raw: &RawBroker, instrument: &Instrument) -> Result<SizeRule, ConfigError> {
    let (size, cap) = (raw.size, raw.max_exposure);
    require(size.is_finite() && size > 0.0, "broker.size", size, "positive")?;
    require(cap.is_finite() && cap > 0.0, "broker.max_exposure", cap, "positive")?;
    Ok(match raw.sizing {
        SizingName::FixedLots => {
            let (lots, [least, most]) = (instrument.lots, [instrument.lots.minimum, instrument.lots.maximum]);
            let written = decimal(&size.to_string()).and_then(|size| instrument.steps_of(size));
            let steps = written
                .or_else(|error| refuse("broker.size", size, format!("on the step (rule 1): {error}")))?;
            let [least, most] = [least, most].map(|steps| instrument.to_lots(steps));
            let fits = (lots.minimum..=lots.maximum).contains(&steps);
            require(
                fits,
                "broker.size",
                size,
                format!("from {least} to {most} lots, which an order may be (rule 1)"),
            )?;
            SizeRule::FixedLots(size)
        }
        SizingName::FixedFraction => {
            require(size <= cap, "broker.size", size, "at most broker.max_exposure")?;
            require(size <= raw.leverage, "broker.size", size, "at most broker.leverage")?;
            SizeRule::FixedFraction(size)
        }
        SizingName::VolatilityTarget => SizeRule::VolatilityTarget { annual: size, cap },
        SizingName::Kelly => SizeRule::Kelly { fraction: size, cap },
    })
}

fn gate(raw: &RawBroker) -> Result<GateLimits, ConfigError> {
    for (field, share) in [("broker.daily_loss", raw.daily_loss), ("broker.max_drawdown", raw.max_drawdown)] {
        require((0.0..=1.0).contains(&share), field, share, "a share from 0 to 1")?;
    }
    let share = |limit: f64| (limit > 0.0).then_some(limit);
    Ok(GateLimits {
        max_exposure: Some(raw.max_exposure),
        orders_per_hour: (raw.orders_per_hour > 0).then_some(raw.orders_per_hour),
        daily_loss: share(raw.daily_loss),
        clock: clock(raw),
        drawdown: share(raw.max_drawdown),
        stale_after: share(raw.stale_after),
    })
}

fn conversion(raw: &RawBroker, instrument: &Instrument) -> Result<Conversion, ConfigError> {
    let same = raw.deposit_currency == instrument.profit;
    let given = (raw.conversion_rate != 0.0, !raw.conversion_symbol.is_empty());
    let pair = format!("{} to {}", instrument.profit, raw.deposit_currency);
    match (same, given) {
        (true, (false, false)) => Ok(Conversion::Fixed(1.0)),
        (true, _) => refuse("broker.conversion_rate", pair, "left out: profits are in the deposit currency"),
        (false, (true, false)) => {
            let rate = raw.conversion_rate;
            require(rate.is_finite() && rate > 0.0, "broker.conversion_rate", rate, "positive")?;
            Ok(Conversion::Fixed(rate))
        }
        (false, (false, true)) => {
            let (symbol, profit, deposit) =
                (&raw.conversion_symbol, &instrument.profit, &raw.deposit_currency);
            let inverse = format!("{deposit}{profit}");
            let straight = format!("{profit}{deposit}");
            let known = *symbol == inverse || *symbol == straight;
            require(known, "broker.conversion_symbol", symbol, format!("{straight} or {inverse}"))?;
            Ok(Conversion::Symbol { inverse: *symbol == inverse, symbol: symbol.clone() })
        }
        (false, _) => {
            refuse("broker.conversion_rate", pair, "given, or broker.conversion_symbol, since they differ")
        }
    }
}
