//! The broker: takes approved orders and market events, and keeps an account. One engine for environment, backtest and the
//! simulated terminal, and made for paper trading; pure, and as strict as a MetaTrader 5 account.
//!
//! The rules of a fill. Tests carry their numbers.
//!
//! 1. A volume is a whole number of lot steps from the instrument's minimum to its maximum.
//! 2. Where selling short is forbidden, a sale is cut to what is held.
//! 3. A stop loss, take profit or pending price lies on its side of the quote, at least the stops level away.
//! 4. The broker rejects the share of client orders it is said to, by a draw from its seed, the episode and the order's
//!    number.
//! 5. Nothing pending is changed or cancelled within the freeze level of the quote.
//! 6. An order serves at the first price of the instrument's session at or after its arrival; if the market was away between
//!    for longer than is allowed it expires instead. Out of session no order and no level is served; of a
//!    bar its open decides. A day order ends with
//!    the day of the broker's clock, a dated one with its time.
//! 7. An order that arrives inside a bar fills, if it is a market order, at the worse of the bar's open and the straight
//!    line from open to close at its arrival; a pending order works from the next bar on. Latency never improves a price.
//! 8. A buyer pays the ask and a seller receives the bid: bars of the bid, as MetaTrader 5 makes them, are raised by the
//!    spread for the ask, bars of the ask lowered for the bid, and bars of mid or last prices lie halfway. What takes
//!    liquidity also pays slippage and impact, up to the next whole tick, but no limit order more than its limit. What an
//!    account has moved makes trading on dearer, and trading back no better.
//! 9. One account is at most its share of a bar's volume or of a quote's depth. What is left over is given up (IOC), makes
//!    the whole order void (FOK), or works on (return; a triggered stop becomes a market order).
//! 10. An order may not open what the free margin cannot carry after its own costs, at the prices of its own fill: it is
//!     refused whole, or cut, by the account's rules. What closes is never refused. Margin counts positions at their entry,
//!     but on an exchange, where they are paid in full, at what they are worth: unrealised gains buy nothing there.
//! 11. At a bar's open, whatever the open has passed fills at the open: stop losses and stop orders first, then limits
//!     and take profits, then orders that arrive; each oldest first. Gaps go through stops, and are kind to limits.
//! 12. Inside a bar, stops trigger before limits, at their own price. A limit fills at its own price when the quote of bid
//!     or ask bars touches it; bars of mid or last prices must trade beyond it. A triggered stop-limit order arrives anew as
//!     a limit order, at the same open or, triggered inside a bar, at the next.
//! 13. Inside a bar limits of one side fill only: pending orders before take profits. Which came first is unknown, and
//!     buying low and selling high in one bar is not to be had for free.
//! 14. A position opened inside a bar has its stop loss tested against the bar's worst price, its take profit not at all:
//!     a limit entry and its take profit never both fill in one bar.
//! 15. Where the bar is worst for the account, and at its open, the margin level is taken. Below the call level the broker
//!     calls. At or below the stop-out level all orders are cancelled, and positions are closed at that price, the
//!     largest loser first, until the level is above. This knows no share of volume.
//! 16. Finer bars decide what a bar leaves open: feed them in the bar's place.
//! 17. Swap is charged at each midnight of the broker's clock, funding at its times, rent of borrowed units by the second.
//! 18. A trade of others fills a resting limit order that it went beyond, up to its volume.
//! 19. Changes of a book make quotes: each time its best prices or their volumes change. A new price that crosses the
//!     other side has taken it away.
//! 20. An instrument, or terms, that no broker would publish (a tick worth nothing, a clock off the hour that is moved) are
//!     refused before anything is traded.

mod fills;
mod margin;
mod matching;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use cambist_core::rng::{Purpose, Stream};
use cambist_core::{BookDelta, MarketEvent, OrderKind, Side, StateError, Ticket, Trade, UnixNanos};
use cambist_risk::Approved;
use serde::{Deserialize, Serialize};

use crate::account::{Account, Holding, Mark};
use crate::instrument::ShortSale;
use crate::notice::{Ended, Log, Notice, Refused};
use crate::rules::{BrokerRules, Latency, Listing};
use window::Window;

