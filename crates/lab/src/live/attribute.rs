//! Why a live account is not where the environment's would be: its orders again, on the same bars, each filled at the open of the bar
//! after its decision, as training has it; and what every fill's other price is made of.
//!
//! A fill's price differs by what the middle did between the two times (latency), by half of what the spread was more (spread), and by
//! what the broker added to its quote at the arrival (slippage). Commissions follow prices. A stop that one side alone reached, because the other
//! was not there yet or entered at another price, belongs to latency, and is said apart. Any other deal that one side alone has, or has of another
//! size, is explained by nothing. What is left over must be what rounding to cents comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cambist_bridge::{DealRecord, OrderId, Outcome};
use cambist_core::UnixNanos;
use cambist_core::clock::Clock;
use cambist_execution::{Account, Mark};
use cambist_live::words::{Finding, Intent, Record};
use cambist_live::{Broker, Deployment, Feed, Journal};

use super::paper::{Pace, Paper, PaperRequest};
use crate::error::LabError;

/// A deal's profit and its charges are rounded to a cent on both sides; over many deals such errors grow as their root.
const ROUNDING: f64 = 0.02;

/// What the difference of two accounts is made of, in money; positive is live's gain.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attribution {
    /// Fills on both sides.
    pub fills: Vec<FillDifference>,
    /// Live's equity at the last bar's close, less the other's.
    pub total: f64,
    /// The market moved while orders were under way; with [`Attribution::exits`].
    pub latency: f64,
    /// Of it what stops came to that one side alone reached, and orders that found their position gone after one.
    pub exits: f64,
    /// The spread was another.
    pub spread: f64,
    /// The broker filled at another distance from its quote.
    pub slippage: f64,
    /// Commissions and swaps that follow.
    pub charges: f64,
    /// Orders and exits, on one side or both.
    pub n_deals: usize,
    /// Orders of one side alone, or of another size there: nothing here explains them.
    pub n_alone: usize,
    /// Orders that the broker refused, and the environment would have filled.
    pub n_refused: usize,
    /// When the first thing was otherwise.
    pub first: Option<UnixNanos>,
}

/// One fill on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct FillDifference {
    /// When it was filled live.
    pub time: UnixNanos,
    /// Signed lots.
    pub lots: f64,
    /// Live, and at the open after the decision.
    pub prices: [f64; 2],
    /// Parts of the difference of prices: latency, spread, slippage.
    pub parts: [f64; 3],
}

impl Attribution {
    /// What no part explains.
    #[must_use]
    pub fn left_over(&self) -> f64 {
        self.total - (self.latency + self.spread + self.slippage + self.charges)
    }

    /// Whether what is left over is more than rounding.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.left_over().abs() > ROUNDING * ((1 + self.n_deals) as f64).sqrt()
    }
}

/// What the deals of one order, or of one exit of the broker's, come to.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// Signed.
    lots: f64,
    /// Of signed lots times prices.
    worth: f64,
    /// Of the last.
    time_ms: i64,
    /// Commission, swap and fees.
    charges: f64,
}

/// The part of the magic number that is an order's own, and who made the deal: 0 for a client, else the broker's reason.
type Key = (u64, u32);

/// `DEAL_REASON_EXPERT`, the last of the clients'.
const LAST_CLIENT: u32 = 3;

