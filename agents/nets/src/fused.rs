//! The CPU learner for perceptrons: gather, forward, loss and backward of a tile while it is in cache, then Adam.
//!
//! Rows are cut into blocks of [`BLOCK_ROWS`]; a block's gradient is one chain over its tiles in order, and the blocks'
//! gradients are summed pairwise in a fixed tree. Threads share out blocks, so their number changes nothing
//! (invariant 5).

use cambist_policy::actor_critic::TILE_ROWS;
use cambist_policy::kernels::{AdamStep, Start, Strided, adam, matmul, tanh_backward};
use cambist_policy::{Activation, ActorCritic, Instructions, Layer};

use crate::learner::{LearnError, Learner, N_SUMS, OutputLoss, Rows, Step, Sums, TileGradients, TileOutputs};

/// Rows whose gradient is one chain.
pub const BLOCK_ROWS: usize = 4 * TILE_ROWS;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-5;

/// An agent that learns on the CPU.
#[derive(Debug)]
pub struct FusedLearner {
    agent: ActorCritic,
    isa: Instructions,
    n_threads: usize,
    /// Transposed weights of every layer after the first, for the way back.
    turned: Vec<f32>,
    blocks: Vec<Block>,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    n_steps: u64,
}

/// A block's gradient and the room to compute it.
#[derive(Debug, Clone, Default)]
struct Block {
    gradient: Vec<f32>,
    sums: Sums,
    input: Vec<f32>,
    actor: Activations,
    critic: Activations,
    d_log_deviation: Vec<f32>,
}

/// What a net leaves behind on the way forward, and the way back's two buffers.
#[derive(Debug, Clone, Default)]
struct Activations {
    outputs: Vec<Vec<f32>>,
    back: Vec<f32>,
    next_back: Vec<f32>,
}

impl Activations {
    /// Makes room for a tile through `layers`.
    fn fit(&mut self, layers: &[Layer]) {
        let widest = layers.iter().map(|l| l.outputs.max(l.inputs)).max().unwrap_or(0);
        self.outputs.resize(layers.len(), Vec::new());
        for (buffer, layer) in self.outputs.iter_mut().zip(layers) {
            buffer.resize(TILE_ROWS * layer.outputs, 0.0);
        }
        self.back.resize(TILE_ROWS * widest, 0.0);
        self.next_back.resize(TILE_ROWS * widest, 0.0);
    }
}

impl FusedLearner {
    /// Learns on `n_threads` threads.
    #[must_use]
    pub fn new(agent: ActorCritic, n_threads: usize, isa: Instructions) -> Self {
        let n = agent.parameters.len();
        Self {
            agent,
            isa,
            n_threads: n_threads.max(1),
            turned: vec![0.0; n],
            blocks: Vec::new(),
            first_moment: vec![0.0; n],
            second_moment: vec![0.0; n],
            n_steps: 0,
        }
    }

    /// The gradient of the last [`Learner::gradient`], in the order of the parameters.
    #[must_use]
    pub fn last_gradient(&self) -> &[f32] {
        self.blocks.first().map_or(&[], |b| &b.gradient)
    }

    fn turn_weights(&mut self) {
        for layer in self.agent.actor().iter().chain(self.agent.critic()) {
            let (rows, columns) = (layer.inputs, layer.outputs);
            let weight = &self.agent.parameters[layer.weight..layer.bias];
            let turned = &mut self.turned[layer.weight..layer.bias];
            for i in 0..rows {
                for j in 0..columns {
                    turned[j * rows + i] = weight[i * columns + j];
                }
            }
        }
    }
}

impl Learner for FusedLearner {
    fn agent(&self) -> &ActorCritic {
        &self.agent
    }

    fn gradient(&mut self, rows: Rows<'_>, loss: &dyn OutputLoss) -> Sums {
        self.turn_weights();
        let n_blocks = rows.indices.len().div_ceil(BLOCK_ROWS).max(1);
        self.blocks.resize(n_blocks, Block::default());
        let pass = Pass { agent: &self.agent, turned: &self.turned, isa: self.isa, rows, loss };
        let share = n_blocks.div_ceil(self.n_threads);
        std::thread::scope(|scope| {
            let mut parts = self.blocks.chunks_mut(share).zip(rows.indices.chunks(share * BLOCK_ROWS));
            let mine = parts.next();
            for (blocks, indices) in parts {
                let pass = &pass;
                scope.spawn(move || pass.blocks(blocks, indices));
            }
            if let Some((blocks, indices)) = mine {
                pass.blocks(blocks, indices);
            }
        });
        reduce(&mut self.blocks);
        self.blocks[0].sums
    }

    fn step(&mut self, step: Step) -> Result<f32, LearnError> {
        let gradient = self.blocks.first().map_or(&[][..], |b| &b.gradient);
        let norm = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            let bad = |place: &std::ops::Range<usize>| gradient[place.clone()].iter().any(|g| !g.is_finite());
            let tensors = self.agent.spec().tensors();
            let tensor = tensors.into_iter().find(|(_, _, place)| bad(place)).map_or(String::new(), |t| t.0);
            return Err(LearnError::NotFinite { tensor, step: self.n_steps });
        }
        self.n_steps += 1;
        let scale =
            if norm > f64::from(step.max_norm) { f64::from(step.max_norm) / (norm + 1e-6) } else { 1.0 };
        let debias = |beta: f32| 1.0 - libm::pow(f64::from(beta), self.n_steps as f64);
        let numbers = AdamStep {
            scale: scale as f32,
            beta1: BETA1,
            beta2: BETA2,
            rate: (f64::from(step.learning_rate) / debias(BETA1)) as f32,
            second: (1.0 / debias(BETA2).sqrt()) as f32,
            epsilon: EPSILON,
        };
        let parameters = &mut self.agent.parameters;
        adam(self.isa, &numbers, gradient, &mut self.first_moment, &mut self.second_moment, parameters);
        Ok(norm as f32)
    }
}

