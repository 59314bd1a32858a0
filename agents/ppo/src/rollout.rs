//! Collecting experience: each thread owns its environments for the whole horizon, and environments and policy write
//! straight into the thread's part of the tape.

use std::time::Duration;

use cambist_core::clock::Clock;
use cambist_core::env::StepBuffers;
use cambist_core::policy::{Policy, PolicyInput, PolicyOutput};
use cambist_core::{BatchedEnv, End};
use cambist_policy::AgentPolicy;

use crate::group::Place;
use crate::tape::Tape;

/// Sums over the episodes that ended in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EpisodeSums {
    /// How many.
    pub n: usize,
    /// How many of them terminated.
    pub n_terminated: usize,
    /// Sum of their undiscounted returns.
    pub total_return: f64,
    /// Sum of their lengths.
    pub total_length: f64,
}

impl EpisodeSums {
    /// Adds those of others.
    pub fn add(&mut self, others: &Self) {
        self.n += others.n;
        self.n_terminated += others.n_terminated;
        self.total_return += others.total_return;
        self.total_length += others.total_length;
    }
}

/// The environments of one thread, with the policy that acts in them.
pub struct Chunk {
    pub(crate) env: Box<dyn BatchedEnv>,
    pub(crate) policy: AgentPolicy,
    /// What the environments show now.
    pub(crate) observations: Vec<f32>,
    terminal_observations: Vec<f32>,
    /// Whether an episode begins with what they show.
    pub(crate) fresh: Vec<bool>,
    pub(crate) state: Vec<f32>,
    next_state: Vec<f32>,
    /// States at the sequences' beginnings, of this rollout.
    states: Vec<f32>,
    last_values: Vec<f32>,
    pub(crate) returns: Vec<f64>,
    pub(crate) places: Vec<Place>,
    /// Of each environment.
    episodes: Vec<EpisodeSums>,
    in_env: Duration,
}

/// A chunk's rows of one step in time.
struct Part<'a> {
    observations: &'a mut [f32],
    actions: &'a mut [f32],
    masks: &'a mut [bool],
    log_probabilities: &'a mut [f32],
    values: &'a mut [f32],
    rewards: &'a mut [f32],
    ends: &'a mut [End],
    bootstraps: &'a mut [f32],
    fresh: &'a mut [bool],
}

/// How sequences are cut: length and burn-in.
type Cut = Option<(usize, usize)>;

impl Chunk {
    /// The environments.
    pub(crate) fn env(&mut self) -> &mut dyn BatchedEnv {
        self.env.as_mut()
    }

    /// Starts `env`'s episodes from `seed`.
    #[must_use]
    pub fn new(mut env: Box<dyn BatchedEnv>, policy: AgentPolicy, seed: u64) -> Self {
        let n = env.n_envs();
        let mut observations = vec![0.0; n * env.observation_spec().width()];
        env.reset(seed, &mut observations);
        let state = vec![0.0; n * policy.state_width()];
        Self {
            terminal_observations: vec![0.0; observations.len()],
            fresh: vec![true; n],
            next_state: state.clone(),
            states: Vec::new(),
            last_values: vec![0.0; n],
            returns: vec![0.0; n],
            places: vec![Place::default(); n],
            episodes: vec![EpisodeSums::default(); n],
            in_env: Duration::ZERO,
            env,
            policy,
            observations,
            state,
        }
    }

    /// Begins every episode anew from `seed`, remembering nothing.
    pub fn restart(&mut self, seed: u64) {
        self.env.reset(seed, &mut self.observations);
        self.fresh.fill(true);
        self.state.fill(0.0);
        self.returns.fill(0.0);
        self.places.fill(Place::default());
    }

