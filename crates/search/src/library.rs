//! The way to the `optimizer` crate: every parameter as a share of its range.
#![expect(clippy::disallowed_types, reason = "the crate's own type; nothing here walks over it")]

use std::collections::HashMap;

use optimizer::distribution::{Distribution, FloatDistribution};
use optimizer::param::ParamValue;
use optimizer::parameter::ParamId;
use optimizer::sampler::CompletedTrial;

use crate::space::{Domain, Parameter, Space};
use crate::trial::Trial;

/// The share of a range at which `x` is.
fn to_unit(domain: &Domain, x: f64) -> f64 {
    match domain {
        Domain::Float { low, high, log: true, .. } => libm::log(x / low) / libm::log(high / low),
        Domain::Float { low, high, .. } => (x - low) / (high - low),
        Domain::Int { low, high, log: true, .. } => {
            libm::log(x / *low as f64) / libm::log(*high as f64 / *low as f64)
        }
        Domain::Int { low, high, step, .. } => {
            ((x - *low as f64) / *step as f64 + 0.5) / ((high - low) / step + 1) as f64
        }
        Domain::Choice(choices) => (x + 0.5) / choices.len() as f64,
    }
}

/// What the library is told: every parameter as a share of its range. Ranges differ by a hair, for it tells parameters apart by
/// them.
pub(crate) struct Units {
    ids: Vec<ParamId>,
    pub(crate) ranges: Vec<Distribution>,
}

impl Units {
    pub(crate) fn of(space: &Space) -> Self {
        let range = |place: usize| {
            let high = 1.0 + 1e-12 * (place + 1) as f64;
            Distribution::Float(FloatDistribution { low: 0.0, high, log_scale: false, step: None })
        };
        let n = space.parameters().len();
        Self { ids: (0..n).map(|_| ParamId::new()).collect(), ranges: (0..n).map(range).collect() }
    }

    /// Values of `trial`, in the middle where a parameter did not matter.
    pub(crate) fn values(&self, space: &Space, trial: &Trial) -> HashMap<ParamId, ParamValue> {
        let share = |p: &Parameter| trial.params.get(&p.name).map_or(0.5, |x| to_unit(&p.domain, *x));
        let pairs = self.ids.iter().zip(space.parameters());
        pairs.map(|(id, p)| (*id, ParamValue::Float(share(p).clamp(0.0, 1.0)))).collect()
    }

    pub(crate) fn ranges(&self) -> HashMap<ParamId, Distribution> {
        self.ids.iter().copied().zip(self.ranges.iter().cloned()).collect()
    }
}

/// A trial of which only its number and value are told.
pub(crate) fn bare(number: u64, value: f64) -> CompletedTrial {
    CompletedTrial::new(number, HashMap::new(), HashMap::new(), HashMap::new(), value)
}

/// A trial with its parameters and their names.
pub(crate) fn labelled(units: &Units, space: &Space, trial: &Trial, value: f64) -> CompletedTrial {
    let names = space.parameters().iter().map(|p| p.name.clone());
    let labels = units.ids.iter().copied().zip(names).collect();
    CompletedTrial::new(trial.number, units.values(space, trial), units.ranges(), labels, value)
}
