//! Rewards in the environment and in training: exact sums over the real ledger, what is remembered in the observation, a
//! multiplier that is the same whatever the threads, and configs that make no sense.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

use cambist_core::env::StepStorage;
use cambist_core::{AutoReset, BatchedEnv};
use cambist_lab::{Config, Layers, Market};
use cambist_market::{EpisodeLength, EpisodePlan, MarketEnv, Starts};

fn market_env(sets: &[&str]) -> (MarketEnv, f64) {
    let sets: Vec<String> =
        ["data.n_bars=61368", "episode.reward_scale=1"].iter().chain(sets).map(|s| (*s).to_owned()).collect();
    let config = Config::validate(Layers::read(None, &sets).unwrap().resolve().unwrap()).unwrap();
    let market = Market::prepare(&config, Path::new("data")).unwrap();
    let fold = config.folds(market.whole()).unwrap().remove(0);
    let market = market.with_regimes(&config, &fold).unwrap();
    let mut spec = market.training_spec(&config, &fold).unwrap();
    spec.plan = EpisodePlan { starts: Starts::First, length: EpisodeLength::Steps(700) };
    (MarketEnv::new(spec, 2, 0, AutoReset::Disabled).unwrap(), config.initial_cash())
}

/// Sum of rewards, equities, costs, and the last observation, of the first of two accounts that trade.
fn lived(env: &mut MarketEnv) -> (f64, Vec<f64>, f64, Vec<f32>) {
    let mut storage = StepStorage::for_env(env);
    env.reset(3, &mut storage.observations);
    let width = env.observation_spec().width();
    let (mut sum, mut equity) = (0.0, vec![env.snapshot(0).equity]);
    for step in 0..700 {
        let action = [[2.0, 0.0, 1.0, 2.0][step / 9 % 4], 2.0];
        env.step(&action, &mut storage.buffers());
        sum += f64::from(storage.rewards[0]);
        equity.push(env.snapshot(0).equity);
    }
    (sum, equity, env.snapshot(0).costs.total(), storage.observations[..width].to_vec())
}

#[test]
fn components_add_up_over_the_ledger() {
    let plain = lived(&mut market_env(&[]).0);
    let growth = libm::log(plain.1[700] / plain.1[0]);
    // Rewards are single numbers; the sum of 700 of them is as exact as they are.
    assert!((plain.0 - growth).abs() < 1e-5, "{} {growth}", plain.0);
    let composed = |names: &str, weights: &str, more: &[&str]| {
        let (names, weights) = (format!("reward.components={names}"), format!("reward.weights={weights}"));
        lived(&mut market_env(&[&[names.as_str(), weights.as_str()], more].concat()).0)
    };
    let penalty = ["reward.ruin_penalty=1"];
    let twice = composed("[\"log_equity\", \"drawdown\"]", "[2.0, 0.0]", &[]);
    assert!((twice.0 - 2.0 * growth).abs() < 1e-5);
    let mut peak = 0.0f64;
    let deepest = plain.1.iter().fold(0.0f64, |deepest, e| {
        peak = peak.max(*e);
        deepest.max(1.0 - e / peak)
    });
    let drawdown = composed("[\"drawdown\"]", "[1.0]", &penalty);
    assert!((drawdown.0 + deepest).abs() < 1e-5, "{} {deepest}", drawdown.0);
    // Peak and deepest drawdown are what the agent sees.
    let shown = &drawdown.3[drawdown.3.len() - 2..];
    let (log_peak, initial) = (libm::log(peak / plain.1[0]), plain.1[0]);
    assert!((f64::from(shown[0]) - log_peak).abs() < 1e-5 && (f64::from(shown[1]) - deepest).abs() < 1e-5);
    let cost = composed("[\"cost\"]", "[1.0]", &penalty);
    assert!(cost.0 < -0.5 * plain.2 / initial && cost.0 > -3.0 * plain.2 / initial, "{} {}", cost.0, plain.2);
    // In the calm regime growth counts, in the wild one the price on holding.
    let hmm = ["regime.kind=hmm", "reward.by_regime.calm=[1.0, 0.0]", "reward.by_regime.wild=[0.0, 1.0]"];
    let adaptive = composed("[\"log_equity\", \"holding\"]", "[1.0, 1.0]", &hmm);
    assert!(adaptive.0.is_finite() && (adaptive.0 - growth).abs() > 1e-3);
}