/// An order under way, resting, or with volume left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Working {
    /// Its number.
    pub id: u64,
    /// What was asked; a triggered stop has become a market or limit order.
    pub ticket: Ticket,
    /// Volume left, in lot steps.
    pub left: i64,
    sent: UnixNanos,
    arrives: UnixNanos,
    bars_away: u32,
    arrived: bool,
    /// Triggered inside the bar at hand: rests from the next on.
    waits: bool,
    due: f64,
    charged: f64,
}

/// What is known of an instrument's market.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Market {
    mark: Mark,
    /// Ticks by which this account's own trades have moved the price: up, the ask alone; down, the bid alone.
    shift: f64,
    /// Share of that which is left after a bar.
    kept: f64,
    /// When the last event began; none before the first.
    seen: Option<UnixNanos>,
    /// When it ended.
    until: UnixNanos,
    book: BTreeMap<(bool, i64), i64>,
}

/// A broker with one account.
#[derive(Debug, Clone)]
pub struct Broker {
    rules: Arc<BrokerRules>,
    state: BrokerState,
}

/// What changes of a [`Broker`]: all that it must write down to go on later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrokerState {
    account: Account,
    initial: f64,
    working: Vec<Working>,
    markets: Vec<Market>,
    next_id: u64,
    called: bool,
    stop_outs: u32,
    luck: u64,
}

impl Broker {
    /// A broker under `rules`, with a flat account of `balance`, in the deposit currency.
    #[must_use]
    pub fn new(rules: Arc<BrokerRules>, balance: f64) -> Self {
        let mark = Mark { bid: 0.0, ask: 0.0, rate: 1.0 };
        let market = |listing: &Listing| {
            let kept = listing.impact.kept();
            Market { mark, shift: 0.0, kept, seen: None, until: UnixNanos(0), book: BTreeMap::new() }
        };
        let state = BrokerState {
            account: Account::new(balance),
            initial: balance,
            working: Vec::new(),
            markets: rules.listings.iter().map(market).collect(),
            next_id: 1,
            called: false,
            stop_outs: 0,
            luck: 0,
        };
        Self { rules, state }
    }

