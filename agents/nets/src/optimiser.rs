//! Adam with the norm's clip, the same for every learner.

use cambist_policy::kernels::{AdamStep, adam, norm};
use cambist_policy::{ActorCritic, Instructions};

use crate::learner::{LearnError, Snapshot, Step, Sums};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-5;

/// Adam's moments (Kingma & Ba 2015).
#[derive(Debug)]
pub(crate) struct Optimiser {
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    pub(crate) n_steps: u64,
}

/// Refuses a loss that is no number, and names the first layer whose gradient is none with it.
pub(crate) fn finite(
    sums: &Sums,
    gradient: &[f32],
    agent: &ActorCritic,
    step: u64,
) -> Result<(), LearnError> {
    if sums.iter().all(|sum| sum.is_finite()) {
        return Ok(());
    }
    let what = match not_finite(gradient, agent) {
        Some(tensor) => format!("loss, and with it the gradient of '{tensor}',"),
        None => "loss, but none of its gradients,".to_owned(),
    };
    Err(LearnError::NotFinite { what, step })
}

/// The first tensor, in the network's order, whose part of `gradient` is not finite.
fn not_finite(gradient: &[f32], agent: &ActorCritic) -> Option<String> {
    let bad = |place: &std::ops::Range<usize>| gradient[place.clone()].iter().any(|g| !g.is_finite());
    agent.spec().tensors().into_iter().find(|(_, _, place)| bad(place)).map(|(name, _, _)| name)
}

impl Optimiser {
    pub(crate) fn new(n: usize) -> Self {
        Self { first_moment: vec![0.0; n], second_moment: vec![0.0; n], n_steps: 0 }
    }

    /// Steps `agent` along `gradient`, and returns its norm before clipping.
    pub(crate) fn step(
        &mut self,
        isa: Instructions,
        step: Step,
        gradient: &[f32],
        agent: &mut ActorCritic,
    ) -> Result<f64, LearnError> {
        let norm = norm(isa, gradient);
        if !norm.is_finite() {
            let tensor = not_finite(gradient, agent);
            let what =
                tensor.map_or("gradient's norm".to_owned(), |tensor| format!("gradient of '{tensor}'"));
            return Err(LearnError::NotFinite { what, step: self.n_steps });
        }
        self.n_steps += 1;
        let largest = f64::from(step.max_norm);
        let scale = if norm > largest { largest / (norm + 1e-6) } else { 1.0 };
        let debias = |beta: f32| 1.0 - libm::pow(f64::from(beta), self.n_steps as f64);
        let numbers = AdamStep {
            scale: scale as f32,
            beta1: BETA1,
            beta2: BETA2,
            rate: (f64::from(step.learning_rate) / debias(BETA1)) as f32,
            second: (1.0 / debias(BETA2).sqrt()) as f32,
            epsilon: EPSILON,
        };
        let parameters = &mut agent.parameters;
        adam(isa, &numbers, gradient, &mut self.first_moment, &mut self.second_moment, parameters);
        Ok(norm)
    }

    pub(crate) fn snapshot(&self, agent: &ActorCritic) -> Snapshot {
        Snapshot {
            parameters: agent.parameters.clone(),
            first_moment: self.first_moment.clone(),
            second_moment: self.second_moment.clone(),
            n_steps: self.n_steps,
        }
    }

    pub(crate) fn restore(&mut self, snapshot: &Snapshot, agent: &mut ActorCritic) {
        agent.parameters.copy_from_slice(&snapshot.parameters);
        self.first_moment.copy_from_slice(&snapshot.first_moment);
        self.second_moment.copy_from_slice(&snapshot.second_moment);
        self.n_steps = snapshot.n_steps;
    }
}
