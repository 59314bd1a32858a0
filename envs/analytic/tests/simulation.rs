//! The closed forms against simulation through the environment, and the environment against the contract.
#![allow(clippy::unwrap_used, reason = "a test")]

use cambist_analytic::{BandPolicy, LinearPolicy, SignalEnv, SignalMarket, ThresholdPolicy};
use cambist_core::check::check_env;
use cambist_core::env::StepStorage;
use cambist_core::{BatchedEnv, End};

fn mean_reward(market: SignalMarket, act: impl Fn(f64, f64) -> f64) -> f64 {
    let (n_envs, n_steps) = (64, 20_000);
    let mut env = SignalEnv::new(market, n_envs, 0, n_steps);
    let mut storage = StepStorage::for_env(&env);
    env.reset(1, &mut storage.observations);
    let mut sum = 0.0;
    loop {
        let width = env.action_spec().width();
        let actions: Vec<f32> = (0..n_envs)
            .flat_map(|i| {
                let (p, position) = env.state(i);
                env.action_for(act(p, position)).into_iter().take(width)
            })
            .collect();
        env.step(&actions, &mut storage.buffers());
        sum += (0..n_envs).map(|i| env.market_reward(i)).sum::<f64>();
        if storage.ends[0] == End::Truncated {
            return sum / f64::from(n_steps) / n_envs as f64;
        }
    }
}

#[test]
fn simulated_values_are_the_exact_ones() {
    let market = SignalMarket::quadratic();
    let best = LinearPolicy::optimal(&market).unwrap();
    let value = mean_reward(market, |p, position| best.k * position + best.b * p);
    assert!((value / best.value(&market).unwrap() - 1.0).abs() < 0.01, "{value}");
    let market = SignalMarket::proportional();
    let best = ThresholdPolicy::optimal(&market).unwrap();
    let value = mean_reward(market, |p, position| best.act(p, position));
    assert!((value / best.value() - 1.0).abs() < 0.01, "{value}");
    let market = SignalMarket::banded();
    let best = BandPolicy::optimal(&market).unwrap();
    let value = mean_reward(market, |p, position| best.act(p, position));
    assert!((value / best.value() - 1.0).abs() < 0.02, "{value}");
}

#[test]
fn the_contract_holds() {
    for market in [SignalMarket::quadratic(), SignalMarket::proportional(), SignalMarket::banded()] {
        let report = check_env(&|| Box::new(SignalEnv::new(market, 3, 0, 50)), 7, 300).unwrap();
        assert_eq!((report.n_truncated, report.n_terminated), (18, 0));
    }
}
