//! A broker under test.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub, reason = "a test")]

use std::sync::Arc;

use cambist_core::{BarEvent, MarketEvent, PriceSide, Quote, Ticket, UnixNanos};
use cambist_execution::{
    AccountRules, Books, Broker, BrokerRules, Deal, Listing, MarginLevels, Notice, Refused, Shortfall,
    presets,
};
use cambist_risk::{Gate, GateLimits, Position};

pub fn at(text: &str) -> UnixNanos {
    UnixNanos::parse(text).unwrap()
}

pub fn listing(name: &str) -> Listing {
    Listing::free(presets::instrument(name).unwrap(), PriceSide::Bid)
}

pub const ACCOUNT: AccountRules = AccountRules {
    books: Books::Netting,
    leverage: 100.0,
    levels: MarginLevels::Percent { call: 100.0, stop_out: 50.0 },
    shortfall: Shortfall::Reject,
    digits: None,
    whole_ticks: true,
};

/// A broker of one instrument, what it said, and what time it is.
pub struct Desk {
    pub broker: Broker,
    pub log: Vec<Notice>,
    pub now: UnixNanos,
}

impl Desk {
    pub fn new(listing: Listing, account: AccountRules, balance: f64) -> Self {
        listing.validate().unwrap();
        let rules = BrokerRules { listings: vec![listing], account, seed: 1 };
        Self { broker: Broker::new(Arc::new(rules), balance), log: Vec::new(), now: at("2023-03-06T10:00") }
    }

    pub fn quote(&mut self, time: &str, bid: i64, ask: i64) {
        self.now = at(time);
        self.event(&MarketEvent::Quote(Quote { time: self.now, bid, ask, depth: None }));
    }

    /// The next minute's bar, without spread.
    pub fn bar(&mut self, open: i64, high: i64, low: i64, close: i64) {
        self.bar_with(open, high, low, close, 0, None, 0.0);
    }

    #[expect(clippy::too_many_arguments, reason = "a bar")]
    pub fn bar_with(
        &mut self,
        open: i64,
        high: i64,
        low: i64,
        close: i64,
        spread: i64,
        volume: Option<i64>,
        volatility: f64,
    ) {
        let open_time = self.now;
        self.now = UnixNanos(open_time.0 + 60_000_000_000);
        let close_time = self.now;
        let bar = BarEvent { open_time, close_time, open, high, low, close, spread, volume, volatility };
        self.event(&MarketEvent::Bar(bar));
    }

    pub fn event(&mut self, event: &MarketEvent) {
        self.broker.on(0, event, &mut self.log);
    }

    pub fn send(&mut self, ticket: Ticket) -> Result<u64, Refused> {
        let standing =
            Position { now: self.now, priced_at: self.now, equity: 1.0, steps: 0, step_value: 1.0 };
        let order = Gate::new(GateLimits::default()).approve(ticket, &standing).unwrap();
        self.broker.submit(order, self.now)
    }

    /// A market order that is served at the same quotes once more.
    pub fn trade(&mut self, steps: i64, closes: Option<u64>) -> Deal {
        self.send(Ticket { closes, ..Ticket::market(0, steps) }).unwrap();
        let mark = *self.broker.mark(0);
        let quote = Quote { time: self.now, bid: mark.bid as i64, ask: mark.ask as i64, depth: None };
        self.event(&MarketEvent::Quote(quote));
        *self.deals().last().unwrap()
    }

    pub fn deals(&self) -> Vec<Deal> {
        let deal = |notice: &Notice| match notice {
            Notice::Deal(deal) => Some(*deal),
            _ => None,
        };
        self.log.iter().filter_map(deal).collect()
    }

    pub fn prices(&self) -> Vec<f64> {
        self.deals().iter().map(|deal| deal.price).collect()
    }

    pub fn balance(&self) -> f64 {
        self.broker.account().balance()
    }
}

pub fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}
