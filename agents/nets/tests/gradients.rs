//! Gradients four ways: finite differences of the f64 reference, the f64 reference, the fused kernel, burn's autodiff.
#![allow(clippy::unwrap_used, reason = "a test")]

use burn::tensor::activation::{relu, silu};
use burn::tensor::{Device, Tensor, TensorData};
use cambist_core::rng::{Purpose, Stream};
use cambist_nets::{
    Batch, Experience, FusedLearner, Learner, OutputLoss, Sequences, Step, Sums, TileGradients, TileOutputs,
    init, reference,
};
use cambist_policy::{Activation, ActorCritic, ActorCriticSpec, Head, Instructions, Trunk};

/// A smooth loss of every output: `Σ rows (½|head − target|² + ½(value − target)²) / n + Σ log_deviation²`.
struct Quadratic {
    targets: Vec<f32>,
    width: usize,
    n: usize,
}

impl OutputLoss for Quadratic {
    fn tile(&self, outputs: &TileOutputs<'_>, gradients: &mut TileGradients<'_>, sums: &mut Sums) {
        for (row, &index) in outputs.indices.iter().enumerate() {
            let target = &self.targets[index as usize * (self.width + 1)..];
            for (j, &wanted) in target[..self.width].iter().enumerate() {
                let error = outputs.head[row * self.width + j] - wanted;
                gradients.head[row * self.width + j] = error / self.n as f32;
                sums[0] += 0.5 * f64::from(error * error);
            }
            let error = outputs.values[row] - target[self.width];
            gradients.values[row] = error / self.n as f32;
            sums[1] += 1.0;
        }
        for (d, l) in gradients.log_deviation.iter_mut().zip(outputs.log_deviation) {
            *d += 2.0 * l * outputs.indices.len() as f32 / self.n as f32;
        }
    }
}

fn normals(n: usize, index: u64) -> Vec<f32> {
    let mut stream = Stream::new(5, Purpose::Check, index);
    (0..n).map(|_| stream.normal() as f32).collect()
}

struct Case {
    spec: ActorCriticSpec,
    n_rows: usize,
    observations: Vec<f32>,
    indices: Vec<u32>,
    loss: Quadratic,
}

fn case(activation: Activation, hidden: &[usize], n_rows: usize) -> Case {
    let head = Head::Gaussian { dim: 3 };
    let spec =
        ActorCriticSpec { observation: 7, trunk: Trunk::None, hidden: hidden.to_vec(), activation, head };
    // Every other row of a longer rollout, so that gathering matters.
    let observations = normals(2 * n_rows * 7, 1);
    let indices = (0..n_rows as u32).map(|i| 2 * i + 1).collect();
    let loss = Quadratic { targets: normals(2 * n_rows * 4, 2), width: 3, n: n_rows };
    Case { spec, n_rows, observations, indices, loss }
}

fn reference_loss(case: &Case, parameters: &[f64]) -> f64 {
    let own = parameters.len() - 3;
    let mut sum: f64 = parameters[own..].iter().map(|l| l * l).sum();
    for &index in &case.indices {
        let (x, target) = row(case, index);
        let (head, value) = reference::evaluate(&case.spec, parameters, &x);
        let error: f64 = head.iter().chain([&value]).zip(&target).map(|(y, t)| 0.5 * (y - t) * (y - t)).sum();
        sum += error / case.n_rows as f64;
    }
    sum
}

fn row(case: &Case, index: u32) -> (Vec<f64>, Vec<f64>) {
    let wide = |x: &[f32]| x.iter().map(|&v| f64::from(v)).collect();
    let index = index as usize;
    (
        wide(&case.observations[index * 7..(index + 1) * 7]),
        wide(&case.loss.targets[index * 4..(index + 1) * 4]),
    )
}

fn reference_gradient(case: &Case, parameters: &[f64]) -> Vec<f64> {
    let spec = &case.spec;
    let [_, actor, critic] = spec.layers();
    let nets = [actor, critic];
    let mut gradient = vec![0.0; parameters.len()];
    let own = parameters.len() - 3;
    for (g, p) in gradient[own..].iter_mut().zip(&parameters[own..]) {
        *g = 2.0 * p;
    }
    for &index in &case.indices {
        let (x, target) = row(case, index);
        for (layers, target) in nets.iter().zip([&target[..3], &target[3..]]) {
            let outputs = reference::forward(layers, spec.activation, parameters, &x);
            let last = &outputs.last().unwrap().y;
            let d: Vec<f64> = last.iter().zip(target).map(|(y, t)| (y - t) / case.n_rows as f64).collect();
            reference::backward(layers, spec.activation, parameters, &outputs, &d, &mut gradient);
        }
    }
    gradient
}

