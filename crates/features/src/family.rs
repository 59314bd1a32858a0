//! The table of indicator families: name, parameters, raw values, and the features made of them.
//!
//! The raw values are the indicator as the literature (and TA-Lib) has it. The features are free of the price level:
//! ratios, positions within a channel, or shares of one.

use cambist_core::Bar;

use crate::indicators::{calendar, directional, momentum, trend, volatility, volume};
use crate::window::ratio;

/// Most raw values or features of one family.
pub const MAX_OUTPUTS: usize = 3;

pub use cambist_core::indicator::Indicator;

/// A parameter: name and default.
pub type Parameter = (&'static str, f64);

/// A kind of indicator.
pub struct Family {
    /// What users write.
    pub name: &'static str,
    /// Its parameters with their defaults; all are whole and positive but those called `width`.
    pub parameters: &'static [Parameter],
    /// Names of the raw values.
    pub raw: &'static [&'static str],
    /// Names of the features; one feature has no name of its own.
    pub features: &'static [&'static str],
    /// Bars in an anchor segment, when the indicator is recursive: long enough that what came before has decayed to
    /// less than 1e-13 of its weight.
    pub segment: Option<fn(&[f64]) -> usize>,
    /// Makes one.
    pub make: fn(&[f64]) -> Box<dyn Indicator>,
    /// Features from raw values, the bar and the parameters.
    pub relate: fn(&Bar, &[f64], &[f64], &mut [f64]),
    /// One line for users.
    pub meaning: &'static str,
}

/// Bars until an exponential average with `2/(n+1)` forgets: `(1 − 2/(n+1))^{16(n+1)} < e^{−32}`.
fn exponential(n: f64) -> usize {
    16 * (n as usize + 1)
}

/// Bars until Wilder's average, `1/n`, forgets; twice over for averages of averages.
fn wilder(n: f64) -> usize {
    32 * n as usize
}

fn over_close(bar: &Bar, raw: &[f64], _: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(raw).for_each(|(o, r)| *o = r / bar.close);
}

fn close_over(bar: &Bar, raw: &[f64], _: &[f64], out: &mut [f64]) {
    out[0] = bar.close / raw[0] - 1.0;
}

fn as_is(_: &Bar, raw: &[f64], _: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(raw).for_each(|(o, r)| *o = *r);
}

fn hundredth(_: &Bar, raw: &[f64], _: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(raw).for_each(|(o, r)| *o = r / 100.0);
}

/// From 0…100 to −1…1.
fn oscillator(_: &Bar, raw: &[f64], _: &[f64], out: &mut [f64]) {
    out.iter_mut().zip(raw).for_each(|(o, r)| *o = r / 50.0 - 1.0);
}

/// Position of the close in a channel (−1 at the lower edge, 1 at the upper) and the channel's width over its middle.
fn channel(bar: &Bar, upper: f64, lower: f64, out: &mut [f64]) {
    let middle = 0.5 * (upper + lower);
    out[0] = ratio(2.0 * (bar.close - middle), upper - lower);
    out[1] = ratio(upper - lower, middle);
}

