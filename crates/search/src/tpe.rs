//! The tree-structured Parzen estimator over several parameters at once (Bergstra, Bardenet, Bengio & Kégl 2011; the components and
//! their defaults as in Watanabe 2023, arXiv 2304.11127, and Optuna 5's multivariate form; Falkner, Klein & Hutter 2018 for the joint
//! kernel).
//!
//! Trials are split into the better few, l, and the rest, g; candidates are drawn from a mixture of kernels around the better ones,
//! and the one with the largest l/g is taken. Parameters that matter under the same condition are modelled together. Draws come
//! from a stream of the study's seed and the trial's number, so the same history gives the same suggestion.

use cambist_core::rng::Stream;
use statrs::function::erf::{erf_inv, erfc};

use crate::space::{Domain, Parameter};

/// Trials drawn at random before there is something to learn from.
pub(crate) const N_STARTUP: usize = 10;
const N_CANDIDATES: usize = 24;
const PRIOR_WEIGHT: f64 = 1.0;
/// Trials that count in full; older ones count less.
const N_RECENT: usize = 25;

/// A finished trial, with its rank's key: small is good.
#[derive(Debug, Clone)]
pub(crate) struct Seen<'a> {
    /// Internal values of the group's parameters, in its order.
    pub(crate) values: Vec<f64>,
    /// Constraints broken, then whether it was pruned and when, then loss; none of one that still runs, taken for bad.
    pub(crate) key: Option<&'a [f64]>,
}

/// Suggests internal values of `parameters` from trials in the order of their numbers.
pub(crate) fn suggest(parameters: &[&Parameter], seen: &[Seen<'_>], stream: &mut Stream) -> Vec<f64> {
    let finished = seen.iter().filter(|s| s.key.is_some()).count();
    if finished < N_STARTUP {
        return parameters.iter().map(|p| uniform(&p.domain, stream)).collect();
    }
    // γ: a tenth of the trials, at most 25.
    let n_below = finished.div_ceil(10).min(25);
    let mut order: Vec<usize> = (0..seen.len()).filter(|&i| seen[i].key.is_some()).collect();
    order.sort_by(|&a, &b| compare(seen[a].key, seen[b].key).then(a.cmp(&b)));
    let mut below = order[..n_below].to_vec();
    below.sort_unstable();
    let above: Vec<usize> = (0..seen.len()).filter(|i| !below.contains(i)).collect();
    let kernels: Vec<Kernel> = parameters.iter().map(|p| Kernel::of(&p.domain)).collect();
    let fit = |rows: &[usize]| {
        let values: Vec<&[f64]> = rows.iter().map(|&row| &seen[row].values[..]).collect();
        Mixture::fit(&kernels, &values)
    };
    let (l, g) = (fit(&below), fit(&above));
    let mut best: Option<(f64, Vec<f64>)> = None;
    for _ in 0..N_CANDIDATES {
        let candidate = l.draw(&kernels, stream);
        let gain = l.log_density(&kernels, &candidate) - g.log_density(&kernels, &candidate);
        if best.as_ref().is_none_or(|(top, _)| gain > *top) {
            best = Some((gain, candidate));
        }
    }
    let chosen = best.map(|(_, candidate)| candidate).unwrap_or_default();
    kernels.iter().zip(chosen).map(|(kernel, x)| kernel.outside(x)).collect()
}

fn compare(a: Option<&[f64]>, b: Option<&[f64]>) -> std::cmp::Ordering {
    let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
    let first = a.iter().zip(b).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne());
    first.unwrap_or(std::cmp::Ordering::Equal)
}

/// A value drawn evenly.
pub(crate) fn uniform(domain: &Domain, stream: &mut Stream) -> f64 {
    let kernel = Kernel::of(domain);
    match &kernel {
        Kernel::Choice { n } => stream.index(*n) as f64,
        Kernel::Number { low, high, .. } => kernel.outside(low + (high - low) * stream.uniform()),
    }
}

