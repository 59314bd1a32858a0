//! The same network and gradient in plain f64, written for reading: what the fused kernel is checked against.

use cambist_policy::{Activation, ActorCriticSpec, Layer, Trunk};

/// What a layer takes in and puts out: before its activation, and after.
#[derive(Debug, Clone)]
pub struct Layered {
    /// `W x + b`.
    pub z: Vec<f64>,
    /// The layer's output.
    pub y: Vec<f64>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn apply(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Tanh => libm::tanh(z),
        Activation::Relu => z.max(0.0),
        Activation::Silu => z * sigmoid(z),
    }
}

fn slope(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Tanh => 1.0 - libm::tanh(z) * libm::tanh(z),
        Activation::Relu => f64::from(u8::from(z > 0.0)),
        Activation::Silu => sigmoid(z) * (1.0 + z * (1.0 - sigmoid(z))),
    }
}

/// `W x + b`.
#[must_use]
pub fn affine(layer: &Layer, parameters: &[f64], x: &[f64]) -> Vec<f64> {
    let mut z = parameters[layer.bias..layer.bias + layer.outputs].to_vec();
    for (i, value) in x.iter().enumerate() {
        for (j, out) in z.iter_mut().enumerate() {
            *out += value * parameters[layer.weight + i * layer.outputs + j];
        }
    }
    z
}

/// Adds a layer's gradient for input `x` and derivative `d`, and returns the derivative by the input.
pub fn affine_back(
    layer: &Layer,
    parameters: &[f64],
    x: &[f64],
    d: &[f64],
    gradient: &mut [f64],
) -> Vec<f64> {
    let mut d_x = vec![0.0; layer.inputs];
    for (j, &dy) in d.iter().enumerate() {
        gradient[layer.bias + j] += dy;
        for i in 0..layer.inputs {
            gradient[layer.weight + i * layer.outputs + j] += x[i] * dy;
            d_x[i] += parameters[layer.weight + i * layer.outputs + j] * dy;
        }
    }
    d_x
}

/// A perceptron's layers for one row, the input first.
#[must_use]
pub fn forward(layers: &[Layer], activation: Activation, parameters: &[f64], x: &[f64]) -> Vec<Layered> {
    let mut all = vec![Layered { z: x.to_vec(), y: x.to_vec() }];
    for (depth, layer) in layers.iter().enumerate() {
        let z = affine(layer, parameters, &all[depth].y);
        let last = depth + 1 == layers.len();
        let y = z.iter().map(|&z| if last { z } else { apply(activation, z) }).collect();
        all.push(Layered { z, y });
    }
    all
}

/// Adds to `gradient` what the derivative `d` by the last outputs makes of it, and returns the derivative by the input;
/// `layered` is what [`forward`] returned.
pub fn backward(
    layers: &[Layer],
    activation: Activation,
    parameters: &[f64],
    layered: &[Layered],
    d: &[f64],
    gradient: &mut [f64],
) -> Vec<f64> {
    let mut d = d.to_vec();
    for (depth, layer) in layers.iter().enumerate().rev() {
        d = affine_back(layer, parameters, &layered[depth].y, &d, gradient);
        if depth > 0 {
            d.iter_mut().zip(&layered[depth].z).for_each(|(d, &z)| *d *= slope(activation, z));
        }
    }
    d
}

/// Head outputs and value of what a memoryless network sees.
#[must_use]
pub fn evaluate(spec: &ActorCriticSpec, parameters: &[f64], x: &[f64]) -> (Vec<f64>, f64) {
    let [_, actor, critic] = spec.layers();
    let out = |layers| forward(layers, spec.activation, parameters, x).pop().map_or(vec![], |l| l.y);
    (out(&actor), out(&critic).first().copied().unwrap_or(0.0))
}

/// One step of a trunk with memory.
#[derive(Debug, Clone)]
pub struct Remembered {
    x: Vec<f64>,
    before: Vec<f64>,
    gates: Vec<f64>,
    kept: Vec<f64>,
    /// The state after: h, and of an LSTM s.
    pub state: Vec<f64>,
}

