//! What users type, and what they get told when it cannot work: one clear error, a non-zero exit, nothing half-written.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

fn cambist(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cambist")).args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn works(folder: &Path, args: &[&str]) -> String {
    let output = cambist(folder, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn fails(folder: &Path, args: &[&str], words: &[&str]) {
    let output = cambist(folder, args);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
    assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
    for word in words {
        assert!(error.contains(word), "{args:?}: '{word}' is not in: {error}");
    }
}

const HEAD: &str = "timestamp,open,high,low,close,volume\n";

fn minutes(n: usize) -> String {
    let row = |m: usize| format!("{},100,101,99,100.5,1\n", 1_609_459_200_000u64 + 60_000 * m as u64);
    HEAD.to_owned() + &(0..n).map(row).collect::<String>()
}

#[test]
fn bad_files_are_named_with_line_and_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let import = ["data", "import", "x.csv", "--symbol", "X", "--timeframe", "1m"];
    fails(path, &import, &["x.csv", "no file"]);
    std::fs::write(path.join("x.csv"), "a,b,c\n1,2,3\n").unwrap();
    fails(path, &import, &["x.csv", "[a, b, c]", "no known form"]);
    std::fs::write(path.join("x.csv"), minutes(3) + "yesterday,100,101,99,100,1\n").unwrap();
    fails(path, &import, &["x.csv", "line 5", "timestamp", "'yesterday'"]);
    std::fs::write(path.join("x.csv"), minutes(3) + "1609459380000,100,cheap,99,100,1\n").unwrap();
    fails(path, &import, &["line 5", "'high'", "'cheap'"]);
    std::fs::write(path.join("x.csv"), minutes(3) + "1609459380000,100,90,99,100,1\n").unwrap();
    fails(path, &import, &["impossible_ohlc", "x.csv:5", "--on"]);
    std::fs::write(path.join("x.csv"), "").unwrap();
    fails(path, &import, &["x.csv", "empty"]);
    assert!(works(path, &["data", "list"]).contains("no data set"), "nothing was stored");
    std::fs::write(path.join("x.csv"), minutes(50)).unwrap();
    fails(path, &[&import[..], &["--on", "gap=drop"]].concat(), &["gap", "drop", "not possible"]);
    fails(path, &[&import[..], &["--on", "holes=keep"]].concat(), &["holes", "gap"]);
    fails(path, &[&import[..6], &["7m"]].concat(), &["7m", "timeframe"]);
    fails(path, &[&import[..], &["--tz", "Mars/Base"]].concat(), &["Mars/Base", "zone"]);
    fails(path, &[&import[..], &["--venue", "../up"]].concat(), &["venue", "../up"]);
    works(path, &import);
    let set = ["--symbol", "X", "--timeframe", "1m"];
    assert!(works(path, &[&["data", "check"], &set[..]].concat()).contains("the fingerprint is right"));
    fails(path, &["data", "show", "--symbol", "Y", "--timeframe", "1m"], &["Y 1m", "X 1m (unknown)"]);
    std::fs::write(path.join("y.csv"), minutes(60)).unwrap();
    let other = ["data", "import", "y.csv", "--symbol", "X", "--timeframe", "1m"];
    fails(path, &other, &["X 1m (unknown)", "50 bars", "--replace"]);
    // A damaged store is named.
    let mut files = walk(&path.join("data"));
    files.retain(|f| f.ends_with("2021.parquet"));
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("x.csv"), minutes(49)).unwrap();
    works(other.path(), &import);
    let donor = walk(&other.path().join("data")).into_iter().find(|f| f.ends_with("2021.parquet")).unwrap();
    std::fs::copy(donor, &files[0]).unwrap();
    fails(path, &[&["data", "check"], &set[..]].concat(), &["damaged", "import it again"]);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] }).collect()
}

