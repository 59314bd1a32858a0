//! What the way from targets to tickets remembers of one account from bar to bar: its gate, and where its last order is to lead.
//! The environment and the live loop keep one each.

use cambist_core::{Ticket, UnixNanos};
use cambist_risk::{Approved, Gate, GateLimits, Outlook, Position};
use serde::{Deserialize, Serialize};

use crate::tickets::{Kept, QuoteView, TicketRules};
use crate::{AccountView, DecisionPath};

/// Where an order leads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Goal {
    target: f64,
    /// Steps held when all of it is filled.
    wanted: i64,
    /// Target and steps before.
    from: (f64, i64),
}

impl Goal {
    /// The target that `got` steps are: filled in part, or refused on the way, they are as much less of one.
    fn reached(&self, got: i64) -> f64 {
        let (target, steps) = if self.wanted != 0 { (self.target, self.wanted) } else { self.from };
        if steps == 0 { 0.0 } else { target * got as f64 / steps as f64 }
    }
}

/// An account's desk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Desk {
    gate: Gate,
    goal: Option<Goal>,
}

/// How the account stands when a target is to be traded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment<'a> {
    /// Now: the close of the bar.
    pub now: UnixNanos,
    /// The account.
    pub account: &'a AccountView,
    /// The quote at that close.
    pub quote: QuoteView,
    /// What sizing and stops look at.
    pub outlook: Outlook,
    /// Lot steps held, with what is under way: it would be ordered twice otherwise.
    pub expected: i64,
    /// Whether the account's equity is what it is worth. While it is not, nothing is opened, and no limit counts by it.
    pub is_known: bool,
}

impl Desk {
    /// A desk that remembers nothing.
    #[must_use]
    pub fn new(limits: GateLimits) -> Self {
        Self { gate: Gate::new(limits), goal: None }
    }

    /// The same desk under other limits.
    pub fn set_limits(&mut self, limits: GateLimits) {
        self.gate = self.gate.with_limits(limits);
    }

    /// Money was paid in, or out.
    pub fn paid_in(&mut self, amount: f64) {
        self.gate.paid_in(amount);
    }

    /// The order that leads to `target`.
    ///
    /// # Errors
    /// Why the position is kept.
    #[inline]
    pub fn ticket(
        &mut self,
        path: &DecisionPath,
        rules: &TicketRules,
        target: f64,
        moment: &Moment<'_>,
    ) -> Result<Approved<Ticket>, Kept> {
        let Moment { now, account, quote, outlook, expected, is_known } = *moment;
        let position = Position {
            now,
            priced_at: now,
            equity: if is_known { account.equity } else { f64::NAN },
            steps: expected,
            step_value: rules.step_units * account.price,
        };
        path.ticket(rules, target, account, quote, &outlook, &mut self.gate, &position)
    }

    /// Notes that the broker took an order of signed `steps` for `target`, when `expected` steps were held and `held` was the target.
    #[inline]
    pub fn sent(&mut self, target: f64, steps: i64, expected: i64, held: f64) {
        self.goal = Some(Goal { target, wanted: expected + steps, from: (held, expected) });
    }

    /// The target that is held after a bar: `got` steps are held, `under_way` are to come, and `held` was the target before.
    #[inline]
    pub fn held(&mut self, got: i64, under_way: i64, held: f64) -> f64 {
        let target = match self.goal {
            Some(goal) if under_way != 0 => goal.target,
            Some(goal) => goal.reached(got),
            // Stopped out.
            None if got == 0 => 0.0,
            None => held,
        };
        if under_way == 0 {
            self.goal = None;
        }
        target
    }
}

/// The parts of `ticket` that a broker takes one by one: in a hedging account (`held` says what is open: number and signed steps,
/// oldest first) first what closes the positions it is against, then what is left of it. In a netting account, `held` being none, it is one.
pub fn parts(
    ticket: Approved<Ticket>,
    held: Option<impl Iterator<Item = (u64, i64)>>,
) -> Vec<Approved<Ticket>> {
    let Some(held) = held else { return vec![ticket] };
    let mut left = ticket.get().steps;
    let sign = ticket.get().side.sign();
    let mut parts = Vec::new();
    for (id, steps) in held.filter(|(_, steps)| steps * sign < 0) {
        let part = steps.abs().min(left);
        left -= part;
        parts.extend(ticket.part(part, Some(id)));
    }
    parts.extend(ticket.part(left, None));
    parts
}
