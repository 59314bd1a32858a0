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
    /// Two convolutions over a window of rows, each followed by max(·, 0), all of whose outputs are seen.
    Conv {
        /// Rows of the window.
        window: usize,
        /// Columns of the observation beside it.
        extras: usize,
        /// Channels.
        width: usize,
        /// Rows a convolution spans.
        kernel: usize,
    },
    /// A transformer's encoder over a window of rows (Vaswani et al. 2017, arXiv 1706.03762), with learned positions, the
    /// norm before each part, and max(·, 0) between layers of 4 · width; the last row's output is seen.
    Transformer {
        /// Rows of the window.
        window: usize,
        /// Columns of the observation beside it.
        extras: usize,
        /// Columns of a row inside; a multiple of the heads.
        width: usize,
        /// Attention heads.
        heads: usize,
        /// Layers.
        layers: usize,
    },
}

impl Trunk {
    /// Rows of the window and columns beside it, of a trunk that has one.
    #[must_use]
    pub fn window(self) -> Option<(usize, usize)> {
        match self {
            Self::Conv { window, extras, .. } | Self::Transformer { window, extras, .. } => {
                Some((window, extras))
            }
            _ => None,
        }
    }

    /// Whether it carries a state from step to step.
    #[must_use]
    pub fn remembers(self) -> bool {
        self.state_width() > 0
    }

    /// What is wrong with it over `observation` columns, if anything.
    #[must_use]
    pub fn misfit(self, observation: usize) -> Option<String> {
        if let Self::Gru { width: 0 } | Self::Lstm { width: 0 } | Self::Conv { width: 0, .. } = self {
            return Some("it is 0 wide".to_owned());
        }
        let (window, extras) = self.window()?;
        let columns = observation.saturating_sub(extras);
        if window == 0 || columns == 0 || !columns.is_multiple_of(window) {
            return Some(format!(
                "its window of {window} rows does not divide the {columns} columns of the observation that are not extras"
            ));
        }
        match self {
            Self::Conv { kernel, .. } if kernel == 0 || 2 * (kernel.max(1) - 1) >= window => {
                Some(format!("two convolutions over {kernel} rows leave nothing of a window of {window}"))
            }
            Self::Transformer { width, heads, .. }
                if width == 0 || heads == 0 || !width.is_multiple_of(heads) =>
            {
                Some(format!("its width, {width}, is no multiple of its {heads} heads"))
            }
            _ => None,
        }
    }

    /// Names and shapes of its tensors over `observation` columns, in the order they lie in.
    #[must_use]
    pub fn tensors(self, observation: usize) -> Vec<(String, Vec<usize>)> {
        let pair = |name: String, weight: Vec<usize>, width: usize| {
            [(format!("trunk.{name}.weight"), weight), (format!("trunk.{name}.bias"), vec![width])]
        };
        let linear = |name: String, inputs: usize, outputs: usize| pair(name, vec![inputs, outputs], outputs);
        let norm = |name: String, width: usize| pair(name, vec![width], width);
        let columns = self.window().map_or(0, |(window, extras)| (observation - extras) / window.max(1));
        match self {
            Self::None => Vec::new(),
            Self::Gru { .. } | Self::Lstm { .. } => {
                let layers = self.layers(observation).into_iter().enumerate();
                layers.flat_map(|(index, l)| linear(index.to_string(), l.inputs, l.outputs)).collect()
            }
            Self::Conv { width, kernel, .. } => {
                let first = linear("conv.0".to_owned(), kernel * columns, width);
                first.into_iter().chain(linear("conv.1".to_owned(), kernel * width, width)).collect()
            }
            Self::Transformer { window, width, layers, .. } => {
                let mut out = linear("embed".to_owned(), columns, width).to_vec();
                out.push(("trunk.position".to_owned(), vec![window, width]));
                for layer in 0..layers {
                    out.extend(norm(format!("{layer}.norm1"), width));
                    out.extend(linear(format!("{layer}.qkv"), width, 3 * width));
                    out.extend(linear(format!("{layer}.out"), width, width));
                    out.extend(norm(format!("{layer}.norm2"), width));
                    out.extend(linear(format!("{layer}.ff1"), width, 4 * width));
                    out.extend(linear(format!("{layer}.ff2"), 4 * width, width));
                }
                out.extend(norm("norm".to_owned(), width));
                out
            }
        }
    }

    /// Number of parameters over `observation` columns.
    #[must_use]
    pub fn n_parameters(self, observation: usize) -> usize {
        self.tensors(observation).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Columns that actor and critic see.
    #[must_use]
    pub fn features(self, observation: usize) -> usize {
        match self {
            Self::None => observation,
            Self::Gru { width } | Self::Lstm { width } => width,
            Self::Conv { window, extras, width, kernel } => (window + 2 - 2 * kernel) * width + extras,
            Self::Transformer { extras, width, .. } => width + extras,
        }
    }

    /// Floats of state an environment carries: h; of an LSTM h, then s.
    #[must_use]
    pub fn state_width(self) -> usize {
        match self {
            Self::Gru { width } => width,
            Self::Lstm { width } => 2 * width,
            _ => 0,
        }
    }

    /// Gates, each as wide as h: r, z, n; of an LSTM i, f, g, o.
    #[must_use]
    pub fn n_gates(self) -> usize {
        match self {
            Self::Gru { .. } => 3,
            Self::Lstm { .. } => 4,
            _ => 0,
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
        matmul(self.isa, n, outputs, inputs, h, weight, Start::Row(bias), step.recurrent, After::Nothing);
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
