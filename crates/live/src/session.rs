//! The loop: a bar closes, the policy decides, the intent is durable, the order goes, its outcome is written down, books are compared.
//!
//! A start verifies the journal, lives through it again, looks for what became of orders that were under way, and only then trades.
//! What cannot be read now holds trading and is tried again; what cannot be written ends the loop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cambist_bridge::{OrderId, Outcome};
use cambist_core::clock::Clock;
use cambist_core::{Bar, UnixNanos};
use serde_json::json;

use crate::deployment::Deployment;
use crate::engine::Engine;
use crate::error::LiveError;
use crate::journal::Journal;
use crate::port::Venue;
use crate::replay::live_through;
use crate::rules::Rules;
use crate::shared::{Asked, Severity, Shared};
use crate::standing::Mode;
use crate::words::{Command, Decision, Intent, Opened, Record, Snapshot};

/// How long a turn waits for a bar before it looks around.
const PATIENCE: Duration = Duration::from_millis(250);
/// Deals are asked for from so long before books and broker last agreed: the same one may be told again, none may be missed.
const DEALS_BACK: i64 = 3_600_000_000_000;

/// How a loop is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where journal, log and kill file lie.
    pub folder: PathBuf,
    /// Paper or live.
    pub mode: &'static str,
    /// Limits of the loop's own.
    pub rules: Rules,
    /// Without the operator's heartbeat for so long, the loop kills itself.
    pub dead_man: Option<Duration>,
    /// A policy that decides beside, without trading.
    pub shadow: Option<PathBuf>,
}

/// A live loop.
pub struct Session<V> {
    engine: Engine,
    journal: Journal,
    venue: V,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// What a failing source said last, to say it once.
    away: Option<String>,
    /// Failures of the source in a row.
    failures: u32,
    /// Orders of which the broker has not heard, and since when it says so.
    unheard: BTreeMap<OrderId, Duration>,
}

