//! The learner over burn beside the CPU kernels: outputs within 1e-5, gradients within 1e-4 of each tensor's largest entry.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Mutex;

use cambist_core::rng::{Purpose, Stream};
use cambist_nets::{
    Batch, DeviceChoice, DeviceKind, Experience, FusedLearner, LearnError, Learner, OutputLoss, Precision,
    Sequences, Step, Sums, TensorLearner, TileGradients, TileOutputs, init,
};
use cambist_policy::{Activation, ActorCritic, ActorCriticSpec, Head, Instructions, Outputs, Scratch, Trunk};

const CPU: DeviceChoice =
    DeviceChoice { kind: DeviceKind::Cpu, precision: Precision::Single, gradient_checkpointing: false };

fn normals(n: usize, index: u64) -> Vec<f32> {
    let mut stream = Stream::new(5, Purpose::Check, index);
    (0..n).map(|_| stream.normal() as f32).collect()
}

/// Half the squared distance of outputs from targets that depend on the row; keeps the outputs it saw.
#[derive(Default)]
struct Distance {
    n: f32,
    seen: Mutex<Vec<(u32, Vec<f32>)>>,
}

impl OutputLoss for Distance {
    fn tile(&self, outputs: &TileOutputs<'_>, gradients: &mut TileGradients<'_>, sums: &mut Sums) {
        let width = outputs.head.len() / outputs.indices.len();
        for (at, &row) in outputs.indices.iter().enumerate() {
            let target = (row as f32 * 0.7).rem_euclid(1.0);
            let head = &outputs.head[at * width..(at + 1) * width];
            for (d, y) in gradients.head[at * width..(at + 1) * width].iter_mut().zip(head) {
                *d = (y - target) / self.n;
                sums[0] += f64::from((y - target) * (y - target));
            }
            gradients.values[at] = (outputs.values[at] + target) / self.n;
            let all = [head, &outputs.values[at..=at]].concat();
            self.seen.lock().unwrap().push((row, all));
        }
    }
}

fn spec(trunk: Trunk, observation: usize, activation: Activation) -> ActorCriticSpec {
    ActorCriticSpec { observation, trunk, hidden: vec![12], activation, head: Head::Categorical { n: 3 } }
}

/// An agent none of whose parameters is zero.
fn agent(spec: &ActorCriticSpec) -> ActorCritic {
    let mut agent = init::orthogonal(spec, 7, 0.0).unwrap();
    for (p, noise) in agent.parameters.iter_mut().zip(normals(spec.n_parameters(), 9)) {
        *p += 0.1 * noise;
    }
    agent
}

fn gradient(
    learner: &mut dyn Learner,
    experience: Experience<'_>,
    indices: &[u32],
    n: usize,
) -> (Vec<f32>, Distance) {
    let loss = Distance { n: n as f32, ..Distance::default() };
    learner.learn(experience, &[Batch { indices, loss: &loss }], &mut |_, _| None).unwrap();
    loss.seen.lock().unwrap().sort_by_key(|(row, _)| *row);
    (learner.last_gradient(), loss)
}

fn assert_same(spec: &ActorCriticSpec, a: &[f32], b: &[f32], tolerance: f32) {
    for (name, _, place) in spec.tensors() {
        let largest = a[place.clone()].iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for (x, y) in a[place.clone()].iter().zip(&b[place]) {
            assert!((x - y).abs() <= tolerance * largest, "{name}: {x} {y} of {largest}");
        }
    }
}

fn assert_outputs(a: &Distance, b: &Distance) {
    let (a, b) = (a.seen.lock().unwrap(), b.seen.lock().unwrap());
    assert_eq!(a.len(), b.len());
    for ((row, x), (other, y)) in a.iter().zip(b.iter()) {
        assert_eq!(row, other);
        assert!(x.iter().zip(y).all(|(x, y)| (x - y).abs() < 1e-5), "row {row}: {x:?} {y:?}");
    }
}

const N_ENVS: usize = 6;
const LENGTH: usize = 5;

