//! A conformance check that every environment can be put through, ours and yours.

use crate::env::{ActionSpec, BatchedEnv, End, StepStorage};
use crate::rng::{Purpose, Stream};

/// What [`check_env`] saw.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvReport {
    /// Environments side by side.
    pub n_envs: usize,
    /// Floats in an observation.
    pub observation_width: usize,
    /// Steps taken in each environment.
    pub n_steps: usize,
    /// Episodes that reached an end of their own.
    pub n_terminated: usize,
    /// Episodes that were cut off.
    pub n_truncated: usize,
    /// Smallest and largest reward seen.
    pub reward_range: (f32, f32),
    /// Largest absolute observation seen.
    pub observation_bound: f32,
}

/// How an environment breaks the contract.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EnvFault {
    /// Environments or columns are missing.
    #[error(
        "the environment has {n_envs} episodes and observations of {width} columns: both must be at least 1"
    )]
    Shape {
        /// Episodes.
        n_envs: usize,
        /// Columns.
        width: usize,
    },
    /// An observation or reward is not a number.
    #[error("{what} of environment {env}, column '{column}', is {value} at step {step}: it must be finite")]
    NotFinite {
        /// Observation, terminal observation or reward.
        what: &'static str,
        /// Which environment.
        env: usize,
        /// Which column.
        column: String,
        /// What was found.
        value: f32,
        /// At which step; 0 is the reset.
        step: usize,
    },
    /// Two runs from one seed differ.
    #[error(
        "two runs from seed {seed} with the same actions differ in {what} at step {step}: every draw must come from the seed"
    )]
    NotDeterministic {
        /// The seed.
        seed: u64,
        /// What differs.
        what: &'static str,
        /// At which step; 0 is the reset.
        step: usize,
    },
    /// An ended episode left no terminal observation.
    #[error("environment {env} ended at step {step} and wrote no terminal observation")]
    NoTerminalObservation {
        /// Which environment.
        env: usize,
        /// At which step.
        step: usize,
    },
}

/// Runs `make()`'s environment twice from `seed` with the same random actions for `n_steps` and compares, checking
/// shapes, finiteness, determinism from the seed and the discipline of ends.
///
/// # Errors
/// The first [`EnvFault`] found.
pub fn check_env(
    make: &dyn Fn() -> Box<dyn BatchedEnv>,
    seed: u64,
    n_steps: usize,
) -> Result<EnvReport, EnvFault> {
    let (mut first, mut second) = (make(), make());
    let (n_envs, width) = (first.n_envs(), first.observation_spec().width());
    if n_envs == 0 || width == 0 {
        return Err(EnvFault::Shape { n_envs, width });
    }
    let mut report = EnvReport {
        n_envs,
        observation_width: width,
        n_steps,
        n_terminated: 0,
        n_truncated: 0,
        reward_range: (f32::INFINITY, f32::NEG_INFINITY),
        observation_bound: 0.0,
    };
    let names = first.observation_spec().names.clone();
    let (mut a, mut b) = (StepStorage::for_env(first.as_ref()), StepStorage::for_env(second.as_ref()));
    first.reset(seed, &mut a.observations);
    // A used environment must start from the seed alone, so the second one has lived before.
    second.reset(seed ^ 0x5DEE_CE66, &mut b.observations);
    second.step(&vec![0.0; n_envs * second.action_spec().width()], &mut b.buffers());
    b = StepStorage::for_env(second.as_ref());
    second.reset(seed, &mut b.observations);
    same(&a, &b, seed, 0)?;
    finite("the observation", &a.observations, &names, 0, &mut report)?;

    let mut stream = Stream::new(seed, Purpose::Check, 0);
    let mut actions = vec![0.0; n_envs * first.action_spec().width()];
    for step in 1..=n_steps {
        draw_actions(first.action_spec(), &mut stream, &mut actions);
        for storage in [&mut a, &mut b] {
            storage.terminal_observations.fill(f32::NAN);
        }
        first.step(&actions, &mut a.buffers());
        second.step(&actions, &mut b.buffers());
        same(&a, &b, seed, step)?;
        finite("the observation", &a.observations, &names, step, &mut report)?;
        rewards_and_ends(&a, &names, step, &mut report)?;
    }
    Ok(report)
}

fn draw_actions(spec: ActionSpec, stream: &mut Stream, actions: &mut [f32]) {
    for action in actions {
        *action = match spec {
            ActionSpec::Discrete { n } => stream.index(n) as f32,
            ActionSpec::Continuous { low, high, .. } | ActionSpec::Band { low, high } => {
                low + (high - low) * stream.uniform_f32()
            }
        };
    }
}

