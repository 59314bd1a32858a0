//! `cambist train` and `cambist bench` beyond the ordinary: other networks, several seeds, and what cannot work.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

const SMALL: [&str; 5] = [
    "data.n_bars=61368",
    "ppo.total_steps=8192",
    "ppo.n_envs=16",
    "ppo.minibatch_size=256",
    "ppo.validate_every=100",
];

fn cambist(folder: &Path, words: &[&str], sets: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args(words).arg("--runs-dir").arg(folder);
    for set in SMALL.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command.output().unwrap()
}

#[track_caller]
fn last_json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[track_caller]
fn refused(folder: &Path, sets: &[&str], words: &[&str]) {
    let output = cambist(folder, &["train", "--quiet"], sets);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{sets:?}: {error}");
    assert!(!error.contains("panicked"), "{error}");
    for word in words {
        assert!(error.contains(word), "{sets:?}: '{word}' is not in: {error}");
    }
}

#[test]
fn every_network_and_action_trains() {
    let folder = tempfile::tempdir().unwrap();
    let burn = "network.learner=burn";
    for (sets, deterministic) in [
        (vec!["network.trunk=gru", "network.trunk_width=16"], true),
        (vec!["network.trunk=lstm", "network.trunk_width=16", "ppo.burn_in=8"], true),
        (vec!["network.activation=silu", "decision.action=band"], true),
        (vec!["decision.long_only=true", "ppo.scale_rewards=true"], true),
        (vec!["ppo.path_group=4"], true),
        (vec![burn, "network.trunk=conv", "features.window=8", "network.trunk_width=8"], false),
        (vec![burn, "network.trunk=transformer", "features.window=4", "network.trunk_width=8"], false),
    ] {
        let result = last_json(&cambist(folder.path(), &["train", "--json"], &sets));
        let artefact = Path::new(result["folder"].as_str().unwrap()).join("artefact/artefact.json");
        let text = std::fs::read_to_string(&artefact).unwrap();
        let artefact: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(artefact["content"]["deterministic"], deterministic, "{sets:?}");
    }
}

/// The floats of a safetensors file: what follows its header.
fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The same training by both implementations: weights move, and end near each other.
#[test]
fn both_learners_end_near_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let weights = |sets: &[&str]| {
        let result = last_json(&cambist(folder.path(), &["train", "--json"], sets));
        floats(&Path::new(result["folder"].as_str().unwrap()).join("artefact/weights.safetensors"))
    };
    let distance = |a: &[f32], b: &[f32]| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(x, y)| f64::from((x - y) * (x - y))).sum::<f64>().sqrt()
    };
    let (fused, burn) = (weights(&[]), weights(&["network.learner=burn"]));
    let untrained = weights(&["ppo.learning_rate=1e-12"]);
    let moved = distance(&fused, &untrained);
    assert!(moved > 0.1 && distance(&fused, &burn) < 0.05 * moved, "{moved} {}", distance(&fused, &burn));
}

#[test]
fn memory_gives_one_artefact_whatever_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |threads: &str| {
        let words = ["train", "--json", "--threads", threads];
        let sets =
            ["network.trunk=gru", "network.trunk_width=16", "ppo.burn_in=8", "decision.long_only=true"];
        last_json(&cambist(folder.path(), &words, &sets))["artefact"].clone()
    };
    assert_eq!(hash("1"), hash("2"));
}

#[test]
fn several_seeds_are_judged_together() {
    let folder = tempfile::tempdir().unwrap();
    let summary = last_json(&cambist(folder.path(), &["train", "--json", "--seeds", "3"], &[]));
    assert_eq!(summary["seeds"], serde_json::json!([1, 2, 3]));
    assert!(Path::new(summary["file"].as_str().unwrap()).is_file());
    let sharpe = &summary["metrics"][2];
    let estimate = &sharpe["estimate"];
    let number = |name: &str| estimate[name].as_f64().unwrap();
    assert!(number("low") <= number("mean") && number("mean") <= number("high"), "{sharpe}");
    assert!(summary["sentence"].as_str().unwrap().starts_with("Over 3 seeds"));
    assert!(summary["sentence"].as_str().unwrap().contains("fewer than 5 seeds are no verdict"));
    assert_eq!(summary["stopped"], false);
}

