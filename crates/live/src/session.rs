//! The loop: a bar closes, the policy decides, the intent is durable, the order goes, its outcome is written down, books are compared.
//!
//! A start verifies the journal, lives through it again, looks for what became of orders that were under way, and only then trades.
//! What cannot be read now holds trading and is tried again; what cannot be written ends the loop.

mod care;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cambist_bridge::{OrderId, Outcome};
use cambist_core::clock::Clock;
use cambist_core::{Bar, UnixNanos};
use serde_json::json;

use crate::engine::Engine;
use crate::error::LiveError;
use crate::fills::Waiting;
use crate::journal::Journal;
use crate::port::Venue;
use crate::rules::Rules;
use crate::shared::{Severity, Shared};
use crate::words::{Decision, Finding, Intent, Record, Snapshot};

/// How long a turn waits for a bar before it looks around.
const PATIENCE: Duration = Duration::from_millis(250);
/// Deals are asked for from so long before books and broker last agreed: the same one may be told again, none may be missed.
const DEALS_BACK: i64 = 3_600_000_000_000;

/// Why a leg is not sent after one that was not carried out.
pub const NOT_SENT: &str = "not sent: the leg before it was not confirmed";

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
    /// Orders without an outcome, to say of each what its fill came to.
    waiting: Waiting,
    /// Orders of which the broker has not heard, and since when it says so.
    unheard: BTreeMap<OrderId, Duration>,
    /// When everything may be tried to be closed again, and how long is waited after that; it doubles with every refusal.
    flatten: (Duration, Duration),
    /// When the account was last looked at.
    looked: Duration,
    /// Said once: that closing waits for an order.
    waits: bool,
}

