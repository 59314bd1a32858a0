//! The decision path: observe → filter → policy → size → gate. What happens here happens nowhere else, so training,
//! backtest and live decide alike (invariant 1).
//!
//! The policy stands between [`DecisionPath::observe`] and [`DecisionPath::order`]; the caller runs it, because it runs
//! for many environments at once.

pub mod desk;
mod tickets;

use std::sync::Arc;

use cambist_core::env::in_band;
use cambist_core::{ActionSpec, ObservationSpec};
pub use cambist_features::{FeatureView, Normaliser};
pub use cambist_regime::RegimeView;
pub use cambist_reward::{Change, Composite, RewardState};
use cambist_risk::{Approved, Limits, Order, Standing};
pub use cambist_risk::{Gate, GateLimits, Outlook, Position};
pub use desk::{Desk, Moment};
use serde::{Deserialize, Serialize};
pub use tickets::{Kept, QuoteView, TicketRules};

/// Columns an observation holds after the features: what the account stands like.
pub const ACCOUNT_COLUMNS: [&str; 2] = ["account.position", "account.unrealised"];

/// Bound of the account columns.
const ACCOUNT_CLIP: f64 = 5.0;

/// How an action becomes a target position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Three choices: full short, flat, full long.
    Discrete,
    /// Any target in [−1, 1].
    Continuous,
    /// A band of targets: inside it the target held is held exactly.
    Band,
}

/// How a target becomes units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizing {
    /// The target is a share of equity, counted after the costs of getting there.
    EquityFraction,
    /// The target is a share of the equity at the start, whatever was earned since.
    FixedNotional,
}

/// What a decision depends on beside the policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DecisionRules {
    /// Kind of action.
    pub action: ActionKind,
    /// Targets nearer than this to the one held are not traded.
    pub dead_band: f64,
    /// Whether negative targets mean flat.
    pub long_only: bool,
    /// From target to units.
    pub sizing: Sizing,
    /// Value of a full position over equity.
    pub leverage: f64,
    /// One-way cost the sizing reckons with, as a fraction.
    pub one_way_cost: f64,
    /// Limits of the gate.
    pub limits: Limits,
    /// Rows of features a decision sees: 1 for the bar that just closed, more for those before it too.
    #[serde(default = "one")]
    pub window: usize,
    /// Whether the account is flat while features warm up again after an outage. Rules that need no features say no.
    #[serde(default = "yes")]
    pub flat_when_blind: bool,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// What the path sees of an account.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AccountView {
    /// Equity at the last close.
    pub equity: f64,
    /// Equity at the start.
    pub initial: f64,
    /// Units held.
    pub units: f64,
    /// Profit not yet realised.
    pub unrealised: f64,
    /// The last close.
    pub price: f64,
    /// The target that led to the position held.
    pub held_target: f64,
}

/// The path from a row of features and an account to an approved order.
#[derive(Debug, Clone)]
pub struct DecisionPath {
    rules: DecisionRules,
    normaliser: Arc<Normaliser>,
    reward: Option<Arc<Composite>>,
    spec: ObservationSpec,
}

impl DecisionPath {
    /// A path that sees the normaliser's columns and the account.
    #[must_use]
    pub fn new(rules: DecisionRules, normaliser: Arc<Normaliser>) -> Self {
        Self::with_reward(rules, normaliser, None)
    }

    /// The same, and what a reward remembers.
    #[must_use]
    pub fn with_reward(
        rules: DecisionRules,
        normaliser: Arc<Normaliser>,
        reward: Option<Arc<Composite>>,
    ) -> Self {
        let account = ACCOUNT_COLUMNS.iter().map(|&name| name.to_owned());
        // Oldest row first; a row that is not the last says how many bars it lies back.
        let past =
            |back: usize, name: &String| if back == 0 { name.clone() } else { format!("{name}[-{back}]") };
        let rows = (0..rules.window.max(1)).rev();
        let features = rows.flat_map(|back| normaliser.names.iter().map(move |name| past(back, name)));
        let remembered = reward.iter().flat_map(|reward| reward.columns());
        let names = features.chain(account).chain(remembered).collect();
        Self { rules, normaliser, reward, spec: ObservationSpec { names } }
    }

    /// Rows of features that [`DecisionPath::observe`] takes.
    #[inline]
    #[must_use]
    pub fn window(&self) -> usize {
        self.rules.window.max(1)
    }

