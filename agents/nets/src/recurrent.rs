//! A tile of sequences forward and back through a trunk with memory: backpropagation through time, truncated where a
//! sequence begins (Williams & Peng 1990), the state reset where an episode does.

use cambist_policy::actor_critic::TILE_ROWS;
use cambist_policy::kernels::{After, Start, Strided, Work, add_rows, matmul, with};
use cambist_policy::trunk::{Cell, CellStep};
use cambist_policy::{Instructions, Layer, Trunk};

use crate::learner::{Experience, Sequences};

/// Rows of a tile about, so that what a tile leaves behind stays in the second cache.
const ROWS: usize = 256;
/// Sequences of a tile at least, so that a step in time is a product worth the name.
const LEAST: usize = 8;

/// Sequences of `length` steps in a tile.
pub(crate) fn tile_sequences(length: usize) -> usize {
    (ROWS / length.max(1)).max(LEAST)
}

/// What a tile of sequences leaves behind; rows in order of time, then of sequence.
#[derive(Debug, Default)]
pub(crate) struct Unrolled {
    /// Row of the rollout, `[steps × sequences]`.
    pub(crate) rows: Vec<u32>,
    /// h of every row.
    pub(crate) features: Vec<f32>,
    /// The loss's derivative by it.
    pub(crate) d_features: Vec<f32>,
    input: Vec<f32>,
    /// Gates; on the way back the derivative by `W x + b`.
    gates: Vec<f32>,
    /// The derivative by `U h + c`.
    d_recurrent: Vec<f32>,
    kept: Vec<f32>,
    /// States before each step, and after the last.
    states: Vec<f32>,
    scratch: Vec<f32>,
    d_state: Vec<f32>,
    d_before: Vec<f32>,
}

/// A trunk over the sequences of an experience.
pub(crate) struct Unroll<'a> {
    pub(crate) trunk: Trunk,
    pub(crate) layers: &'a [Layer],
    pub(crate) parameters: &'a [f32],
    pub(crate) turned: &'a [f32],
    pub(crate) isa: Instructions,
    pub(crate) experience: Experience<'a>,
    pub(crate) sequences: Sequences<'a>,
}

