//! What a training writes down to go on later as if it had never stopped: nothing of it depends on the number of threads.

use cambist_core::StateError;
use cambist_nets::Snapshot;
use serde::{Deserialize, Serialize};

use crate::group::Place;
use crate::ppo::PpoConfig;
use crate::rollout::Chunk;
use crate::scaling::RewardScale;
use crate::trainer::Trainer;

/// A training between two updates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    n_done: u64,
    multiplier: f64,
    pace: f32,
    /// As they stand: a population changes them.
    ppo: PpoConfig,
    learner: Snapshot,
    good: Snapshot,
    scale: Option<RewardScale>,
    good_scale: Option<RewardScale>,
    /// Steps the policy has acted.
    steps: u64,
    envs: Vec<EnvState>,
}

/// One environment and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EnvState {
    /// As it wrote it itself.
    state: Vec<u8>,
    /// What it shows now.
    observation: Vec<f32>,
    /// What the policy remembers of it.
    memory: Vec<f32>,
    /// Whether an episode begins with what it shows.
    fresh: bool,
    /// Of the episode so far.
    total_return: f64,
    place: Place,
}

impl TrainerState {
    /// Updates done.
    #[must_use]
    pub fn n_done(&self) -> u64 {
        self.n_done
    }

    /// Refuses a state that does not fit `trainer`, or holds what is no number.
    fn check(&self, trainer: &Trainer) -> Result<(), StateError> {
        let here = trainer.learner.snapshot();
        StateError::fits("the number of environments", self.envs.len(), trainer.spec.n_envs)?;
        let (kept, wanted) = (&self.learner, here.parameters.len());
        for snapshot in [kept, &self.good] {
            let Snapshot { parameters, first_moment, second_moment, .. } = snapshot;
            for (what, found) in [
                ("the number of weights", parameters),
                ("the number of first moments", first_moment),
                ("the number of second moments", second_moment),
            ] {
                StateError::fits(what, found.len(), wanted)?;
                if let Some(place) = found.iter().position(|x| !x.is_finite()) {
                    let reason = format!("entry {place} of {what} is {}", found[place]);
                    return Err(StateError::Unreadable { what: "a training", reason });
                }
            }
        }
        let scaled = |scale: &Option<RewardScale>| scale.as_ref().map_or(0, RewardScale::n_envs);
        StateError::fits("environments of the reward's scale", scaled(&self.scale), scaled(&trainer.scale))?;
        let done = self.n_done;
        if done > trainer.spec.n_updates || !(self.pace.is_finite() && self.multiplier.is_finite()) {
            let reason = format!("{done} of {} updates, at pace {}", trainer.spec.n_updates, self.pace);
            return Err(StateError::Unreadable { what: "a training", reason });
        }
        Ok(())
    }
}

impl Trainer {
    /// What must be written down to go on later.
    ///
    /// # Errors
    /// When an environment keeps no state.
    pub fn state(&self) -> Result<TrainerState, StateError> {
        let mut envs = Vec::with_capacity(self.spec.n_envs);
        for chunk in &self.chunks {
            chunk.save(&mut envs)?;
        }
        Ok(TrainerState {
            n_done: self.n_done,
            multiplier: self.multiplier,
            pace: self.pace,
            ppo: self.spec.ppo,
            learner: self.learner.snapshot(),
            good: self.good.clone(),
            scale: self.scale.clone(),
            good_scale: self.good_scale.clone(),
            steps: self.chunks.first().map_or(0, Chunk::steps),
            envs,
        })
    }

    /// Goes on from `state`, on any number of threads.
    ///
    /// # Errors
    /// When it is of another training, or damaged; this one must then not go on.
    pub fn restore(&mut self, state: TrainerState) -> Result<(), StateError> {
        state.check(self)?;
        let mut envs = state.envs.iter();
        for chunk in &mut self.chunks {
            chunk.load(&mut envs, state.steps)?;
        }
        self.learner.restore(&state.learner);
        self.set_ppo(state.ppo);
        (self.good, self.good_scale, self.scale) = (state.good, state.good_scale, state.scale);
        (self.n_done, self.multiplier, self.pace) = (state.n_done, state.multiplier, state.pace);
        Ok(())
    }
}

impl Chunk {
    fn save(&self, out: &mut Vec<EnvState>) -> Result<(), StateError> {
        let n = self.env.n_envs();
        let (width, memory) = (self.observations.len() / n.max(1), self.state.len() / n.max(1));
        for index in 0..n {
            let mut state = Vec::new();
            self.env.save_env(index, &mut state)?;
            out.push(EnvState {
                state,
                observation: self.observations[index * width..(index + 1) * width].to_vec(),
                memory: self.state[index * memory..(index + 1) * memory].to_vec(),
                fresh: self.fresh[index],
                total_return: self.returns[index],
                place: self.places[index],
            });
        }
        Ok(())
    }

    fn load<'a>(
        &mut self,
        envs: &mut impl Iterator<Item = &'a EnvState>,
        steps: u64,
    ) -> Result<(), StateError> {
        let n = self.env.n_envs();
        let (width, memory) = (self.observations.len() / n.max(1), self.state.len() / n.max(1));
        for (index, kept) in envs.take(n).enumerate() {
            StateError::fits("the observation's width", kept.observation.len(), width)?;
            StateError::fits("the policy's memory", kept.memory.len(), memory)?;
            if kept.observation.iter().chain(&kept.memory).any(|x| !x.is_finite()) {
                let reason = "an observation holds what is no number".to_owned();
                return Err(StateError::Unreadable { what: "an environment", reason });
            }
            self.env.load_env(index, &kept.state)?;
            self.observations[index * width..(index + 1) * width].copy_from_slice(&kept.observation);
            self.state[index * memory..(index + 1) * memory].copy_from_slice(&kept.memory);
            (self.fresh[index], self.returns[index], self.places[index]) =
                (kept.fresh, kept.total_return, kept.place);
        }
        self.policy.seek(steps);
        Ok(())
    }

    fn steps(&self) -> u64 {
        self.policy.steps()
    }
}
