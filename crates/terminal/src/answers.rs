//! What the terminal says when it is asked how things stand.

use std::sync::Arc;

use cambist_core::{BarEvent, ServerClock, UnixNanos};
use cambist_execution::{Account, Books as AccountBooks, Calculation, MarginLevels, Mark, SwapMode};
use serde_json::{Value, json};

use crate::books::shown;
use crate::terminal::{Terminal, open_of};
use crate::words::{DealRecord, OrderRecord, PositionRecord, Rate};

/// Most bars of an answer, as `terminal_info().maxbars` says.
const MAX_BARS: usize = 100_000;
/// `ORDER_STATE_PARTIAL`, the last of the states in which an order works.
const WORKING: u32 = 3;

impl Terminal {
    fn clock(&self) -> ServerClock {
        self.setup.listing().clock
    }

    /// Bid and ask as prices, on whole ticks, rounded against the client.
    pub(crate) fn quote(&mut self) -> (f64, f64) {
        let mark = *self.shown().broker.mark(0);
        self.setup.quote(&mark)
    }

    /// `account_info`.
    pub fn account_info(&mut self) -> Value {
        let rules = self.setup.rules.account;
        let (login, currency) = (self.setup.login, self.setup.currency.clone());
        let broker = &self.shown().broker;
        let (balance, equity, margin) = (broker.account().balance(), broker.equity(), broker.margin());
        let (mode, call, stop_out) = match rules.levels {
            MarginLevels::Percent { call, stop_out } => (0, call, stop_out),
            MarginLevels::Money { call, stop_out } => (1, call, stop_out),
        };
        json!({
            "login": login, "trade_mode": 0, "leverage": rules.leverage as u64, "limit_orders": 0,
            "margin_so_mode": mode, "trade_allowed": true, "trade_expert": true,
            "margin_mode": if rules.books == AccountBooks::Hedging { 2 } else { 0 },
            "currency_digits": rules.digits.unwrap_or(8), "fifo_close": false, "balance": balance, "credit": 0.0,
            "profit": equity - balance, "equity": equity, "margin": margin, "margin_free": equity - margin,
            "margin_level": if margin > 0.0 { 100.0 * equity / margin } else { 0.0 },
            "margin_so_call": call, "margin_so_so": stop_out, "margin_initial": 0.0, "margin_maintenance": 0.0,
            "assets": 0.0, "liabilities": 0.0, "commission_blocked": 0.0, "name": "Simulated",
            "server": "Cambist-Simulated", "currency": currency, "company": "Cambist",
        })
    }

    /// `symbol_info`, without what only the package's module knows to be constant.
    pub fn symbol_info(&mut self) -> Value {
        let (bid, ask) = self.quote();
        let (time, _) = shown(self.clock(), self.priced_at());
        let (digits, listing, rate) = (self.setup.digits(), self.setup.listing(), self.setup.rate(self.row));
        let instrument = &listing.instrument;
        let (swap_mode, long, short) = match listing.swap.mode {
            SwapMode::None => (0, 0.0, 0.0),
            SwapMode::Points { long, short } => (1, long, short),
            SwapMode::Interest { long, short } => (5, long, short),
        };
        // MetaTrader counts days of the week from Sunday.
        let triple = listing.swap.triple_day.map_or(0, |day| (day + 1) % 7);
        let calculation = match instrument.calculation {
            Calculation::Forex => 0,
            Calculation::Cfd => 2,
            Calculation::CfdLeverage => 4,
            Calculation::Exchange => 32,
        };
        let lots = |steps: i64| instrument.to_lots(steps);
        json!({
            "name": self.setup.symbol, "digits": digits, "point": instrument.tick_size, "bid": bid, "ask": ask, "time": time,
            "spread": ((ask - bid) / instrument.tick_size).round() as i64, "spread_float": true,
            "trade_calc_mode": calculation, "trade_mode": if instrument.may_open(cambist_core::Side::Sell) { 4 } else { 1 },
            "trade_stops_level": instrument.stops_level, "trade_freeze_level": instrument.freeze_level,
            "trade_exemode": 2, "swap_mode": swap_mode, "swap_rollover3days": triple, "swap_long": long, "swap_short": short,
            "filling_mode": 3, "expiration_mode": 7, "order_mode": 63,
            "trade_tick_value": instrument.tick_value * rate, "trade_tick_value_profit": instrument.tick_value * rate,
            "trade_tick_value_loss": instrument.tick_value * rate, "trade_tick_size": instrument.tick_size,
            "trade_contract_size": instrument.contract_size, "volume_min": lots(instrument.lots.minimum),
            "volume_max": lots(instrument.lots.maximum), "volume_step": instrument.lots.step,
            "margin_hedged": instrument.hedged_margin, "currency_base": instrument.base,
            "currency_profit": instrument.profit, "currency_margin": instrument.base,
        })
    }

