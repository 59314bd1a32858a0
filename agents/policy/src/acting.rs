//! An agent that acts.

use cambist_core::policy::{ActionMode, Policy, PolicyInput, PolicyOutput};
use cambist_core::rng::{Purpose, Stream};

use crate::actor_critic::{ActorCritic, Outputs, Scratch};
use crate::head::Draws;
use crate::kernels::Instructions;

/// Blocks of its stream a step may take at least; a draw depends on seed, environment and step alone.
const BLOCKS_A_STEP: u64 = 16;

/// An agent at work.
#[derive(Debug, Clone)]
pub struct AgentPolicy {
    agent: ActorCritic,
    mode: ActionMode,
    isa: Instructions,
    seed: u64,
    first_env: u64,
    step: u64,
    outputs: Vec<f32>,
    next_state: Vec<f32>,
    scratch: Scratch,
}

impl AgentPolicy {
    /// Acts for environments from index `first_env` on; draws come from the stream of `seed` and the environment.
    #[must_use]
    pub fn new(agent: ActorCritic, mode: ActionMode, seed: u64, first_env: u64) -> Self {
        let isa = Instructions::detect();
        Self {
            agent,
            mode,
            isa,
            seed,
            first_env,
            step: 0,
            outputs: Vec::new(),
            next_state: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> &ActorCritic {
        &self.agent
    }

    /// Takes over new parameters.
    pub fn set_parameters(&mut self, parameters: &[f32]) {
        self.agent.parameters.copy_from_slice(parameters);
    }

    /// Steps it has acted.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Goes on as if it had acted `steps` steps.
    pub fn seek(&mut self, steps: u64) {
        self.step = steps;
    }

    /// Values `[n]` of observations, seen in `state`; the state stays as it was.
    pub fn values(&mut self, observations: &[f32], state: &[f32], values: &mut [f32]) {
        self.next_state.resize(state.len(), 0.0);
        let outputs = Outputs { head: &mut [], values, next_state: &mut self.next_state };
        self.agent.evaluate(self.isa, observations, state, outputs, &mut self.scratch);
    }
}

impl Policy for AgentPolicy {
    fn state_width(&self) -> usize {
        self.agent.spec().trunk.state_width()
    }

    fn act(&mut self, input: PolicyInput<'_>, output: &mut PolicyOutput<'_>) {
        let head = self.agent.spec().head;
        let n = input.observations.len() / self.agent.spec().observation;
        self.outputs.resize(n * head.width(), 0.0);
        let outputs = Outputs { head: &mut self.outputs, values: output.values, next_state: output.state };
        self.agent.evaluate(self.isa, input.observations, input.state, outputs, &mut self.scratch);
        let mut stream = Stream::new(self.seed, Purpose::Policy, self.first_env);
        stream.seek(self.step * BLOCKS_A_STEP.max(head.width() as u64));
        let draws = (self.mode == ActionMode::Sampled).then_some(Draws(stream));
        head.act(
            self.isa,
            draws,
            &mut self.outputs,
            self.agent.log_deviation(),
            input.mask,
            output.actions,
            output.log_probabilities,
        );
        self.step += 1;
    }
}
