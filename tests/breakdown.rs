//! `cambist evaluate --by`: parts that add up to the whole, windows that say what was seen, stress that costs, errors that help.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn cambist(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cambist")).args(args).current_dir(folder).output().unwrap()
}

#[track_caller]
fn works(folder: &Path, args: &[&str]) -> String {
    let output = cambist(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn parts_add_up_to_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let small = ["ppo.total_steps=16384", "ppo.n_envs=16", "ppo.minibatch_size=256", "data.n_bars=61368"];
    let mut train = vec!["train", "--quiet"];
    small.iter().for_each(|set| train.extend(["--set", set]));
    works(path, &train);
    let text = works(path, &["evaluate", "latest", "--by", "regime", "--stress", "--capacity"]);
    assert!(text.contains("costs doubled") && text.contains("needs a config with [broker]"), "{text}");
    assert!(!text.contains("latency doubled"), "the short form has none: {text}");
    assert!(text.contains("by Newey and West over"), "{text}");
    let run = std::fs::read_dir(path.join("runs"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.is_dir())
        .unwrap();
    assert!(std::fs::read_to_string(run.join("by-regime.svg")).unwrap().contains("bull wild"));
    let parts = json(&run.join("by-regime.json"));
    let report = json(&run.join("report.json"));
    let equity: Vec<f64> =
        report["tracks"][0]["equity"].as_array().unwrap().iter().map(|e| e.as_f64().unwrap()).collect();
    let parts = parts.as_array().unwrap();
    let bars: u64 = parts.iter().map(|part| part["bars"].as_u64().unwrap()).sum();
    assert_eq!(bars as usize, equity.len() - 1);
    let product: f64 = parts.iter().map(|part| 1.0 + part["earned"].as_f64().unwrap()).product();
    assert!((product / (equity[equity.len() - 1] / equity[0]) - 1.0).abs() < 1e-9, "{product}");
    // Costs doubled leave less.
    let earned = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.trim_start()[name.len()..].split_whitespace().next().unwrap().parse().unwrap()
    };
    assert!(earned("costs doubled") < earned("as configured"), "{text}");

    let windows = "[[window]]\nname = \"learned\"\nfrom = \"2021-01-01\"\nuntil = \"2021-07-01\"\n\
                   [[window]]\nname = \"fresh\"\nfrom = \"2024-02-01\"\nuntil = \"2024-06-01\"\n\
                   [[window]]\nname = \"later\"\nfrom = \"2031-01-01\"\nuntil = \"2032-01-01\"\n";
    std::fs::write(path.join("w.toml"), windows).unwrap();
    let by_windows = ["evaluate", "latest", "--by", "windows", "--windows", "w.toml"];
    let text = works(path, &by_windows);
    assert!(text.contains("Not in the data, or sealed: later."), "{text}");
    let parts = json(&run.join("by-windows.json"));
    assert_eq!((&parts[0]["seen"], &parts[1]["seen"]), (&"training".into(), &"".into()));

    let refused = |text: &str, words: &[&str]| {
        std::fs::write(path.join("w.toml"), text).unwrap();
        let output = cambist(path, &by_windows);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        words.iter().for_each(|word| assert!(error.contains(word), "'{word}' is not in: {error}"));
    };
    refused("[[window]]\nname = \"x\"\n", &["w.toml", "from"]);
    refused(
        &windows.replace("2021-07-01", "2020-07-01"),
        &["w.toml", "'learned'", "the first before the second"],
    );
    refused(&windows.replace("name", "title"), &["w.toml", "title"]);
    let output = cambist(path, &["evaluate", "latest", "--by", "windows", "--windows", "none.toml"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("none.toml"));
    // The windows that come with the project are well-formed.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/windows/btc.toml");
    works(path, &["evaluate", "latest", "--by", "windows", "--windows", shipped.to_str().unwrap()]);
}

/// Over runs every part has each run's own value, and the middle of them.
#[test]
fn parts_are_spread_over_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("small.toml"), include_str!("fixtures/small.toml")).unwrap();
    works(path, &["train", "small.toml", "--quiet", "--seeds", "3", "--set", "ppo.total_steps=16384"]);
    let entries = || std::fs::read_dir(path.join("runs")).unwrap().map(|e| e.unwrap().path());
    let summary = entries().find(|p| p.to_string_lossy().ends_with("-seeds.json")).unwrap();
    let summary = summary.to_str().unwrap().to_owned();
    let runs: Vec<String> = json(Path::new(&summary))["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r.as_str().unwrap().to_owned())
        .collect();
    let text = works(path, &["evaluate", &summary, "--by", "regime"]);
    assert!(text.contains("Over 3 runs") && text.contains("no verdict"), "{text}");
    let named: Vec<&str> = runs.iter().map(String::as_str).collect();
    assert_eq!(text, works(path, &[&["evaluate"], &named[..], &["--by", "regime"]].concat()));
    let over = json(&path.join("runs").join(&runs[0]).join("by-regime-over-3-runs.json"));
    let alone: Vec<Value> = runs
        .iter()
        .map(|run| {
            works(path, &["evaluate", run, "--by", "regime"]);
            json(&path.join("runs").join(run).join("by-regime.json"))
        })
        .collect();
    for (index, part) in over["parts"].as_array().unwrap().iter().enumerate() {
        let mut own: Vec<f64> = alone.iter().map(|a| a[index]["earned"].as_f64().unwrap()).collect();
        assert_eq!(alone[0][index]["name"], part["name"]);
        let told: Vec<f64> =
            part["earned"]["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert_eq!(told, own);
        own.sort_by(f64::total_cmp);
        // Of three values the interquartile mean gives the middle one's weight to it alone, as scipy's trim_mean does.
        let estimate = &part["earned"]["estimate"];
        let (mean, low, high) = (
            estimate["mean"].as_f64().unwrap(),
            estimate["low"].as_f64().unwrap(),
            estimate["high"].as_f64().unwrap(),
        );
        assert!(low <= mean && mean <= high && own[0] <= low && high <= own[2], "{part}");
    }
    let error = |args: &[&str]| {
        let output = cambist(path, &[&["evaluate"], args].concat());
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(error(&named).contains("several need --by"));
    assert!(error(&[&named[..], &["--by", "member"]].concat()).contains("look at one run: 3 were named"));
    works(
        path,
        &[
            "train",
            "small.toml",
            "--quiet",
            "--set",
            "ppo.total_steps=2048",
            "--set",
            "windows.test_until=\"2021-05-01\"",
        ],
    );
    assert!(error(&[&runs[0], "latest", "--by", "regime"]).contains("test window"));
    assert!(error(&["none-seeds.json", "--by", "regime"]).contains("none-seeds.json"));
}
