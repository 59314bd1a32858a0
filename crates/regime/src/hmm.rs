//! A hidden Markov model with Gaussian observations: fitted by expectation maximisation with restarts (Baum, Petrie, Soules
//! and Weiss 1970; scaled as in Rabiner 1989, section V), read by its filter alone.

use cambist_core::rng::{Purpose, Stream};
use serde::{Deserialize, Serialize};

/// States, how they follow one another, and what they look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaussianHmm {
    /// Probability of each state before the first observation: the chain's own in the long run.
    pub initial: Vec<f64>,
    /// `[from × to]`: probability of the next state.
    pub transition: Vec<f64>,
    /// Mean observation of each state.
    pub mean: Vec<f64>,
    /// Variance of each state.
    pub variance: Vec<f64>,
}

/// What fitting came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The model.
    pub model: GaussianHmm,
    /// Log-likelihood of the observations, in nats.
    pub log_likelihood: f64,
    /// Bayesian information criterion: `p ln n − 2 ln L`, less is better.
    pub bic: f64,
    /// The same of a single Gaussian.
    pub bic_of_one: f64,
    /// Observations.
    pub n: usize,
    /// Iterations of the best restart.
    pub iterations: usize,
    /// Restarts that came within a nat of the best: few of many says that the likelihood has many hills.
    pub agreeing: usize,
    /// Mean over the observations of the filter's largest probability: how often it would be right if the model were.
    pub expected_accuracy: f64,
    /// Largest share of a state: how often the best constant guess would be.
    pub constant_accuracy: f64,
}

/// Settings of the fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitSettings {
    /// States, 2 to 6.
    pub n_states: usize,
    /// Starts of the expectation maximisation.
    pub n_restarts: usize,
    /// Most iterations of each.
    pub max_iterations: usize,
    /// Stops when the log-likelihood gains less than this, in nats.
    pub tolerance: f64,
    /// Seed of the starts.
    pub seed: u64,
}

/// A filter gains less than this over a constant guess where nothing can be told.
pub const LEAST_GAIN: f64 = 0.1;
/// Smallest variance of a state, over that of all observations: no state may settle on a single one.
const LEAST_VARIANCE: f64 = 1e-4;

impl Fit {
    /// Whether states can be told apart at all: more than one is worth its parameters, and the filter beats a guess.
    #[must_use]
    pub fn is_identifiable(&self) -> bool {
        self.bic < self.bic_of_one && self.expected_accuracy - self.constant_accuracy >= LEAST_GAIN
    }
}

impl GaussianHmm {
    /// Number of states.
    #[inline]
    #[must_use]
    pub fn n_states(&self) -> usize {
        self.mean.len()
    }

    /// Fits to `x`.
    #[must_use]
    pub fn fit(x: &[f64], settings: &FitSettings) -> Option<Fit> {
        let n = x.len();
        let mean = x.iter().sum::<f64>() / n as f64;
        let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
        if n < 10 * settings.n_states || !variance.is_finite() || variance <= 0.0 {
            return None;
        }
        let mut runs: Vec<(Self, f64, usize)> = (0..settings.n_restarts.max(1))
            .map(|restart| {
                let mut stream = Stream::new(settings.seed, Purpose::Regime, restart as u64);
                Self::start(restart, settings.n_states, mean, variance, &mut stream).climb(
                    x,
                    settings,
                    LEAST_VARIANCE * variance,
                )
            })
            .collect();
        runs.sort_by(|a, b| b.1.total_cmp(&a.1));
        let best = runs.first()?.1;
        let agreeing = runs.iter().filter(|run| best - run.1 < 1.0).count();
        let (model, log_likelihood, iterations) = runs.into_iter().next()?;
        let model = model.ordered();
        let k = settings.n_states as f64;
        let information =
            |parameters: f64, log_likelihood: f64| parameters * libm::log(n as f64) - 2.0 * log_likelihood;
        let one = -0.5 * n as f64 * (libm::log(2.0 * std::f64::consts::PI * variance) + 1.0);
        let mut filter = HmmFilter::new(&model);
        let right: f64 = x.iter().map(|&v| filter.push(v).iter().fold(0.0f64, |m, &p| m.max(p))).sum();
        Some(Fit {
            log_likelihood,
            bic: information(k * (k - 1.0) + 2.0 * k, log_likelihood),
            bic_of_one: information(2.0, one),
            n,
            iterations,
            agreeing,
            expected_accuracy: right / n as f64,
            constant_accuracy: model.initial.iter().fold(0.0, |m: f64, &p| m.max(p)),
            model,
        })
    }

