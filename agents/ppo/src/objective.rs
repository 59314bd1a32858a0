//! The clipped objective over a tile of rows, columns side by side so that its loops vectorise.

use cambist_nets::{OutputLoss, Sums, TileGradients, TileOutputs};
use cambist_policy::actor_critic::TILE_ROWS;
use cambist_policy::head::{HALF_LN_TAU, Head, log_softmax};
use cambist_policy::kernels::{Work, with};
use cambist_policy::math;

use crate::ppo::PpoConfig;
use crate::tape::Tape;

/// The clipped objective of one minibatch (Schulman et al. 2017, eq. 9): `−L^CLIP + c₁ L^VF − c₂ S`, averaged over `n`
/// rows.
pub struct Objective<'a> {
    /// The numbers.
    pub config: &'a PpoConfig,
    /// What collected.
    pub tape: &'a Tape,
    /// The policy's head.
    pub head: Head,
    /// Rows in the minibatch.
    pub n: usize,
    /// Mean of the minibatch's advantages.
    pub advantage_mean: f32,
    /// One over their deviation.
    pub advantage_scale: f32,
}

/// Places in the sums.
pub(crate) const POLICY_LOSS: usize = 0;
pub(crate) const VALUE_LOSS: usize = 1;
pub(crate) const ENTROPY: usize = 2;
pub(crate) const APPROX_KL: usize = 3;
pub(crate) const CLIPPED: usize = 4;

/// A number a row.
type Column = [f32; TILE_ROWS];
const EMPTY: Column = [0.0; TILE_ROWS];

impl<'a> Objective<'a> {
    /// The objective over the rows of the sequences `indices`.
    #[must_use]
    pub fn new(config: &'a PpoConfig, tape: &'a Tape, head: Head, indices: &[u32]) -> Self {
        let n = indices.len() * tape.sequence_length();
        let (mut advantage_mean, mut advantage_scale) = (0.0, 1.0);
        if config.normalise_advantage && n > 1 {
            let values = || tape.rows_of(indices).map(|row| f64::from(tape.compared_advantage(row)));
            let mean = values().sum::<f64>() / n as f64;
            let variance = values().map(|a| (a - mean) * (a - mean)).sum::<f64>() / (n - 1) as f64;
            (advantage_mean, advantage_scale) = (mean as f32, (1.0 / (variance.sqrt() + 1e-8)) as f32);
        }
        Self { config, tape, head, n, advantage_mean, advantage_scale }
    }
}

impl OutputLoss for Objective<'_> {
    fn tile(&self, outputs: &TileOutputs<'_>, gradients: &mut TileGradients<'_>, sums: &mut Sums) {
        with(outputs.instructions, Tile { objective: self, outputs, gradients, sums });
    }
}

struct Tile<'a, 'b> {
    objective: &'a Objective<'a>,
    outputs: &'a TileOutputs<'a>,
    gradients: &'a mut TileGradients<'b>,
    sums: &'a mut Sums,
}

impl Work for Tile<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self) {
        self.values();
        match self.objective.head {
            Head::Categorical { n } => self.categorical(n),
            Head::Gaussian { dim } => self.gaussian(dim),
        }
    }
}

impl Tile<'_, '_> {
    /// What stands in `from` for every row of the tile.
    #[inline(always)]
    fn gather(&self, from: &[f32]) -> Column {
        let mut out = EMPTY;
        for (out, &row) in out.iter_mut().zip(self.outputs.indices) {
            *out = from[row as usize];
        }
        out
    }

