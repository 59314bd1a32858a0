//! What a step is worth.

use std::sync::Arc;

use cambist_decide::{AccountView, Change, Composite, RewardState};

/// Equity below this share of its start counts as this share, so that the reward of ruin is finite.
const FLOOR: f64 = 1e-3;

/// The reward of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Reward {
    /// `scale · ln(equity after / equity before)`.
    LogEquity {
        /// Factor.
        scale: f64,
    },
    /// `scale · (Δequity / stake − risk_aversion · (position value / stake)²)`, where the stake is a fixed share of the
    /// initial equity: simple returns, with a price on risk.
    Simple {
        /// Factor.
        scale: f64,
        /// The stake over the initial equity.
        stake: f64,
        /// λ.
        risk_aversion: f64,
    },
    /// Components with weights, with what they remember.
    Composed {
        /// The reward.
        reward: Arc<Composite>,
        /// Multiplier of its constraint when an environment is made.
        multiplier: f64,
    },
    /// One's own.
    Own(OwnReward),
}

/// A reward of one's own: a pure function of the equity before the step and the account after it.
#[derive(Debug, Clone, Copy)]
pub struct OwnReward(pub fn(before: f64, after: &AccountView) -> f64);

/// What a reward knows beside the account.
pub(crate) struct Remembered<'a> {
    pub(crate) state: Option<&'a mut RewardState>,
    /// Costs and value traded on the step.
    pub(crate) paid: [f64; 2],
    pub(crate) ruined: bool,
    /// Of the regimes, at the decision.
    pub(crate) probabilities: Option<&'a [f32]>,
}

impl PartialEq for OwnReward {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Reward {
    /// What it remembers of an episode, if it remembers anything.
    #[must_use]
    pub fn state(&self) -> Option<Box<RewardState>> {
        match self {
            Self::Composed { reward, multiplier } => Some(Box::new(reward.state(*multiplier))),
            Self::LogEquity { .. } | Self::Simple { .. } | Self::Own(_) => None,
        }
    }

    /// The composition, if it is one.
    #[must_use]
    pub fn composed(&self) -> Option<&Arc<Composite>> {
        match self {
            Self::Composed { reward, .. } => Some(reward),
            Self::LogEquity { .. } | Self::Simple { .. } | Self::Own(_) => None,
        }
    }

    /// The reward of a step that took equity from `before` to what `account` shows now.
    #[must_use]
    pub(crate) fn of(&self, before: f64, account: &AccountView, step: &mut Remembered<'_>) -> f64 {
        let AccountView { equity: after, initial, .. } = *account;
        match *self {
            Self::Composed { ref reward, .. } => {
                let Some(state) = step.state.as_deref_mut() else { return 0.0 };
                let exposure = if after > 0.0 { account.units * account.price / after } else { 0.0 };
                let [costs, traded] = step.paid;
                let change = Change { before, after, initial, exposure, costs, traded, ruined: step.ruined };
                reward.of(&change, step.probabilities, state)
            }
            Self::LogEquity { scale } => {
                let floor = FLOOR * initial;
                scale * libm::log(after.max(floor) / before.max(floor))
            }
            Self::Simple { scale, stake, risk_aversion } => {
                let stake = stake * initial;
                let exposure = account.units * account.price / stake;
                scale * ((after - before) / stake - risk_aversion * exposure * exposure)
            }
            Self::Own(own) => own.0(before, account),
        }
    }
}