    /// What must be written down to go on later.
    #[must_use]
    pub fn state(&self) -> &BrokerState {
        &self.state
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    /// When it is of a broker with another number of instruments, or holds what is no number.
    pub fn restore(&mut self, state: BrokerState) -> Result<(), StateError> {
        StateError::fits("the number of instruments", state.markets.len(), self.rules.listings.len())?;
        let equity = state.account.balance();
        if !equity.is_finite() {
            return Err(StateError::Unreadable {
                what: "a broker",
                reason: format!("its balance is {equity}"),
            });
        }
        self.state = state;
        Ok(())
    }

    /// Begins anew with a flat account of `balance`; nothing is known of any market, but for the rates. What the broker
    /// decides by chance depends on `luck`, beside the rules' seed and the order's number.
    pub fn reset(&mut self, balance: f64, luck: u64) {
        let state = &mut self.state;
        state.account.reset(balance);
        state.working.clear();
        for market in &mut state.markets {
            (market.mark.bid, market.mark.ask, market.shift, market.seen) = (0.0, 0.0, 0.0, None);
            market.book.clear();
        }
        (state.initial, state.next_id, state.called, state.stop_outs) = (balance, 1, false, 0);
        state.luck = luck;
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &BrokerRules {
        &self.rules
    }

    /// The books.
    #[inline]
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.state.account
    }

    /// Equity at the last prices, in the deposit currency.
    #[inline]
    #[must_use]
    pub fn equity(&self) -> f64 {
        self.state.equity(&self.rules)
    }

    /// Balance at the start.
    #[inline]
    #[must_use]
    pub fn initial(&self) -> f64 {
        self.state.initial
    }

    /// Margin of all that is held.
    #[inline]
    #[must_use]
    pub fn margin(&self) -> f64 {
        self.state.margin(&self.rules)
    }

    /// The last bid and ask, as this account sees them.
    #[inline]
    #[must_use]
    pub fn mark(&self, instrument: usize) -> &Mark {
        &self.state.markets[instrument].mark
    }

    /// Orders that are not done, oldest first.
    #[must_use]
    pub fn working(&self) -> &[Working] {
        &self.state.working
    }

    /// Signed volume of an instrument's market orders that are under way or have volume left, in lot steps.
    #[inline]
    #[must_use]
    pub fn in_flight(&self, instrument: usize) -> i64 {
        let market = |w: &&Working| w.ticket.instrument == instrument && w.ticket.kind == OrderKind::Market;
        self.state.working.iter().filter(market).map(|w| w.ticket.side.sign() * w.left).sum()
    }

    /// How often the account was stopped out.
    #[must_use]
    pub fn stop_outs(&self) -> u32 {
        self.state.stop_outs
    }

    /// Says what one unit of an instrument's profit currency is worth in the deposit currency, from now on.
    #[inline]
    pub fn set_rate(&mut self, instrument: usize, rate: f64) {
        if rate.is_finite() && rate > 0.0 {
            self.state.markets[instrument].mark.rate = rate;
        }
    }

    /// Takes an order, sent at `now`; it is served by the events that follow. Returns its number.
    ///
    /// # Errors
    /// By rules 1, 2 and 3, with the value.
    pub fn submit(&mut self, order: Approved<Ticket>, now: UnixNanos) -> Result<u64, Refused> {
        self.state.submit(&self.rules, order.get(), now)
    }

    /// Takes an order back.
    ///
    /// # Errors
    /// When there is none, or by rule 5.
    pub fn cancel(&mut self, order: u64, now: UnixNanos, log: &mut impl Log) -> Result<(), Refused> {
        let unknown = Refused::Unknown { what: "order", id: order };
        let at = self.state.working.iter().position(|w| w.id == order).ok_or(unknown)?;
        let working = &self.state.working[at];
        if let Some(price) = trigger(&working.ticket.kind) {
            let side = working.ticket.side;
            self.state.thawed(&self.rules, working.ticket.instrument, side, price, "the order's price")?;
        }
        self.state.end(at, now, Ended::Cancelled, log);
        Ok(())
    }

    /// Sets stop loss and take profit of a position, in ticks.
    ///
    /// # Errors
    /// When there is none, or by rules 3 and 5.
    pub fn protect(
        &mut self,
        position: u64,
        stop_loss: Option<i64>,
        take_profit: Option<i64>,
    ) -> Result<(), Refused> {
        let unknown = Refused::Unknown { what: "position", id: position };
        let held = *self.state.account.holdings().iter().find(|h| h.id == position).ok_or(unknown)?;
        let side = Side::of(held.steps);
        for (what, old) in [("the stop loss", held.stop_loss), ("the take profit", held.take_profit)] {
            if let Some(price) = old {
                self.state.thawed(&self.rules, held.instrument, side.opposite(), price, what)?;
            }
        }
        self.state.distant(&self.rules, held.instrument, side, stop_loss, take_profit, None)?;
        for own in self.state.account.holdings_mut().iter_mut().filter(|h| h.id == position) {
            (own.stop_loss, own.take_profit) = (stop_loss, take_profit);
        }
        Ok(())
    }

    /// Lives through an event of `instrument`. Events of all instruments come in time's order.
    pub fn on(&mut self, instrument: usize, event: &MarketEvent, log: &mut impl Log) {
        let Self { rules, state } = self;
        let side = rules.listings[instrument].price_side;
        match event {
            MarketEvent::Bar(bar) => {
                state.live_through(rules, instrument, &mut Window::of_bar(bar, side, rules, instrument), log)
            }
            MarketEvent::Quote(quote) => {
                state.live_through(rules, instrument, &mut Window::of_quote(quote, rules, instrument), log);
            }
            MarketEvent::Trade(trade) => state.trade_beyond(rules, instrument, trade, log),
            MarketEvent::BookDelta(delta) => {
                if let Some(quote) = state.markets[instrument].apply(delta) {
                    state.live_through(
                        rules,
                        instrument,
                        &mut Window::of_quote(&quote, rules, instrument),
                        log,
                    );
                }
            }
        }
    }

    /// Closes everything at the last prices, on the broker's own path.
    pub fn liquidate(&mut self, now: UnixNanos, log: &mut impl Log) {
        let Self { rules, state } = self;
        state.cancel_all(now, log);
        while let Some(held) = state.account.holdings().first().copied() {
            state.force_out(rules, &held, now, log);
        }
    }
}

/// Where a pending order waits.
fn trigger(kind: &OrderKind) -> Option<i64> {
    match *kind {
        OrderKind::Market => None,
        OrderKind::Limit { price } | OrderKind::Stop { price } => Some(price),
        OrderKind::StopLimit { stop, .. } => Some(stop),
    }
}

impl BrokerState {
    #[inline]
    fn mark(&self, instrument: usize) -> Mark {
        self.markets[instrument].mark
    }