/// How one parameter is modelled.
enum Kernel {
    /// A choice's kernel of Aitchison & Aitken.
    Choice { n: usize },
    /// A normal cut off at the range's ends, in the logarithm where it is `log`; of steps, the mass of each.
    Number { low: f64, high: f64, log: bool, step: Option<f64>, first: f64, last: f64 },
}

impl Kernel {
    fn of(domain: &Domain) -> Self {
        let ln = |log: bool, x: f64| if log { libm::log(x) } else { x };
        match *domain {
            Domain::Choice(ref choices) => Self::Choice { n: choices.len() },
            Domain::Float { low, high, log, step } => {
                let half = step.unwrap_or(0.0) / 2.0;
                let (first, last) = (low, high);
                Self::Number { low: ln(log, low - half), high: ln(log, high + half), log, step, first, last }
            }
            Domain::Int { low, high, log, step } => {
                let (first, last, step) = (low as f64, high as f64, step as f64);
                let (low, high) = (ln(log, first - step / 2.0), ln(log, last + step / 2.0));
                Self::Number { low, high, log, step: Some(step), first, last }
            }
        }
    }

    /// As it is modelled.
    fn inside(&self, x: f64) -> f64 {
        match self {
            Self::Number { log: true, .. } => libm::log(x),
            _ => x,
        }
    }

    /// As it is used: on a step, inside the range.
    fn outside(&self, x: f64) -> f64 {
        let Self::Number { log, step, first, last, .. } = self else { return x };
        let x = if *log { libm::exp(x) } else { x };
        let x = step.map_or(x, |step| first + ((x - first) / step).round() * step);
        x.clamp(*first, *last)
    }

    /// The edges of the step that holds `x`, as modelled; none where there are no steps.
    fn cell(&self, x: f64) -> Option<(f64, f64)> {
        let Self::Number { log, step, .. } = self else { return None };
        let (step, middle) = ((*step)?, self.outside(x));
        let ln = |x: f64| if *log { libm::log(x) } else { x };
        Some((ln(middle - step / 2.0), ln(middle + step / 2.0)))
    }
}

/// One parameter's kernels: of every trial, and of the prior last.
enum Column {
    Choice { weights: Vec<Vec<f64>> },
    Number { means: Vec<f64>, deviation: Vec<f64> },
}

/// A mixture of joint kernels.
struct Mixture {
    weights: Vec<f64>,
    columns: Vec<Column>,
}

impl Mixture {
    fn fit(kernels: &[Kernel], rows: &[&[f64]]) -> Self {
        let n = rows.len();
        let mut weights = recency(n);
        weights.push(PRIOR_WEIGHT);
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        let column = |(place, kernel): (usize, &Kernel)| match *kernel {
            Kernel::Choice { n: choices } => {
                let even = PRIOR_WEIGHT / (n + 1) as f64;
                let row = |chosen: Option<f64>| {
                    let mut weights = vec![even; choices];
                    if let Some(weight) = chosen.and_then(|c| weights.get_mut(c as usize)) {
                        *weight += 1.0;
                    }
                    let total: f64 = weights.iter().sum();
                    weights.iter_mut().for_each(|w| *w /= total);
                    weights
                };
                let rows = rows.iter().map(|row| Some(row[place])).chain([None]);
                Column::Choice { weights: rows.map(row).collect() }
            }
            Kernel::Number { low, high, .. } => {
                let width = high - low;
                let mut means: Vec<f64> = rows.iter().map(|row| kernel.inside(row[place])).collect();
                let mut deviation = gaps(&means, low, high);
                means.push(0.5 * (low + high));
                deviation.push(width);
                Column::Number { means, deviation }
            }
        };
        Self { weights, columns: kernels.iter().enumerate().map(column).collect() }
    }

