//! From files to one checked tape.
//!
//! The files of one import are read in the order of their names as given, each in its own form, and checked as one
//! series.

mod columns;
mod form;
mod table;
mod time;

use std::path::{Path, PathBuf};

use cambist_core::{InstrumentId, MarketTape, Timeframe};

use crate::check::{self, Choices, Report};
use crate::error::DataError;

pub use form::Form;
pub use time::Zone;

/// What is to be imported, and how.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// CSV and Parquet files; a folder stands for the files in it.
    pub paths: Vec<PathBuf>,
    /// What is traded.
    pub instrument: InstrumentId,
    /// The length of a bar.
    pub timeframe: Timeframe,
    /// The zone of stamps that name none; `None` is UTC, but for MT5 exports, which must name theirs.
    pub zone: Option<String>,
    /// What happens to faults.
    pub choices: Choices,
}

/// Rows as read, before any check.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawBars {
    /// Open times, UTC nanoseconds.
    pub open_time: Vec<i64>,
    /// Open, high, low, close.
    pub prices: [Vec<f64>; 4],
    /// Volume; zero when the source has none.
    pub volume: Vec<f64>,
    /// Whether the source has volumes; `None` before the first file.
    pub has_volume: Option<bool>,
    /// Ask minus bid at the open, in price; empty when the source has none.
    pub spread: Vec<f64>,
    /// Where each file's rows begin: first row, first data line in the file, path.
    pub sources: Vec<(usize, usize, PathBuf)>,
}

impl RawBars {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open_time.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open_time.is_empty()
    }

    /// File and line (or row, for Parquet, from 1) of a row.
    #[must_use]
    pub fn place(&self, row: usize) -> String {
        let source = self.sources.iter().rev().find(|(first, _, _)| *first <= row);
        source.map_or_else(
            || format!("row {}", row + 1),
            |(first, line, path)| format!("{}:{}", path.display(), row - first + line),
        )
    }
}

/// Reads, checks, and makes one tape with its report.
///
/// # Errors
/// When a file is missing or unreadable, a value cannot be read, or a check that is set to `fail` finds a fault.
pub fn import(request: &ImportRequest) -> Result<(MarketTape, Report), DataError> {
    let mut raw = RawBars::default();
    let mut kind = None;
    for path in expand(&request.paths)? {
        let table = table::read(&path)?;
        let form = form::detect(&table, &path)?;
        let zone = match (&request.zone, form) {
            (None, Form::Mt5) => return Err(DataError::ZoneNeeded(path)),
            (None, _) => Zone::utc(),
            (Some(name), _) => Zone::named(name)?,
        };
        let meaning = form.meaning();
        if *kind.get_or_insert(meaning) != meaning {
            return Err(DataError::Refused(format!(
                "{} holds {:?} prices with {:?} volume, the files before it {:?}: import them apart",
                path.display(),
                meaning.0,
                meaning.1,
                kind
            )));
        }
        columns::append(&table, form, zone, &path, &mut raw)?;
    }
    let Some((price_side, mut volume_kind)) = kind else {
        return Err(DataError::NoBars("no file was given".into()));
    };
    if raw.has_volume == Some(false) {
        volume_kind = cambist_core::VolumeKind::None;
    }
    let mut tape = MarketTape::empty(request.instrument.clone(), request.timeframe, price_side, volume_kind);
    let report = check::screen(raw, &request.choices, &mut tape)?;
    Ok((tape, report))
}

fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
                .map_err(cambist_store::FileError::on("list", path))?
                .filter_map(|entry| entry.ok().map(|e| e.path()))
                .filter(|p| matches!(extension(p).as_str(), "csv" | "txt" | "parquet"))
                .collect();
            inside.sort();
            files.append(&mut inside);
        } else if path.is_file() {
            files.push(path.clone());
        } else {
            return Err(DataError::Missing(path.clone()));
        }
    }
    Ok(files)
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}