    /// `symbol_info_tick`.
    pub fn tick(&mut self) -> Value {
        let mark = *self.shown().broker.mark(0);
        self.tick_of((self.priced_at(), mark))
    }

    fn tick_of(&self, (at, mark): (UnixNanos, Mark)) -> Value {
        let ((time, time_msc), (bid, ask)) = (shown(self.clock(), at), self.setup.quote(&mark));
        // TICK_FLAG_BID and TICK_FLAG_ASK.
        json!({
            "time": time, "bid": bid, "ask": ask, "last": 0.0, "volume": 0, "time_msc": time_msc, "flags": 6,
            "volume_real": 0.0,
        })
    }

    /// `copy_ticks_from` and `copy_ticks_range`: at most `count` of the ticks there have been since the account was opened, one for
    /// every open, from `from` to `until` by the server's clock, both included.
    pub fn ticks(&mut self, from: i64, until: i64, count: usize) -> Vec<Value> {
        let clock = self.clock();
        let within = |at: UnixNanos| (from..=until).contains(&shown(clock, at).0);
        let mut found: Vec<_> =
            self.ticks.iter().copied().filter(|tick| within(tick.0)).take(count).collect();
        if self.is_priced() && within(self.now) && found.len() < count {
            let mark = *self.shown().broker.mark(0);
            found.push((self.now, mark));
        }
        found.into_iter().map(|tick| self.tick_of(tick)).collect()
    }

    /// Bars from place `start` on, counted back from the bar at hand, at most `count`, oldest first.
    pub fn rates_from_place(&self, start: usize, count: usize) -> Vec<Rate> {
        let end = (self.n_bars()).saturating_sub(start);
        self.rates(end.saturating_sub(count.min(MAX_BARS))..end)
    }

    /// Bars that opened, by the server's clock, from `from` to `until`, both included.
    pub fn rates_between(&self, from: i64, until: i64) -> Vec<Rate> {
        let clock = self.clock();
        let bars = &self.setup.chart[..self.n_bars()];
        let place = |seconds: i64| bars.partition_point(|bar| shown(clock, bar.open_time).0 < seconds);
        let end = place(until.saturating_add(1));
        self.rates(place(from).max(end.saturating_sub(MAX_BARS))..end)
    }

    /// At most `count` bars, the last of which opened at `from` or before.
    pub fn rates_until(&self, from: i64, count: usize) -> Vec<Rate> {
        let clock = self.clock();
        let bars = &self.setup.chart[..self.n_bars()];
        let end = bars.partition_point(|bar| shown(clock, bar.open_time).0 <= from);
        self.rates(end.saturating_sub(count.min(MAX_BARS))..end)
    }

    /// Bars that have begun.
    fn n_bars(&self) -> usize {
        self.setup.chart.partition_point(|bar| bar.open_time <= self.now)
    }

