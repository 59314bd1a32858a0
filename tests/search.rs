//! Sweeps over trainings, in SQLite and in PostgreSQL, beside Optuna itself.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use cambist_core::rng::{Purpose, Stream};
use support::{Postgres, cambist, json_of, refused, text, works};

fn folder_with(sweep: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.toml"), include_str!("fixtures/small.toml")).unwrap();
    std::fs::write(folder.path().join("sweep.toml"), sweep).unwrap();
    folder
}

const SWEEP: &str = include_str!("fixtures/sweep.toml");

/// Rows of a report's table of trials, by number.
fn csv(path: &Path) -> BTreeMap<u64, BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let heads = lines.next().unwrap();
    lines.map(|cells| (cells[0].parse().unwrap(), heads.iter().cloned().zip(cells).collect())).collect()
}

/// Optuna loads what we wrote, sees what we see, and adds trials of its own while our workers run.
fn optuna_reads(url: &str, python_url: &str) {
    let folder = folder_with(SWEEP);
    let path = folder.path();
    let said = works(path, &["sweep", "sweep.toml", "--workers", "2", "--quiet", "--storage", url]);
    assert!(said.contains("probability of backtest overfitting"), "{said}");
    let seen = json_of("check_optuna.py", &[python_url, "small"]);
    let ours = csv(&path.join("runs/sweep-small/trials.csv"));
    assert_eq!(seen["direction"], "MAXIMIZE");
    let trials = seen["trials"].as_array().unwrap();
    assert_eq!((trials.len(), ours.len()), (12, 12));
    let mut best: Option<(u64, f64)> = None;
    for trial in trials {
        let number = trial["number"].as_u64().unwrap();
        let own = &ours[&number];
        assert_eq!(trial["state"].as_str(), Some(own["state"].as_str()));
        for (name, value) in trial["params"].as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert_eq!(own[name], value, "{name} of trial {number}");
        }
        assert_eq!(own["network.trunk"] == "gru", trial["params"]["network.trunk_width"].is_number());
        assert!(!trial["intermediate"].as_object().unwrap().is_empty());
        if trial["state"] == "COMPLETE" {
            let value: f64 = own["validation_sharpe"].parse().unwrap();
            assert_eq!(trial["values"][0].as_f64(), Some(value));
            if best.is_none_or(|(_, top)| value > top) {
                best = Some((number, value));
            }
        }
    }
    let (number, value) = best.unwrap();
    assert_eq!(
        (seen["best"]["number"].as_u64(), seen["best"]["value"].as_f64()),
        (Some(number), Some(value))
    );
    // The table's first row is that trial, and its config trains.
    assert!(said.lines().nth(1).unwrap().trim_start().starts_with(&number.to_string()), "{said}");
    works(path, &["config", "check", "runs/sweep-small/best.toml"]);
    // Ten more of ours while Python adds three.
    std::fs::write(path.join("sweep.toml"), SWEEP.replace("trials = 12", "trials = 25")).unwrap();
    let running = cambist(path, &["sweep", "sweep.toml", "--quiet", "--storage", url])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    json_of("check_optuna.py", &[python_url, "small", "--add", "3"]);
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let seen = json_of("check_optuna.py", &[python_url, "small"]);
    let trials = seen["trials"].as_array().unwrap();
    let by_python = trials.iter().filter(|t| t["by"] == "python").count();
    let done = trials.iter().filter(|t| t["state"] == "COMPLETE" || t["state"] == "PRUNED").count();
    assert!(by_python == 3 && (25..=28).contains(&done), "{by_python} of {done}");
    let numbers: Vec<u64> = trials.iter().filter_map(|t| t["number"].as_u64()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn optuna_reads_a_study_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:///{}", folder.path().join("studies.sqlite").display());
    optuna_reads(&url, &url);
}

#[test]
fn optuna_reads_a_study_in_postgresql() {
    let cluster = Postgres::start();
    let url = cluster.url("studies");
    optuna_reads(&url, &url);
}

