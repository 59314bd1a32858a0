//! Same input, same output: two runs, on one thread and on two and under every instruction set, give one artefact hash.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::Path;
use std::process::Command;

fn train(folder: &Path, threads: &str, kernel: &str, extra: &[&str]) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args(["train", "--json", "--threads", threads, "--runs-dir"]).arg(folder);
    for set in ["ppo.total_steps=40000", "ppo.n_envs=16", "data.n_bars=61368", "ppo.validate_every=2"] {
        command.args(["--set", set]);
    }
    let output = command.args(extra).env("CAMBIST_KERNEL", kernel).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn threads_reruns_and_instruction_sets_give_the_same_artefact() {
    let folder = tempfile::tempdir().unwrap();
    for action in ["discrete", "continuous", "band"] {
        let set = format!("decision.action={action}");
        let sets = ["--set", &set, "--set", if action == "band" { "ppo.scale_rewards=true" } else { &set }];
        let hash = |threads, kernel| train(folder.path(), threads, kernel, &sets)["artefact"].clone();
        let first = hash("1", "");
        assert_eq!(first, hash("1", ""), "a rerun");
        assert_eq!(first, hash("2", ""), "two threads");
        assert_eq!(first, hash("2", "avx2"), "AVX2");
        assert_eq!(first, hash("1", "plain"), "plain code");
        let other =
            train(folder.path(), "2", "", &["--set", &set, "--set", "run.seed=2"])["artefact"].clone();
        assert_ne!(first, other, "another seed");
    }
    // Three threads cut groups of four that share a path.
    let grouped = ["--set", "ppo.path_group=4"];
    let hash = |threads| train(folder.path(), threads, "", &grouped)["artefact"].clone();
    assert_eq!(hash("1"), hash("3"));
    assert_ne!(hash("1"), train(folder.path(), "1", "", &[])["artefact"]);
}

#[test]
fn walking_forward_trains_every_fold_and_judges_them_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let sets = [
        "walk_forward.n_folds=3",
        "walk_forward.test_days=90",
        "walk_forward.validation_days=60",
        "walk_forward.embargo_bars=48",
    ];
    let extra: Vec<&str> = sets.iter().flat_map(|s| ["--set", s]).collect();
    let result = train(folder.path(), "2", "", &extra);
    assert_eq!(result["judgement"]["window"], "walk-forward");
    let run = Path::new(result["folder"].as_str().unwrap());
    for fold in ["00", "01", "02"] {
        assert!(run.join("folds").join(fold).join("weights.safetensors").is_file());
    }
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("report.json")).unwrap()).unwrap();
    // 270 days of hours, and the start.
    assert_eq!(report["tracks"][0]["equity"].as_array().unwrap().len(), 270 * 24 - 2);
}
