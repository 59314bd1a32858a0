//! A reward of several components: weights that are written, or blended by the probabilities of regimes.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::component::{Component, Memory};
use crate::constraint::DrawdownLimit;

/// Most components of a reward.
pub const MOST_PARTS: usize = 6;

/// A component and its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The component.
    pub component: Component,
    /// Its weight.
    pub weight: f64,
    /// Its weight in each regime, in the model's order; empty for the same in all. Blended by their probabilities at the
    /// decision, so that a switch is as smooth as the filter's belief in it.
    pub by_regime: Vec<f64>,
}

/// The reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Composite {
    /// Components, at most [`MOST_PARTS`].
    pub parts: Vec<Part>,
    /// Factor of the whole.
    pub scale: f64,
    /// Paid, once, when the account is ruined, before the factor: an early end may not be the cheapest way out.
    pub ruin_penalty: f64,
    /// A limit on drawdown.
    pub limit: Option<DrawdownLimit>,
}

/// What a reward remembers of one episode, and what it adds up since it was last asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RewardState {
    memory: [Memory; MOST_PARTS],
    peak: f64,
    drawdown: f64,
    deepest: f64,
    /// Learned between updates; the same in every environment.
    pub multiplier: f64,
    /// Sums over steps: components, weights, cost of the limit, number of steps.
    sums: [f64; 2 * MOST_PARTS + 2],
}

impl Composite {
    /// A state in which nothing has happened, with the multiplier `multiplier`.
    #[must_use]
    pub fn state(&self, multiplier: f64) -> RewardState {
        let mut state = RewardState {
            memory: [[0.0; 3]; MOST_PARTS],
            peak: 0.0,
            drawdown: 0.0,
            deepest: 0.0,
            multiplier,
            sums: [0.0; 2 * MOST_PARTS + 2],
        };
        self.begin(&mut state);
        state
    }

    /// An episode begins; sums and multiplier go on.
    pub fn begin(&self, state: &mut RewardState) {
        for (memory, part) in state.memory.iter_mut().zip(&self.parts) {
            *memory = part.component.begin();
        }
        (state.peak, state.drawdown, state.deepest) = (0.0, 0.0, 0.0);
    }

    /// The reward of `change`, decided under the regimes' `probabilities`, none where they are not known.
    #[inline]
    pub fn of(&self, change: &Change, probabilities: Option<&[f32]>, state: &mut RewardState) -> f64 {
        let mut total = 0.0;
        for (at, part) in self.parts.iter().enumerate() {
            let value = part.component.of(change, &mut state.memory[at]);
            let weight = part.weight_under(probabilities);
            total += weight * value;
            state.sums[at] += value;
            state.sums[MOST_PARTS + at] += weight;
        }
        if change.ruined {
            total -= self.ruin_penalty;
        }
        if let Some(limit) = &self.limit {
            state.peak = state.peak.max(change.before).max(change.after);
            state.drawdown = if state.peak > 0.0 { 1.0 - change.after / state.peak } else { 0.0 };
            let deepest = state.deepest.max(state.drawdown);
            let cost = limit.cost(state.deepest, deepest);
            state.deepest = deepest;
            total -= state.multiplier * cost;
            state.sums[2 * MOST_PARTS] += cost;
        }
        state.sums[2 * MOST_PARTS + 1] += 1.0;
        self.scale * total
    }

    /// Names of the columns an observation needs for what is remembered.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let of_part = |part: &Part| {
            let name = part.component.name();
            part.component.columns().iter().map(move |column| format!("reward.{name}.{column}"))
        };
        let limit =
            self.limit.iter().flat_map(|_| ["reward.drawdown", "reward.deepest", "reward.multiplier"]);
        self.parts.iter().flat_map(of_part).chain(limit.map(str::to_owned)).collect()
    }

    /// Writes those columns, in order.
    pub fn show(&self, state: &RewardState, out: &mut [f32]) {
        let mut at = 0;
        for (part, memory) in self.parts.iter().zip(&state.memory) {
            let n = part.component.columns().len();
            for value in &part.component.shown(memory)[..n] {
                out[at] = value.clamp(-5.0, 5.0) as f32;
                at += 1;
            }
        }
        if let Some(limit) = &self.limit {
            out[at] = (state.drawdown / limit.limit).clamp(-5.0, 5.0) as f32;
            out[at + 1] = (state.deepest / limit.limit).clamp(-5.0, 5.0) as f32;
            out[at + 2] = (state.multiplier / (1.0 + state.multiplier)) as f32;
        }
    }

    /// Names of what [`Composite::drain`] gives: components, their weights, and the limit's cost.
    #[must_use]
    pub fn sum_names(&self) -> Vec<String> {
        let names = || self.parts.iter().map(|part| part.component.name());
        let weights = names().map(|name| format!("weight_{name}"));
        let limit = self.limit.iter().map(|_| "drawdown_cost".to_owned());
        names().map(str::to_owned).chain(weights).chain(limit).collect()
    }

    /// Gives sums over steps in the order of their names, and the number of steps, and begins them anew.
    pub fn drain(&self, state: &mut RewardState, each: &mut dyn FnMut(usize, f64)) -> f64 {
        let n = self.parts.len();
        let places =
            (0..n).chain(MOST_PARTS..MOST_PARTS + n).chain(self.limit.iter().map(|_| 2 * MOST_PARTS));
        for (at, place) in places.enumerate() {
            each(at, state.sums[place]);
        }
        let steps = state.sums[2 * MOST_PARTS + 1];
        state.sums.fill(0.0);
        steps
    }
}

impl Part {
    #[inline]
    fn weight_under(&self, probabilities: Option<&[f32]>) -> f64 {
        match probabilities {
            Some(p) if !self.by_regime.is_empty() => {
                self.by_regime.iter().zip(p).map(|(w, &p)| w * f64::from(p)).sum()
            }
            _ => self.weight,
        }
    }
}