    /// The first restart spreads variances evenly on a logarithmic scale, the others draw.
    fn start(restart: usize, n: usize, mean: f64, variance: f64, stream: &mut Stream) -> Self {
        let stay = if restart == 0 { 0.97 } else { 0.9 + 0.095 * stream.uniform() };
        let off = (1.0 - stay) / (n - 1).max(1) as f64;
        let transition = (0..n * n).map(|at| if at / n == at % n { stay } else { off }).collect();
        let level = |k: usize| (k as f64 + 0.5) / n as f64 - 0.5;
        let spread = |k: usize, stream: &mut Stream| match restart {
            0 => libm::exp(3.0 * level(k)),
            _ => libm::exp(4.0 * (stream.uniform() - 0.5)),
        };
        let shift = |stream: &mut Stream| if restart == 0 { 0.0 } else { 1.5 * stream.normal() };
        let deviation = variance.sqrt();
        Self {
            initial: vec![1.0 / n as f64; n],
            transition,
            mean: (0..n).map(|_| mean + deviation * shift(stream)).collect(),
            variance: (0..n).map(|k| variance * spread(k, stream)).collect(),
        }
    }

    /// Expectation maximisation until it gains no more.
    fn climb(mut self, x: &[f64], settings: &FitSettings, least: f64) -> (Self, f64, usize) {
        let mut last = f64::NEG_INFINITY;
        let mut space = Space::new(x.len(), self.n_states());
        for iteration in 0..settings.max_iterations {
            let now = space.expect(&self, x);
            if now - last < settings.tolerance {
                return (self.settled(), now, iteration);
            }
            last = now;
            space.maximise(&mut self, x, least);
        }
        let now = space.expect(&self, x);
        (self.settled(), now, settings.max_iterations)
    }

    /// Before the first observation the chain is where it is in the long run.
    fn settled(mut self) -> Self {
        self.initial = self.stationary();
        self
    }

    /// Shares of the states in the long run.
    #[must_use]
    pub fn stationary(&self) -> Vec<f64> {
        let n = self.n_states();
        let mut share = vec![1.0 / n as f64; n];
        // The half-step chain has the same long run and no cycles.
        for _ in 0..100_000 {
            let mut next = vec![0.0; n];
            for (from, &p) in share.iter().enumerate() {
                for (to, out) in next.iter_mut().enumerate() {
                    let stays = if from == to { 1.0 } else { 0.0 };
                    *out += p * 0.5 * (self.transition[from * n + to] + stays);
                }
            }
            let moved: f64 = share.iter().zip(&next).map(|(a, b)| (a - b).abs()).sum();
            share = next;
            if moved < 1e-15 {
                break;
            }
        }
        share
    }

    /// The same model with its states in order: by variance, then by mean.
    #[must_use]
    pub fn ordered(&self) -> Self {
        let n = self.n_states();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| {
            self.variance[a].total_cmp(&self.variance[b]).then(self.mean[a].total_cmp(&self.mean[b]))
        });
        let pick = |values: &[f64]| order.iter().map(|&k| values[k]).collect::<Vec<f64>>();
        let transition = order.iter().flat_map(|&from| order.iter().map(move |&to| (from, to)));
        Self {
            initial: pick(&self.initial),
            transition: transition.map(|(from, to)| self.transition[from * n + to]).collect(),
            mean: pick(&self.mean),
            variance: pick(&self.variance),
        }
    }

    /// Log density of `x` in state `k`, in nats.
    #[inline]
    fn log_density(&self, k: usize, x: f64) -> f64 {
        let v = self.variance[k];
        let d = x - self.mean[k];
        -0.5 * (libm::log(2.0 * std::f64::consts::PI * v) + d * d / v)
    }
}

/// The filter: probabilities of the states given the observations so far.
#[derive(Debug, Clone)]
pub struct HmmFilter {
    model: GaussianHmm,
    /// −½ ln 2πσ² and 1/2σ², by state.
    log_scale: Vec<f64>,
    half_precision: Vec<f64>,
    probability: Vec<f64>,
    ahead: Vec<f64>,
    begun: bool,
    log_likelihood: f64,
}

impl HmmFilter {
    /// A filter that has seen nothing.
    #[must_use]
    pub fn new(model: &GaussianHmm) -> Self {
        let scale = |v: &f64| -0.5 * libm::log(2.0 * std::f64::consts::PI * v);
        Self {
            log_scale: model.variance.iter().map(scale).collect(),
            half_precision: model.variance.iter().map(|v| 0.5 / v).collect(),
            probability: model.initial.clone(),
            ahead: model.initial.clone(),
            begun: false,
            log_likelihood: 0.0,
            model: model.clone(),
        }
    }