#[test]
fn bad_configs_name_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let train = |set: &'static str, words: &[&str]| fails(path, &["train", "--set", set], words);
    train("ppo.gama=0.9", &["ppo.gama", "did you mean 'ppo.gamma'"]);
    train("pp.gamma=0.9", &["pp.gamma", "ppo.gamma"]);
    train("ppo.gamma=1.5", &["ppo.gamma", "1.5", "from 0 to 1"]);
    train("ppo.gamma=high", &["gamma", "string"]);
    train("ppo.minibatch_size=1000", &["ppo.minibatch_size", "divisor", "8192"]);
    train("features.columns=[\"rsl(14)\"]", &["rsl", "rsi"]);
    train("features.columns=[\"90s:rsi(14)\"]", &["90s"]);
    train("windows.train_until=2024-02-01", &["windows.validation_until", "later"]);
    train("data.n_bars=20000", &["validation window", "0 bars", "windows.validation_until"]);
    train("data.source=store", &["REGIME 1h", "empty"]);
    train("ppo", &["key=value"]);
    train("features.clip=inf", &["features.clip", "finite"]);
    train("decision.dead_band=1", &["dead_band", "discrete"]);
    train("windows.purge_bars=4294967295", &["windows.purge_bars", "at most"]);
    train("ppo.n_envs=4294967296", &["ppo.n_envs", "at most"]);
    train("data.n_bars=9223372036854775807", &["data.n_bars", "at most"]);
    train("episode.n_steps=90000000", &["an episode needs at least 90000001"]);
    fails(path, &["train", "no.toml"], &["no.toml"]);
    std::fs::write(path.join("half.toml"), "[data]\nsource = \"synthetic\"\nsymbol = ").unwrap();
    fails(path, &["train", "half.toml"], &["half.toml", "line 3"]);
    let costs = include_str!("../configs/regime.toml").replace("commission_bp = 3.0\n", "");
    std::fs::write(path.join("free.toml"), costs).unwrap();
    fails(path, &["train", "free.toml"], &["free.toml", "missing field `commission_bp`"]);
    assert!(!path.join("runs").exists(), "a run was begun");
}

#[test]
fn a_run_is_judged_again_and_other_artefacts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fails(path, &["evaluate", "latest"], &["no run 'latest'"]);
    let quick = ["train", "--quiet", "--set", "ppo.total_steps=20000", "--set", "ppo.n_envs=16"];
    let out = works(
        path,
        &[&quick[..], &["--set", "windows.sealed_from=2025-01-01", "--set", "data.n_bars=65000"]].concat(),
    );
    assert!(out.contains("out of sample") && out.contains("report.html"), "{out}");
    let again = works(path, &["evaluate", "latest"]);
    assert!(again.contains("buy and hold") && again.contains("the only run judged here"), "{again}");
    let seen = works(path, &["evaluate", "latest", "--window", "train"]);
    assert!(seen.contains("proves nothing"), "{seen}");
    fails(path, &["evaluate", "latest", "--window", "tomorrow"], &["tomorrow"]);
    let sealed = works(path, &["unseal", "latest", "--who", "me", "--why", "to see"]);
    assert!(sealed.contains("opened 0 times before"), "{sealed}");
    assert!(
        works(path, &["unseal", "latest", "--who", "me", "--why", "to see"])
            .contains("opened 1 times before")
    );
    let run = std::fs::read_dir(path.join("runs"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.is_dir())
        .unwrap();
    for file in
        ["config.toml", "log.jsonl", "metrics.jsonl", "report.html", "report.json", "artefact/artefact.json"]
    {
        assert!(run.join(file).is_file(), "{file}");
    }
    // The written config trains the same again.
    works(path, &["config", "check", run.join("config.toml").to_str().unwrap()]);
    let manifest = run.join("artefact/artefact.json");
    let json = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, json.replacen("\"schema\": 3", "\"schema\": 99", 1)).unwrap();
    fails(path, &["evaluate", "latest"], &["schema 99"]);
    std::fs::write(&manifest, json.replacen("\"seed\": 1", "\"seed\": 2", 1)).unwrap();
    fails(path, &["evaluate", "latest"], &["damaged"]);
}

