//! One PPO update beside Stable-Baselines3's own `PPO.train()` on the same rollout, taken as one minibatch three times over:
//! losses, divergence, clip fraction, gradients and the weights after Adam. `scripts/sb3_update_fixture.py` makes the fixture.
#![allow(clippy::unwrap_used, reason = "a test")]

use cambist_core::End;
use cambist_nets::{FusedLearner, Learner};
use cambist_policy::{Activation, ActorCritic, ActorCriticSpec, Head, Instructions, Trunk};
use cambist_ppo::ppo::update;
use cambist_ppo::{PpoConfig, Schedule, Tape, TapeShape};
use serde_json::Value;

const TOLERANCE: f64 = 1e-5;

/// All numbers of nested lists, in order.
fn numbers(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        _ => vec![value.as_f64().unwrap() as f32],
    }
}

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/sb3_update.json")).unwrap()
}

const N_ENVS: usize = 4;
const HORIZON: usize = 16;

fn config(fixture: &Value) -> PpoConfig {
    let number = |name: &str| fixture["config"][name].as_f64().unwrap() as f32;
    PpoConfig {
        horizon: HORIZON,
        n_epochs: fixture["config"]["n_epochs"].as_u64().unwrap() as usize,
        minibatch_size: N_ENVS * HORIZON,
        gamma: number("gamma"),
        gae_lambda: number("gae_lambda"),
        clip_range: number("clip_range"),
        clip_range_value: 0.0,
        // Ours weighs half the squared error, theirs the whole.
        value_coefficient: 2.0 * number("vf_coef"),
        entropy_coefficient: number("ent_coef"),
        learning_rate: number("learning_rate"),
        schedule: Schedule::Constant,
        max_grad_norm: number("max_grad_norm"),
        target_kl: 0.0,
        normalise_advantage: true,
        scale_rewards: false,
        sequence_length: 1,
        burn_in: 0,
        path_group: 1,
    }
}

/// The rollout as collected: SB3 notes before a step what we note after the one before.
fn tape(case: &Value, action: usize) -> Tape {
    let shape = TapeShape {
        n_envs: N_ENVS,
        horizon: HORIZON,
        observation: 5,
        action,
        mask: 0,
        state: 0,
        sequence_length: 1,
        burn_in: 0,
        compared: false,
    };
    let mut tape = Tape::new(shape);
    tape.observations = numbers(&case["observations"]);
    tape.actions = numbers(&case["actions"]);
    tape.log_probabilities = numbers(&case["log_probs"]);
    tape.values = numbers(&case["gae_values"]);
    tape.rewards = numbers(&case["gae_rewards"]);
    tape.last_values = numbers(&case["gae_last_values"]);
    let begun = [numbers(&case["gae_episode_starts"]), numbers(&case["gae_last_dones"])].concat();
    for (end, &begins) in tape.ends.iter_mut().zip(&begun[N_ENVS..]) {
        *end = if begins > 0.5 { End::Terminated } else { End::Running };
    }
    tape
}

fn assert_near(what: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!((f64::from(*a) - f64::from(*b)).abs() < TOLERANCE, "{what}: {a} {b}");
    }
}

fn compare(name: &str, head: Head) {
    let fixture = fixture();
    let case = &fixture[name];
    let mut tape = tape(case, head.action_width());
    let config = config(&fixture);
    tape.estimate_advantages(config.gamma, config.gae_lambda, 1);
    assert_near("advantages", &tape.advantages, &numbers(&case["gae_advantages"]));
    let spec = ActorCriticSpec {
        observation: 5,
        trunk: Trunk::None,
        hidden: vec![16, 12],
        activation: Activation::Tanh,
        head,
    };
    let mut parameters = vec![0.0; spec.n_parameters()];
    for (tensor, _, place) in spec.tensors() {
        parameters[place].copy_from_slice(&numbers(&case["weights_before"][tensor]));
    }
    let agent = ActorCritic::new(spec.clone(), parameters).unwrap();
    let mut run = |n_epochs: usize| {
        let mut learner = FusedLearner::new(agent.clone(), 2, Instructions::detect());
        let config = PpoConfig { n_epochs, ..config };
        let stats = update(&mut learner, &mut tape, &config, 1, 0, 0.0, 1).unwrap();
        (learner, stats)
    };
    let (learner, stats) = run(config.n_epochs);
    // Theirs is the last epoch's; ours the mean of all.
    let n = config.n_epochs as f64;
    let last_kl = n * stats.approx_kl - (n - 1.0) * run(config.n_epochs - 1).1.approx_kl;
    let logged = |name: &str| case["logged"][name].as_f64().unwrap();
    for (what, ours, theirs) in [
        ("policy loss", stats.policy_loss, logged("policy_gradient_loss")),
        ("value loss", 2.0 * stats.value_loss, logged("value_loss")),
        ("entropy", -stats.entropy, logged("entropy_loss")),
        ("approximate KL", last_kl, logged("approx_kl")),
        ("clip fraction", stats.clip_fraction, logged("clip_fraction")),
        ("explained variance", stats.explained_variance, logged("explained_variance")),
        ("gradient norm", stats.gradient_norm, case["gradient_norm"].as_f64().unwrap()),
    ] {
        assert!((ours - theirs).abs() < TOLERANCE, "{name}, {what}: {ours} {theirs}");
    }
    for (tensor, _, place) in spec.tensors() {
        let gradient = &learner.last_gradient()[place.clone()];
        assert_near(&format!("gradient of {tensor}"), gradient, &numbers(&case["gradients"][&tensor]));
        let after = &learner.agent().parameters[place];
        assert_near(&tensor, after, &numbers(&case["weights_after"][&tensor]));
    }
    assert!(stats.clip_fraction > 0.1, "the clip is exercised");
}

#[test]
fn a_discrete_update_is_stable_baselines3s() {
    compare("discrete", Head::Categorical { n: 3 });
}

#[test]
fn a_continuous_update_is_stable_baselines3s() {
    compare("continuous", Head::Gaussian { dim: 2 });
}
