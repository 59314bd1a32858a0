//! What we believe of the account, from its first snapshot and its deals; held against what the broker says.

use std::collections::{BTreeSet, VecDeque};

use cambist_bridge::{DealRecord, OrderId};
use cambist_execution::Instrument;

use crate::words::{Finding, Snapshot};

/// Money may differ by as much: brokers round every deal to a cent.
const CENT: f64 = 0.01;
/// Closes at which books and broker must differ, one after the other, before they disagree; and looks at which nothing must be held
/// before nothing is.
pub const PATIENCE: u32 = 3;
/// Deals and orders that are remembered, to know one that is told again.
const REMEMBERED: usize = 4096;
/// `DEAL_TYPE_BALANCE`.
const BALANCE: u32 = 2;
/// `DEAL_TYPE_CREDIT`.
const CREDIT: u32 = 3;

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
    /// Whether they were the same at the last look, whatever was in play.
    agree: bool,
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
            agree: true,
            sent: VecDeque::new(),
        };
        books.adopt(baseline);
        books
    }

    /// Takes over what the broker says.
    pub fn adopt(&mut self, snapshot: &Snapshot) {
        (self.balance, self.steps, self.differs) = (snapshot.balance, snapshot.steps(), 0);
        self.agree = true;
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

    /// Whether books and broker were the same at the last look: only then equity is what the account is worth. Deals and balance are read
    /// one after the other, and either may lag.
    #[must_use]
    pub fn agree(&self) -> bool {
        self.agree
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
    /// `in_play`; and deals, positions and balance may lag behind each other, so that a difference is told when it has been there at
    /// [`PATIENCE`] closes of bars (`at_close`).
    pub fn reconcile(
        &mut self,
        snapshot: &Snapshot,
        instrument: &Instrument,
        in_play: bool,
        at_close: bool,
    ) -> Vec<Finding> {
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
        self.agree = same;
        self.differs = match same || in_play {
            true => 0,
            // Looks between bars may be seconds apart.
            false => (self.differs + u32::from(at_close)).max(1),
        };
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
        let bits = OrderId::bits_of(deal.magic);
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

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_core::UnixNanos;
    use cambist_execution::{Holding, presets};

    fn snapshot(balance: f64, steps: i64, deals: Vec<DealRecord>) -> Snapshot {
        let held = (steps != 0).then(|| Holding::told(1, steps, 100.0, [None, None], 0.0));
        Snapshot {
            at: UnixNanos(0),
            broker_time: UnixNanos::from_millis(1000),
            balance,
            holdings: held.into_iter().collect(),
            mark: None,
            rate: 1.0,
            quote: [1.0, 2.0],
            under_way: 0,
            deals,
            shut: None,
        }
    }

    /// A deal of 0.05 lots at 1000 + `ticket` milliseconds.
    fn deal(ticket: u64, kind: u32, reason: u32, magic: u64, profit: f64) -> DealRecord {
        DealRecord {
            ticket,
            order: ticket,
            symbol: "BTCUSD".to_owned(),
            kind,
            entry: 0,
            magic,
            position_id: 1,
            reason,
            volume: 0.05,
            price: 57.0,
            commission: -0.5,
            swap: 0.0,
            profit,
            fee: 0.0,
            time_ms: 1000 + ticket as i64,
        }
    }

    #[test]
    fn what_moved_money_is_told_apart() {
        let instrument = presets::instrument("btcusd").unwrap();
        let mut books = Books::new("BTCUSD", &snapshot(1000.0, 0, Vec::new()));
        let id = OrderId::derive(1, "BTCUSD", UnixNanos(7), 0, 0);
        books.note_order(id);
        let magic = (7 << 48) | id.bits();
        let foreign = DealRecord { symbol: "EURUSD".to_owned(), ..deal(7, 0, 3, 0, 9.0) };
        let deals = vec![
            deal(1, 0, 3, magic, 0.0),
            deal(2, 1, 4, 0, 3.0),
            deal(3, 0, 0, 0, 0.0),
            deal(4, 1, 6, 0, -2.0),
            deal(5, 2, 0, 0, 50.5),
            deal(6, 3, 0, 0, 25.5),
            foreign,
        ];
        // Six half units of commission, 3 − 2 + 50.5 + 9 of profit; credit is no balance.
        let found = books.reconcile(&snapshot(1057.5, 0, deals.clone()), &instrument, false, true);
        let kinds: Vec<String> =
            found.iter().map(|f| format!("{f:?}").split_once(' ').unwrap().0.to_owned()).collect();
        assert_eq!(kinds, ["Fill", "Stopped", "Manual", "StoppedOut", "Deposit", "Other", "Other"]);
        assert!(books.are_settled() && found.iter().filter(|f| f.disagrees()).count() == 1);
        assert_eq!(found[0], Finding::Fill { id, steps: 5, price: 57.0 });
        // What is told again is booked once.
        assert_eq!(books.reconcile(&snapshot(1057.5, 0, deals), &instrument, false, true), []);
    }

    #[test]
    fn what_lags_is_waited_for_and_what_stays_is_a_disagreement() {
        let instrument = presets::instrument("btcusd").unwrap();
        let mut books = Books::new("BTCUSD", &snapshot(1000.0, 0, Vec::new()));
        let look = |books: &mut Books, steps, in_play| {
            books.reconcile(&snapshot(1000.0, steps, Vec::new()), &instrument, in_play, true)
        };
        for _ in 1..PATIENCE {
            assert_eq!(look(&mut books, 5, false), []);
            assert!(!books.are_settled());
        }
        let found = look(&mut books, 5, false);
        assert_eq!(found, [Finding::Position { books: 0, broker: 5 }]);
        // While an order is under way nothing is compared; after an adoption all is well.
        assert_eq!(look(&mut books, 9, true), []);
        books.adopt(&snapshot(1000.0, 9, Vec::new()));
        assert_eq!(look(&mut books, 9, false), []);
        assert!(books.are_settled());
        // A history that lags may tell of what was in the balance when it was taken over.
        let early = DealRecord { time_ms: 1000, ..deal(8, 2, 0, 0, 1000.0) };
        assert_eq!(books.reconcile(&snapshot(1000.0, 9, vec![early]), &instrument, false, true), []);
    }
}
