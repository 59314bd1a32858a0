//! The data folder: Parquet by venue, symbol, timeframe, content and year, and a catalogue.
//!
//! A data set is written to a folder named after its content, then the catalogue's one row is changed in one
//! transaction, then what it pointed to before is removed. A kill at any moment leaves the old set or the new one. Who
//! writes holds the folder's lock alone, who reads bars shares it, so no two processes sweep each other's files.

mod parquet;

pub(crate) use parquet::write as write_columns;

use std::fs::File;
use std::path::{Path, PathBuf};

use cambist_core::{InstrumentId, MarketTape, PriceSide, Timeframe, UnixNanos, VolumeKind};
use cambist_store::{Database, FileError, create_folder};
use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::check::Report;
use crate::error::DataError;
use crate::synth::Truth;

const MIGRATIONS: &[&str] = &[
    "CREATE TABLE data_set (
    symbol TEXT NOT NULL,
    venue TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (symbol, venue, timeframe)
)",
    "CREATE TABLE seal (
    symbol TEXT NOT NULL,
    venue TEXT NOT NULL,
    from_ns INTEGER NOT NULL,
    PRIMARY KEY (symbol, venue)
)",
];

/// What names a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSetKey {
    /// What is traded.
    pub symbol: InstrumentId,
    /// Where it is traded.
    pub venue: String,
    /// The length of a bar.
    pub timeframe: Timeframe,
}

impl std::fmt::Display for DataSetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.symbol, self.timeframe, self.venue)
    }
}

/// A catalogue entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSet {
    /// Its name.
    pub key: DataSetKey,
    /// Which price its bars are made of.
    pub price_side: PriceSide,
    /// What its volumes count.
    pub volume_kind: VolumeKind,
    /// Number of bars.
    pub n_bars: usize,
    /// Open time of the first bar.
    pub first: UnixNanos,
    /// Open time of the last bar.
    pub last: UnixNanos,
    /// [`MarketTape::fingerprint`].
    pub fingerprint: String,
    /// Where it came from: the command's words.
    pub origin: String,
    /// What the import's checks saw; none for synthetic and resampled bars.
    pub report: Option<Report>,
    /// Whether a `truth.parquet` lies beside the bars.
    pub has_truth: bool,
}

/// A folder of data sets with its catalogue.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    database: Database,
}

impl DataFolder {
    /// Opens or creates the data folder at `root`.
    ///
    /// # Errors
    /// When the folder or its catalogue cannot be opened.
    pub fn open(root: &Path) -> Result<Self, DataError> {
        let database = Database::open(&root.join("catalogue.sqlite"), MIGRATIONS)?;
        Ok(Self { root: root.to_owned(), database })
    }

    /// The open lock file of the folder; what it locks is free again when it is closed, or its process is gone.
    fn lock(&self, take: fn(&File) -> std::io::Result<()>) -> Result<File, DataError> {
        let path = self.root.join("lock");
        let locked = File::create(&path).and_then(|file| take(&file).map(|()| file));
        locked.map_err(|e| FileError::on("lock", &path)(e).into())
    }

    /// Stores `tape` as the data set of its symbol, `venue` and timeframe; in the place of other bars only if `replace`.
    ///
    /// # Errors
    /// When a name cannot be used, or a file or the catalogue cannot be written; the earlier set then stays.
    pub fn put(
        &self,
        tape: &MarketTape,
        venue: &str,
        origin: &str,
        report: Option<Report>,
        truth: Option<&Truth>,
        replace: bool,
    ) -> Result<DataSet, DataError> {
        check_name("symbol", &tape.instrument.0)?;
        check_name("venue", venue)?;
        let (Some(&first), Some(&last)) = (tape.open_time.first(), tape.open_time.last()) else {
            return Err(DataError::NoBars("the tape is empty".into()));
        };
        let symbol = tape.instrument.clone();
        let set = DataSet {
            key: DataSetKey { symbol, venue: venue.to_owned(), timeframe: tape.timeframe },
            price_side: tape.price_side,
            volume_kind: tape.volume_kind,
            n_bars: tape.len(),
            first: UnixNanos(first),
            last: UnixNanos(last),
            fingerprint: tape.fingerprint(),
            origin: origin.to_owned(),
            report,
            has_truth: truth.is_some(),
        };
        let _lock = self.lock(File::lock)?;
        let earlier = self.list()?.into_iter().find(|s| s.key == set.key && s.fingerprint != set.fingerprint);
        if let Some(earlier) = earlier.filter(|_| !replace) {
            let (first, last) = (earlier.first.to_string(), earlier.last.to_string());
            return Err(DataError::Exists {
                key: earlier.key.to_string(),
                n_bars: earlier.n_bars,
                first,
                last,
            });
        }
        let place = self.place(&set);
        create_folder(&place)?;
        parquet::write_years(tape, &place)?;
        if let Some(truth) = truth {
            parquet::write_truth(tape, truth, &place)?;
        }
        self.commit(&set)?;
        self.sweep(&set);
        Ok(set)
    }