/// Folds are the strata: the interquartile mean is over all folds and seeds, each as the folds' reports have it.
#[test]
fn seeds_over_folds_are_resampled_within_each_fold() {
    let folder = tempfile::tempdir().unwrap();
    let walk = ["walk_forward.n_folds=2", "walk_forward.test_days=90", "walk_forward.validation_days=60"];
    let summary = last_json(&cambist(folder.path(), &["train", "--json", "--seeds", "3"], &walk));
    let metric = &summary["metrics"][0];
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let folds: Vec<Vec<f64>> = metric["folds"].as_array().unwrap().iter().map(numbers).collect();
    assert_eq!(folds.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
    // The middle four of six.
    let mut all = folds.concat();
    all.sort_by(f64::total_cmp);
    let middle = all[1..5].iter().sum::<f64>() / 4.0;
    assert!((metric["estimate"]["mean"].as_f64().unwrap() - middle).abs() < 1e-12, "{metric}");
    // A seed's two folds one after the other are its whole walk, but for the bars around the seam.
    let (first, second) = (folds[0][0], folds[1][0]);
    let run = folder.path().join(summary["runs"][0].as_str().unwrap()).join("report.json");
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(run).unwrap()).unwrap();
    let equity = numbers(&report["tracks"][0]["equity"]);
    let whole = equity.last().unwrap() / equity[0] - 1.0;
    assert!((whole - ((1.0 + first) * (1.0 + second) - 1.0)).abs() < 1e-9, "{whole}, {first}, {second}");
    assert!(summary["sentence"].as_str().unwrap().starts_with("Over 3 seeds and 2 folds"));
}

#[test]
fn what_cannot_work_is_said_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    refused(path, &["ppo.path_group=3"], &["ppo.path_group", "3", "a divisor of ppo.n_envs, 16"]);
    refused(path, &["network.learner=burn", "network.device=cuda"], &["cuda", "--features cuda"]);
    refused(path, &["network.device=wgpu"], &["network.learner", "burn"]);
    refused(path, &["network.trunk=conv"], &["network.learner", "'burn'", "conv"]);
    refused(
        path,
        &["network.learner=burn", "network.trunk=conv", "features.window=4"],
        &["network.trunk", "window of 4"],
    );
    refused(
        path,
        &["network.learner=burn", "network.trunk=transformer", "features.window=4", "network.trunk_width=9"],
        &["network.trunk", "heads"],
    );
    refused(path, &["network.trunk=gru", "ppo.sequence_length=24"], &["ppo.sequence_length", "divisor"]);
    refused(
        path,
        &["network.trunk=gru", "ppo.minibatch_size=8"],
        &["ppo.minibatch_size", "multiple of ppo.sequence_length"],
    );
    refused(path, &["ppo.minibatch_size=1000"], &["ppo.minibatch_size", "2048"]);
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 0, "nothing was written");
    let output = Command::new(env!("CARGO_BIN_EXE_cambist"))
        .args(["train", "--quiet", "--runs-dir"])
        .arg(path)
        .env("CAMBIST_KERNEL", "avx9")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("avx9") && error.contains("avx512"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_names_the_last_good_weights() {
    let folder = tempfile::tempdir().unwrap();
    let wild = ["ppo.learning_rate=1e30"];
    let output = cambist(folder.path(), &["train", "--quiet"], &wild);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    for word in [
        "update 0",
        "not finite",
        "gradient of 'critic.",
        "step",
        "last_good.safetensors",
        "on_not_finite=halve",
    ] {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
    let kept = error.split("weights are in ").nth(1).unwrap().split(';').next().unwrap();
    assert!(Path::new(kept).is_file(), "{kept}");
    // Halved ten times it is still too much.
    let halved =
        cambist(folder.path(), &["train", "--quiet"], &["ppo.learning_rate=1e30", "ppo.on_not_finite=halve"]);
    assert!(String::from_utf8_lossy(&halved.stderr).contains("not finite"));
    let runs = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path());
    let logs: Vec<String> =
        runs.filter_map(|run| std::fs::read_to_string(run.join("log.jsonl")).ok()).collect();
    assert!(logs.iter().any(|log| log.matches("not_finite").count() > 10), "every step back is logged");
}

#[test]
fn the_reference_work_is_what_peers_do() {
    let bench = Command::new(env!("CARGO_BIN_EXE_cambist"))
        .args(["bench", "ppo", "--repeats", "1", "--json", "--set", "ppo.total_steps=131072"])
        .output()
        .unwrap();
    let text = String::from_utf8(bench.stdout).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rows[0]["what"], "training");
    // 64 columns, three actions, two nets of 64-64: 33.3 kFLOP forward, 83.5 with the way back.
    let note = rows[0]["note"].as_str().unwrap();
    assert!(note.contains("33.3 kFLOP forward, 4 epochs of 83.5"), "{note}");
}

/// Many environments, a large net, and a trunk with memory.
#[test]
fn memory_is_what_the_formula_says() {
    for sets in [
        vec!["ppo.n_envs=16384", "ppo.horizon=16"],
        vec!["ppo.n_envs=16384", "ppo.horizon=16", "ppo.path_group=4"],
        vec!["ppo.n_envs=256", "ppo.horizon=32", "network.hidden=[512,512,512]"],
        vec!["ppo.n_envs=8192", "ppo.horizon=16", "network.trunk=gru", "network.trunk_width=64"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
        command.args(["bench", "memory", "--json"]);
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let rows: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let value = |row: usize| rows[row]["values"][0].as_f64().unwrap();
        let (measured, formula) = (value(3), value(2));
        assert!(
            (measured / formula - 1.0).abs() < 0.1,
            "{sets:?}: measured {measured} MiB, formula {formula} MiB"
        );
    }
}
