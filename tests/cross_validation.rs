//! Combinatorial purged cross-validation as a user runs it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{cambist, refused, text, works};

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_bar_is_traded_in_every_history_by_a_policy_that_did_not_see_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("small.toml"), include_str!("fixtures/small.toml")).unwrap();
    let sets = ["ppo.total_steps=8192", "cross_validation.n_groups=4", "cross_validation.embargo_bars=24"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let args = [&["cross-validate", "small.toml"], &sets[..]].concat();
    let said = works(path, &[&args[..], &["--quiet"]].concat());
    assert!(
        said.contains("history 3") && !said.contains("history 4") && said.contains("buy and hold"),
        "{said}"
    );
    assert!(said.contains("Over 3 histories"), "{said}");
    let runs = || {
        let entries = std::fs::read_dir(path.join("runs")).unwrap().map(|e| e.unwrap().path());
        let mut runs: Vec<_> = entries.filter(|p| p.join("config.toml").is_file()).collect();
        runs.sort();
        runs
    };
    let whole = runs().remove(0);
    let result = json(&whole.join("cross-validation.json"));
    assert_eq!(result["n_splits"], 6);
    // A history is its tests one after the other: growth multiplies.
    let split = |index: usize| json(&whole.join(format!("split-{index:04}.json")));
    let growth = |split: &Value, group: usize| {
        let place = split["groups"].as_array().unwrap().iter().position(|g| *g == group).unwrap();
        let equity = split["tracks"][place]["equity"].as_array().unwrap();
        equity[equity.len() - 1].as_f64().unwrap() / equity[0].as_f64().unwrap()
    };
    // Splits by their bits: 01, 02, 12, 03, 13, 23; the first history takes each group's first test.
    let first: f64 = [(0, 0), (0, 1), (1, 2), (3, 3)].iter().map(|&(s, g)| growth(&split(s), g)).product();
    let told = result["histories"][0]["total_return"].as_f64().unwrap();
    assert!((first - 1.0 - told).abs() < 1e-9, "{first} {told}");
    let bars: usize = (0..6)
        .map(split)
        .flat_map(|s| s["tracks"].as_array().unwrap().clone())
        .map(|track| track["time"].as_array().unwrap().len())
        .sum();
    // 517 days of hours, three times, but for the first month, in which recursive indicators warm up.
    assert!((34_700..35_200).contains(&bars), "{bars}");
    assert!(whole.join("histories.svg").is_file());

    // Interrupted, it goes on and ends with the same.
    let long =
        ["--time-limit", "1s", "--set", "ppo.total_steps=1000000000", "--set", "ppo.validate_every=1000000"];
    let output = cambist(path, &[&args[..], &long].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let name = said.trim().rsplit(' ').next().unwrap().to_owned();
    let interrupted = path.join("runs").join(&name);
    // The config decides; with the first's it is the first.
    std::fs::copy(whole.join("config.toml"), interrupted.join("config.toml")).unwrap();
    std::fs::copy(whole.join("split-0000.json"), interrupted.join("split-0000.json")).unwrap();
    works(path, &["cross-validate", "--resume", &name, "--quiet"]);
    let again = json(&interrupted.join("cross-validation.json"));
    assert_eq!(again["histories"], result["histories"]);
    assert!(refused(path, &["cross-validate", "--resume", &name]).contains("finished"));
    for (set, wanted) in [
        ("cross_validation.n_groups=2", "two more than are tested"),
        ("cross_validation.n_groups=33", "at most 32"),
        ("cross_validation.embargo_bars=9000", "leave something"),
    ] {
        assert!(refused(path, &[&args[..], &["--set", set]].concat()).contains(wanted), "{set}");
    }
}
