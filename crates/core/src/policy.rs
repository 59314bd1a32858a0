//! The contract of a policy: observations in, actions out. Recurrent state and masks are part of it from the start.

/// What a policy is asked, row-major, one row an environment.
#[derive(Debug, Clone, Copy)]
pub struct PolicyInput<'a> {
    /// `[n × observation]`, raw: the policy applies its own normaliser.
    pub observations: &'a [f32],
    /// `[n × choices]`, for discrete actions: false forbids a choice. At least one a row must be true.
    pub mask: Option<&'a [bool]>,
    /// `[n × state width]`; empty for a policy without memory.
    pub state: &'a [f32],
    /// `[n]`: the market's regime as it is known now, none before it is; empty where nobody asks which it is.
    pub regimes: &'a [Option<u8>],
}

/// Where a policy answers.
#[derive(Debug)]
pub struct PolicyOutput<'a> {
    /// `[n × action width]`.
    pub actions: &'a mut [f32],
    /// `[n]`: natural logarithm of the probability (density) of each action.
    pub log_probabilities: &'a mut [f32],
    /// `[n]`: expected discounted return.
    pub values: &'a mut [f32],
    /// `[n × state width]`: the state after this observation.
    pub state: &'a mut [f32],
}

/// How an action is taken from a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionMode {
    /// The most probable action.
    Greedy,
    /// A draw from the distribution.
    Sampled,
}

/// A policy.
pub trait Policy: Send {
    /// Floats of recurrent state an environment carries; zero without memory.
    fn state_width(&self) -> usize;
    /// Chooses actions for every row of `input`.
    fn act(&mut self, input: PolicyInput<'_>, output: &mut PolicyOutput<'_>);
}
