//! From a tape to the events a broker lives through: prices in ticks, spread by its model, volume in lot steps, and the
//! volatility of the bars before. Looks back only.

use std::sync::Arc;

use cambist_core::time::SECONDS_PER_YEAR;
use cambist_core::{BarEvent, MarketTape, ServerClock, UnixNanos, VolumeKind};
use cambist_risk::Outlook;
use serde::{Deserialize, Serialize};

use crate::instrument::Instrument;
use crate::rules::Listing;

const NANOS_PER_HOUR: i64 = 3_600_000_000_000;

/// Ask minus bid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpreadModel {
    /// Always the same, in ticks.
    Fixed(f64),
    /// As recorded with every bar, at its open.
    Data,
    /// By the hour of the broker's day, wider when bars are wilder: `ticks[hour] · max(1, σ/reference)^power`.
    Hourly {
        /// Ticks, by hour of the broker's clock.
        ticks: [f64; 24],
        /// Power.
        power: f64,
        /// The σ of a bar at which the table was taken.
        reference: f64,
    },
}

/// What events are made by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FeedRules {
    /// Ask minus bid.
    pub spread: SpreadModel,
    /// Bars over which volatility is taken.
    pub volatility_bars: usize,
    /// Lots behind one of a tick volume; none when volume counts no lots.
    pub lots_per_tick: Option<f64>,
}

/// Why a tape makes no events.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FeedError {
    /// Impact or participation without volume.
    #[error(
        "{instrument}: impact and participation need the volume in lots, the bars have {kind} volume; write lots_per_tick, or set both to 0"
    )]
    Volume {
        /// Which instrument.
        instrument: String,
        /// What the tape has.
        kind: &'static str,
    },
    /// No spread recorded.
    #[error("{instrument}: spread = \"data\", but the bars have none; write a fixed or an hourly one")]
    NoSpread {
        /// Which instrument.
        instrument: String,
    },
    /// A model that makes no sense.
    #[error("{instrument}: {what} is {value}; it must be {expected}")]
    Model {
        /// Which instrument.
        instrument: String,
        /// Which part.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// A price that is no number of ticks.
    #[error("{instrument}: the bar of {time} has the price {price}, less than one tick of {tick}")]
    Price {
        /// Which instrument.
        instrument: String,
        /// Which bar.
        time: UnixNanos,
        /// Its price.
        price: f64,
        /// The tick.
        tick: f64,
    },
}

impl SpreadModel {
    /// Ticks at `time` of a broker of `clock`, given the volatility before and what was recorded.
    #[inline]
    #[must_use]
    pub fn ticks(&self, clock: ServerClock, time: UnixNanos, volatility: f64, recorded: f64) -> f64 {
        match self {
            Self::Fixed(ticks) => *ticks,
            Self::Data => recorded,
            Self::Hourly { ticks, power, reference } => {
                let hour = clock.shows(time).0.div_euclid(NANOS_PER_HOUR).rem_euclid(24) as usize;
                ticks[hour] * libm::pow((volatility / reference).max(1.0), *power)
            }
        }
    }

    fn validate(&self, instrument: &str) -> Result<(), FeedError> {
        let wrong = |what, value, expected| {
            Err(FeedError::Model { instrument: instrument.to_owned(), what, value, expected })
        };
        let charge = |value: &f64| value.is_finite() && *value >= 0.0;
        match self {
            Self::Fixed(ticks) if !charge(ticks) => wrong("spread_ticks", *ticks, "at least 0"),
            Self::Hourly { ticks, power, reference } => {
                if let Some(bad) = ticks.iter().find(|t| !charge(t)) {
                    wrong("spread_by_hour", *bad, "24 numbers, each at least 0")
                } else if !charge(power) {
                    wrong("spread_volatility", *power, "at least 0")
                } else if !(reference.is_finite() && *reference > 0.0) {
                    wrong("reference_volatility", *reference, "positive")
                } else {
                    Ok(())
                }
            }
            Self::Fixed(_) | Self::Data => Ok(()),
        }
    }
}

