//! Regimes from the command line: fitted, saved, labelled, drawn, reported; observed by an agent and kept in its artefact.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

fn cambist(folder: &Path, args: &[&str], sets: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args(args).current_dir(folder);
    for set in sets {
        command.args(["--set", set]);
    }
    command.output().unwrap()
}

#[track_caller]
fn works(folder: &Path, args: &[&str], sets: &[&str]) -> String {
    let output = cambist(folder, args, sets);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const HMM: [&str; 2] = ["regime.kind=hmm", "data.n_bars=61368"];

#[test]
fn a_model_is_fitted_saved_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    works(path, &["regime", "fit", "--out", "model.json"], &HMM);
    let fitted = works(path, &["regime", "report"], &HMM);
    let saved = works(path, &["regime", "report", "--model", "model.json"], &HMM);
    assert_eq!(fitted, saved, "the saved model is the fitted one");
    assert!(saved.contains("2 states on 1h bars of REGIME: calm, wild"), "{saved}");
    assert_eq!(saved.matches("the same label on").count(), 3, "{saved}");
    works(path, &["regime", "label", "--model", "model.json", "--out", "labels.csv"], &HMM);
    let labels = std::fs::read_to_string(path.join("labels.csv")).unwrap();
    assert_eq!(labels.lines().count(), 61_369);
    assert_eq!(labels.lines().next(), Some("close_time,label,calm,wild"));
    let last: Vec<&str> = labels.lines().last().unwrap().split(',').collect();
    let sum: f64 = last[2..].iter().map(|p| p.parse::<f64>().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5 && ["calm", "wild"].contains(&last[1]), "{last:?}");
    works(path, &["regime", "plot", "--out", "regimes.svg"], &HMM);
    let drawn = std::fs::read_to_string(path.join("regimes.svg")).unwrap();
    assert!(drawn.contains("wild") && drawn.matches("<rect").count() > 20);
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |args: &[&str], sets: &[&str], words: &[&str]| {
        let output = cambist(folder.path(), args, sets);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{sets:?}: {error}");
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{sets:?}: '{word}' is not in: {error}"));
    };
    let report = ["regime", "report"];
    refused(&report, &[], &["regime.kind"]);
    refused(&report, &["regime.kind=rules"], &["regime.timeframe is 1h", "1d or longer"]);
    refused(&report, &["regime.kind=hmm", "regime.n_states=9"], &["regime.n_states is 9", "2 to 6"]);
    refused(&report, &["regime.kind=hmm", "regime.timeframe=90m"], &["regime.timeframe"]);
    works(folder.path(), &["regime", "fit", "--out", "m.json"], &HMM);
    let saved = ["regime", "report", "--model", "m.json"];
    refused(&saved, &["regime.kind=hmm", "data.symbol=OTHER"], &["instrument is REGIME, here it is OTHER"]);
    refused(&saved, &["regime.kind=hmm", "data.timeframe=4h"], &["bars is 1h, here it is 4h"]);
    refused(&saved, &["regime.kind=changes"], &["kind is Hmm, here it is Changes"]);
    refused(&saved, &["regime.kind=hmm", "regime.n_states=3"], &["number of states is 2, here it is 3"]);
    refused(&saved, &["regime.kind=hmm", "regime.timeframe=1d"], &["timeframe is 1h, here it is 1d"]);
    std::fs::write(folder.path().join("m.json"), "{}").unwrap();
    refused(&saved, &HMM, &["m.json", "is no regime model"]);
}

#[test]
fn an_agent_observes_regimes_and_its_artefact_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["ppo.total_steps=8192", "ppo.n_envs=16", "ppo.minibatch_size=256", "ppo.validate_every=100"];
    let sets: Vec<&str> = HMM.iter().chain(&small).copied().collect();
    let line = works(folder.path(), &["train", "--json"], &sets);
    let result: serde_json::Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
    let run = result["folder"].as_str().unwrap();
    let text = std::fs::read_to_string(folder.path().join(run).join("artefact/artefact.json")).unwrap();
    let artefact: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = artefact["content"]["observation"]["names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_str().unwrap())
        .collect();
    assert!(names.contains(&"regime.calm") && names.contains(&"regime.wild"), "{names:?}");
    assert_eq!(artefact["content"]["regime"]["names"][0], "calm");
    // The saved model is used again, not another fit.
    works(folder.path(), &["evaluate", run], &[]);
}