    fn draw(&self, kernels: &[Kernel], stream: &mut Stream) -> Vec<f64> {
        let row = drawn(&self.weights, stream.uniform());
        let pairs = kernels.iter().zip(&self.columns);
        pairs
            .map(|(kernel, column)| match (kernel, column) {
                (_, Column::Choice { weights }) => drawn(&weights[row], stream.uniform()) as f64,
                (Kernel::Number { low, high, .. }, Column::Number { means, deviation }) => {
                    let (mean, deviation) = (means[row], deviation[row]);
                    let cdf = |x: f64| normal((x - mean) / deviation);
                    let (from, to) = (cdf(*low), cdf(*high));
                    let share = from + (to - from) * stream.uniform();
                    let x = (mean + deviation * quantile(share)).clamp(*low, *high);
                    kernel.inside(kernel.outside(x))
                }
                (Kernel::Choice { .. }, Column::Number { means, .. }) => means[row],
            })
            .collect()
    }

    fn log_density(&self, kernels: &[Kernel], x: &[f64]) -> f64 {
        let mut logs: Vec<f64> = self.weights.iter().map(|w| libm::log(*w)).collect();
        for ((kernel, column), &x) in kernels.iter().zip(&self.columns).zip(x) {
            match (kernel, column) {
                (_, Column::Choice { weights }) => {
                    logs.iter_mut().zip(weights).for_each(|(l, w)| *l += libm::log(w[x as usize]));
                }
                (Kernel::Number { low, high, .. }, Column::Number { means, deviation }) => {
                    let cell = kernel.cell(x);
                    for ((log, &mean), &deviation) in logs.iter_mut().zip(means).zip(deviation) {
                        let z = |x: f64| (x - mean) / deviation;
                        let mass = mass(z(*low), z(*high));
                        let density = match cell {
                            Some((a, b)) => libm::log(self::mass(z(a), z(b)).max(1e-300)),
                            None => -0.5 * z(x) * z(x) - libm::log(deviation),
                        };
                        *log += density - libm::log(mass.max(1e-300));
                    }
                }
                (Kernel::Choice { .. }, Column::Number { .. }) => {}
            }
        }
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + libm::log(logs.iter().map(|l| libm::exp(l - top)).sum::<f64>())
    }
}

/// Deviations of the kernels at `means`: the distance to the farther neighbour, the range's ends counting for the only one there is; at
/// most the range, at least its share of a hundred, or of the number of kernels and one (Bergstra et al.'s, clipped as in Optuna).
fn gaps(means: &[f64], low: f64, high: f64) -> Vec<f64> {
    let n = means.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| means[a].total_cmp(&means[b]).then(a.cmp(&b)));
    let least = (high - low) / f64::min(100.0, 2.0 + n as f64);
    let mut out = vec![0.0; n];
    for (place, &index) in order.iter().enumerate() {
        let at = |place: usize| means[order[place]];
        let before = (place > 0).then(|| at(place) - at(place - 1));
        let after = (place + 1 < n).then(|| at(place + 1) - at(place));
        let gap = match (before, after) {
            (Some(before), Some(after)) => before.max(after),
            (Some(gap), None) | (None, Some(gap)) => gap,
            (None, None) => (means[index] - low).max(high - means[index]),
        };
        out[index] = gap.clamp(least, high - low);
    }
    out
}

/// Weights of `n` trials, oldest first: the last 25 in full, those before rising in a straight line.
fn recency(n: usize) -> Vec<f64> {
    let ramp = n.saturating_sub(N_RECENT);
    let first = 1.0 / n.max(1) as f64;
    let rising = |i: usize| first + (1.0 - first) * i as f64 / (ramp.max(2) - 1) as f64;
    (0..n).map(|i| if i < ramp { rising(i) } else { 1.0 }).collect()
}

fn drawn(weights: &[f64], uniform: f64) -> usize {
    let mut left = uniform;
    for (place, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return place;
        }
    }
    weights.len() - 1
}

/// Φ.
fn normal(z: f64) -> f64 {
    0.5 * erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Φ(b) − Φ(a), on the side where it is not lost.
fn mass(a: f64, b: f64) -> f64 {
    if a > 0.0 { normal(-a) - normal(-b) } else { normal(b) - normal(a) }
}

/// Φ⁻¹.
fn quantile(p: f64) -> f64 {
    std::f64::consts::SQRT_2 * erf_inv((2.0 * p - 1.0).clamp(-1.0 + 1e-15, 1.0 - 1e-15))
}
