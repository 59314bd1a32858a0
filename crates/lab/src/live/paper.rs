//! Paper trading: the simulated terminal in-process, on the bars of the artefact's own config, in virtual time or at a multiple of the
//! wall clock. No bridge and no Python between.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cambist_bridge::{DealRecord, Fill, OrderId, Outcome};
use cambist_core::clock::Clock;
use cambist_core::{Bar, MarketTape, Side, UnixNanos};
use cambist_execution::Mark;
use cambist_live::words::{Intent, Snapshot};
use cambist_live::{Broker, Deployment, Feed, LiveError};
use cambist_terminal::{DealRecord as Told, Request, SendResult, Terminal};

use crate::artefact::Artefact;
use crate::config::{Config, ConfigError, Layers};
use crate::error::LabError;
use crate::market::Market;
use crate::terminal::{TerminalRequest, on_tape, time};

/// How fast a tape goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as the loop turns.
    Virtual,
    /// So many times as fast as the wall clock.
    Wall(f64),
}

/// What paper trading is opened on.
#[derive(Debug, Clone, Copy)]
pub struct PaperRequest<'a> {
    /// The first decision falls on the first bar that closes after this time, UTC.
    pub from: &'a str,
    /// The tape ends here, UTC; with the data when it is none.
    pub until: Option<&'a str>,
    /// How fast.
    pub pace: Pace,
    /// How long an order is under way to the broker, by the tape's time.
    pub latency: Duration,
    /// Number of the account.
    pub login: u64,
    /// File of what the terminal was asked, to go on from.
    pub journal: Option<&'a Path>,
    /// Overrides of the artefact's config, as `broker.spread_ticks=3`.
    pub sets: &'a [String],
}

/// A simulated terminal as source and broker.
pub struct Paper {
    terminal: Terminal,
    tape: MarketTape,
    /// Bars of the tape until it is over for the loop; the terminal has one more, at whose open the last order fills.
    end: usize,
    pace: Pace,
    latency: Duration,
    /// When the orders of the decision at hand arrive.
    arrives: Option<UnixNanos>,
    clock: Arc<dyn Clock>,
    /// The tape's time when the wall clock's was that.
    since: (UnixNanos, Duration),
}

/// `TRADE_ACTION_DEAL`, `ORDER_FILLING_IOC`.
const DEAL: u32 = 1;
const IOC: u32 = 1;
/// `TRADE_RETCODE_PLACED` to `TRADE_RETCODE_DONE_PARTIAL`.
const TAKEN: std::ops::RangeInclusive<u32> = 10_008..=10_010;

