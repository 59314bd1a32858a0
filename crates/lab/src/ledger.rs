//! Random accounts, written down event by event, so that a script that shares no code with the broker can live through
//! them too and compare: `scripts/ledger.py`.

mod brokers;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use cambist_core::rng::{Purpose, Stream};
use cambist_core::{
    BarEvent, BookDelta, Expiry, FillPolicy, MarketEvent, OrderKind, Quote, Side, Ticket, Trade, UnixNanos,
};
use cambist_execution::{Books, Broker, BrokerRules, Listing, Notice};
use cambist_risk::{Gate, GateLimits, Position};
use cambist_store::files::write_atomic;
use serde::Serialize;

use crate::error::LabError;

const MINUTE: i64 = 60_000_000_000;
/// 2023-03-06, a Monday: New York moves its clocks on the Sunday after, Europe two weeks later.
const START: i64 = 1_678_060_800_000_000_000;
const FIRST_BALANCE: f64 = 100_000.0;
/// An account with less than this share of its start left is replaced by a fresh one.
const SPENT: f64 = 0.05;

/// What random accounts did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LedgerRun {
    /// Orders sent.
    pub orders: u64,
    /// Orders refused at once.
    pub refused: u64,
    /// Deals.
    pub deals: u64,
    /// Events lived through.
    pub events: u64,
    /// Stop-outs.
    pub stop_outs: u64,
    /// Fresh accounts.
    pub accounts: u64,
    /// Value traded, in the deposit currency.
    pub turnover: f64,
}

/// Sends `n_orders` random orders of all kinds to brokers of many kinds, and writes for each kind `rules.json`,
/// `scenario.csv` and `log.csv` under `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn random_accounts(n_orders: u64, seed: u64, folder: &Path) -> Result<LedgerRun, LabError> {
    let brokers = brokers::brokers(seed);
    let mut all = LedgerRun::default();
    let share = n_orders.div_ceil(brokers.len() as u64);
    for (index, rules) in brokers.into_iter().enumerate() {
        let mut course = Course::new(rules, Stream::new(seed, Purpose::Check, index as u64));
        while course.run.orders < share {
            course.event();
        }
        let place = folder.join(format!("{index:02}"));
        let json = serde_json::to_vec_pretty(course.broker.rules())?;
        let files: [(&str, &[u8]); 3] = [
            ("rules.json", &json),
            ("scenario.csv", course.scenario.as_bytes()),
            ("log.csv", course.log.as_bytes()),
        ];
        for (name, bytes) in files {
            write_atomic(&place.join(name), |file| file.write_all(bytes))?;
        }
        let run = course.run;
        all.orders += run.orders;
        all.refused += run.refused;
        all.deals += run.deals;
        all.events += run.events;
        all.stop_outs += run.stop_outs;
        all.accounts += run.accounts;
        all.turnover += run.turnover;
    }
    Ok(all)
}

/// One broker's random life.
struct Course {
    broker: Broker,
    gate: Gate,
    random: Stream,
    now: i64,
    prices: Vec<i64>,
    scenario: String,
    log: String,
    notices: Vec<Notice>,
    run: LedgerRun,
}

impl Course {
    fn new(rules: BrokerRules, random: Stream) -> Self {
        let first = |listing: &Listing| {
            listing.instrument.nearest_tick(match listing.instrument.base.as_str() {
                "EUR" => 1.1,
                "XAU" => 1_900.0,
                _ => 20_000.0,
            })
        };
        let prices = rules.listings.iter().map(first).collect();
        let rules = Arc::new(rules);
        let mut course = Self {
            broker: Broker::new(Arc::clone(&rules), FIRST_BALANCE),
            gate: Gate::new(GateLimits::default()),
            random,
            now: START,
            prices,
            scenario: String::new(),
            log: String::new(),
            notices: Vec::new(),
            run: LedgerRun::default(),
        };
        course.fresh();
        course
    }

    fn fresh(&mut self) {
        self.run.accounts += 1;
        let rules = Arc::new(self.broker.rules().clone());
        self.broker = Broker::new(rules, FIRST_BALANCE);
        let _ = writeln!(self.scenario, "account,{FIRST_BALANCE}");
        let _ = writeln!(self.log, "fresh");
    }

