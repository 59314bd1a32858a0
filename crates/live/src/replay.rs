//! A journal lived through again from its inputs alone: bars, accounts, outcomes, commands and the clock's stamps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::deployment::Deployment;
use crate::engine::{Difference, Engine};
use crate::error::LiveError;
use crate::journal::{Journal, Kept};
use crate::words::{Command, Finding, Opened, Record};

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replayed {
    /// Records.
    pub records: i64,
    /// Bars decided on.
    pub decisions: u64,
    /// Orders.
    pub orders: u64,
    /// Fills the books were told of.
    pub fills: u64,
    /// Where what is decided now is not what is written: record, and what differs.
    pub differences: Vec<(i64, Difference)>,
    /// Balance and signed lot steps at the end.
    pub books: (f64, i64),
}

/// Lets `engine` hear a record again, and says where it decides otherwise; the journal's first record makes the engine, of what `first` says.
///
/// # Errors
/// When the record cannot be followed.
pub(crate) fn live_through(
    engine: &mut Option<Engine>,
    kept: &Kept,
    first: impl FnOnce(&Opened) -> Result<Arc<Deployment>, LiveError>,
) -> Result<Vec<Difference>, LiveError> {
    match (engine.as_mut(), &kept.record) {
        (None, Record::Opened(opened)) => {
            let mut begun = Engine::new(opened.as_ref().clone(), first(opened)?)?;
            kept.bars.iter().try_for_each(|bar| begun.see(bar))?;
            *engine = Some(begun);
            Ok(Vec::new())
        }
        (None, _) => Err(LiveError::Config("the journal does not begin with what it is of".to_owned())),
        (Some(engine), record) => engine.replay(record),
    }
}

/// Where the artefacts of the journal in `folder` lie: the one that it began with, and the one that decides after every swap. None where
/// there is no journal yet.
///
/// # Errors
/// When the journal cannot be read.
pub fn artefacts(folder: &Path) -> Result<Option<[PathBuf; 2]>, LiveError> {
    let mut found: Option<[PathBuf; 2]> = None;
    if Journal::is_in(folder) {
        for record in Journal::turns(folder)? {
            match (record, &mut found) {
                (Record::Opened(opened), _) => found = Some([opened.artefact.clone(), opened.artefact]),
                (Record::Commanded { command: Command::Swap { folder, .. }, .. }, Some([_, last])) => {
                    *last = folder
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Lives through the journal in `folder`, and compares. The artefact is where it was, or in `artefact`.
///
/// # Errors
/// When the journal is damaged, or its artefact is not there.
pub fn replay(folder: &Path, artefact: Option<&Path>) -> Result<Replayed, LiveError> {
    let mut engine: Option<Engine> = None;
    let mut found = Replayed::default();
    Journal::read(folder, |kept| {
        found.records = kept.seq;
        let of_fill = |finding: &&Finding| matches!(finding, Finding::Fill { .. });
        match &kept.record {
            Record::Step { decision, findings, .. } => {
                found.decisions += 1;
                found.orders += decision.intents.len() as u64;
                found.fills += findings.iter().filter(of_fill).count() as u64;
            }
            Record::Flatten { intents, findings, .. } => {
                found.orders += intents.len() as u64;
                found.fills += findings.iter().filter(of_fill).count() as u64;
            }
            _ => {}
        }
        let load = |opened: &Opened| Ok(Arc::new(Deployment::load(artefact.unwrap_or(&opened.artefact))?));
        let differences = live_through(&mut engine, &kept, load)?;
        found.differences.extend(differences.into_iter().map(|difference| (kept.seq, difference)));
        found.books = engine.as_ref().map_or((0.0, 0), Engine::books);
        Ok(())
    })?;
    Ok(found)
}
