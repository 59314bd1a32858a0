//! An account behind the bridge to MetaTrader 5, as source and broker of a live loop.
//!
//! A bar's close is seen with the first tick of the next one, so the account is read at that open, and counted at the close of the bar.
//! The lease is renewed as the loop turns; one that is lost stops trading.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cambist_bridge::{
    Action, BarRecord, BridgeError, Client, Order, OrderId, Outcome, PositionRecord, Side as Way,
};
use cambist_core::clock::Clock;
use cambist_core::{Bar, Side, UnixNanos, VolumeKind};
use cambist_execution::Holding;
use cambist_store::write_atomic;

use crate::deployment::Deployment;
use crate::error::LiveError;
use crate::port::{Broker, Feed};
use crate::words::{Intent, Snapshot};

/// How often the lease is renewed.
const BEAT: Duration = Duration::from_secs(2);
/// Bars that a bridge tells at once.
const MOST_BARS: usize = 49_999;
/// Points an order may slip on brokers that execute by request.
const DEVIATION: u32 = 100;

/// Who asks a bridge for what.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The broker's name of the instrument.
    pub symbol: String,
    /// Number of the account.
    pub account: u64,
    /// Who the bridge says holds the lease.
    pub holder: String,
    /// File of the lease, so that a process that begins again takes its own.
    pub lease_file: PathBuf,
    /// How often a bar is asked for.
    pub poll: Duration,
    /// How long after it left an order of which the bridge has never heard may still come in.
    pub absent_after: Duration,
}

/// An account behind a bridge.
pub struct Mt5 {
    client: Client,
    clock: Arc<dyn Clock>,
    deployment: Arc<Deployment>,
    seat: Seat,
    timeframe: String,
    /// Of the symbol's prices, as bars count their spread.
    point: f64,
    lease: Option<u64>,
    beat: Duration,
}

/// MetaTrader's name of a timeframe.
#[must_use]
pub fn timeframe_of(seconds: u32) -> Option<String> {
    match seconds {
        s if s % 604_800 == 0 => (s == 604_800).then(|| "W1".to_owned()),
        s if s % 86_400 == 0 => (s == 86_400).then(|| "D1".to_owned()),
        s if s % 3600 == 0 => Some(format!("H{}", s / 3600)),
        s if s % 60 == 0 => Some(format!("M{}", s / 60)),
        _ => None,
    }
}

impl Mt5 {
    /// The account of `seat`, to be traded by `deployment` once it is begun.
    ///
    /// # Errors
    /// When the bridge cannot be read, or is logged in elsewhere.
    pub fn open(
        mut client: Client,
        deployment: Arc<Deployment>,
        seat: Seat,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LiveError> {
        let seconds = deployment.timeframe.seconds();
        let timeframe = timeframe_of(seconds).ok_or_else(|| {
            LiveError::Config(format!("MetaTrader has no bars of {}", deployment.timeframe))
        })?;
        let found = client.account()?.login;
        if found != seat.account {
            let (wanted, found) = (seat.account.to_string(), found.to_string());
            return Err(LiveError::OtherJournal { field: "account", wanted, found });
        }
        let point = client.symbol(&seat.symbol)?.point;
        let beat = clock.elapsed();
        Ok(Self { client, clock, deployment, seat, timeframe, point, lease: None, beat })
    }

    /// Takes the lease; `previous` is one of our own that may not have ended.
    fn take_lease(&mut self, previous: Option<u64>) -> Result<(), LiveError> {
        let lease = self.client.take_lease(&self.seat.holder, previous)?.token;
        self.lease = Some(lease);
        let text = format!("{lease}\n");
        write_atomic(&self.seat.lease_file, |file| std::io::Write::write_all(file, text.as_bytes()))?;
        Ok(())
    }

    fn bar(&self, record: &BarRecord) -> Bar {
        let volume = match self.deployment.terms.volume_kind {
            VolumeKind::Real => record.real_volume as f64,
            VolumeKind::Tick => record.tick_volume as f64,
            VolumeKind::None => 0.0,
        };
        Bar {
            open_time: UnixNanos::from_millis(record.time_ms),
            open: record.open,
            high: record.high,
            low: record.low,
            close: record.close,
            volume,
            spread: record.spread as f64 * self.point,
            coverage: 1.0,
        }
    }

    fn closed(&mut self, count: usize) -> Result<Vec<Bar>, LiveError> {
        // One more: the last is not over.
        let count = count.min(MOST_BARS) as u32 + 1;
        let records = self.client.bars(&self.seat.symbol, &self.timeframe, count)?;
        Ok(records.iter().filter(|record| record.complete).map(|record| self.bar(record)).collect())
    }

    fn holding(&self, held: &PositionRecord) -> Holding {
        let instrument = &self.deployment.listing().instrument;
        let steps = (held.volume / instrument.lots.step).round() as i64;
        let level = |price: f64| (price > 0.0).then(|| instrument.nearest_tick(price));
        let ticks = held.price_open / instrument.tick_size;
        // A whole number of ticks, but for the noise of decimal fractions.
        let entry = if (ticks - ticks.round()).abs() < 1e-6 { ticks.round() } else { ticks };
        let steps = if held.kind == 0 { steps } else { -steps };
        Holding::told(held.ticket, steps, entry, [level(held.sl), level(held.tp)], held.swap)
    }
}

impl Feed for Mt5 {
    fn history(&mut self, count: usize) -> Result<Vec<Bar>, LiveError> {
        let mut bars = self.closed(count)?;
        bars.drain(..bars.len().saturating_sub(count));
        Ok(bars)
    }

