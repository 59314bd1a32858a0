//! From an approved ticket to intents: what holds it back, and what is left of it then.

use cambist_bridge::OrderId;
use cambist_core::{Ticket, UnixNanos};
use cambist_decide::{AccountView, Position, desk};
use cambist_execution::Approved;

use super::Engine;
use crate::words::{Intent, Opened, Snapshot};

/// Why nothing is opened while the broker's answers do not fit together.
pub(super) const UNSETTLED: &str =
    "deals, positions and balance do not agree yet: looked at again at the next bar";

impl Engine {
    /// `ticket`, or what is left of it that only reduces, if nothing holds it.
    pub(super) fn allowed(
        &mut self,
        at: UnixNanos,
        ticket: Approved<Ticket>,
        account: &Snapshot,
        view: &AccountView,
    ) -> Result<Approved<Ticket>, String> {
        // Everything would rest on a position that is not known.
        if let Some(why) = self.unresolved_order() {
            return Err(why);
        }
        let held = account.steps();
        let asked = ticket.get();
        let after = held + asked.side.sign() * asked.steps;
        let reduces = after.abs() <= held.abs() && after.signum() * held.signum() >= 0;
        let Err(why) = self.opens(at, &asked, reduces, account, view) else { return Ok(ticket) };
        if reduces && !self.standing.is_frozen() {
            return Ok(ticket);
        }
        let reverses = held != 0 && after.signum() == -held.signum();
        match ticket.part(held.abs(), None) {
            Some(part) if reverses && !self.standing.is_frozen() => Ok(part.without_levels()),
            _ => Err(why),
        }
    }

    fn unresolved_order(&self) -> Option<String> {
        self.pending.keys().next().map(|id| format!("order {id} is unresolved"))
    }

    /// Why nothing may be opened, whatever it is.
    pub(super) fn held_by(&self, account: &Snapshot) -> Option<String> {
        self.unresolved_order().or_else(|| self.standing.held_by()).or_else(|| account.shut.clone())
    }

    /// Why `asked` may not open, if so.
    fn opens(
        &mut self,
        at: UnixNanos,
        asked: &Ticket,
        reduces: bool,
        account: &Snapshot,
        view: &AccountView,
    ) -> Result<(), String> {
        if let Some(why) = self.held_by(account) {
            return Err(why);
        }
        if !self.books.are_settled() {
            return Err(UNSETTLED.to_owned());
        }
        let age = (at.0 - self.close.0) as f64 * 1e-9;
        if let Some(limit) = self.rules.stale_after.filter(|limit| age > *limit) {
            return Err(format!("the bar closed {age:.1} seconds ago; limits.stale_after is {limit}"));
        }
        if let Some(limit) = self.rules.clock_skew.filter(|limit| -age > *limit) {
            return Err(format!(
                "the bar closes in {:.1} seconds; limits.clock_skew is {limit}: one of the two clocks is wrong",
                -age
            ));
        }
        let spread = account.quote[1] - account.quote[0];
        if let Some(limit) = self.rules.max_spread.filter(|limit| spread > *limit) {
            return Err(format!("the spread is {spread} ticks; limits.max_spread is {limit}"));
        }
        let steps = account.steps();
        let terms = &self.mind.deployment.terms;
        if let Some(limit) = self.rules.max_lots.filter(|_| !reduces) {
            let lots = (steps + asked.side.sign() * asked.steps).abs() as f64 / terms.tickets.steps_per_lot;
            if lots > limit * (1.0 + 1e-9) {
                return Err(format!("the position would be {lots} lots; limits.max_lots is {limit}"));
            }
        }
        let position = Position {
            now: self.close,
            priced_at: self.close,
            equity: view.equity,
            steps,
            step_value: terms.tickets.step_units * view.price,
        };
        self.guard
            .approve(*asked, &position)
            .map(drop)
            .map_err(|shut| shut.to_string().replace("risk.", "limits."))
    }

    pub(super) fn intents(&mut self, ticket: Approved<Ticket>, account: &Snapshot) -> Vec<Intent> {
        let held = account.holdings.iter().map(|held| (held.id, held.steps));
        let parts = desk::parts(ticket, self.mind.deployment.is_hedging().then_some(held));
        let sequence = self.sequence;
        self.sequence += 1;
        let intent = |(leg, part): (usize, Approved<Ticket>)| {
            let Ticket { side, steps, stop_loss, take_profit, closes, .. } = part.get();
            let id = self.id(sequence, leg);
            let signed = side.sign() * steps;
            let held = account.steps();
            let after = held + signed;
            let shrinks = after.abs() <= held.abs() && after.signum() * held.signum() >= 0;
            let reduces = closes.is_some() || (!self.mind.deployment.is_hedging() && shrinks);
            let own = account.holdings.first().map(|held| held.id);
            let closes = closes.or(own.filter(|_| reduces));
            Intent { id, side, steps, stop_loss, take_profit, closes, reduces }
        };
        parts.into_iter().enumerate().map(intent).collect()
    }

    pub(super) fn id(&self, sequence: u32, leg: usize) -> OrderId {
        let Opened { account, symbol, .. } = &self.opened;
        OrderId::derive(*account, symbol, self.close, sequence, leg as u32)
    }
}
