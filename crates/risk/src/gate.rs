//! The gate: tickets go in, approved tickets or a reason come out. The same in training and live.
//!
//! What only reduces what is held is never blocked, whatever the limits.

use std::collections::VecDeque;

use cambist_core::time::NANOS_PER_SECOND;
use cambist_core::{ServerClock, Ticket, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::Approved;

const NANOS_PER_HOUR: i64 = 3600 * NANOS_PER_SECOND;

/// Limits of an account. None is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GateLimits {
    /// Largest |value| of a position over equity.
    pub max_exposure: Option<f64>,
    /// Orders in any sixty minutes, those that reduce apart.
    pub orders_per_hour: Option<u32>,
    /// Share of a day's first equity that may be lost on it.
    pub daily_loss: Option<f64>,
    /// The clock that days are counted by.
    pub clock: ServerClock,
    /// Share of the highest equity seen that may be lost.
    pub drawdown: Option<f64>,
    /// Age of the last price beyond which nothing is opened, in seconds.
    pub stale_after: Option<f64>,
}

/// What the gate knows of an order's account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Now.
    pub now: UnixNanos,
    /// Time of the last price.
    pub priced_at: UnixNanos,
    /// Equity.
    pub equity: f64,
    /// Signed lot steps held of the order's instrument.
    pub steps: i64,
    /// Value of a lot step at the last price, in the deposit currency.
    pub step_value: f64,
}

/// Why the gate is shut.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Shut {
    /// A number is missing.
    #[error("equity {equity} or the value of a lot step {step_value} is no number to trade by")]
    NotANumber {
        /// Equity.
        equity: f64,
        /// Value of a step.
        step_value: f64,
    },
    /// The position would be too large.
    #[error("exposure would be {exposure:.3} of equity; risk.max_exposure is {limit}")]
    Exposure {
        /// What it would be.
        exposure: f64,
        /// What is allowed.
        limit: f64,
    },
    /// Too many orders.
    #[error("{orders} orders within the last hour; risk.orders_per_hour is {limit}")]
    OrdersPerHour {
        /// Orders.
        orders: u32,
        /// What is allowed.
        limit: u32,
    },
    /// Too much lost today.
    #[error("{lost:.4} of equity is lost on this day of the broker's; risk.daily_loss is {limit}")]
    DailyLoss {
        /// Share lost.
        lost: f64,
        /// What is allowed.
        limit: f64,
    },
    /// Too much lost from the top.
    #[error("{lost:.4} of the highest equity is lost; risk.drawdown is {limit}")]
    Drawdown {
        /// Share lost.
        lost: f64,
        /// What is allowed.
        limit: f64,
    },
    /// The price is old.
    #[error("the last price is {age:.1} seconds old; risk.stale_after is {limit}")]
    Stale {
        /// Its age.
        age: f64,
        /// What is allowed.
        limit: f64,
    },
}

impl Approved<Ticket> {
    /// A part of what was approved: `steps` of it, closing the position `closes` in a hedging account. None when it is no
    /// part.
    #[must_use]
    pub fn part(&self, steps: i64, closes: Option<u64>) -> Option<Self> {
        let whole = self.0;
        (1..=whole.steps).contains(&steps).then(|| {
            // What closes opens nothing that would need stops.
            let (stop_loss, take_profit) =
                if closes.is_some() { (None, None) } else { (whole.stop_loss, whole.take_profit) };
            Self(Ticket { steps, closes, stop_loss, take_profit, ..whole })
        })
    }

    /// The same order without stops: one that only closes needs none.
    #[must_use]
    pub fn without_levels(self) -> Self {
        Self(Ticket { stop_loss: None, take_profit: None, ..self.0 })
    }
}

/// The gate of one account, with what it remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    limits: GateLimits,
    recent: VecDeque<UnixNanos>,
    day: i64,
    day_equity: f64,
    peak: f64,
}

impl Gate {
    /// A gate with `limits`.
    #[must_use]
    pub fn new(limits: GateLimits) -> Self {
        Self { limits, recent: VecDeque::new(), day: i64::MIN, day_equity: 0.0, peak: 0.0 }
    }

