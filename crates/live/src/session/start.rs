//! How a loop begins, or goes on: verify, live through, compare, and only then trade.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cambist_core::UnixNanos;
use cambist_core::clock::Clock;
use serde_json::json;

use super::{DEALS_BACK, FIRST_PAUSE, Session, Settings};
use crate::deployment::Deployment;
use crate::engine::Engine;
use crate::error::LiveError;
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
        let folder = settings.folder.clone();
        let own = Arc::clone(&deployment);
        let mut venue = venue;
        let journal = Journal::open(&folder, |kept| {
            let differences = live_through(&mut engine, &kept, |opened| first(opened, &own))?;
            match differences.first() {
                Some(difference) => Err(LiveError::Otherwise { seq: kept.seq, what: difference.what }),
                None => Ok(()),
            }
        })?;
        // A journal that is long to live through keeps nobody waiting who is told that we are alive.
        venue.begin()?;
        let mut session = match engine {
            Some(engine) => {
                let (wanted, found) = (engine.deployment().hash.clone(), deployment.hash.clone());
                if wanted != found {
                    return Err(LiveError::OtherArtefact { wanted, found });
                }
                let mut session = Self::of(engine, journal, venue, shared, clock, settings);
                session.is_ours()?;
                session.shared.deployed(session.engine.deployment(), session.engine.previous());
                session.compare_history();
                let rules = session.settings.rules;
                if rules != *session.engine.configured() {
                    session.obey(Command::Rules { rules }, "the config", "its limits were changed")?;
                }
                session
            }
            None => Self::begin(settings, deployment, venue, shared, clock, journal)?,
        };
        session.shade()?;
        session.resolve()?;
        // What was told then is not told again.
        session.engine.have_left();
        session.shared.compare(session.engine.results());
        session.publish(None, None);
        Ok(session)
    }

    fn of(
        engine: Engine,
        journal: Journal,
        venue: V,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self {
            engine,
            journal,
            venue,
            shared,
            clock,
            settings,
            away: None,
            failures: 0,
            unheard: BTreeMap::new(),
            flatten: (Duration::ZERO, FIRST_PAUSE),
            looked: Duration::ZERO,
            waits: false,
        }
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
        journal.append(&Record::Opened(Box::new(opened)), &bars)?;
        let mut session = Self::of(engine, journal, venue, shared, clock, settings);
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
}

/// What the journal that begins with `opened` was decided by at first: `given`, or what lay there then.
fn first(opened: &Opened, given: &Arc<Deployment>) -> Result<Arc<Deployment>, LiveError> {
    if opened.hash == given.hash {
        return Ok(Arc::clone(given));
    }
    Ok(Arc::new(Deployment::load(&opened.artefact)?))
}
