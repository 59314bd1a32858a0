//! Markets made up by known laws, for tests and for learning whether a method can tell.
//!
//! Every bar is the path of [`SUB_STEPS`] draws, so high and low are those of the path; the next bar opens where the
//! last one closed. The hidden state (regime, variance) at each bar's close is returned as the truth.

mod diffusion;
mod heston;
mod regime;

use cambist_core::rng::{Purpose, Stream};
use cambist_core::time::SECONDS_PER_YEAR;
use cambist_core::{Bar, InstrumentId, MarketTape, PriceSide, Timeframe, UnixNanos, VolumeKind};

use crate::error::DataError;

pub use diffusion::{GeometricBrownian, OrnsteinUhlenbeck};
pub use heston::HestonJumps;
pub use regime::{REGIMES, RegimeSwitching};

/// Draws that make a bar.
pub const SUB_STEPS: u32 = 12;

/// The hidden states of a synthetic market, one value a bar and column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Truth {
    /// Name and values of each column.
    pub columns: Vec<(String, Vec<f64>)>,
}

/// A law of motion of the logarithm of a price.
pub trait Law {
    /// Names of the hidden states reported by [`Law::state`].
    fn state_names(&self) -> Vec<String>;
    /// The hidden states now.
    fn state(&self) -> Vec<f64>;
    /// Moves on by `years` and returns the new log price.
    fn advance(&mut self, log_price: f64, years: f64, stream: &mut Stream) -> f64;
}

/// Which market is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SynthKind {
    /// Geometric Brownian motion.
    GeometricBrownian(GeometricBrownian),
    /// A log price drawn back to its mean.
    OrnsteinUhlenbeck(OrnsteinUhlenbeck),
    /// Stochastic variance with jumps.
    HestonJumps(HestonJumps),
    /// Regimes calibrated to hourly BTC.
    RegimeSwitching,
}

/// A synthetic market to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthRequest {
    /// The law.
    pub kind: SynthKind,
    /// Its name.
    pub instrument: InstrumentId,
    /// The length of a bar.
    pub timeframe: Timeframe,
    /// Number of bars.
    pub n_bars: usize,
    /// Open time of the first bar.
    pub start: UnixNanos,
    /// Price at the start.
    pub price: f64,
    /// Seed.
    pub seed: u64,
}

/// Makes the market and its truth.
///
/// # Errors
/// When a parameter is out of range.
pub fn synthesize(request: &SynthRequest) -> Result<(MarketTape, Truth), DataError> {
    if request.n_bars == 0 {
        return Err(DataError::BadParameter("bars is 0: it must be at least 1".into()));
    }
    let span = i64::try_from(request.n_bars).ok().and_then(|n| n.checked_mul(request.timeframe.nanos()));
    if span.and_then(|s| s.checked_add(request.start.0)).is_none() {
        let bars = request.n_bars;
        return Err(DataError::BadParameter(format!(
            "bars is {bars}: their last stamp lies beyond the year 2262"
        )));
    }
    positive("price", request.price)?;
    let mut stream = Stream::new(request.seed, Purpose::Synthesis, 0);
    let mut law: Box<dyn Law> = match request.kind {
        SynthKind::GeometricBrownian(law) => Box::new(law.checked()?),
        SynthKind::OrnsteinUhlenbeck(law) => Box::new(law.started(libm::log(request.price))?),
        SynthKind::HestonJumps(law) => Box::new(law.started()?),
        SynthKind::RegimeSwitching => Box::new(RegimeSwitching::started(&mut stream)),
    };
    let empty =
        |law: &dyn Law| law.state_names().into_iter().map(|n| (n, Vec::with_capacity(request.n_bars)));
    let mut truth = Truth { columns: empty(law.as_ref()).collect() };
    let start = request.timeframe.floor(request.start);
    let mut tape =
        MarketTape::empty(request.instrument.clone(), request.timeframe, PriceSide::Last, VolumeKind::Real);
    let mut log_price = libm::log(request.price);
    for row in 0..request.n_bars {
        let open_time = UnixNanos(start.0 + row as i64 * request.timeframe.nanos());
        tape.push(draw_bar(law.as_mut(), &mut log_price, open_time, request.timeframe, &mut stream));
        for ((_, column), value) in truth.columns.iter_mut().zip(law.state()) {
            column.push(value);
        }
    }
    tape.forget_spread();
    Ok((tape, truth))
}

