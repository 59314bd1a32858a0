//! What actor and critic share before they part: nothing, or a network with memory.

use serde::{Deserialize, Serialize};

use crate::kernels::{After, Instructions, Start, Strided, Work, matmul, with};
use crate::math;
use crate::mlp::Layer;

/// A shared trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Trunk {
    /// Actor and critic see the observation.
    #[default]
    None,
    /// Gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), in the form of cuDNN and PyTorch:
    /// `r = σ(W_r x + b_r + U_r h + c_r)`, `z` likewise, `n = tanh(W_n x + b_n + r (U_n h + c_n))`,
    /// `h' = (1 − z) n + z h`.
    Gru {
        /// Units.
        width: usize,
    },
    /// Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate of Gers et al. 2000): `i, f, o = σ(·)`,
    /// `g = tanh(·)` of `W x + b + U h + c`; `s' = f s + i g`, `h' = o tanh s'`.
    Lstm {
        /// Units.
        width: usize,
    },
}

impl Trunk {
    /// Columns that actor and critic see.
    #[must_use]
    pub fn features(self, observation: usize) -> usize {
        match self {
            Self::None => observation,
            Self::Gru { width } | Self::Lstm { width } => width,
        }
    }

    /// Floats of state an environment carries: h; of an LSTM h, then s.
    #[must_use]
    pub fn state_width(self) -> usize {
        match self {
            Self::None => 0,
            Self::Gru { width } => width,
            Self::Lstm { width } => 2 * width,
        }
    }

    /// Gates, each as wide as h: r, z, n; of an LSTM i, f, g, o.
    #[must_use]
    pub fn n_gates(self) -> usize {
        match self {
            Self::None => 0,
            Self::Gru { .. } => 3,
            Self::Lstm { .. } => 4,
        }
    }

    /// The layers `W, b` from the observation and `U, c` from h, laid out from 0.
    #[must_use]
    pub fn layers(self, observation: usize) -> Vec<Layer> {
        let width = self.features(observation);
        let outputs = self.n_gates() * width;
        if outputs == 0 {
            return Vec::new();
        }
        let input = Layer { inputs: observation, outputs, weight: 0, bias: observation * outputs };
        let weight = input.bias + outputs;
        vec![input, Layer { inputs: width, outputs, weight, bias: weight + width * outputs }]
    }
}

/// A trunk's step in time over `n` rows.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// Which.
    pub trunk: Trunk,
    /// `W, b` and `U, c`.
    pub layers: &'a [Layer],
    /// Where they lie.
    pub parameters: &'a [f32],
    /// What to compile for.
    pub isa: Instructions,
}

/// What a step in time works on, `n` rows each.
#[derive(Debug)]
pub struct CellStep<'a> {
    /// `[n × gates · width]`: `W x + b` on the way in, the gates on the way out.
    pub gates: &'a mut [f32],
    /// `[n × gates · width]`: room.
    pub recurrent: &'a mut [f32],
    /// `[n × width]`: what the way back needs beside the gates: `U_n h + c_n`; of an LSTM tanh s'.
    pub kept: &'a mut [f32],
    /// `[n × state]`: the state before.
    pub before: &'a [f32],
    /// `[n × state]`: the state after.
    pub after: &'a mut [f32],
    /// `[n × width]`: h'.
    pub features: &'a mut [f32],
}

impl Cell<'_> {
    /// Units.
    fn width(&self) -> usize {
        self.layers.last().map_or(0, |l| l.inputs)
    }

    /// `W x + b` of `n` rows, for as many steps in time as there are.
    pub fn project(&self, n: usize, observations: &[f32], gates: &mut [f32]) {
        if let Some(layer) = self.layers.first() {
            layer.forward(self.isa, self.parameters, n, observations, gates, After::Nothing);
        }
    }

    /// One step.
    pub fn step(&self, n: usize, step: CellStep<'_>) {
        let Some(layer) = self.layers.last() else { return };
        let weight = &self.parameters[layer.weight..layer.bias];
        let bias = &self.parameters[layer.bias..layer.bias + layer.outputs];
        let h = Strided { data: step.before, row_stride: self.trunk.state_width(), column_stride: 1 };
        let (outputs, inputs) = (layer.outputs, layer.inputs);
        matmul(
            self.isa,
            n,
            outputs,
            inputs,
            h,
            weight,
            Start::Row(bias),
            step.recurrent,
            After::Nothing,
        );
        with(self.isa, Gating { trunk: self.trunk, width: self.width(), step });
    }
}

struct Gating<'a> {
    trunk: Trunk,
    width: usize,
    step: CellStep<'a>,
}

impl Work for Gating<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { trunk, width, step } = self;
        let CellStep { gates, recurrent, kept, before, after, features } = step;
        let (wide, state) = (trunk.n_gates() * width, trunk.state_width());
        let rows = gates.chunks_exact_mut(wide).zip(recurrent.chunks_exact(wide));
        let rows = rows.zip(kept.chunks_exact_mut(width)).zip(features.chunks_exact_mut(width));
        let states = before.chunks_exact(state).zip(after.chunks_exact_mut(state));
        for ((((gates, recurrent), kept), features), (before, after)) in rows.zip(states) {
            if let Trunk::Gru { .. } = trunk {
                gru(gates, recurrent, kept, before, after);
            } else {
                lstm(gates, recurrent, kept, before, after);
            }
            features.copy_from_slice(&after[..width]);
        }
    }
}

#[inline(always)]
fn gru(gates: &mut [f32], recurrent: &[f32], kept: &mut [f32], before: &[f32], after: &mut [f32]) {
    let width = kept.len();
    let (soft, n) = gates.split_at_mut(2 * width);
    for (gate, u) in soft.iter_mut().zip(recurrent) {
        *gate = math::sigmoid(*gate + u);
    }
    let (r, z) = soft.split_at(width);
    kept.copy_from_slice(&recurrent[2 * width..3 * width]);
    for (((n, &r), &u), ((&z, &h), after)) in
        n.iter_mut().zip(r).zip(&*kept).zip(z.iter().zip(before).zip(after))
    {
        *n = math::tanh(r.mul_add(u, *n));
        *after = z.mul_add(h - *n, *n);
    }
}

#[inline(always)]
fn lstm(gates: &mut [f32], recurrent: &[f32], kept: &mut [f32], before: &[f32], after: &mut [f32]) {
    let width = kept.len();
    for (gate, u) in gates.iter_mut().zip(recurrent) {
        *gate += u;
    }
    let (soft, rest) = gates.split_at_mut(2 * width);
    let (g, o) = rest.split_at_mut(width);
    soft.iter_mut().chain(&mut *o).for_each(|v| *v = math::sigmoid(*v));
    g.iter_mut().for_each(|v| *v = math::tanh(*v));
    let (i, f) = soft.split_at(width);
    let (h_after, s_after) = after.split_at_mut(width);
    let s_before = &before[width..2 * width];
    for j in 0..width {
        s_after[j] = f[j].mul_add(s_before[j], i[j] * g[j]);
        kept[j] = math::tanh(s_after[j]);
        h_after[j] = o[j] * kept[j];
    }
}
