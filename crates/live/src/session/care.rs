//! What a loop does between bars: it follows operators, watches over itself, asks what became of orders, and closes what must be closed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cambist_bridge::{OrderId, Outcome};
use serde_json::json;

use super::{FIRST_PAUSE, LONGEST_PAUSE, Session};
use crate::deployment::Deployment;
use crate::error::LiveError;
use crate::port::Venue;
use crate::shared::{Asked, Severity};
use crate::standing::Mode;
use crate::words::{Command, Record};

/// The file that kills the loop.
const KILL: &str = "KILL";

impl<V: Venue> Session<V> {
    /// Asks what became of orders of which that is not known. One that the broker has not heard of, and that can no longer come in, was
    /// never sent.
    pub(super) fn resolve(&mut self) -> Result<(), LiveError> {
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
                        // Whatever may still be on its way is shut out, and only then the last look is believed.
                        self.venue.fence()?;
                        if self.venue.outcome(id)?.is_none() {
                            let reason = "it never reached the broker".to_owned();
                            self.hear_of(self.venue.now(), id, Outcome::Refused { retcode: None, reason })?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Flattens, when the loop was killed to that end or a stop is missing.
    pub(super) fn close_what_must_be(&mut self) -> Result<(), LiveError> {
        if let Some(why) = self.engine.waits_to_flatten() {
            if !std::mem::replace(&mut self.waits, true) {
                let open: Vec<OrderId> = self.engine.unresolved().collect();
                self.say(Severity::Critical, "flatten_waits", json!({ "why": why, "for": open }));
            }
            return Ok(());
        }
        self.waits = false;
        let Some(why) = self.engine.must_flatten() else { return Ok(()) };
        let now = self.clock.elapsed();
        if now < self.flatten.0 {
            return Ok(());
        }
        let account = self.venue.snapshot(self.since())?;
        if account.under_way != 0 {
            // What closes it is on its way already: another order would open the other side.
            return Ok(());
        }
        let at = self.venue.now();
        let (findings, intents) = self.engine.flatten(at, &account);
        self.tell(&findings, None);
        let record = Record::Flatten {
            at,
            account: Box::new(account.clone()),
            findings,
            intents: intents.clone(),
            why: why.clone(),
        };
        self.journal.append(&record, &[])?;
        self.waiting.note(&record);
        if !intents.is_empty() {
            self.say(Severity::Critical, "flatten", json!({ "why": why, "intents": intents }));
        }
        // Whatever becomes of one, the others are closed.
        let mut done = true;
        for intent in &intents {
            done &= self.send(intent)?;
        }
        let pause = if done { FIRST_PAUSE } else { (2 * self.flatten.1).min(LONGEST_PAUSE) };
        self.flatten = (now + pause, pause);
        self.publish(Some(&account), None);
        Ok(())
    }

    /// While an entry's stop is to be there, the account is looked at a few times within its grace.
    pub(super) fn look_for_the_stop(&mut self) -> Result<(), LiveError> {
        let Some(grace) = self.engine.rules().stop_grace.filter(|_| self.engine.standing().carries_a_stop())
        else {
            return Ok(());
        };
        let now = self.clock.elapsed();
        if now.saturating_sub(self.looked).as_secs_f64() < (grace / 2.0).max(1.0) {
            return Ok(());
        }
        self.looked = now;
        let account = self.venue.snapshot(self.since())?;
        let at = self.venue.now();
        let findings = self.engine.look(at, &account);
        // Every look is heard again in a replay.
        self.journal.append(
            &Record::Look { at, account: Box::new(account.clone()), findings: findings.clone() },
            &[],
        )?;
        self.tell(&findings, None);
        self.publish(Some(&account), None);
        Ok(())
    }

    /// Follows what operators asked for.
    pub(super) fn hear(&mut self) -> Result<(), LiveError> {
        while let Some(Asked { command, by, why, given_up, answer }) = self.shared.asked() {
            // Who asked for more has been told that it did not happen; less is done, however late.
            let less = matches!(command, Command::Pause | Command::Kill { .. });
            if given_up.load(Ordering::SeqCst) && !less {
                continue;
            }
            let done = self.obey(command, &by, &why);
            let told = done.as_ref().copied().map_err(ToString::to_string);
            // Who is answered finds it done.
            self.publish(None, None);
            let _ = answer.send(told);
            if let Err(error @ (LiveError::Database(_) | LiveError::Head(_))) = done {
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn obey(&mut self, command: Command, by: &str, why: &str) -> Result<(), LiveError> {
        let account = match command {
            Command::Adopt => Some(Box::new(self.venue.snapshot(self.since())?)),
            _ => None,
        };
        let command = match command {
            // Killing takes the configured way.
            Command::Kill { .. } => Command::Kill { flatten: !self.engine.rules().kill_freezes },
            other => other,
        };
        if matches!(command, Command::Resume) && self.settings.folder.join(KILL).exists() {
            let what = format!("the file {KILL} is in {}: remove it first", self.settings.folder.display());
            return Err(LiveError::Limit(what));
        }
        if let Command::Swap { folder, .. } = &command {
            self.engine.sees_enough_for(&Deployment::load(folder)?)?;
        }
        if matches!(command, Command::Kill { .. } | Command::Resume) {
            self.flatten = (Duration::ZERO, FIRST_PAUSE);
        }
        self.engine.command(&command, why, account.as_deref())?;
        if let Command::Swap { .. } = &command {
            self.shared.deployed(self.engine.deployment(), self.engine.previous());
        }
        let (at, by, why) = (self.venue.now(), by.to_owned(), why.to_owned());
        let severity =
            if matches!(command, Command::Kill { .. }) { Severity::Critical } else { Severity::Warning };
        self.say(severity, "command", json!({ "by": by, "why": why, "command": command }));
        self.journal.append(&Record::Commanded { at, by, why, command, account }, &[])?;
        Ok(())
    }

    /// The kill file, and the operator's heartbeat.
    pub(super) fn watch_over(&mut self) -> Result<(), LiveError> {
        if matches!(self.engine.standing().mode, Mode::Killed { .. }) {
            return Ok(());
        }
        match std::fs::read(self.settings.folder.join(KILL)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // One that cannot be read is there all the same.
            found => {
                let text: String =
                    String::from_utf8_lossy(&found.unwrap_or_default()).chars().take(500).collect();
                let why = if text.trim().is_empty() { "the file KILL is there" } else { text.trim() };
                return self.obey(Command::Kill { flatten: true }, "the file KILL", why);
            }
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
}
