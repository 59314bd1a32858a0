//! The terminal: an account on a tape, and the time.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use cambist_core::{BarEvent, UnixNanos};
use cambist_execution::{BrokerRules, Holding, Latency, Listing, Mark, Notice};

use crate::books::Books;
use crate::journal::{Entry, Journal, JournalError};
use crate::words::DealRecord;

/// What a terminal is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The broker, with one listing.
    pub rules: Arc<BrokerRules>,
    /// Name of the symbol.
    pub symbol: String,
    /// The bars that prices come from, oldest first.
    pub bars: Arc<[BarEvent]>,
    /// The bars that are shown, oldest first: the same, or longer ones made of them.
    pub chart: Arc<[BarEvent]>,
    /// Deposit currency for one of the profit currency, one a bar; empty for one.
    pub rates: Arc<[f64]>,
    /// Length of a bar that is shown, in seconds.
    pub seconds: u32,
    /// Prices' bars that are history when the account is opened; at least one.
    pub history: usize,
    /// First balance.
    pub balance: f64,
    /// Currency of the account.
    pub currency: String,
    /// Number of the account.
    pub login: u64,
}

/// A terminal cannot be made of this.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not one symbol.
    #[error("a terminal shows one symbol; the broker lists {0}")]
    Symbols(usize),
    /// No bar before, or none after.
    #[error(
        "the tape has {bars} bars, of which {history} are history: a terminal needs one before it opens and one to live through"
    )]
    Bars {
        /// All.
        bars: usize,
        /// Of these history.
        history: usize,
    },
    /// Orders are under way for a while.
    #[error(
        "a terminal answers an order with its deal: broker.latency_ms and broker.latency_bars must be 0; delay is the client's own"
    )]
    Latency,
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Setup {
    pub(crate) fn listing(&self) -> &Listing {
        &self.rules.listings[0]
    }

    pub(crate) fn rate(&self, row: usize) -> f64 {
        self.rates.get(row).copied().unwrap_or(1.0)
    }

    /// The price of `ticks`, as it is written.
    pub(crate) fn price(&self, ticks: f64) -> f64 {
        let unit = 10f64.powi(self.digits() as i32);
        (self.listing().instrument.to_price(ticks) * unit).round() / unit
    }

    /// Bid and ask as prices, on whole ticks, rounded against the client.
    pub(crate) fn quote(&self, mark: &Mark) -> (f64, f64) {
        (self.price((mark.bid + 1e-9).floor()), self.price((mark.ask - 1e-9).ceil()))
    }

    /// Decimals of a price.
    pub(crate) fn digits(&self) -> usize {
        let text = format!("{}", self.listing().instrument.tick_size);
        text.split_once('.').map_or(0, |(_, decimals)| decimals.len())
    }

    /// Hash of everything that a terminal's answers depend on.
    fn fingerprint(&self) -> String {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        // How far back its history goes changes nothing that happens.
        let from = self.history.saturating_sub(1);
        let Self { symbol, seconds, balance, login, currency, .. } = self;
        let rest = format!("{symbol} {seconds} {balance} {login} {currency} {}", env!("CARGO_PKG_VERSION"));
        // Value by value: written out as a whole, the bars take more room than they do. Hashing does not fail.
        let _ = serde_json::to_writer(&mut hash, self.rules.as_ref())
            .and_then(|()| serde_json::to_writer(&mut hash, self.bars.get(from..).unwrap_or_default()))
            .and_then(|()| serde_json::to_writer(&mut hash, self.rates.get(from..).unwrap_or_default()));
        let _ = hash.write_all(rest.as_bytes());
        format!("{:016x}", hash.0)
    }
}

/// The hash of Fowler, Noll and Vo (FNV-1a, 64 bits) of what is written to it.
struct Fnv(u64);

impl Write for Fnv {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An account at the close of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed<'a> {
    /// Money, without what is open.
    pub balance: f64,
    /// What is held, oldest first; their numbers are MetaTrader's tickets.
    pub holdings: Vec<Holding>,
    /// Bid and ask, in ticks, and the rate of conversion.
    pub mark: Mark,
    /// Signed lot steps of market orders that are under way.
    pub under_way: i64,
    /// Every deal, oldest first.
    pub deals: &'a [Arc<DealRecord>],
}

