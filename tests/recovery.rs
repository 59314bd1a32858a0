//! A training that is killed, stopped, damaged or short of room goes on to the bytes it would have ended with.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cambist_core::rng::{Purpose, Stream};

const SMALL: &str = include_str!("fixtures/small.toml");
const REMEMBERS: &str = include_str!("fixtures/remembers.toml");

fn cambist(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args(args).current_dir(folder);
    command
}

fn works(folder: &Path, args: &[&str]) -> String {
    let output = cambist(folder, args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn runs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("runs")).into_iter().flatten().filter_map(Result::ok);
    entries.map(|e| e.path()).filter(|p| p.join("config.toml").is_file()).collect()
}

fn manifest_hash(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("artefact/artefact.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["hash"].as_str().unwrap().to_owned()
}

fn lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

/// Metrics without what the clock says.
fn scalars(run: &Path) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut all: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
        all.retain(|name, _| !name.starts_with("time/"));
        all
    };
    text.lines().map(line).collect()
}

/// The config in a folder of its own, and the hash and metrics of the run that nothing interrupted.
fn uninterrupted(config: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.toml"), config).unwrap();
    works(folder.path(), &["train", "small.toml", "--quiet", "--runs-dir", "whole/runs"]);
    let run = runs(&folder.path().join("whole")).remove(0);
    (folder, run)
}

