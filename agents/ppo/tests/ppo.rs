//! The algorithm's parts against hand-made numbers, and its gradient against finite differences.
#![allow(clippy::unwrap_used, reason = "a test")]

use cambist_core::End::{self, Running, Terminated, Truncated};
use cambist_core::rng::{Purpose, Stream};
use cambist_nets::{OutputLoss, TileGradients, TileOutputs};
use cambist_policy::{Head, Instructions};
use cambist_ppo::group::{Place, group_baselines};
use cambist_ppo::ppo::{Trajectories, advantages};
use cambist_ppo::{Objective, PpoConfig, Schedule, Tape, TapeShape};

/// Advantages of one environment; `next` holds the value after each truncation, and after the last row.
fn gae(rewards: &[f32], values: &[f32], next: &[f32], ends: &[End], gamma: f32, lambda: f32) -> Vec<f32> {
    let mut out = vec![0.0; rewards.len()];
    let last_values = &next[next.len() - 1..];
    advantages(
        &Trajectories { rewards, values, ends, bootstraps: next, last_values },
        gamma,
        lambda,
        &mut out,
    );
    out
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-5)
}

/// γ = 0.5, λ = 0.5 by hand: δ = (1 + 1 − 1, 2 + 1.5 − 2, 3 + 2 − 3) = (1, 1.5, 2); Â = (1.5, 2, 2).
#[test]
fn advantages_of_a_running_chain() {
    let out = gae(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], &[2.0, 3.0, 4.0], &[Running; 3], 0.5, 0.5);
    assert!(close(&out, &[1.5, 2.0, 2.0]), "{out:?}");
}

/// λ = 1 gives return minus value, λ = 0 the one-step error.
#[test]
fn the_two_ends_of_lambda() {
    let (rewards, values, next) = ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 10.0]);
    let long = gae(&rewards, &values, &next, &[Running; 3], 0.9, 1.0);
    assert!(close(&long, &[1.0 + 0.9 + 0.81 + 7.29, 1.0 + 0.9 + 8.1, 10.0]), "{long:?}");
    let short = gae(&rewards, &values, &next, &[Running; 3], 0.9, 0.0);
    assert!(close(&short, &[1.0, 1.0, 10.0]), "{short:?}");
}

/// A termination is worth nothing more, whatever the value says; a truncation is worth its terminal observation; neither
/// lets the next episode through.
#[test]
fn ends_are_told_apart() {
    let (rewards, values, next) = ([1.0, 1.0, 5.0], [0.0, 0.0, 0.0], [0.0, 100.0, 0.0]);
    let ended = gae(&rewards, &values, &next, &[Running, Terminated, Running], 0.5, 1.0);
    assert!(close(&ended, &[1.5, 1.0, 5.0]), "{ended:?}");
    let cut = gae(&rewards, &values, &next, &[Running, Truncated, Running], 0.5, 1.0);
    assert!(close(&cut, &[26.5, 51.0, 5.0]), "{cut:?}");
}

const CONFIG: PpoConfig = PpoConfig {
    horizon: 1,
    n_epochs: 1,
    minibatch_size: 64,
    gamma: 0.99,
    gae_lambda: 0.95,
    clip_range: 0.2,
    clip_range_value: 0.3,
    value_coefficient: 0.5,
    entropy_coefficient: 0.02,
    learning_rate: 1e-3,
    schedule: Schedule::Constant,
    max_grad_norm: 0.5,
    target_kl: 0.0,
    normalise_advantage: true,
    scale_rewards: false,
    sequence_length: 1,
    burn_in: 0,
    path_group: 1,
};

fn tape(n: usize, head: Head, mask: usize) -> Tape {
    Tape::new(TapeShape {
        n_envs: n,
        horizon: 1,
        observation: 1,
        action: head.action_width(),
        mask,
        state: 0,
        sequence_length: 1,
        burn_in: 0,
        compared: false,
    })
}