/// Sums the blocks' gradients into the first: neighbours, then neighbours of those, and so on.
fn reduce(blocks: &mut [Block]) {
    let mut distance = 1;
    while distance < blocks.len() {
        for left in (0..blocks.len() - distance).step_by(2 * distance) {
            let (head, tail) = blocks.split_at_mut(left + distance);
            let (to, from) = (&mut head[left], &tail[0]);
            to.gradient.iter_mut().zip(&from.gradient).for_each(|(a, b)| *a += b);
            to.sums.iter_mut().zip(&from.sums).for_each(|(a, b)| *a += b);
        }
        distance *= 2;
    }
}

fn last(outputs: &[Vec<f32>]) -> &[f32] {
    outputs.last().map_or(&[], Vec::as_slice)
}

/// One gradient computation, shared by the threads.
struct Pass<'a> {
    agent: &'a ActorCritic,
    turned: &'a [f32],
    isa: Instructions,
    rows: Rows<'a>,
    loss: &'a dyn OutputLoss,
}

impl Pass<'_> {
    fn blocks(&self, blocks: &mut [Block], indices: &[u32]) {
        for (block, indices) in blocks.iter_mut().zip(indices.chunks(BLOCK_ROWS)) {
            self.block(block, indices);
        }
    }

    fn block(&self, block: &mut Block, indices: &[u32]) {
        let spec = self.agent.spec();
        block.gradient.clear();
        block.gradient.resize(self.agent.parameters.len(), 0.0);
        block.sums = [0.0; N_SUMS];
        block.input.resize(TILE_ROWS * spec.observation, 0.0);
        block.actor.fit(self.agent.actor());
        block.critic.fit(self.agent.critic());
        block.d_log_deviation.clear();
        block.d_log_deviation.resize(spec.head.n_parameters(), 0.0);
        for tile in indices.chunks(TILE_ROWS) {
            self.tile(block, tile);
        }
        let own = block.gradient.len() - block.d_log_deviation.len();
        block.gradient[own..].copy_from_slice(&block.d_log_deviation);
    }

    fn tile(&self, block: &mut Block, indices: &[u32]) {
        let (n, width) = (indices.len(), self.agent.spec().observation);
        for (&index, row) in indices.iter().zip(block.input.chunks_exact_mut(width)) {
            let from = index as usize * width;
            row.copy_from_slice(&self.rows.observations[from..from + width]);
        }
        let Block { gradient, sums, input, actor, critic, d_log_deviation } = block;
        self.forward(self.agent.actor(), n, input, actor);
        self.forward(self.agent.critic(), n, input, critic);
        let head_width = self.agent.spec().head.width();
        let outputs = TileOutputs {
            indices,
            head: &last(&actor.outputs)[..n * head_width],
            log_deviation: self.agent.log_deviation(),
            values: &last(&critic.outputs)[..n],
        };
        let mut gradients = TileGradients {
            head: &mut actor.back[..n * head_width],
            log_deviation: d_log_deviation,
            values: &mut critic.back[..n],
        };
        self.loss.tile(&outputs, &mut gradients, sums);
        self.backward(self.agent.actor(), n, input, actor, gradient);
        self.backward(self.agent.critic(), n, input, critic, gradient);
    }

    fn forward(&self, layers: &[Layer], n: usize, input: &[f32], activations: &mut Activations) {
        for (depth, layer) in layers.iter().enumerate() {
            let (before, after) = activations.outputs.split_at_mut(depth);
            let x = before.last().map_or(input, Vec::as_slice);
            let y = &mut after[0][..n * layer.outputs];
            layer.forward(self.isa, &self.agent.parameters, n, x, y);
            if depth + 1 < layers.len() {
                self.agent.spec().activation.apply(self.isa, y);
            }
        }
    }

    /// From the derivative by the last outputs, in `activations.back`, to the gradient.
    fn backward(
        &self,
        layers: &[Layer],
        n: usize,
        input: &[f32],
        activations: &mut Activations,
        gradient: &mut [f32],
    ) {
        let Activations { outputs, back, next_back } = activations;
        for (depth, layer) in layers.iter().enumerate().rev() {
            let (inputs, width) = (layer.inputs, layer.outputs);
            let x = if depth == 0 { input } else { &outputs[depth - 1] };
            let turned_x = Strided { data: &x[..n * inputs], row_stride: 1, column_stride: inputs };
            let d_weight = &mut gradient[layer.weight..layer.bias];
            matmul(self.isa, inputs, width, n, turned_x, back, Start::Result, d_weight);
            let d_bias = &mut gradient[layer.bias..layer.bias + width];
            for row in back[..n * width].chunks_exact(width) {
                d_bias.iter_mut().zip(row).for_each(|(a, b)| *a += b);
            }
            if depth > 0 {
                let turned_w = &self.turned[layer.weight..layer.bias];
                let d = Strided { data: &back[..n * width], row_stride: width, column_stride: 1 };
                matmul(self.isa, n, inputs, width, d, turned_w, Start::Zero, next_back);
                match self.agent.spec().activation {
                    Activation::Tanh => {
                        tanh_backward(self.isa, &x[..n * inputs], &mut next_back[..n * inputs])
                    }
                    Activation::Relu => {
                        next_back
                            .iter_mut()
                            .zip(&x[..n * inputs])
                            .for_each(|(d, &y)| *d *= f32::from(u8::from(y > 0.0)));
                    }
                }
                std::mem::swap(back, next_back);
            }
        }
    }
}
