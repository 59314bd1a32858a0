//! How a loop begins, or goes on: verify, live through, compare, and only then trade.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use cambist_core::UnixNanos;
use cambist_core::clock::Clock;
use serde_json::json;

use super::{DEALS_BACK, FIRST_PAUSE, Session, Settings};
use crate::deployment::Deployment;
use crate::drift::WINDOW;
use crate::engine::Engine;
use crate::error::LiveError;
use crate::fills::Waiting;
use crate::journal::Journal;
use crate::port::Venue;
use crate::replay::live_through;
use crate::shared::{Severity, Shared};
use crate::words::{Command, Opened, Record};

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
        let own = Arc::clone(&deployment);
        let mut venue = venue;
        let (mut waiting, mut seen) = (Waiting::default(), Seen::default());
        let mut journal = Journal::open(&settings.folder, |kept| {
            let differences = live_through(&mut engine, &kept, |opened| first(opened, &own))?;
            waiting.note(&kept.record);
            seen.note(kept.record);
            match differences.first() {
                Some(difference) => Err(LiveError::Otherwise { seq: kept.seq, what: difference.what }),
                None => Ok(()),
            }
        })?;
        if let Some(engine) = &engine {
            is_ours(engine, &deployment, &settings, &venue)?;
        }
        // A journal that is long to live through keeps nobody waiting who is told that we are alive.
        let goes_on = engine.is_some();
        let engine = venue.begin().and_then(|()| match engine {
            Some(engine) => Ok((engine, None)),
            None => begin(&settings, deployment, &mut venue, &mut journal),
        });
        let (engine, lacks) = match engine {
            Ok(begun) => begun,
            Err(error) => {
                // Nobody waits for who did not come to trade.
                let _ = venue.end();
                return Err(error);
            }
        };
        let mut session = Self {
            engine,
            journal,
            venue,
            shared,
            clock,
            settings,
            waiting,
            away: None,
            failures: 0,
            unheard: BTreeMap::new(),
            flatten: (Duration::ZERO, FIRST_PAUSE),
            looked: Duration::ZERO,
            waits: false,
        };
        if let Some(what) = lacks {
            session.say(Severity::Warning, "short_history", json!({ "what": what }));
        }
        if let Err(error) = session.set_out(goes_on, &seen) {
            session.end();
            return Err(error);
        }
        Ok(session)
    }

    /// All that comes before the first turn, when nobody else may trade any more.
    fn set_out(&mut self, goes_on: bool, seen: &Seen) -> Result<(), LiveError> {
        if goes_on {
            self.shared.deployed(self.engine.deployment(), self.engine.previous());
            self.shared.recall(&seen.observations);
            self.compare_history();
            let rules = self.settings.rules;
            if rules != *self.engine.configured() {
                self.obey(Command::Rules { rules }, "the config", "its limits were changed")?;
            }
        }
        self.shade()?;
        self.resolve()?;
        // What was told then is not told again.
        self.engine.have_left();
        self.shared.compare(self.engine.results());
        self.publish(None, None);
        Ok(())
    }

    /// Lets the policy of the settings decide beside, or nobody.
    fn shade(&mut self) -> Result<(), LiveError> {
        let wanted = self.settings.shadow.as_deref().map(Deployment::load).transpose()?;
        let artefact = wanted.map(|own| (std::path::absolute(&own.folder).unwrap_or(own.folder), own.hash));
        if artefact.as_ref().map(|(_, hash)| hash.as_str()) == self.engine.shadow() {
            return Ok(());
        }
        self.obey(Command::Shadow { artefact }, "the command line", "--shadow")
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
}

/// What the journal that begins with `opened` was decided by at first: `given`, or what lay there then.
fn first(opened: &Opened, given: &Arc<Deployment>) -> Result<Arc<Deployment>, LiveError> {
    if opened.hash == given.hash {
        return Ok(Arc::clone(given));
    }
    Ok(Arc::new(Deployment::load(&opened.artefact)?))
}

/// The last observations of a journal, by what decides.
#[derive(Debug, Default)]
struct Seen {
    observations: VecDeque<Vec<f32>>,
}

impl Seen {
    fn note(&mut self, record: Record) {
        match record {
            Record::Step { decision, .. } => {
                if self.observations.len() == WINDOW {
                    self.observations.pop_front();
                }
                self.observations.push_back(decision.observation);
            }
            Record::Commanded { command: Command::Swap { .. }, .. } => self.observations.clear(),
            _ => {}
        }
    }
}

/// The first record of a new journal, and the mind that it makes; with what it lacks, if it does.
fn begin<V: Venue>(
    settings: &Settings,
    deployment: Arc<Deployment>,
    venue: &mut V,
    journal: &mut Journal,
) -> Result<(Engine, Option<String>), LiveError> {
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
    journal.append(&Record::Opened(Box::new(opened)), &bars)?;
    let lacks = (bars.len() < needed).then(|| {
        format!("{} bars of history, {needed} are needed: entries wait until features are ready", bars.len())
    });
    Ok((engine, lacks))
}

/// Refuses a journal of another policy, account or symbol than are here.
fn is_ours<V: Venue>(
    engine: &Engine,
    deployment: &Deployment,
    settings: &Settings,
    venue: &V,
) -> Result<(), LiveError> {
    let (wanted, found) = (engine.deployment().hash.clone(), deployment.hash.clone());
    if wanted != found {
        return Err(LiveError::OtherArtefact { wanted, found });
    }
    let opened = engine.opened();
    let (account, symbol) = venue.account();
    for (field, wanted, found) in [
        ("account", opened.account.to_string(), account.to_string()),
        ("symbol", opened.symbol.clone(), symbol),
        ("mode", opened.mode.clone(), settings.mode.to_owned()),
    ] {
        if wanted != found {
            return Err(LiveError::OtherJournal { field, wanted, found });
        }
    }
    Ok(())
}
