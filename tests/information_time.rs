//! Information time (invariant 2), over the whole chain: raw bars → cleaning → resampling → features of several
//! timeframes → normaliser → observations of the environment.
//!
//! The test perturbs raw bars after t and finds observations up to t unchanged. Five leaks are planted, one at a time,
//! each a stage as careless people write it, and each must be caught.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::sync::Arc;

use cambist_core::env::StepStorage;
use cambist_core::rng::{Purpose, Stream};
use cambist_core::{AutoReset, BatchedEnv, InstrumentId, MarketTape, PriceSide, Timeframe, VolumeKind};
use cambist_data::check::{Choice, Choices, screen};
use cambist_data::import::RawBars;
use cambist_data::resample;
use cambist_decide::{ActionKind, DecisionPath, DecisionRules, Sizing};
use cambist_execution::{CostModel, Engine, EngineRules};
use cambist_features::{FeatureView, Normaliser};
use cambist_market::{EpisodeLength, EpisodePlan, Execution, MarketEnv, MarketSpec, Reward, Starts};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const MINUTE: i64 = 60_000_000_000;
const N_MINUTES: usize = 60 * 24 * 12;
const TRAIN_HOURS: usize = 150;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Leak {
    None,
    /// An average centred on its bar.
    CentredWindow,
    /// A normaliser fitted on everything.
    FullSampleScaler,
    /// A four-hour bar seen from its first hour on.
    EarlyHigherBar,
    /// A filter run forwards and then backwards.
    SmoothedFilter,
    /// Outliers by the deviation of the whole sample.
    WholeSampleOutliers,
}

/// Minutes of a random walk with a few wild ones.
fn raw() -> RawBars {
    let mut stream = Stream::new(3, Purpose::Check, 0);
    let mut raw = RawBars::default();
    let mut price = 100.0;
    for minute in 0..N_MINUTES {
        let open = price;
        price *= 1.0 + 0.001 * stream.normal() * if minute % 977 == 5 { 12.0 } else { 1.0 };
        raw.open_time.push(minute as i64 * MINUTE);
        for (column, value) in raw.prices.iter_mut().zip([open, open.max(price), open.min(price), price]) {
            column.push(value);
        }
        raw.volume.push(1.0 + stream.uniform());
    }
    raw
}

fn clean(mut raw: RawBars, leak: Leak) -> MarketTape {
    if leak == Leak::WholeSampleOutliers {
        let returns: Vec<f64> = raw.prices[3].windows(2).map(|w| w[1] / w[0] - 1.0).collect();
        let deviation = (returns.iter().map(|r| r * r).sum::<f64>() / returns.len() as f64).sqrt();
        for row in 1..raw.len() {
            if (raw.prices[3][row] / raw.prices[3][row - 1] - 1.0).abs() > 4.0 * deviation {
                (0..4).for_each(|side| raw.prices[side][row] = raw.prices[3][row - 1]);
            }
        }
    }
    let choices = Choices { outlier: Choice::Drop, outlier_deviations: 8.0, ..Choices::default() };
    let name = InstrumentId("X".into());
    let mut tape = MarketTape::empty(name, Timeframe::MINUTE, PriceSide::Last, VolumeKind::Real);
    screen(raw, &choices, &mut tape).unwrap();
    resample(&tape, Timeframe::HOUR).unwrap()
}

fn features(tape: &MarketTape, leak: Leak) -> FeatureView {
    let names = ["return(1)", "sma(6)", "rsi(3)", "realised(12)", "volume_z(8)", "4h:return(1)", "4h:sma(3)"];
    let mut view = FeatureView::compute(&names.map(str::to_owned), tape).unwrap();
    let mut replace = |column: usize, value: &dyn Fn(usize) -> f64| {
        for row in 0..tape.len() {
            view.values[row * names.len() + column] = value(row) as f32;
        }
    };
    let close = &tape.close;
    match leak {
        Leak::CentredWindow => replace(1, &|row| {
            let around = &close[row.saturating_sub(3)..(row + 4).min(close.len())];
            close[row] / (around.iter().sum::<f64>() / around.len() as f64) - 1.0
        }),
        Leak::EarlyHigherBar => replace(5, &|row| {
            let first = row - row % 4;
            close[(first + 3).min(close.len() - 1)] / close[first] - 1.0
        }),
        Leak::SmoothedFilter => {
            let mut smooth = close.clone();
            (1..smooth.len()).for_each(|i| smooth[i] = 0.9 * smooth[i - 1] + 0.1 * smooth[i]);
            (0..smooth.len() - 1).rev().for_each(|i| smooth[i] = 0.9 * smooth[i + 1] + 0.1 * smooth[i]);
            replace(2, &|row| close[row] / smooth[row] - 1.0);
        }
        _ => {}
    }
    view
}

