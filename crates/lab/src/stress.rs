//! The same market on worse terms.

use std::sync::Arc;

use cambist_core::{BarEvent, BasisPoints};
use cambist_decide::TicketRules;
use cambist_execution::{Engine, Latency};
use cambist_market::{Execution, FullExecution};
use cambist_risk::SizeRule;

/// The same execution with costs `costs` times and latency `delay` times as high.
pub(crate) fn dearer(execution: &Execution, costs: f64, delay: u32) -> Execution {
    match execution {
        Execution::Short(engine) => {
            let mut rules = *engine.rules();
            rules.costs = rules.costs.scaled(costs);
            Execution::Short(Engine::new(rules))
        }
        Execution::Full(full) => {
            let mut rules = full.rules.as_ref().clone();
            rules.listings.iter_mut().for_each(|listing| *listing = listing.scaled(costs, delay));
            Execution::Full(Arc::new(FullExecution {
                rules: Arc::new(rules),
                events: full.events.iter().map(|event| widened(event, costs)).collect(),
                tickets: TicketRules {
                    cost_fraction: full.tickets.cost_fraction * costs,
                    cost_per_unit: full.tickets.cost_per_unit * costs,
                    slippage_ticks: full.tickets.slippage_ticks * costs,
                    ..full.tickets
                },
                ..full.as_ref().clone()
            }))
        }
    }
}

/// `execution` with the spread alone `times` as wide.
pub(crate) fn wider(execution: &Execution, times: f64) -> Execution {
    match execution {
        Execution::Short(engine) => {
            let mut rules = *engine.rules();
            rules.costs.half_spread = BasisPoints(rules.costs.half_spread.0 * times);
            Execution::Short(Engine::new(rules))
        }
        Execution::Full(full) => {
            let events = full.events.iter().map(|event| widened(event, times)).collect();
            Execution::Full(Arc::new(FullExecution { events, ..full.as_ref().clone() }))
        }
    }
}

/// `execution` with fixed lots `times` as many; other sizes follow the money by themselves.
pub(crate) fn with_lots(execution: &Execution, times: f64) -> Execution {
    match execution {
        Execution::Full(full) => {
            let SizeRule::FixedLots(lots) = full.tickets.sizing else { return execution.clone() };
            let tickets = TicketRules { sizing: SizeRule::FixedLots(lots * times), ..full.tickets };
            Execution::Full(Arc::new(FullExecution { tickets, ..full.as_ref().clone() }))
        }
        Execution::Short(engine) => Execution::Short(*engine),
    }
}

fn widened(event: &BarEvent, times: f64) -> BarEvent {
    BarEvent { spread: (event.spread as f64 * times).ceil() as i64, ..*event }
}

/// Whether orders take time to arrive.
pub(crate) fn waits(execution: &Execution) -> bool {
    match execution {
        Execution::Short(_) => false,
        Execution::Full(full) => {
            !matches!(full.rules.listings[0].latency, Latency::Millis(0) | Latency::Bars(0))
        }
    }
}
