//! The networks over named tensors, as burn differentiates them.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::activation::{relu, sigmoid, silu};
use burn::tensor::module::{attention, conv1d, layer_norm, linear};
use burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use cambist_policy::window::NORM_EPSILON;
use cambist_policy::{Activation, ActorCritic, ActorCriticSpec, Trunk};

/// What a network sees.
pub(super) enum Seen {
    /// `[rows × observation]`.
    Rows(Tensor<2>),
    /// Of every step in time the observations `[sequences × observation]` and whether the state before is kept
    /// `[sequences × 1]`; and the state `[sequences × state]` at the start.
    Sequences { steps: Vec<(Tensor<2>, Tensor<2>)>, start: Tensor<2> },
}

/// The parameters as leaves of the graph.
pub(super) struct Leaves {
    flat: Vec<(Range<usize>, Tensor<1>)>,
    by_name: BTreeMap<String, (usize, Vec<usize>)>,
    compute: FloatDType,
}

impl Leaves {
    /// One upload; every named tensor becomes a leaf in single precision.
    pub(super) fn upload(agent: &ActorCritic, compute: FloatDType, device: &Device) -> Self {
        let (mut flat, mut by_name) = (Vec::new(), BTreeMap::new());
        for (name, shape, place) in agent.spec().tensors() {
            let values = agent.parameters[place.clone()].to_vec();
            let n = values.len();
            let leaf = Tensor::<1>::from_data(TensorData::new(values, [n]), (device, DType::F32));
            by_name.insert(name, (flat.len(), shape));
            flat.push((place, leaf.require_grad()));
        }
        Self { flat, by_name, compute }
    }

    /// A tensor in single precision. Names and ranks are those of the spec the leaves were made from.
    fn single<const D: usize>(&self, name: &str) -> Tensor<D> {
        let (index, shape) = &self.by_name[name];
        let shape: [usize; D] = std::array::from_fn(|axis| shape[axis]);
        self.flat[*index].1.clone().reshape(shape)
    }