    #[inline]
    fn equity(&self, rules: &BrokerRules) -> f64 {
        self.account.equity(rules, |i| self.mark(i))
    }

    #[inline]
    fn margin(&self, rules: &BrokerRules) -> f64 {
        self.account.margin(rules, |i| self.mark(i))
    }

    fn submit(&mut self, rules: &BrokerRules, ticket: Ticket, now: UnixNanos) -> Result<u64, Refused> {
        let i = ticket.instrument;
        let listing = rules.listings.get(i).ok_or(Refused::Unknown { what: "instrument", id: i as u64 })?;
        let lots = listing.instrument.lots;
        if !(lots.minimum..=lots.maximum).contains(&ticket.steps) {
            let (steps, minimum, maximum) = (ticket.steps, lots.minimum, lots.maximum);
            // What is left of a position may be less than an order's least volume.
            let closes = ticket.closes.and_then(|id| self.account.holdings().iter().find(|h| h.id == id));
            let left = closes.map_or_else(|| self.account.steps(i).abs(), |holding| holding.steps.abs());
            if !(1..minimum).contains(&steps) || left != steps {
                return Err(Refused::Volume { steps, minimum, maximum });
            }
        }
        let held = self.account.steps(i);
        if ticket.side == Side::Sell && listing.instrument.short == ShortSale::Forbidden && held <= 0 {
            return Err(Refused::LongOnly { held, steps: ticket.steps });
        }
        let Ticket { side, stop_loss, take_profit, kind, .. } = ticket;
        self.distant(rules, i, side, stop_loss, take_profit, Some(&kind))?;
        let id = self.next_id;
        self.next_id += 1;
        let (delay, bars_away) = match listing.latency {
            Latency::Millis(ms) => (i64::from(ms) * 1_000_000, 0),
            Latency::Bars(bars) => (0, bars),
        };
        self.working.push(Working {
            id,
            ticket,
            left: ticket.steps,
            sent: now,
            arrives: UnixNanos(now.0 + delay),
            bars_away,
            arrived: false,
            waits: false,
            due: 0.0,
            charged: 0.0,
        });
        Ok(id)
    }

    /// Rule 3.
    fn distant(
        &self,
        rules: &BrokerRules,
        instrument: usize,
        side: Side,
        stop_loss: Option<i64>,
        take_profit: Option<i64>,
        kind: Option<&OrderKind>,
    ) -> Result<(), Refused> {
        let pending = kind.and_then(trigger);
        if stop_loss.is_none() && take_profit.is_none() && pending.is_none() {
            return Ok(());
        }
        let market = &self.markets[instrument];
        if market.seen.is_none() {
            return Err(Refused::NoQuote { instrument });
        }
        let level = rules.listings[instrument].instrument.stops_level;
        let quote = market.mark;
        let check = |what: &'static str, price: i64, above: bool, reference: f64| {
            let distance = if above { price as f64 - reference } else { reference - price as f64 };
            let far = distance >= level as f64 && (level > 0 || distance > 0.0);
            let distance = distance as i64;
            if far { Ok(()) } else { Err(Refused::TooClose { what, price, distance, level: level.max(1) }) }
        };
        let is_buy = side == Side::Buy;
        // Stops and targets of a pending order are seen from its own price; a long is closed at the bid.
        let exit = if is_buy { quote.bid } else { quote.ask };
        let entry = if is_buy { quote.ask } else { quote.bid };
        let from = pending.map_or(exit, |price| price as f64);
        if let Some(price) = stop_loss {
            check("stop loss", price, !is_buy, from)?;
        }
        if let Some(price) = take_profit {
            check("take profit", price, is_buy, from)?;
        }
        match kind {
            Some(&OrderKind::Stop { price } | &OrderKind::StopLimit { stop: price, .. }) => {
                check("stop price", price, is_buy, entry)
            }
            // A limit on the wrong side takes what is there: it is marketable.
            Some(&OrderKind::Limit { price }) if level > 0 => check("limit price", price, !is_buy, entry),
            _ => Ok(()),
        }
    }

