//! Initial weights.

use cambist_core::rng::{Purpose, Stream};
use cambist_policy::{ActorCritic, ActorCriticSpec, Layer, Trunk};

/// Gains of orthogonal initialisation, as PPO implementations use them (Huang et al. 2022, "The 37 implementation
/// details of proximal policy optimization", detail 2).
const HIDDEN_GAIN: f64 = std::f64::consts::SQRT_2;
const TRUNK_GAIN: f64 = 1.0;
const ACTOR_GAIN: f64 = 0.01;
const CRITIC_GAIN: f64 = 1.0;

/// Orthogonal weights (Saxe, McClelland & Ganguli 2014), zero biases, log deviations `log_deviation`.
#[must_use]
pub fn orthogonal(spec: &ActorCriticSpec, seed: u64, log_deviation: f32) -> Option<ActorCritic> {
    let mut parameters = vec![0.0; spec.n_parameters()];
    let [trunk, actor, critic] = spec.layers();
    let mut index = 0;
    for (layers, hidden_gain, last_gain) in [
        (&trunk, TRUNK_GAIN, TRUNK_GAIN),
        (&actor, HIDDEN_GAIN, ACTOR_GAIN),
        (&critic, HIDDEN_GAIN, CRITIC_GAIN),
    ] {
        for (depth, layer) in layers.iter().enumerate() {
            let gain = if depth + 1 == layers.len() { last_gain } else { hidden_gain };
            let mut stream = Stream::new(seed, Purpose::Weights, index);
            fill_orthogonal(layer, gain, &mut stream, &mut parameters);
            index += 1;
        }
    }
    if spec.trunk.window().is_some() {
        fill_window(spec, seed, &mut parameters);
    }
    let own = parameters.len() - spec.head.n_parameters();
    parameters[own..].fill(log_deviation);
    ActorCritic::new(spec.clone(), parameters)
}

/// A window's trunk: orthogonal weights, gains of norms one, small normal positions.
fn fill_window(spec: &ActorCriticSpec, seed: u64, parameters: &mut [f32]) {
    let mut next = 0;
    for (index, (name, shape)) in spec.trunk.tensors(spec.observation).iter().enumerate() {
        let n: usize = shape.iter().product();
        let mut stream = Stream::new(seed, Purpose::Weights, (1 << 16) + index as u64);
        match shape[..] {
            [_, _] if name.ends_with("position") => {
                let small = || (0.02 * stream.normal()) as f32;
                parameters[next..next + n].fill_with(small);
            }
            [inputs, outputs] => {
                let layer = Layer { inputs, outputs, weight: next, bias: next + n };
                let gain = if name.contains("conv") { HIDDEN_GAIN } else { TRUNK_GAIN };
                fill_orthogonal(&layer, gain, &mut stream, parameters);
            }
            _ if name.contains("norm") && name.ends_with("weight") => parameters[next..next + n].fill(1.0),
            _ => {}
        }
        next += n;
    }
}

/// Lets the trunk's units forget at rates spread from one step to `length` (Tallec & Ollivier 2018, "Can recurrent neural
/// networks warp time?", arXiv 1804.11188): the bias of a unit's keeping gate is the logarithm of its time. Without it,
/// gradients over many steps die out before anything is learned.
pub fn spread_memory(agent: &mut ActorCritic, length: usize) {
    let spec = agent.spec().clone();
    let Some(input) = agent.trunk().first().copied() else { return };
    let width = spec.trunk.features(spec.observation);
    let most = (length as f64 - 1.0).max(1.0);
    for unit in 0..width {
        let share = unit as f64 / (width as f64 - 1.0).max(1.0);
        let keep = libm::log(1.0 + share * (most - 1.0)) as f32;
        // A GRU keeps by its second gate; an LSTM too, and takes in by its first.
        agent.parameters[input.bias + width + unit] = keep;
        if let Trunk::Lstm { .. } = spec.trunk {
            agent.parameters[input.bias + unit] = -keep;
        }
    }
}

/// Rows or columns, whichever are shorter, become orthonormal times `gain`: Gram–Schmidt, twice for exactness, on
/// normal draws.
fn fill_orthogonal(layer: &Layer, gain: f64, stream: &mut Stream, parameters: &mut [f32]) {
    let (rows, columns) = (layer.inputs, layer.outputs);
    let (n_vectors, length) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(n_vectors);
    while basis.len() < n_vectors {
        let mut v: Vec<f64> = (0..length).map(|_| stream.normal()).collect();
        for _ in 0..2 {
            for b in &basis {
                let dot: f64 = v.iter().zip(b).map(|(x, y)| x * y).sum();
                v.iter_mut().zip(b).for_each(|(x, y)| *x -= dot * y);
            }
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        v.iter_mut().for_each(|x| *x /= norm);
        basis.push(v);
    }
    for i in 0..rows {
        for j in 0..columns {
            let value = if rows >= columns { basis[j][i] } else { basis[i][j] };
            parameters[layer.weight + i * columns + j] = (gain * value) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_policy::{Activation, Head};

    #[test]
    fn weights_are_orthogonal() {
        let spec = ActorCriticSpec {
            observation: 5,
            trunk: Trunk::None,
            hidden: vec![16, 8],
            activation: Activation::Tanh,
            head: Head::Gaussian { dim: 2 },
        };
        let agent = orthogonal(&spec, 3, -0.5).unwrap();
        assert_eq!(agent.log_deviation(), [-0.5, -0.5]);
        // 16 × 8: the columns are orthogonal with length √2.
        let layer = agent.actor()[1];
        let at = |i: usize, j: usize| f64::from(agent.parameters[layer.weight + i * 8 + j]);
        for j in 0..8 {
            for l in 0..8 {
                let dot: f64 = (0..16).map(|i| at(i, j) * at(i, l)).sum();
                let wanted = if j == l { 2.0 } else { 0.0 };
                assert!((dot - wanted).abs() < 1e-6, "{dot}");
            }
        }
    }
}