    fn below(&mut self, n: i64) -> i64 {
        (self.random.uniform() * n as f64) as i64
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    /// An event of each instrument, orders between them, and a line of the log that says how the account stands.
    fn event(&mut self) {
        self.now += match self.below(400) {
            0 => 2 * 1440 * MINUTE,
            1..4 => 30 * MINUTE,
            _ => MINUTE,
        };
        for instrument in 0..self.prices.len() {
            if self.one_in(40) {
                let rate = 0.8 + 0.4 * self.random.uniform();
                self.broker.set_rate(instrument, rate);
                let _ = writeln!(self.scenario, "rate,{instrument},{rate:?}");
            }
            let before = self.broker.account().totals().turnover;
            let event = self.draw_event(instrument);
            self.write_event(instrument, &event);
            let stop_outs = self.broker.stop_outs();
            self.broker.on(instrument, &event, &mut self.notices);
            self.run.stop_outs += u64::from(self.broker.stop_outs() - stop_outs);
            self.run.events += 1;
            self.run.turnover += self.broker.account().totals().turnover - before;
            self.write_log();
        }
        if self.broker.equity() < SPENT * FIRST_BALANCE {
            self.fresh();
            return;
        }
        while self.one_in(2) {
            self.act();
        }
    }

    fn draw_event(&mut self, instrument: usize) -> MarketEvent {
        let price = self.prices[instrument];
        let unit = (price / 4000).max(2);
        let (open_time, time) = (UnixNanos(self.now), UnixNanos(self.now + 1000));
        let jump = if self.one_in(300) { 60 * unit } else { unit };
        let open = price + self.below(2 * jump + 1) - jump;
        match self.below(12) {
            0 => {
                self.prices[instrument] = open;
                let depth = self.one_in(2).then(|| (self.below(400), self.below(400)));
                MarketEvent::Quote(Quote { time, bid: open, ask: open + self.below(unit), depth })
            }
            1 => MarketEvent::Trade(Trade { time, price: open, steps: 1 + self.below(300) }),
            2 => {
                let side = if self.one_in(2) { Side::Buy } else { Side::Sell };
                let away = 1 + self.below(unit);
                let price = price - side.sign() * away;
                MarketEvent::BookDelta(BookDelta { time, side, price, steps: self.below(3) * 100 })
            }
            _ => {
                let close = open + self.below(2 * unit + 1) - unit;
                let high = open.max(close) + self.below(unit);
                let low = open.min(close) - self.below(unit);
                self.prices[instrument] = close;
                MarketEvent::Bar(BarEvent {
                    open_time,
                    close_time: UnixNanos(self.now + MINUTE - 1),
                    open,
                    high,
                    low,
                    close,
                    spread: self.below(unit / 2),
                    volume: Some(self.below(5000)),
                    volatility: self.random.uniform() * 2e-3,
                })
            }
        }
    }

    /// A random order, or a change of one.
    fn act(&mut self) {
        let instrument = self.below(self.prices.len() as i64) as usize;
        match self.below(12) {
            0 => {
                let working: Vec<u64> = self.broker.working().iter().map(|w| w.id).collect();
                if let Some(&order) = working.get(self.below(working.len().max(1) as i64) as usize) {
                    let _ = writeln!(self.scenario, "cancel,{},{order}", self.now + MINUTE);
                    let done = self.broker.cancel(order, UnixNanos(self.now + MINUTE), &mut self.notices);
                    self.write_answer(done.is_ok());
                }
            }
            1 => {
                let held = self.broker.account().holdings();
                let n = held.len().max(1) as i64;
                let at = self.below(n) as usize;
                let Some(held) = self.broker.account().holdings().get(at).copied() else { return };
                let side = Side::of(held.steps);
                let (stop, target) = self.draw_stops(held.instrument, side, self.prices[held.instrument]);
                let _ = writeln!(self.scenario, "protect,{},{},{}", held.id, text(stop), text(target));
                let done = self.broker.protect(held.id, stop, target).is_ok();
                self.write_answer(done);
            }
            _ => self.order(instrument),
        }
    }

    fn draw_stops(&mut self, instrument: usize, side: Side, from: i64) -> (Option<i64>, Option<i64>) {
        let unit = self.prices[instrument] / 2000;
        let mut away = |sign: i64| self.one_in(3).then(|| from + sign * self.below(6 * unit));
        (away(-side.sign()), away(side.sign()))
    }

    fn order(&mut self, instrument: usize) {
        let price = self.prices[instrument];
        let unit = (price / 3000).max(4);
        let side = if self.one_in(2) { Side::Buy } else { Side::Sell };
        let kind = match self.below(8) {
            0..4 => OrderKind::Market,
            4 | 5 => OrderKind::Limit { price: price - side.sign() * self.below(unit) },
            6 => OrderKind::Stop { price: price + side.sign() * (self.below(unit) + unit) },
            _ => {
                let stop = price + side.sign() * (self.below(unit) + unit);
                OrderKind::StopLimit { stop, limit: stop + self.below(unit) - unit / 2 }
            }
        };
        let expiry = match self.below(10) {
            0 => Expiry::Day,
            1 => Expiry::At(UnixNanos(self.now + 20 * MINUTE)),
            _ => Expiry::Gtc,
        };
        let fill = [FillPolicy::Return, FillPolicy::Ioc, FillPolicy::Fok][self.below(3) as usize];
        let from = match kind {
            OrderKind::Market => price,
            OrderKind::Limit { price }
            | OrderKind::Stop { price }
            | OrderKind::StopLimit { stop: price, .. } => price,
        };
        let (stop_loss, take_profit) = self.draw_stops(instrument, side, from);
        let listing = &self.broker.rules().listings[instrument].instrument;
        let one = listing.margin(1, price as f64, self.broker.rules().account.leverage);
        let most = (self.broker.equity().max(0.0) * 0.8 / one) as i64;
        let steps = if self.one_in(10) { self.below(5 * most + 2) } else { 1 + self.below(most / 3 + 1) };
        let holdings = self.broker.account().holdings();
        let opposite: Vec<(u64, i64)> = holdings
            .iter()
            .filter(|h| h.instrument == instrument && (h.steps > 0) != (side == Side::Buy))
            .map(|h| (h.id, h.steps.abs()))
            .collect();
        let hedging = self.broker.rules().account.books == Books::Hedging;
        let pick = self.below(opposite.len().max(1) as i64) as usize;
        let closes = opposite.get(pick).filter(|_| hedging && self.random.uniform() < 0.6);
        let steps =
            closes.map_or(steps, |&(_, held)| if self.random.uniform() < 0.5 { held } else { held / 2 });
        let closes = closes.map(|&(id, _)| id);
        let ticket = Ticket { instrument, side, steps, kind, fill, expiry, stop_loss, take_profit, closes };
        let sent = self.now + MINUTE;
        self.write_order(&ticket, sent);
        self.run.orders += 1;
        let standing = Position {
            now: UnixNanos(sent),
            priced_at: UnixNanos(sent),
            equity: self.broker.equity(),
            steps: self.broker.account().steps(instrument),
            step_value: 1.0,
        };
        let taken = match self.gate.approve(ticket, &standing) {
            Ok(order) => self.broker.submit(order, UnixNanos(sent)).is_ok(),
            Err(_) => false,
        };
        self.run.refused += u64::from(!taken);
        self.write_answer(taken);
    }

    fn write_order(&mut self, t: &Ticket, sent: i64) {
        let (kind, first, second) = match t.kind {
            OrderKind::Market => ("market", None, None),
            OrderKind::Limit { price } => ("limit", Some(price), None),
            OrderKind::Stop { price } => ("stop", Some(price), None),
            OrderKind::StopLimit { stop, limit } => ("stop_limit", Some(stop), Some(limit)),
        };
        let expiry = match t.expiry {
            Expiry::Gtc => "gtc".to_owned(),
            Expiry::Day => "day".to_owned(),
            Expiry::At(time) => time.0.to_string(),
        };
        let fill = match t.fill {
            FillPolicy::Ioc => "ioc",
            FillPolicy::Fok => "fok",
            FillPolicy::Return => "return",
        };
        let _ = writeln!(
            self.scenario,
            "order,{sent},{},{},{},{kind},{},{},{fill},{expiry},{},{},{}",
            t.instrument,
            t.side.sign(),
            t.steps,
            text(first),
            text(second),
            text(t.stop_loss),
            text(t.take_profit),
            text(t.closes.map(|id| id as i64)),
        );
    }

    fn write_event(&mut self, instrument: usize, event: &MarketEvent) {
        let out = &mut self.scenario;
        let _ = match event {
            MarketEvent::Bar(b) => writeln!(
                out,
                "bar,{instrument},{},{},{},{},{},{},{},{},{}",
                b.open_time.0,
                b.close_time.0,
                b.open,
                b.high,
                b.low,
                b.close,
                b.spread,
                text(b.volume),
                b.volatility
            ),
            MarketEvent::Quote(q) => writeln!(
                out,
                "quote,{instrument},{},{},{},{},{}",
                q.time.0,
                q.bid,
                q.ask,
                text(q.depth.map(|d| d.0)),
                text(q.depth.map(|d| d.1))
            ),
            MarketEvent::Trade(t) => writeln!(out, "trade,{instrument},{},{},{}", t.time.0, t.price, t.steps),
            MarketEvent::BookDelta(d) => {
                writeln!(out, "delta,{instrument},{},{},{},{}", d.time.0, d.side.sign(), d.price, d.steps)
            }
        };
    }

    fn write_answer(&mut self, taken: bool) {
        let _ = writeln!(self.log, "answer,{}", u8::from(taken));
        self.write_notices();
    }

    fn write_notices(&mut self) {
        for notice in self.notices.drain(..) {
            let _ = match notice {
                Notice::Deal(d) => {
                    self.run.deals += 1;
                    let c = d.costs;
                    writeln!(
                        self.log,
                        "deal,{},{},{},{},{},{},{:?},{:?},{:?},{:?},{:?},{:?},{:?}",
                        d.order,
                        d.position,
                        d.side.sign(),
                        d.steps,
                        d.closed,
                        d.price,
                        d.profit,
                        d.financing,
                        c.commission,
                        c.spread,
                        c.slippage,
                        c.impact,
                        d.rebate
                    )
                }
                Notice::Ended { order, left, why, .. } => writeln!(self.log, "ended,{order},{left},{why:?}"),
                Notice::MarginCall { .. } => writeln!(self.log, "call"),
            };
        }
    }

    fn write_log(&mut self) {
        self.write_notices();
        let (equity, margin) = (self.broker.equity(), self.broker.margin());
        let balance = self.broker.account().balance();
        let _ = writeln!(self.log, "account,{balance:?},{equity:?},{margin:?}");
    }
}

fn text(value: Option<i64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}
