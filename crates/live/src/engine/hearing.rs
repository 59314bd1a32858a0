//! What the mind hears beside bars: outcomes and commands; and its own records, again.

use std::sync::Arc;

use cambist_bridge::{OrderId, Outcome};
use cambist_core::UnixNanos;

use super::Engine;
use crate::deployment::Deployment;
use crate::error::LiveError;
use crate::results::Results;
use crate::words::{Command, Decision, Record, Snapshot};

/// What a record, heard for the second time, should have said.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What differs.
    pub what: &'static str,
    /// As it is written.
    pub written: String,
    /// As it is now.
    pub now: String,
}

impl Engine {
    /// Hears at `at` what became of an order.
    pub fn outcome(&mut self, at: UnixNanos, id: OrderId, outcome: &Outcome) {
        let Some(pending) = self.pending.get(&id).copied() else { return };
        match outcome {
            Outcome::Unknown(_) => {}
            Outcome::Refused { .. } => {
                self.pending.remove(&id);
                self.standing.refused();
            }
            Outcome::Confirmed(_) => {
                self.pending.remove(&id);
                if let Some(stop) = pending.opens {
                    self.standing.carries(at, stop);
                }
                if let Some((target, expected, held)) = pending.goal {
                    self.desk.sent(target, pending.steps, expected, held);
                }
            }
        }
    }

    /// Hears a command.
    ///
    /// # Errors
    /// When it cannot be followed; nothing has changed then.
    pub fn command(
        &mut self,
        command: &Command,
        why: &str,
        account: Option<&Snapshot>,
    ) -> Result<(), LiveError> {
        match command {
            Command::Pause => self.standing.pause(why),
            Command::Resume => self.standing.resume(),
            Command::Kill { flatten } => self.standing.kill(why, *flatten),
            Command::Adopt => {
                if let Some(account) = account {
                    // What nobody can name is no result of the policy's.
                    self.results.paid_in(account.balance - self.books.standing().0);
                    self.books.adopt(account);
                }
                self.standing.adopt();
            }
            Command::Swap { folder, hash } => {
                let deployment = Arc::new(Deployment::load(folder)?);
                if deployment.hash != *hash {
                    let (wanted, found) = (hash.clone(), deployment.hash.clone());
                    return Err(LiveError::OtherArtefact { wanted, found });
                }
                if deployment.terms.tickets.stop_ranges.is_some()
                    && self.rules.stop_grace.is_none()
                    && self.is_live()
                {
                    return Err(LiveError::Limit(
                        "its entries carry stops, and limits.stop_grace is not written".to_owned(),
                    ));
                }
                let limits = deployment.terms.gate;
                let mind = self.warmed(deployment)?;
                self.previous = Some(Arc::clone(&self.mind.deployment));
                self.n_needed = mind.deployment.look_back()? + 1;
                self.mind = mind;
                self.results = Results::default();
                self.desk.set_limits(limits);
            }
            Command::Shadow { artefact: None } => self.shadow = None,
            Command::Shadow { artefact: Some((folder, hash)) } => {
                let deployment = Arc::new(Deployment::load(folder)?);
                if deployment.hash != *hash {
                    let (wanted, found) = (hash.clone(), deployment.hash.clone());
                    return Err(LiveError::OtherArtefact { wanted, found });
                }
                self.shadow = Some(self.warmed(deployment)?);
            }
            Command::Rules { rules } => {
                (self.rules, self.configured) = (*rules, *rules);
                self.limits_changed();
            }
            Command::Limit { name, value } => {
                self.rules.set(name, *value).map_err(LiveError::Limit)?;
                self.limits_changed();
            }
        }
        Ok(())
    }

    fn is_live(&self) -> bool {
        self.opened.mode == "live"
    }

    /// The gate takes over the rules; what it remembers of the day and the top is kept.
    fn limits_changed(&mut self) {
        self.guard = self.guard.with_limits(self.rules.gate(self.mind.deployment.listing().clock));
    }

    /// Hears a record again, and says where what it decides now is not what is written.
    ///
    /// # Errors
    /// When the record cannot be followed.
    pub fn replay(&mut self, record: &Record) -> Result<Vec<Difference>, LiveError> {
        let mut differences = Vec::new();
        let mut compare = |what, written: String, now: String| {
            if written != now {
                differences.push(Difference { what, written, now });
            }
        };
        match record {
            Record::Opened(_) => {}
            Record::Missed { bar } => self.miss(bar)?,
            Record::Step { at, bar, account, findings, decision, shadow, books } => {
                let (found, decided, shaded) = self.step(*at, bar, account)?;
                compare("findings", said(findings), said(&found));
                compare("observation", said(&decision.observation), said(&decided.observation));
                compare("action", said(&decision.action), said(&decided.action));
                compare("intents", said(&decision.intents), said(&decided.intents));
                // Words may change from version to version; what is done may not.
                let worded =
                    |decision: &Decision| said(&Decision { reason: String::new(), ..decision.clone() });
                compare("decision", worded(decision), worded(&decided));
                compare("shadow", said(shadow), said(&shaded.map(Box::new)));
                // Journals of before they were written down have none.
                if let Some(books) = books {
                    compare("books", said(books), said(&self.books()));
                }
            }
            Record::Flatten { at, account, findings, intents, .. } => {
                let (found, sent) = self.flatten(*at, account);
                compare("findings", said(findings), said(&found));
                compare("intents", said(intents), said(&sent));
            }
            Record::Look { at, account, findings } => {
                compare("findings", said(findings), said(&self.look(*at, account)));
            }
            Record::Outcome { at, id, outcome, .. } => self.outcome(*at, *id, outcome),
            Record::Commanded { why, command, account, .. } => {
                self.command(command, why, account.as_deref())?;
            }
        }
        Ok(differences)
    }
}

fn said(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}
