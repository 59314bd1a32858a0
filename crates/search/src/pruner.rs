//! Whether a trial is worth going on with. The rules are those of the `optimizer` crate; values are turned so that small is good.

use optimizer::Direction as Way;
use optimizer::pruner::{
    HyperbandPruner, MedianPruner, NopPruner, Pruner, SuccessiveHalvingPruner, WilcoxonPruner,
};
use optimizer::sampler::CompletedTrial;
use serde::{Deserialize, Serialize};

use crate::library::bare;
use crate::trial::{Direction, State, Trial};

/// Which rule ends trials early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrunerKind {
    /// None.
    #[default]
    None,
    /// Worse than the median of finished trials at the same step.
    Median,
    /// Asynchronous successive halving (Li et al. 2020).
    Asha,
    /// Hyperband (Li et al. 2018).
    Hyperband,
    /// Worse than the best by a signed-rank test (Wilcoxon 1945).
    Wilcoxon,
}

/// When rules begin to rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grace {
    /// Finished trials before any is ended early.
    pub trials: usize,
    /// Reports of a trial before it may be.
    pub steps: u64,
    /// Reports of a whole trial.
    pub of: u64,
}

impl PrunerKind {
    /// Whether `trial`, one of `trials`, is to be ended after its last report.
    #[must_use]
    pub fn prunes(self, grace: Grace, direction: Direction, trial: &Trial, trials: &[Trial]) -> bool {
        let Some((step, _)) = trial.last_report() else { return false };
        let reports = |t: &Trial| -> Vec<(u64, f64)> {
            t.intermediate.iter().map(|(step, value)| (*step, direction.loss(*value))).collect()
        };
        let told = |t: &Trial| {
            let value = t.values.first().map_or(f64::INFINITY, |v| direction.loss(*v));
            let mut told = bare(t.number, value);
            told.intermediate_values = reports(t);
            told.state = if t.state == State::Complete {
                optimizer::TrialState::Complete
            } else {
                optimizer::TrialState::Pruned
            };
            told
        };
        let others: Vec<CompletedTrial> =
            trials.iter().filter(|t| t.id != trial.id && t.state.counts()).map(told).collect();
        if self == Self::None
            || others.len() < grace.trials
            || (trial.intermediate.len() as u64) < grace.steps
        {
            return false;
        }
        let rule: Box<dyn Pruner> = match self {
            Self::None => Box::new(NopPruner),
            Self::Median => Box::new(MedianPruner::new(Way::Minimize).n_warmup_steps(0).n_min_trials(1)),
            Self::Asha => Box::new(
                SuccessiveHalvingPruner::new()
                    .min_resource(grace.steps.max(1))
                    .max_resource(grace.of.max(grace.steps + 1))
                    .reduction_factor(3)
                    .direction(Way::Minimize),
            ),
            Self::Hyperband => Box::new(
                HyperbandPruner::new()
                    .min_resource(grace.steps.max(1))
                    .max_resource(grace.of.max(grace.steps + 1))
                    .reduction_factor(3)
                    .direction(Way::Minimize),
            ),
            Self::Wilcoxon => Box::new(WilcoxonPruner::new(Way::Minimize).p_value_threshold(0.1)),
        };
        rule.should_prune(trial.number, step, &reports(trial), &others)
    }
}