fn draw_bar(
    law: &mut dyn Law,
    log_price: &mut f64,
    open_time: UnixNanos,
    timeframe: Timeframe,
    stream: &mut Stream,
) -> Bar {
    let years = f64::from(timeframe.seconds()) / SECONDS_PER_YEAR / f64::from(SUB_STEPS);
    let open = libm::exp(*log_price);
    let (mut high, mut low, mut path) = (open, open, 0.0);
    for _ in 0..SUB_STEPS {
        let before = *log_price;
        *log_price = law.advance(before, years, stream);
        path += (*log_price - before).abs();
        let price = libm::exp(*log_price);
        high = high.max(price);
        low = low.min(price);
    }
    // Volume follows the length of the path, as it does in real markets, with lognormal noise.
    let volume = 1e4 * path * libm::exp(0.5 * stream.normal());
    Bar { open_time, open, high, low, close: libm::exp(*log_price), volume, spread: 0.0, coverage: 1.0 }
}

fn positive(name: &str, value: f64) -> Result<(), DataError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(DataError::BadParameter(format!("{name} is {value}: it must be a positive number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(kind: SynthKind, n_bars: usize, seed: u64) -> (MarketTape, Truth) {
        let request = SynthRequest {
            kind,
            instrument: InstrumentId("SYN".into()),
            timeframe: Timeframe::HOUR,
            n_bars,
            start: UnixNanos::parse("2020-01-01").unwrap(),
            price: 100.0,
            seed,
        };
        synthesize(&request).unwrap()
    }

    fn log_returns(tape: &MarketTape) -> Vec<f64> {
        tape.close.windows(2).map(|w| libm::log(w[1] / w[0])).collect()
    }

    fn moments(x: &[f64]) -> (f64, f64) {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (mean, (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64).sqrt())
    }

    #[test]
    fn geometric_brownian_has_its_volatility() {
        let (tape, _) = market(
            SynthKind::GeometricBrownian(GeometricBrownian { drift: 0.0, volatility: 0.6 }),
            50_000,
            1,
        );
        let (_, deviation) = moments(&log_returns(&tape));
        let annual = deviation * Timeframe::HOUR.per_year().sqrt();
        assert!((annual - 0.6).abs() < 0.01, "{annual}");
        assert!(tape.bars().all(|b| b.low <= b.open.min(b.close) && b.high >= b.open.max(b.close)));
    }

    #[test]
    fn ornstein_uhlenbeck_has_its_stationary_spread() {
        let law = OrnsteinUhlenbeck { speed: 200.0, volatility: 0.6 };
        let (tape, _) = market(SynthKind::OrnsteinUhlenbeck(law), 100_000, 2);
        let logs: Vec<f64> = tape.close.iter().map(|&c| libm::log(c / 100.0)).collect();
        let (_, deviation) = moments(&logs);
        let exact = 0.6 / (2.0f64 * 200.0).sqrt();
        assert!((deviation / exact - 1.0).abs() < 0.05, "{deviation} against {exact}");
    }

    #[test]
    fn heston_variance_stays_near_its_mean_and_is_reported() {
        let (tape, truth) = market(SynthKind::HestonJumps(HestonJumps::default()), 60_000, 3);
        assert_eq!(truth.columns[0].0, "variance");
        assert_eq!(truth.columns[0].1.len(), tape.len());
        let (mean, _) = moments(&truth.columns[0].1);
        assert!((mean / HestonJumps::default().mean_variance - 1.0).abs() < 0.3, "{mean}");
        assert!(truth.columns[0].1.iter().all(|v| *v >= 0.0));
    }

    #[test]
    fn each_regime_has_its_own_moments() {
        let (tape, truth) = market(SynthKind::RegimeSwitching, 400_000, 4);
        let path = &truth.columns[0].1;
        for (index, regime) in REGIMES.iter().enumerate() {
            let inside: Vec<f64> = (1..tape.len())
                .filter(|&t| path[t] as usize == index && path[t - 1] as usize == index)
                .map(|t| libm::log(tape.close[t] / tape.close[t - 1]))
                .collect();
            let (mean, deviation) = moments(&inside);
            let error = deviation / (inside.len() as f64).sqrt();
            assert!((deviation / regime.deviation - 1.0).abs() < 0.05, "{}: {deviation}", regime.name);
            assert!((mean - regime.drift).abs() < 4.0 * error, "{}: {mean}", regime.name);
        }
    }

    #[test]
    fn a_seed_is_a_market() {
        let make = |seed| market(SynthKind::RegimeSwitching, 500, seed).0.fingerprint();
        assert_eq!(make(5), make(5));
        assert_ne!(make(5), make(6));
    }
}