    #[inline(always)]
    fn add(&mut self, place: usize, column: &Column) {
        // Four chains, so that no addition waits for the one before.
        let mut lanes = [0.0f64; 4];
        for part in column[..self.outputs.indices.len()].chunks(4) {
            lanes.iter_mut().zip(part).for_each(|(lane, v)| *lane += f64::from(*v));
        }
        self.sums[place] += (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    }

    /// Half the squared error of the value, the larger of plain and clipped.
    #[inline(always)]
    fn values(&mut self) {
        let tape = self.objective.tape;
        let (old, advantage) = (self.gather(&tape.values), self.gather(&tape.advantages));
        let epsilon = self.objective.config.clip_range_value;
        let factor = self.objective.config.value_coefficient / self.objective.n as f32;
        let mut losses = EMPTY;
        let n = self.outputs.indices.len();
        for row in 0..n {
            let value = self.outputs.values[row];
            let target = old[row] + advantage[row];
            let plain = value - target;
            let moved = (value - old[row]).clamp(-epsilon, epsilon);
            let clipped = old[row] + moved - target;
            let held = epsilon > 0.0 && clipped.abs() > plain.abs();
            let error = if held { clipped } else { plain };
            let inside = (value - old[row]).abs() < epsilon;
            losses[row] = 0.5 * error * error;
            self.gradients.values[row] = if held && !inside { 0.0 } else { factor * error };
        }
        self.add(VALUE_LOSS, &losses);
    }

    /// `−min(r Â, clip(r, 1 − ε, 1 + ε) Â)` (eq. 7); returns its derivative by the log probability, over n.
    #[inline(always)]
    fn surrogate(&mut self, log_probability: &Column) -> Column {
        let objective = self.objective;
        let old = self.gather(&objective.tape.log_probabilities);
        let mut advantage = self.gather(&objective.tape.advantages);
        if !objective.tape.baselines.is_empty() {
            let baseline = self.gather(&objective.tape.baselines);
            advantage.iter_mut().zip(&baseline).for_each(|(advantage, baseline)| *advantage -= baseline);
        }
        let epsilon = objective.config.clip_range;
        let over = 1.0 / objective.n as f32;
        let (mut losses, mut kl, mut held, mut d) = (EMPTY, EMPTY, EMPTY, EMPTY);
        for row in 0..self.outputs.indices.len() {
            let advantage = (advantage[row] - objective.advantage_mean) * objective.advantage_scale;
            let log_ratio = log_probability[row] - old[row];
            let ratio = math::exp(log_ratio);
            let plain = ratio * advantage;
            let clipped = ratio.clamp(1.0 - epsilon, 1.0 + epsilon) * advantage;
            losses[row] = -plain.min(clipped);
            kl[row] = (ratio - 1.0) - log_ratio;
            held[row] = if (ratio - 1.0).abs() > epsilon { 1.0 } else { 0.0 };
            d[row] = if plain <= clipped { -plain * over } else { 0.0 };
        }
        self.add(POLICY_LOSS, &losses);
        self.add(APPROX_KL, &kl);
        self.add(CLIPPED, &held);
        d
    }

    /// Derivatives by logits z: `∂ ln p_a / ∂z_j = 1[j = a] − p_j`, `∂H / ∂z_j = −p_j (ln p_j + H)`.
    #[inline(always)]
    fn categorical(&mut self, width: usize) {
        let (indices, tape) = (self.outputs.indices, self.objective.tape);
        let n = indices.len();
        // Log probabilities are computed where their derivatives will stand.
        self.gradients.head.copy_from_slice(self.outputs.head);
        let mask: Vec<bool> = if tape.masks.is_empty() {
            Vec::new()
        } else {
            indices.iter().flat_map(|&row| tape.mask(row as usize)).copied().collect()
        };
        let mask = (!tape.masks.is_empty()).then_some(&mask[..]);
        log_softmax(self.outputs.instructions, width, self.gradients.head, mask);
        let actions = self.gather(&tape.actions);
        let (mut chosen, mut entropy) = (EMPTY, EMPTY);
        for row in 0..n {
            chosen[row] = self.gradients.head[row * width + actions[row] as usize];
        }
        for j in 0..width {
            for (row, entropy) in entropy[..n].iter_mut().enumerate() {
                let log_p = self.gradients.head[row * width + j];
                *entropy -= math::exp(log_p) * log_p;
            }
        }
        self.add(ENTROPY, &entropy);
        let d_log_p = self.surrogate(&chosen);
        let d_entropy = -self.objective.config.entropy_coefficient / self.objective.n as f32;
        for j in 0..width {
            for row in 0..n {
                let log_p = self.gradients.head[row * width + j];
                let p = math::exp(log_p);
                let taken = if actions[row] == j as f32 { 1.0 } else { 0.0 };
                self.gradients.head[row * width + j] =
                    d_log_p[row] * (taken - p) - d_entropy * p * (log_p + entropy[row]);
            }
        }
    }

    /// Derivatives by mean and log deviation: `∂ ln p / ∂μ = (a − μ)/σ²`, `∂ ln p / ∂ ln σ = z² − 1`, `∂H / ∂ ln σ = 1`.
    #[inline(always)]
    fn gaussian(&mut self, dim: usize) {
        let (indices, tape) = (self.outputs.indices, self.objective.tape);
        let log_deviation = self.outputs.log_deviation;
        let mut log_p = EMPTY;
        // z stands where the mean's derivative will.
        for (j, &log_dev) in log_deviation.iter().enumerate() {
            let inverse = math::exp(-log_dev);
            for (row, &index) in indices.iter().enumerate() {
                let z = (tape.actions[index as usize * dim + j] - self.outputs.head[row * dim + j]) * inverse;
                self.gradients.head[row * dim + j] = z;
                log_p[row] += -0.5 * z * z - log_dev - HALF_LN_TAU;
            }
        }
        let d_log_p = self.surrogate(&log_p);
        let d_entropy = -self.objective.config.entropy_coefficient / self.objective.n as f32;
        let mut entropy = 0.0;
        for (j, &log_dev) in log_deviation.iter().enumerate() {
            let inverse = math::exp(-log_dev);
            let mut d_log_dev = 0.0;
            for (row, &d) in d_log_p[..indices.len()].iter().enumerate() {
                let z = self.gradients.head[row * dim + j];
                d_log_dev += d * (z * z - 1.0) + d_entropy;
                self.gradients.head[row * dim + j] = d * z * inverse;
            }
            self.gradients.log_deviation[j] += d_log_dev;
            entropy += log_dev + HALF_LN_TAU + 0.5;
        }
        self.sums[ENTROPY] += f64::from(entropy) * indices.len() as f64;
    }
}