    /// Rule 5.
    fn thawed(
        &self,
        rules: &BrokerRules,
        instrument: usize,
        side: Side,
        price: i64,
        what: &'static str,
    ) -> Result<(), Refused> {
        let level = rules.listings[instrument].instrument.freeze_level;
        let quote = self.mark(instrument);
        let reference = if side == Side::Buy { quote.ask } else { quote.bid };
        let distance = (price as f64 - reference).abs() as i64;
        if level > 0 && distance <= level {
            return Err(Refused::Frozen { what, distance, level });
        }
        Ok(())
    }

    /// Rule 4.
    fn rejects(&self, rules: &BrokerRules, listing: usize, order: u64) -> bool {
        let share = rules.listings[listing].reject_share;
        let index = self.luck.rotate_left(24) ^ order;
        share > 0.0 && Stream::new(rules.seed, Purpose::Broker, index).uniform() < share
    }

    fn end(&mut self, at: usize, time: UnixNanos, why: Ended, log: &mut impl Log) {
        let working = self.working.remove(at);
        log.tell(Notice::Ended { order: working.id, time, left: working.left, why });
    }

    fn cancel_all(&mut self, time: UnixNanos, log: &mut impl Log) {
        while !self.working.is_empty() {
            self.end(0, time, Ended::StoppedOut, log);
        }
    }

    /// The broker closes `held` at the marks.
    fn force_out(&mut self, rules: &BrokerRules, held: &Holding, time: UnixNanos, log: &mut impl Log) {
        let mut window = Window::at_mark(time, &self.markets[held.instrument]);
        self.stop_out(rules, &mut window, held, log);
    }
}

impl Market {
    /// Rule 19.
    fn apply(&mut self, delta: &BookDelta) -> Option<cambist_core::Quote> {
        let best = |book: &BTreeMap<(bool, i64), i64>| {
            let bid = book.range((true, i64::MIN)..).next_back().map(|(&(_, price), &steps)| (price, steps));
            let ask = book.range(..(true, i64::MIN)).next().map(|(&(_, price), &steps)| (price, steps));
            bid.zip(ask)
        };
        let before = best(&self.book);
        let key = (delta.side == Side::Buy, delta.price);
        if delta.steps > 0 {
            let crossed = |&(is_bid, price): &(bool, i64)| {
                is_bid != key.0 && if key.0 { price <= delta.price } else { price >= delta.price }
            };
            self.book.retain(|level, _| !crossed(level));
            self.book.insert(key, delta.steps);
        } else {
            self.book.remove(&key);
        }
        let after = best(&self.book);
        let ((bid, bid_steps), (ask, ask_steps)) = after.filter(|_| after != before)?;
        let depth = Some((bid_steps, ask_steps));
        Some(cambist_core::Quote { time: delta.time, bid, ask, depth })
    }
}

impl BrokerState {
    /// Rule 18.
    fn trade_beyond(&mut self, rules: &BrokerRules, instrument: usize, trade: &Trade, log: &mut impl Log) {
        let mut window = Window::of_trade(trade, &self.markets[instrument], rules, instrument);
        self.expire(rules, instrument, &window, log);
        self.markets[instrument].until = trade.time;
        if !rules.listings[instrument].instrument.trades_at(trade.time) {
            return;
        }
        self.rest_filled_by(rules, instrument, &mut window, trade.price as f64, log);
    }
}
