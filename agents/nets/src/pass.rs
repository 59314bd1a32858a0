//! One gradient computation over one block of rows.

use cambist_policy::actor_critic::TILE_ROWS;
use cambist_policy::kernels::{prefetch, prefetch_to_write};
use cambist_policy::{Instructions, Layer};

use crate::fused::{Block, Model, NOTHING};
use crate::learner::{Experience, OutputLoss, Sequences, Sums, TileGradients, TileOutputs};
use crate::perceptron::{Activations, Perceptron};
use crate::recurrent::{Unroll, Unrolled, tile_sequences};

/// What a thread computes in.
#[derive(Debug, Default)]
pub(crate) struct Room {
    input: Vec<f32>,
    unrolled: Unrolled,
    actor: Activations,
    critic: Activations,
    d_log_deviation: Vec<f32>,
}

/// A minibatch, and what it goes through.
pub(crate) struct Pass<'a> {
    pub(crate) model: &'a Model,
    pub(crate) isa: Instructions,
    pub(crate) experience: Experience<'a>,
    pub(crate) loss: &'a dyn OutputLoss,
}

impl Pass<'_> {
    /// The gradient and sums of the rows, or sequences, `indices`, into `block`.
    pub(crate) fn block(&self, indices: &[u32], room: &mut Room, block: &mut Block) {
        let agent = &self.model.agent;
        let spec = agent.spec();
        block.gradient.resize(agent.parameters.len(), 0.0);
        prefetch_to_write(&mut block.gradient);
        block.gradient.fill(0.0);
        block.sums = NOTHING;
        room.actor.fit(agent.actor(), spec.activation);
        room.critic.fit(agent.critic(), spec.activation);
        room.d_log_deviation.clear();
        room.d_log_deviation.resize(spec.head.n_parameters(), 0.0);
        match self.experience.sequences {
            Some(sequences) => {
                for tile in indices.chunks(tile_sequences(sequences.length)) {
                    self.sequences(tile, sequences, room, block);
                }
            }
            None => self.rows(indices, room, block),
        }
        let own = block.gradient.len() - room.d_log_deviation.len();
        block.gradient[own..].copy_from_slice(&room.d_log_deviation);
    }

    fn rows(&self, indices: &[u32], room: &mut Room, block: &mut Block) {
        let width = self.model.agent.spec().observation;
        let mut input = std::mem::take(&mut room.input);
        let mut tiles = indices.chunks(TILE_ROWS).peekable();
        while let Some(tile) = tiles.next() {
            self.experience.gather(tile, width, &mut input);
            // Rows lie far apart: the next tile's come while this one is worked on.
            for &row in tiles.peek().copied().unwrap_or_default() {
                prefetch(self.experience.observations, row as usize * width, width);
            }
            self.heads(tile, &input, None, room, block);
        }
        room.input = input;
    }

    fn sequences(&self, indices: &[u32], sequences: Sequences<'_>, room: &mut Room, block: &mut Block) {
        let Model { agent, turned } = self.model;
        let unroll = Unroll {
            trunk: agent.spec().trunk,
            layers: agent.trunk(),
            parameters: &agent.parameters,
            turned,
            isa: self.isa,
            experience: self.experience,
            sequences,
        };
        let mut unrolled = std::mem::take(&mut room.unrolled);
        unroll.forward(indices, &mut unrolled);
        let Unrolled { rows, features, d_features, .. } = &mut unrolled;
        let width = features.len() / rows.len();
        d_features.resize(features.len(), 0.0);
        for chunk in unroll.chunks(rows.len()) {
            let place = chunk.start * width..chunk.end * width;
            let to = Some(&mut d_features[place.clone()]);
            self.heads(&rows[chunk], &features[place], to, room, block);
        }
        unroll.backward(&mut unrolled, &mut block.gradient);
        room.unrolled = unrolled;
    }

    /// Actor, critic, loss and the way back, for one tile of rows; the derivative by `input` goes to `d_input`.
    fn heads(
        &self,
        rows: &[u32],
        input: &[f32],
        d_input: Option<&mut [f32]>,
        room: &mut Room,
        block: &mut Block,
    ) {
        let n = rows.len();
        let Room { actor, critic, d_log_deviation, .. } = room;
        let (to_act, to_judge) = (self.net(self.model.agent.actor()), self.net(self.model.agent.critic()));
        to_act.forward(n, input, actor);
        to_judge.forward(n, input, critic);
        self.differentiate(rows, actor, critic, d_log_deviation, &mut block.sums);
        let back = d_input.is_some();
        to_act.backward(n, input, actor, &mut block.gradient, back);
        to_judge.backward(n, input, critic, &mut block.gradient, back);
        if let Some(d_input) = d_input {
            for ((d, a), c) in d_input.iter_mut().zip(&actor.back).zip(&critic.back) {
                *d = a + c;
            }
        }
    }

    fn net<'a>(&'a self, layers: &'a [Layer]) -> Perceptron<'a> {
        Perceptron {
            layers,
            activation: self.model.agent.spec().activation,
            parameters: &self.model.agent.parameters,
            turned: &self.model.turned,
            isa: self.isa,
        }
    }

    /// From outputs to the loss's derivatives by them.
    fn differentiate(
        &self,
        indices: &[u32],
        actor: &mut Activations,
        critic: &mut Activations,
        d_log_deviation: &mut [f32],
        sums: &mut Sums,
    ) {
        let n = indices.len();
        let (head, d_head) = actor.ends(n * self.model.agent.spec().head.width());
        let (values, d_values) = critic.ends(n);
        let log_deviation = self.model.agent.log_deviation();
        let outputs = TileOutputs { indices, head, log_deviation, values, instructions: self.isa };
        let mut gradients = TileGradients { head: d_head, log_deviation: d_log_deviation, values: d_values };
        self.loss.tile(&outputs, &mut gradients, sums);
    }
}