/// Kills by `kill -9` at random moments; a run is resumed until it ends by itself.
fn survives(config: &str, kills: u32, luck: u64) {
    let (folder, whole) = uninterrupted(config);
    let path = folder.path();
    let mut stream = Stream::new(luck, Purpose::Check, 0);
    let mut killed = 0;
    for round in 0.. {
        let place = format!("round{round}/runs");
        let mut args: Vec<String> =
            ["train", "small.toml", "--quiet", "--checkpoint-every", "4", "--runs-dir", &place]
                .map(str::to_owned)
                .into();
        loop {
            // Threads change nothing, not even from one life to the next.
            let threads = if killed % 2 == 0 { "1" } else { "2" };
            let mut child = cambist(path, &args.iter().map(String::as_str).collect::<Vec<_>>())
                .args(["--threads", threads])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let run = || runs(&path.join(format!("round{round}"))).pop();
            let target = run().map_or(0, |run| lines(&run)) + stream.index(40);
            let done = |child: &mut std::process::Child| {
                loop {
                    if let Some(status) = child.try_wait().unwrap() {
                        return Some(status);
                    }
                    if killed < kills && run().is_some_and(|run| lines(&run) > target) {
                        return None;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            };
            if done(&mut child).is_some() {
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{}", text(&output.stderr));
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            let name = run().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            args = ["train", "--quiet", "--checkpoint-every", "4", "--runs-dir", &place, "--resume", &name]
                .map(str::to_owned)
                .into();
        }
        let run = runs(&path.join(format!("round{round}"))).remove(0);
        assert_eq!(manifest_hash(&run), manifest_hash(&whole));
        assert_eq!(scalars(&run), scalars(&whole));
        if killed >= kills {
            return;
        }
    }
}

/// How many kills: more with CAMBIST_KILLS.
fn kills() -> u32 {
    std::env::var("CAMBIST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

#[test]
fn a_killed_training_ends_with_the_same_bytes() {
    survives(SMALL, kills(), 1);
}

/// A recurrent policy on a broker's account, a reward that remembers and learns a multiplier, rewards scaled, two folds.
#[test]
fn so_does_one_with_everything_there_is_to_remember() {
    survives(REMEMBERS, kills(), 2);
}

/// Members that copy each other.
#[test]
fn so_does_a_population() {
    survives(&format!("{SMALL}\n[population]\nsize = 3\nexchange_every = 15\n"), kills(), 3);
}

fn interrupted(folder: &Path, place: &str) -> PathBuf {
    let args = ["train", "small.toml", "--checkpoint-every", "2", "--time-limit", "1s", "--runs-dir"];
    let set = ["--set", "ppo.total_steps=1000000000", "--set", "ppo.validate_every=1000000"];
    let output = cambist(folder, &[&args[..], &[place], &set].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("--resume"), "{}", text(&output.stdout));
    runs(Path::new(&folder.join(place)).parent().unwrap()).remove(0)
}

fn resumed(folder: &Path, run: &Path) -> Output {
    let run = run.display().to_string();
    cambist(folder, &["train", "--resume", &run, "--time-limit", "1s"]).output().unwrap()
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("small.toml"), SMALL).unwrap();
    let run = interrupted(folder.path(), "x/runs");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    let newest = files.last().unwrap();
    let mut bytes = std::fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(newest, &bytes).unwrap();
    let output = resumed(folder.path(), &run);
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains(&newest.file_name().unwrap().to_string_lossy().into_owned()), "{said}");
    // Another config, other bars, nothing whole, nothing left to do: each is said, and nothing is trained.
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    let refused = |changed: &str, wanted: &[&str]| {
        std::fs::write(run.join("config.toml"), changed).unwrap();
        let output = resumed(folder.path(), &run);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(wanted.iter().all(|w| said.contains(w)) && said.lines().count() == 1, "{said}");
    };
    let changed = config.replacen("n_epochs = ", "n_epochs = 1", 1);
    assert_ne!(config, changed);
    refused(&changed, &["ppo.n_epochs", "another config"]);
    std::fs::write(run.join("config.toml"), &config).unwrap();
    for entry in std::fs::read_dir(run.join("checkpoints")).unwrap() {
        std::fs::write(entry.unwrap().path(), "x").unwrap();
    }
    refused(&config, &["no checkpoint can be used", "does not begin"]);
}

#[test]
fn a_finished_run_is_not_resumed() {
    let (folder, run) = uninterrupted(SMALL);
    let output = resumed(folder.path(), &run);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("finished"), "{}", text(&output.stderr));
}

/// A file system of 16 MB that fills up: a clear error, and what was kept goes on where there is room. In a name space of our own,
/// so that mounting asks for nobody's leave.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing() {
    let (folder, whole) = uninterrupted(SMALL);
    let path = folder.path();
    std::fs::create_dir(path.join("full")).unwrap();
    // Room for the first checkpoints, not for the rest: a file takes what is left but a megabyte.
    let script = format!(
        "set -e; mount -t tmpfs -o size=16m none full; dd if=/dev/zero of=full/ballast bs=1k count={} 2>/dev/null; \
         {bin} train small.toml --quiet --checkpoint-every 1 --keep-checkpoints 1000 --runs-dir full/runs 2>error || true; \
         rm full/ballast; cp -r full/runs kept; umount full",
        16 * 1024 - 400,
        bin = env!("CARGO_BIN_EXE_cambist"),
    );
    // Root has its own leave; others need a user's name space.
    let root = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status().unwrap().success();
    let how = if root { "-m" } else { "-Urm" };
    let output = Command::new("unshare").args([how, "sh", "-c", &script]).current_dir(path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = std::fs::read_to_string(path.join("error")).unwrap();
    assert!(said.contains("No space left on device") && said.lines().count() == 1, "{said}");
    std::fs::create_dir(path.join("after")).unwrap();
    std::fs::rename(path.join("kept"), path.join("after/runs")).unwrap();
    let run = runs(&path.join("after")).remove(0);
    let kept = lines(&run);
    assert!(kept > 2, "{kept} updates before the disk was full");
    works(path, &["train", "--quiet", "--resume", &run.display().to_string()]);
    assert_eq!(manifest_hash(&run), manifest_hash(&whole));
}

/// `latest` is the newest that is not finished, killed ones among them; and a run is one process's at a time.
#[test]
fn the_latest_unfinished_run_goes_on_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("small.toml"), SMALL).unwrap();
    let long = ["train", "small.toml", "--quiet", "--set", "ppo.total_steps=1000000000"];
    let mut child = cambist(path, &long).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while runs(path).pop().is_none_or(|run| lines(&run) < 60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let killed = runs(path).remove(0);
    works(path, &["train", "small.toml", "--quiet"]);
    let name = killed.file_name().unwrap().to_string_lossy().into_owned();
    let latest = || cambist(path, &["train", "--resume", "latest", "--time-limit", "1s"]).output().unwrap();
    let output = latest();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&name), "{}", text(&output.stdout));
    let held = cambist_runs::RunFolder::find(&path.join("runs"), &name).unwrap().lock().unwrap();
    let before = (lines(&killed), std::fs::read(killed.join("log.jsonl")).unwrap());
    for args in [&["train", "--resume", &name][..], &["runs", "delete", &name]] {
        let output = cambist(path, args).output().unwrap();
        assert!(text(&output.stderr).contains("another process works on"), "{}", text(&output.stderr));
    }
    let after = (lines(&killed), std::fs::read(killed.join("log.jsonl")).unwrap());
    assert_eq!(before, after, "what another process writes was touched");
    drop(held);
    assert!(works(path, &["runs", "delete", &name]).contains("still counts as tried"));
    // An empty name is a mistake, not the only run there is.
    for args in [&["train", "--resume", ""][..], &["runs", "delete", ""]] {
        let output = cambist(path, args).output().unwrap();
        assert!(text(&output.stderr).contains("there is no run ''"), "{}", text(&output.stderr));
    }
}
