//! The terminal: an account on a tape, and the time.

use std::path::Path;
use std::sync::Arc;

use cambist_core::{BarEvent, UnixNanos};
use cambist_execution::{BrokerRules, Listing};

use crate::books::Books;
use crate::journal::{Entry, Journal, JournalError};
use crate::words::Request;

/// What a terminal is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The broker, with one listing.
    pub rules: Arc<BrokerRules>,
    /// Name of the symbol.
    pub symbol: String,
    /// The bars of the tape, oldest first.
    pub bars: Arc<[BarEvent]>,
    /// Deposit currency for one of the profit currency, one a bar; empty for one.
    pub rates: Arc<[f64]>,
    /// Length of a bar, in seconds.
    pub seconds: u32,
    /// Bars that are history when the account is opened; at least one.
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

    /// Hash of everything that a terminal's answers depend on.
    fn fingerprint(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut eat = |text: &str| {
            for byte in text.bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        eat(&serde_json::to_string(self.rules.as_ref()).unwrap_or_default());
        eat(&serde_json::to_string(self.bars.as_ref()).unwrap_or_default());
        eat(&serde_json::to_string(self.rates.as_ref()).unwrap_or_default());
        eat(&format!("{} {} {} {} {}", self.symbol, self.seconds, self.history, self.balance, self.login));
        format!("{hash:016x}")
    }
}

/// A simulated terminal.
#[derive(Debug)]
pub struct Terminal {
    pub(crate) setup: Setup,
    /// As it stands at the end of the last bar that was lived through.
    pub(crate) settled: Books,
    /// The bar at hand, or what is left of it.
    pub(crate) bar: Option<BarEvent>,
    /// Its place on the tape.
    pub(crate) row: usize,
    pub(crate) now: UnixNanos,
    /// As it stands at [`Terminal::now`], when the open of the bar at hand has been traded.
    shown: Option<Books>,
    pub(crate) requests: u64,
    pub(crate) error: (i32, String),
    journal: Option<Journal>,
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
        let (bars, history) = (setup.bars.len(), setup.history);
        let Some(last) =
            history.checked_sub(1).and_then(|row| setup.bars.get(row)).filter(|_| history < bars)
        else {
            return Err(SetupError::Bars { bars, history });
        };
        let now = last.close_time;
        let mut settled = Books::new(&setup, now);
        settled.live(&setup, last, setup.rate(history - 1));
        let mut terminal = Self {
            settled,
            bar: setup.bars.get(history).copied(),
            row: history,
            now,
            shown: None,
            requests: 0,
            error: (1, "Success".to_owned()),
            journal: None,
            setup,
        };
        if let Some(path) = journal {
            let (journal, entries) = Journal::open(path, &terminal.setup.fingerprint())?;
            for Entry { at, request } in entries {
                terminal.advance(at);
                terminal.carry_out(&request);
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

    /// When the bar at hand closes; now at the end of the tape.
    #[must_use]
    pub fn next_close(&self) -> UnixNanos {
        self.bar.map_or(self.now, |bar| bar.close_time)
    }

    /// Why the last call failed, as `last_error` of the package: 1 for no error.
    #[must_use]
    pub fn last_error(&self) -> (i32, &str) {
        (self.error.0, &self.error.1)
    }

    /// Lets time pass to `time`; it never goes back.
    pub fn advance(&mut self, time: UnixNanos) {
        while let Some(bar) = self.bar.filter(|bar| bar.close_time <= time) {
            self.settled.live(&self.setup, &bar, self.setup.rate(self.row));
            self.row += 1;
            self.bar = self.setup.bars.get(self.row).copied();
            self.shown = None;
        }
        if time > self.now {
            self.now = time;
            self.shown = None;
        }
    }

    /// Writes `request` down before it is carried out.
    pub(crate) fn write_down(&mut self, request: &Request) -> Result<(), JournalError> {
        let entry = Entry { at: self.now, request: request.clone() };
        self.journal.as_mut().map_or(Ok(()), |journal| journal.write(&entry))
    }

    /// The account as a client sees it: when the open of the bar at hand has been traded.
    pub(crate) fn shown(&mut self) -> &Books {
        let Self { shown, settled, setup, bar, row, now, .. } = self;
        shown.get_or_insert_with(|| {
            let mut books = settled.clone();
            if let Some(open) = bar.filter(|bar| bar.open_time <= *now).map(|bar| until_now(&bar, *now)) {
                books.live(setup, &open, setup.rate(*row));
            }
            books
        })
    }

    /// Makes what is shown what has happened: the part of the bar at hand up to now is lived through for itself.
    pub(crate) fn settle(&mut self) {
        let Some(bar) = self.bar.filter(|bar| bar.open_time <= self.now) else { return };
        let part = until_now(&bar, self.now);
        self.settled.live(&self.setup, &part, self.setup.rate(self.row));
        self.bar = Some(rest(&bar, &part));
        self.shown = None;
    }

    /// Cuts the bar at hand where it is inside it, so that an order finds the price of now; at its open there is nothing to cut.
    pub(crate) fn cut(&mut self) {
        if self.bar.is_some_and(|bar| bar.open_time < self.now) {
            self.settle();
        }
    }

    /// What is shown is no longer so.
    pub(crate) fn changed(&mut self) {
        self.shown = None;
    }
}

/// What is known of `bar` at `now`: its open, and the straight line towards its close.
pub(crate) fn until_now(bar: &BarEvent, now: UnixNanos) -> BarEvent {
    let all = (bar.close_time.0 - bar.open_time.0).max(1) as f64;
    let share = ((now.0 - bar.open_time.0) as f64 / all).clamp(0.0, 1.0);
    let close = bar.open + (share * (bar.close - bar.open) as f64).round() as i64;
    let volume = bar.volume.map(|volume| if share == 0.0 { volume } else { (share * volume as f64) as i64 });
    let (high, low) = (bar.open.max(close), bar.open.min(close));
    BarEvent { close_time: now.max(bar.open_time), high, low, close, volume, ..*bar }
}

/// What is left of `bar` after `part`.
fn rest(bar: &BarEvent, part: &BarEvent) -> BarEvent {
    let volume = bar.volume.zip(part.volume).map(|(all, used)| if used == all { all } else { all - used });
    BarEvent { open_time: part.close_time, open: part.close, volume, ..*bar }
}
