//! Actor and critic over one observation, and the policy they make.

use serde::{Deserialize, Serialize};

use crate::head::Head;
use crate::kernels::{After, Instructions};
use crate::mlp::{Activation, Layer, MlpSpec};
use crate::trunk::{Cell, CellStep, Trunk};
use crate::window::WindowNet;

/// Rows taken through the layers at a time, so that activations stay in cache.
pub const TILE_ROWS: usize = 128;

/// Shape of an agent: a trunk, and behind it two perceptrons of the same hidden layers, one ending in the head, one in
/// a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorCriticSpec {
    /// Columns of an observation.
    pub observation: usize,
    /// What actor and critic share.
    #[serde(default)]
    pub trunk: Trunk,
    /// Columns of each hidden layer, in actor and critic.
    pub hidden: Vec<usize>,
    /// Between layers.
    pub activation: Activation,
    /// What the actor ends in.
    pub head: Head,
}

impl ActorCriticSpec {
    /// The actor's perceptron.
    #[must_use]
    pub fn actor(&self) -> MlpSpec {
        self.mlp(self.head.width())
    }

    /// The critic's perceptron.
    #[must_use]
    pub fn critic(&self) -> MlpSpec {
        self.mlp(1)
    }

    fn mlp(&self, outputs: usize) -> MlpSpec {
        MlpSpec {
            inputs: self.trunk.features(self.observation),
            hidden: self.hidden.clone(),
            outputs,
            activation: self.activation,
        }
    }

    /// Layers of a trunk with memory, of actor and critic, in the order of their parameters.
    #[must_use]
    pub fn layers(&self) -> [Vec<Layer>; 3] {
        let actor = self.actor().layers(self.trunk.n_parameters(self.observation));
        let critic = self.critic().layers(actor.last().map_or(0, |l| l.bias + l.outputs));
        [self.trunk.layers(self.observation), actor, critic]
    }

    /// Number of parameters: trunk, actor, critic, head, in this order.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        let nets = self.actor().n_parameters() + self.critic().n_parameters();
        self.trunk.n_parameters(self.observation) + nets + self.head.n_parameters()
    }

    /// Place, rows and columns of every weight that a derivative goes back through.
    #[must_use]
    pub fn matrices(&self) -> Vec<(std::ops::Range<usize>, usize, usize)> {
        let [trunk, actor, critic] = self.layers();
        // Nothing goes back into the observation.
        let first = usize::from(self.trunk == Trunk::None);
        let layers = trunk.iter().skip(1).chain(actor.iter().skip(first)).chain(critic.iter().skip(first));
        layers.map(|l| (l.weight..l.bias, l.inputs, l.outputs)).collect()
    }

    /// Name, shape and place of every tensor in the flat parameters.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, std::ops::Range<usize>)> {
        let (mut out, mut place) = (Vec::new(), 0);
        for (name, shape) in self.trunk.tensors(self.observation) {
            let n = shape.iter().product::<usize>();
            out.push((name, shape, place..place + n));
            place += n;
        }
        let [_, actor, critic] = self.layers();
        for (net, layers) in [("actor", actor), ("critic", critic)] {
            for (index, layer) in layers.iter().enumerate() {
                let (weight, bias) = (layer.weight..layer.bias, layer.bias..layer.bias + layer.outputs);
                out.push((format!("{net}.{index}.weight"), vec![layer.inputs, layer.outputs], weight));
                out.push((format!("{net}.{index}.bias"), vec![layer.outputs], bias));
            }
        }
        let own = self.head.n_parameters();
        if own > 0 {
            let place = self.n_parameters() - own;
            out.push(("head.log_deviation".to_owned(), vec![own], place..place + own));
        }
        out
    }
}

/// An agent's shape, parameters and layers.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorCritic {
    spec: ActorCriticSpec,
    /// All parameters, in the order of [`ActorCriticSpec::tensors`].
    pub parameters: Vec<f32>,
    trunk: Vec<Layer>,
    actor: Vec<Layer>,
    critic: Vec<Layer>,
}

/// Room for the activations of a tile.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    one: Vec<f32>,
    two: Vec<f32>,
    kept: Vec<f32>,
    seen: Vec<f32>,
}

/// Where [`ActorCritic::evaluate`] writes.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// `[n × head width]`, or empty.
    pub head: &'a mut [f32],
    /// `[n]`, or empty.
    pub values: &'a mut [f32],
    /// `[n × state]`.
    pub next_state: &'a mut [f32],
}

impl Scratch {
    fn fit(&mut self, n: usize) {
        for room in [&mut self.one, &mut self.two, &mut self.kept] {
            room.resize(n.max(room.len()), 0.0);
        }
    }
}

