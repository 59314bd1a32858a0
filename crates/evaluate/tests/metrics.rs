//! Metrics against other people's code (fixture by `scripts/metrics_fixture.py`) and against published examples.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use cambist_core::{Timeframe, UnixNanos};
use cambist_evaluate::Track;
use cambist_evaluate::judgement::{HOLD, judge};
use cambist_evaluate::metrics::bootstrap::{optimal_block, sharpe_interval};
use cambist_evaluate::metrics::deflated_sharpe::{deflated_sharpe, expected_best};
use cambist_evaluate::metrics::probabilistic_sharpe::SharpeEstimate;
use cambist_evaluate::metrics::{
    break_even, calmar, drawdown, growth, hit_rate, market, moments, newey_west, profit_factor, sharpe,
    sortino, tail, turnover,
};

#[test]
fn metrics_equal_other_peoples() {
    let mut known = BTreeMap::new();
    let (mut returns, mut factor) = (Vec::new(), Vec::new());
    for line in include_str!("fixtures/metrics.csv").lines().skip(1) {
        let cells: Vec<&str> = line.split(';').collect();
        if cells[0] == "row" {
            returns.push(cells[1].parse::<f64>().unwrap());
            factor.push(cells[2].parse::<f64>().unwrap());
        } else {
            known.insert(cells[0], cells[1].parse::<f64>().unwrap());
        }
    }
    let mut equity = vec![1.0];
    returns.iter().for_each(|r| equity.push(equity.last().unwrap() * (1.0 + r)));
    let years = returns.len() as f64 / 252.0;
    let fall = drawdown::drawdown(&equity).deepest;
    let cagr = growth::cagr(&equity, years);
    let (var, cvar) = tail::value_at_risk(&returns, 0.05);
    let (alpha, beta) = market::alpha_beta(&returns, &factor, 252.0);
    let regression = newey_west::regress(&returns, &factor);
    assert!((regression.alpha * 252.0 - alpha).abs() < 1e-12 && (regression.beta - beta).abs() < 1e-12);
    let ours = [
        ("total_return", growth::total_return(&equity)),
        ("cagr", cagr),
        ("volatility", sharpe::annual_volatility(&returns, 252.0)),
        ("sharpe", sharpe::annual(&returns, 252.0)),
        ("sortino", sortino::annual(&returns, 252.0)),
        ("calmar", calmar::calmar(cagr, fall)),
        ("max_drawdown", fall),
        ("value_at_risk", var),
        ("conditional_value_at_risk", cvar),
        ("hit_rate", hit_rate::hit_rate(&returns)),
        ("profit_factor", profit_factor::profit_factor(&returns)),
        ("t_alpha", regression.t_alpha),
        ("t_beta", regression.t_beta),
        ("alpha", alpha),
        ("beta", beta),
        ("skewness", moments::skewness(&returns)),
        ("kurtosis", moments::kurtosis(&returns)),
        ("block", optimal_block(&returns)),
    ];
    assert_eq!(ours.len(), known.len());
    for (name, value) in ours {
        assert!((value / known[name] - 1.0).abs() < 1e-6, "{name}: {value} against {}", known[name]);
    }
}

/// Bailey & López de Prado (2014), the numerical example: annual SR 2.5, 250 a year, T = 1250, variance ½ a year,
/// skewness −3, kurtosis 10.
#[test]
fn the_deflated_sharpe_of_the_paper() {
    let sharpe = 2.5 / 250f64.sqrt();
    let estimate = SharpeEstimate { sharpe, n: 1250.0, skewness: -3.0, kurtosis: 10.0 };
    let variance = 0.5 / 250.0;
    assert!((expected_best(variance, 100.0) - 0.11317).abs() < 1e-5);
    assert!((deflated_sharpe(&estimate, variance, 100.0) - 0.9004).abs() < 1e-4);
    assert!((deflated_sharpe(&estimate, variance, 46.0) - 0.9505).abs() < 1e-4);
    assert!((deflated_sharpe(&estimate, 0.0, 1.0) - estimate.probability_above(0.0)).abs() < 1e-12);
}

