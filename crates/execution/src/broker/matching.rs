//! The course of an event: which orders and levels it touches, in which order.

use cambist_core::{FillPolicy, OrderKind, Side, Ticket, UnixNanos};

use super::BrokerState;
use super::fills::Want;
use super::window::Window;
use crate::account::{Holding, closing_side, quotes};
use crate::notice::{Ended, Log, Reason};
use crate::rules::{AfterGap, BrokerRules};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The part of a window that is looked at.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: f64,
    high: f64,
    /// The price from which it was entered.
    from: f64,
    inside: bool,
}

impl BrokerState {
    pub(super) fn live_through(
        &mut self,
        rules: &BrokerRules,
        instrument: usize,
        window: &mut Window,
        log: &mut impl Log,
    ) {
        self.finance(rules, instrument, window.opened);
        self.move_to(instrument, window, window.open);
        let at_open = Range { low: window.open, high: window.open, from: window.open, inside: false };
        if !self.working.is_empty() {
            self.expire(rules, instrument, window, log);
        }
        self.markets[instrument].until = window.closed;
        // Rule 6: out of session prices move, and the broker may close, but no order and no level is served.
        let in_session = rules.listings[instrument].instrument.trades_at(window.opened);
        if in_session {
            self.stops(rules, instrument, window, at_open, false, log);
            self.limits(rules, instrument, window, at_open, log);
            if !self.working.is_empty() {
                self.arrivals(rules, instrument, window, log);
            }
        }
        self.check_margin(rules, instrument, window, [window.open; 2], log);
        if window.is_point() {
            return;
        }
        let inside = Range { low: window.low, high: window.high, from: window.open, inside: true };
        if in_session {
            if !self.working.is_empty() {
                self.late_arrivals(rules, instrument, window, log);
            }
            self.stops(rules, instrument, window, inside, false, log);
            self.limits(rules, instrument, window, inside, log);
            self.stops(rules, instrument, window, inside, true, log);
        }
        self.check_margin(rules, instrument, window, [window.low, window.high], log);
        self.move_to(instrument, window, window.close);
        self.settle(instrument);
    }

    /// Bid and ask at the window's price `price`, the account's own impact included.
    #[inline]
    pub(super) fn quotes_at(&self, instrument: usize, window: &Window, price: f64) -> (f64, f64) {
        quotes(window.side, price, window.spread, self.markets[instrument].shift)
    }

    #[inline]
    pub(super) fn move_to(&mut self, instrument: usize, window: &Window, price: f64) {
        let (bid, ask) = self.quotes_at(instrument, window, price);
        let mark = &mut self.markets[instrument].mark;
        (mark.bid, mark.ask) = (bid, ask);
    }

    /// After the bar: what it opened is old, what was triggered rests, what was moved comes back.
    #[inline]
    fn settle(&mut self, instrument: usize) {
        let market = &mut self.markets[instrument];
        if market.shift != 0.0 {
            market.shift *= market.kept;
        }
        for holding in self.account.holdings_mut() {
            holding.fresh = false;
        }
        for working in &mut self.working {
            working.waits = false;
        }
    }

    /// Rule 6.
    pub(super) fn expire(
        &mut self,
        rules: &BrokerRules,
        instrument: usize,
        window: &Window,
        log: &mut impl Log,
    ) {
        // The market was there until its last event ended.
        let there_until = self.markets[instrument].until;
        let listing = &rules.listings[instrument];
        let day = |t: UnixNanos| listing.clock.day(t);
        let mut at = 0;
        while let Some(working) = self.working.get(at) {
            let own = working.ticket.instrument == instrument;
            let over = match working.ticket.expiry {
                cambist_core::Expiry::Gtc => false,
                cambist_core::Expiry::Day => day(window.opened) > day(working.sent),
                cambist_core::Expiry::At(time) => window.opened >= time,
            };
            let away = match listing.after_gap {
                AfterGap::Fill => false,
                AfterGap::ExpireAfter(seconds) => {
                    let missed = window.opened.0 - working.arrives.0.max(there_until.0);
                    !working.arrived && missed > i64::from(seconds) * NANOS_PER_SECOND
                }
            };
            if own && over {
                self.end(at, window.opened, Ended::Expired, log);
            } else if own && away {
                self.end(at, window.opened, Ended::Gap, log);
            } else {
                at += 1;
            }
        }
    }

