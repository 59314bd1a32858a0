//! Sweeps: searches for hyper-parameters over trainings, by any number of workers that share a storage.
//!
//! [`spec`] is what a sweep is, `trial` what a choice of parameters comes to on validation, [`worker`] asks, trains and tells.
//! Test windows are never looked at here.

pub mod functions;
pub mod launch;
pub mod report;
pub mod spec;
mod trial;
pub mod worker;

pub use cambist_search::SamplerKind;
pub use spec::{Launch, Objective, Sweep};

/// Returns that lie on one index: those of the windows that most have. Others, of another length or other dates, cannot be compared.
pub(crate) fn comparable(returns: impl Iterator<Item = cambist_search::Returns>) -> Vec<Vec<f64>> {
    let mut groups: std::collections::BTreeMap<(i64, i64, usize), Vec<Vec<f64>>> =
        std::collections::BTreeMap::new();
    for own in returns {
        let key = (own.span.0, own.span.1, own.values.len());
        groups.entry(key).or_default().push(own.values.iter().map(|x| f64::from(*x)).collect());
    }
    groups.into_values().max_by_key(Vec::len).unwrap_or_default()
}