    /// Takes an observation; returns the states' probabilities given it and all before.
    pub fn push(&mut self, x: f64) -> &[f64] {
        let n = self.probability.len();
        if self.begun {
            for (to, ahead) in self.ahead.iter_mut().enumerate() {
                let arrive = |(from, &p): (usize, &f64)| p * self.model.transition[from * n + to];
                *ahead = self.probability.iter().enumerate().map(arrive).sum();
            }
        }
        self.begun = true;
        // Densities over that of the likeliest state, so that far observations underflow nowhere.
        let mut largest = f64::NEG_INFINITY;
        for (k, p) in self.probability.iter_mut().enumerate() {
            let d = x - self.model.mean[k];
            *p = self.log_scale[k] - self.half_precision[k] * d * d;
            largest = largest.max(*p);
        }
        let mut sum = 0.0;
        for (p, &ahead) in self.probability.iter_mut().zip(&self.ahead) {
            *p = ahead * libm::exp(*p - largest);
            sum += *p;
        }
        self.log_likelihood += libm::log(sum) + largest;
        self.probability.iter_mut().for_each(|p| *p /= sum);
        &self.probability
    }

    /// Log-likelihood of what was seen, in nats.
    #[must_use]
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }
}

/// Scaled forward and backward variables, used again by every iteration.
struct Space {
    n_states: usize,
    alpha: Vec<f64>,
    gamma: Vec<f64>,
    density: Vec<f64>,
    joint: Vec<f64>,
    beta: Vec<f64>,
    scale: Vec<f64>,
}

impl Space {
    fn new(n: usize, n_states: usize) -> Self {
        Self {
            n_states,
            alpha: vec![0.0; n * n_states],
            gamma: vec![0.0; n * n_states],
            density: vec![0.0; n * n_states],
            joint: vec![0.0; n_states * n_states],
            beta: vec![0.0; n_states],
            scale: vec![0.0; n],
        }
    }

    /// Forward and backward pass; returns the log-likelihood.
    fn expect(&mut self, model: &GaussianHmm, x: &[f64]) -> f64 {
        let k = self.n_states;
        let mut total = 0.0;
        for (t, &v) in x.iter().enumerate() {
            let (past, rest) = self.alpha.split_at_mut(t * k);
            let now = &mut rest[..k];
            let density = &mut self.density[t * k..(t + 1) * k];
            let mut largest = f64::NEG_INFINITY;
            for (state, d) in density.iter_mut().enumerate() {
                *d = model.log_density(state, v);
                largest = largest.max(*d);
            }
            density.iter_mut().for_each(|d| *d = libm::exp(*d - largest));
            for (to, a) in now.iter_mut().enumerate() {
                let ahead = match t {
                    0 => model.initial[to],
                    _ => {
                        let before = &past[(t - 1) * k..];
                        before.iter().enumerate().map(|(from, p)| p * model.transition[from * k + to]).sum()
                    }
                };
                *a = ahead * density[to];
            }
            let sum: f64 = now.iter().sum();
            now.iter_mut().for_each(|a| *a /= sum);
            self.scale[t] = sum;
            total += libm::log(sum) + largest;
        }
        self.backward(model, x.len());
        total
    }

    fn backward(&mut self, model: &GaussianHmm, n: usize) {
        let k = self.n_states;
        self.joint.fill(0.0);
        self.beta.fill(1.0);
        for t in (0..n).rev() {
            let alpha = &self.alpha[t * k..(t + 1) * k];
            let gamma = &mut self.gamma[t * k..(t + 1) * k];
            for ((gamma, alpha), beta) in gamma.iter_mut().zip(alpha).zip(&self.beta) {
                *gamma = alpha * beta;
            }
            if t == 0 {
                break;
            }
            let before = &self.alpha[(t - 1) * k..t * k];
            let density = &self.density[t * k..(t + 1) * k];
            let mut back = [0.0; MAX_STATES];
            for (from, back) in back.iter_mut().enumerate().take(k) {
                let row = from * k..(from + 1) * k;
                let seen =
                    density.iter().zip(&self.beta).map(|(density, beta)| density * beta / self.scale[t]);
                for ((joint, p), seen) in
                    self.joint[row.clone()].iter_mut().zip(&model.transition[row]).zip(seen)
                {
                    *joint += before[from] * p * seen;
                    *back += p * seen;
                }
            }
            self.beta.copy_from_slice(&back[..k]);
        }
    }

    fn maximise(&self, model: &mut GaussianHmm, x: &[f64], least: f64) {
        let k = self.n_states;
        let n = x.len();
        for state in 0..k {
            let weight = |t: usize| self.gamma[t * k + state];
            let total: f64 = (0..n).map(weight).sum::<f64>().max(1e-300);
            let mean = (0..n).map(|t| weight(t) * x[t]).sum::<f64>() / total;
            let square = (0..n).map(|t| weight(t) * (x[t] - mean) * (x[t] - mean)).sum::<f64>() / total;
            (model.mean[state], model.variance[state]) = (mean, square.max(least));
            model.initial[state] = self.gamma[state];
            let leaves: f64 = self.joint[state * k..(state + 1) * k].iter().sum::<f64>().max(1e-300);
            for to in 0..k {
                model.transition[state * k + to] = self.joint[state * k + to] / leaves;
            }
        }
    }
}

/// Most states of a model.
pub const MAX_STATES: usize = 6;