    /// What an observation holds.
    #[must_use]
    pub fn observation_spec(&self) -> &ObservationSpec {
        &self.spec
    }

    /// What an action is.
    #[must_use]
    pub fn action_spec(&self) -> ActionSpec {
        match self.rules.action {
            ActionKind::Discrete => ActionSpec::Discrete { n: 3 },
            ActionKind::Continuous => ActionSpec::Continuous { dim: 1, low: -1.0, high: 1.0 },
            ActionKind::Band => ActionSpec::Band { low: -1.0, high: 1.0 },
        }
    }

    /// Value of a full position, by the sizing.
    #[inline]
    fn full_value(&self, account: &AccountView) -> f64 {
        self.rules.leverage
            * match self.rules.sizing {
                Sizing::EquityFraction => account.equity,
                Sizing::FixedNotional => account.initial,
            }
    }

    /// Writes what the policy sees: the normalised features of the window's rows, oldest first (zeros when there are none),
    /// then the account: position and unrealised profit as shares of a full position, the profit tenfold; then what the
    /// reward remembers.
    #[inline]
    pub fn observe(
        &self,
        features: Option<&[f32]>,
        account: &AccountView,
        remembered: Option<&RewardState>,
        out: &mut [f32],
    ) {
        let width = self.normaliser.names.len().max(1);
        let (columns, rest) = out.split_at_mut(self.window() * self.normaliser.names.len());
        match features {
            Some(features) => {
                for (row, out) in features.chunks_exact(width).zip(columns.chunks_exact_mut(width)) {
                    self.normaliser.apply(row, out);
                }
            }
            None => columns.fill(0.0),
        }
        let full = self.full_value(account);
        let share = |money: f64| {
            let share = if full > 0.0 { money / full } else { 0.0 };
            share.clamp(-ACCOUNT_CLIP, ACCOUNT_CLIP) as f32
        };
        rest[0] = share(account.units * account.price);
        rest[1] = 10.0 * share(account.unrealised);
        if let (Some(reward), Some(state)) = (&self.reward, remembered) {
            reward.show(state, &mut rest[ACCOUNT_COLUMNS.len()..]);
        }
    }

    /// Choices that can be forbidden: all of a discrete action's where short targets are, else none.
    #[must_use]
    pub fn mask_width(&self) -> usize {
        match self.action_spec() {
            ActionSpec::Discrete { n } if self.rules.long_only => n,
            _ => 0,
        }
    }

    /// Writes which choices are allowed.
    pub fn mask(&self, allowed: &mut [bool]) {
        for (choice, allowed) in allowed.iter_mut().enumerate() {
            *allowed = self.rules.action != ActionKind::Discrete || choice > 0 || !self.rules.long_only;
        }
    }

    /// The target position an action asks for when `held` is, in [−1, 1]; flat when the action was taken without features.
    #[inline]
    #[must_use]
    pub fn target(&self, action: &[f32], held: f64, sees: bool) -> f64 {
        if self.rules.flat_when_blind && !sees {
            return 0.0;
        }
        let number = |place: usize| action.get(place).map_or(f64::NAN, |&a| f64::from(a));
        let target = match self.rules.action {
            ActionKind::Discrete => number(0) - 1.0,
            ActionKind::Continuous => number(0),
            ActionKind::Band => in_band([number(0), number(1)], -1.0, 1.0, held),
        };
        // What is no number asks for nothing.
        let target = if target.is_nan() { 0.0 } else { target.clamp(-1.0, 1.0) };
        if self.rules.long_only { target.max(0.0) } else { target }
    }

    /// The order that leads to `target`, through dead band, sizing and gate; none when the position is kept or the
    /// gate refuses. A target of zero is no small move: it closes what is held, however little.
    #[inline]
    #[must_use]
    pub fn order(&self, target: f64, account: &AccountView) -> Option<Approved<Order>> {
        if target == 0.0 {
            return (account.units != 0.0).then(|| self.rules.limits.flatten(0, account.units));
        }
        let moved = (target - account.held_target).abs();
        if moved <= self.rules.dead_band {
            return None;
        }
        let units = self.size(target, account) - account.units;
        let standing = Standing { equity: account.equity, units: account.units, price: account.price };
        self.rules.limits.approve(Order { instrument: 0, units }, &standing).ok()
    }

