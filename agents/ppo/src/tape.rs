//! What a rollout leaves behind.

use cambist_core::End;
use cambist_nets::{Experience, Sequences};

use crate::group::{Place, group_baselines};
use crate::ppo::{Trajectories, advantages};

/// A rollout: row `t · n_envs + env`. A row's place does not depend on how many threads collect.
#[derive(Debug, Clone)]
pub struct Tape {
    /// Environments side by side.
    pub n_envs: usize,
    /// `[rows × observation]`.
    pub observations: Vec<f32>,
    /// `[rows × action]`.
    pub actions: Vec<f32>,
    /// `[rows × choices]`: false forbids a choice; empty when nothing ever is.
    pub masks: Vec<bool>,
    /// `[rows]`.
    pub log_probabilities: Vec<f32>,
    /// `[rows]`: V(s_t).
    pub values: Vec<f32>,
    /// `[rows]`.
    pub rewards: Vec<f32>,
    /// `[rows]`.
    pub ends: Vec<End>,
    /// `[rows]`, see [`Trajectories::bootstraps`].
    pub bootstraps: Vec<f32>,
    /// `[n_envs]`, see [`Trajectories::last_values`].
    pub last_values: Vec<f32>,
    /// `[rows]`, once estimated.
    pub advantages: Vec<f32>,
    /// `[n_envs]`: where each stood before the first row; empty when nothing is compared.
    pub places: Vec<Place>,
    /// What the policy's loss compares each advantage with; empty for nothing.
    pub baselines: Vec<f32>,
    /// For policies with memory.
    pub memory: Option<Memory>,
}

/// What a policy with memory needs to be trained.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Steps of a sequence.
    pub length: usize,
    /// Steps before it that bring the state up to date.
    pub burn_in: usize,
    /// Floats of state an environment carries.
    pub width: usize,
    /// `[sequences × state]`, see [`Sequences::states`].
    pub states: Vec<f32>,
    /// `[rows]`, see [`Sequences::fresh`].
    pub fresh: Vec<bool>,
}

/// Shape of a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapeShape {
    /// Environments side by side.
    pub n_envs: usize,
    /// Steps of each.
    pub horizon: usize,
    /// Columns of an observation.
    pub observation: usize,
    /// Floats of an action.
    pub action: usize,
    /// Choices of a masked action; zero when nothing is masked.
    pub mask: usize,
    /// Floats of recurrent state; zero without memory.
    pub state: usize,
    /// Steps of a sequence.
    pub sequence_length: usize,
    /// Steps before it.
    pub burn_in: usize,
    /// Whether advantages are compared within groups.
    pub compared: bool,
}

impl TapeShape {
    /// Bytes a rollout of this shape takes, all in all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rows = self.n_envs * self.horizon;
        // Log probability, value, reward, bootstrap, advantage, with groups its baseline; the end is one byte.
        let row = 4 * (self.observation + self.action + 5 + usize::from(self.compared)) + 1 + self.mask;
        let memory = if self.state == 0 {
            0
        } else {
            rows + 4 * self.state * self.n_envs * (self.horizon / self.sequence_length.max(1))
        };
        let places = if self.compared { size_of::<Place>() * self.n_envs } else { 0 };
        rows * row + 4 * self.n_envs + places + memory
    }
}

impl Tape {
    /// Room for a rollout of `shape`.
    #[must_use]
    pub fn new(shape: TapeShape) -> Self {
        let rows = shape.n_envs * shape.horizon;
        let memory = (shape.state > 0).then(|| Memory {
            length: shape.sequence_length,
            burn_in: shape.burn_in,
            width: shape.state,
            states: vec![0.0; shape.horizon / shape.sequence_length.max(1) * shape.n_envs * shape.state],
            fresh: vec![false; rows],
        });
        Self {
            n_envs: shape.n_envs,
            observations: vec![0.0; rows * shape.observation],
            actions: vec![0.0; rows * shape.action],
            masks: vec![true; rows * shape.mask],
            log_probabilities: vec![0.0; rows],
            values: vec![0.0; rows],
            rewards: vec![0.0; rows],
            ends: vec![End::Running; rows],
            bootstraps: vec![0.0; rows],
            last_values: vec![0.0; shape.n_envs],
            advantages: vec![0.0; rows],
            places: vec![Place::default(); if shape.compared { shape.n_envs } else { 0 }],
            baselines: Vec::with_capacity(if shape.compared { rows } else { 0 }),
            memory,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.rewards.len()
    }

    /// Rows of a sequence: one without memory.
    #[must_use]
    pub fn sequence_length(&self) -> usize {
        self.memory.as_ref().map_or(1, |m| m.length)
    }

    /// Number of sequences: of rows without memory.
    #[must_use]
    pub fn n_sequences(&self) -> usize {
        self.n_rows() / self.sequence_length()
    }

    /// Rows of the sequences `indices`, one sequence after another.
    pub fn rows_of<'a>(&'a self, indices: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        let (n_envs, length) = (self.n_envs, self.sequence_length());
        indices.iter().flat_map(move |&index| {
            let (i, env) = (index as usize / n_envs, index as usize % n_envs);
            (0..length).map(move |step| (i * length + step) * n_envs + env)
        })
    }

    /// What may be chosen in `row`.
    #[must_use]
    pub fn mask(&self, row: usize) -> &[bool] {
        let width = self.masks.len() / self.n_rows().max(1);
        &self.masks[row * width..(row + 1) * width]
    }

    /// The tape as learners take it.
    #[must_use]
    pub fn experience(&self) -> Experience<'_> {
        let sequences = self.memory.as_ref().map(|m| Sequences {
            length: m.length,
            burn_in: m.burn_in,
            states: &m.states,
            fresh: &m.fresh,
        });
        Experience { observations: &self.observations, n_envs: self.n_envs, sequences }
    }

    /// Fills in the advantages, and what they are compared with in groups of `path_group` environments.
    pub fn estimate_advantages(&mut self, gamma: f32, lambda: f32, path_group: usize) {
        let Self {
            values, rewards, ends, bootstraps, last_values, advantages: out, places, baselines, ..
        } = self;
        advantages(&Trajectories { rewards, values, ends, bootstraps, last_values }, gamma, lambda, out);
        group_baselines(out, ends, places, path_group, baselines);
    }

    /// The advantage of `row` as the policy's loss sees it.
    #[inline]
    #[must_use]
    pub fn compared_advantage(&self, row: usize) -> f32 {
        self.advantages[row] - self.baselines.get(row).copied().unwrap_or(0.0)
    }

    /// How much of the returns' variance the values explained; zero when there is none.
    #[must_use]
    pub fn explained_variance(&self) -> f64 {
        let n = self.n_rows() as f64;
        let (mut sums, mut squares) = ([0.0f64; 2], [0.0f64; 2]);
        for (&advantage, &value) in self.advantages.iter().zip(&self.values) {
            for (place, x) in [f64::from(advantage + value), f64::from(advantage)].into_iter().enumerate() {
                sums[place] += x;
                squares[place] += x * x;
            }
        }
        let variance = |place: usize| squares[place] / n - (sums[place] / n) * (sums[place] / n);
        if variance(0) > 0.0 { 1.0 - variance(1) / variance(0) } else { 0.0 }
    }
}