impl Unroll<'_> {
    fn width(&self) -> usize {
        self.layers.last().map_or(0, |l| l.inputs)
    }

    fn cell(&self) -> Cell<'_> {
        Cell { trunk: self.trunk, layers: self.layers, parameters: self.parameters, isa: self.isa }
    }

    /// The features of every row of the sequences `indices`.
    pub(crate) fn forward(&self, indices: &[u32], room: &mut Unrolled) {
        let (n, width, state) = (indices.len(), self.width(), self.trunk.state_width());
        let (length, wide) = (self.sequences.length, self.trunk.n_gates() * width);
        let n_rows = length * n;
        for (buffer, size) in [
            (&mut room.features, n_rows * width),
            (&mut room.gates, n_rows * wide),
            (&mut room.kept, n_rows * width),
            (&mut room.states, (n_rows + n) * state),
            (&mut room.scratch, n * wide),
            (&mut room.d_state, n * state),
            (&mut room.d_before, n * width),
        ] {
            buffer.resize(size, 0.0);
        }
        self.begin(indices, &mut room.states[..n * state]);
        room.rows.clear();
        for step in 0..length {
            let row = |&index: &u32| self.row(index, step as isize) as u32;
            room.rows.extend(indices.iter().map(row));
        }
        self.gather(&room.rows, &mut room.input);
        self.cell().project(n_rows, &room.input, &mut room.gates);
        for step in 0..length {
            let (rows, at) = (step * n..(step + 1) * n, step * n * state);
            let (past, future) = room.states.split_at_mut(at + n * state);
            let before = &mut past[at..];
            self.forget(&room.rows[rows.clone()], before);
            let parts = CellStep {
                gates: &mut room.gates[rows.start * wide..rows.end * wide],
                recurrent: &mut room.scratch,
                kept: &mut room.kept[rows.start * width..rows.end * width],
                before,
                after: &mut future[..n * state],
                features: &mut room.features[rows.start * width..rows.end * width],
            };
            self.cell().step(n, parts);
        }
    }

    /// Row of the rollout, `step` steps after a sequence's beginning.
    pub(crate) fn row(&self, index: u32, step: isize) -> usize {
        let n_envs = self.experience.n_envs;
        let (i, env) = (index as usize / n_envs, index as usize % n_envs);
        let time = (i * self.sequences.length).saturating_add_signed(step);
        time * n_envs + env
    }

    fn gather(&self, rows: &[u32], input: &mut Vec<f32>) {
        self.experience.gather(rows, self.layers.first().map_or(0, |l| l.inputs), input);
    }

    /// Nothing is remembered where an episode begins.
    fn forget(&self, rows: &[u32], states: &mut [f32]) {
        for (&row, state) in rows.iter().zip(states.chunks_exact_mut(self.trunk.state_width())) {
            if self.sequences.fresh[row as usize] {
                state.fill(0.0);
            }
        }
    }

    /// The states at the sequences' beginnings: as collected, brought up to date by the burn-in's steps.
    pub(crate) fn begin(&self, indices: &[u32], states: &mut [f32]) {
        let (n, state, width) = (indices.len(), self.trunk.state_width(), self.width());
        let (n_envs, burn_in) = (self.experience.n_envs, self.sequences.burn_in);
        for (&index, to) in indices.iter().zip(states.chunks_exact_mut(state)) {
            let from = index as usize * state;
            to.copy_from_slice(&self.sequences.states[from..from + state]);
        }
        if burn_in == 0 {
            return;
        }
        let wide = self.trunk.n_gates() * width;
        let (mut gates, mut recurrent) = (vec![0.0; n * wide], vec![0.0; n * wide]);
        let (mut kept, mut features, mut input) = (vec![0.0; n * width], vec![0.0; n * width], Vec::new());
        let (mut entering, mut after) = (vec![0.0; n * state], vec![0.0; n * state]);
        // No sequence looks further back than its own beginning.
        let leads = indices.iter().map(|&i| self.sequences.lead(i as usize / n_envs));
        for left in (1..=leads.max().unwrap_or(0)).rev() {
            let rows: Vec<u32> = indices.iter().map(|&i| self.row(i, -(left as isize)) as u32).collect();
            self.gather(&rows, &mut input);
            self.cell().project(n, &input, &mut gates);
            entering.copy_from_slice(states);
            self.forget(&rows, &mut entering);
            let parts = CellStep {
                gates: &mut gates,
                recurrent: &mut recurrent,
                kept: &mut kept,
                before: &entering,
                after: &mut after,
                features: &mut features,
            };
            self.cell().step(n, parts);
            for ((to, from), &index) in
                states.chunks_exact_mut(state).zip(after.chunks_exact(state)).zip(indices)
            {
                // A sequence whose lead is shorter waits.
                if self.sequences.lead(index as usize / n_envs) >= left {
                    to.copy_from_slice(from);
                }
            }
        }
    }

    /// From the derivative by the features to the gradient of the trunk.
    pub(crate) fn backward(&self, room: &mut Unrolled, gradient: &mut [f32]) {
        let ([input, recurrent], width) = ([self.layers[0], self.layers[1]], self.width());
        let (state, wide, n_rows) = (self.trunk.state_width(), recurrent.outputs, room.rows.len());
        let (length, n) = (self.sequences.length, n_rows / self.sequences.length);
        room.d_recurrent.resize(n_rows * wide, 0.0);
        room.d_state.fill(0.0);
        let turned = &self.turned[recurrent.weight..recurrent.bias];
        for step in (0..length).rev() {
            let rows = step * n..(step + 1) * n;
            let d_recurrent = &mut room.d_recurrent[rows.start * wide..rows.end * wide];
            let back = StepBack {
                trunk: self.trunk,
                width,
                gates: &mut room.gates[rows.start * wide..rows.end * wide],
                kept: &room.kept[rows.start * width..rows.end * width],
                before: &room.states[rows.start * state..rows.end * state],
                d_features: &room.d_features[rows.start * width..rows.end * width],
                d_recurrent,
                d_state: &mut room.d_state,
            };
            with(self.isa, back);
            let d = Strided { data: &*d_recurrent, row_stride: wide, column_stride: 1 };
            matmul(self.isa, n, width, wide, d, turned, Start::Zero, &mut room.d_before, After::Nothing);
            let states = room.d_state.chunks_exact_mut(state).zip(room.d_before.chunks_exact(width));
            for (&row, (d_state, d_before)) in room.rows[rows].iter().zip(states) {
                if self.sequences.fresh[row as usize] {
                    d_state.fill(0.0);
                } else {
                    d_state[..width].iter_mut().zip(d_before).for_each(|(a, b)| *a += b);
                }
            }
        }
        let before = Strided { data: &room.states, row_stride: 1, column_stride: state };
        let seen = Strided { data: &room.input, row_stride: 1, column_stride: input.inputs };
        for (layer, x, d) in [(input, seen, &room.gates), (recurrent, before, &room.d_recurrent)] {
            let d = &d[..n_rows * wide];
            let (d_weight, d_bias) =
                gradient[layer.weight..layer.bias + wide].split_at_mut(layer.inputs * wide);
            add_rows(self.isa, d, d_bias);
            matmul(self.isa, layer.inputs, wide, n_rows, x, d, Start::Result, d_weight, After::Nothing);
        }
    }

    /// Rows that actor and critic see at a time.
    pub(crate) fn chunks(&self, n_rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        (0..n_rows).step_by(TILE_ROWS).map(move |from| from..(from + TILE_ROWS).min(n_rows))
    }
}

