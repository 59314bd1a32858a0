//! What we believe of the account, from its first snapshot and its deals; held against what the broker says.

use std::collections::{BTreeSet, VecDeque};

use cambist_bridge::{DealRecord, OrderId};
use cambist_execution::Instrument;

use crate::words::{Finding, Snapshot};

/// Money may differ by as much: brokers round every deal to a cent.
const CENT: f64 = 0.01;
/// Looks at which books and broker must differ, one after the other, before they disagree.
pub const PATIENCE: u32 = 3;
/// Deals and orders that are remembered, to know one that is told again.
const REMEMBERED: usize = 4096;
/// `DEAL_TYPE_BALANCE`.
const BALANCE: u32 = 2;
/// `DEAL_TYPE_CREDIT`.
const CREDIT: u32 = 3;
/// The low bits of `magic` hold the id.
const ID_BITS: u64 = (1 << 48) - 1;

/// Our books.
#[derive(Debug, Clone, PartialEq)]
pub struct Books {
    symbol: String,
    /// The broker's time, in milliseconds, when its books were taken over: deals until then are in the balance that was taken.
    since_ms: i64,
    balance: f64,
    steps: i64,
    seen: BTreeSet<u64>,
    /// Looks in a row at which books and broker differed.
    differs: u32,
    /// Orders of ours, the last ones.
    sent: VecDeque<OrderId>,
}

impl Books {
    /// Those of an account that was found like `baseline`.
    #[must_use]
    pub fn new(symbol: &str, baseline: &Snapshot) -> Self {
        let mut books = Self {
            symbol: symbol.to_owned(),
            since_ms: 0,
            balance: 0.0,
            steps: 0,
            seen: BTreeSet::new(),
            differs: 0,
            sent: VecDeque::new(),
        };
        books.adopt(baseline);
        books
    }

    /// Takes over what the broker says.
    pub fn adopt(&mut self, snapshot: &Snapshot) {
        (self.balance, self.steps, self.differs) = (snapshot.balance, snapshot.steps(), 0);
        self.since_ms = snapshot.broker_time.0.div_euclid(1_000_000);
        snapshot.deals.iter().for_each(|deal| self.remember(deal.ticket));
    }

    /// Notes that `id` may be at the broker.
    pub fn note_order(&mut self, id: OrderId) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(id);
    }

    /// Whether they are what the broker said at the last look.
    #[must_use]
    pub fn are_settled(&self) -> bool {
        self.differs == 0
    }

    /// What our books say: balance, and signed lot steps.
    #[must_use]
    pub fn standing(&self) -> (f64, i64) {
        (self.balance, self.steps)
    }

    fn remember(&mut self, deal: u64) {
        self.seen.insert(deal);
        if self.seen.len() > REMEMBERED {
            self.seen.pop_first();
        }
    }

    /// Books what is new in `snapshot`, and says what it was and where the broker disagrees. Nothing is compared while something is
    /// `in_play`; and deals, positions and balance may lag behind each other, so that a difference is told when it has been there for
    /// [`PATIENCE`] looks.
    pub fn reconcile(&mut self, snapshot: &Snapshot, instrument: &Instrument, in_play: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let oldest = self.seen.first().copied().filter(|_| self.seen.len() >= REMEMBERED);
        for deal in &snapshot.deals {
            // What is older than all that is remembered was booked long ago; a history that lags may tell of one late.
            let old = deal.time_ms <= self.since_ms || oldest.is_some_and(|oldest| deal.ticket < oldest);
            if (old && self.own(deal).is_none()) || self.seen.contains(&deal.ticket) {
                continue;
            }
            self.remember(deal.ticket);
            findings.push(self.book(deal, instrument));
        }
        let (steps, found) = (self.steps, snapshot.steps());
        let (balance, told) = (self.balance, snapshot.balance);
        let within = (balance - told).abs() <= CENT + 1e-9 * told.abs();
        let same = steps == found && within;
        self.differs = if same || in_play { 0 } else { self.differs + 1 };
        if self.differs >= PATIENCE {
            if steps != found {
                findings.push(Finding::Position { books: steps, broker: found });
            }
            if !within {
                findings.push(Finding::Balance { books: balance, broker: told });
            }
        }
        if same {
            // Cents that rounding leaves over do not add up.
            self.balance = told;
        }
        findings
    }

    /// The order of ours that made `deal`, if one of the last did.
    fn own(&self, deal: &DealRecord) -> Option<OrderId> {
        let bits = deal.magic & ID_BITS;
        self.sent.iter().rev().find(|id| id.bits() == bits && bits != 0).copied()
    }

    fn book(&mut self, deal: &DealRecord, instrument: &Instrument) -> Finding {
        let amount = match deal.kind {
            // Credit is no part of the balance.
            CREDIT => 0.0,
            _ => deal.profit + deal.commission + deal.swap + deal.fee,
        };
        self.balance += amount;
        if deal.kind == BALANCE {
            return Finding::Deposit { amount };
        }
        if deal.kind > 1 || deal.symbol != self.symbol {
            return Finding::Other { deal: deal.ticket, amount };
        }
        let lots = (deal.volume / instrument.lots.step).round() as i64;
        let steps = if deal.kind == 0 { lots } else { -lots };
        self.steps += steps;
        let price = deal.price;
        match (deal.reason, self.own(deal)) {
            (4 | 5, _) => Finding::Stopped { steps, price },
            (6, _) => Finding::StoppedOut { steps, price },
            (_, Some(id)) => Finding::Fill { id, steps, price },
            _ => Finding::Manual { deal: deal.ticket, steps },
        }
    }
}