/// Fourth-order differences of `loss` against `gradient`, entry by entry.
fn assert_differences(parameters: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    let largest = gradient.iter().fold(0.0f64, |a, g| a.max(g.abs()));
    for index in 0..parameters.len() {
        let h = 1e-4;
        let at = |shift: f64| {
            let mut moved = parameters.to_vec();
            moved[index] += shift;
            loss(&moved)
        };
        let numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        assert!((gradient[index] - numeric).abs() < 1e-7 * largest, "{index}: {} {numeric}", gradient[index]);
    }
}

/// Every tensor within `tolerance` of its largest entry.
fn assert_close(spec: &ActorCriticSpec, ours: &[f32], wanted: &[f64], tolerance: f64) {
    for (name, _, place) in spec.tensors() {
        let largest = wanted[place.clone()].iter().fold(0.0f64, |a, g| a.max(g.abs()));
        for index in place {
            let error = (f64::from(ours[index]) - wanted[index]).abs();
            assert!(error <= tolerance * largest, "{name}: {error:e} of {largest:e}");
        }
    }
}

fn wide(agent: &ActorCritic) -> Vec<f64> {
    agent.parameters.iter().map(|&p| f64::from(p)).collect()
}

/// The gradient of `case` by a learner that takes no step.
fn fused_gradient(case: &Case, agent: ActorCritic, n_threads: usize) -> Vec<f32> {
    let mut learner = FusedLearner::new(agent, n_threads, Instructions::detect());
    let batch = Batch { indices: &case.indices, loss: &case.loss };
    learner.learn(experience(case), &[batch], &mut |_, _| None).unwrap();
    learner.last_gradient()
}

fn experience(case: &Case) -> Experience<'_> {
    Experience { observations: &case.observations, n_envs: 1, sequences: None }
}

#[test]
fn the_reference_agrees_with_finite_differences() {
    for activation in [Activation::Tanh, Activation::Silu] {
        let case = case(activation, &[6, 5], 9);
        let parameters = wide(&init::orthogonal(&case.spec, 1, -0.3).unwrap());
        let gradient = reference_gradient(&case, &parameters);
        assert_differences(&parameters, &gradient, |moved| reference_loss(&case, moved));
    }
}

#[test]
fn the_kernel_agrees_with_the_reference() {
    for (activation, hidden) in [
        (Activation::Tanh, vec![64, 64]),
        (Activation::Relu, vec![17, 33, 5]),
        (Activation::Silu, vec![40, 3]),
        (Activation::Tanh, vec![]),
    ] {
        let case = case(activation, &hidden, 1300);
        let agent = init::orthogonal(&case.spec, 2, -0.3).unwrap();
        let wanted = reference_gradient(&case, &wide(&agent));
        assert_close(&case.spec, &fused_gradient(&case, agent, 2), &wanted, 1e-5);
    }
}

#[test]
fn threads_and_instruction_sets_give_the_same_bits() {
    let case = case(Activation::Tanh, &[64, 64], 3000);
    let run = |n_threads, isa| {
        let agent = init::orthogonal(&case.spec, 3, 0.0).unwrap();
        let mut learner = FusedLearner::new(agent, n_threads, isa);
        let batches = [Batch { indices: &case.indices, loss: &case.loss }; 3];
        let step = Step { learning_rate: 1e-2, max_norm: 0.5 };
        learner.learn(experience(&case), &batches, &mut |_, _| Some(step)).unwrap();
        bits(&learner)
    };
    let wanted = run(1, Instructions::Plain);
    for isa in Instructions::ALL.into_iter().filter(|i| i.is_available()) {
        for n_threads in [1, 2, 3] {
            assert!(wanted == run(n_threads, isa), "{isa:?} on {n_threads} threads");
        }
    }
}

fn bits(learner: &FusedLearner) -> Vec<u32> {
    learner.agent().parameters.iter().map(|p| p.to_bits()).collect()
}

const N_ENVS: usize = 5;
const LENGTH: usize = 6;
const N_SEQUENCES: usize = 3;

/// Three sequences of six steps in each of five environments, some of whose episodes begin inside a sequence.
struct Remembering {
    spec: ActorCriticSpec,
    observations: Vec<f32>,
    states: Vec<f32>,
    fresh: Vec<bool>,
    indices: Vec<u32>,
    loss: Quadratic,
    burn_in: usize,
}

