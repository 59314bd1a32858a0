//! What a step is worth.

use cambist_decide::AccountView;

/// Equity below this share of its start counts as this share, so that the reward of ruin is finite.
const FLOOR: f64 = 1e-3;

/// The reward of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// One's own.
    Own(OwnReward),
}

/// A reward of one's own: a pure function of the equity before the step and the account after it.
#[derive(Debug, Clone, Copy)]
pub struct OwnReward(pub fn(before: f64, after: &AccountView) -> f64);

impl PartialEq for OwnReward {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Reward {
    /// The reward of a step that took equity from `before` to what `account` shows now.
    #[must_use]
    pub fn of(&self, before: f64, account: &AccountView) -> f64 {
        let AccountView { equity: after, initial, .. } = *account;
        match *self {
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
