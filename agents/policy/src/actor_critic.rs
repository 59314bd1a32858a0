//! Actor and critic over one observation, and the policy they make.

use cambist_core::policy::{ActionMode, Policy, PolicyInput, PolicyOutput};
use cambist_core::rng::{Purpose, Stream};
use serde::{Deserialize, Serialize};

use crate::head::Head;
use crate::kernels::Instructions;
use crate::mlp::{Activation, Layer, MlpSpec};

/// Rows taken through the layers at a time, so that activations stay in cache.
pub const TILE_ROWS: usize = 128;

/// Shape of an agent: two perceptrons of the same hidden layers, one ending in the head, one in a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorCriticSpec {
    /// Columns of an observation.
    pub observation: usize,
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
            inputs: self.observation,
            hidden: self.hidden.clone(),
            outputs,
            activation: self.activation,
        }
    }

    /// Number of parameters: actor, critic, head, in this order.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.actor().n_parameters() + self.critic().n_parameters() + self.head.n_parameters()
    }

    /// Name, shape and place of every tensor in the flat parameters.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>, std::ops::Range<usize>)> {
        let mut out = Vec::new();
        let mut place = 0;
        for (net, spec) in [("actor", self.actor()), ("critic", self.critic())] {
            for (index, layer) in spec.layers(place).iter().enumerate() {
                let weight = layer.weight..layer.bias;
                out.push((format!("{net}.{index}.weight"), vec![layer.inputs, layer.outputs], weight));
                out.push((
                    format!("{net}.{index}.bias"),
                    vec![layer.outputs],
                    layer.bias..layer.bias + layer.outputs,
                ));
            }
            place += spec.n_parameters();
        }
        if self.head.n_parameters() > 0 {
            let own = self.head.n_parameters();
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
    actor: Vec<Layer>,
    critic: Vec<Layer>,
}

/// Room for the activations of a tile.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    one: Vec<f32>,
    two: Vec<f32>,
}

impl ActorCritic {
    /// An agent with `parameters`; `None` when their number is not that of the shape.
    #[must_use]
    pub fn new(spec: ActorCriticSpec, parameters: Vec<f32>) -> Option<Self> {
        let (actor, critic) = (spec.actor().layers(0), spec.critic().layers(spec.actor().n_parameters()));
        (parameters.len() == spec.n_parameters()).then_some(Self { spec, parameters, actor, critic })
    }

    /// Its shape.
    #[must_use]
    pub fn spec(&self) -> &ActorCriticSpec {
        &self.spec
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

    /// Head outputs `[n × width]` for observations `[n × observation]`.
    pub fn actor_forward(
        &self,
        isa: Instructions,
        observations: &[f32],
        outputs: &mut [f32],
        scratch: &mut Scratch,
    ) {
        self.forward(&self.actor, isa, observations, outputs, scratch);
    }

    /// Values `[n]` of observations `[n × observation]`.
    pub fn critic_forward(
        &self,
        isa: Instructions,
        observations: &[f32],
        values: &mut [f32],
        scratch: &mut Scratch,
    ) {
        self.forward(&self.critic, isa, observations, values, scratch);
    }

    fn forward(&self, layers: &[Layer], isa: Instructions, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let Some((last, hidden)) = layers.split_last() else { return };
        let widest = hidden.iter().map(|l| l.outputs).max().unwrap_or(0).max(self.spec.observation);
        scratch.one.resize(TILE_ROWS * widest, 0.0);
        scratch.two.resize(TILE_ROWS * widest, 0.0);
        let tiles = x.chunks(TILE_ROWS * self.spec.observation).zip(y.chunks_mut(TILE_ROWS * last.outputs));
        for (x, y) in tiles {
            let n = x.len() / self.spec.observation;
            let (mut from, mut to) = (&mut scratch.one, &mut scratch.two);
            from[..x.len()].copy_from_slice(x);
            for layer in hidden {
                layer.forward(isa, &self.parameters, n, from, to);
                self.spec.activation.apply(isa, &mut to[..n * layer.outputs]);
                std::mem::swap(&mut from, &mut to);
            }
            last.forward(isa, &self.parameters, n, from, y);
        }
    }
}

/// An agent that acts.
#[derive(Debug, Clone)]
pub struct MlpPolicy {
    agent: ActorCritic,
    mode: ActionMode,
    isa: Instructions,
    seed: u64,
    first_env: u64,
    step: u64,
    outputs: Vec<f32>,
    scratch: Scratch,
}

impl MlpPolicy {
    /// Acts for environments from index `first_env` on; draws come from the stream of `seed` and the environment.
    #[must_use]
    pub fn new(agent: ActorCritic, mode: ActionMode, seed: u64, first_env: u64) -> Self {
        let isa = Instructions::detect();
        Self { agent, mode, isa, seed, first_env, step: 0, outputs: Vec::new(), scratch: Scratch::default() }
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &ActorCritic {
        &self.agent
    }

    /// Takes over new parameters.
    pub fn set_parameters(&mut self, parameters: &[f32]) {
        self.agent.parameters.copy_from_slice(parameters);
    }

    /// Values `[n]` of observations.
    pub fn values(&mut self, observations: &[f32], values: &mut [f32]) {
        self.agent.critic_forward(self.isa, observations, values, &mut self.scratch);
    }
}

impl Policy for MlpPolicy {
    fn state_width(&self) -> usize {
        0
    }

    fn act(&mut self, input: PolicyInput<'_>, output: &mut PolicyOutput<'_>) {
        let head = self.agent.spec.head;
        let n = input.observations.len() / self.agent.spec.observation;
        self.outputs.resize(n * head.width(), 0.0);
        self.agent.actor_forward(self.isa, input.observations, &mut self.outputs, &mut self.scratch);
        self.agent.critic_forward(self.isa, input.observations, output.values, &mut self.scratch);
        let rows = self.outputs.chunks_exact(head.width());
        let actions = output.actions.chunks_exact_mut(head.action_width());
        for (row, ((outputs, action), log_probability)) in
            rows.zip(actions).zip(output.log_probabilities.iter_mut()).enumerate()
        {
            // Sixteen blocks of the stream a step: enough for any head, and a draw depends on seed, environment and
            // step alone.
            let mut stream = Stream::new(self.seed, Purpose::Policy, self.first_env + row as u64);
            stream.seek(self.step * 16);
            let mask = input.mask.map(|m| &m[row * head.width()..(row + 1) * head.width()]);
            *log_probability =
                head.act(self.mode, outputs, self.agent.log_deviation(), mask, &mut stream, action);
        }
        self.step += 1;
    }
}