/// One step back in time over the rows of a tile.
struct StepBack<'a> {
    trunk: Trunk,
    width: usize,
    /// The gates in, the derivative by `W x + b` out.
    gates: &'a mut [f32],
    kept: &'a [f32],
    before: &'a [f32],
    d_features: &'a [f32],
    d_recurrent: &'a mut [f32],
    /// The derivative by the state after in, by the state before, but for what goes through `U h + c`, out.
    d_state: &'a mut [f32],
}

impl Work for StepBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (width, state) = (self.width, self.trunk.state_width());
        let wide = self.trunk.n_gates() * width;
        let gates = self.gates.chunks_exact_mut(wide).zip(self.d_recurrent.chunks_exact_mut(wide));
        let rows = gates.zip(self.kept.chunks_exact(width)).zip(self.d_features.chunks_exact(width));
        let states = self.before.chunks_exact(state).zip(self.d_state.chunks_exact_mut(state));
        for ((((gates, d_recurrent), kept), d_features), (before, d_state)) in rows.zip(states) {
            d_state.iter_mut().zip(d_features).for_each(|(a, b)| *a += b);
            if let Trunk::Gru { .. } = self.trunk {
                gru_back(gates, d_recurrent, kept, before, d_state);
            } else {
                lstm_back(gates, kept, before, d_state);
                d_recurrent.copy_from_slice(gates);
            }
        }
    }
}

#[inline(always)]
fn gru_back(gates: &mut [f32], d_recurrent: &mut [f32], kept: &[f32], before: &[f32], d_state: &mut [f32]) {
    let width = kept.len();
    let (r, rest) = gates.split_at_mut(width);
    let (z, n) = rest.split_at_mut(width);
    let (d_r, rest) = d_recurrent.split_at_mut(width);
    let (d_z, d_u) = rest.split_at_mut(width);
    for j in 0..width {
        let d = d_state[j];
        let d_n = d * (1.0 - z[j]) * (-n[j]).mul_add(n[j], 1.0);
        d_r[j] = d_n * kept[j] * r[j] * (1.0 - r[j]);
        d_z[j] = d * (before[j] - n[j]) * z[j] * (1.0 - z[j]);
        d_u[j] = d_n * r[j];
        d_state[j] = d * z[j];
        (r[j], z[j], n[j]) = (d_r[j], d_z[j], d_n);
    }
}

#[inline(always)]
fn lstm_back(gates: &mut [f32], kept: &[f32], before: &[f32], d_state: &mut [f32]) {
    let width = kept.len();
    let (i, rest) = gates.split_at_mut(width);
    let (f, rest) = rest.split_at_mut(width);
    let (g, o) = rest.split_at_mut(width);
    let (d_h, d_s) = d_state.split_at_mut(width);
    let s = &before[width..2 * width];
    for j in 0..width {
        let d_o = d_h[j] * kept[j];
        let d = (d_h[j] * o[j]).mul_add((-kept[j]).mul_add(kept[j], 1.0), d_s[j]);
        d_s[j] = d * f[j];
        d_h[j] = 0.0;
        let (d_i, d_f, d_g) = (d * g[j], d * s[j], d * i[j]);
        i[j] = d_i * i[j] * (1.0 - i[j]);
        f[j] = d_f * f[j] * (1.0 - f[j]);
        g[j] = d_g * (-g[j]).mul_add(g[j], 1.0);
        o[j] = d_o * o[j] * (1.0 - o[j]);
    }
}