fn remembering(trunk: Trunk, hidden: &[usize], burn_in: usize) -> Remembering {
    let spec = ActorCriticSpec {
        observation: 4,
        trunk,
        hidden: hidden.to_vec(),
        activation: Activation::Tanh,
        head: Head::Gaussian { dim: 2 },
    };
    let n_rows = N_ENVS * LENGTH * N_SEQUENCES;
    let indices: Vec<u32> = (0..(N_ENVS * N_SEQUENCES) as u32).filter(|i| i % 4 != 1).rev().collect();
    let loss = Quadratic { targets: normals(n_rows * 3, 4), width: 2, n: indices.len() * LENGTH };
    Remembering {
        observations: normals(n_rows * 4, 5),
        states: normals(N_ENVS * N_SEQUENCES * trunk.state_width(), 6).iter().map(|v| 0.5 * v).collect(),
        fresh: (0..n_rows).map(|row| row % 17 == 3).collect(),
        indices,
        loss,
        burn_in,
        spec,
    }
}

impl Remembering {
    fn experience(&self) -> Experience<'_> {
        let sequences =
            Sequences { length: LENGTH, burn_in: self.burn_in, states: &self.states, fresh: &self.fresh };
        Experience { observations: &self.observations, n_envs: N_ENVS, sequences: Some(sequences) }
    }

    /// Loss and gradient by the f64 reference, sequence by sequence; what burns in is constant.
    fn reference(&self, parameters: &[f64], held: &[f64]) -> (f64, Vec<f64>) {
        let wide = |x: &[f32]| x.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let [_, actor, critic] = self.spec.layers();
        let own = parameters.len() - 2;
        let mut gradient = vec![0.0; parameters.len()];
        let mut loss: f64 = parameters[own..].iter().map(|l| l * l).sum();
        gradient[own..].iter_mut().zip(&parameters[own..]).for_each(|(g, p)| *g = 2.0 * p);
        let state = self.spec.trunk.state_width();
        for &index in &self.indices {
            let (i, env) = (index as usize / N_ENVS, index as usize % N_ENVS);
            let lead = self.burn_in.min(i * LENGTH);
            let step = |time: usize| {
                let row = time * N_ENVS + env;
                (wide(&self.observations[row * 4..(row + 1) * 4]), self.fresh[row])
            };
            let start = wide(&self.states[index as usize * state..(index as usize + 1) * state]);
            let burnt: Vec<_> = (i * LENGTH - lead..i * LENGTH).map(step).collect();
            let burnt = reference::unroll(&self.spec, held, &start, &burnt);
            let start = burnt.last().map_or(start, |s| s.state.clone());
            let steps: Vec<_> = (i * LENGTH..(i + 1) * LENGTH).map(step).collect();
            let all = reference::unroll(&self.spec, parameters, &start, &steps);
            let mut d_features = Vec::new();
            for (t, remembered) in all.iter().enumerate() {
                let h = &remembered.state[..self.spec.trunk.features(4)];
                let row = (i * LENGTH + t) * N_ENVS + env;
                let targets = wide(&self.loss.targets[row * 3..(row + 1) * 3]);
                let mut d_h = vec![0.0; h.len()];
                for (layers, target) in [(&actor, &targets[..2]), (&critic, &targets[2..])] {
                    let layered = reference::forward(layers, self.spec.activation, parameters, h);
                    let y = &layered.last().unwrap().y;
                    let d: Vec<f64> =
                        y.iter().zip(target).map(|(y, t)| (y - t) / self.loss.n as f64).collect();
                    loss += d.iter().map(|d| 0.5 * d * d * self.loss.n as f64).sum::<f64>();
                    let back = reference::backward(
                        layers,
                        self.spec.activation,
                        parameters,
                        &layered,
                        &d,
                        &mut gradient,
                    );
                    d_h.iter_mut().zip(back).for_each(|(a, b)| *a += b);
                }
                d_features.push(d_h);
            }
            let fresh: Vec<bool> = steps.iter().map(|s| s.1).collect();
            reference::unroll_back(&self.spec, parameters, &all, &fresh, &d_features, &mut gradient);
        }
        (loss, gradient)
    }
}