impl ActorCritic {
    /// An agent with `parameters`; `None` when their number is not that of the shape.
    #[must_use]
    pub fn new(spec: ActorCriticSpec, parameters: Vec<f32>) -> Option<Self> {
        let [trunk, actor, critic] = spec.layers();
        (parameters.len() == spec.n_parameters()).then_some(Self { spec, parameters, trunk, actor, critic })
    }

    /// Its shape.
    #[must_use]
    pub fn spec(&self) -> &ActorCriticSpec {
        &self.spec
    }

    /// The trunk's layers: from the observation, and from h; empty without a trunk.
    #[must_use]
    pub fn trunk(&self) -> &[Layer] {
        &self.trunk
    }

    /// The actor's layers.
    #[must_use]
    pub fn actor(&self) -> &[Layer] {
        &self.actor
    }

    /// The critic's layers.
    #[must_use]
    pub fn critic(&self) -> &[Layer] {
        &self.critic
    }

    /// The head's log deviations; empty for a categorical one.
    #[must_use]
    pub fn log_deviation(&self) -> &[f32] {
        &self.parameters[self.parameters.len() - self.spec.head.n_parameters()..]
    }

    /// Head outputs `[n × head width]` and values `[n]` of `observations` `[n × observation]`, `state` `[n × state]` going
    /// to `next_state`. Either of head and values may be empty, when nobody asks.
    pub fn evaluate(
        &self,
        isa: Instructions,
        observations: &[f32],
        state: &[f32],
        outputs: Outputs<'_>,
        scratch: &mut Scratch,
    ) {
        let Outputs { head, values, next_state } = outputs;
        let mut seen = std::mem::take(&mut scratch.seen);
        let x = if self.spec.trunk == Trunk::None {
            observations
        } else {
            self.remember(isa, observations, state, next_state, &mut seen, scratch);
            &seen[..]
        };
        if !head.is_empty() {
            self.forward(&self.actor, isa, x, head, scratch);
        }
        if !values.is_empty() {
            self.forward(&self.critic, isa, x, values, scratch);
        }
        scratch.seen = seen;
    }

    /// The trunk's step: features of every row, and the states after.
    fn remember(
        &self,
        isa: Instructions,
        observations: &[f32],
        before: &[f32],
        after: &mut [f32],
        features: &mut Vec<f32>,
        scratch: &mut Scratch,
    ) {
        let ActorCriticSpec { observation, trunk, .. } = self.spec;
        let n = observations.len() / observation;
        let width = trunk.features(observation);
        let wide = trunk.n_gates() * width;
        features.resize(n * width, 0.0);
        if trunk.window().is_some() {
            let net = WindowNet { trunk, observation, parameters: &self.parameters, isa };
            for (x, features) in observations.chunks_exact(observation).zip(features.chunks_exact_mut(width))
            {
                net.forward(x, features);
            }
            return;
        }
        scratch.fit(TILE_ROWS * wide);
        let cell = Cell { trunk, layers: &self.trunk, parameters: &self.parameters, isa };
        let state = trunk.state_width() * TILE_ROWS;
        let tiles = observations.chunks(TILE_ROWS * observation).zip(features.chunks_mut(TILE_ROWS * width));
        let states = before.chunks(state).zip(after.chunks_mut(state));
        for ((x, features), (before, after)) in tiles.zip(states) {
            let n = x.len() / observation;
            let gates = &mut scratch.one[..n * wide];
            cell.project(n, x, gates);
            let (recurrent, kept) = (&mut scratch.two[..n * wide], &mut scratch.kept[..n * width]);
            cell.step(n, CellStep { gates, recurrent, kept, before, after, features });
        }
    }

    fn forward(&self, layers: &[Layer], isa: Instructions, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let Some((last, hidden)) = layers.split_last() else { return };
        let widest = hidden.iter().map(|l| l.outputs).max().unwrap_or(0);
        scratch.fit(TILE_ROWS * widest);
        let inputs = layers[0].inputs;
        for (x, y) in x.chunks(TILE_ROWS * inputs).zip(y.chunks_mut(TILE_ROWS * last.outputs)) {
            let n = x.len() / inputs;
            let Scratch { one: from, two: to, kept, .. } = scratch;
            for (depth, layer) in hidden.iter().enumerate() {
                let input = if depth == 0 { x } else { &from[..] };
                let after = self.spec.activation.after(kept);
                layer.forward(isa, &self.parameters, n, input, &mut to[..n * layer.outputs], after);
                std::mem::swap(from, to);
            }
            let input = if hidden.is_empty() { x } else { &from[..] };
            last.forward(isa, &self.parameters, n, input, y, After::Nothing);
        }
    }
}