/// The first pause after a flattening that was refused, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl<V: Venue> Session<V> {
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

    /// Looks around, and decides on a bar if one has closed. False at the end of a tape.
    ///
    /// # Errors
    /// When the journal cannot be written: nothing more may be sent then.
    pub fn turn(&mut self) -> Result<bool, LiveError> {
        self.hear()?;
        self.watch_over()?;
        let alive = self.venue.heartbeat();
        let heard = alive.and_then(|()| self.resolve()).and_then(|()| self.close_what_must_be());
        let looked = heard.and_then(|()| self.look_for_the_stop());
        let bars = looked.and_then(|()| self.venue.bars(self.engine.close(), PATIENCE));
        let checked = bars.and_then(|bars| {
            // What cannot be is held off before anything has changed.
            if let Some(first) = bars.as_ref().and_then(|bars| bars.first()) {
                self.engine.check(first)?;
            }
            Ok(bars)
        });
        match checked {
            Ok(None) => Ok(false),
            Ok(Some(bars)) => {
                self.back();
                let Some((last, missed)) = bars.split_last() else { return Ok(true) };
                for bar in missed {
                    if let Err(error) = self.engine.check(bar) {
                        return self.failed(&error).map(|()| true);
                    }
                    self.engine.miss(bar)?;
                    self.journal.append(&Record::Missed { bar: *bar }, &[])?;
                }
                if let Err(error) = self.engine.check(last) {
                    return self.failed(&error).map(|()| true);
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
        if matches!(error, LiveError::Database(_) | LiveError::Head(_) | LiveError::Damaged { .. }) {
            return Err(LiveError::Config(format!("the loop stops: {error}")));
        }
        let text = error.to_string();
        // How many milliseconds something still rests makes it no other failure.
        let kind: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        self.failures += 1;
        if self.away.as_ref() != Some(&kind) {
            self.say(Severity::Critical, "away", json!({ "what": text }));
            self.away = Some(kind);
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
            bar: *bar,
            account: Box::new(account.clone()),
            findings: findings.clone(),
            decision: Box::new(decision.clone()),
            shadow: shadow.map(Box::new),
            books: Some(self.engine.books()),
        };
        self.journal.append(&record, &[])?;
        self.waiting.note(&record);
        let durable = self.clock.elapsed();
        self.shared.metrics.decided(decided - begun, durable - decided);
        self.tell(&findings, Some(decision.id));
        if self.engine.standing().mode != before.mode {
            self.say(Severity::Critical, "standing", json!({ "standing": self.engine.standing() }));
        }
        self.say(Severity::Info, "decision", json!({
            "id": decision.id, "close": decision.close.to_string(), "target": decision.target, "held": decision.held,
            "equity": decision.equity, "intents": decision.intents, "reason": decision.reason,
        }));
        let results = self.engine.results();
        if self.engine.have_left() {
            self.say(Severity::Warning, "results", json!(results));
        }
        self.send_all(&decision.intents)?;
        self.shared.drift(&decision.observation, at);
        self.shared.compare(results);
        self.publish(Some(&account), Some(decision));
        Ok(())
    }

    /// Sends the legs of a decision that is durable, one after the other: one that was not carried out ends it.
    fn send_all(&mut self, legs: &[Intent]) -> Result<(), LiveError> {
        let mut legs = legs.iter();
        for leg in legs.by_ref() {
            if !self.send(leg)? {
                break;
            }
        }
        for leg in legs {
            let reason = NOT_SENT.to_owned();
            self.hear_of(self.venue.now(), leg.id, Outcome::Refused { retcode: None, reason })?;
        }
        Ok(())
    }

    /// Sends an intent, and writes down what became of it. Whether all of it was carried out.
    fn send(&mut self, intent: &Intent) -> Result<bool, LiveError> {
        let (sent, begun) = (self.venue.now(), self.clock.elapsed());
        // Nothing was sent: nothing is under way.
        let outcome = self
            .venue
            .send(intent)
            .unwrap_or_else(|error| Outcome::Refused { retcode: None, reason: format!("not sent: {error}") });
        self.shared.metrics.sent(self.clock.elapsed() - begun);
        let terms = &self.engine.deployment().terms.tickets;
        let lots = intent.steps as f64 / terms.steps_per_lot;
        let whole = |volume: f64| (volume - lots).abs() <= 1e-6 * lots;
        let confirmed = matches!(&outcome, Outcome::Confirmed(fill) if whole(fill.volume));
        self.hear_of(sent, intent.id, outcome)?;
        Ok(confirmed)
    }

    fn hear_of(&mut self, sent: UnixNanos, id: OrderId, outcome: Outcome) -> Result<(), LiveError> {
        let at = self.venue.now();
        self.engine.outcome(at, id, &outcome);
        let record = Record::Outcome { at, sent, id, outcome: outcome.clone() };
        self.journal.append(&record, &[])?;
        if let Some(quality) =
            self.waiting.note(&record).and_then(|fill| fill.quality(self.engine.deployment()))
        {
            self.shared.filled(quality);
        }
        self.shared.metrics.outcome(&outcome);
        let severity = match &outcome {
            Outcome::Confirmed(_) => Severity::Info,
            Outcome::Refused { .. } => Severity::Warning,
            Outcome::Unknown(_) => Severity::Critical,
        };
        self.say(severity, "outcome", json!({ "id": id, "outcome": outcome }));
        Ok(())
    }

    /// Tells how books and broker compare.
    fn tell(&mut self, findings: &[Finding], decision: Option<OrderId>) {
        for finding in findings {
            let severity = if finding.is_grave() { Severity::Critical } else { Severity::Info };
            self.say(severity, "finding", json!({ "id": decision, "finding": finding }));
        }
    }

    /// Says something to the log, to those who listen, and where it matters, to the alert's webhook.
    fn say(&mut self, severity: Severity, event: &str, details: serde_json::Value) {
        self.shared.say(severity, event, &details, self.venue.now());
    }

    /// Ends in good order.
    pub fn end(&mut self) {
        if let Err(error) = self.venue.end() {
            self.say(Severity::Warning, "end", json!({ "what": error.to_string() }));
        }
    }

    fn publish(&mut self, account: Option<&Snapshot>, decision: Option<Decision>) {
        self.shared.publish(&self.engine, &self.journal, self.venue.now(), account, decision);
    }
}