fn random_tape(n: usize, head: Head, mask: usize) -> Tape {
    let mut stream = Stream::new(8, Purpose::Check, 0);
    let mut tape = tape(n, head, mask);
    for row in 0..n {
        tape.actions[row] = match head {
            Head::Categorical { n } => stream.index(n) as f32,
            Head::Gaussian { .. } => stream.normal() as f32,
        };
        tape.log_probabilities[row] = -1.1 + 0.3 * stream.normal() as f32;
        tape.values[row] = stream.normal() as f32;
        tape.advantages[row] = stream.normal() as f32;
        // One of the choices that were not taken is forbidden.
        for choice in 0..mask {
            let forbidden = (tape.actions[row] as usize + 1 + row % 2) % 3;
            tape.masks[row * mask + choice] = choice != forbidden;
        }
    }
    tape
}

/// The loss by its definition, from the sums a tile reports, against the gradient it writes.
#[test]
fn the_objectives_gradient_agrees_with_finite_differences() {
    for (head, mask) in
        [(Head::Categorical { n: 3 }, 0), (Head::Categorical { n: 3 }, 3), (Head::Gaussian { dim: 1 }, 0)]
    {
        let n = 64;
        let tape = random_tape(n, head, mask);
        let objective =
            Objective { config: &CONFIG, tape: &tape, head, n, advantage_mean: 0.1, advantage_scale: 1.3 };
        let indices: Vec<u32> = (0..n as u32).collect();
        let mut stream = Stream::new(9, Purpose::Check, 0);
        let width = head.width();
        let mut outputs: Vec<f32> = (0..n * width + n).map(|_| stream.normal() as f32).collect();
        outputs.push(-0.2);
        let evaluate = |x: &[f32]| {
            let (head_out, rest) = x.split_at(n * width);
            let own = head.n_parameters();
            let tile = TileOutputs {
                indices: &indices,
                head: head_out,
                log_deviation: &rest[n..n + own],
                values: &rest[..n],
                instructions: Instructions::detect(),
            };
            let (mut d_head, mut d_log, mut d_values) = (vec![0.0; n * width], vec![0.0; own], vec![0.0; n]);
            let mut gradients =
                TileGradients { head: &mut d_head, log_deviation: &mut d_log, values: &mut d_values };
            let mut sums = [0.0; 8];
            objective.tile(&tile, &mut gradients, &mut sums);
            let loss = sums[0] + f64::from(CONFIG.value_coefficient) * sums[1]
                - f64::from(CONFIG.entropy_coefficient) * sums[2];
            (loss / n as f64, [d_head, d_values, d_log].concat())
        };
        let (_, gradient) = evaluate(&outputs);
        for (logit, allowed) in tape.masks.iter().enumerate() {
            assert!(*allowed || gradient[logit].abs() < 1e-20, "a forbidden choice has no gradient");
        }
        let mut n_corners = 0;
        for index in 0..gradient.len() {
            let h = 1e-2;
            let at = |shift: f32| {
                let mut moved = outputs.clone();
                moved[index] += shift;
                evaluate(&moved).0
            };
            let (left, right) = ((at(0.0) - at(-h)) / f64::from(h), (at(h) - at(0.0)) / f64::from(h));
            // Between the two one-sided slopes, which differ at a corner of the clip only.
            let (low, high) = (left.min(right) - 1e-3 / n as f64, left.max(right) + 1e-3 / n as f64);
            let ours = f64::from(gradient[index]);
            assert!((low..=high).contains(&ours), "{head:?} {index}: {ours} not in [{low}, {high}]");
            n_corners += usize::from(right - left > 0.1 / n as f64);
        }
        assert!(n_corners * 10 < gradient.len(), "{n_corners} corners");
    }
}

