//! What fills came to: of every order the price that was reckoned with, the quote when it left, and what was paid.

use std::collections::BTreeMap;

use cambist_bridge::{OrderId, Outcome};
use cambist_core::UnixNanos;
use serde::Serialize;

use crate::deployment::Deployment;
use crate::words::{Intent, Record};

/// An order, as it was asked for.
#[derive(Debug, Clone, PartialEq)]
struct Order {
    intent: Intent,
    /// When the bar closed it was decided on, or when it was closed between bars; and when the account was read for it.
    close: UnixNanos,
    asked: UnixNanos,
    /// Mid price it was decided at, where a decision made it; and bid and ask, in ticks, when it left.
    decision: Option<f64>,
    quote: [f64; 2],
}

/// Orders without an outcome.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting {
    orders: BTreeMap<OrderId, Order>,
}

/// An order that was filled, in all or in part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filled {
    order: Order,
    /// Price of the fill.
    price: f64,
    took_ms: f64,
}

/// What a fill came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Order.
    pub id: String,
    /// When the bar closed, or when it was closed between bars.
    pub close: String,
    /// Signed lot steps.
    pub steps: i64,
    /// Mid price the decision reckoned with; none of an order that no decision made.
    pub decision: Option<f64>,
    /// What the quote promised when the order left: ask for a purchase, bid for a sale.
    pub arrival: f64,
    /// That, after the fixed slippage that training reckons with.
    pub expected: f64,
    /// What was paid or received.
    pub fill: f64,
    /// Fill against arrival, in ticks; positive costs.
    pub slippage_ticks: f64,
    /// From the decision until its outcome was known, in milliseconds, through all that was lost on the way.
    pub took_ms: f64,
}

impl Waiting {
    /// Hears a record, and says what was filled.
    pub(crate) fn note(&mut self, record: &Record) -> Option<Filled> {
        match record {
            Record::Step { at, account, decision, .. } => {
                let order = |intent: &Intent| Order {
                    intent: intent.clone(),
                    close: decision.close,
                    asked: *at,
                    decision: Some(decision.price),
                    quote: account.quote,
                };
                self.orders.extend(decision.intents.iter().map(|intent| (intent.id, order(intent))));
                None
            }
            Record::Flatten { at, account, intents, .. } => {
                let order = |intent: &Intent| Order {
                    intent: intent.clone(),
                    close: *at,
                    asked: *at,
                    decision: None,
                    quote: account.quote,
                };
                self.orders.extend(intents.iter().map(|intent| (intent.id, order(intent))));
                None
            }
            Record::Outcome { outcome: Outcome::Unknown(_), .. } => None,
            Record::Outcome { at, id, outcome, .. } => {
                let order = self.orders.remove(id)?;
                let Outcome::Confirmed(fill) = outcome else { return None };
                let price = fill.price.filter(|_| fill.volume > 0.0)?;
                let took_ms = at.0.saturating_sub(order.asked.0) as f64 * 1e-6;
                Some(Filled { order, price, took_ms })
            }
            _ => None,
        }
    }
}

impl Filled {
    /// What it came to, by the tick and the slippage of `deployment`; none where there was no quote.
    pub(crate) fn quality(&self, deployment: &Deployment) -> Option<Quality> {
        let Order { intent, close, decision, quote, .. } = &self.order;
        let (tick, sign) = (deployment.listing().instrument.tick_size, intent.side.sign() as f64);
        // As a terminal shows it: on whole ticks, rounded against the client.
        let [bid, ask] = *quote;
        let promised = if sign > 0.0 { (ask - 1e-9).ceil() } else { (bid + 1e-9).floor() };
        if ask <= 0.0 {
            return None;
        }
        Some(Quality {
            id: intent.id.to_string(),
            close: close.to_string(),
            steps: intent.signed(),
            decision: *decision,
            arrival: promised * tick,
            expected: (promised + sign * deployment.listing().slippage.fixed) * tick,
            fill: self.price,
            slippage_ticks: sign * (self.price / tick - promised),
            took_ms: self.took_ms,
        })
    }
}