    /// The same gate, with what it remembers, under other limits.
    #[must_use]
    pub fn with_limits(&self, limits: GateLimits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// Money was paid in (or out, where `amount` is negative): neither profit nor loss.
    pub fn paid_in(&mut self, amount: f64) {
        self.peak = (self.peak + amount).max(0.0);
        self.day_equity += amount;
    }

    /// Notes equity as it goes; losses are counted from what was seen here. What is no number is nobody's equity.
    #[inline]
    pub fn observe(&mut self, now: UnixNanos, equity: f64) {
        if !equity.is_finite() {
            return;
        }
        self.peak = self.peak.max(equity);
        let day = self.limits.clock.day(now);
        if day != self.day {
            (self.day, self.day_equity) = (day, equity);
        }
    }

    /// Approves `ticket`, or says why not.
    ///
    /// # Errors
    /// The first limit it breaks. What reduces breaks none.
    #[inline]
    pub fn approve(&mut self, ticket: Ticket, position: &Position) -> Result<Approved<Ticket>, Shut> {
        self.observe(position.now, position.equity);
        let signed = ticket.side.sign() * ticket.steps;
        let after = position.steps + signed;
        let reduces = after.abs() <= position.steps.abs() && after.signum() * position.steps.signum() >= 0;
        if !reduces {
            self.opens(after, position)?;
            if self.limits.orders_per_hour.is_some() {
                self.recent.push_back(position.now);
            }
        }
        Ok(Approved(ticket))
    }

    fn opens(&mut self, after: i64, position: &Position) -> Result<(), Shut> {
        let Position { now, priced_at, equity, step_value, .. } = *position;
        let is_number = equity.is_finite() && step_value.is_finite() && step_value > 0.0;
        if !is_number {
            return Err(Shut::NotANumber { equity, step_value });
        }
        if let Some(limit) = self.limits.stale_after {
            let age = (now.0 - priced_at.0) as f64 * 1e-9;
            check(age <= limit, Shut::Stale { age, limit })?;
        }
        if let Some(limit) = self.limits.max_exposure {
            let exposure = after.abs() as f64 * step_value / equity;
            let within = equity > 0.0 && exposure <= limit * (1.0 + 1e-9);
            check(within, Shut::Exposure { exposure, limit })?;
        }
        if let Some(limit) = self.limits.daily_loss {
            let lost = if self.day_equity > 0.0 { 1.0 - equity / self.day_equity } else { f64::INFINITY };
            check(lost < limit, Shut::DailyLoss { lost, limit })?;
        }
        if let Some(limit) = self.limits.drawdown {
            let lost = if self.peak > 0.0 { 1.0 - equity / self.peak } else { f64::INFINITY };
            check(lost < limit, Shut::Drawdown { lost, limit })?;
        }
        if let Some(limit) = self.limits.orders_per_hour {
            while self.recent.front().is_some_and(|sent| sent.0 <= now.0 - NANOS_PER_HOUR) {
                self.recent.pop_front();
            }
            let orders = self.recent.len() as u32;
            check(orders < limit, Shut::OrdersPerHour { orders, limit })?;
        }
        Ok(())
    }
}

fn check(holds: bool, otherwise: Shut) -> Result<(), Shut> {
    if holds { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use super::*;

    fn at(hours: f64, equity: f64, steps: i64) -> Position {
        let now = UnixNanos((hours * NANOS_PER_HOUR as f64) as i64);
        Position { now, priced_at: now, equity, steps, step_value: 10.0 }
    }

    fn buy(steps: i64) -> Ticket {
        Ticket::market(0, steps)
    }

    #[test]
    fn every_limit_shuts_the_gate_and_none_blocks_a_reduction() {
        let limits = GateLimits {
            max_exposure: Some(1.0),
            orders_per_hour: Some(2),
            daily_loss: Some(0.05),
            clock: ServerClock::UTC,
            drawdown: Some(0.2),
            stale_after: Some(60.0),
        };
        let gate = || Gate::new(limits);
        assert!(gate().approve(buy(10), &at(0.0, 100.0, 0)).is_ok());
        let shut = |gate: &mut Gate, position: &Position| gate.approve(buy(10), position).unwrap_err();
        assert!(matches!(shut(&mut gate(), &at(0.0, 99.0, 0)), Shut::Exposure { .. }));
        assert!(matches!(shut(&mut gate(), &at(0.0, f64::NAN, 0)), Shut::NotANumber { .. }));
        let old = Position { priced_at: UnixNanos(-61 * NANOS_PER_SECOND), ..at(0.0, 100.0, 0) };
        assert!(matches!(shut(&mut gate(), &old), Shut::Stale { .. }));

        let mut busy = gate();
        for _ in 0..2 {
            busy.approve(buy(1), &at(0.1, 100.0, 0)).unwrap();
        }
        assert!(matches!(shut(&mut busy, &at(0.2, 100.0, 0)), Shut::OrdersPerHour { orders: 2, .. }));
        assert!(busy.approve(buy(-3), &at(0.2, 100.0, 5)).is_ok(), "reducing");
        assert!(busy.approve(buy(10), &at(1.2, 100.0, 0)).is_ok(), "an hour later");

        let mut lost = gate();
        lost.observe(UnixNanos(0), 200.0);
        assert!(matches!(shut(&mut lost, &at(1.0, 189.0, 0)), Shut::DailyLoss { .. }));
        assert!(matches!(shut(&mut lost, &at(25.0, 150.0, 0)), Shut::Drawdown { .. }));
        assert!(lost.approve(buy(-5), &at(25.0, 1.0, 5)).is_ok(), "flattening");

        // The broker's day ends with its clock's, at 22:00 UTC in winter: what was lost before is another day's.
        let later = |clock| {
            let mut gate = Gate::new(GateLimits { drawdown: None, clock, ..limits });
            gate.observe(UnixNanos(20 * NANOS_PER_HOUR), 200.0);
            gate.approve(buy(10), &at(22.5, 189.0, 0)).is_ok()
        };
        assert!(!later(ServerClock::UTC) && later(ServerClock::NEW_YORK_CLOSE));
        assert!(lost.approve(buy(-6), &at(25.0, 1.0, 5)).is_err(), "a reversal is no reduction");
        let leg = Ticket { closes: Some(7), ..buy(1) };
        assert!(
            lost.approve(leg, &at(25.0, 1.0, 5)).is_err(),
            "closing a leg that leaves more exposed is none either"
        );
    }
}
