//! The market environment: the contract, fills by hand, independence from how the batch is cut, typed ends.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::sync::Arc;

use cambist_core::check::check_env;
use cambist_core::env::StepStorage;
use cambist_core::{
    AutoReset, Bar, BasisPoints, BatchedEnv, End, InstrumentId, MarketTape, PriceSide, Timeframe, UnixNanos,
    VolumeKind,
};
use cambist_data::synth::{SynthKind, SynthRequest, synthesize};
use cambist_decide::{ActionKind, DecisionPath, DecisionRules, FeatureView, Normaliser, Sizing};
use cambist_execution::{CostModel, Engine, EngineRules};
use cambist_market::{
    EpisodeLength, EpisodePlan, Execution, MarketEnv, MarketError, MarketSpec, Reward, Starts,
};

fn spec(
    tape: MarketTape,
    features: &[&str],
    plan: EpisodePlan,
    costs: CostModel,
    action: ActionKind,
) -> MarketSpec {
    let names: Vec<String> = features.iter().map(|f| (*f).to_owned()).collect();
    let view = FeatureView::compute(&names, &tape).unwrap();
    let normaliser = Arc::new(Normaliser::fit(&view, 0..tape.len(), 5.0));
    let rules = DecisionRules {
        action,
        dead_band: 0.05,
        long_only: false,
        sizing: Sizing::EquityFraction,
        leverage: 1.0,
        one_way_cost: costs.one_way(),
        limits: cambist_risk::Limits { max_exposure: 1.0 },
        window: 1,
        flat_when_blind: true,
    };
    MarketSpec {
        rows: 0..tape.len(),
        features: Arc::new(view),
        path: DecisionPath::new(rules, normaliser),
        execution: Execution::Short(Engine::new(EngineRules { costs, margin: false, ruin_fraction: 0.1 })),
        regimes: None,
        reward: Reward::LogEquity { scale: 1.0 },
        plan,
        left_out: Vec::new(),
        initial_cash: 1000.0,
        tape: Arc::new(tape),
    }
}

const COSTS: CostModel = CostModel {
    commission: BasisPoints(4.0),
    half_spread: BasisPoints(3.0),
    slippage: BasisPoints(3.0),
    borrow_rate: 0.05,
};

fn made_up(n_bars: usize) -> MarketTape {
    let request = SynthRequest {
        kind: SynthKind::RegimeSwitching,
        instrument: InstrumentId("X".into()),
        timeframe: Timeframe::HOUR,
        n_bars,
        start: UnixNanos::parse("2020-01-01").unwrap(),
        price: 100.0,
        seed: 5,
    };
    synthesize(&request).unwrap().0
}

#[test]
fn the_contract_holds() {
    for action in [ActionKind::Discrete, ActionKind::Continuous] {
        let plan = EpisodePlan { starts: Starts::Random, length: EpisodeLength::Steps(50) };
        let env = MarketEnv::new(
            spec(made_up(3000), &["return(1)", "4h:sma(5)"], plan, COSTS, action),
            6,
            0,
            AutoReset::SameStep,
        )
        .unwrap();
        let report = check_env(&|| Box::new(env.clone()), 3, 500).unwrap();
        assert_eq!((report.n_truncated, report.n_terminated), (60, 0));
    }
}

#[test]
fn cutting_the_batch_changes_nothing() {
    let plan = EpisodePlan { starts: Starts::Random, length: EpisodeLength::Steps(40) };
    let spec = spec(made_up(2000), &["return(1)"], plan, COSTS, ActionKind::Discrete);
    let run = |sizes: &[usize]| {
        let mut first = 0;
        let mut all = Vec::new();
        for &n in sizes {
            let mut env = MarketEnv::new(spec.clone(), n, first, AutoReset::SameStep).unwrap();
            let mut storage = StepStorage::for_env(&env);
            env.reset(9, &mut storage.observations);
            let mut rows = vec![Vec::new(); n];
            for step in 0..200usize {
                let actions: Vec<f32> = (0..n).map(|i| ((step + i + first as usize) % 3) as f32).collect();
                env.step(&actions, &mut storage.buffers());
                for (i, row) in rows.iter_mut().enumerate() {
                    row.push((
                        storage.rewards[i].to_bits(),
                        storage.observations[3 * i].to_bits(),
                        storage.ends[i],
                    ));
                }
            }
            all.append(&mut rows);
            first += n as u64;
        }
        all
    };
    assert!(run(&[5]) == run(&[2, 3]) && run(&[5]) == run(&[1, 1, 1, 1, 1]));
}

fn bars(prices: &[(f64, f64, f64, f64)]) -> MarketTape {
    let mut tape =
        MarketTape::empty(InstrumentId("X".into()), Timeframe::HOUR, PriceSide::Last, VolumeKind::Real);
    for (hour, &(open, high, low, close)) in prices.iter().enumerate() {
        let open_time = UnixNanos(hour as i64 * Timeframe::HOUR.nanos());
        tape.push(Bar { open_time, open, high, low, close, volume: 1.0, spread: 0.0, coverage: 1.0 });
    }
    tape
}

const ONCE: EpisodePlan = EpisodePlan { starts: Starts::First, length: EpisodeLength::ToEnd };

