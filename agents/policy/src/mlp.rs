//! Multi-layer perceptrons over a flat parameter slice.

use serde::{Deserialize, Serialize};

use crate::kernels::{After, Instructions, Start, Strided, matmul};

/// What stands between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// max(x, 0).
    Relu,
    /// x σ(x) (Elfwing, Uchibe & Doya 2018, arXiv 1702.03118).
    Silu,
}

impl Activation {
    /// What follows a layer's product; SiLU keeps in `kept` what went into it, when there is somebody to want it.
    #[must_use]
    pub fn after(self, kept: &mut [f32]) -> After<'_> {
        match self {
            Self::Tanh => After::Tanh,
            Self::Relu => After::Relu,
            Self::Silu => After::Silu(kept),
        }
    }

    /// What follows the product on the way back, given what went in and what came out.
    #[must_use]
    pub fn after_back<'a>(self, kept: &'a [f32], output: &'a [f32]) -> After<'a> {
        match self {
            Self::Tanh => After::TanhBack(output),
            Self::Relu => After::ReluBack(output),
            Self::Silu => After::SiluBack(kept),
        }
    }

    /// Whether the way back needs what went in.
    #[must_use]
    pub fn keeps_input(self) -> bool {
        self == Self::Silu
    }
}

/// One affine layer: where its weight `[inputs × outputs]`, row-major, and its bias `[outputs]` begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Columns of its input.
    pub inputs: usize,
    /// Columns of its output.
    pub outputs: usize,
    /// Where the weight begins.
    pub weight: usize,
    /// Where the bias begins.
    pub bias: usize,
}

impl Layer {
    /// `y[n × outputs] = x[n × inputs] · W + b`, then `after`.
    pub fn forward(
        &self,
        instructions: Instructions,
        parameters: &[f32],
        n: usize,
        x: &[f32],
        y: &mut [f32],
        after: After<'_>,
    ) {
        let weight = &parameters[self.weight..self.weight + self.inputs * self.outputs];
        let bias = &parameters[self.bias..self.bias + self.outputs];
        let x = Strided { data: x, row_stride: self.inputs, column_stride: 1 };
        matmul(instructions, n, self.outputs, self.inputs, x, weight, Start::Row(bias), y, after);
    }
}

/// Shape of a perceptron: activation between layers, none after the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlpSpec {
    /// Columns of the input.
    pub inputs: usize,
    /// Columns of each hidden layer.
    pub hidden: Vec<usize>,
    /// Columns of the output.
    pub outputs: usize,
    /// Between layers.
    pub activation: Activation,
}

impl MlpSpec {
    /// Its layers, with parameters laid out one after another from `offset`.
    #[must_use]
    pub fn layers(&self, offset: usize) -> Vec<Layer> {
        let mut next = offset;
        let mut inputs = self.inputs;
        let mut layers = Vec::with_capacity(self.hidden.len() + 1);
        for &outputs in self.hidden.iter().chain([&self.outputs]) {
            let (weight, bias) = (next, next + inputs * outputs);
            layers.push(Layer { inputs, outputs, weight, bias });
            next = bias + outputs;
            inputs = outputs;
        }
        layers
    }

    /// Number of parameters.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.layers(0).iter().map(|l| (l.inputs + 1) * l.outputs).sum()
    }
}
