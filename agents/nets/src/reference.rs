//! The same network and gradient in plain f64, written for reading: what the fused kernel is checked against.

use cambist_policy::{Activation, ActorCriticSpec, Layer};

/// Outputs of a perceptron for one row, with what every layer put out.
#[must_use]
pub fn forward(layers: &[Layer], activation: Activation, parameters: &[f64], x: &[f64]) -> Vec<Vec<f64>> {
    let mut outputs: Vec<Vec<f64>> = vec![x.to_vec()];
    for (depth, layer) in layers.iter().enumerate() {
        let input = &outputs[depth];
        let mut y = parameters[layer.bias..layer.bias + layer.outputs].to_vec();
        for (i, value) in input.iter().enumerate() {
            for (j, out) in y.iter_mut().enumerate() {
                *out += value * parameters[layer.weight + i * layer.outputs + j];
            }
        }
        if depth + 1 < layers.len() {
            y.iter_mut().for_each(|v| {
                *v = match activation {
                    Activation::Tanh => libm::tanh(*v),
                    Activation::Relu => v.max(0.0),
                }
            });
        }
        outputs.push(y);
    }
    outputs
}

/// Adds to `gradient` what the derivative `d` by the last outputs makes of it; `outputs` is what [`forward`] returned.
pub fn backward(
    layers: &[Layer],
    activation: Activation,
    parameters: &[f64],
    outputs: &[Vec<f64>],
    d: &[f64],
    gradient: &mut [f64],
) {
    let mut d = d.to_vec();
    for (depth, layer) in layers.iter().enumerate().rev() {
        let x = &outputs[depth];
        let mut d_x = vec![0.0; layer.inputs];
        for (j, &dy) in d.iter().enumerate() {
            gradient[layer.bias + j] += dy;
            for i in 0..layer.inputs {
                gradient[layer.weight + i * layer.outputs + j] += x[i] * dy;
                d_x[i] += parameters[layer.weight + i * layer.outputs + j] * dy;
            }
        }
        if depth > 0 {
            for (dx, &y) in d_x.iter_mut().zip(x) {
                *dx *= match activation {
                    Activation::Tanh => 1.0 - y * y,
                    Activation::Relu => f64::from(u8::from(y > 0.0)),
                };
            }
        }
        d = d_x;
    }
}

/// Head outputs and value of one row.
#[must_use]
pub fn evaluate(spec: &ActorCriticSpec, parameters: &[f64], x: &[f64]) -> (Vec<f64>, f64) {
    let (actor, critic) = (spec.actor().layers(0), spec.critic().layers(spec.actor().n_parameters()));
    let head = forward(&actor, spec.activation, parameters, x).pop().unwrap_or_default();
    let value = forward(&critic, spec.activation, parameters, x).pop().unwrap_or_default();
    (head, value.first().copied().unwrap_or(0.0))
}