/// With Â > 0 the gradient ends above 1 + ε, with Â < 0 below 1 − ε, and not on the other sides.
#[test]
fn the_clip_holds_on_the_right_side() {
    let config = PpoConfig { normalise_advantage: false, entropy_coefficient: 0.0, ..CONFIG };
    for (ratio, advantage, moves) in
        [(1.5f32, 1.0, false), (0.5, 1.0, true), (0.5, -1.0, false), (1.5, -1.0, true), (1.0, 1.0, true)]
    {
        let head = Head::Categorical { n: 2 };
        let mut tape = tape(1, head, 0);
        tape.advantages[0] = advantage;
        // Both choices have probability ½ now.
        tape.log_probabilities[0] = libm::logf(0.5 / ratio);
        let objective =
            Objective { config: &config, tape: &tape, head, n: 1, advantage_mean: 0.0, advantage_scale: 1.0 };
        let (mut d_head, mut d_values, mut sums) = ([0.0; 2], [0.0], [0.0; 8]);
        let tile = TileOutputs {
            indices: &[0],
            head: &[0.0, 0.0],
            log_deviation: &[],
            values: &[0.0],
            instructions: Instructions::Plain,
        };
        let mut gradients =
            TileGradients { head: &mut d_head, log_deviation: &mut [], values: &mut d_values };
        objective.tile(&tile, &mut gradients, &mut sums);
        assert_eq!(d_head[0] != 0.0, moves, "ratio {ratio}, advantage {advantage}");
        if moves {
            assert_eq!(d_head[0] < 0.0, advantage > 0.0, "descent raises the logit of a good action");
        }
    }
}

/// What all of a group live through alike drops out of what the policy learns from, and an environment's own action is in no
/// baseline of its own.
#[test]
fn a_group_is_compared_with_its_others() {
    let mut baselines = vec![9.0];
    group_baselines(
        &[1.0, 2.0, 6.0, -4.0, 0.0, 7.0],
        &[End::Running; 6],
        &[Place::default(); 6],
        3,
        &mut baselines,
    );
    assert_eq!(baselines, [4.0, 3.5, 1.5, 3.5, 1.5, -2.0]);
    let compared = |advantages: &[f32]| -> Vec<f32> {
        let mut baselines = Vec::new();
        let (ends, places) = (vec![End::Running; advantages.len()], vec![Place::default(); advantages.len()]);
        group_baselines(advantages, &ends, &places, 2, &mut baselines);
        advantages.iter().zip(&baselines).map(|(own, others)| own - others).collect()
    };
    // One path is 10 better than the other for whoever is on it.
    assert_eq!(compared(&[1.0, 3.0, 0.0, 4.0]), compared(&[11.0, 13.0, 0.0, 4.0]));
    assert_eq!(compared(&[1.0, 3.0]), [-2.0, 2.0]);
    for group in 2..9 {
        assert_eq!(
            compared(&vec![0.1234; 2 * group]),
            vec![0.0; 2 * group],
            "who fare alike differ by nothing"
        );
    }
    group_baselines(&[1.0, 2.0], &[End::Running; 2], &[Place::default(); 2], 1, &mut baselines);
    assert!(baselines.is_empty());

    // The tape shows them to the policy's loss alone: values learn the whole return.
    let head = Head::Categorical { n: 2 };
    let mut tape = tape(4, head, 0);
    tape.places = vec![Place::default(); 4];
    tape.rewards.copy_from_slice(&[1.0, 2.0, 6.0, -4.0]);
    tape.ends.fill(End::Terminated);
    tape.estimate_advantages(0.9, 0.95, 2);
    assert_eq!(tape.advantages, [1.0, 2.0, 6.0, -4.0]);
    assert_eq!([0, 1, 2, 3].map(|row| tape.compared_advantage(row)), [-1.0, 1.0, 10.0, -10.0]);
    let config =
        PpoConfig { normalise_advantage: false, entropy_coefficient: 0.0, clip_range_value: 0.0, ..CONFIG };
    tape.log_probabilities.fill(libm::logf(0.5));
    let indices = [0, 1, 2, 3];
    let objective = Objective::new(&config, &tape, head, &indices);
    let (mut d_head, mut d_values, mut sums) = ([0.0; 8], [0.0; 4], [0.0; 8]);
    let tile = TileOutputs {
        indices: &indices,
        head: &[0.0; 8],
        log_deviation: &[],
        values: &[0.0; 4],
        instructions: Instructions::Plain,
    };
    let mut gradients = TileGradients { head: &mut d_head, log_deviation: &mut [], values: &mut d_values };
    objective.tile(&tile, &mut gradients, &mut sums);
    // Of the chosen first action: -A (1 - p) / n.
    assert_eq!([d_head[0], d_head[2], d_head[4], d_head[6]], [0.125, -0.125, -1.25, 1.25]);
    assert_eq!(d_values.map(|d| d * 8.0), [-1.0, -2.0, -6.0, 4.0]);
}
