//! From a target to a broker's ticket: sized in lot steps, with stops in true ranges, through the gate.

use cambist_core::Ticket;
use cambist_risk::{Approved, Gate, Outlook, Position, Shut, Size, SizeRule};
use serde::{Deserialize, Serialize};

use crate::{AccountView, DecisionPath, exposed_units};

/// What a ticket depends on beside the decision rules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TicketRules {
    /// How large a full position is.
    pub sizing: SizeRule,
    /// Units of a lot step.
    pub step_units: f64,
    /// Steps of a lot.
    pub steps_per_lot: f64,
    /// Smallest order, in lot steps.
    pub minimum: i64,
    /// Largest order, in lot steps.
    pub maximum: i64,
    /// Size of a tick, in price.
    pub tick_size: f64,
    /// Distance of the stop loss, in average true ranges; none for no stop.
    pub stop_ranges: Option<f64>,
    /// Distance of the take profit, in average true ranges; none for no target.
    pub target_ranges: Option<f64>,
    /// Cost one way that sizing reckons with, as a fraction of the value.
    pub cost_fraction: f64,
    /// The same a unit, in the deposit currency.
    pub cost_per_unit: f64,
    /// The same in ticks, beside half the spread.
    pub slippage_ticks: f64,
}

/// Mid price and half of ask minus bid, in the instrument's own currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuoteView {
    /// Halfway between bid and ask.
    pub mid: f64,
    /// Half of ask minus bid.
    pub half_spread: f64,
}

impl QuoteView {
    /// Of a bid and an ask in ticks.
    #[inline]
    #[must_use]
    pub fn of_ticks(bid: f64, ask: f64, tick_size: f64) -> Self {
        Self { mid: 0.5 * (bid + ask) * tick_size, half_spread: 0.5 * (ask - bid) * tick_size }
    }
}

/// Why a position is kept as it is.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Kept {
    /// Flat is wanted, and held.
    #[error("flat, as wanted")]
    Flat,
    /// Too near to what is held.
    #[error("the target is {moved:.3} from the one held, within the dead band of {dead_band}")]
    DeadBand {
        /// How near.
        moved: f64,
        /// The band.
        dead_band: f64,
    },
    /// Too little to trade.
    #[error("a change of {steps} lot steps is less than the smallest order of {minimum}")]
    Small {
        /// The change.
        steps: i64,
        /// The smallest order.
        minimum: i64,
    },
    /// A stop would have no distance.
    #[error(
        "an entry carries a stop, and the bars' true range is zero or not known yet: there is nowhere to put it"
    )]
    NoRange,
    /// The gate is shut.
    #[error("{0}")]
    Shut(Shut),
}

impl DecisionPath {
    /// The order that leads to `target`, through dead band, sizing and gate. `position.steps` are held; `account.price` is in the
    /// deposit currency, `quote` in the instrument's own.
    ///
    /// # Errors
    /// Why the position is kept.
    #[expect(clippy::too_many_arguments, reason = "all that an order depends on, and nothing twice")]
    #[inline]
    pub fn ticket(
        &self,
        rules: &TicketRules,
        target: f64,
        account: &AccountView,
        quote: QuoteView,
        outlook: &Outlook,
        gate: &mut Gate,
        position: &Position,
    ) -> Result<Approved<Ticket>, Kept> {
        gate.observe(position.now, position.equity);
        let held = position.steps;
        if target == 0.0 {
            let flat = Ticket::market(0, -held.clamp(-rules.maximum, rules.maximum));
            return if held == 0 {
                Err(Kept::Flat)
            } else {
                gate.approve(flat, position).map_err(Kept::Shut)
            };
        }
        let (moved, dead_band) = ((target - account.held_target).abs(), self.rules.dead_band);
        if moved <= dead_band {
            return Err(Kept::DeadBand { moved, dead_band });
        }
        let steps = match rules.sizing.of(target, outlook) {
            Size::Lots(lots) => lots * rules.steps_per_lot,
            Size::Exposure(exposure) => {
                let beyond = (quote.half_spread + rules.slippage_ticks * rules.tick_size) / quote.mid;
                let cost = rules.cost_fraction + rules.cost_per_unit / account.price + beyond;
                exposed_units(exposure, account, cost) / rules.step_units
            }
        };
        // Towards nothing: what is rounded away is not held.
        let change = (steps.clamp(-1e15, 1e15) as i64 - held).clamp(-rules.maximum, rules.maximum);
        if change.abs() < rules.minimum {
            return Err(Kept::Small { steps: change, minimum: rules.minimum });
        }
        let after = held + change;
        let away = |ranges: Option<f64>, sign: i64| {
            let distance = ranges? * outlook.true_range * (sign * after.signum()) as f64;
            Some(((quote.mid + distance) / rules.tick_size).round() as i64)
        };
        let mut ticket = Ticket::market(0, change);
        // What only reduces leaves the stops that are there.
        let opens = after.abs() > held.abs() || after.signum() * held.signum() < 0;
        if opens && outlook.true_range > 0.0 {
            // No terminal takes a level beyond all prices: an entry has its stop at the last one, and no target that is never reached.
            ticket.stop_loss = away(rules.stop_ranges, -1).map(|level| level.max(1));
            ticket.take_profit = away(rules.target_ranges, 1).filter(|level| *level > 0);
        }
        let approved = match opens && rules.stop_ranges.is_some() && outlook.true_range <= 0.0 {
            true => Err(Kept::NoRange),
            false => gate.approve(ticket, position).map_err(Kept::Shut),
        };
        // A reversal that may not open may still close.
        let reverses = held != 0 && after.signum() == -held.signum();
        if approved.is_err() && reverses {
            let flat = Ticket::market(0, -held.clamp(-rules.maximum, rules.maximum));
            return gate.approve(flat, position).map_err(Kept::Shut);
        }
        approved
    }
}
