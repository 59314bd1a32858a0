//! The sections that say what learns: network and algorithm.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// max(x, 0).
    Relu,
    /// x / (1 + e^-x).
    Silu,
}

/// What actor and critic share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trunk {
    /// Nothing but the observation.
    None,
    /// A gated recurrent unit.
    Gru,
    /// A long short-term memory.
    Lstm,
    /// Two convolutions over a window of rows.
    Conv,
    /// A transformer's encoder over a window of rows.
    Transformer,
}

/// What learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LearnerName {
    /// The CPU kernels.
    Fused,
    /// burn.
    Burn,
}

/// On what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceName {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// Any other GPU.
    Wgpu,
}

/// How exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionName {
    /// Single precision.
    Single,
    /// Products in bfloat16.
    Mixed,
}

/// A shared trunk, and behind it actor and critic, two perceptrons of the same hidden layers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawNetwork {
    /// What actor and critic share: `none`, `gru` or `lstm`; `conv` or `transformer` over features.window rows.
    pub trunk: Trunk,
    /// Units, channels or columns of the trunk.
    pub trunk_width: usize,
    /// Rows that a convolution spans.
    pub kernel: usize,
    /// Attention heads of a transformer.
    pub heads: usize,
    /// Layers of a transformer.
    pub layers: usize,
    /// `fused` for the CPU kernels, the same bits everywhere; `burn` for other devices and trunks.
    pub learner: LearnerName,
    /// Device of burn's learner: `cpu`; `cuda` or `wgpu` in builds with that feature.
    pub device: DeviceName,
    /// Precision of products in burn's learner: `single`, or `mixed` for bfloat16 where the device has it.
    pub precision: PrecisionName,
    /// Whether burn's learner computes element-wise results again on the way back instead of keeping them.
    pub gradient_checkpointing: bool,
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// `tanh`, `relu` or `silu`.
    pub activation: Activation,
    /// Log deviation a continuous policy begins with.
    pub initial_log_deviation: f64,
}

impl Default for RawNetwork {
    fn default() -> Self {
        Self {
            trunk: Trunk::None,
            trunk_width: 128,
            kernel: 3,
            heads: 4,
            layers: 2,
            learner: LearnerName::Fused,
            device: DeviceName::Cpu,
            precision: PrecisionName::Single,
            gradient_checkpointing: false,
            hidden: vec![64, 64],
            activation: Activation::Tanh,
            initial_log_deviation: -0.7,
        }
    }
}

/// How the learning rate moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls in a straight line to zero.
    Linear,
}

/// What happens when a loss or gradient is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnNotFinite {
    /// The training ends with an error.
    Stop,
    /// It goes back and on at half the learning rate.
    Halve,
}

/// Proximal policy optimisation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPpo {
    /// Environment steps of the whole training.
    #[schemars(extend("unit" = "steps"))]
    pub total_steps: u64,
    /// Environments side by side.
    pub n_envs: usize,
    /// Steps each environment takes between updates.
    #[schemars(extend("unit" = "steps"))]
    pub horizon: usize,
    /// Passes over a rollout.
    pub n_epochs: usize,
    /// Rows in a gradient; it must divide n_envs x horizon.
    pub minibatch_size: usize,
    /// Discount of a step.
    pub gamma: f64,
    /// Lambda of generalised advantage estimation.
    pub gae_lambda: f64,
    /// Clip of the probability ratio.
    pub clip_range: f64,
    /// Clip of the value; 0 for none.
    pub clip_range_value: f64,
    /// Weight of the value loss.
    pub value_coefficient: f64,
    /// Weight of the entropy bonus.
    pub entropy_coefficient: f64,
    /// Learning rate at the start.
    pub learning_rate: f64,
    /// `constant` or `linear` to zero.
    pub schedule: Schedule,
    /// Bound of the gradient's norm.
    pub max_grad_norm: f64,
    /// An update stops early at 1.5 times this KL divergence; 0 for never.
    #[schemars(extend("unit" = "nats"))]
    pub target_kl: f64,
    /// Whether advantages are normalised in each minibatch.
    pub normalise_advantage: bool,
    /// Whether rewards are divided by the running deviation of the discounted return; only in training.
    pub scale_rewards: bool,
    /// Steps a gradient flows back through a trunk with memory; it must divide the horizon.
    #[schemars(extend("unit" = "steps"))]
    pub sequence_length: usize,
    /// Steps before a sequence that only bring the memory up to date.
    #[schemars(extend("unit" = "steps"))]
    pub burn_in: usize,
    /// Environments in a row whose episodes begin at the same bar, and each of which is compared with the others of its group: what
    /// the market did to all of them alike is no merit of an action (Mao et al. 2019, arXiv 1807.02264); 1 for none. It must divide
    /// ppo.n_envs. For episodes that seldom end in ruin: one that does leaves its group out of step, and the comparison is noise.
    pub path_group: usize,
    /// When a loss or gradient is not finite: `stop`, or `halve` to go back to the last good weights and halve the learning
    /// rate, at most ten times.
    pub on_not_finite: OnNotFinite,
    /// Updates between looks at the validation window; the weights with the best Sharpe ratio there are kept.
    #[schemars(extend("unit" = "updates"))]
    pub validate_every: u64,
}

impl Default for RawPpo {
    fn default() -> Self {
        Self {
            total_steps: 2_000_000,
            n_envs: 64,
            horizon: 128,
            n_epochs: 4,
            minibatch_size: 2048,
            gamma: 0.99,
            gae_lambda: 0.95,
            clip_range: 0.2,
            clip_range_value: 0.0,
            value_coefficient: 0.5,
            entropy_coefficient: 0.01,
            learning_rate: 3e-4,
            schedule: Schedule::Linear,
            max_grad_norm: 0.5,
            target_kl: 0.0,
            normalise_advantage: true,
            scale_rewards: false,
            sequence_length: 16,
            burn_in: 0,
            path_group: 1,
            on_not_finite: OnNotFinite::Stop,
            validate_every: 10,
        }
    }
}
