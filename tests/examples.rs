//! The examples, run as a user runs them: each trains by the stock PPO and looks at what it learned.
#![allow(clippy::unwrap_used, missing_docs, clippy::print_stdout, reason = "a test")]

#[path = "../examples/own_env.rs"]
mod own_env;
#[path = "../examples/own_feature.rs"]
mod own_feature;
#[path = "../examples/own_reward.rs"]
mod own_reward;

#[test]
fn an_environment_of_ones_own_is_learned() {
    own_env::main().unwrap();
}

#[test]
fn a_reward_of_ones_own_moves_what_is_learned() {
    own_reward::main().unwrap();
}

#[test]
fn a_feature_of_ones_own_reaches_the_policy() {
    own_feature::main().unwrap();
}

#[test]
fn examples_are_short() {
    for text in [
        include_str!("../examples/own_env.rs"),
        include_str!("../examples/own_feature.rs"),
        include_str!("../examples/own_reward.rs"),
    ] {
        assert!(text.lines().count() <= 80);
    }
}