/// Events of every bar of `tape` for `listing`.
///
/// # Errors
/// When the tape lacks what the rules need, or the rules make no sense.
pub fn bar_events(
    tape: &MarketTape,
    listing: &Listing,
    rules: &FeedRules,
) -> Result<Arc<[BarEvent]>, FeedError> {
    let instrument = &listing.instrument;
    let name = || instrument.name.clone();
    rules.spread.validate(&instrument.name)?;
    if rules.spread == SpreadModel::Data && tape.spread.is_empty() {
        return Err(FeedError::NoSpread { instrument: name() });
    }
    let steps_per_volume = steps_per_volume(tape.volume_kind, instrument, rules);
    if steps_per_volume.is_none() && (listing.participation.is_some() || listing.impact.is_some()) {
        let kind = if tape.volume_kind == VolumeKind::Tick { "tick" } else { "no" };
        return Err(FeedError::Volume { instrument: name(), kind });
    }
    let tick = instrument.tick_size;
    if let Some(row) = tape.low.iter().position(|low| instrument.nearest_tick(*low) < 1) {
        let (time, price) = (UnixNanos(tape.open_time[row]), tape.low[row]);
        return Err(FeedError::Price { instrument: name(), time, price, tick });
    }
    let volatility = volatility_before(&tape.close, rules.volatility_bars);
    let bar = |row: usize| {
        let time = UnixNanos(tape.open_time[row]);
        let recorded = tape.spread.get(row).copied().unwrap_or(0.0) / tick;
        // Rounded against the account, but for the noise of decimal fractions.
        let spread =
            (rules.spread.ticks(listing.clock, time, volatility[row], recorded) - 1e-6).ceil().max(0.0);
        BarEvent {
            open_time: time,
            close_time: tape.close_time(row),
            open: instrument.nearest_tick(tape.open[row]),
            high: instrument.nearest_tick(tape.high[row]),
            low: instrument.nearest_tick(tape.low[row]),
            close: instrument.nearest_tick(tape.close[row]),
            spread: spread as i64,
            volume: steps_per_volume.map(|steps| (tape.volume[row] * steps) as i64),
            volatility: volatility[row],
        }
    };
    // Their number is known: they are put where they stay.
    Ok((0..tape.len()).map(bar).collect())
}

fn steps_per_volume(kind: VolumeKind, instrument: &Instrument, rules: &FeedRules) -> Option<f64> {
    match kind {
        VolumeKind::Real => Some(1.0 / (instrument.contract_size * instrument.lots.step)),
        VolumeKind::Tick => rules.lots_per_tick.map(|lots| lots / instrument.lots.step),
        VolumeKind::None => None,
    }
}

/// Standard deviation of the last `n` log returns of `close` before each row, about zero; zero where there are fewer.
#[must_use]
pub fn volatility_before(close: &[f64], n: usize) -> Vec<f64> {
    let squares: Vec<f64> = close
        .windows(2)
        .map(|pair| {
            let change = libm::log(pair[1] / pair[0]);
            change * change
        })
        .collect();
    (0..close.len())
        .map(|row| match row.checked_sub(n + 1) {
            // The last return known at the open of `row` ends at the close before it.
            Some(from) if n > 0 => (squares[from..from + n].iter().sum::<f64>() / n as f64).sqrt(),
            _ => 0.0,
        })
        .collect()
}