    /// The data set called `symbol` with bars of `timeframe`; `venue` may be left out when only one has it.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn find(
        &self,
        symbol: &str,
        venue: Option<&str>,
        timeframe: Timeframe,
    ) -> Result<DataSet, DataError> {
        let all = self.list()?;
        let fits = |s: &&DataSet| {
            s.key.symbol.0 == symbol && s.key.timeframe == timeframe && venue.is_none_or(|v| v == s.key.venue)
        };
        let mut found: Vec<DataSet> = all.iter().filter(fits).cloned().collect();
        let wanted = match venue {
            Some(venue) => format!("{symbol} {timeframe} ({venue})"),
            None => format!("{symbol} {timeframe}"),
        };
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => {
                let known = all.iter().map(|s| s.key.to_string()).collect();
                Err(DataError::NoSuchSet { wanted, folder: self.root.clone(), known })
            }
            _ => {
                Err(DataError::Ambiguous { wanted, venues: found.into_iter().map(|s| s.key.venue).collect() })
            }
        }
    }

    /// The bars of [`DataFolder::find`], checked against its fingerprint: what is found cannot be replaced before it is read.
    ///
    /// # Errors
    /// When there is no such set, or a file cannot be read, or the bars are not those that were stored.
    pub fn read(
        &self,
        symbol: &str,
        venue: Option<&str>,
        timeframe: Timeframe,
    ) -> Result<(DataSet, MarketTape), DataError> {
        let (set, mut tape) = self.read_opened(symbol, venue, timeframe)?;
        let Some(from) = self.sealed_from(symbol, &set.key.venue)? else { return Ok((set, tape)) };
        let open = tape.open_time.partition_point(|&t| t < from.0);
        if open == 0 {
            return Err(DataError::AllSealed { set: set.key.to_string(), from });
        }
        tape.truncate(open);
        Ok((set, tape))
    }

    /// The same with the rows that are sealed: for what records an opening first, and nothing else.
    ///
    /// # Errors
    /// As [`DataFolder::read`].
    pub fn read_opened(
        &self,
        symbol: &str,
        venue: Option<&str>,
        timeframe: Timeframe,
    ) -> Result<(DataSet, MarketTape), DataError> {
        let _lock = self.lock(File::lock_shared)?;
        let set = self.find(symbol, venue, timeframe)?;
        let tape = self.load(&set)?;
        Ok((set, tape))
    }

    /// Seals the rows of an instrument, of every timeframe and every import to come, from `from` on. A seal may be moved to an earlier
    /// day, never to a later one.
    ///
    /// # Errors
    /// When nothing of that name was imported, it is sealed from an earlier day, or the catalogue cannot be written.
    pub fn seal(&self, symbol: &str, venue: &str, from: UnixNanos) -> Result<(), DataError> {
        if !self.list()?.iter().any(|set| set.key.symbol.0 == symbol && set.key.venue == venue) {
            return Err(DataError::NothingToSeal { set: format!("{symbol} ({venue})") });
        }
        if let Some(already) = self.sealed_from(symbol, venue)?.filter(|already| *already < from) {
            return Err(DataError::SealedAlready { set: format!("{symbol} ({venue})"), from: already });
        }
        let query = sqlx::query(
            "INSERT INTO seal (symbol, venue, from_ns) VALUES ($1, $2, $3)
             ON CONFLICT (symbol, venue) DO UPDATE SET from_ns = excluded.from_ns",
        );
        let query = query.bind(symbol).bind(venue).bind(from.0);
        self.database.run(query.execute(self.database.pool()))?;
        Ok(())
    }

    /// From when on the rows of an instrument are sealed, if they are.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub fn sealed_from(&self, symbol: &str, venue: &str) -> Result<Option<UnixNanos>, DataError> {
        let query = sqlx::query_scalar("SELECT from_ns FROM seal WHERE symbol = $1 AND venue = $2");
        let query = query.bind(symbol).bind(venue);
        let from: Option<i64> = self.database.run(query.fetch_optional(self.database.pool()))?;
        Ok(from.map(UnixNanos))
    }

    /// Reads the bars of `set` and checks them against its fingerprint.
    fn load(&self, set: &DataSet) -> Result<MarketTape, DataError> {
        let place = self.place(set);
        let key = &set.key;
        let mut tape = MarketTape::empty(key.symbol.clone(), key.timeframe, set.price_side, set.volume_kind);
        tape.reserve(set.n_bars);
        parquet::read_years(&place, &mut tape)?;
        let found = tape.fingerprint();
        if found != set.fingerprint {
            return Err(DataError::Damaged { folder: place, found, wanted: set.fingerprint.clone() });
        }
        Ok(tape)
    }

    /// All data sets, by symbol, venue and timeframe.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    pub fn list(&self) -> Result<Vec<DataSet>, DataError> {
        let query = sqlx::query("SELECT symbol, entry FROM data_set ORDER BY symbol, venue, timeframe");
        let rows = self.database.run(query.fetch_all(self.database.pool()))?;
        let mut sets = Vec::with_capacity(rows.len());
        for row in rows {
            let (symbol, entry): (String, String) = (row.get(0), row.get(1));
            sets.push(serde_json::from_str(&entry).map_err(|e| DataError::BadEntry(symbol, e.to_string()))?);
        }
        Ok(sets)
    }

    /// Where the Parquet files of `set` lie.
    #[must_use]
    pub fn place(&self, set: &DataSet) -> PathBuf {
        let short = set.fingerprint.get(..16).unwrap_or(&set.fingerprint);
        self.series(set).join(short)
    }

    fn series(&self, set: &DataSet) -> PathBuf {
        self.root.join(&set.key.venue).join(&set.key.symbol.0).join(set.key.timeframe.to_string())
    }

    fn commit(&self, set: &DataSet) -> Result<(), DataError> {
        let entry = serde_json::to_string(set)
            .map_err(|e| DataError::BadEntry(set.key.to_string(), e.to_string()))?;
        let query = sqlx::query(
            "INSERT INTO data_set (symbol, venue, timeframe, fingerprint, entry) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (symbol, venue, timeframe) DO UPDATE SET fingerprint = excluded.fingerprint, entry = excluded.entry",
        )
        .bind(&set.key.symbol.0)
        .bind(&set.key.venue)
        .bind(set.key.timeframe.to_string())
        .bind(&set.fingerprint)
        .bind(entry);
        self.database.run(query.execute(self.database.pool()))?;
        Ok(())
    }

    /// Removes what earlier or interrupted imports of the series left; failing to is harmless.
    fn sweep(&self, set: &DataSet) {
        let keep = self.place(set);
        let Ok(entries) = std::fs::read_dir(self.series(set)) else { return };
        for path in entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| *p != keep) {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), DataError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(DataError::BadName { what, name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::synth::{SynthKind, SynthRequest, synthesize};

    /// Eight imports of other bars under one name, at once: whichever came last is there whole, and it alone.
    #[test]
    fn imports_at_once_leave_one_whole_set() {
        let folder = tempfile::tempdir().unwrap();
        let import = |seed: u64| {
            let request = SynthRequest {
                kind: SynthKind::RegimeSwitching,
                instrument: InstrumentId("X".into()),
                timeframe: Timeframe::HOUR,
                n_bars: 20_000,
                start: UnixNanos::parse("2020-01-01").unwrap(),
                price: 100.0,
                seed,
            };
            let (tape, truth) = synthesize(&request).unwrap();
            let data = DataFolder::open(folder.path()).unwrap();
            data.put(&tape, "venue", "a test", None, Some(&truth), true).unwrap();
            // Whose bars they are by now is open; they are whole.
            assert_eq!(data.read("X", None, Timeframe::HOUR).unwrap().1.len(), 20_000);
        };
        DataFolder::open(folder.path()).unwrap();
        std::thread::scope(|scope| (0..8).for_each(|seed| drop(scope.spawn(move || import(seed)))));
        let data = DataFolder::open(folder.path()).unwrap();
        let set = data.find("X", None, Timeframe::HOUR).unwrap();
        assert_eq!(data.load(&set).unwrap().len(), 20_000);
        assert_eq!(std::fs::read_dir(data.series(&set)).unwrap().count(), 1);
    }
}