/// A trunk over one sequence; a step that is `fresh` forgets what came before.
#[must_use]
pub fn unroll(
    spec: &ActorCriticSpec,
    parameters: &[f64],
    start: &[f64],
    steps: &[(Vec<f64>, bool)],
) -> Vec<Remembered> {
    let layers = spec.trunk.layers(spec.observation);
    let width = spec.trunk.features(spec.observation);
    let mut state = start.to_vec();
    let mut all = Vec::new();
    for (x, fresh) in steps {
        if *fresh {
            state.fill(0.0);
        }
        let before = state.clone();
        let (a, u) = (affine(&layers[0], parameters, x), affine(&layers[1], parameters, &before[..width]));
        let (mut gates, mut kept) = (vec![0.0; a.len()], vec![0.0; width]);
        for j in 0..width {
            let (p, q, r) = (j, width + j, 2 * width + j);
            if matches!(spec.trunk, Trunk::Gru { .. }) {
                (gates[p], gates[q]) = (sigmoid(a[p] + u[p]), sigmoid(a[q] + u[q]));
                kept[j] = u[r];
                gates[r] = libm::tanh(a[r] + gates[p] * u[r]);
                state[j] = (1.0 - gates[q]) * gates[r] + gates[q] * before[j];
            } else {
                let o = 3 * width + j;
                (gates[p], gates[q]) = (sigmoid(a[p] + u[p]), sigmoid(a[q] + u[q]));
                (gates[r], gates[o]) = (libm::tanh(a[r] + u[r]), sigmoid(a[o] + u[o]));
                state[q] = gates[q] * before[q] + gates[p] * gates[r];
                kept[j] = libm::tanh(state[q]);
                state[j] = gates[o] * kept[j];
            }
        }
        all.push(Remembered { x: x.clone(), before, gates, kept, state: state.clone() });
    }
    all
}

/// Adds to `gradient` what the derivatives `d` by h of every step make of it; `fresh` as in [`unroll`].
pub fn unroll_back(
    spec: &ActorCriticSpec,
    parameters: &[f64],
    all: &[Remembered],
    fresh: &[bool],
    d: &[Vec<f64>],
    gradient: &mut [f64],
) {
    let layers = spec.trunk.layers(spec.observation);
    let width = spec.trunk.features(spec.observation);
    let mut d_state = vec![0.0; spec.trunk.state_width()];
    for (t, step) in all.iter().enumerate().rev() {
        d_state.iter_mut().zip(&d[t]).for_each(|(a, b)| *a += b);
        let g = &step.gates;
        let (mut d_a, mut d_u) = (vec![0.0; g.len()], vec![0.0; g.len()]);
        let mut d_before = vec![0.0; d_state.len()];
        for j in 0..width {
            let (p, q, r) = (j, width + j, 2 * width + j);
            let dh = d_state[j];
            if matches!(spec.trunk, Trunk::Gru { .. }) {
                d_a[r] = dh * (1.0 - g[q]) * (1.0 - g[r] * g[r]);
                d_u[r] = d_a[r] * g[p];
                d_a[p] = d_a[r] * step.kept[j] * g[p] * (1.0 - g[p]);
                d_a[q] = dh * (step.before[j] - g[r]) * g[q] * (1.0 - g[q]);
                (d_u[p], d_u[q]) = (d_a[p], d_a[q]);
                d_before[j] += dh * g[q];
            } else {
                let o = 3 * width + j;
                let ds = d_state[q] + dh * g[o] * (1.0 - step.kept[j] * step.kept[j]);
                d_a[o] = dh * step.kept[j] * g[o] * (1.0 - g[o]);
                d_a[p] = ds * g[r] * g[p] * (1.0 - g[p]);
                d_a[q] = ds * step.before[q] * g[q] * (1.0 - g[q]);
                d_a[r] = ds * g[p] * (1.0 - g[r] * g[r]);
                d_before[q] += ds * g[q];
                for k in [p, q, r, o] {
                    d_u[k] = d_a[k];
                }
            }
        }
        affine_back(&layers[0], parameters, &step.x, &d_a, gradient);
        let through = affine_back(&layers[1], parameters, &step.before[..width], &d_u, gradient);
        d_before.iter_mut().zip(through).for_each(|(a, b)| *a += b);
        d_state = if fresh[t] { vec![0.0; d_before.len()] } else { d_before };
    }
}