#[test]
fn memory_agrees_with_the_reference_and_the_reference_with_finite_differences() {
    for (trunk, hidden, burn_in) in [
        (Trunk::Gru { width: 5 }, vec![], 0),
        (Trunk::Gru { width: 5 }, vec![4], 3),
        (Trunk::Lstm { width: 4 }, vec![3], 0),
        (Trunk::Lstm { width: 4 }, vec![], 9),
        (Trunk::Gru { width: 33 }, vec![], 2),
    ] {
        let case = remembering(trunk, &hidden, burn_in);
        let agent = init::orthogonal(&case.spec, 6, -0.3).unwrap();
        let parameters = wide(&agent);
        let (_, wanted) = case.reference(&parameters, &parameters);
        if parameters.len() < 400 {
            assert_differences(&parameters, &wanted, |moved| case.reference(moved, &parameters).0);
        }
        let mut learner = FusedLearner::new(agent, 2, Instructions::detect());
        let batch = Batch { indices: &case.indices, loss: &case.loss };
        learner.learn(case.experience(), &[batch], &mut |_, _| None).unwrap();
        assert_close(&case.spec, &learner.last_gradient(), &wanted, 1e-5);
    }
}

#[test]
fn memory_gives_the_same_bits_everywhere() {
    for trunk in [Trunk::Gru { width: 20 }, Trunk::Lstm { width: 12 }] {
        let case = remembering(trunk, &[8], 2);
        let run = |n_threads, isa| {
            let mut learner =
                FusedLearner::new(init::orthogonal(&case.spec, 3, 0.0).unwrap(), n_threads, isa);
            let batches = [Batch { indices: &case.indices, loss: &case.loss }; 3];
            let step = Step { learning_rate: 1e-2, max_norm: 0.5 };
            learner.learn(case.experience(), &batches, &mut |_, _| Some(step)).unwrap();
            bits(&learner)
        };
        let wanted = run(1, Instructions::Plain);
        for isa in Instructions::ALL.into_iter().filter(|i| i.is_available()) {
            assert!(wanted == run(1, isa) && wanted == run(2, isa), "{isa:?}");
        }
    }
}

#[test]
fn the_kernel_agrees_with_burns_autodiff() {
    for activation in [Activation::Tanh, Activation::Relu, Activation::Silu] {
        let case = case(activation, &[32, 16], 700);
        let agent = init::orthogonal(&case.spec, 4, 0.0).unwrap();
        let device = Device::flex().autodiff();
        let gathered = |data: &[f32], width: usize| {
            let rows = case
                .indices
                .iter()
                .flat_map(|&i| data[i as usize * width..(i as usize + 1) * width].to_vec());
            rows.collect::<Vec<f32>>()
        };
        let matrix = |data: Vec<f32>, columns: usize| {
            let rows = data.len() / columns;
            Tensor::<2>::from_data(TensorData::new(data, [rows, columns]), &device)
        };
        let x = matrix(gathered(&case.observations, 7), 7);
        let targets = gathered(&case.loss.targets, 4);
        let part = |from: usize, n: usize| {
            targets.chunks(4).flat_map(|t| t[from..from + n].to_vec()).collect::<Vec<_>>()
        };
        let nets = [(agent.actor(), matrix(part(0, 3), 3)), (agent.critic(), matrix(part(3, 1), 1))];
        let mut leaves = Vec::new();
        let mut total: Option<Tensor<1>> = None;
        for (layers, target) in nets {
            let mut y = x.clone();
            for (depth, layer) in layers.iter().enumerate() {
                let weight =
                    matrix(agent.parameters[layer.weight..layer.bias].to_vec(), layer.outputs).require_grad();
                let bias = agent.parameters[layer.bias..layer.bias + layer.outputs].to_vec();
                let bias = matrix(bias, layer.outputs).require_grad();
                y = y.matmul(weight.clone()) + bias.clone();
                if depth + 1 < layers.len() {
                    y = match activation {
                        Activation::Tanh => y.tanh(),
                        Activation::Relu => relu(y),
                        Activation::Silu => silu(y),
                    };
                }
                leaves.push((layer.weight..layer.bias, weight));
                leaves.push((layer.bias..layer.bias + layer.outputs, bias));
            }
            let error = y - target;
            let loss = (error.clone() * error).sum() * (0.5 / case.n_rows as f32);
            total = Some(total.map_or(loss.clone(), |t| t + loss));
        }
        let gradients = total.unwrap().backward();
        let fused = fused_gradient(&case, agent, 1);
        for (place, leaf) in leaves {
            let theirs: Vec<f32> = leaf.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
            let ours = &fused[place];
            let largest = theirs.iter().fold(0.0f32, |a, g| a.max(g.abs()));
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() <= 1e-4 * largest, "{a} {b} of {largest}");
            }
        }
    }
}
