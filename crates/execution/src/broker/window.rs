//! An event as the rules see it: prices and volume over a stretch of time, or at a point of it.

use cambist_core::{BarEvent, PriceSide, Quote, Trade, UnixNanos};

use super::Market;
use crate::rules::BrokerRules;

/// What an event says of prices and volume, in ticks and lot steps, before the account's own impact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) opened: UnixNanos,
    pub(super) closed: UnixNanos,
    pub(super) open: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
    pub(super) spread: f64,
    pub(super) side: PriceSide,
    /// Volume this account may still have, in lot steps: bought and sold.
    pub(super) capacity: [i64; 2],
    /// Whether both sides draw on one capacity, as a bar's volume is.
    pub(super) shared: bool,
    /// Volume that impact is measured by.
    pub(super) volume: f64,
    pub(super) volatility: f64,
}

fn capped(participation: Option<f64>, steps: Option<i64>) -> i64 {
    match (participation, steps) {
        (Some(share), Some(steps)) => (share * steps as f64) as i64,
        (None, _) | (_, None) => i64::MAX,
    }
}

impl Window {
    #[inline]
    pub(super) fn of_bar(bar: &BarEvent, side: PriceSide, rules: &BrokerRules, instrument: usize) -> Self {
        let capacity = capped(rules.listings[instrument].participation, bar.volume);
        Self {
            opened: bar.open_time,
            closed: bar.close_time,
            open: bar.open as f64,
            high: bar.high as f64,
            low: bar.low as f64,
            close: bar.close as f64,
            spread: bar.spread as f64,
            side,
            capacity: [capacity; 2],
            shared: true,
            volume: bar.volume.unwrap_or(0) as f64,
            volatility: bar.volatility,
        }
    }

    fn point(time: UnixNanos, bid: f64, ask: f64, capacity: [i64; 2], volume: f64) -> Self {
        Self {
            opened: time,
            closed: time,
            open: bid,
            high: bid,
            low: bid,
            close: bid,
            spread: ask - bid,
            side: PriceSide::Bid,
            capacity,
            shared: false,
            volume,
            volatility: 0.0,
        }
    }

    pub(super) fn of_quote(quote: &Quote, rules: &BrokerRules, instrument: usize) -> Self {
        let share = rules.listings[instrument].participation;
        let depth = |pick: fn((i64, i64)) -> i64| match quote.depth {
            // What is shown is all there is, whatever the share.
            Some(depth) => capped(share.or(Some(1.0)), Some(pick(depth))),
            None => i64::MAX,
        };
        let capacity = [depth(|(_, ask)| ask), depth(|(bid, _)| bid)];
        let volume = quote.depth.map_or(0.0, |(bid, ask)| (bid + ask) as f64);
        Self::point(quote.time, quote.bid as f64, quote.ask as f64, capacity, volume)
    }

    pub(super) fn of_trade(trade: &Trade, market: &Market, rules: &BrokerRules, instrument: usize) -> Self {
        let capacity = capped(rules.listings[instrument].participation.or(Some(1.0)), Some(trade.steps));
        let (bid, ask) = unshifted(market);
        Self { shared: true, ..Self::point(trade.time, bid, ask, [capacity; 2], trade.steps as f64) }
    }

    pub(super) fn at_mark(time: UnixNanos, market: &Market) -> Self {
        let (bid, ask) = unshifted(market);
        Self::point(time, bid, ask, [i64::MAX; 2], 0.0)
    }

    /// Whether a touch fills a limit. Rule 12.
    #[inline]
    pub(super) fn touch_fills(&self) -> bool {
        matches!(self.side, PriceSide::Bid | PriceSide::Ask)
    }

    #[inline]
    pub(super) fn is_point(&self) -> bool {
        self.opened == self.closed
    }
}

/// Bid and ask without the account's own impact.
fn unshifted(market: &Market) -> (f64, f64) {
    (market.mark.bid - market.shift.min(0.0), market.mark.ask - market.shift.max(0.0))
}