    /// A tensor as products take it.
    fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.single(name).cast(self.compute)
    }

    /// `x W + b` in the precision of products, back in single.
    fn linear<const D: usize>(&self, x: Tensor<D>, name: &str) -> Tensor<D> {
        let (weight, bias) =
            (self.tensor::<2>(&format!("{name}.weight")), self.tensor::<1>(&format!("{name}.bias")));
        linear(x.cast(self.compute), weight, Some(bias)).cast(FloatDType::F32)
    }

    fn norm(&self, x: Tensor<3>, name: &str) -> Tensor<3> {
        let (gain, bias) = (self.single(&format!("{name}.weight")), self.single(&format!("{name}.bias")));
        layer_norm(x, gain, Some(bias), f64::from(NORM_EPSILON))
    }

    /// Head outputs `[rows × width]` and values `[rows × 1]`.
    pub(super) fn forward(&self, spec: &ActorCriticSpec, seen: Seen) -> (Tensor<2>, Tensor<2>) {
        let features = match (spec.trunk, seen) {
            (Trunk::None, Seen::Rows(x)) => x,
            (Trunk::Gru { width }, Seen::Sequences { steps, start }) => self.gru(width, steps, start),
            (Trunk::Lstm { width }, Seen::Sequences { steps, start }) => self.lstm(width, steps, start),
            (_, Seen::Rows(x)) => self.window(spec, x),
            // A trunk without memory sees every step as a row.
            (_, Seen::Sequences { steps, .. }) => Tensor::cat(steps.into_iter().map(|s| s.0).collect(), 0),
        };
        let layers = spec.hidden.len() + 1;
        let net = |name: &str| {
            let mut y = features.clone();
            for depth in 0..layers {
                y = self.linear(y, &format!("{name}.{depth}"));
                if depth + 1 < layers {
                    y = match spec.activation {
                        Activation::Tanh => y.tanh(),
                        Activation::Relu => relu(y),
                        Activation::Silu => silu(y),
                    };
                }
            }
            y
        };
        (net("actor"), net("critic"))
    }

    fn gru(&self, width: usize, steps: Vec<(Tensor<2>, Tensor<2>)>, start: Tensor<2>) -> Tensor<2> {
        let (mut h, mut all) = (start, Vec::with_capacity(steps.len()));
        for (x, keep) in steps {
            h = h * keep;
            let (a, b) = (self.linear(x, "trunk.0"), self.linear(h.clone(), "trunk.1"));
            let r = sigmoid(gate(&a, 0, width) + gate(&b, 0, width));
            let z = sigmoid(gate(&a, 1, width) + gate(&b, 1, width));
            let n = (gate(&a, 2, width) + r * gate(&b, 2, width)).tanh();
            h = n.clone() + z * (h - n);
            all.push(h.clone());
        }
        Tensor::cat(all, 0)
    }

    fn lstm(&self, width: usize, steps: Vec<(Tensor<2>, Tensor<2>)>, start: Tensor<2>) -> Tensor<2> {
        let (mut h, mut s) = (gate(&start, 0, width), gate(&start, 1, width));
        let mut all = Vec::with_capacity(steps.len());
        for (x, keep) in steps {
            (h, s) = (h * keep.clone(), s * keep);
            let a = self.linear(x, "trunk.0") + self.linear(h, "trunk.1");
            let (i, f) = (sigmoid(gate(&a, 0, width)), sigmoid(gate(&a, 1, width)));
            s = f * s + i * gate(&a, 2, width).tanh();
            h = sigmoid(gate(&a, 3, width)) * s.clone().tanh();
            all.push(h.clone());
        }
        Tensor::cat(all, 0)
    }

    /// Features of observations that hold a window.
    fn window(&self, spec: &ActorCriticSpec, x: Tensor<2>) -> Tensor<2> {
        let (window, extras) = spec.trunk.window().unwrap_or((1, 0));
        let [n, width] = x.dims();
        let columns = (width - extras) / window;
        let beside = x.clone().slice([0..n, width - extras..width]);
        let rows: Tensor<3> = x.slice([0..n, 0..width - extras]).reshape([n, window, columns]);
        let own: Tensor<2> = match spec.trunk {
            Trunk::Conv { width, kernel, .. } => {
                let first = self.convolve(rows.swap_dims(1, 2), "trunk.conv.0", kernel, columns, width);
                let second = self.convolve(first, "trunk.conv.1", kernel, width, width);
                second.swap_dims(1, 2).flatten(1, 2)
            }
            Trunk::Transformer { width, heads, layers, .. } => {
                let position: Tensor<3> = self.single::<2>("trunk.position").unsqueeze();
                let mut y = self.linear(rows, "trunk.embed") + position;
                for layer in 0..layers {
                    y = self.encode(y, &format!("trunk.{layer}"), heads);
                }
                let last = y.slice([0..n, window - 1..window, 0..width]);
                self.norm(last, "trunk.norm").reshape([n, width])
            }
            _ => rows.reshape([n, window * columns]),
        };
        if extras == 0 { own } else { Tensor::cat(vec![own, beside], 1) }
    }

    /// `x[rows × columns × length]`; the weight lies as `[kernel · columns × width]`.
    fn convolve(&self, x: Tensor<3>, name: &str, kernel: usize, columns: usize, width: usize) -> Tensor<3> {
        let weight: Tensor<3> = self.tensor::<2>(&format!("{name}.weight")).reshape([kernel, columns, width]);
        let bias = self.tensor::<1>(&format!("{name}.bias"));
        let options = ConvOptions::<1>::new([1], [0], [1], 1);
        let y = conv1d(x.cast(self.compute), weight.permute([2, 1, 0]), Some(bias), options);
        relu(y.cast(FloatDType::F32))
    }

    fn encode(&self, x: Tensor<3>, name: &str, heads: usize) -> Tensor<3> {
        let [n, rows, width] = x.dims();
        let y = self.norm(x.clone(), &format!("{name}.norm1"));
        let qkv = self.linear(y, &format!("{name}.qkv"));
        let part = |which: usize| -> Tensor<4> {
            let part = qkv.clone().slice([0..n, 0..rows, which * width..(which + 1) * width]);
            part.reshape([n, rows, heads, width / heads]).swap_dims(1, 2)
        };
        let mixed = attention(part(0), part(1), part(2), None, None, AttentionModuleOptions::default());
        let mixed: Tensor<3> = mixed.swap_dims(1, 2).reshape([n, rows, width]);
        let x = x + self.linear(mixed, &format!("{name}.out"));
        let y = self.norm(x.clone(), &format!("{name}.norm2"));
        let inner = relu(self.linear(y, &format!("{name}.ff1")));
        x + self.linear(inner, &format!("{name}.ff2"))
    }

    /// The derivative of `surrogate` by every parameter, in their order.
    pub(super) fn gradient(&self, surrogate: &Tensor<1>, out: &mut [f32]) -> Result<(), String> {
        let mut gradients = surrogate.backward();
        for (place, leaf) in &self.flat {
            let to = &mut out[place.clone()];
            match leaf.grad_remove(&mut gradients) {
                None => to.fill(0.0),
                Some(gradient) => {
                    let data = gradient.try_into_data().map_err(|e| e.to_string())?;
                    to.copy_from_slice(&data.try_to_vec::<f32>().map_err(|e| e.to_string())?);
                }
            }
        }
        Ok(())
    }
}

/// The `index`-th of parts `width` columns wide.
fn gate(x: &Tensor<2>, index: usize, width: usize) -> Tensor<2> {
    let n = x.dims()[0];
    x.clone().slice([0..n, index * width..(index + 1) * width])
}