/// A simulated terminal.
#[derive(Debug)]
pub struct Terminal {
    pub(crate) setup: Setup,
    /// As it stands at the end of the last bar that was lived through.
    pub(crate) settled: Books,
    /// The bar at hand; its open, and no more, may have been lived through for itself.
    pub(crate) bar: Option<BarEvent>,
    /// Its place on the tape.
    pub(crate) row: usize,
    pub(crate) now: UnixNanos,
    /// As it stands at [`Terminal::now`], when the open of the bar at hand has been traded.
    shown: Option<Books>,
    /// Bid and ask at every open that is past, since the account was opened.
    pub(crate) ticks: Vec<(UnixNanos, Mark)>,
    pub(crate) requests: u64,
    pub(crate) error: (i32, String),
    journal: Option<Journal>,
    /// The time, if it passed without being written down.
    pub(crate) unwritten: Option<UnixNanos>,
}

impl Terminal {
    /// A terminal whose account is opened at the close of the last bar of history. With a `journal` it first lives through what is
    /// written there, and stands where it stood.
    ///
    /// # Errors
    /// When the setup has too few bars or another number of symbols than one, or the journal is damaged or another's.
    pub fn open(setup: Setup, journal: Option<&Path>) -> Result<Self, SetupError> {
        if setup.rules.listings.len() != 1 {
            return Err(SetupError::Symbols(setup.rules.listings.len()));
        }
        if !matches!(setup.listing().latency, Latency::Millis(0) | Latency::Bars(0)) {
            return Err(SetupError::Latency);
        }
        let (bars, history) = (setup.bars.len(), setup.history);
        let Some(last) =
            history.checked_sub(1).and_then(|row| setup.bars.get(row)).filter(|_| history < bars)
        else {
            return Err(SetupError::Bars { bars, history });
        };
        let now = last.close_time;
        let mut settled = Books::new(&setup, now);
        settled.live(&setup, last, setup.rate(history - 1), None);
        let mut terminal = Self {
            settled,
            bar: setup.bars.get(history).copied(),
            row: history,
            now,
            shown: None,
            ticks: Vec::new(),
            requests: 0,
            error: (1, "Success".to_owned()),
            journal: None,
            unwritten: None,
            setup,
        };
        if let Some(path) = journal {
            let (journal, entries) = Journal::open(path, &terminal.setup.fingerprint())?;
            for entry in entries {
                match entry {
                    Entry::Now(time) => terminal.pass(time),
                    Entry::Request(request) => drop(terminal.carry_out(&request)),
                }
            }
            terminal.journal = Some(journal);
        }
        Ok(terminal)
    }

    /// What it is made of.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The time on the tape.
    #[must_use]
    pub fn now(&self) -> UnixNanos {
        self.now
    }

