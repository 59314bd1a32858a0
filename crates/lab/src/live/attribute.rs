//! Why a live account is not where the environment's would be: its orders again, on the same bars, each filled at the open of the bar
//! after its decision, as training has it; and what every fill's other price is made of.
//!
//! A fill's price differs by what the middle did between the two times (latency), by half of what the spread was more (spread), and by
//! what the broker added to its quote at the arrival (slippage). Commissions follow prices. A stop that one side alone reached, because the other
//! was not there yet or entered at another price, belongs to latency, and is said apart, as does a close that was under way when its position was
//! stopped. Any other deal that one side alone has, or has of another size, is explained by nothing. What is left over must be what rounding to cents comes to.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cambist_bridge::Outcome;
use cambist_core::UnixNanos;
use cambist_core::clock::Clock;
use cambist_execution::{Account, Mark};
use cambist_live::{Broker, Deployment, Feed};

use super::heard::{Heard, Key, POSITION_CLOSED, Sum, same_position, sums};
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
    /// Orders that the broker or its bridge refused, and the environment would have filled.
    pub n_refused: usize,
    /// Times that operators, a kill or money paid in or out changed what the environment knows nothing of.
    pub n_from_outside: usize,
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
    /// At another time.
    pub is_late: bool,
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

/// Exits of the broker's that a price brings about: `DEAL_REASON_SL`, `DEAL_REASON_TP`.
const BY_PRICE: std::ops::RangeInclusive<u32> = 4..=5;

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
    let heard = Heard::of(folder)?;
    let (Some(begun), Some((end, equity))) = (heard.begun, heard.end) else {
        return Ok(Attribution::default());
    };
    let (pace, latency) = (Pace::Virtual, Duration::ZERO);
    let from = begun.to_string();
    let request = PaperRequest { from: &from, until: None, pace, latency, login: 1, journal: None, sets };
    let mut there = Paper::open(deployment, data, &request, clock)?;
    let begun_with = there.snapshot(begun)?.balance;
    let gone = sent_again(&mut there, &heard, deployment)?;
    to(&mut there, end)?;
    let account = there.snapshot(UnixNanos(0))?;
    let Some(mark) = account.mark else { return Ok(Attribution::default()) };
    let (listing, quotes) = (deployment.listing(), there.quotes());
    let tick = listing.instrument.tick_size;
    let own = account.balance + Account::open_profit(&account.holdings, listing, &mark);
    let unit = listing.instrument.contract_size * account.rate;
    let mut found = Attribution {
        total: equity - heard.balance - (own - begun_with),
        n_refused: heard.n_refused,
        n_from_outside: heard.n_from_outside,
        ..Attribution::default()
    };
    let (live, here) = (sums(heard.deals.values(), end), sums(account.deals.iter(), end));
    // What is open at the end is worth what it could be closed at.
    let net = [&live, &here].map(|sums| sums.values().map(|sum| sum.lots).sum::<f64>());
    let prices = net.map(|net| tick * if net > 0.0 { mark.bid } else { mark.ask });
    if let Some(spread) = heard.last_spread {
        found.spread -= net[0].abs() * unit * 0.5 * tick * (spread - (mark.ask - mark.bid));
    }
    found.charges += heard.financing - account.holdings.iter().map(|held| held.financing).sum::<f64>();
    let worth = |sum: &Sum, price: f64| sum.charges + unit * (sum.lots * price - sum.worth);
    let keys: BTreeSet<Key> = live.keys().chain(here.keys()).copied().collect();
    let mut alone: Vec<(Key, UnixNanos)> = Vec::new();
    for key in keys {
        found.n_deals += 1;
        match (live.get(&key), here.get(&key)) {
            (Some(live), Some(here)) if (live.lots - here.lots).abs() < 1e-9 && live.lots != 0.0 => {
                let spread = heard.spreads.get(&key.0).filter(|_| key.1 == 0);
                let fill = FillDifference::of(live, here, spread.copied(), quotes, tick);
                let money = |part: f64| -live.lots * unit * part;
                found.latency += money(fill.parts[0]);
                found.spread += money(fill.parts[1]);
                found.slippage += money(fill.parts[2]);
                found.charges += live.charges - here.charges;
                // Positions that came to lie on other sides are closed at other prices.
                found.exits += live.lots * unit * (prices[0] - prices[1]);
                found.fills.push(fill);
            }
            (live, here) => {
                found.exits += live.map_or(0.0, |sum| worth(sum, prices[0]));
                found.exits -= here.map_or(0.0, |sum| worth(sum, prices[1]));
                let when = live.into_iter().chain(here).map(|sum| sum.time_ms).min().unwrap_or(0);
                alone.push((key, UnixNanos::from_millis(when)));
            }
        }
    }
    found.latency += found.exits;
    found.fills.sort_by_key(|fill| fill.time);
    found.first = found.fills.iter().find(|fill| fill.is_other()).map(|fill| fill.time);
    let bar = deployment.timeframe.nanos();
    let first_stop = alone.iter().filter(|(key, _)| BY_PRICE.contains(&key.1)).map(|alone| alone.1).min();
    let by_latency = |(key, when): &(Key, UnixNanos)| match key.1 {
        // A stop on one side, after an entry that was late or at another price.
        reason if BY_PRICE.contains(&reason) => found.first.is_some_and(|first| first <= *when),
        // A close that found its position stopped, on either side: by the end of its bar.
        0 if gone.contains(&key.0) || heard.too_late.contains(&key.0) => {
            first_stop.is_some_and(|stop| stop.0 <= when.0 + bar)
        }
        _ => false,
    };
    found.n_alone = alone.iter().filter(|alone| !by_latency(alone)).count();
    Ok(found)
}

/// Lets the bars until `close` go by.
fn to(there: &mut Paper, close: UnixNanos) -> Result<(), LabError> {
    while there.now() < close && there.bars(there.now(), Duration::ZERO)?.is_some() {}
    Ok(())
}

/// Sends what live sent at the closes at which that was decided. Returns the marks of orders whose position was gone.
fn sent_again(there: &mut Paper, heard: &Heard, deployment: &Deployment) -> Result<BTreeSet<u64>, LabError> {
    let mut gone = BTreeSet::new();
    for (close, intent) in &heard.sent {
        to(there, *close)?;
        let mut intent = intent.clone();
        if let (Some(ticket), true) = (intent.closes, deployment.is_hedging()) {
            // One that is not there any more is refused by its own number.
            let deals = there.snapshot(UnixNanos(0))?.deals;
            intent.closes = Some(same_position(ticket, &heard.deals, &deals).unwrap_or(u64::MAX));
        }
        if let Outcome::Refused { retcode: Some(POSITION_CLOSED), .. } = there.send(&intent)? {
            gone.insert(intent.id.bits());
        }
    }
    Ok(gone)
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
        let is_late = live.time_ms != here.time_ms;
        Self { time, lots: live.lots, prices, parts: [latency, spread, slippage], is_late }
    }

    /// Whether it was filled at another price.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.prices[0] != self.prices[1]
    }

    /// Whether it was filled at another price, or at another time.
    #[must_use]
    pub fn is_other(&self) -> bool {
        self.differs() || self.is_late
    }
}