    /// Stop losses, then stop orders, that `range` has come to. Rules 11, 12 and 14.
    fn stops(
        &mut self,
        rules: &BrokerRules,
        instrument: usize,
        window: &mut Window,
        range: Range,
        fresh: bool,
        log: &mut impl Log,
    ) {
        let mut at = 0;
        while let Some(held) = self.account.holdings().get(at).copied() {
            at += 1;
            if held.instrument != instrument || held.fresh != fresh {
                continue;
            }
            let Some(stop) = held.stop_loss else { continue };
            if let Some(quote) = self.triggered(instrument, window, range, closing_side(held.steps), stop) {
                let n_held = self.account.holdings().len();
                self.stop_loss(rules, window, &held, quote, log);
                at -= usize::from(self.account.holdings().len() < n_held);
            }
        }
        let mut at = 0;
        while let Some(working) = self.working.get(at) {
            let Ticket { kind, side, .. } = working.ticket;
            let price = match kind {
                OrderKind::Stop { price } | OrderKind::StopLimit { stop: price, .. } => price,
                OrderKind::Market | OrderKind::Limit { .. } => {
                    at += 1;
                    continue;
                }
            };
            let ready =
                working.arrived && !working.waits && working.ticket.instrument == instrument && !fresh;
            let quote = if ready { self.triggered(instrument, window, range, side, price) } else { None };
            at += match quote {
                Some(quote) => self.trigger_order(rules, window, at, quote, range.inside, log),
                None => 1,
            };
        }
    }

    /// The quote at which a stop of `side` at `stop` triggers in `range`, if it does: its own price, or that at which the
    /// range was entered if that is worse.
    #[inline]
    fn triggered(
        &self,
        instrument: usize,
        window: &Window,
        range: Range,
        side: Side,
        stop: i64,
    ) -> Option<f64> {
        let stop = stop as f64;
        match side {
            Side::Buy => {
                let highest = self.quotes_at(instrument, window, range.high).1;
                (highest >= stop).then(|| stop.max(self.quotes_at(instrument, window, range.from).1))
            }
            Side::Sell => {
                let lowest = self.quotes_at(instrument, window, range.low).0;
                (lowest <= stop).then(|| stop.min(self.quotes_at(instrument, window, range.from).0))
            }
        }
    }

    /// Serves a triggered stop order; returns how far to go on in the list.
    fn trigger_order(
        &mut self,
        rules: &BrokerRules,
        window: &mut Window,
        at: usize,
        quote: f64,
        inside: bool,
        log: &mut impl Log,
    ) -> usize {
        let working = &mut self.working[at];
        if let OrderKind::StopLimit { limit, .. } = working.ticket.kind {
            // It arrives anew, as a limit order: what it finds there it takes, the rest waits or is given up.
            working.ticket.kind = OrderKind::Limit { price: limit };
            (working.waits, working.arrived) = (inside, false);
            return 1;
        }
        working.ticket.kind = OrderKind::Market;
        self.serve(rules, window, at, quote, None, true, inside, log)
    }

    fn stop_loss(
        &mut self,
        rules: &BrokerRules,
        window: &mut Window,
        held: &Holding,
        quote: f64,
        log: &mut impl Log,
    ) {
        let filled = self.fill(rules, window, &Want::closing(held, quote, Reason::StopLoss), log);
        let left = held.steps.abs() - filled;
        if left > 0 {
            // Rule 9: the rest is under way as a market order of its own.
            for own in self.account.holdings_mut().iter_mut().filter(|h| h.id == held.id) {
                own.stop_loss = None;
            }
            let mut ticket = Ticket::market(held.instrument, -held.steps.signum() * left);
            ticket.closes = Some(held.id);
            ticket.fill = FillPolicy::Return;
            self.insert(ticket, window.opened);
        }
    }

    /// Limit orders, then take profits, that `range` has come to. Rules 11 to 14.
    fn limits(
        &mut self,
        rules: &BrokerRules,
        instrument: usize,
        window: &mut Window,
        range: Range,
        log: &mut impl Log,
    ) {
        let mut one_way: Option<Side> = None;
        let mut at = 0;
        while let Some(working) = self.working.get(at) {
            let Ticket { side, kind, .. } = working.ticket;
            let ready = working.arrived && !working.waits && working.ticket.instrument == instrument;
            let quote = match kind {
                OrderKind::Limit { price }
                    if ready && !(range.inside && one_way == Some(side.opposite())) =>
                {
                    self.reached(instrument, window, range, side, price)
                }
                _ => None,
            };
            at += match quote {
                Some(quote) => {
                    one_way = Some(side);
                    self.serve(rules, window, at, quote, None, false, range.inside, log)
                }
                None => 1,
            };
        }
        let mut at = 0;
        while let Some(held) = self.account.holdings().get(at).copied() {
            at += 1;
            let Some(target) = held.take_profit.filter(|_| held.instrument == instrument && !held.fresh)
            else {
                continue;
            };
            let side = closing_side(held.steps);
            if range.inside && one_way == Some(side.opposite()) {
                continue;
            }
            if let Some(quote) = self.reached(instrument, window, range, side, target) {
                one_way = Some(side);
                let n_held = self.account.holdings().len();
                self.fill(rules, window, &Want::closing(&held, quote, Reason::TakeProfit), log);
                at -= usize::from(self.account.holdings().len() < n_held);
            }
        }
    }

