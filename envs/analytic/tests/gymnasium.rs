//! CartPole and Pendulum step for step beside Gymnasium's. `scripts/gymnasium_fixture.py` makes the fixture.
#![allow(clippy::unwrap_used, reason = "a test")]

use cambist_analytic::classic::{CartPoleTask, PendulumTask, Task};
use cambist_analytic::{CartPole, Pendulum};
use cambist_core::check::check_env;
use serde_json::Value;

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn compare<T: Task>(name: &str, start: impl Fn(&[f64]) -> T::State, columns: usize) {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/gymnasium.json")).unwrap();
    let mut n_terminated = 0;
    for trajectory in fixture[name].as_array().unwrap() {
        let mut state = start(&floats(&trajectory["initial_state"]));
        let (actions, rewards) = (floats(&trajectory["actions"]), floats(&trajectory["rewards"]));
        for (step, (&action, &wanted)) in actions.iter().zip(&rewards).enumerate() {
            let (next, reward, terminated) = T::step(state, action as f32);
            state = next;
            let mut seen = vec![0.0; columns];
            T::observe(state, &mut seen);
            for (a, b) in seen.iter().zip(floats(&trajectory["observations"][step])) {
                assert!((f64::from(*a) - b).abs() < 1e-6, "{name}, step {step}: {a} {b}");
            }
            assert!((reward - wanted).abs() < 1e-6, "{name}, step {step}: reward {reward} {wanted}");
            assert_eq!(terminated, trajectory["terminated"][step].as_bool().unwrap(), "{name}, step {step}");
            n_terminated += usize::from(terminated);
        }
    }
    assert!(n_terminated == 5 || name.starts_with("Pendulum"), "{n_terminated} poles fell");
}

#[test]
fn cart_pole_moves_as_gymnasiums() {
    compare::<CartPoleTask>("CartPole-v1", |s| [s[0], s[1], s[2], s[3]], 4);
}

#[test]
fn the_pendulum_moves_as_gymnasiums() {
    compare::<PendulumTask>("Pendulum-v1", |s| [s[0], s[1]], 3);
}

#[test]
fn both_keep_the_contract() {
    let fallen = check_env(&|| Box::new(CartPole::new(3, 0)), 1, 400).unwrap();
    assert!(fallen.n_terminated > 10 && fallen.n_truncated == 0);
    let swung = check_env(&|| Box::new(Pendulum::new(3, 0)), 1, 400).unwrap();
    assert_eq!((swung.n_terminated, swung.n_truncated), (0, 6));
}