/// What sizing and stops look at, at the close of every bar of `tape`: volatility and drift over the feed's bars, and the mean true range
/// of `atr_bars`.
#[must_use]
pub fn outlooks(tape: &MarketTape, feed: &FeedRules, atr_bars: usize) -> Vec<Outlook> {
    let n = feed.volatility_bars;
    // What is known before the next bar is what is known at this one's close.
    let extended: Vec<f64> = tape.close.iter().copied().chain(tape.close.last().copied()).collect();
    let volatility = volatility_before(&extended, n);
    let bars_per_year = SECONDS_PER_YEAR / f64::from(tape.timeframe.seconds());
    let true_range = |row: usize| {
        let before = tape.close[row.saturating_sub(1)];
        tape.high[row].max(before) - tape.low[row].min(before)
    };
    let ranges: Vec<f64> = (0..tape.len()).map(true_range).collect();
    let outlook = |row: usize| {
        let drift = match row.checked_sub(n) {
            Some(from) => libm::log(tape.close[row] / tape.close[from]) / n as f64,
            None => 0.0,
        };
        let true_range = match (row + 1).checked_sub(atr_bars) {
            Some(from) => ranges[from..=row].iter().sum::<f64>() / atr_bars as f64,
            None => 0.0,
        };
        Outlook { volatility: volatility[row + 1], drift, bars_per_year, true_range }
    };
    (0..tape.len()).map(outlook).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use super::*;
    use crate::{Impact, presets};
    use cambist_core::{Bar, InstrumentId, PriceSide, Timeframe};

    fn tape(volume_kind: VolumeKind) -> MarketTape {
        let mut tape =
            MarketTape::empty(InstrumentId("X".into()), Timeframe::HOUR, PriceSide::Bid, volume_kind);
        for (hour, close) in [100.0, 101.0, 100.0, 102.0].into_iter().enumerate() {
            tape.push(Bar {
                open_time: UnixNanos(hour as i64 * NANOS_PER_HOUR),
                open: close,
                high: close + 1.0,
                low: close - 1.0,
                close,
                volume: 7.0,
                spread: 0.021,
                coverage: 1.0,
            });
        }
        tape
    }

    fn listing() -> Listing {
        Listing::free(presets::instrument("btcusd").unwrap(), PriceSide::Bid)
    }

    const RULES: FeedRules = FeedRules { spread: SpreadModel::Data, volatility_bars: 2, lots_per_tick: None };

    #[test]
    fn events_know_only_what_came_before() {
        let events = bar_events(&tape(VolumeKind::Real), &listing(), &RULES).unwrap();
        let one = libm::log(1.01);
        let expected = ((one * one + one * one) / 2.0).sqrt();
        assert_eq!(events[2].volatility, 0.0);
        assert!((events[3].volatility - expected).abs() < 1e-15);
        assert_eq!((events[0].spread, events[0].volume, events[0].open), (3, Some(700), 10_000));
    }

    #[test]
    fn the_hourly_spread_widens_with_volatility() {
        let mut ticks = [2.0; 24];
        ticks[3] = 5.0;
        let model = SpreadModel::Hourly { ticks, power: 0.5, reference: 0.01 };
        let at =
            |clock, text, volatility| model.ticks(clock, UnixNanos::parse(text).unwrap(), volatility, 0.0);
        let utc = |text, volatility| at(ServerClock::UTC, text, volatility);
        let hours = ["2023-01-10T02:00", "2023-01-10T03:00", "2023-01-11T03:00"];
        assert_eq!([utc(hours[0], 0.001), utc(hours[1], 0.01), utc(hours[2], 0.04)], [2.0, 5.0, 10.0]);
        // Three in the morning of a server that keeps New York's close, in winter and in summer.
        let server = |text| at(ServerClock::NEW_YORK_CLOSE, text, 0.01);
        let hours = ["2023-01-10T01:00", "2023-07-10T01:00", "2023-07-10T00:00"];
        assert_eq!(hours.map(server), [5.0, 2.0, 5.0]);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let hungry = Listing { impact: Impact { temporary: 1.0, ..Impact::default() }, ..listing() };
        let error = bar_events(&tape(VolumeKind::Tick), &hungry, &RULES).unwrap_err();
        assert!(error.to_string().contains("the bars have tick volume"), "{error}");
        let told = FeedRules { lots_per_tick: Some(0.5), ..RULES };
        assert_eq!(bar_events(&tape(VolumeKind::Tick), &hungry, &told).unwrap()[0].volume, Some(350));
        let mut bare = tape(VolumeKind::Real);
        bare.forget_spread();
        assert!(matches!(bar_events(&bare, &listing(), &RULES), Err(FeedError::NoSpread { .. })));
        let negative = FeedRules { spread: SpreadModel::Fixed(-1.0), ..RULES };
        assert!(matches!(bar_events(&bare, &listing(), &negative), Err(FeedError::Model { .. })));
    }
}
