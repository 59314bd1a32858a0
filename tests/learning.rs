//! A small version of `cambist check learning`; the whole of it is in `experiments/learning`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::process::Command;

use cambist_core::clock::SystemClock;
use cambist_lab::learning::{Budget, Exercise, LearningRequest, OracleMarket, check_learning};

fn check(arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_cambist"))
        .args(["check", "learning", "--seeds", "1", "--json"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn share(row: &serde_json::Value) -> f64 {
    row["mean"].as_f64().unwrap()
}

#[test]
fn known_optima_are_approached() {
    let rows = check(&["--markets", "a,b,c", "--steps", "4000000"]);
    assert!(share(&rows[0]) > 0.97, "A: {}", rows[0]);
    assert!(share(&rows[1]) > 0.97, "B: {}", rows[1]);
    assert!(share(&rows[2]) > 0.95, "C: {}", rows[2]);
    assert!(rows.iter().all(|r| r["standard_error"].as_f64().unwrap() < 0.004));
    let threshold = rows[1]["learned_rule"].as_f64().unwrap() - rows[1]["exact_rule"].as_f64().unwrap();
    assert!(threshold.abs() < 0.15, "B: {}", rows[1]);
    assert!(rows[2]["learned_rule"].as_f64().unwrap() < 0.3, "C's band: {}", rows[2]);
}

/// What pays was shown 32 bars ago: a GRU remembers it, and without memory nothing is earned.
#[test]
fn memory_is_learned_and_missed() {
    let rows = check(&["--markets", "memory", "-k", "32", "--steps", "6000000"]);
    assert!(share(&rows[0]) > 0.95, "GRU: {}", rows[0]);
    assert!(share(&rows[1]) < 0.05, "MLP: {}", rows[1]);
}

#[test]
fn what_everybody_knows_is_solved() {
    let rows = check(&["--markets", "cartpole,pendulum", "--steps", "4000000"]);
    assert!(share(&rows[0]) >= 475.0 && share(&rows[1]) >= -200.0, "{rows:?}");
}

#[test]
fn other_parameters_need_no_tuning() {
    let rows = check(&[
        "--markets",
        "a,b",
        "--steps",
        "2000000",
        "--rho",
        "0.8",
        "--s",
        "1.2",
        "--lambda",
        "0.5",
        "--psi",
        "1",
        "--cap",
        "1",
    ]);
    assert!(share(&rows[0]) > 0.9, "A: {}", rows[0]);
    assert!(share(&rows[1]) > 0.9, "B: {}", rows[1]);
    // The optimum's positions spread over 5.9 here, over 1.4 at the base.
    let rows = check(&["--markets", "a", "--steps", "3000000", "--rho", "0.95", "--lambda", "0.1"]);
    assert!(share(&rows[0]) > 0.9, "wide A: {}", rows[0]);
    let rows = check(&["--markets", "c", "--steps", "4000000", "--psi", "2", "--lambda", "0.5"]);
    assert!(share(&rows[0]) > 0.85, "C: {}", rows[0]);
}

/// Cost and price of risk of the oracle, in deviations: the threshold follows.
#[test]
fn the_oracles_parameters_are_its_markets() {
    for (psi, lambda) in [("0.2", "0"), ("0.8", "0.1")] {
        let words =
            ["--markets", "oracle", "--steps", "2000000", "--oracle-psi", psi, "--oracle-lambda", lambda];
        let row = &check(&words)[0];
        assert!(share(row) > 0.85, "{row}");
        let rule = |name: &str| row[name].as_f64().unwrap();
        assert!((rule("learned_rule") - rule("exact_rule")).abs() < 0.25, "{row}");
    }
    let refused = Command::new(env!("CARGO_BIN_EXE_cambist"))
        .args(["check", "learning", "--markets", "oracle", "--oracle-psi=-1"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("from 0 to 2"));
}

#[test]
fn the_leak_is_exploited_and_without_it_nothing_is_done() {
    let rows = check(&["--markets", "oracle,null", "--steps", "3000000"]);
    assert!(share(&rows[0]) > 0.9, "oracle: {}", rows[0]);
    assert!(rows[1]["passed"].as_bool().unwrap(), "null: {}", rows[1]);
}

/// A stop in the first seed of the first exercise: that seed is judged, nothing else is begun.
#[test]
fn a_stop_is_heard_by_all_that_would_follow() {
    let request = LearningRequest {
        exercises: vec![Exercise::Quadratic, Exercise::Memory, Exercise::Null],
        n_seeds: 5,
        budget: Budget { steps: 50_000_000, n_threads: 2 },
        rho: 0.9,
        s: 0.2f64.sqrt(),
        lambda: 0.3,
        phi: 1.0,
        psi: 4.0,
        cap: 2.0,
        oracle: OracleMarket::default(),
        lags: vec![8],
    };
    let mut heard = Vec::new();
    let rows = check_learning(&request, &SystemClock::start(), &mut |what, done, _| {
        heard.push(what.to_owned());
        done < 3
    })
    .unwrap();
    assert!(heard.iter().all(|what| what == "A, seed 1"), "{heard:?}");
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].n_seeds, rows[0].passed), (1, false));
    assert!(rows[0].needed.starts_with("stopped early"), "{}", rows[0].needed);
}
