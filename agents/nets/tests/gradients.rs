//! Gradients four ways: finite differences of the f64 reference, the f64 reference, the fused kernel, burn's autodiff.
#![allow(clippy::unwrap_used, reason = "a test")]

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use cambist_core::rng::{Purpose, Stream};
use cambist_nets::{
    FusedLearner, Learner, OutputLoss, Rows, Sums, TileGradients, TileOutputs, init, reference,
};
use cambist_policy::{Activation, ActorCriticSpec, Head, Instructions};

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
    let spec = ActorCriticSpec { observation: 7, hidden: hidden.to_vec(), activation, head };
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
    let nets = [spec.actor().layers(0), spec.critic().layers(spec.actor().n_parameters())];
    let mut gradient = vec![0.0; parameters.len()];
    let own = parameters.len() - 3;
    for (g, p) in gradient[own..].iter_mut().zip(&parameters[own..]) {
        *g = 2.0 * p;
    }
    for &index in &case.indices {
        let (x, target) = row(case, index);
        for (layers, target) in nets.iter().zip([&target[..3], &target[3..]]) {
            let outputs = reference::forward(layers, spec.activation, parameters, &x);
            let last = outputs.last().unwrap();
            let d: Vec<f64> = last.iter().zip(target).map(|(y, t)| (y - t) / case.n_rows as f64).collect();
            reference::backward(layers, spec.activation, parameters, &outputs, &d, &mut gradient);
        }
    }
    gradient
}

#[test]
fn the_reference_agrees_with_finite_differences() {
    let case = case(Activation::Tanh, &[6, 5], 9);
    let agent = init::orthogonal(&case.spec, 1, -0.3).unwrap();
    let parameters: Vec<f64> = agent.parameters.iter().map(|&p| f64::from(p)).collect();
    let gradient = reference_gradient(&case, &parameters);
    let largest = gradient.iter().fold(0.0f64, |a, g| a.max(g.abs()));
    for index in 0..parameters.len() {
        let h = 1e-5;
        let at = |shift: f64| {
            let mut moved = parameters.clone();
            moved[index] += shift;
            reference_loss(&case, &moved)
        };
        // Fourth-order differences.
        let numeric = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        assert!((gradient[index] - numeric).abs() < 1e-7 * largest, "{index}: {} {numeric}", gradient[index]);
    }
}

#[test]
fn the_kernel_agrees_with_the_reference() {
    for (activation, hidden) in [(Activation::Tanh, vec![64, 64]), (Activation::Relu, vec![17, 33, 5])] {
        let case = case(activation, &hidden, 1300);
        let agent = init::orthogonal(&case.spec, 2, -0.3).unwrap();
        let parameters: Vec<f64> = agent.parameters.iter().map(|&p| f64::from(p)).collect();
        let wanted = reference_gradient(&case, &parameters);
        let mut learner = FusedLearner::new(agent, 2, Instructions::detect());
        learner.gradient(Rows { observations: &case.observations, indices: &case.indices }, &case.loss);
        for (name, _, place) in case.spec.tensors() {
            let largest = wanted[place.clone()].iter().fold(0.0f64, |a, g| a.max(g.abs()));
            for index in place {
                let error = (f64::from(learner.last_gradient()[index]) - wanted[index]).abs();
                assert!(error <= 1e-5 * largest, "{activation:?} {name}: {error:e} of {largest:e}");
            }
        }
    }
}

#[test]
fn threads_and_instruction_sets_give_the_same_bits() {
    let case = case(Activation::Tanh, &[64, 64], 3000);
    let run = |n_threads, isa| {
        let agent = init::orthogonal(&case.spec, 3, 0.0).unwrap();
        let mut learner = FusedLearner::new(agent, n_threads, isa);
        for _ in 0..3 {
            learner.gradient(Rows { observations: &case.observations, indices: &case.indices }, &case.loss);
            learner.step(cambist_nets::Step { learning_rate: 1e-2, max_norm: 0.5 }).unwrap();
        }
        learner.agent().parameters.iter().map(|p| p.to_bits()).collect::<Vec<_>>()
    };
    let wanted = run(1, Instructions::Plain);
    for isa in Instructions::ALL.into_iter().filter(|i| i.is_available()) {
        for n_threads in [1, 2, 3] {
            assert!(wanted == run(n_threads, isa), "{isa:?} on {n_threads} threads");
        }
    }
}

#[test]
fn the_kernel_agrees_with_burns_autodiff() {
    for activation in [Activation::Tanh, Activation::Relu] {
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
        let mut learner = FusedLearner::new(agent, 1, Instructions::detect());
        learner.gradient(Rows { observations: &case.observations, indices: &case.indices }, &case.loss);
        for (place, leaf) in leaves {
            let theirs: Vec<f32> = leaf.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
            let ours = &learner.last_gradient()[place];
            let largest = theirs.iter().fold(0.0f32, |a, g| a.max(g.abs()));
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() <= 1e-4 * largest, "{a} {b} of {largest}");
            }
        }
    }
}
