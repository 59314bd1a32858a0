//! What a training leaves: one network, or several that act as one. Whatever runs a policy runs either.

use cambist_core::BatchedEnv;
use cambist_core::policy::{ActionMode, Policy, PolicyInput, PolicyOutput};
use serde::{Deserialize, Serialize};

use crate::acting::AgentPolicy;
use crate::actor_critic::{ActorCritic, ActorCriticSpec};
use crate::ensemble::{Ensemble, EnsemblePolicy, EnsembleSpec};

/// Shape of a trained policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PolicySpec {
    /// One network.
    Single(ActorCriticSpec),
    /// Several.
    Ensemble(EnsembleSpec),
}

impl PolicySpec {
    /// Columns of an observation.
    #[must_use]
    pub fn observation(&self) -> usize {
        match self {
            Self::Single(spec) => spec.observation,
            Self::Ensemble(spec) => spec.members.first().map_or(0, |member| member.network.observation),
        }
    }
}

/// A trained policy.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainedPolicy {
    /// One network.
    Single(ActorCritic),
    /// Several.
    Ensemble(Ensemble),
}

impl From<ActorCritic> for TrainedPolicy {
    fn from(agent: ActorCritic) -> Self {
        Self::Single(agent)
    }
}

impl TrainedPolicy {
    /// Its shape.
    #[must_use]
    pub fn spec(&self) -> PolicySpec {
        match self {
            Self::Single(agent) => PolicySpec::Single(agent.spec().clone()),
            Self::Ensemble(ensemble) => PolicySpec::Ensemble(ensemble.spec().clone()),
        }
    }

    /// Its networks: one, or an ensemble's members.
    #[must_use]
    pub fn networks(&self) -> &[ActorCritic] {
        match self {
            Self::Single(agent) => std::slice::from_ref(agent),
            Self::Ensemble(ensemble) => ensemble.members(),
        }
    }
}

/// A trained policy that acts.
#[derive(Debug, Clone)]
enum Acting {
    Single(Box<AgentPolicy>),
    Ensemble(Box<EnsemblePolicy>),
}

impl Acting {
    fn policy(&mut self) -> &mut dyn Policy {
        match self {
            Self::Single(policy) => policy.as_mut(),
            Self::Ensemble(policy) => policy.as_mut(),
        }
    }
}

/// A policy with its memory, as backtests, judges and live trading run it.
#[derive(Debug, Clone)]
pub struct Runner {
    policy: Acting,
    width: usize,
    state: Vec<f32>,
    next_state: Vec<f32>,
    log_probabilities: Vec<f32>,
    allowed: Vec<bool>,
    regimes: Vec<Option<u8>>,
}

impl Runner {
    /// `policy` taking its most probable actions in `n_envs` environments, remembering nothing.
    #[must_use]
    pub fn greedy(policy: impl Into<TrainedPolicy>, n_envs: usize) -> Self {
        Self::new(policy, n_envs, ActionMode::Greedy, 0)
    }

    /// `policy` acting by `mode` in `n_envs` environments, its draws from `seed`, remembering nothing.
    #[must_use]
    pub fn new(policy: impl Into<TrainedPolicy>, n_envs: usize, mode: ActionMode, seed: u64) -> Self {
        let mut policy = match policy.into() {
            TrainedPolicy::Single(agent) => Acting::Single(Box::new(AgentPolicy::new(agent, mode, seed, 0))),
            TrainedPolicy::Ensemble(ensemble) => {
                Acting::Ensemble(Box::new(EnsemblePolicy::new(ensemble, mode, seed, 0)))
            }
        };
        let width = policy.policy().state_width();
        let state = vec![0.0; n_envs * width];
        Self {
            next_state: state.clone(),
            log_probabilities: vec![0.0; n_envs],
            allowed: Vec::new(),
            regimes: vec![None; n_envs],
            policy,
            width,
            state,
        }
    }

    /// An action for every environment of `env`, which shows `observations`, and a step of the memory.
    pub fn act_in(&mut self, env: &dyn BatchedEnv, observations: &[f32], actions: &mut [f32]) {
        self.allowed.resize(env.n_envs() * env.mask_width(), true);
        env.masks(&mut self.allowed);
        env.regimes(&mut self.regimes);
        self.step(observations, actions);
    }

    /// The same for one environment, or a live account: `allowed` choices, empty where all are, in `regime`.
    pub fn act_once(
        &mut self,
        observation: &[f32],
        allowed: &[bool],
        regime: Option<u8>,
        actions: &mut [f32],
    ) {
        self.allowed.clear();
        self.allowed.extend_from_slice(allowed);
        self.regimes.fill(regime);
        self.step(observation, actions);
    }

    /// What it remembers, `[n_envs × width]`.
    #[must_use]
    pub fn memory(&self) -> &[f32] {
        &self.state
    }

    /// Goes on from `memory`; false, and nothing is done, where it is not of the policy's width.
    pub fn remember(&mut self, memory: &[f32]) -> bool {
        let fits = memory.len() == self.state.len();
        if fits {
            self.state.copy_from_slice(memory);
        }
        fits
    }

    /// The same where every choice is open, and nobody knows of regimes.
    pub fn act(&mut self, observations: &[f32], actions: &mut [f32]) {
        self.allowed.clear();
        self.regimes.fill(None);
        self.step(observations, actions);
    }

    fn step(&mut self, observations: &[f32], actions: &mut [f32]) {
        let input = PolicyInput {
            observations,
            mask: (!self.allowed.is_empty()).then_some(&self.allowed),
            state: &self.state,
            regimes: &self.regimes,
        };
        let mut output = PolicyOutput {
            actions,
            log_probabilities: &mut self.log_probabilities,
            values: &mut [],
            state: &mut self.next_state,
        };
        self.policy.policy().act(input, &mut output);
        std::mem::swap(&mut self.state, &mut self.next_state);
    }

    /// Environment `env` begins anew: so does its memory.
    pub fn forget(&mut self, env: usize) {
        self.state[env * self.width..(env + 1) * self.width].fill(0.0);
    }
}