impl Paper {
    /// Opens a terminal of the broker that the artefact of `deployment` was trained at, on its bars.
    ///
    /// # Errors
    /// When the data are not there, or the times hold no bars.
    pub fn open(
        deployment: &Deployment,
        data: &Path,
        request: &PaperRequest<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LabError> {
        let (artefact, _, _) = Artefact::load_from(&deployment.folder)?;
        let sets: Vec<&str> = request.sets.iter().map(String::as_str).collect();
        // A terminal answers an order with its deal: delay is on the way to it.
        let layers = Layers::of(&artefact.config)?.with(&["broker.latency_ms=0", "broker.latency_bars=0"])?;
        let config = Config::validate(layers.with(&sets)?.resolve()?)?;
        if request.latency.as_nanos() >= u128::from(config.timeframe.nanos().unsigned_abs()) {
            return Err(LabError::Config(ConfigError::Value {
                field: "--latency-ms",
                value: request.latency.as_millis().to_string(),
                expected: format!("less than a bar of {}", config.timeframe),
            }));
        }
        if !request.latency.is_zero() && !config.fills_by_stored() {
            return Err(LabError::Config(ConfigError::Value {
                field: "--latency-ms",
                value: request.latency.as_millis().to_string(),
                expected: "0, unless broker.fills_by is \"stored\": inside a bar of its own length there is one price".to_owned(),
            }));
        }
        let (from, look_back) = (time(request.from)?, deployment.look_back()?);
        let wanted = TerminalRequest {
            from: request.from,
            until: request.until,
            login: request.login,
            journal: request.journal,
        };
        let (all, finer) = Market::bars(&config, data)?;
        // What the loop looks back on, and one bar after its last, at whose open the last order fills.
        let first = all.open_time.partition_point(|&open| open < from.0).saturating_sub(look_back + 1);
        let end = wanted.end(&all)?;
        let tape = all.slice(first..(end + 1).min(all.len()));
        let finer = finer.map(|finer| {
            let place = |row: usize| tape.open_time.get(row).map_or(i64::MAX, |&open| open);
            let until = tape.len().checked_sub(1).map_or(i64::MIN, |last| tape.close_time(last).0);
            finer.slice(
                finer.open_time.partition_point(|&open| open < place(0))
                    ..finer.open_time.partition_point(|&open| open < until),
            )
        });
        drop(all);
        let terminal = on_tape(&config, &tape, finer.as_ref(), data, &wanted)?;
        let since = (terminal.now(), clock.elapsed());
        let end = end.saturating_sub(first).min(tape.len().saturating_sub(1));
        Ok(Self {
            terminal,
            tape,
            end,
            pace: request.pace,
            latency: request.latency,
            arrives: None,
            clock,
            since,
        })
    }

    /// Bid and ask, in ticks, at every open that is past.
    pub(crate) fn quotes(&self) -> &[(UnixNanos, Mark)] {
        self.terminal.quotes()
    }

    /// The row of the first bar that closes after `close`.
    fn row_after(&self, close: UnixNanos) -> usize {
        let bar = self.tape.timeframe.nanos();
        self.tape.open_time.partition_point(|&open| open + bar <= close.0)
    }

    /// Tape time by the wall clock.
    fn paced(&self, speed: f64) -> UnixNanos {
        let (time, at) = self.since;
        let passed = self.clock.elapsed().saturating_sub(at).as_secs_f64() * speed;
        UnixNanos(time.0.saturating_add((passed * 1e9) as i64))
    }

    fn hedges(&self) -> bool {
        self.terminal.setup().rules.account.books == cambist_execution::Books::Hedging
    }

    fn failed(error: impl std::fmt::Display) -> LiveError {
        LiveError::Broker(error.to_string())
    }

    /// A deal with its time as UTC.
    fn deal(&self, deal: &Told) -> DealRecord {
        let clock = self.terminal.setup().rules.listings[0].clock;
        let shown = UnixNanos(deal.time_msc.saturating_mul(1_000_000));
        DealRecord {
            ticket: deal.ticket,
            order: deal.order,
            symbol: deal.symbol.clone(),
            kind: deal.kind,
            entry: deal.entry,
            magic: deal.magic,
            position_id: deal.position_id,
            reason: deal.reason,
            volume: deal.volume,
            price: deal.price,
            commission: deal.commission,
            swap: deal.swap,
            profit: deal.profit,
            fee: deal.fee,
            time_ms: clock.when(shown).0.div_euclid(1_000_000),
        }
    }
}

impl Feed for Paper {
    fn history(&mut self, count: usize) -> Result<Vec<Bar>, LiveError> {
        let end = self.row_after(self.terminal.now());
        Ok((end.saturating_sub(count)..end).map(|row| self.tape.bar(row)).collect())
    }

    fn bars(&mut self, close: UnixNanos, patience: Duration) -> Result<Option<Vec<Bar>>, LiveError> {
        let first = self.row_after(close);
        if first >= self.end {
            return Ok(None);
        }
        let next = self.tape.close_time(first);
        let rows = match self.pace {
            Pace::Virtual => first..first + 1,
            Pace::Wall(speed) => {
                let left = (next.0 - self.paced(speed).0) as f64 / 1e9 / speed;
                if left > 0.0 {
                    let wait = Duration::from_secs_f64(left);
                    std::thread::sleep(wait.min(patience));
                    if wait > patience {
                        return Ok(Some(Vec::new()));
                    }
                }
                first..self.row_after(self.paced(speed).max(next)).min(self.end)
            }
        };
        self.terminal.advance(self.tape.close_time(rows.end - 1)).map_err(Self::failed)?;
        Ok(Some(rows.map(|row| self.tape.bar(row)).collect()))
    }

    fn now(&self) -> UnixNanos {
        match self.pace {
            Pace::Virtual => self.terminal.now(),
            Pace::Wall(speed) => self.paced(speed).max(self.terminal.now()),
        }
    }
}

impl Broker for Paper {
    fn account(&self) -> (u64, String) {
        let setup = self.terminal.setup();
        (setup.login, setup.symbol.clone())
    }