    fn collect(&mut self, parameters: &[f32], parts: &mut [Part<'_>], cut: Cut, clock: &dyn Clock) {
        self.policy.set_parameters(parameters);
        self.episodes.fill(EpisodeSums::default());
        self.in_env = Duration::ZERO;
        self.states.clear();
        if let Some(first) = parts.first_mut() {
            first.observations.copy_from_slice(&self.observations);
        }
        for t in 0..parts.len() {
            let (past, future) = parts.split_at_mut(t + 1);
            let Some(now) = past.last_mut() else { return };
            self.note_state(t, cut);
            self.act(now);
            let observations =
                future.first_mut().map_or(&mut self.observations[..], |next| &mut *next.observations);
            let mut out = StepBuffers {
                observations,
                rewards: now.rewards,
                ends: now.ends,
                terminal_observations: &mut self.terminal_observations,
            };
            let begun = clock.elapsed();
            self.env.step(now.actions, &mut out);
            self.in_env += clock.elapsed().saturating_sub(begun);
            for env in 0..now.ends.len() {
                self.finish(env, now);
            }
            std::mem::swap(&mut self.state, &mut self.next_state);
        }
        self.policy.values(&self.observations, &self.state, &mut self.last_values);
    }

    /// Keeps the state of every sequence whose burn-in begins at `t`.
    fn note_state(&mut self, t: usize, cut: Cut) {
        let Some((length, burn_in)) = cut else { return };
        // Sequence i begins at i·length, its burn-in min(burn_in, i·length) before.
        let n = if t == 0 { burn_in / length + 1 } else { usize::from((t + burn_in).is_multiple_of(length)) };
        for _ in 0..n {
            self.states.extend_from_slice(&self.state);
        }
    }

    fn act(&mut self, now: &mut Part<'_>) {
        now.fresh.copy_from_slice(&self.fresh[..now.fresh.len()]);
        self.env.masks(now.masks);
        let input = PolicyInput {
            observations: now.observations,
            mask: (!now.masks.is_empty()).then_some(&*now.masks),
            state: &self.state,
            // A network in training sees what its observation shows.
            regimes: &[],
        };
        let mut output = PolicyOutput {
            actions: now.actions,
            log_probabilities: now.log_probabilities,
            values: now.values,
            state: &mut self.next_state,
        };
        self.policy.act(input, &mut output);
    }

    /// Books the step of `env`: an ended episode leaves its sums, the value to bootstrap from when it was truncated, and
    /// an empty memory.
    fn finish(&mut self, env: usize, now: &mut Part<'_>) {
        self.returns[env] += f64::from(now.rewards[env]);
        let end = now.ends[env];
        let length = self.places[env].step + 1;
        self.places[env].advance(end);
        self.fresh[env] = end != End::Running;
        if end == End::Running {
            return;
        }
        let episodes = &mut self.episodes[env];
        episodes.n += 1;
        episodes.n_terminated += usize::from(end == End::Terminated);
        episodes.total_return += self.returns[env];
        episodes.total_length += length as f64;
        self.returns[env] = 0.0;
        let (width, memory) = (self.env.observation_spec().width(), self.policy.state_width());
        let state = &mut self.next_state[env * memory..(env + 1) * memory];
        if end == End::Truncated {
            let last = &self.terminal_observations[env * width..(env + 1) * width];
            self.policy.values(last, state, &mut now.bootstraps[env..=env]);
        }
        state.fill(0.0);
    }
}

/// Fills `tape`, one thread a chunk. Returns the sums over ended episodes, and the mean time a thread spent in its
/// environments.
pub fn collect(
    chunks: &mut [Chunk],
    parameters: &[f32],
    tape: &mut Tape,
    clock: &dyn Clock,
) -> (EpisodeSums, Duration) {
    let sizes: Vec<usize> = chunks.iter().map(|c| c.env.n_envs()).collect();
    let places = chunks.iter().flat_map(|chunk| &chunk.places);
    tape.places.iter_mut().zip(places).for_each(|(to, from)| *to = *from);
    let cut = tape.memory.as_ref().map(|m| (m.length, m.burn_in));
    let mut parts = parts(tape, &sizes);
    std::thread::scope(|scope| {
        let mut work = chunks.iter_mut().zip(&mut parts);
        let mine = work.next();
        for (chunk, parts) in work {
            scope.spawn(move || chunk.collect(parameters, parts, cut, clock));
        }
        // The calling thread works too.
        if let Some((chunk, parts)) = mine {
            chunk.collect(parameters, parts, cut, clock);
        }
    });
    let mut sums = EpisodeSums::default();
    let (mut first, mut in_env, n_chunks) = (0, Duration::ZERO, chunks.len() as u32);
    for chunk in chunks {
        in_env += chunk.in_env;
        // Environment by environment, so that the number of chunks changes no bit.
        chunk.episodes.iter().for_each(|own| sums.add(own));
        let n = chunk.env.n_envs();
        tape.last_values[first..first + n].copy_from_slice(&chunk.last_values);
        if let Some(memory) = &mut tape.memory {
            let (own, all) = (n * memory.width, tape.n_envs * memory.width);
            for (from, to) in chunk.states.chunks_exact(own).zip(memory.states.chunks_exact_mut(all)) {
                to[first * memory.width..first * memory.width + own].copy_from_slice(from);
            }
        }
        first += n;
    }
    (sums, in_env / n_chunks.max(1))
}

/// The tape, cut by chunk and then by step.
fn parts<'a>(tape: &'a mut Tape, sizes: &[usize]) -> Vec<Vec<Part<'a>>> {
    let (n_rows, n_envs) = (tape.n_rows().max(1), tape.n_envs);
    let mut fresh = tape.memory.as_mut().map_or(&mut [][..], |m| &mut m.fresh);
    let widths = (tape.observations.len() / n_rows, tape.actions.len() / n_rows, tape.masks.len() / n_rows);
    let (mut observations, mut actions, mut masks) =
        (&mut tape.observations[..], &mut tape.actions[..], &mut tape.masks[..]);
    let (mut log_probabilities, mut values) = (&mut tape.log_probabilities[..], &mut tape.values[..]);
    let (mut rewards, mut ends, mut bootstraps) =
        (&mut tape.rewards[..], &mut tape.ends[..], &mut tape.bootstraps[..]);
    let mut out: Vec<Vec<Part<'a>>> = sizes.iter().map(|_| Vec::new()).collect();
    let has_memory = usize::from(!fresh.is_empty());
    for _ in 0..n_rows / n_envs.max(1) {
        for (&n, parts) in sizes.iter().zip(&mut out) {
            parts.push(Part {
                observations: cut(&mut observations, n * widths.0),
                actions: cut(&mut actions, n * widths.1),
                masks: cut(&mut masks, n * widths.2),
                log_probabilities: cut(&mut log_probabilities, n),
                values: cut(&mut values, n),
                rewards: cut(&mut rewards, n),
                ends: cut(&mut ends, n),
                bootstraps: cut(&mut bootstraps, n),
                fresh: cut(&mut fresh, n * has_memory),
            });
        }
    }
    out
}

/// Cuts off the first `n`.
fn cut<'a, T>(slice: &mut &'a mut [T], n: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(slice).split_at_mut(n);
    *slice = tail;
    head
}