#[test]
fn configs_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let out = works(folder.path(), &["config", "explain", "--set", "ppo.gamma=0.9"]);
    for words in
        ["ppo.gamma = 0.9   (--set)", "execution.commission_bp = 3.0 bp   (the built-in config)", "(default)"]
    {
        assert!(out.contains(words), "{words}");
    }
    let schema: serde_json::Value =
        serde_json::from_str(&works(folder.path(), &["config", "schema"])).unwrap();
    assert_eq!(schema["title"], "RawConfig");
    assert!(works(folder.path(), &["data", "features"]).contains("rsi(n = 14)"));
    assert!(works(folder.path(), &["check", "env"]).contains("keeps the contract"));
}

#[test]
fn synthetic_markets_are_stored_resampled_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for kind in ["gbm", "ou", "heston", "regime"] {
        works(path, &["data", "synth", kind, "--symbol", kind, "--bars", "2000"]);
    }
    let set = ["--symbol", "regime", "--timeframe", "1h"];
    assert!(works(path, &[&["data", "show"], &set[..]].concat()).contains("truth.parquet"));
    assert!(works(path, &[&["data", "resample"], &set[..], &["--to", "1d"]].concat()).contains("83 bars"));
    fails(path, &[&["data", "resample"], &set[..], &["--to", "30m"]].concat(), &["whole multiple"]);
    works(path, &[&["data", "plot"], &set[..], &["--out", "x.svg"]].concat());
    assert!(std::fs::read_to_string(path.join("x.svg")).unwrap().contains("<svg"));
    fails(path, &["data", "synth", "gbm", "--volatility", "-1"], &["volatility"]);
}

/// A kill at any moment leaves the earlier data set, or the new one, and earlier runs whole.
#[test]
fn a_kill_leaves_everything_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("a.csv"), minutes(1000)).unwrap();
    std::fs::write(path.join("b.csv"), minutes(40_000)).unwrap();
    let import =
        |file: &'static str| ["data", "import", file, "--symbol", "X", "--timeframe", "1m", "--replace"];
    let check = ["data", "check", "--symbol", "X", "--timeframe", "1m"];
    works(path, &import("a.csv"));
    works(path, &["train", "--quiet", "--set", "ppo.total_steps=8192"]);
    let run = std::fs::read_dir(path.join("runs"))
        .unwrap()
        .map(|e| e.unwrap())
        .find(|e| e.path().is_dir())
        .unwrap();
    let name = run.file_name().into_string().unwrap();
    for wait_ms in [1, 5, 10, 20, 30, 40, 60, 80, 120, 200] {
        for args in [&import("b.csv")[..], &["train", "--quiet", "--set", "ppo.total_steps=40000"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
            let mut child =
                command.args(args).current_dir(path).stdout(std::process::Stdio::null()).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(wait_ms));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let read = works(path, &check);
        assert!(read.contains("1000 bars") || read.contains("40000 bars"), "{read}");
    }
    works(path, &import("a.csv"));
    assert!(works(path, &check).contains("1000 bars"));
    works(path, &["evaluate", &name]);
    let folders = walk(&path.join("data")).into_iter().filter(|f| f.ends_with("2021.parquet")).count();
    assert_eq!(folders, 1, "an interrupted import was not swept");
}