    fn snapshot(&mut self, since: UnixNanos) -> Result<Snapshot, LiveError> {
        // What is sent on this account sets out together.
        self.arrives = None;
        let (at, quote) = (self.now(), self.terminal.quote_ticks());
        // The account of the close: what is traded at the open of the same moment comes after it.
        let broker_time = UnixNanos(self.terminal.now().0 - 1_000_000);
        let closed = self.terminal.closed();
        let deals = closed.deals.iter().rev().map(|deal| self.deal(deal));
        let mut deals: Vec<DealRecord> =
            deals.take_while(|deal| deal.time_ms >= since.0 / 1_000_000).collect();
        deals.reverse();
        Ok(Snapshot {
            at,
            broker_time,
            balance: closed.balance,
            rate: closed.mark.rate,
            mark: Some(closed.mark),
            holdings: closed.holdings,
            under_way: closed.under_way,
            quote,
            deals,
            shut: None,
        })
    }

    fn send(&mut self, intent: &Intent) -> Result<Outcome, LiveError> {
        // It arrives at the price of its time; one that is sent while the market is away waits for the first.
        let now = self.now();
        let arrives =
            *self.arrives.get_or_insert(UnixNanos(now.0.saturating_add(self.latency.as_nanos() as i64)));
        self.terminal.advance(arrives.max(now)).map_err(Self::failed)?;
        self.terminal.await_price().map_err(Self::failed)?;
        let setup = self.terminal.setup();
        let instrument = &setup.rules.listings[0].instrument;
        let price = |ticks: Option<i64>| ticks.map_or(0.0, |ticks| instrument.written_price(ticks));
        let request = Request {
            action: DEAL,
            magic: intent.id.bits(),
            symbol: setup.symbol.clone(),
            volume: instrument.written_lots(intent.steps),
            kind: u32::from(intent.side == Side::Sell),
            type_filling: IOC,
            sl: price(intent.stop_loss),
            tp: price(intent.take_profit),
            // As the environment's broker has it: in a netting account an order is an order.
            position: intent.closes.filter(|_| self.hedges()).unwrap_or(0),
            comment: "cambist".to_owned(),
            ..Request::default()
        };
        let SendResult { retcode, comment, order, deal, volume, price, .. } =
            self.terminal.order_send(&request).map_err(Self::failed)?;
        if TAKEN.contains(&retcode) {
            let deals = if deal == 0 { Vec::new() } else { vec![deal] };
            let price = (price > 0.0).then_some(price);
            return Ok(Outcome::Confirmed(Fill { order: Some(order), deals, volume, price, late: false }));
        }
        Ok(Outcome::Refused { retcode: Some(i64::from(retcode)), reason: comment })
    }

    fn outcome(&mut self, id: OrderId) -> Result<Option<Outcome>, LiveError> {
        let own = |magic: u64| magic == id.bits();
        let deals: Vec<Told> = self
            .terminal
            .history_deals(i64::MIN, i64::MAX)
            .into_iter()
            .filter(|deal| own(deal.magic))
            .collect();
        let orders = self.terminal.history_orders(i64::MIN, i64::MAX);
        let order =
            orders.iter().chain(&self.terminal.orders()).find(|order| own(order.magic)).map(|o| o.ticket);
        let Some(order) = order else { return Ok(None) };
        let volume: f64 = deals.iter().map(|deal| deal.volume).sum();
        if volume == 0.0 && !self.terminal.orders().iter().any(|order| own(order.magic)) {
            let reason = format!("order {order} ended without a fill");
            return Ok(Some(Outcome::Refused { retcode: None, reason }));
        }
        let price = deals.iter().map(|deal| deal.volume * deal.price).sum::<f64>() / volume;
        Ok(Some(Outcome::Confirmed(Fill {
            order: Some(order),
            deals: deals.iter().map(|deal| deal.ticket).collect(),
            volume,
            price: (volume > 0.0).then_some(price),
            late: false,
        })))
    }

    fn begin(&mut self) -> Result<(), LiveError> {
        Ok(())
    }

    fn fence(&mut self) -> Result<(), LiveError> {
        Ok(())
    }

    fn end(&mut self) -> Result<(), LiveError> {
        Ok(())
    }

    fn absent_after(&self) -> Duration {
        Duration::ZERO
    }

    fn heartbeat(&mut self) -> Result<(), LiveError> {
        Ok(())
    }
}
