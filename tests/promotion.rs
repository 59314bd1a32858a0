//! Promotion: what passes is signed, what does not is refused with the numbers, and a record holds for its artefact alone.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use support::{OPEN_GATE, cambist, refused, text, works};

const PHRASE: &str = "a phrase of some length";

fn promote(folder: &Path, args: &[&str]) -> Output {
    cambist(folder, &[&["promote"], args].concat()).env("CAMBIST_KEY_PASSPHRASE", PHRASE).output().unwrap()
}

fn ok(output: Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder.join("runs/promotions")).into_iter().flatten().filter_map(Result::ok);
    entries.map(|e| e.path()).filter(|p| p.to_string_lossy().ends_with(end)).collect()
}

/// A sweep, its best trained, in a folder.
fn swept() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, content) in [
        ("small.toml", include_str!("fixtures/small.toml")),
        ("sweep.toml", include_str!("fixtures/sweep.toml")),
        ("open.toml", OPEN_GATE),
    ] {
        std::fs::write(path.join(name), content).unwrap();
    }
    works(path, &["sweep", "sweep.toml", "--quiet"]);
    works(path, &["train", "runs/sweep-small/best.toml", "--quiet"]);
    folder
}

#[test]
fn what_passes_is_signed_and_holds_for_its_artefact() {
    let folder = swept();
    let path = folder.path();
    let made = ok(promote(path, &["keygen", "--out", "key.json"]));
    let public = made.lines().find_map(|l| l.strip_prefix("public   ")).unwrap().to_owned();
    let secret = std::fs::read_to_string(path.join("key.json")).unwrap();
    // Without a key nothing is signed.
    let said = ok(promote(path, &["latest", "--gate", "open.toml"]));
    assert!(said.contains("nothing is signed without --key"), "{said}");
    assert!(files(path, "promotion.json").is_empty());
    // The study's twelve trials and the run itself are counted, though no one named the study.
    let said = ok(promote(path, &["latest", "--gate", "open.toml", "--key", "key.json"]));
    assert!(
        said.contains("13 runs and trials") && said.contains("12 trials of small, 12870 splits"),
        "{said}"
    );
    assert!(said.contains("Promoted"), "{said}");
    for wanted in ["costs x4", "spread x2", "gaps of 4", "worst regime", "other seeds", "folds"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let [record] = &files(path, "promotion.json")[..] else { panic!("one") };
    let secret: serde_json::Value = serde_json::from_str(&secret).unwrap();
    assert!(!std::fs::read_to_string(record).unwrap().contains(secret["secret"].as_str().unwrap()));
    let verify = |trust: &str| promote(path, &["verify", "latest", "--trust", trust]);
    assert!(ok(verify(&public)).contains("may trade until"));
    assert!(ok(promote(path, &["list"])).contains("holds"));
    // Somebody else's key, no key, another artefact, a changed record.
    let not = |output: Output, wanted: &str| {
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(wanted), "{}", text(&output.stderr));
    };
    not(verify(&"0".repeat(64)), "whom nobody here trusts");
    not(verify("12"), "is no public key");
    let original = std::fs::read_to_string(record).unwrap();
    std::fs::write(record, original.replace("\"tapes\": 2", "\"tapes\": 3")).unwrap();
    not(verify(&public), "does not verify");
    std::fs::write(record, &original).unwrap();
    let run = record.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned();
    let weights = path.join("runs").join(&run).join("artefact/weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    not(verify(&public), "is damaged");
    bytes[last] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    assert!(ok(verify(&public)).contains("may trade until"));
    // Taken back.
    ok(promote(path, &["revoke", &run, "--why", "it was a test", "--key", "key.json"]));
    not(verify(&public), "taken back");
    assert!(ok(promote(path, &["list"])).contains("it was a test"));
    let wrong = cambist(path, &["promote", "revoke", &run, "--why", "x", "--key", "key.json"])
        .env("CAMBIST_KEY_PASSPHRASE", "another phrase altogether")
        .output()
        .unwrap();
    not(wrong, "passphrase does not open");
}

#[test]
fn what_does_not_pass_is_refused_with_the_numbers() {
    let folder = swept();
    let path = folder.path();
    let strict = OPEN_GATE
        .replace("deflated_sharpe = 0.0", "deflated_sharpe = 0.999")
        .replace("pbo = 1.0", "pbo = 0.0");
    std::fs::write(path.join("strict.toml"), &strict).unwrap();
    let output = promote(path, &["latest", "--gate", "strict.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("Refused: 2 of 15") && said.contains("missed by"), "{said}");
    let kept = std::fs::read_dir(path.join("runs")).unwrap().filter_map(Result::ok);
    let attempt = kept.map(|e| e.path().join("promotion-attempt.json")).find(|p| p.is_file()).unwrap();
    assert!(std::fs::read_to_string(attempt).unwrap().contains("\"passed\": false"));
    // Another study cannot be counted in the place of its own; nor can one that it does not come from, or that is not there.
    let said = refused(path, &["promote", "latest", "--gate", "open.toml", "--study", "other"]);
    assert!(said.contains("chosen in the study 'small'"), "{said}");
    works(path, &["train", "small.toml", "--quiet"]);
    let said = refused(path, &["promote", "latest", "--gate", "open.toml", "--study", "small"]);
    assert!(said.contains("it was not chosen there"), "{said}");
    let said = refused(path, &["promote", "latest", "--gate", "open.toml", "--study", "other"]);
    assert!(said.contains("there is no study 'other'"), "{said}");
    for (from, to, wanted) in [
        ("pbo = 1.0", "pbo = 1.5", "pbo is 1.5: it must be from 0 to 1"),
        ("seeds = 1\n", "", "missing field `seeds`"),
        ("folds = 2", "fold = 2", "unknown field `fold`"),
    ] {
        std::fs::write(path.join("bad.toml"), OPEN_GATE.replace(from, to)).unwrap();
        let output = promote(path, &["latest", "--gate", "bad.toml"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(wanted), "{}", text(&output.stderr));
    }
}

/// A policy that never trades has a ratio of nothing: refused in words.
#[test]
fn zero_variance_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("remembers.toml"), include_str!("fixtures/remembers.toml")).unwrap();
    std::fs::write(
        path.join("open.toml"),
        OPEN_GATE.replace("seeds = 1", "seeds = 0").replace("folds = 2", "folds = 0"),
    )
    .unwrap();
    // A dollar buys no lot.
    let poor = ["--set", "broker.initial_cash=1", "--set", "walk_forward.n_folds=0"];
    works(path, &[&["train", "remembers.toml", "--quiet"], &poor[..]].concat());
    let output = promote(path, &["latest", "--gate", "open.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("it never traded"), "{}", text(&output.stdout));
}

/// The statistical gate on matrices of known truth, few of them; `cambist check gate` takes a thousand.
#[test]
fn the_gate_is_seldom_wrong() {
    let found = cambist_lab::promote::check_gate(100, 20, 5, 2.5, [0.95, 0.3]);
    assert!(found.false_promotions <= 0.05, "{found:?}");
    assert!(found.power >= 0.8 && (found.power - found.predicted).abs() < 0.1, "{found:?}");
}
