//! A tile of rows forward and back through one perceptron.

use cambist_policy::actor_critic::TILE_ROWS;
use cambist_policy::kernels::{After, NARROW, Start, Strided, add_rows, matmul};
use cambist_policy::{Activation, Instructions, Layer};

/// A perceptron's layers with the parameters they lie in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Perceptron<'a> {
    pub(crate) layers: &'a [Layer],
    pub(crate) activation: Activation,
    pub(crate) parameters: &'a [f32],
    /// Transposed weights, in the places of the weights.
    pub(crate) turned: &'a [f32],
    pub(crate) isa: Instructions,
}

/// What a perceptron leaves behind on the way forward, and the way back's two buffers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activations {
    outputs: Vec<Vec<f32>>,
    /// What went into the activations, where the way back needs it.
    kept: Vec<Vec<f32>>,
    /// The derivative by the last outputs goes in here before the way back; by the input stands here after it.
    pub(crate) back: Vec<f32>,
    next_back: Vec<f32>,
    narrow: Vec<f32>,
}

impl Activations {
    /// Makes room for a tile through `layers`.
    pub(crate) fn fit(&mut self, layers: &[Layer], activation: Activation) {
        let widest = layers.iter().map(|l| l.outputs.max(l.inputs)).max().unwrap_or(0);
        self.outputs.resize(layers.len(), Vec::new());
        self.kept.resize(layers.len(), Vec::new());
        for ((output, kept), layer) in self.outputs.iter_mut().zip(&mut self.kept).zip(layers) {
            output.resize(TILE_ROWS * layer.outputs, 0.0);
            kept.resize(if activation.keeps_input() { TILE_ROWS * layer.outputs } else { 0 }, 0.0);
        }
        self.back.resize(TILE_ROWS * widest, 0.0);
        self.next_back.resize(TILE_ROWS * widest, 0.0);
    }

    /// The last outputs and the place for their derivative, `n` floats each.
    pub(crate) fn ends(&mut self, n: usize) -> (&[f32], &mut [f32]) {
        (self.outputs.last().map_or(&[][..], |o| &o[..n]), &mut self.back[..n])
    }
}

impl Perceptron<'_> {
    /// `n` rows of `input` to the last outputs in `room`.
    pub(crate) fn forward(&self, n: usize, input: &[f32], room: &mut Activations) {
        for (depth, layer) in self.layers.iter().enumerate() {
            let (before, outputs) = room.outputs.split_at_mut(depth);
            let x = before.last().map_or(input, Vec::as_slice);
            let last = depth + 1 == self.layers.len();
            let after = if last { After::Nothing } else { self.activation.after(&mut room.kept[depth]) };
            layer.forward(self.isa, self.parameters, n, x, &mut outputs[0][..n * layer.outputs], after);
        }
    }

    /// From the derivative by the last outputs, in `room.back`, to the gradient; and, when `to_input`, to the derivative
    /// by the input, in `room.back` again.
    pub(crate) fn backward(
        &self,
        n: usize,
        input: &[f32],
        room: &mut Activations,
        gradient: &mut [f32],
        to_input: bool,
    ) {
        let Activations { outputs, kept, back, next_back, narrow } = room;
        for (depth, layer) in self.layers.iter().enumerate().rev() {
            let x = if depth == 0 { input } else { &outputs[depth - 1] };
            self.weight_gradient(layer, n, x, back, narrow, gradient);
            if depth > 0 || to_input {
                let after = match depth.checked_sub(1) {
                    Some(below) => self.activation.after_back(&kept[below], &outputs[below]),
                    None => After::Nothing,
                };
                let turned = &self.turned[layer.weight..layer.bias];
                let (inputs, width) = (layer.inputs, layer.outputs);
                let d = Strided { data: &back[..n * width], row_stride: width, column_stride: 1 };
                matmul(self.isa, n, inputs, width, d, turned, Start::Zero, next_back, after);
                std::mem::swap(back, next_back);
            }
        }
    }

    /// `dW += xᵀ d`, `db += Σ d`. A narrow layer's weight is worked on transposed, where its rows are long.
    fn weight_gradient(
        &self,
        layer: &Layer,
        n: usize,
        x: &[f32],
        d: &[f32],
        narrow: &mut Vec<f32>,
        gradient: &mut [f32],
    ) {
        let (inputs, width) = (layer.inputs, layer.outputs);
        let (x, d) = (&x[..n * inputs], &d[..n * width]);
        let (d_weight, d_bias) = gradient[layer.weight..layer.bias + width].split_at_mut(inputs * width);
        add_rows(self.isa, d, d_bias);
        if width < NARROW {
            narrow.resize(inputs * width, 0.0);
            turn(d_weight, inputs, width, narrow);
            let turned_d = Strided { data: d, row_stride: 1, column_stride: width };
            matmul(self.isa, width, inputs, n, turned_d, x, Start::Result, narrow, After::Nothing);
            turn(narrow, width, inputs, d_weight);
        } else {
            let turned_x = Strided { data: x, row_stride: 1, column_stride: inputs };
            matmul(self.isa, inputs, width, n, turned_x, d, Start::Result, d_weight, After::Nothing);
        }
    }
}

/// `to[columns × rows] = from[rows × columns]ᵀ`.
pub(crate) fn turn(from: &[f32], rows: usize, columns: usize, to: &mut [f32]) {
    for (column, to) in to.chunks_exact_mut(rows.max(1)).enumerate() {
        let down = from.get(column..).unwrap_or_default().iter().step_by(columns);
        to.iter_mut().zip(down).for_each(|(to, from)| *to = *from);
    }
}