fn sums<'a>(deals: impl Iterator<Item = &'a DealRecord>, until: UnixNanos) -> BTreeMap<Key, Sum> {
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

/// What was heard and sent, from a journal.
#[derive(Default)]
struct Heard {
    symbol: String,
    /// The broker's time when the account was found, in milliseconds, and the deals that were known then.
    found: (i64, BTreeSet<u64>),
    n_refused: usize,
    /// When the first bar that was decided on opened, and what the account held before.
    begun: Option<UnixNanos>,
    balance: f64,
    /// Orders, by the close they were decided at.
    sent: Vec<(UnixNanos, Intent)>,
    deals: BTreeMap<u64, DealRecord>,
    /// Spreads that were shown when orders were decided, in ticks, by an order's own bits.
    spreads: BTreeMap<u64, f64>,
    /// The last close, and equity there.
    end: Option<(UnixNanos, f64)>,
    /// The spread that it was counted at, in ticks, where the broker said so.
    last_spread: Option<f64>,
}

fn hear(folder: &Path) -> Result<Heard, LabError> {
    let mut heard = Heard::default();
    Journal::read(folder, |kept| {
        let (account, findings, intents) = match kept.record {
            Record::Opened(opened) => {
                heard.balance = opened.baseline.balance;
                let known = opened.baseline.deals.iter().map(|deal| deal.ticket).collect();
                heard.found = (opened.baseline.broker_time.0.div_euclid(1_000_000), known);
                heard.symbol = opened.symbol;
                return Ok(());
            }
            Record::Step { bar, account, findings, decision, .. } => {
                heard.begun.get_or_insert(bar.open_time);
                heard.end = Some((decision.close, decision.equity));
                heard.last_spread = account.mark.map(|mark| mark.ask - mark.bid);
                (account, findings, decision.intents)
            }
            Record::Flatten { account, findings, intents, .. } => (account, findings, intents),
            Record::Look { account, findings, .. } => (account, findings, Vec::new()),
            Record::Outcome { id, outcome: Outcome::Refused { retcode, .. }, .. } => {
                heard.n_refused += usize::from(retcode.is_some());
                heard.sent.retain(|(_, intent)| intent.id != id);
                return Ok(());
            }
            _ => return Ok(()),
        };
        heard.balance += findings.iter().filter_map(not_ours).sum::<f64>();
        let ours = |deal: &DealRecord| {
            deal.symbol == heard.symbol
                && deal.time_ms > heard.found.0
                && !heard.found.1.contains(&deal.ticket)
        };
        let deals = account.deals.into_iter().filter(ours).map(|deal| (deal.ticket, deal));
        heard.deals.extend(deals.collect::<Vec<_>>());
        let spread = account.quote[1] - account.quote[0];
        heard.spreads.extend(intents.iter().map(|intent| (intent.id.bits(), spread)));
        if let Some((close, _)) = heard.end {
            heard.sent.extend(intents.into_iter().map(|intent| (close, intent)));
        }
        Ok(())
    })?;
    // What was decided at the last close is filled after it.
    heard.sent.retain(|(close, _)| heard.end.is_some_and(|(end, _)| *close < end));
    Ok(heard)
}

/// Money that no order of the loop's moved.
fn not_ours(finding: &Finding) -> Option<f64> {
    match finding {
        Finding::Deposit { amount } | Finding::Other { amount, .. } => Some(*amount),
        _ => None,
    }
}

/// The position there that live's `ticket` is: both were opened by the order with the same mark.
fn same_position(ticket: u64, live: &BTreeMap<u64, DealRecord>, there: &[DealRecord]) -> Option<u64> {
    // DEAL_ENTRY_IN.
    let opened = live.values().find(|deal| deal.position_id == ticket && deal.entry == 0)?;
    let mark = OrderId::bits_of(opened.magic);
    there
        .iter()
        .find(|deal| deal.entry == 0 && OrderId::bits_of(deal.magic) == mark)
        .map(|deal| deal.position_id)
}

/// Attributes the difference between the account of the journal in `folder` and one that sends the same orders without delay, at the
/// broker of `deployment` on the bars in `data` under `sets`.
///
/// # Errors
/// When the journal is damaged, or the bars are not there.
pub(super) fn attribute(
    folder: &Path,
    deployment: &Deployment,
    data: &Path,
    sets: &[String],
    clock: Arc<dyn Clock>,
) -> Result<Attribution, LabError> {
    let heard = hear(folder)?;
    let (Some(begun), Some((end, equity))) = (heard.begun, heard.end) else {
        return Ok(Attribution::default());
    };
    let (pace, latency) = (Pace::Virtual, Duration::ZERO);
    let from = begun.to_string();
    let request = PaperRequest { from: &from, until: None, pace, latency, login: 1, journal: None, sets };
    let mut there = Paper::open(deployment, data, &request, clock)?;
    let begun_with = there.snapshot(begun)?.balance;
    let to = |there: &mut Paper, close: UnixNanos| -> Result<(), LabError> {
        while there.now() < close && there.bars(there.now(), Duration::ZERO)?.is_some() {}
        Ok(())
    };
    let mut gone = BTreeSet::new();
    for (close, intent) in &heard.sent {
        to(&mut there, *close)?;
        let mut intent = intent.clone();
        if let (Some(ticket), true) = (intent.closes, deployment.is_hedging()) {
            // One that is not there any more is refused by its own number.
            let deals = there.snapshot(UnixNanos(0))?.deals;
            intent.closes = Some(same_position(ticket, &heard.deals, &deals).unwrap_or(u64::MAX));
        }
        if let Outcome::Refused { .. } = there.send(&intent)? {
            gone.insert(intent.id.bits());
        }
    }
    to(&mut there, end)?;
    let account = there.snapshot(UnixNanos(0))?;
    let (listing, quotes) = (deployment.listing(), there.quotes());
    let Some(mark) = account.mark else { return Ok(Attribution::default()) };
    let own = account.balance + Account::open_profit(&account.holdings, listing, &mark);
    let unit = listing.instrument.contract_size * account.rate;
    let mut found = Attribution {
        total: equity - heard.balance - (own - begun_with),
        n_refused: heard.n_refused,
        ..Attribution::default()
    };
    let (live, here) = (sums(heard.deals.values(), end), sums(account.deals.iter(), end));
    // What is open at the end is worth what it could be closed at.
    let net = live.values().map(|sum| sum.lots).sum::<f64>();
    let tick = listing.instrument.tick_size;
    let price = tick * if net > 0.0 { mark.bid } else { mark.ask };
    if let Some(spread) = heard.last_spread {
        found.spread -= net.abs() * unit * 0.5 * tick * (spread - (mark.ask - mark.bid));
    }
    let worth = |sum: &Sum| sum.charges + unit * (sum.lots * price - sum.worth);
    let mut exits: Vec<(UnixNanos, bool)> = Vec::new();
    let keys: BTreeSet<Key> = live.keys().chain(here.keys()).copied().collect();
    for key in keys {
        let (live, here) = (live.get(&key), here.get(&key));
        found.n_deals += 1;
        match (live, here) {
            (Some(live), Some(here)) if (live.lots - here.lots).abs() < 1e-9 && live.lots != 0.0 => {
                let spread = heard.spreads.get(&key.0).filter(|_| key.1 == 0);
                let fill = FillDifference::of(live, here, spread.copied(), quotes, tick);
                let money = |part: f64| -live.lots * unit * part;
                found.latency += money(fill.parts[0]);
                found.spread += money(fill.parts[1]);
                found.slippage += money(fill.parts[2]);
                found.charges += live.charges - here.charges;
                found.fills.push(fill);
            }
            // The broker's own exits; and after one of them, orders for what it closed.
            (live, here) if key.1 > 0 || (gone.contains(&key.0) && here.is_none()) => {
                let money = live.map_or(0.0, worth) - here.map_or(0.0, worth);
                found.exits += money;
                found.latency += money;
                let when = live.into_iter().chain(here).map(|sum| sum.time_ms).min().unwrap_or(i64::MAX);
                exits.push((UnixNanos::from_millis(when), key.1 > 0));
            }
            _ => found.n_alone += 1,
        }
    }
    found.fills.sort_by_key(|fill| fill.time);
    let first_exit = exits.iter().filter(|exit| exit.1).map(|exit| exit.0).min();
    // An order that found nothing to close before any exit has another reason.
    found.n_alone +=
        exits.iter().filter(|exit| !exit.1 && first_exit.is_none_or(|first| exit.0 < first)).count();
    let first_fill = found.fills.iter().find(|fill| fill.differs()).map(|fill| fill.time);
    found.first = first_fill.into_iter().chain(first_exit).min();
    Ok(found)
}

impl FillDifference {
    /// What the prices of `live` and `here` differ by, given the spread that live was shown and the quotes over time here, in ticks.
    fn of(live: &Sum, here: &Sum, spread: Option<f64>, quotes: &[(UnixNanos, Mark)], tick: f64) -> Self {
        let prices = [live, here].map(|sum| sum.worth / sum.lots);
        let shown = [live, here].map(|sum| {
            let after = quotes.partition_point(|quote| quote.0.0 / 1_000_000 <= sum.time_ms);
            let quote = quotes.get(after.saturating_sub(1)).map(|(_, mark)| [mark.bid, mark.ask]);
            let [bid, ask] = quote.unwrap_or_default();
            (0.5 * tick * (bid + ask), 0.5 * tick * (ask - bid))
        });
        let latency = shown[0].0 - shown[1].0;
        let half = spread.map_or(shown[0].1, |spread| 0.5 * tick * spread);
        let spread = live.lots.signum() * (half - shown[1].1);
        let slippage = prices[0] - prices[1] - latency - spread;
        let time = UnixNanos::from_millis(live.time_ms);
        Self { time, lots: live.lots, prices, parts: [latency, spread, slippage] }
    }

    /// Whether there is any.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.prices[0] != self.prices[1]
    }
}