fn cambist(folder: &Path, sets: &[&str], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args(["train", "--runs-dir"]).arg(folder).args(args);
    let small = ["data.n_bars=61368", "ppo.total_steps=16384", "ppo.n_envs=16", "ppo.minibatch_size=256"];
    for set in small.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command.output().unwrap()
}

const CONSTRAINED: [&str; 5] = [
    "ppo.validate_every=1",
    "reward.drawdown_limit=0.02",
    "reward.components=[\"log_equity\", \"differential_sharpe\"]",
    "reward.weights=[1.0, 0.01]",
    "decision.action=continuous",
];

#[test]
fn the_multiplier_is_learned_logged_kept_and_the_same_whatever_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let run = |threads: &str| {
        let output = cambist(folder.path(), &CONSTRAINED, &["--json", "--threads", threads]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let place = Path::new(last["folder"].as_str().unwrap()).to_owned();
        let artefact: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(place.join("artefact/artefact.json")).unwrap())
                .unwrap();
        (place, artefact)
    };
    let ((place, one), (_, two)) = (run("1"), run("2"));
    assert_eq!(one["hash"], two["hash"]);
    let content = &one["content"];
    let names = content["observation"]["names"].as_array().unwrap();
    for name in ["reward.differential_sharpe.mean", "reward.drawdown", "reward.multiplier"] {
        assert!(names.iter().any(|n| n == name), "{name}");
    }
    let metrics = std::fs::read_to_string(place.join("metrics.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
    for name in ["log_equity", "differential_sharpe", "weight_log_equity", "drawdown_cost", "multiplier"] {
        assert!(first[format!("reward/{name}")].is_number(), "{name}: {first}");
    }
    // It begins at nothing and moves by what every validation shows.
    assert_eq!(first["reward/multiplier"], 0.0);
    let updates: Vec<serde_json::Value> =
        metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let multiplier = |update: usize| updates[update]["reward/multiplier"].as_f64().unwrap();
    assert!(multiplier(updates.len() - 1) > 0.1, "a limit that is broken has a price");
    // The artefact keeps the one under which its weights were made.
    let chosen = content["chosen_update"].as_u64().unwrap() as usize;
    assert_eq!(content["multiplier"], multiplier(chosen - 1));
    let weight = first["reward/weight_differential_sharpe"].as_f64().unwrap();
    assert!((weight - 0.01).abs() < 1e-9);
}

#[test]
fn rewards_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |sets: &[&str], words: &[&str]| {
        let output = cambist(folder.path(), sets, &["--quiet"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{sets:?}: {error}");
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{sets:?}: '{word}' is not in: {error}"));
    };
    refused(&["reward.components=[\"luck\"]"], &["reward.components", "'luck'", "differential_sharpe"]);
    refused(&["reward.weights=[1.0, 2.0]"], &["reward.weights", "1 numbers"]);
    refused(&["reward.components=[\"cost\"]"], &["reward.ruin_penalty", "way out"]);
    refused(&["reward.drawdown_limit=1.5"], &["reward.drawdown_limit", "1.5"]);
    refused(&["reward.by_regime.calm=[1.0]"], &["reward.by_regime", "regime.kind"]);
    let hmm = "regime.kind=hmm";
    refused(&[hmm, "reward.by_regime.calm=[1.0]"], &["reward.by_regime", "without 'wild'"]);
    refused(&[hmm, "reward.by_regime.bull=[1.0]"], &["reward.by_regime", "bull", "calm, wild"]);
    refused(&[hmm, "reward.by_regime.calm=[1.0, 2.0]"], &["reward.by_regime", "calm", "1 numbers"]);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is written before a config makes sense"
    );
}
