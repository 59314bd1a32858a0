//! A policy with what it remembers and sees.

use std::sync::Arc;

use cambist_decide::{AccountView, DecisionPath};
use cambist_policy::Runner;

use crate::deployment::{Deployment, DeploymentError};
use crate::market::Market;

/// A policy with what it remembers and sees.
pub(crate) struct Mind {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) path: DecisionPath,
    runner: Runner,
    pub(crate) market: Market,
    features: Vec<f32>,
}

impl Mind {
    pub(crate) fn new(deployment: Arc<Deployment>) -> Result<Self, DeploymentError> {
        let (path, market) = (deployment.path(), Market::new(&deployment)?);
        let runner = Runner::new(deployment.policy.clone(), 1, deployment.action_mode, 0);
        Ok(Self { deployment, path, runner, market, features: Vec::new() })
    }

    /// Observation, action and target for `account`; the memory takes a step.
    pub(crate) fn act(&mut self, account: &AccountView) -> (Vec<f32>, Vec<f32>, f64) {
        let Self { path, runner, market, features, .. } = self;
        let sees = market.features(features);
        let mut observation = vec![0.0; path.observation_spec().width()];
        path.observe(sees.then_some(&features[..]), account, None, &mut observation);
        let mut allowed = vec![true; path.mask_width()];
        path.mask(&mut allowed);
        let mut action = vec![0.0; path.action_spec().width()];
        let regime = market.last().and_then(|seen| seen.regime);
        runner.act_once(&observation, &allowed, regime, &mut action);
        let target = path.target(&action, account.held_target, sees);
        (observation, action, target)
    }
}