    /// Whether the tape is at its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.bar.is_none()
    }

    /// When the bar that is shown at hand closes; now at the end of the tape.
    #[must_use]
    pub fn next_close(&self) -> UnixNanos {
        self.close_after(1)
    }

    /// When so many bars that are shown, from the one at hand on, have closed, or the last of the tape.
    #[must_use]
    pub fn close_after(&self, bars: u32) -> UnixNanos {
        let chart = &self.setup.chart;
        let rest = &chart[chart.partition_point(|bar| bar.close_time <= self.now)..];
        let last = rest.get((bars as usize).saturating_sub(1)).or(rest.last()).filter(|_| bars > 0);
        last.map_or(self.now, |bar| bar.close_time)
    }

    /// Why the last call failed, as `last_error` of the package: 1 for no error.
    #[must_use]
    pub fn last_error(&self) -> (i32, &str) {
        (self.error.0, &self.error.1)
    }

    /// Lets time pass to `time`: to the open of the bar that holds it, or, where the market is away, to itself. It never goes back.
    ///
    /// # Errors
    /// When the journal cannot be written; time stands then.
    pub fn advance(&mut self, time: UnixNanos) -> Result<(), JournalError> {
        let before = (self.now, self.row);
        let next = self
            .bar
            .is_some_and(|bar| bar.close_time <= time || (bar.open_time <= time && bar.open_time > self.now));
        if next || (time > self.now && self.bar.is_none_or(|bar| bar.open_time > time)) {
            self.write_down(&Entry::Now(time))?;
            self.pass(time);
        }
        debug_assert!((self.now, self.row) >= before);
        Ok(())
    }

    /// The same for time that passes by itself: where the market is away, it is written down with what happens next.
    ///
    /// # Errors
    /// As [`Terminal::advance`].
    pub(crate) fn drift(&mut self, time: UnixNanos) -> Result<(), JournalError> {
        if self.bar.is_some_and(|bar| bar.open_time <= time) {
            self.unwritten = None;
            return self.advance(time);
        }
        if time > self.now {
            self.pass(time);
            self.unwritten = Some(time);
        }
        Ok(())
    }

    fn pass(&mut self, time: UnixNanos) {
        while let Some(bar) = self.bar.filter(|bar| bar.close_time <= time) {
            self.note_tick(&bar);
            // What was not shown at the open is known from the close on.
            let known = self.shown().deals.len();
            self.settled.live(&self.setup, &bar, self.setup.rate(self.row), Some((known, bar.close_time)));
            self.row += 1;
            self.now = bar.close_time;
            self.bar = self.setup.bars.get(self.row).copied();
            self.shown = None;
        }
        let to = self.bar.map_or(time, |bar| if bar.open_time <= time { bar.open_time } else { time });
        self.now = self.now.max(to);
        self.shown = None;
    }

    /// Notes the quote at the open of `bar`, which is over.
    fn note_tick(&mut self, bar: &BarEvent) {
        let mark = if bar.open_time <= self.now {
            *self.shown().broker.mark(0)
        } else {
            let mut books = self.settled.clone();
            books.live(&self.setup, &open_of(bar), self.setup.rate(self.row), None);
            *books.broker.mark(0)
        };
        self.ticks.push((bar.open_time, mark));
    }

    /// The account as it stood when the last bar had been lived through, whatever the open of the bar at hand has done since: what is held,
    /// with the tickets of MetaTrader, and every deal.
    #[must_use]
    pub fn closed(&self) -> Closed<'_> {
        let Books { broker, positions, deals, .. } = &self.settled;
        let ticket = |held: &Holding| positions.get(&held.id).map_or(held.id, |note| note.ticket);
        let levels = |held: &Holding| [held.stop_loss, held.take_profit];
        let told = |held: &Holding| {
            Holding::told(ticket(held), held.steps, held.entry, levels(held), held.financing)
        };
        Closed {
            balance: broker.account().balance(),
            holdings: broker.account().holdings().iter().map(told).collect(),
            mark: *broker.mark(0),
            under_way: broker.in_flight(0),
            deals,
        }
    }

    /// Lets time pass to the open of the next bar, if the market is away now.
    ///
    /// # Errors
    /// When the journal cannot be written; time stands then.
    pub fn await_price(&mut self) -> Result<(), JournalError> {
        match self.bar {
            Some(bar) if bar.open_time > self.now => self.advance(bar.open_time),
            _ => Ok(()),
        }
    }

    /// Bid and ask, in ticks, at every open that is past since the account was opened.
    #[must_use]
    pub fn quotes(&self) -> &[(UnixNanos, Mark)] {
        &self.ticks
    }

    /// Bid and ask as they are shown, in ticks.
    pub fn quote_ticks(&mut self) -> [f64; 2] {
        let mark = self.shown().broker.mark(0);
        [mark.bid, mark.ask]
    }

    /// Writes `entry` down before it is carried out.
    pub(crate) fn write_down(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.write(entry))
    }

    /// The account as a client sees it: when the open of the bar at hand has been traded.
    pub(crate) fn shown(&mut self) -> &Books {
        let Self { shown, settled, setup, bar, row, now, .. } = self;
        shown.get_or_insert_with(|| {
            let mut books = settled.clone();
            if let Some(bar) = bar.filter(|bar| bar.open_time <= *now) {
                books.live(setup, &open_of(&bar), setup.rate(*row), None);
            }
            books
        })
    }

    /// Whether there is a price now.
    pub(crate) fn is_priced(&self) -> bool {
        self.bar.is_some_and(|bar| bar.open_time <= self.now)
    }

    /// When the price that is shown was made.
    pub(crate) fn priced_at(&self) -> UnixNanos {
        let last = self.row.checked_sub(1).and_then(|row| self.setup.bars.get(row));
        if self.is_priced() { self.now } else { last.map_or(self.now, |bar| bar.close_time) }
    }

    /// Makes what is shown what has happened, for what cannot wait: the open is an event of its own then, and the volume it took is
    /// gone for the rest of the bar.
    pub(crate) fn settle(&mut self) {
        let Some(mut bar) = self.bar.filter(|bar| bar.open_time <= self.now) else { return };
        let notices = self.settled.live(&self.setup, &open_of(&bar), self.setup.rate(self.row), None);
        let taken = |notice: &Notice| if let Notice::Deal(deal) = notice { deal.steps } else { 0 };
        let taken: i64 = notices.iter().map(taken).sum();
        if let (Some(volume), Some(share)) = (&mut bar.volume, self.setup.listing().participation) {
            *volume = (*volume - (taken as f64 / share).ceil() as i64).max(0);
        }
        self.bar = Some(bar);
        self.shown = None;
    }

    /// What is shown is no longer so.
    pub(crate) fn changed(&mut self) {
        self.shown = None;
    }
}

/// What is known of `bar` when it opens.
pub(crate) fn open_of(bar: &BarEvent) -> BarEvent {
    BarEvent { close_time: bar.open_time, high: bar.open, low: bar.open, close: bar.open, ..*bar }
}
