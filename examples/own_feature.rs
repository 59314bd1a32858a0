//! A feature of one's own: a function that sees the bars up to now, and cannot see further.
#![allow(missing_docs, clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use cambist_core::clock::SystemClock;
use cambist_features::{FeatureView, Past};
use cambist_lab::backtest::backtest_window;
use cambist_lab::{Config, Layers, Market, learning::stock_settings, market_trainer};

/// Where the close lies between the low and the high of the last day, from −1 to 1; None until a day has passed.
fn place_in_day(past: &Past<'_>) -> Option<f32> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for back in 0..24 {
        let bar = past.bar(back)?;
        (low, high) = (low.min(bar.low), high.max(bar.high));
    }
    let close = past.bar(0)?.close;
    Some(if high > low { (2.0 * (close - low) / (high - low) - 1.0) as f32 } else { 0.0 })
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::validate(Layers::read(None, &[])?.resolve()?)?;
    let mut market = Market::prepare(&config, Path::new("data"))?;
    let features: FeatureView = market.features.as_ref().clone();
    market.features = Arc::new(features.with_own("place_in_day", &market.tape, place_in_day));
    println!("columns: {}", market.features.names.join(" "));

    let fold = config.folds(market.whole())?.remove(0);
    let spec = market.training_spec(&config, &fold)?;
    let mut trainer = market_trainer(&spec, stock_settings(400_000, 2, 1), None)?;
    for _ in 0..trainer.n_updates() {
        trainer.iterate(&SystemClock::start())?;
    }
    let rows = market.rows("test", "test_until", fold.test)?;
    let normaliser = market.training_normaliser(&config, &fold)?;
    let track =
        backtest_window(&market, &config, &normaliser, rows, &trainer.agent().clone().into(), "mine")?;
    let last = track.equity.last().copied().unwrap_or(f64::NAN);
    println!("equity out of sample: {:.0} from {:.0}", last, track.equity[0]);
    let seen = &spec.path.observation_spec().names;
    assert!(last.is_finite() && seen.iter().any(|name| name == "place_in_day"));
    assert_eq!(trainer.agent().spec().observation, seen.len(), "the policy sees the column");
    Ok(())
}
