//! The learner over burn: any trunk, on any device that burn drives.
//!
//! The network is written over the same named tensors as the CPU kernels, so one weights file serves both. Outputs come
//! to the host, the loss writes its derivatives by them, and those go back as the gradient of `Σ outputs · derivatives`:
//! one loss for every learner. Adam is the host's own. Bits differ from device to device; the promise is a tolerance
//! (forward 1e-5, gradients 1e-4 of each tensor's largest entry in single precision).

mod device;
mod network;

use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use cambist_policy::actor_critic::TILE_ROWS;
use cambist_policy::{ActorCritic, Instructions};

use crate::learner::{
    Batch, Experience, LearnError, Learner, N_SUMS, Snapshot, Step, Sums, TileGradients, TileOutputs,
};
use crate::optimiser::{Optimiser, finite};
use crate::recurrent::Unroll;

pub use device::{DeviceChoice, DeviceKind, Precision};
use network::{Leaves, Seen};

/// An agent that learns on a device of burn's.
pub struct TensorLearner {
    agent: ActorCritic,
    device: Device,
    name: String,
    compute: FloatDType,
    isa: Instructions,
    optimiser: Optimiser,
    gradient: Vec<f32>,
}

impl std::fmt::Debug for TensorLearner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorLearner").field("device", &self.name).finish_non_exhaustive()
    }
}

impl TensorLearner {
    /// Learns on the device of `choice`.
    ///
    /// # Errors
    /// When the device is not there, or this build does not know it.
    pub fn new(agent: ActorCritic, choice: &DeviceChoice) -> Result<Self, LearnError> {
        let (device, compute) = choice.open()?;
        let n = agent.parameters.len();
        Ok(Self {
            agent,
            device,
            name: choice.to_string(),
            compute,
            isa: Instructions::detect(),
            optimiser: Optimiser::new(n),
            gradient: vec![0.0; n],
        })
    }

    fn failed(&self) -> impl Fn(&dyn std::fmt::Display) -> LearnError + use<> {
        let device = self.name.clone();
        move |reason| LearnError::Device { device: device.clone(), reason: reason.to_string() }
    }

    /// A constant on the device.
    fn constant<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        let plain = self.device.clone().without_autodiff();
        Tensor::from_data(TensorData::new(values, shape), (&plain, DType::F32))
    }

    /// The gradient of one batch, and its sums.
    fn gradient(&mut self, experience: Experience<'_>, batch: &Batch<'_>) -> Result<Sums, LearnError> {
        let failed = self.failed();
        let (seen, rows) = self.seen(experience, batch.indices);
        let n = rows.len();
        let leaves = Leaves::upload(&self.agent, self.compute, &self.device);
        let (head, values) = leaves.forward(self.agent.spec(), seen);
        let host = |tensor: &Tensor<2>| -> Result<Vec<f32>, LearnError> {
            let data = tensor.clone().try_into_data().map_err(|e| failed(&e))?;
            data.try_to_vec::<f32>().map_err(|e| failed(&e))
        };
        let (head_host, values_host) = (host(&head)?, host(&values)?);
        let width = self.agent.spec().head.width();
        let (mut d_head, mut d_values) = (vec![0.0; n * width], vec![0.0; n]);
        let mut d_log_deviation = vec![0.0; self.agent.spec().head.n_parameters()];
        let mut sums = [0.0; N_SUMS];
        for from in (0..n).step_by(TILE_ROWS) {
            let place = from..(from + TILE_ROWS).min(n);
            let heads = place.start * width..place.end * width;
            let outputs = TileOutputs {
                indices: &rows[place.clone()],
                head: &head_host[heads.clone()],
                log_deviation: self.agent.log_deviation(),
                values: &values_host[place.clone()],
                instructions: self.isa,
            };
            let mut gradients = TileGradients {
                head: &mut d_head[heads],
                log_deviation: &mut d_log_deviation,
                values: &mut d_values[place],
            };
            batch.loss.tile(&outputs, &mut gradients, &mut sums);
        }
        let surrogate = (head * self.constant(d_head, [n, width])).sum()
            + (values * self.constant(d_values, [n, 1])).sum();
        leaves.gradient(&surrogate, &mut self.gradient).map_err(|e| failed(&e))?;
        let own = self.gradient.len() - d_log_deviation.len();
        self.gradient[own..].copy_from_slice(&d_log_deviation);
        Ok(sums)
    }

    /// What the network sees of a batch, and the rows of the rollout in the order of its outputs.
    fn seen(&self, experience: Experience<'_>, indices: &[u32]) -> (Seen, Vec<u32>) {
        let spec = self.agent.spec();
        let width = spec.observation;
        let gather = |rows: &[u32]| -> Vec<f32> {
            let mut out = Vec::with_capacity(rows.len() * width);
            experience.gather(rows, width, &mut out);
            out
        };
        let Some(sequences) = experience.sequences else {
            let x = self.constant(gather(indices), [indices.len(), width]);
            return (Seen::Rows(x), indices.to_vec());
        };
        let unroll = Unroll {
            trunk: spec.trunk,
            layers: self.agent.trunk(),
            parameters: &self.agent.parameters,
            turned: &[],
            isa: self.isa,
            experience,
            sequences,
        };
        let (n, state) = (indices.len(), spec.trunk.state_width());
        let mut states = vec![0.0; n * state];
        unroll.begin(indices, &mut states);
        let (mut steps, mut rows) = (Vec::new(), Vec::new());
        for step in 0..sequences.length {
            let at: Vec<u32> = indices.iter().map(|&i| unroll.row(i, step as isize) as u32).collect();
            let keep = at.iter().map(|&row| if sequences.fresh[row as usize] { 0.0 } else { 1.0 }).collect();
            steps.push((self.constant(gather(&at), [n, width]), self.constant(keep, [n, 1])));
            rows.extend(at);
        }
        (Seen::Sequences { steps, start: self.constant(states, [n, state]) }, rows)
    }
}

impl Learner for TensorLearner {
    fn agent(&self) -> &ActorCritic {
        &self.agent
    }

    fn learn(
        &mut self,
        experience: Experience<'_>,
        batches: &[Batch<'_>],
        pace: &mut dyn FnMut(usize, &Sums) -> Option<Step>,
    ) -> Result<f64, LearnError> {
        let mut norms = 0.0;
        for (index, batch) in batches.iter().enumerate() {
            let sums = self.gradient(experience, batch)?;
            finite(&sums, &self.gradient, &self.agent, self.optimiser.n_steps)?;
            let Some(step) = pace(index, &sums) else { break };
            norms += self.optimiser.step(self.isa, step, &self.gradient, &mut self.agent)?;
        }
        Ok(norms)
    }

    fn last_gradient(&self) -> Vec<f32> {
        self.gradient.clone()
    }

    fn bytes(&self) -> usize {
        16 * self.agent.parameters.len()
    }

    fn snapshot(&self) -> Snapshot {
        self.optimiser.snapshot(&self.agent)
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        self.optimiser.restore(snapshot, &mut self.agent);
    }
}
