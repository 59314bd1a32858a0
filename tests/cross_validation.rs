//! Combinatorial purged cross-validation as a user runs it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use std::path::{Path, PathBuf};

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
    let sets = ["ppo.total_steps=61440", "cross_validation.n_groups=4", "cross_validation.embargo_bars=24"];
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
    let split = |index: usize| json(&whole.join(format!("splits/{index:04}.json")));
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

    let listed = works(path, &["runs", "list"]);
    assert!(listed.contains("cross-validation") && listed.contains("finished"), "{listed}");

    // Interrupted in the middle of a split, it goes on from there and ends with the same.
    let run = interrupted(path, &args);
    let name = run.file_name().unwrap().to_str().unwrap();
    assert!(std::fs::read_dir(run.join("checkpoints")).unwrap().count() > 0);
    assert!(works(path, &["runs", "list"]).contains("interrupted"));
    // A training does not go on with it, nor it with a training; each finds its own.
    assert!(refused(path, &["train", "--resume", name]).contains("cross-validate --resume"));
    works(path, &["train", "small.toml", "--quiet", "--set", "ppo.total_steps=2048"]);
    assert!(
        refused(path, &["cross-validate", "--resume", &last_run(path)]).contains("cambist train --resume")
    );
    assert!(refused(path, &["train", "--resume", "latest"]).contains("finished"));
    // Another config is named; so is what is damaged, which is trained again.
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    let dear = config.replace("commission_bp = 3.0", "commission_bp = 300.0");
    std::fs::write(run.join("config.toml"), dear).unwrap();
    let said = refused(path, &["cross-validate", "--resume", "latest"]);
    assert!(
        said.contains("execution.commission_bp is 3.0 in the checkpoint and 300.0 in config.toml"),
        "{said}"
    );
    std::fs::write(run.join("config.toml"), &config).unwrap();
    std::fs::write(run.join("splits/0001.json"), "{\"config\": \"").unwrap();
    let output = cambist(path, &["cross-validate", "--resume", "latest", "--quiet"]).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("0001.json is damaged"), "{said}");
    assert_eq!(json(&run.join("cross-validation.json"))["histories"], result["histories"]);
    assert!(refused(path, &["cross-validate", "--resume", name]).contains("finished"));
    // What a finished split left is of one config and one market too.
    std::fs::remove_file(run.join("cross-validation.json")).unwrap();
    std::fs::remove_dir_all(run.join("checkpoints")).unwrap();
    std::fs::write(run.join("config.toml"), config.replace("seed = 7", "seed = 8")).unwrap();
    assert!(refused(path, &["cross-validate", "--resume", name]).contains("data.seed is 7"));
    for (set, wanted) in [
        ("cross_validation.n_groups=2", "cross_validation.n_groups is 2"),
        ("cross_validation.n_groups=33", "at most 32"),
        ("cross_validation.n_test_groups=0", "cross_validation.n_test_groups is 0"),
        ("cross_validation.n_test_groups=3", "of which 2 at most are tested at a time"),
        ("cross_validation.embargo_bars=9000", "with an embargo of 9000 bars"),
    ] {
        let said = refused(path, &[&args[..], &["--set", set]].concat());
        assert!(said.contains(wanted), "{set}: {said}");
    }
    assert!(refused(path, &[&args[..], &["--set", "run.name=a/b"]].concat()).contains("run.name is 'a/b'"));
}

fn last_run(path: &Path) -> String {
    let entries = std::fs::read_dir(path.join("runs")).unwrap().map(|e| e.unwrap().path());
    let runs = entries.filter(|p| p.join("outcome.json").is_file());
    runs.max().unwrap().file_name().unwrap().to_string_lossy().into_owned()
}

/// Kills a cross-validation once it has done a split and begun another.
fn interrupted(path: &Path, args: &[&str]) -> PathBuf {
    let before = path.join("runs");
    let known = |p: &PathBuf| p.join("cross-validation.json").is_file();
    let mut child = cambist(path, &[args, &["--quiet"]].concat()).spawn().unwrap();
    loop {
        let entries = std::fs::read_dir(&before).unwrap().map(|e| e.unwrap().path());
        let fresh = entries.filter(|p| p.join("splits").is_dir() && !known(p)).max();
        if let Some(run) = fresh
            && run.join("splits/0000.json").is_file()
            && run.join("checkpoints").is_dir()
        {
            // SIGINT: it ends at a safe point.
            let id = child.id().to_string();
            assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
            let status = child.wait().unwrap();
            assert_eq!(status.code(), Some(75), "it was too quick to be interrupted");
            return run;
        }
        assert!(child.try_wait().unwrap().is_none(), "it was too quick to be interrupted");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