impl<V: Venue> Session<V> {
    /// Opens the loop of `settings`, deciding by `deployment`, or goes on with the journal that is there.
    ///
    /// # Errors
    /// When the journal is damaged or of something else, or the venue cannot be read.
    pub fn open(
        settings: Settings,
        deployment: Arc<Deployment>,
        venue: V,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LiveError> {
        let mut engine: Option<Engine> = None;
        let folder = settings.folder.clone();
        let own = Arc::clone(&deployment);
        let journal = Journal::open(&folder, |kept| {
            let differences = live_through(&mut engine, &kept, |opened| first(opened, &own))?;
            match differences.first() {
                Some(difference) => Err(LiveError::Otherwise { seq: kept.seq, what: difference.what }),
                None => Ok(()),
            }
        })?;
        let mut session = match engine {
            Some(engine) => {
                let mut session =
                    Self { engine, journal, venue, shared, clock, settings, away: None, failures: 0, unheard: BTreeMap::new() };
                session.is_ours()?;
                session.compare_history();
                session
            }
            None => Self::begin(settings, deployment, venue, shared, clock, journal)?,
        };
        if let Some(shadow) = session.settings.shadow.clone() {
            session.engine.watch(Arc::new(Deployment::load(&shadow)?))?;
        }
        session.resolve()?;
        session.publish(None, None);
        Ok(session)
    }

    fn begin(
        settings: Settings,
        deployment: Arc<Deployment>,
        mut venue: V,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        mut journal: Journal,
    ) -> Result<Self, LiveError> {
        let needed = deployment.look_back()? + 1;
        let bars = venue.history(needed)?;
        let last = bars.last().map_or(UnixNanos(0), |bar| bar.open_time);
        let baseline = venue.snapshot(UnixNanos(last.0 - DEALS_BACK))?;
        let (account, symbol) = venue.account();
        let opened = Opened {
            at: venue.now(),
            account,
            symbol,
            mode: settings.mode.to_owned(),
            artefact: std::path::absolute(&deployment.folder).unwrap_or_else(|_| deployment.folder.clone()),
            hash: deployment.hash.clone(),
            baseline,
            rules: settings.rules,
            revision: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut engine = Engine::new(opened.clone(), deployment)?;
        bars.iter().try_for_each(|bar| engine.see(bar))?;
        journal.append(&Record::Opened(Box::new(opened)), &[])?;
        journal.append(&Record::History { n_bars: bars.len() }, &bars)?;
        let mut session = Self { engine, journal, venue, shared, clock, settings, away: None, failures: 0, unheard: BTreeMap::new() };
        if bars.len() < needed {
            let what = format!(
                "{} bars of history, {needed} are needed: entries wait until features are ready",
                bars.len()
            );
            session.say(Severity::Warning, "short_history", json!({ "what": what }));
        }
        Ok(session)
    }

    /// Refuses a journal of another account or symbol than the venue's.
    fn is_ours(&self) -> Result<(), LiveError> {
        let opened = self.engine.opened();
        let (account, symbol) = self.venue.account();
        for (field, wanted, found) in [
            ("account", opened.account.to_string(), account.to_string()),
            ("symbol", opened.symbol.clone(), symbol),
            ("mode", opened.mode.clone(), self.settings.mode.to_owned()),
        ] {
            if wanted != found {
                return Err(LiveError::OtherJournal { field, wanted, found });
            }
        }
        Ok(())
    }

    /// Says where history that is fetched again differs from the bars that were decided on.
    fn compare_history(&mut self) {
        let Ok(again) = self.venue.history(self.engine.look_back()) else { return };
        let differ = self.engine.differs(&again);
        if let Some(bar) = differ.first() {
            let what = format!(
                "{} bars differ from those that were decided on, the first opened at {bar}",
                differ.len()
            );
            self.say(Severity::Warning, "history_differs", json!({ "what": what }));
        }
    }

    /// The loop's mind.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Its journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Source and broker.
    #[must_use]
    pub fn venue(&self) -> &V {
        &self.venue
    }

    /// Turns until the tape ends or `stop` says so.
    ///
    /// # Errors
    /// As [`Session::turn`].
    pub fn run(&mut self, stop: &dyn Fn() -> bool) -> Result<(), LiveError> {
        while !stop() {
            if !self.turn()? {
                break;
            }
        }
        self.publish(None, None);
        Ok(())
    }

    /// Looks around, and decides on a bar if one has closed. False at the end of a tape.
    ///
    /// # Errors
    /// When the journal cannot be written: nothing more may be sent then.
    pub fn turn(&mut self) -> Result<bool, LiveError> {
        self.hear()?;
        self.watch_over()?;
        let heard = self.resolve().and_then(|()| self.close_what_must_be());
        let bars = heard.and_then(|()| {
            self.venue.heartbeat()?;
            self.venue.bars(self.engine.close(), PATIENCE)
        });
        match bars {
            Ok(None) => Ok(false),
            Ok(Some(bars)) => {
                self.back();
                let Some((last, missed)) = bars.split_last() else { return Ok(true) };
                for bar in missed {
                    self.engine.see(bar)?;
                    self.journal.append(&Record::Missed { bar: (*bar).into() }, &[])?;
                }
                match self.venue.snapshot(self.since()) {
                    Ok(account) => self.decide(last, account)?,
                    Err(error) => self.failed(&error)?,
                }
                Ok(true)
            }
            Err(error) => self.failed(&error).map(|()| true),
        }
    }

    fn since(&self) -> UnixNanos {
        UnixNanos(self.engine.settled().0 - DEALS_BACK)
    }

    /// The source or the broker cannot be read: said once, tried again. What the journal says ends the loop.
    fn failed(&mut self, error: &LiveError) -> Result<(), LiveError> {
        if matches!(error, LiveError::Database(_) | LiveError::Damaged { .. }) {
            return Err(LiveError::Config(format!("the loop stops: {error}")));
        }
        let text = error.to_string();
        self.failures += 1;
        if self.away.as_ref() != Some(&text) {
            self.say(Severity::Critical, "away", json!({ "what": text }));
            self.away = Some(text);
        }
        std::thread::sleep(PATIENCE);
        Ok(())
    }

    fn back(&mut self) {
        if self.away.take().is_some() {
            let failures = std::mem::take(&mut self.failures);
            self.say(Severity::Info, "back", json!({ "failures": failures }));
        }
    }

    fn decide(&mut self, bar: &Bar, account: Snapshot) -> Result<(), LiveError> {
        let at = self.venue.now();
        let before = self.engine.standing().clone();
        let begun = self.clock.elapsed();
        let (findings, decision, shadow) = self.engine.step(at, bar, &account)?;
        let decided = self.clock.elapsed();
        let record = Record::Step {
            at,
            bar: (*bar).into(),
            account: Box::new(account.clone()),
            findings: findings.clone(),
            decision: Box::new(decision.clone()),
            shadow: shadow.map(Box::new),
        };
        self.journal.append(&record, &[])?;
        let durable = self.clock.elapsed();
        self.shared.metrics.decided(decided - begun, durable - decided);
        for finding in &findings {
            let severity = if finding.disagrees() { Severity::Critical } else { Severity::Info };
            self.say(severity, "finding", json!({ "id": decision.id, "finding": finding }));
        }
        if self.engine.standing().mode != before.mode {
            self.say(Severity::Critical, "standing", json!({ "standing": self.engine.standing() }));
        }
        self.log("decision", &json!({
            "id": decision.id, "close": decision.close.to_string(), "target": decision.target, "held": decision.held,
            "equity": decision.equity, "intents": decision.intents, "reason": decision.reason,
        }))?;
        self.send_all(&decision.intents, Some((&decision, &account)))?;
        self.shared.drift(&decision.observation);
        self.publish(Some(&account), Some(decision));
        Ok(())
    }

    /// Sends the legs of a decision that is durable, one after the other: one that was not carried out ends it.
    fn send_all(&mut self, legs: &[Intent], decided: Option<(&Decision, &Snapshot)>) -> Result<(), LiveError> {
        let mut legs = legs.iter();
        for leg in legs.by_ref() {
            if !self.send(leg, decided)? {
                break;
            }
        }
        for leg in legs {
            let reason = "not sent: the leg before it was not confirmed".to_owned();
            self.hear_of(self.venue.now(), leg.id, Outcome::Refused { retcode: None, reason })?;
        }
        Ok(())
    }

    /// Sends an intent, and writes down what became of it. Whether it was confirmed.
    fn send(&mut self, intent: &Intent, decided: Option<(&Decision, &Snapshot)>) -> Result<bool, LiveError> {
        let (sent, begun) = (self.venue.now(), self.clock.elapsed());
        // Nothing was sent: nothing is under way.
        let outcome = self
            .venue
            .send(intent)
            .unwrap_or_else(|error| Outcome::Refused { retcode: None, reason: format!("not sent: {error}") });
        self.shared.metrics.sent(self.clock.elapsed() - begun);
        let tick = self.engine.deployment().terms.tickets.tick_size;
        if let (Some((decision, account)), Outcome::Confirmed(fill)) = (decided, &outcome) {
            self.shared.filled(intent, decision, account, fill, tick);
        }
        let confirmed = matches!(outcome, Outcome::Confirmed(_));
        self.hear_of(sent, intent.id, outcome)?;
        Ok(confirmed)
    }

    fn hear_of(&mut self, sent: UnixNanos, id: OrderId, outcome: Outcome) -> Result<(), LiveError> {
        let at = self.venue.now();
        self.engine.outcome(id, &outcome);
        self.journal.append(&Record::Outcome { at, sent, id, outcome: outcome.clone() }, &[])?;
        self.shared.metrics.outcome(&outcome);
        let severity = match &outcome {
            Outcome::Confirmed(_) => Severity::Info,
            Outcome::Refused { .. } => Severity::Warning,
            Outcome::Unknown(_) => Severity::Critical,
        };
        self.say(severity, "outcome", json!({ "id": id, "outcome": outcome }));
        Ok(())
    }

    /// Asks what became of orders of which that is not known. One that the broker has not heard of, and that can no longer come in, was
    /// never sent.
    fn resolve(&mut self) -> Result<(), LiveError> {
        let open: Vec<OrderId> = self.engine.unresolved().collect();
        self.unheard.retain(|id, _| open.contains(id));
        for id in open {
            match self.venue.outcome(id)? {
                Some(Outcome::Unknown(_)) => {}
                Some(outcome) => self.hear_of(self.venue.now(), id, outcome)?,
                None => {
                    let now = self.clock.elapsed();
                    let since = *self.unheard.entry(id).or_insert(now);
                    if now.saturating_sub(since) >= self.venue.absent_after() {
                        let reason = "it never reached the broker".to_owned();
                        self.hear_of(self.venue.now(), id, Outcome::Refused { retcode: None, reason })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Flattens, when the loop was killed to that end or a stop is missing.
    fn close_what_must_be(&mut self) -> Result<(), LiveError> {
        let Some(why) = self.engine.must_flatten() else { return Ok(()) };
        let account = self.venue.snapshot(self.since())?;
        let at = self.venue.now();
        let (findings, intents) = self.engine.flatten(at, &account);
        let record = Record::Flatten {
            at,
            account: Box::new(account.clone()),
            findings,
            intents: intents.clone(),
            why: why.clone(),
        };
        self.journal.append(&record, &[])?;
        if !intents.is_empty() {
            self.say(Severity::Critical, "flatten", json!({ "why": why, "intents": intents }));
        }
        self.send_all(&intents, None)?;
        self.publish(Some(&account), None);
        Ok(())
    }

    /// Follows what operators asked for.
    fn hear(&mut self) -> Result<(), LiveError> {
        while let Some(Asked { command, by, why, answer }) = self.shared.asked() {
            let done = self.obey(command, &by, &why);
            let told = done.as_ref().map(|()| ()).map_err(ToString::to_string);
            let _ = answer.send(told);
            match done {
                Err(error @ LiveError::Database(_)) => return Err(error),
                _ => self.publish(None, None),
            }
        }
        Ok(())
    }

    fn obey(&mut self, command: Command, by: &str, why: &str) -> Result<(), LiveError> {
        let account = match command {
            Command::Adopt => Some(Box::new(self.venue.snapshot(self.since())?)),
            _ => None,
        };
        let command = match command {
            // Killing by hand takes the configured way.
            Command::Kill { .. } => Command::Kill { flatten: self.engine.rules().kill_flattens },
            other => other,
        };
        self.engine.command(&command, why, account.as_deref())?;
        if let Command::Swap { .. } = &command {
            self.shared.deployed(self.engine.deployment());
        }
        let (at, by, why) = (self.venue.now(), by.to_owned(), why.to_owned());
        self.say(Severity::Warning, "command", json!({ "by": by, "why": why, "command": command }));
        self.journal.append(&Record::Commanded { at, by, why, command, account }, &[])?;
        Ok(())
    }

    /// The kill file, and the operator's heartbeat.
    fn watch_over(&mut self) -> Result<(), LiveError> {
        if matches!(self.engine.standing().mode, Mode::Killed { .. }) {
            return Ok(());
        }
        let file = self.settings.folder.join("KILL");
        if let Ok(text) = std::fs::read_to_string(&file) {
            let why = if text.trim().is_empty() { "the file KILL is there" } else { text.trim() };
            return self.obey(Command::Kill { flatten: true }, "the file KILL", why);
        }
        let silent = self.shared.silent_for(self.clock.elapsed());
        if let Some(limit) = self.settings.dead_man.filter(|limit| silent > *limit) {
            let why = format!(
                "no heartbeat of the operator for {} s, {} are allowed",
                silent.as_secs(),
                limit.as_secs()
            );
            return self.obey(Command::Kill { flatten: true }, "the dead-man's switch", &why);
        }
        Ok(())
    }

    /// Says something to the log, to those who listen, and where it matters, to the alert's webhook.
    fn say(&mut self, severity: Severity, event: &str, details: serde_json::Value) {
        self.shared.say(severity, event, &details, self.venue.now());
        let _ = self.log(event, &details);
    }

    fn log(&self, event: &str, details: &serde_json::Value) -> Result<(), LiveError> {
        Ok(cambist_runs::log::append(&self.settings.folder, self.venue.now(), event, details)?)
    }

    fn publish(&mut self, account: Option<&Snapshot>, decision: Option<Decision>) {
        self.shared.publish(&self.engine, &self.journal, self.venue.now(), account, decision);
    }
}

/// What the journal that begins with `opened` was decided by at first: `given`, or what lay there then.
fn first(opened: &Opened, given: &Arc<Deployment>) -> Result<Arc<Deployment>, LiveError> {
    if opened.hash == given.hash {
        return Ok(Arc::clone(given));
    }
    Ok(Arc::new(Deployment::load(&opened.artefact)?))
}