/// What a trial is given up by is what it is judged by: the drawdown, here, of the weights that are chosen so far.
#[test]
fn trials_are_given_up_by_their_objective() {
    let sweep = SWEEP.replace("trials = 12", "objectives = [\"validation_drawdown\"]\ntrials = 12");
    let folder = folder_with(&sweep);
    let path = folder.path();
    let url = format!("sqlite:///{}", path.join("studies.sqlite").display());
    works(path, &["sweep", "sweep.toml", "--quiet", "--storage", &url]);
    let seen = json_of("check_optuna.py", &[&url, "small"]);
    assert_eq!(seen["direction"], "MINIMIZE");
    let trials = seen["trials"].as_array().unwrap();
    let reports = |trial: &serde_json::Value| -> Vec<f64> {
        let told: BTreeMap<u64, f64> = trial["intermediate"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(step, value)| (step.parse().unwrap(), value.as_f64().unwrap()))
            .collect();
        told.into_values().collect()
    };
    let mut given_up = 0;
    for trial in trials {
        let values = reports(trial);
        assert!(values.iter().all(|v| (0.0..=1.0).contains(v)), "{values:?}");
        if trial["state"] == "COMPLETE" {
            assert_eq!(values.last().copied(), trial["values"][0].as_f64(), "{trial}");
            continue;
        }
        // One worker: what came before is what it was compared with. The best of its reports is worse than the median of theirs
        // at its last step, as Optuna's median pruner has it.
        let own = values.iter().copied().fold(f64::INFINITY, f64::min);
        let number = trial["number"].as_u64().unwrap();
        let mut others: Vec<f64> = trials
            .iter()
            .filter(|t| t["number"].as_u64().unwrap() < number && t["state"] == "COMPLETE")
            .filter_map(|t| reports(t).get(values.len() - 1).copied())
            .collect();
        others.sort_by(f64::total_cmp);
        let (n, at) = (others.len(), others.len() / 2);
        let median = if n % 2 == 1 { others[at] } else { 0.5 * (others[at - 1] + others[at]) };
        assert!(own > median, "{own} is not worse than {median} of {others:?}: {trial}");
        given_up += 1;
    }
    assert!(given_up > 0, "{seen}");
}

/// A registry and studies share a database, whichever was there first.
#[test]
fn a_registry_and_studies_share_a_database() {
    let cluster = Postgres::start();
    let folder = folder_with(SWEEP);
    let path = folder.path();
    let few = ["--set", "ppo.total_steps=2048", "--quiet"];
    let sqlite = |name: &str| format!("sqlite:///{}", path.join(name).display());
    let urls = [cluster.url("both"), cluster.url("other"), sqlite("both.sqlite"), sqlite("other.sqlite")];
    for (n, url) in urls.into_iter().enumerate() {
        let train = || works(path, &[&["train", "small.toml", "--registry", &url], &few[..]].concat());
        let sweep = || works(path, &["sweep", "sweep.toml", "--quiet", "--storage", &url]);
        if n % 2 == 0 {
            train();
            sweep();
        } else {
            sweep();
            train();
        }
        assert!(works(path, &["runs", "list", "--registry", &url]).contains("finished"));
        works(path, &["sweep", "report", "small", "--storage", &url]);
    }
}

