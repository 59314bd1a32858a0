//! The config as users write it. Doc comments are what `cambist config explain` prints; `unit` is printed beside.
//!
//! What costs money has no default: it must be written out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A whole experiment.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The run itself.
    #[serde(default)]
    pub run: RawRun,
    /// Which bars.
    pub data: RawData,
    /// What the agent sees of them.
    #[serde(default)]
    pub features: RawFeatures,
    /// What is learned from, chosen by, judged on, and sealed.
    pub windows: RawWindows,
    /// Folds that walk forward instead of one test window.
    #[serde(default)]
    pub walk_forward: RawWalkForward,
    /// What trading costs and what the account may do. Nothing here has a default.
    pub execution: RawExecution,
    /// From action to order.
    #[serde(default)]
    pub decision: RawDecision,
    /// Episodes of the training.
    #[serde(default)]
    pub episode: RawEpisode,
    /// Actor and critic.
    #[serde(default)]
    pub network: RawNetwork,
    /// The learning algorithm.
    #[serde(default)]
    pub ppo: RawPpo,
}

/// The run itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRun {
    /// Name of the run's folder, after the time.
    pub name: String,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for RawRun {
    fn default() -> Self {
        Self { name: "run".into(), seed: 1 }
    }
}

/// Where bars come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The data folder.
    Store,
    /// A synthetic market, made anew from its seed.
    Synthetic,
}

/// Which synthetic market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Geometric Brownian motion without drift.
    Gbm,
    /// Mean-reverting log price.
    Ou,
    /// Stochastic variance with jumps.
    Heston,
    /// Regimes calibrated to hourly BTC.
    Regime,
}

/// Which bars.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawData {
    /// `store` for the data folder, `synthetic` for a made-up market.
    pub source: Source,
    /// What is traded.
    pub symbol: String,
    /// Where it is traded; empty when the data folder has one venue only.
    #[serde(default)]
    pub venue: String,
    /// The length of a bar that the agent lives through.
    pub timeframe: String,
    /// The length of the stored bars they are made from; empty for the same.
    #[serde(default)]
    pub stored_timeframe: String,
    /// Synthetic: which law.
    #[serde(default = "default_kind")]
    pub kind: Kind,
    /// Synthetic: number of bars.
    #[serde(default)]
    pub n_bars: usize,
    /// Synthetic: date of the first bar.
    #[serde(default)]
    pub start: String,
    /// Synthetic: seed of the market, apart from the run's.
    #[serde(default)]
    pub seed: u64,
}

fn default_kind() -> Kind {
    Kind::Regime
}

/// What the agent sees.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawFeatures {
    /// Features such as `rsi(14)` or `4h:sma(20)`; `cambist data features` lists them all.
    pub columns: Vec<String>,
    /// Bound of a normalised feature.
    #[schemars(extend("unit" = "standard deviations"))]
    pub clip: f64,
    /// Rows a decision sees: 1 for the bar that just closed, more for those before it too, oldest first.
    #[schemars(extend("unit" = "bars"))]
    pub window: usize,
}

impl Default for RawFeatures {
    fn default() -> Self {
        let columns = [
            "return(1)",
            "return(6)",
            "return(24)",
            "sma(24)",
            "sma(120)",
            "rsi(14)",
            "realised(24)",
            "hour",
        ];
        Self { columns: columns.map(str::to_owned).to_vec(), clip: 5.0, window: 1 }
    }
}

/// Windows by date, `YYYY-MM-DD`, each from the end of the one before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWindows {
    /// First day of training; empty for the first bar.
    #[serde(default)]
    pub train_from: String,
    /// Day after the last day of training.
    pub train_until: String,
    /// Day after the last day of validation, by which weights are chosen.
    pub validation_until: String,
    /// Day after the last day of the test; empty for the last bar.
    #[serde(default)]
    pub test_until: String,
    /// From this day on rows are sealed: no command sees them but `evaluate --open-sealed`, which is recorded for good.
    /// Empty for none.
    #[serde(default)]
    pub sealed_from: String,
    /// Bars left out between windows.
    #[serde(default)]
    #[schemars(extend("unit" = "bars"))]
    pub purge_bars: u32,
}

/// Folds that walk forward.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawWalkForward {
    /// Number of folds; 0 for none. Their tests follow one another and end where the test window ends.
    pub n_folds: usize,
    /// Length of a fold's test.
    #[schemars(extend("unit" = "days"))]
    pub test_days: u32,
    /// Length of a fold's validation.
    #[schemars(extend("unit" = "days"))]
    pub validation_days: u32,
    /// Length of a fold's training; 0 for everything before.
    #[schemars(extend("unit" = "days"))]
    pub train_days: u32,
    /// Least distance from the end of training to the validation after it.
    #[schemars(extend("unit" = "bars"))]
    pub embargo_bars: u32,
}

/// What trading costs. Every field must be written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExecution {
    /// Commission on the value traded, one way.
    #[schemars(extend("unit" = "bp"))]
    pub commission_bp: f64,
    /// Half of ask minus bid over the mid price, paid one way.
    #[schemars(extend("unit" = "bp"))]
    pub half_spread_bp: f64,
    /// Distance of the fill beyond the quote, one way.
    #[schemars(extend("unit" = "bp"))]
    pub slippage_bp: f64,
    /// Rate on the value of units sold short.
    #[schemars(extend("unit" = "a year"))]
    pub borrow_rate: f64,
    /// Whether buying may leave cash negative; if not, purchases are cut to what the cash pays.
    pub margin: bool,
    /// Equity at the start of an episode.
    #[schemars(extend("unit" = "money"))]
    pub initial_cash: f64,
    /// The account is liquidated when equity falls to this share of its start.
    pub ruin_fraction: f64,
    /// Largest value of a position over equity; orders beyond it are refused.
    pub max_exposure: f64,
}

/// Kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Full short, flat, full long.
    Discrete,
    /// Any target in [-1, 1].
    Continuous,
    /// A band of targets.
    Band,
}

/// How a trained policy acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// The most probable action.
    Greedy,
    /// A draw.
    Sampled,
}

/// From action to order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDecision {
    /// `discrete` for full short, flat, full long; `continuous` for any target in [-1, 1]; `band` for two
    /// edges between which the target held is held exactly, as proportional costs want it.
    pub action: Action,
    /// `greedy` or `sampled`: how the trained policy acts where it is judged; training always draws.
    pub act: Act,
    /// Targets nearer than this to the one held are not traded.
    pub dead_band: f64,
    /// Whether negative targets mean flat.
    pub long_only: bool,
    /// Value of a full position over equity.
    pub leverage: f64,
}

impl Default for RawDecision {
    fn default() -> Self {
        Self { action: Action::Discrete, act: Act::Greedy, dead_band: 0.0, long_only: false, leverage: 1.0 }
    }
}

/// Episodes of the training.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawEpisode {
    /// Steps of an episode; 0 to run to the end of the window.
    #[schemars(extend("unit" = "bars"))]
    pub n_steps: usize,
    /// Whether episodes begin at random bars rather than at the first.
    pub random_start: bool,
    /// Factor of the reward, the log return of equity.
    pub reward_scale: f64,
}

impl Default for RawEpisode {
    fn default() -> Self {
        Self { n_steps: 500, random_start: true, reward_scale: 100.0 }
    }
}

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
            on_not_finite: OnNotFinite::Stop,
            validate_every: 10,
        }
    }
}