    /// Units of a position of `target`.
    #[inline]
    fn size(&self, target: f64, account: &AccountView) -> f64 {
        let exposure = target * self.rules.leverage;
        match self.rules.sizing {
            Sizing::FixedNotional => exposure * account.initial / account.price,
            Sizing::EquityFraction => exposed_units(exposure, account, self.rules.one_way_cost),
        }
    }
}

/// Units whose value is `exposure` times equity once they are traded at a one-way `cost`: solves
/// `units · price = exposure · (equity − cost · price · |units − held|)`.
#[inline]
fn exposed_units(exposure: f64, account: &AccountView, cost: f64) -> f64 {
    let sign = if exposure * account.equity > account.units * account.price { 1.0 } else { -1.0 };
    let cost = sign * cost;
    exposure * (account.equity / account.price + cost * account.units) / (1.0 + exposure * cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(rules: DecisionRules) -> DecisionPath {
        DecisionPath::new(rules, Arc::new(Normaliser::identity(&["x".to_owned()], 5.0)))
    }

    const RULES: DecisionRules = DecisionRules {
        action: ActionKind::Continuous,
        dead_band: 0.1,
        long_only: false,
        sizing: Sizing::EquityFraction,
        leverage: 1.0,
        one_way_cost: 0.001,
        limits: Limits { max_exposure: 1.0 },
        window: 1,
        flat_when_blind: true,
    };

    const FLAT: AccountView = AccountView {
        equity: 1000.0,
        initial: 1000.0,
        units: 0.0,
        unrealised: 0.0,
        price: 10.0,
        held_target: 0.0,
    };

    #[test]
    fn a_full_position_is_full_after_its_costs() {
        for (target, held) in [(1.0, 0.0), (1.0, -60.0), (-1.0, 40.0), (0.5, 90.0), (-0.5, -90.0)] {
            let account = AccountView { units: held, held_target: 0.0, ..FLAT };
            let units = path(RULES).order(target, &account).map_or(0.0, |o| o.get().units);
            let equity = 1000.0 - 0.001 * 10.0 * units.abs();
            assert!(((held + units) * 10.0 - target * equity).abs() < 1e-9, "{target} {held}: {units}");
        }
    }

    #[test]
    fn the_dead_band_holds_and_flat_is_flat() {
        let account = AccountView { units: 50.0, held_target: 0.5, ..FLAT };
        assert!(path(RULES).order(0.59, &account).is_none());
        assert!(path(RULES).order(0.61, &account).is_some());
        assert_eq!(path(RULES).order(0.0, &account).map(|o| o.get().units), Some(-50.0));
        let little = AccountView { units: 5.0, held_target: 0.05, ..FLAT };
        assert_eq!(
            path(RULES).order(0.0, &little).map(|o| o.get().units),
            Some(-5.0),
            "within the dead band"
        );
    }

    #[test]
    fn actions_become_targets() {
        let discrete = path(DecisionRules { action: ActionKind::Discrete, ..RULES });
        assert_eq!([0.0, 1.0, 2.0].map(|a| discrete.target(&[a], 0.0, true)), [-1.0, 0.0, 1.0]);
        let long = path(DecisionRules { long_only: true, ..RULES });
        assert_eq!(
            [-3.0, 0.3, 7.0, f32::NAN].map(|a| (long.target(&[a], 0.0, true) * 10.0).round()),
            [0.0, 3.0, 10.0, 0.0]
        );
        let band = path(DecisionRules { action: ActionKind::Band, ..RULES });
        for (edges, held, target) in [
            ([-0.5, 0.5], 0.1, 0.1),
            ([-0.5, 0.5], 0.9, 0.5),
            ([0.5, -0.5], -2.0, -0.5),
            ([0.25, 7.0], 0.0, 0.25),
            ([f32::NAN, 0.5], 0.7, 0.7),
        ] {
            assert_eq!(band.target(&edges, held, true), target, "{edges:?} over {held}");
        }
        assert_eq!(discrete.target(&[2.0], 1.0, false), 0.0, "blind");
        let rule = path(DecisionRules { action: ActionKind::Discrete, flat_when_blind: false, ..RULES });
        assert_eq!(rule.target(&[2.0], 1.0, false), 1.0, "a rule that needs no features");
        let mut allowed = [true; 3];
        path(DecisionRules { action: ActionKind::Discrete, long_only: true, ..RULES }).mask(&mut allowed);
        assert_eq!(allowed, [false, true, true]);
    }
}