    /// The quote at which a limit of `side` at `limit` fills in `range`, if it does: its own price, or that at which the
    /// range was entered if that is better.
    #[inline]
    fn reached(
        &self,
        instrument: usize,
        window: &Window,
        range: Range,
        side: Side,
        limit: i64,
    ) -> Option<f64> {
        let limit = limit as f64;
        let beyond = |distance: f64| distance > 0.0 || (distance == 0.0 && window.touch_fills());
        match side {
            Side::Buy => {
                let lowest = self.quotes_at(instrument, window, range.low).1;
                beyond(limit - lowest).then(|| limit.min(self.quotes_at(instrument, window, range.from).1))
            }
            Side::Sell => {
                let highest = self.quotes_at(instrument, window, range.high).0;
                beyond(highest - limit).then(|| limit.max(self.quotes_at(instrument, window, range.from).0))
            }
        }
    }

    /// Orders that arrive by the open, and market orders with volume left. Rules 4, 6 and 11.
    fn arrivals(&mut self, rules: &BrokerRules, instrument: usize, window: &mut Window, log: &mut impl Log) {
        let mut at = 0;
        while let Some(working) = self.working.get_mut(at) {
            let due = working.ticket.instrument == instrument && working.arrives <= window.opened;
            if !due || working.arrived && working.ticket.kind != OrderKind::Market {
                at += 1;
            } else if working.bars_away > 0 {
                working.bars_away -= 1;
                at += 1;
            } else {
                at += self.arrive(rules, instrument, window, at, window.open, false, log);
            }
        }
    }

    /// Orders that arrive inside the bar. Rule 7.
    fn late_arrivals(
        &mut self,
        rules: &BrokerRules,
        instrument: usize,
        window: &mut Window,
        log: &mut impl Log,
    ) {
        let mut at = 0;
        while let Some(working) = self.working.get(at) {
            let Ticket { side, kind, .. } = working.ticket;
            let inside = window.opened < working.arrives && working.arrives < window.closed;
            let in_session = rules.listings[instrument].instrument.trades_at(working.arrives);
            let due = working.ticket.instrument == instrument && in_session && inside && !working.arrived;
            if !due || kind != OrderKind::Market {
                at += 1;
                continue;
            }
            let share =
                (working.arrives.0 - window.opened.0) as f64 / (window.closed.0 - window.opened.0) as f64;
            let line = window.open + share * (window.close - window.open);
            let price = if side == Side::Buy { line.max(window.open) } else { line.min(window.open) };
            at += self.arrive(rules, instrument, window, at, price, true, log);
        }
    }

    /// An order is there, at the window's price `price`. Returns how far to go on in the list.
    #[expect(clippy::too_many_arguments, reason = "what an arrival is: an order, a place and a price")]
    fn arrive(
        &mut self,
        rules: &BrokerRules,
        instrument: usize,
        window: &mut Window,
        at: usize,
        price: f64,
        inside: bool,
        log: &mut impl Log,
    ) -> usize {
        let working = &mut self.working[at];
        let Ticket { side, kind, fill, .. } = working.ticket;
        let first = !std::mem::replace(&mut working.arrived, true);
        let id = working.id;
        if first && self.rejects(rules, instrument, id) {
            self.end(at, window.opened, Ended::Rejected, log);
            return 0;
        }
        let (bid, ask) = self.quotes_at(instrument, window, price);
        let quote = if side == Side::Buy { ask } else { bid };
        match kind {
            OrderKind::Market => self.serve(rules, window, at, quote, None, true, inside, log),
            OrderKind::Limit { price: limit } => {
                let limit = limit as f64;
                let marketable = if side == Side::Buy { quote <= limit } else { quote >= limit };
                if marketable {
                    self.serve(rules, window, at, quote, Some(limit), true, inside, log)
                } else if fill == FillPolicy::Return {
                    1
                } else {
                    self.end(at, window.opened, Ended::NoVolume, log);
                    0
                }
            }
            OrderKind::Stop { .. } | OrderKind::StopLimit { .. } => 1,
        }
    }
}