/// Decided at the close of bar 0 (100), filled at the open of bar 1 (110), carried to its close (121), then out at the
/// open of bar 2 (120). With 10 bp one way and equity 1 000, units are sized at 100: u·100·(1 + 0.001) = 1 000 exactly
/// for target 1; at 110 the cash pays for 1 000 / (110 × 1.001) units only, so the purchase is cut to that (no margin).
#[test]
fn fills_by_hand() {
    let tape = bars(&[
        (100.0, 100.0, 100.0, 100.0),
        (110.0, 122.0, 109.0, 121.0),
        (120.0, 120.0, 119.0, 119.0),
        (119.0, 119.0, 119.0, 119.0),
    ]);
    let spec = spec(tape, &["hour"], ONCE, CostModel { borrow_rate: 0.0, ..COSTS }, ActionKind::Discrete);
    let mut env = MarketEnv::new(spec, 1, 0, AutoReset::Disabled).unwrap();
    let mut storage = StepStorage::for_env(&env);
    env.reset(0, &mut storage.observations);
    env.step(&[2.0], &mut storage.buffers());
    let units = 1000.0 / (110.0 * 1.001);
    assert!((env.snapshot(0).equity - units * 121.0).abs() < 1e-9);
    assert!((f64::from(storage.rewards[0]) - libm::log(units * 121.0 / 1000.0)).abs() < 1e-6);
    // Account columns: a full position, and its profit of 11 in 121, tenfold.
    assert!((storage.observations[2] - 1.0).abs() < 1e-6);
    assert!((storage.observations[3] - 10.0 * 11.0 / 121.0).abs() < 1e-5);
    env.step(&[1.0], &mut storage.buffers());
    let cash = units * 120.0 * (1.0 - 0.001);
    assert!((env.snapshot(0).equity - cash).abs() < 1e-9);
    env.step(&[1.0], &mut storage.buffers());
    assert!(storage.ends[0] == End::Truncated && (env.snapshot(0).equity - cash).abs() < 1e-9);
    assert_eq!(storage.rewards[0], 0.0);
}

/// Short from 100; the next bar reaches 195: ruin, whatever it closes at.
#[test]
fn ruin_terminates() {
    let tape =
        bars(&[(100.0, 100.0, 100.0, 100.0), (100.0, 195.0, 99.0, 120.0), (120.0, 120.0, 120.0, 120.0)]);
    let spec = spec(tape, &["hour"], ONCE, CostModel::FREE, ActionKind::Discrete);
    let mut env = MarketEnv::new(spec, 1, 0, AutoReset::Disabled).unwrap();
    let mut storage = StepStorage::for_env(&env);
    env.reset(0, &mut storage.observations);
    env.step(&[0.0], &mut storage.buffers());
    assert_eq!(storage.ends[0], End::Terminated);
    assert!((env.snapshot(0).equity - 50.0).abs() < 1e-9);
}

#[test]
fn a_window_too_short_says_so() {
    let plan = EpisodePlan { starts: Starts::Random, length: EpisodeLength::Steps(5000) };
    let spec = spec(made_up(600), &["sma(50)"], plan, COSTS, ActionKind::Discrete);
    let error = MarketEnv::new(spec, 1, 0, AutoReset::SameStep).unwrap_err();
    assert!(matches!(error, MarketError::TooShort { warm_up: 49, needed: 5001, .. }), "{error}");
}

/// Features that are interrupted at rows 3 and 4: the position held goes at the next open and comes back when they do.
#[test]
fn without_features_the_account_is_flat() {
    let tape = bars(&[(100.0, 100.0, 100.0, 100.0); 9]);
    let free = CostModel { borrow_rate: 0.0, ..CostModel::FREE };
    let mut spec = spec(tape, &["hour"], ONCE, free, ActionKind::Discrete);
    let view = FeatureView {
        ready: (0..9).map(|row| row != 3 && row != 4).collect(),
        ..spec.features.as_ref().clone()
    };
    spec.features = Arc::new(view);
    let mut env = MarketEnv::new(spec.clone(), 1, 0, AutoReset::Disabled).unwrap();
    let mut storage = StepStorage::for_env(&env);
    env.reset(0, &mut storage.observations);
    let n_features = storage.observations.len() - 2;
    for row in 1..9 {
        env.step(&[2.0], &mut storage.buffers());
        // Decided at the close of the row before.
        let wanted = if row - 1 == 3 || row - 1 == 4 { 0.0 } else { 1.0 };
        assert_eq!(env.snapshot(0).exposure, wanted, "row {row}");
        let zeros = storage.observations[..n_features].iter().all(|&v| v == 0.0);
        assert_eq!(zeros, row == 3 || row == 4, "row {row}");
    }
    let mostly =
        FeatureView { ready: (0..9).map(|row| row % 3 == 0).collect(), ..spec.features.as_ref().clone() };
    spec.features = Arc::new(mostly);
    let refused = MarketEnv::new(spec, 1, 0, AutoReset::Disabled).unwrap_err();
    assert!(matches!(refused, MarketError::Blind { share, .. } if share < 50.0), "{refused}");
}