#[test]
fn both_learners_agree() {
    for (trunk, activation) in [
        (Trunk::None, Activation::Tanh),
        (Trunk::None, Activation::Silu),
        (Trunk::Gru { width: 9 }, Activation::Relu),
        (Trunk::Lstm { width: 7 }, Activation::Tanh),
    ] {
        let spec = spec(trunk, 4, activation);
        let n_rows = N_ENVS * LENGTH * 3;
        let observations = normals(n_rows * 4, 1);
        let states = normals(N_ENVS * 3 * trunk.state_width(), 2);
        let fresh: Vec<bool> = (0..n_rows).map(|row| row % 13 == 4).collect();
        let sequences = trunk.remembers().then_some(Sequences {
            length: LENGTH,
            burn_in: 3,
            states: &states,
            fresh: &fresh,
        });
        let experience = Experience { observations: &observations, n_envs: N_ENVS, sequences };
        let all = if trunk.remembers() { N_ENVS * 3 } else { n_rows };
        let indices: Vec<u32> = (0..all as u32).filter(|i| i % 3 != 1).collect();
        let n = indices.len() * if trunk.remembers() { LENGTH } else { 1 };
        let mut fused = FusedLearner::new(agent(&spec), 1, Instructions::detect());
        let mut tensor = TensorLearner::new(agent(&spec), &CPU).unwrap();
        let (a, seen_a) = gradient(&mut fused, experience, &indices, n);
        let (b, seen_b) = gradient(&mut tensor, experience, &indices, n);
        assert_outputs(&seen_a, &seen_b);
        assert_same(&spec, &a, &b, 1e-4);
        // And after steps of both.
        let step = Step { learning_rate: 1e-2, max_norm: 0.5 };
        let loss = Distance { n: n as f32, ..Distance::default() };
        let batches = [Batch { indices: &indices, loss: &loss }; 3];
        fused.learn(experience, &batches, &mut |_, _| Some(step)).unwrap();
        tensor.learn(experience, &batches, &mut |_, _| Some(step)).unwrap();
        let moved = fused.agent().parameters.iter().zip(&tensor.agent().parameters);
        assert!(moved.clone().all(|(x, y)| (x - y).abs() < 1e-4), "{trunk:?}");
    }
}

const WINDOWED: [Trunk; 2] = [
    Trunk::Conv { window: 8, extras: 2, width: 6, kernel: 3 },
    Trunk::Transformer { window: 8, extras: 2, width: 8, heads: 2, layers: 2 },
];

/// What the policy computes without a tensor library is what burn differentiates.
#[test]
fn windows_are_seen_alike_by_policy_and_learner() {
    for trunk in WINDOWED {
        let spec = spec(trunk, 8 * 3 + 2, Activation::Tanh);
        assert_eq!(trunk.misfit(26), None);
        let (n, observations) = (40, normals(40 * 26, 3));
        let agent = agent(&spec);
        let (mut head, mut values) = (vec![0.0; n * 3], vec![0.0; n]);
        let outputs = Outputs { head: &mut head, values: &mut values, next_state: &mut [] };
        agent.evaluate(Instructions::detect(), &observations, &[], outputs, &mut Scratch::default());
        let experience = Experience { observations: &observations, n_envs: n, sequences: None };
        let indices: Vec<u32> = (0..n as u32).collect();
        let mut learner = TensorLearner::new(agent, &CPU).unwrap();
        let (_, loss) = gradient(&mut learner, experience, &indices, n);
        for (row, seen) in loss.seen.lock().unwrap().iter() {
            let row = *row as usize;
            let ours = [&head[row * 3..(row + 1) * 3], &values[row..=row]].concat();
            assert!(ours.iter().zip(seen).all(|(x, y)| (x - y).abs() < 1e-5), "{trunk:?} {ours:?} {seen:?}");
        }
    }
}

#[test]
fn checkpointing_changes_nothing_and_mixed_precision_little() {
    for trunk in WINDOWED {
        let spec = spec(trunk, 8 * 3 + 2, Activation::Tanh);
        let (n, observations) = (64, normals(64 * 26, 3));
        let experience = Experience { observations: &observations, n_envs: n, sequences: None };
        let indices: Vec<u32> = (0..n as u32).collect();
        let run = |choice: DeviceChoice| {
            let mut learner = TensorLearner::new(agent(&spec), &choice).unwrap();
            gradient(&mut learner, experience, &indices, n).0
        };
        let plain = run(CPU);
        assert_same(&spec, &plain, &run(DeviceChoice { gradient_checkpointing: true, ..CPU }), 1e-6);
        let mixed = run(DeviceChoice { precision: Precision::Mixed, ..CPU });
        assert_ne!(plain, mixed);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
        let cosine = dot(&plain, &mixed) / (dot(&plain, &plain) * dot(&mixed, &mixed)).sqrt();
        assert!(cosine > 0.999, "{trunk:?}: {cosine}");
    }
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let spec = spec(Trunk::None, 4, Activation::Tanh);
    for kind in [DeviceKind::Cuda, DeviceKind::Wgpu] {
        let choice = DeviceChoice { kind, ..CPU };
        match TensorLearner::new(agent(&spec), &choice) {
            Err(LearnError::Device { device, .. }) => assert_eq!(device, choice.to_string()),
            Err(other) => panic!("{other}"),
            // A build and a machine with it.
            Ok(_) => {}
        }
    }
}

#[test]
fn a_window_that_does_not_fit_is_named() {
    let conv = Trunk::Conv { window: 8, extras: 2, width: 6, kernel: 3 };
    assert!(conv.misfit(25).unwrap().contains("does not divide the 23 columns"));
    assert!(Trunk::Conv { window: 4, extras: 0, width: 6, kernel: 3 }.misfit(12).is_some());
    let odd = Trunk::Transformer { window: 8, extras: 2, width: 9, heads: 2, layers: 1 };
    assert!(odd.misfit(26).unwrap().contains("no multiple of its 2 heads"));
}