    /// What is known of the bar at hand: its open, and what the bars it is made of have brought so far.
    fn so_far(&self, bar: &BarEvent) -> BarEvent {
        let (mut known, mut volume) = (open_of(bar), 0);
        let within =
            self.setup.bars[..self.row].iter().rev().take_while(|part| part.open_time >= bar.open_time);
        for part in within {
            (known.high, known.low) = (known.high.max(part.high), known.low.min(part.low));
            volume += part.volume.unwrap_or(0);
        }
        let last = self.setup.bars.get(self.row).filter(|part| part.open_time <= self.now);
        let before = self.row.checked_sub(1).and_then(|row| self.setup.bars.get(row));
        known.close = match (last, before.filter(|part| part.open_time >= bar.open_time)) {
            (Some(part), _) => part.open,
            (None, Some(part)) => part.close,
            (None, None) => bar.open,
        };
        (known.high, known.low) = (known.high.max(known.close), known.low.min(known.close));
        BarEvent { volume: Some(volume), ..known }
    }

    fn rates(&self, rows: std::ops::Range<usize>) -> Vec<Rate> {
        let rate = |row: usize| {
            let bar = self.setup.chart.get(row)?;
            let known = if bar.close_time > self.now { self.so_far(bar) } else { *bar };
            let price = |ticks: i64| self.setup.price(ticks as f64);
            let volume = known.volume.unwrap_or(0).max(0) as u64;
            Some(Rate {
                time: shown(self.clock(), bar.open_time).0,
                open: price(known.open),
                high: price(known.high),
                low: price(known.low),
                close: price(known.close),
                tick_volume: volume.max(1),
                spread: known.spread as i32,
                real_volume: volume,
            })
        };
        rows.filter_map(rate).collect()
    }

    /// `positions_get`.
    pub fn positions(&mut self) -> Vec<PositionRecord> {
        let (clock, symbol) = (self.clock(), self.setup.symbol.clone());
        let setup = self.setup.clone();
        let listing = setup.listing();
        let instrument = &listing.instrument;
        let books = self.shown();
        let mark = *books.broker.mark(0);
        let level = |ticks: Option<i64>| ticks.map_or(0.0, |ticks| setup.price(ticks as f64));
        let record = |held: &cambist_execution::Holding| {
            let note = books.positions.get(&held.id)?;
            let ((time, time_msc), (update, update_msc)) =
                (shown(clock, note.opened), shown(clock, note.updated));
            Some(PositionRecord {
                ticket: note.ticket,
                time,
                time_msc,
                time_update: update,
                time_update_msc: update_msc,
                kind: u32::from(held.steps < 0),
                magic: note.magic,
                identifier: note.identifier,
                reason: 3,
                volume: instrument.to_lots(held.steps.abs()),
                price_open: instrument.to_price(held.entry),
                sl: level(held.stop_loss),
                tp: level(held.take_profit),
                price_current: setup.price(mark.exit(held.steps)),
                swap: held.financing,
                profit: Account::unrealised(held, listing, &mark),
                symbol: symbol.clone(),
                comment: note.comment.clone(),
                external_id: String::new(),
            })
        };
        books.broker.account().holdings().iter().filter_map(record).collect()
    }

    /// `orders_get`: orders that work.
    pub fn orders(&mut self) -> Vec<OrderRecord> {
        self.shown().orders.iter().filter(|order| is_working(order)).map(|order| (**order).clone()).collect()
    }

    /// `history_orders_get`: orders that are done, set up from `from` to `until` by the server's clock.
    pub fn history_orders(&mut self, from: i64, until: i64) -> Vec<OrderRecord> {
        let within =
            |order: &&Arc<OrderRecord>| !is_working(order) && (from..=until).contains(&order.time_setup);
        self.shown().orders.iter().filter(within).map(|order| (**order).clone()).collect()
    }

    /// `history_deals_get`: deals from `from` to `until` by the server's clock.
    pub fn history_deals(&mut self, from: i64, until: i64) -> Vec<DealRecord> {
        let within = |deal: &&Arc<DealRecord>| (from..=until).contains(&deal.time);
        self.shown().deals.iter().filter(within).map(|deal| (**deal).clone()).collect()
    }

    /// When the tape's time is, and whether there is more of it: what only a simulation knows.
    pub fn standing(&self) -> Value {
        let when = |time: UnixNanos| time.to_string();
        json!({ "now": when(self.now()), "next_close": when(self.next_close()), "over": self.is_over() })
    }
}

fn is_working(order: &OrderRecord) -> bool {
    order.state <= WORKING && order.time_done == 0
}