/// Observations at every hour, by the hour's open time, from an environment that trades on the way.
fn observations(raw: RawBars, leak: Leak) -> Vec<(i64, Vec<u32>)> {
    let tape = clean(raw, leak);
    let view = features(&tape, leak);
    let fitted = if leak == Leak::FullSampleScaler { 0..tape.len() } else { 0..TRAIN_HOURS };
    let normaliser = Arc::new(Normaliser::fit(&view, fitted, 5.0));
    let rules = DecisionRules {
        action: ActionKind::Discrete,
        dead_band: 0.0,
        long_only: false,
        sizing: Sizing::EquityFraction,
        leverage: 1.0,
        one_way_cost: 0.0,
        limits: cambist_risk::Limits { max_exposure: 1.0 },
        window: 1,
        flat_when_blind: true,
    };
    let spec = MarketSpec {
        rows: 0..tape.len(),
        path: DecisionPath::new(rules, normaliser),
        features: Arc::new(view),
        execution: Execution::Short(Engine::new(EngineRules {
            costs: CostModel::FREE,
            margin: true,
            ruin_fraction: 0.1,
        })),
        regimes: None,
        reward: Reward::LogEquity { scale: 1.0 },
        plan: EpisodePlan { starts: Starts::First, length: EpisodeLength::ToEnd },
        left_out: Vec::new(),
        initial_cash: 1e4,
        tape: Arc::new(tape),
    };
    let tape = Arc::clone(&spec.tape);
    let mut env = MarketEnv::new(spec, 1, 0, AutoReset::Disabled).unwrap();
    let mut storage = StepStorage::for_env(&env);
    env.reset(0, &mut storage.observations);
    let mut out = Vec::new();
    loop {
        let row = env.snapshot(0).row;
        out.push((tape.open_time[row], storage.observations.iter().map(|v| v.to_bits()).collect()));
        if storage.ends[0] != cambist_core::End::Running {
            return out;
        }
        // Always another target, so that the account is part of what is seen.
        env.step(&[(row % 3) as f32], &mut storage.buffers());
    }
}

/// Whether an observation at or before t changes when everything after t does.
fn leaks(leak: Leak, at_hour: usize, factor: f64) -> bool {
    let base = raw();
    let mut changed = base.clone();
    let first = (at_hour + 1) * 60;
    for column in &mut changed.prices {
        column[first..].iter_mut().for_each(|v| *v *= factor);
    }
    changed.volume[first..].iter_mut().for_each(|v| *v *= 3.0);
    let known = |all: Vec<(i64, Vec<u32>)>| {
        all.into_iter().filter(|(open, _)| *open <= at_hour as i64 * 60 * MINUTE).collect::<Vec<_>>()
    };
    let (before, after) = (known(observations(base, leak)), known(observations(changed, leak)));
    assert!(before.len() > 20, "too few observations to compare");
    before != after
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// The normaliser may look at the training window, so t lies after it.
    #[test]
    fn the_chain_does_not_look_ahead(at_hour in TRAIN_HOURS + 5..280usize, factor in 0.5..2.0f64) {
        prop_assert!(!leaks(Leak::None, at_hour, factor));
    }
}

#[test]
fn every_planted_leak_is_caught() {
    for leak in [
        Leak::CentredWindow,
        Leak::FullSampleScaler,
        Leak::EarlyHigherBar,
        Leak::SmoothedFilter,
        Leak::WholeSampleOutliers,
    ] {
        // Not at the end of a four-hour bar, where an early bar is on time.
        assert!(leaks(leak, 201, 1.4), "{leak:?} went unnoticed");
    }
    assert!(!leaks(Leak::None, 201, 1.4));
}