    fn bars(&mut self, close: UnixNanos, patience: Duration) -> Result<Option<Vec<Bar>>, LiveError> {
        let bar = self.deployment.timeframe.nanos();
        // As many as reach back to what is known: how many are missing is not for this machine's clock to say.
        let mut count = 2;
        let mut bars = loop {
            let bars = self.closed(count)?;
            if bars.first().is_none_or(|oldest| oldest.open_time.0 + bar <= close.0) {
                break bars;
            }
            // What has been seen once is there: a history that does not reach back to it has a hole.
            if bars.len() < count || count >= MOST_BARS {
                if close.0 == 0 {
                    break bars;
                }
                return Err(LiveError::Broker(format!(
                    "the terminal's bars do not reach back to {close}, until when they are known: wait until its history is whole, or begin a \
                     new journal"
                )));
            }
            count = (count * 16).min(MOST_BARS);
        };
        bars.retain(|own| own.open_time.0 + bar > close.0);
        if bars.is_empty() {
            std::thread::sleep(patience.min(self.seat.poll));
        }
        Ok(Some(bars))
    }

    fn now(&self) -> UnixNanos {
        self.clock.now()
    }
}

impl Broker for Mt5 {
    fn account(&self) -> (u64, String) {
        (self.seat.account, self.seat.symbol.clone())
    }

    fn snapshot(&mut self, since: UnixNanos) -> Result<Snapshot, LiveError> {
        let health = self.client.health()?;
        let broker_time = health.now_ms.map_or_else(|| self.clock.now(), UnixNanos::from_millis);
        // Deals first: a position that is newer than they are is found, not missed.
        let deals = self.client.deals(since)?;
        let (account, positions) = (self.client.account()?, self.client.positions()?);
        let symbol = self.client.symbol(&self.seat.symbol)?;
        if account.login != self.seat.account {
            let (wanted, found) = (self.seat.account.to_string(), account.login.to_string());
            return Err(LiveError::OtherJournal { field: "account", wanted, found });
        }
        let instrument = &self.deployment.listing().instrument;
        let own = positions.iter().filter(|held| held.symbol == self.seat.symbol);
        let mut holdings: Vec<Holding> = own.map(|held| self.holding(held)).collect();
        holdings.sort_by_key(|held| held.id);
        let worth = symbol.trade_tick_value / instrument.tick_value;
        Ok(Snapshot {
            at: self.clock.now(),
            broker_time,
            balance: account.balance,
            holdings,
            mark: None,
            rate: if worth > 0.0 { worth } else { 1.0 },
            quote: [symbol.bid, symbol.ask].map(|price| (price / instrument.tick_size * 1e6).round() / 1e6),
            under_way: 0,
            deals,
            shut: (!health.trading).then(|| format!("the bridge has paused: {}", health.paused.join("; "))),
        })
    }

    fn send(&mut self, intent: &Intent) -> Result<Outcome, LiveError> {
        let instrument = &self.deployment.listing().instrument;
        let price = |ticks: i64| instrument.written_price(ticks);
        let volume = instrument.written_lots(intent.steps);
        let lease = self.lease.ok_or_else(|| LiveError::Broker("it was not begun".to_owned()))?;
        let action = match intent.closes.filter(|_| intent.reduces) {
            Some(position) => Action::Close { position, volume: Some(volume), deviation_points: DEVIATION },
            None => Action::Market {
                side: if intent.side == Side::Buy { Way::Buy } else { Way::Sell },
                volume,
                stop_loss: intent.stop_loss.map(price),
                take_profit: intent.take_profit.map(price),
                deviation_points: DEVIATION,
            },
        };
        let order =
            Order { id: intent.id, symbol: self.seat.symbol.clone(), comment: "cambist".to_owned(), action };
        Ok(self.client.order(lease, &order)?)
    }

    fn outcome(&mut self, id: OrderId) -> Result<Option<Outcome>, LiveError> {
        Ok(self.client.outcome(id)?)
    }

    fn heartbeat(&mut self) -> Result<(), LiveError> {
        let now = self.clock.elapsed();
        let Some(lease) = self.lease.filter(|_| now.saturating_sub(self.beat) >= BEAT) else { return Ok(()) };
        match self.client.renew_lease(lease) {
            Ok(_) => {}
            // It ended while nobody could renew it: it is ours again, unless somebody else has it.
            Err(BridgeError::Problem { status: 409, .. }) => self.take_lease(Some(lease))?,
            Err(error) => return Err(error.into()),
        }
        self.beat = now;
        Ok(())
    }

    fn begin(&mut self) -> Result<(), LiveError> {
        let kept = std::fs::read_to_string(&self.seat.lease_file);
        self.take_lease(kept.ok().and_then(|text| text.trim().parse().ok()))
    }

    /// Under another token, what was sent under the last is refused.
    fn fence(&mut self) -> Result<(), LiveError> {
        self.take_lease(self.lease)
    }

    /// The bridge's dead-man's switch stays where it is.
    fn end(&mut self) -> Result<(), LiveError> {
        Ok(self.lease.take().map_or(Ok(()), |lease| self.client.let_lease_go(lease))?)
    }

    fn absent_after(&self) -> Duration {
        self.seat.absent_after
    }
}