/// Every family, by the name users write.
pub static FAMILIES: &[Family] = &[
    Family {
        name: "return",
        parameters: &[("n", 1.0)],
        raw: &["log_return"],
        features: &[""],
        segment: None,
        make: |p| Box::new(momentum::LogReturn::new(p[0] as usize)),
        relate: as_is,
        meaning: "log of the close over the close n bars ago",
    },
    Family {
        name: "sma",
        parameters: &[("n", 20.0)],
        raw: &["average"],
        features: &[""],
        segment: None,
        make: |p| Box::new(trend::Simple::new(p[0] as usize)),
        relate: close_over,
        meaning: "close over its simple average of n bars, minus 1",
    },
    Family {
        name: "ema",
        parameters: &[("n", 20.0)],
        raw: &["average"],
        features: &[""],
        segment: Some(|p| exponential(p[0])),
        make: |p| Box::new(trend::Exponential::new(p[0] as usize)),
        relate: close_over,
        meaning: "close over its exponential average of n bars, minus 1",
    },
    Family {
        name: "wma",
        parameters: &[("n", 20.0)],
        raw: &["average"],
        features: &[""],
        segment: None,
        make: |p| Box::new(trend::Weighted::new(p[0] as usize)),
        relate: close_over,
        meaning: "close over its linearly weighted average of n bars, minus 1",
    },
    Family {
        name: "rsi",
        parameters: &[("n", 14.0)],
        raw: &["rsi"],
        features: &[""],
        segment: Some(|p| wilder(p[0])),
        make: |p| Box::new(momentum::RelativeStrength::new(p[0] as usize)),
        relate: oscillator,
        meaning: "Wilder's relative strength index of n bars, from -1 to 1",
    },
    Family {
        name: "macd",
        parameters: &[("fast", 12.0), ("slow", 26.0), ("signal", 9.0)],
        raw: &["line", "signal", "histogram"],
        features: &["line", "signal", "histogram"],
        segment: Some(|p| exponential(p[1] + p[2])),
        make: |p| Box::new(trend::Macd::new(p[0] as usize, p[1] as usize, p[2] as usize)),
        relate: over_close,
        meaning: "difference of two exponential averages, its own average, and their difference, over the close",
    },
    Family {
        name: "bollinger",
        parameters: &[("n", 20.0), ("width", 2.0)],
        raw: &["upper", "middle", "lower"],
        features: &["position", "width"],
        segment: None,
        make: |p| Box::new(volatility::Bollinger::new(p[0] as usize, p[1])),
        relate: |bar, raw, _, out| channel(bar, raw[0], raw[2], out),
        meaning: "place of the close between the bands (average of n bars ± width deviations), and the bands' width",
    },
    Family {
        name: "atr",
        parameters: &[("n", 14.0)],
        raw: &["atr"],
        features: &[""],
        segment: Some(|p| wilder(p[0])),
        make: |p| Box::new(volatility::AverageTrueRange::new(p[0] as usize)),
        relate: over_close,
        meaning: "Wilder's average true range of n bars over the close",
    },
    Family {
        name: "adx",
        parameters: &[("n", 14.0)],
        raw: &["adx", "plus_di", "minus_di"],
        features: &["adx", "plus_di", "minus_di"],
        segment: Some(|p| 2 * wilder(p[0])),
        make: |p| Box::new(directional::Directional::new(p[0] as usize)),
        relate: hundredth,
        meaning: "Wilder's directional movement: strength of trend, and both directions, from 0 to 1",
    },
    Family {
        name: "stochastic",
        parameters: &[("fast_k", 5.0), ("slow_k", 3.0), ("slow_d", 3.0)],
        raw: &["k", "d"],
        features: &["k", "d"],
        segment: None,
        make: |p| Box::new(momentum::Stochastic::new(p[0] as usize, p[1] as usize, p[2] as usize)),
        relate: oscillator,
        meaning: "place of the close in the range of fast_k bars, averaged twice, from -1 to 1",
    },
    Family {
        name: "cci",
        parameters: &[("n", 14.0)],
        raw: &["cci"],
        features: &[""],
        segment: None,
        make: |p| Box::new(momentum::CommodityChannel::new(p[0] as usize)),
        relate: hundredth,
        meaning: "commodity channel index of n bars, over 100",
    },
    Family {
        name: "roc",
        parameters: &[("n", 10.0)],
        raw: &["roc"],
        features: &[""],
        segment: None,
        make: |p| Box::new(momentum::RateOfChange::new(p[0] as usize)),
        relate: hundredth,
        meaning: "simple return over n bars",
    },
    Family {
        name: "williams",
        parameters: &[("n", 14.0)],
        raw: &["r"],
        features: &[""],
        segment: None,
        make: |p| Box::new(momentum::Williams::new(p[0] as usize)),
        relate: |_, raw, _, out| out[0] = raw[0] / 50.0 + 1.0,
        meaning: "Williams' %R of n bars, from -1 to 1",
    },
    Family {
        name: "mfi",
        parameters: &[("n", 14.0)],
        raw: &["mfi"],
        features: &[""],
        segment: None,
        make: |p| Box::new(volume::MoneyFlow::new(p[0] as usize)),
        relate: oscillator,
        meaning: "money flow index of n bars, from -1 to 1",
    },
    Family {
        name: "obv",
        parameters: &[("n", 20.0)],
        raw: &["change", "volume"],
        features: &[""],
        segment: None,
        make: |p| Box::new(volume::OnBalance::new(p[0] as usize)),
        relate: |_, raw, _, out| out[0] = ratio(raw[0], raw[1]),
        meaning: "change of the on-balance volume over n bars, as a share of the volume traded in them",
    },
    Family {
        name: "vwap",
        parameters: &[("n", 20.0)],
        raw: &["vwap"],
        features: &[""],
        segment: None,
        make: |p| Box::new(volume::VolumeWeighted::new(p[0] as usize)),
        relate: close_over,
        meaning: "close over the volume-weighted typical price of n bars, minus 1",
    },
    Family {
        name: "donchian",
        parameters: &[("n", 20.0)],
        raw: &["upper", "lower"],
        features: &["position", "width"],
        segment: None,
        make: |p| Box::new(volatility::Donchian::new(p[0] as usize)),
        relate: |bar, raw, _, out| channel(bar, raw[0], raw[1], out),
        meaning: "place of the close between the highest high and the lowest low of n bars, and their distance",
    },
    Family {
        name: "keltner",
        parameters: &[("n", 20.0), ("width", 2.0)],
        raw: &["upper", "middle", "lower"],
        features: &["position", "width"],
        segment: Some(|p| wilder(p[0])),
        make: |p| Box::new(volatility::Keltner::new(p[0] as usize, p[1])),
        relate: |bar, raw, _, out| channel(bar, raw[0], raw[2], out),
        meaning: "place of the close in the channel of its exponential average ± width average true ranges, and its width",
    },
    Family {
        name: "realised",
        parameters: &[("n", 20.0)],
        raw: &["volatility"],
        features: &[""],
        segment: None,
        make: |p| Box::new(volatility::Realised::new(p[0] as usize)),
        relate: as_is,
        meaning: "root mean square of the last n log returns, per bar",
    },
    Family {
        name: "parkinson",
        parameters: &[("n", 20.0)],
        raw: &["volatility"],
        features: &[""],
        segment: None,
        make: |p| Box::new(volatility::Parkinson::new(p[0] as usize)),
        relate: as_is,
        meaning: "Parkinson's (1980) volatility from highs and lows of n bars, per bar",
    },
    Family {
        name: "garman_klass",
        parameters: &[("n", 20.0)],
        raw: &["volatility"],
        features: &[""],
        segment: None,
        make: |p| Box::new(volatility::GarmanKlass::new(p[0] as usize)),
        relate: as_is,
        meaning: "Garman & Klass's (1980) volatility from open, high, low and close of n bars, per bar",
    },
    Family {
        name: "volume_z",
        parameters: &[("n", 50.0)],
        raw: &["z"],
        features: &[""],
        segment: None,
        make: |p| Box::new(volume::ZScore::new(p[0] as usize)),
        relate: as_is,
        meaning: "volume minus its mean of n bars, over their standard deviation",
    },
    Family {
        name: "hour",
        parameters: &[],
        raw: &["sin", "cos"],
        features: &["sin", "cos"],
        segment: None,
        make: |_| Box::new(calendar::Cycle::day()),
        relate: as_is,
        meaning: "the time of day (UTC) at which the bar opens, as a point on a circle",
    },
    Family {
        name: "weekday",
        parameters: &[],
        raw: &["sin", "cos"],
        features: &["sin", "cos"],
        segment: None,
        make: |_| Box::new(calendar::Cycle::week()),
        relate: as_is,
        meaning: "the time of the week (UTC) at which the bar opens, as a point on a circle",
    },
];
