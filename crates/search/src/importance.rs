//! Which parameters made the difference: functional analysis of variance (Hutter, Hoos & Leyton-Brown 2014), by the `optimizer` crate.

use optimizer::sampler::{CompletedTrial, RandomSampler};
use optimizer::storage::MemoryStorage;
use optimizer::{Direction as Way, FanovaConfig, Study as Library};

use crate::library::{Units, labelled};
use crate::space::Space;
use crate::trial::{State, Trial};

/// Share of the objective's variance by parameter, largest first; empty with fewer than four complete trials.
#[must_use]
pub fn importance(space: &Space, trials: &[Trial], objective: usize) -> Vec<(String, f64)> {
    let units = Units::of(space);
    let told = |t: &Trial| {
        let value = t.values.get(objective).copied().filter(|v| v.is_finite())?;
        Some(labelled(&units, space, t, value))
    };
    let done: Vec<CompletedTrial> =
        trials.iter().filter(|t| t.state == State::Complete).filter_map(told).collect();
    if done.len() < 4 {
        return Vec::new();
    }
    let study: Library<f64> = Library::with_sampler_and_storage(
        Way::Maximize,
        RandomSampler::with_seed(0),
        MemoryStorage::with_trials(done),
    );
    let config = FanovaConfig { seed: Some(0), ..FanovaConfig::default() };
    study.fanova_with_config(&config).map_or(Vec::new(), |found| found.main_effects)
}
