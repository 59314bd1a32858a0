//! What an attribution takes from a journal: the orders of a live loop, its deals, and what came from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cambist_bridge::{DealRecord, OrderId, Outcome};
use cambist_core::UnixNanos;
use cambist_live::words::{Command, Finding, Intent, Record};
use cambist_live::{Journal, NOT_SENT};

use crate::error::LabError;

/// What the deals of one order, or of one exit of the broker's, come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    /// Signed.
    pub(super) lots: f64,
    /// Of signed lots times prices.
    pub(super) worth: f64,
    /// Of the last.
    pub(super) time_ms: i64,
    /// Commission, swap and fees.
    pub(super) charges: f64,
}

/// The part of the magic number that is an order's own, and who made the deal: 0 for a client, else the broker's reason.
pub(super) type Key = (u64, u32);

/// `DEAL_REASON_EXPERT`, the last of the clients'.
const LAST_CLIENT: u32 = 3;
/// `TRADE_RETCODE_POSITION_CLOSED`.
pub(super) const POSITION_CLOSED: i64 = 10_036;

/// The deals until then, by what they are of.
pub(super) fn sums<'a>(deals: impl Iterator<Item = &'a DealRecord>, until: UnixNanos) -> BTreeMap<Key, Sum> {
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    for deal in deals.filter(|deal| deal.kind < 2 && deal.time_ms <= until.0 / 1_000_000) {
        let reason = if deal.reason > LAST_CLIENT { deal.reason } else { 0 };
        let sum = sums.entry((OrderId::bits_of(deal.magic), reason)).or_default();
        let lots = if deal.kind == 0 { deal.volume } else { -deal.volume };
        sum.lots += lots;
        sum.worth += lots * deal.price;
        sum.time_ms = deal.time_ms;
        sum.charges += deal.commission + deal.swap + deal.fee;
    }
    sums
}

/// The position there that live's `ticket` is: both were opened by the order with the same mark.
pub(super) fn same_position(
    ticket: u64,
    live: &BTreeMap<u64, DealRecord>,
    there: &[DealRecord],
) -> Option<u64> {
    // DEAL_ENTRY_IN.
    let opened = live.values().find(|deal| deal.position_id == ticket && deal.entry == 0)?;
    let mark = OrderId::bits_of(opened.magic);
    there
        .iter()
        .find(|deal| deal.entry == 0 && OrderId::bits_of(deal.magic) == mark)
        .map(|deal| deal.position_id)
}

/// What was heard and sent until the last decision, from a journal. What came after it belongs to a bar that is not over.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// When the first bar that was decided on opened.
    pub(super) begun: Option<UnixNanos>,
    /// What the account held before, with what no order of the loop's moved since.
    pub(super) balance: f64,
    /// Orders, by the close they were decided at, that were filled or came too late to close anything.
    pub(super) sent: Vec<(UnixNanos, Intent)>,
    /// Deals of the loop's symbol since it began.
    pub(super) deals: BTreeMap<u64, DealRecord>,
    /// Spreads that were shown when orders were decided, in ticks, by an order's own bits.
    pub(super) spreads: BTreeMap<u64, f64>,
    /// The last close, and equity there.
    pub(super) end: Option<(UnixNanos, f64)>,
    /// The spread that it was counted at, in ticks, where the broker said so.
    pub(super) last_spread: Option<f64>,
    /// Swap of what is held there.
    pub(super) financing: f64,
    /// Closes that found their position gone.
    pub(super) too_late: BTreeSet<u64>,
    /// Orders that were turned away otherwise.
    pub(super) n_refused: usize,
    /// What the environment knows nothing of: operators, kills, money paid in or out.
    pub(super) n_from_outside: usize,
    symbol: String,
    /// The broker's time when the account was found, in milliseconds, and the deals that were known then.
    found: (i64, BTreeSet<u64>),
    /// Refusals, by the close they were decided at, and whether their reason is known elsewhere.
    refused: Vec<(UnixNanos, bool)>,
}

impl Heard {
    /// Reads the journal in `folder`.
    pub(super) fn of(folder: &Path) -> Result<Self, LabError> {
        let mut heard = Self::default();
        // What was heard since the last decision.
        let mut since = Since::default();
        Journal::read(folder, |kept| {
            match kept.record {
                Record::Opened(opened) => {
                    heard.balance = opened.baseline.balance;
                    let known = opened.baseline.deals.iter().map(|deal| deal.ticket).collect();
                    heard.found = (opened.baseline.broker_time.0.div_euclid(1_000_000), known);
                    heard.symbol = opened.symbol;
                }
                Record::Step { bar, account, findings, decision, .. } => {
                    since.take(&findings, account.deals);
                    heard.settle(std::mem::take(&mut since));
                    heard.begun.get_or_insert(bar.open_time);
                    heard.end = Some((decision.close, decision.equity));
                    heard.last_spread = account.mark.map(|mark| mark.ask - mark.bid);
                    heard.financing = account.holdings.iter().map(|held| held.financing).sum();
                    let spread = account.quote[1] - account.quote[0];
                    heard.spreads.extend(decision.intents.iter().map(|intent| (intent.id.bits(), spread)));
                    let close = decision.close;
                    heard.sent.extend(decision.intents.into_iter().map(|intent| (close, intent)));
                }
                Record::Flatten { account, findings, .. } => {
                    since.take(&findings, account.deals);
                    since.n_from_outside += 1;
                }
                Record::Look { account, findings, .. } => since.take(&findings, account.deals),
                Record::Outcome { id, outcome: Outcome::Refused { retcode, reason }, .. } => {
                    let late = retcode == Some(POSITION_CLOSED);
                    // Whatever the leg before it met is counted there.
                    let follows = reason == NOT_SENT;
                    if late {
                        heard.too_late.insert(id.bits());
                    } else {
                        heard.sent.retain(|(_, intent)| intent.id != id);
                    }
                    if let Some((close, _)) = heard.end {
                        heard.refused.push((close, late || follows));
                    }
                }
                Record::Commanded { command, .. } => {
                    since.n_from_outside += usize::from(!matches!(command, Command::Shadow { .. }));
                }
                _ => {}
            }
            Ok(())
        })?;
        // What was decided at the last close is filled after it.
        let before = |close: UnixNanos| heard.end.is_some_and(|(end, _)| close < end);
        heard.n_refused =
            heard.refused.iter().filter(|(close, is_known)| before(*close) && !is_known).count();
        let end = heard.end.map_or(UnixNanos(i64::MIN), |end| end.0);
        heard.sent.retain(|(close, _)| *close < end);
        Ok(heard)
    }

    fn settle(&mut self, since: Since) {
        self.balance += since.moved;
        self.n_from_outside += since.n_from_outside;
        let ours = |deal: &DealRecord| {
            deal.symbol == self.symbol && deal.time_ms > self.found.0 && !self.found.1.contains(&deal.ticket)
        };
        let deals: Vec<_> = since.deals.into_iter().filter(ours).collect();
        self.deals.extend(deals.into_iter().map(|deal| (deal.ticket, deal)));
    }
}

/// What was heard since a decision.
#[derive(Debug, Default)]
struct Since {
    deals: Vec<DealRecord>,
    /// Money that no order of the loop's moved.
    moved: f64,
    n_from_outside: usize,
}

impl Since {
    fn take(&mut self, findings: &[Finding], deals: Vec<DealRecord>) {
        self.deals.extend(deals);
        for finding in findings {
            match finding {
                Finding::Deposit { amount } | Finding::Other { amount, .. } => {
                    self.moved += amount;
                    self.n_from_outside += 1;
                }
                _ => {}
            }
        }
    }
}