fn same(a: &StepStorage, b: &StepStorage, seed: u64, step: usize) -> Result<(), EnvFault> {
    let bits = |x: &[f32], y: &[f32]| x.iter().map(|v| v.to_bits()).eq(y.iter().map(|v| v.to_bits()));
    let checks = [
        ("observations", bits(&a.observations, &b.observations)),
        ("rewards", bits(&a.rewards, &b.rewards)),
        ("ends", a.ends == b.ends),
        ("terminal observations", bits(&a.terminal_observations, &b.terminal_observations)),
    ];
    match checks.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(EnvFault::NotDeterministic { seed, what, step }),
        None => Ok(()),
    }
}

fn finite(
    what: &'static str,
    rows: &[f32],
    names: &[String],
    step: usize,
    report: &mut EnvReport,
) -> Result<(), EnvFault> {
    for (index, &value) in rows.iter().enumerate() {
        if !value.is_finite() {
            let (env, column) = (index / names.len(), names[index % names.len()].clone());
            return Err(EnvFault::NotFinite { what, env, column, value, step });
        }
        report.observation_bound = report.observation_bound.max(value.abs());
    }
    Ok(())
}

fn rewards_and_ends(
    storage: &StepStorage,
    names: &[String],
    step: usize,
    report: &mut EnvReport,
) -> Result<(), EnvFault> {
    let width = names.len();
    for (env, (&reward, &end)) in storage.rewards.iter().zip(&storage.ends).enumerate() {
        if !reward.is_finite() {
            let column = "reward".to_owned();
            return Err(EnvFault::NotFinite { what: "the reward", env, column, value: reward, step });
        }
        report.reward_range = (report.reward_range.0.min(reward), report.reward_range.1.max(reward));
        match end {
            End::Running => continue,
            End::Terminated => report.n_terminated += 1,
            End::Truncated => report.n_truncated += 1,
        }
        let row = &storage.terminal_observations[env * width..(env + 1) * width];
        if row.iter().all(|v| v.is_nan()) {
            return Err(EnvFault::NoTerminalObservation { env, step });
        }
        finite("the terminal observation", row, names, step, report)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{ObservationSpec, StepBuffers};

    /// Counts steps; `fault` plants one break of the contract.
    struct Counter {
        spec: ObservationSpec,
        count: f32,
        life: f32,
        fault: &'static str,
    }

    impl BatchedEnv for Counter {
        fn n_envs(&self) -> usize {
            1
        }
        fn observation_spec(&self) -> &ObservationSpec {
            &self.spec
        }
        fn action_spec(&self) -> ActionSpec {
            ActionSpec::Discrete { n: 2 }
        }
        fn reset(&mut self, _seed: u64, observations: &mut [f32]) {
            self.count = if self.fault == "memory" { self.life } else { 0.0 };
            observations[0] = self.count;
        }
        fn step(&mut self, _actions: &[f32], out: &mut StepBuffers<'_>) {
            self.count += 1.0;
            self.life += 1.0;
            out.rewards[0] = if self.fault == "reward" && self.count > 3.0 { f32::NAN } else { 1.0 };
            out.ends[0] = End::Running;
            if self.count >= 5.0 {
                out.ends[0] = End::Truncated;
                if self.fault != "terminal" {
                    out.terminal_observations[0] = self.count;
                }
                self.count = 0.0;
            }
            out.observations[0] = if self.fault == "nan" { f32::NAN } else { self.count };
        }
    }

    fn run(fault: &'static str) -> Result<EnvReport, EnvFault> {
        let spec = ObservationSpec { names: vec!["count".into()] };
        check_env(&move || Box::new(Counter { spec: spec.clone(), count: 0.0, life: 0.0, fault }), 1, 20)
    }

    #[test]
    fn a_sound_environment_passes() {
        let report = run("").unwrap();
        assert_eq!((report.n_truncated, report.n_terminated, report.reward_range), (4, 0, (1.0, 1.0)));
    }

    #[test]
    fn each_planted_fault_is_found() {
        assert!(matches!(run("memory"), Err(EnvFault::NotDeterministic { step: 0, .. })));
        assert!(matches!(run("reward"), Err(EnvFault::NotFinite { what: "the reward", step: 4, .. })));
        assert!(matches!(run("nan"), Err(EnvFault::NotFinite { what: "the observation", step: 1, .. })));
        assert!(matches!(run("terminal"), Err(EnvFault::NoTerminalObservation { step: 5, .. })));
    }
}