/// Ctrl-C: the update ends, everything is saved, and what to do next is said.
#[cfg(unix)]
#[test]
fn an_interrupted_training_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cambist"))
        .args(["train", "--quiet", "--set", "ppo.total_steps=2000000000"])
        .current_dir(path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let has_begun = || {
        let metrics = walk(path).into_iter().find(|f| f.ends_with("metrics.jsonl"));
        metrics.is_some_and(|f| std::fs::read_to_string(f).unwrap().lines().count() > 2)
    };
    while !has_begun() {
        assert!(child.try_wait().unwrap().is_none(), "the training ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("train --resume"), "{}", text(&output.stdout));
    assert!(works(path, &["evaluate", "latest"]).contains("buy and hold"));
}

/// A ruined account is judged over the whole window, and its run counts like any other.
#[test]
fn ruin_is_judged_over_the_whole_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let wild = [
        "decision.leverage=10",
        "execution.max_exposure=10",
        "execution.margin=true",
        "ppo.total_steps=8192",
    ];
    let args: Vec<&str> =
        ["train", "--json"].into_iter().chain(wild.iter().flat_map(|s| ["--set", s])).collect();
    let last =
        |text: String| serde_json::from_str::<serde_json::Value>(text.lines().last().unwrap()).unwrap();
    let first = last(works(path, &args));
    let second =
        last(works(path, &[&args[..], &["--set", "run.seed=2", "--set", "windows.purge_bars=25"]].concat()));
    assert_eq!(first["judgement"]["scores"][0]["ruined"], true, "{}", first["judgement"]["scores"][0]);
    assert_eq!(second["judgement"]["trials"]["n"], 2);
    assert!(
        first["judgement"]["until"].as_i64() > Some(1_735_000_000_000_000_000),
        "{}",
        first["judgement"]["until"]
    );
    let held = first["judgement"]["scores"].as_array().unwrap().last().unwrap();
    assert!(held["name"] == "buy and hold" && held["total_return"].as_f64() > Some(0.5), "{held}");
}

/// What is sealed in the data is seen by no command, after an import in its place neither; opening it is recorded, and counts.
#[test]
fn sealed_rows_stay_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let synth = ["data", "synth", "regime", "--symbol", "X", "--bars", "20000", "--start", "2020-01-01"];
    works(path, &synth);
    works(path, &["data", "seal", "--symbol", "X", "--venue", "synthetic", "--from", "2022-01-01"]);
    let config = include_str!("fixtures/small.toml")
        .replace(
            "source = \"synthetic\"\nkind = \"regime\"\nsymbol = \"REGIME\"",
            "source = \"store\"\nsymbol = \"X\"\nvenue = \"synthetic\"",
        )
        .replace("n_bars = 13000\nstart = \"2020-01-01\"\nseed = 7\n", "")
        .replace("test_until = \"2021-06-01\"", "test_until = \"2022-03-01\"");
    std::fs::write(path.join("x.toml"), config).unwrap();
    let train = ["train", "x.toml", "--quiet"];
    works(path, &train);
    let report = |name: &str| {
        let run = walk(path).into_iter().find(|f| f.ends_with(name)).unwrap();
        serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(run).unwrap()).unwrap()
    };
    // The test window ends where the seal begins.
    let until = report("report.json")["judgement"]["until"].as_i64().unwrap();
    assert!(until <= 1_640_995_200_000_000_000, "{until}");
    // A seal does not move to a later day, and survives an import in the place of the bars.
    let refused = |args: &[&str], wanted: &str| {
        let output = cambist(path, args);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(wanted), "{}", text(&output.stderr));
    };
    refused(
        &["data", "seal", "--symbol", "X", "--venue", "synthetic", "--from", "2022-02-01"],
        "never to a later one",
    );
    works(path, &[&synth[..], &["--replace"]].concat());
    works(path, &["evaluate", "latest"]);
    refused(&["unseal", "latest", "--who", "me"], "--why");
    let said = works(path, &["unseal", "latest", "--who", "me", "--why", "the year is over"]);
    assert!(said.contains("opened 0 times before"), "{said}");
    let sealed = report("report-sealed.json");
    assert!(sealed["judgement"]["from"].as_i64().unwrap() >= 1_640_995_200_000_000_000);
    assert!(
        works(path, &["unseal", "latest", "--who", "me", "--why", "once more"]).contains("opened 1 times")
    );
    let listed = works(path, &["unseal", "--list"]);
    assert!(listed.contains("X synthetic from 2022-01-01") && listed.contains("by me"), "{listed}");
    assert_eq!(listed.lines().count(), 2);
}
