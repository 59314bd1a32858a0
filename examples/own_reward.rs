//! A reward of one's own in the market environment: the change of equity less a price on the position held.
#![allow(missing_docs, clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::path::Path;

use cambist_core::clock::SystemClock;
use cambist_decide::AccountView;
use cambist_lab::backtest::backtest_window;
use cambist_lab::{Config, Layers, Market, learning::stock_settings, market_trainer};
use cambist_market::{OwnReward, Reward};

/// A pure function of equity before the step and the account after it.
fn cautious(before: f64, after: &AccountView) -> f64 {
    let exposure = after.units * after.price / after.equity;
    100.0 * (after.equity / before - 1.0) - 0.5 * exposure * exposure
}

/// Mean |position| over equity after training with `reward`.
fn exposure(reward: Reward) -> Result<f64, Box<dyn Error>> {
    let config = Config::validate(Layers::read(None, &["data.n_bars=61368".into()])?.resolve()?)?;
    let market = Market::prepare(&config, Path::new("data"))?;
    let fold = config.folds(market.whole())?.remove(0);
    let spec = cambist_market::MarketSpec { reward, ..market.training_spec(&config, &fold)? };
    let mut trainer = market_trainer(&spec, stock_settings(600_000, 2, 1), None)?;
    for _ in 0..trainer.n_updates() {
        trainer.iterate(&SystemClock::start())?;
    }
    let rows = market.rows("test", "test_until", fold.test)?;
    let normaliser = market.training_normaliser(&config, &fold)?;
    let track =
        backtest_window(&market, &config, &normaliser, rows, &trainer.agent().clone().into(), "mine")?;
    Ok(track.exposure.iter().map(|e| e.abs()).sum::<f64>() / track.exposure.len() as f64)
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let plain = exposure(Reward::LogEquity { scale: 100.0 })?;
    let careful = exposure(Reward::Own(OwnReward(cautious)))?;
    println!("mean position over equity: {plain:.2} by log equity, {careful:.2} with a price on it");
    assert!(careful < plain, "a price on positions makes them smaller");
    Ok(())
}
