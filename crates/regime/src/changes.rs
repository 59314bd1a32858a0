//! Bayesian online change points: the posterior over the time since the last change (Adams and MacKay 2007, "Bayesian
//! online changepoint detection", algorithm 1), for Gaussian observations of unknown mean and variance with a
//! normal-inverse-gamma prior (Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", section 3).

use serde::{Deserialize, Serialize};

/// Hazard and prior.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChangeModel {
    /// Mean number of observations between changes, λ; the hazard is 1/λ at every one.
    pub mean_run: f64,
    /// Prior mean.
    pub mean: f64,
    /// Observations the prior mean is worth, κ.
    pub kappa: f64,
    /// Shape of the prior variance, α.
    pub alpha: f64,
    /// Scale of the prior variance, β.
    pub beta: f64,
    /// Longest run that is kept apart; longer ones count as this long.
    pub longest: usize,
    /// A change is recent when it lies at most so many observations back.
    pub recent: usize,
}

/// One run length's statistics.
#[derive(Debug, Clone, Copy)]
struct Run {
    probability: f64,
    mean: f64,
    kappa: f64,
    alpha: f64,
    beta: f64,
}

/// The posterior at work.
#[derive(Debug, Clone)]
pub struct Changes {
    model: ChangeModel,
    /// By run length, from 0.
    runs: Vec<Run>,
}

impl ChangeModel {
    /// Fits the prior to `x`: its mean, and a variance of its own size worth one observation.
    #[must_use]
    pub fn fit(x: &[f64], mean_run: f64, longest: usize, recent: usize) -> Option<Self> {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        let usable = variance.is_finite() && variance > 0.0;
        usable.then_some(Self { mean_run, mean, kappa: 1.0, alpha: 1.0, beta: variance, longest, recent })
    }

    /// A posterior that has seen nothing: a run just began.
    #[must_use]
    pub fn running(&self) -> Changes {
        Changes { model: *self, runs: vec![self.prior(1.0)] }
    }

    fn prior(&self, probability: f64) -> Run {
        Run { probability, mean: self.mean, kappa: self.kappa, alpha: self.alpha, beta: self.beta }
    }
}

impl Run {
    /// Log density of `x`: Student's t with 2α degrees of freedom.
    fn log_density(&self, x: f64) -> f64 {
        let nu = 2.0 * self.alpha;
        let scale = self.beta * (self.kappa + 1.0) / (self.alpha * self.kappa);
        let d = x - self.mean;
        libm::lgamma((nu + 1.0) / 2.0)
            - libm::lgamma(nu / 2.0)
            - 0.5 * libm::log(nu * std::f64::consts::PI * scale)
            - 0.5 * (nu + 1.0) * libm::log(1.0 + d * d / (nu * scale))
    }

    fn with(&self, x: f64) -> Self {
        let d = x - self.mean;
        Self {
            mean: (self.kappa * self.mean + x) / (self.kappa + 1.0),
            kappa: self.kappa + 1.0,
            alpha: self.alpha + 0.5,
            beta: self.beta + self.kappa * d * d / (2.0 * (self.kappa + 1.0)),
            ..*self
        }
    }
}

impl Changes {
    /// Takes an observation.
    pub fn push(&mut self, x: f64) {
        let hazard = 1.0 / self.model.mean_run;
        let logs: Vec<f64> = self.runs.iter().map(|run| run.log_density(x)).collect();
        let largest = logs.iter().fold(f64::NEG_INFINITY, |m, &l| m.max(l));
        let mut changed = 0.0;
        let mut next = vec![self.model.prior(0.0)];
        for (run, log) in self.runs.iter().zip(logs) {
            let joint = run.probability * libm::exp(log - largest);
            changed += joint * hazard;
            next.push(Run { probability: joint * (1.0 - hazard), ..run.with(x) });
        }
        next[0].probability = changed;
        // The longest run that is kept takes what is longer.
        while next.len() > self.model.longest + 1 {
            if let Some(over) = next.pop()
                && let Some(last) = next.last_mut()
            {
                *last = Run { probability: last.probability + over.probability, ..over };
            }
        }
        let sum: f64 = next.iter().map(|run| run.probability).sum();
        next.iter_mut().for_each(|run| run.probability /= sum);
        self.runs = next;
    }

    /// Probability of each run length, from 0: how many observations ago the last change was.
    #[must_use]
    pub fn run_lengths(&self) -> Vec<f64> {
        self.runs.iter().map(|run| run.probability).collect()
    }

    /// Probability that the last change lies at most `recent` observations back.
    #[must_use]
    pub fn recent(&self) -> f64 {
        self.runs.iter().take(self.model.recent + 1).map(|run| run.probability).sum()
    }
}