/// Bailey & López de Prado (2012): annual SR 2 against 1, daily, skewness −0.72, kurtosis 5.78, α = 5 %: 3.0077 years.
#[test]
fn the_minimum_track_record_of_the_paper() {
    let per_day = |annual: f64| annual / 250f64.sqrt();
    let estimate = SharpeEstimate { sharpe: per_day(2.0), n: 0.0, skewness: -0.72, kurtosis: 5.78 };
    let years = estimate.minimum_track_record(per_day(1.0), 0.05) / 250.0;
    assert!((years - 3.0077).abs() < 0.02, "{years}");
}

fn track(name: &str, equity: Vec<f64>) -> Track {
    let n = equity.len();
    let day = Timeframe::DAY.nanos();
    Track {
        name: name.to_owned(),
        timeframe: Timeframe::DAY,
        time: (0..n as i64).map(|i| UnixNanos(i * day)).collect(),
        exposure: vec![0.5; n],
        costs: (0..n).map(|i| 0.01 * i as f64).collect(),
        traded: (0..n).map(|i| i as f64).collect(),
        equity,
        ruined: false,
        refused: 0,
        refusal: String::new(),
    }
}

/// By hand: equity 10, 12, 9, 11 over three days, 3 traded, 0.03 paid.
#[test]
fn a_track_by_hand() {
    let track = track("x", vec![10.0, 12.0, 9.0, 11.0]);
    assert!((turnover::mean_exposure(&track) - 0.5).abs() < 1e-12);
    // 3 over a mean equity of 10.5 in 3/365.25 years.
    assert!((turnover::annual_turnover(&track) - 3.0 / 10.5 * 365.25 / 3.0).abs() < 1e-9);
    // (1 + 0.03) of profit before costs on 3 traded.
    assert!((break_even::break_even_bp(&track) - 1.03 / 3.0 * 1e4).abs() < 1e-9);
    let fall = drawdown::drawdown(&track.equity);
    assert!((fall.deepest - 0.25).abs() < 1e-12 && fall.longest_bars == 2);
}

/// The interval of independent normal returns is close to the textbook's SR ± 1.96 / √years.
#[test]
fn the_bootstrap_interval_covers_as_it_should() {
    use cambist_core::rng::{Purpose, Stream};
    let mut stream = Stream::new(1, Purpose::Check, 0);
    let returns: Vec<f64> = (0..2500).map(|_| 0.0005 + 0.01 * stream.normal()).collect();
    let interval = sharpe_interval(&returns, 250.0, 0.95, 2000, 3);
    let width = 2.0 * 1.96 / 10f64.sqrt();
    assert!(((interval.high - interval.low) / width - 1.0).abs() < 0.15, "{interval:?}");
    let centre = sharpe::annual(&returns, 250.0);
    assert!(interval.low < centre && centre < interval.high);
}

#[test]
fn the_verdict_says_who_won() {
    let grow = |rate: f64, wiggle: f64| {
        (0..400).map(|i| (1.0 + rate).powi(i) * (1.0 + wiggle * f64::from(i % 2))).collect::<Vec<f64>>()
    };
    let tracks = [track("policy", grow(0.001, 0.01)), track(HOLD, grow(-0.001, 0.01))];
    let judgement = judge("test", &tracks, &[], 1).unwrap();
    assert!(judgement.verdict.beats_holding && judgement.verdict.beats_nothing);
    assert!(
        judgement.verdict.sentence.contains("beat both holding and doing nothing"),
        "{}",
        judgement.verdict.sentence
    );
    // Sixty lucky runs before it take the certainty away.
    let earlier: Vec<f64> = (0..60).map(|i| 0.1 * f64::from(i % 7 - 3)).collect();
    let later = judge("test", &tracks, &earlier, 1).unwrap();
    assert!(later.verdict.deflated_sharpe < judgement.verdict.deflated_sharpe);
    assert_eq!(later.trials.n, 61);
    let flat = [track("policy", vec![1.0; 400]), track(HOLD, grow(0.001, 0.01))];
    let judgement = judge("test", &flat, &[], 1).unwrap();
    assert!(judgement.verdict.sentence.contains("it never traded"), "{}", judgement.verdict.sentence);
}
