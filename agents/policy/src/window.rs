//! Trunks over a window of past rows: a convolution and a transformer's encoder, forward only.
//!
//! An observation is the window, `[rows × columns]` with the oldest row first, then the extras, which pass by the trunk.

use crate::kernels::{After, Instructions, Start, Strided, matmul};
use crate::math;
use crate::trunk::Trunk;

/// ε of layer normalisation (Ba, Kiros & Hinton 2016).
pub const NORM_EPSILON: f32 = 1e-5;

/// A window's trunk with the parameters it lies in.
pub(crate) struct WindowNet<'a> {
    pub(crate) trunk: Trunk,
    pub(crate) observation: usize,
    pub(crate) parameters: &'a [f32],
    pub(crate) isa: Instructions,
}

/// Hands out parameters in the order of [`Trunk::tensors`].
struct Cursor<'a>(&'a [f32]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> &'a [f32] {
        let (head, tail) = self.0.split_at(n);
        self.0 = tail;
        head
    }
}

impl WindowNet<'_> {
    /// Features of one observation.
    pub(crate) fn forward(&self, observation: &[f32], features: &mut [f32]) {
        let Some((window, extras)) = self.trunk.window() else { return };
        let (rows, rest) = observation.split_at(self.observation - extras);
        let (own, beside) = features.split_at_mut(features.len() - extras);
        beside.copy_from_slice(rest);
        let columns = rows.len() / window;
        let mut parameters = Cursor(self.parameters);
        match self.trunk {
            Trunk::Conv { width, kernel, .. } => {
                let first = self.convolve(rows, columns, kernel, width, &mut parameters);
                own.copy_from_slice(&self.convolve(&first, width, kernel, width, &mut parameters));
            }
            Trunk::Transformer { width, heads, layers, .. } => {
                let mut x = self.linear(rows, columns, width, &mut parameters, After::Nothing);
                let position = parameters.take(window * width);
                x.iter_mut().zip(position).for_each(|(x, p)| *x += p);
                for _ in 0..layers {
                    self.encode(&mut x, width, heads, &mut parameters);
                }
                let last = &x[x.len() - width..];
                own.copy_from_slice(&normalised(last, width, &mut parameters));
            }
            _ => {}
        }
    }

    /// `x[n × inputs] W + b`.
    fn linear(
        &self,
        x: &[f32],
        inputs: usize,
        outputs: usize,
        parameters: &mut Cursor<'_>,
        after: After<'_>,
    ) -> Vec<f32> {
        let n = x.len() / inputs;
        let (weight, bias) = (parameters.take(inputs * outputs), parameters.take(outputs));
        let mut y = vec![0.0; n * outputs];
        let x = Strided { data: x, row_stride: inputs, column_stride: 1 };
        matmul(self.isa, n, outputs, inputs, x, weight, Start::Row(bias), &mut y, after);
        y
    }

    /// A convolution of `kernel` rows over `x[rows × columns]` without padding, then max(·, 0): overlapping rows of x are
    /// rows of the product's left side.
    fn convolve(
        &self,
        x: &[f32],
        columns: usize,
        kernel: usize,
        width: usize,
        parameters: &mut Cursor<'_>,
    ) -> Vec<f32> {
        let n = x.len() / columns + 1 - kernel;
        let (weight, bias) = (parameters.take(kernel * columns * width), parameters.take(width));
        let mut y = vec![0.0; n * width];
        let x = Strided { data: x, row_stride: columns, column_stride: 1 };
        matmul(self.isa, n, width, kernel * columns, x, weight, Start::Row(bias), &mut y, After::Relu);
        y
    }

    /// One encoder layer with the norm before (Xiong et al. 2020, arXiv 2002.04745).
    fn encode(&self, x: &mut [f32], width: usize, heads: usize, parameters: &mut Cursor<'_>) {
        let y = normalised(x, width, parameters);
        let qkv = self.linear(&y, width, 3 * width, parameters, After::Nothing);
        let mixed = attend(&qkv, width, heads);
        let out = self.linear(&mixed, width, width, parameters, After::Nothing);
        x.iter_mut().zip(out).for_each(|(x, y)| *x += y);
        let y = normalised(x, width, parameters);
        let inner = self.linear(&y, width, 4 * width, parameters, After::Relu);
        let out = self.linear(&inner, 4 * width, width, parameters, After::Nothing);
        x.iter_mut().zip(out).for_each(|(x, y)| *x += y);
    }
}

/// Rows of mean zero and variance one, times gain plus bias.
fn normalised(x: &[f32], width: usize, parameters: &mut Cursor<'_>) -> Vec<f32> {
    let (gain, bias) = (parameters.take(width), parameters.take(width));
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = row.iter().sum::<f32>() / width as f32;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / width as f32;
        let scale = 1.0 / (variance + NORM_EPSILON).sqrt();
        out.extend(row.iter().zip(gain).zip(bias).map(|((v, g), b)| (v - mean) * scale * g + b));
    }
    out
}

/// Scaled dot-product attention of every row over all rows, head by head (Vaswani et al. 2017, eq. 1).
fn attend(qkv: &[f32], width: usize, heads: usize) -> Vec<f32> {
    let (n, deep) = (qkv.len() / (3 * width), width / heads);
    let part = |row: usize, which: usize, head: usize| {
        let from = row * 3 * width + which * width + head * deep;
        &qkv[from..from + deep]
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let scale = 1.0 / (deep as f32).sqrt();
    let mut out = vec![0.0; n * width];
    for head in 0..heads {
        for row in 0..n {
            let scores: Vec<f32> =
                (0..n).map(|other| scale * dot(part(row, 0, head), part(other, 1, head))).collect();
            let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f32> = scores.iter().map(|s| math::exp(s - largest)).collect();
            let total: f32 = weights.iter().sum();
            let to = &mut out[row * width + head * deep..row * width + (head + 1) * deep];
            for (other, weight) in weights.iter().enumerate() {
                to.iter_mut().zip(part(other, 2, head)).for_each(|(o, v)| *o += weight / total * v);
            }
        }
    }
    out
}