/// Four workers, each killed once at a random moment of 200 short trials: all are done, and what failed was tried again once.
#[test]
fn killed_workers_lose_nothing() {
    let cluster = Postgres::start();
    let url = cluster.url("studies");
    let sweep = SWEEP.replace("trials = 12", "trials = 200").replace("\"median\"", "\"none\"");
    let folder = folder_with(&sweep);
    let path = folder.path();
    // Makes the study, and leaves it to others.
    let mut launcher = cambist(path, &["sweep", "sweep.toml", "--quiet", "--storage", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = || -> Child {
        let mut worker = cambist(path, &["sweep", "worker", &url, "small", "--threads", "1"]);
        worker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    std::thread::sleep(Duration::from_millis(500));
    let mut workers: Vec<Child> = (0..4).map(|_| start()).collect();
    let mut stream = Stream::new(5, Purpose::Check, 0);
    for worker in &mut workers {
        std::thread::sleep(Duration::from_millis(300 + stream.index(700) as u64));
        worker.kill().unwrap();
        worker.wait().unwrap();
        *worker = start();
    }
    assert!(launcher.wait().unwrap().success());
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    let seen = json_of("check_optuna.py", &[&url, "small"]);
    let trials = seen["trials"].as_array().unwrap();
    let in_state = |state: &str| trials.iter().filter(|t| t["state"] == state).collect::<Vec<_>>();
    assert_eq!(in_state("COMPLETE").len(), 200);
    let failed = in_state("FAIL");
    // More than four when the machine stood still for longer than a heartbeat's grace: who seems dead is counted as dead, and loses
    // nothing either.
    assert!(!failed.is_empty(), "nobody was killed in a trial");
    assert_eq!(trials.len(), 200 + failed.len());
    for trial in failed {
        let again = |t: &&serde_json::Value| t["retry_history"] == serde_json::json!([trial["number"]]);
        let retries: Vec<_> = trials.iter().filter(again).collect();
        // One that was a second try already is not tried a third time.
        let first_try = trial["retry_history"].as_array().unwrap().is_empty();
        assert_eq!(retries.len(), usize::from(first_try), "{trial}");
        assert!(retries.iter().all(|retry| retry["params"] == trial["params"]));
    }
}

/// SIGTERM gives the trial back: it waits, with its parameters, and nothing has failed.
#[test]
fn an_ended_worker_gives_its_trial_back() {
    let long =
        SWEEP.replace("ppo.total_steps=4096", "ppo.total_steps=400000000").replace("\"median\"", "\"none\"");
    let folder = folder_with(&long);
    let path = folder.path();
    let launcher = cambist(path, &["sweep", "sweep.toml", "--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let url = format!("sqlite:///{}", path.join("runs/studies.sqlite").display());
    let storage = || cambist_search::Storage::open(&url, cambist_store::Patience::default());
    let states = || -> Vec<cambist_search::Trial> {
        let storage = storage().unwrap();
        storage.study("small").map_or(Vec::new(), |study| storage.trials(&study).unwrap())
    };
    while !path.join("runs/studies.sqlite").is_file() || states().is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = launcher.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = launcher.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    let trials = states();
    assert_eq!(trials.len(), 1);
    assert_eq!(trials[0].state, cambist_search::State::Waiting);
    assert!(trials[0].params.contains_key("ppo.learning_rate") && trials[0].intermediate.is_empty());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = folder_with(SWEEP);
    let path = folder.path();
    works(path, &["sweep", "sweep.toml", "--quiet"]);
    let change = |from: &str, to: &str| {
        assert!(SWEEP.contains(from));
        std::fs::write(path.join("sweep.toml"), SWEEP.replace(from, to)).unwrap();
        refused(path, &["sweep", "sweep.toml", "--quiet"])
    };
    for (from, to, wanted) in [
        ("high = 1e-2", "high = 1e-5", "ppo.learning_rate: its range from 0.00001 to 0.00001 is empty"),
        ("high = 1e-2", "high = 2e-2", "the study 'small' is another one: space differs"),
        ("\"ppo.learning_rate\"", "\"ppo.learning_rat\"", "did you mean 'ppo.learning_rate'"),
        ("low = 4", "low = 0", "trunk_width"),
        ("sampler = \"tpe\"", "sampler = \"nsga2\"", "it is for several objectives"),
        ("base = \"small.toml\"", "base = \"none.toml\"", "none.toml"),
        (
            "trials = 12",
            "trials = 12\nwarm_start = [\"other\"]",
            "there is no study 'other' in the storage; there are: small",
        ),
    ] {
        let said = change(from, to);
        assert!(said.contains(wanted), "{said}");
    }
    let said = refused(path, &["sweep", "worker", "mysql://x", "small"]);
    assert!(said.contains("is no database"), "{said}");
    let said = refused(path, &["sweep", "report", "none"]);
    assert!(said.contains("there is no study 'none'"), "{said}");
}

/// A grid of four points, one of which cannot be trained: the other three are, each once, and the sweep ends.
#[test]
fn a_grid_is_tried_whole_and_once() {
    let sweep = r#"
[study]
name = "grid"
base = "small.toml"
set = ["ppo.total_steps=4096"]
trials = 10
sampler = "grid"

[[parameter]]
name = "ppo.minibatch_size"
domain = { choice = [256, 512] }

[[parameter]]
name = "ppo.n_envs"
domain = { choice = [4, 16] }
"#;
    let folder = folder_with(sweep);
    let path = folder.path();
    // 4 environments of 64 steps make 256 rows: no batch of 512.
    works(path, &["sweep", "sweep.toml", "--quiet", "--workers", "2"]);
    let rows = csv(&path.join("runs/sweep-grid/trials.csv"));
    let points: Vec<String> = rows
        .values()
        .map(|r| format!("{} {} {}", r["ppo.minibatch_size"], r["ppo.n_envs"], r["state"]))
        .collect();
    let mut sorted = points.clone();
    sorted.sort();
    assert_eq!(sorted, ["256 16 COMPLETE", "256 4 COMPLETE", "512 16 COMPLETE", "512 4 FAIL"]);
}

/// Bars that are not there are said before a trial is made; a trial that cannot work ends the sweep after five.
#[test]
fn a_sweep_that_cannot_work_ends() {
    let folder = folder_with(&SWEEP.replace("set = [", "set = [\"data.n_bars=3000\", "));
    let said = refused(folder.path(), &["sweep", "sweep.toml", "--quiet"]);
    assert!(said.contains("holds 0 bars"), "{said}");
    // Each makes sense by itself, both together never: 4 environments of 64 steps hold no batch of 512.
    let bad = format!(
        "{SWEEP}\n[[parameter]]\nname = \"ppo.n_envs\"\ndomain = {{ choice = [4] }}\n\n[[parameter]]\nname = \"ppo.minibatch_size\"\ndomain = {{ choice = [512] }}\n"
    );
    let folder = folder_with(&bad);
    let path = folder.path();
    let output = cambist(path, &["sweep", "sweep.toml", "--quiet"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let said = text(&output.stderr);
    assert!(
        said.contains("ppo.minibatch_size") && said.contains("5 trials of small failed in a row"),
        "{said}"
    );
}
