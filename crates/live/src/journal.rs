//! The journal: every input and output of a live loop, each record chained to the last by its hash, durable before anything is sent.
//!
//! SQLite in write-ahead mode with full synchronisation. A record's hash is BLAKE3 over the hash before it, its number, its text and its
//! data, so that a byte that is changed anywhere is found, and named by its record. What a crash cuts off is whole records at the end.

use std::path::{Path, PathBuf};

use cambist_core::Bar;
use cambist_store::{Database, FileError, create_folder};
use sqlx::Row;

use crate::error::LiveError;
use crate::words::Record;

const MIGRATIONS: [&str; 1] =
    ["CREATE TABLE records (seq {int} PRIMARY KEY, body TEXT NOT NULL, data {blob}, hash {blob} NOT NULL)"];
const NAME: &str = "journal.sqlite";
/// What the first record is chained to.
const GENESIS: [u8; 32] = *b"cambist live journal, version 1.";
/// Records that are read at once.
const BATCH: i64 = 1000;
/// Bytes of a bar: its time and seven numbers.
const BAR_BYTES: usize = 64;

/// An open journal, held by one process.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    database: Database,
    last: (i64, [u8; 32]),
    _alone: Option<std::fs::File>,
}

/// A record with what lies beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its number, from 1.
    pub seq: i64,
    /// The record.
    pub record: Record,
    /// Bars beside it.
    pub bars: Vec<Bar>,
}

fn hash_of(previous: &[u8; 32], seq: i64, body: &str, data: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous).update(&seq.to_le_bytes()).update(&(body.len() as u64).to_le_bytes());
    hasher.update(body.as_bytes()).update(data);
    *hasher.finalize().as_bytes()
}

fn bytes_of(bars: &[Bar]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bars.len() * BAR_BYTES);
    for bar in bars {
        let Bar { open_time, open, high, low, close, volume, spread, coverage } = *bar;
        bytes.extend(open_time.0.to_le_bytes());
        [open, high, low, close, volume, spread, coverage]
            .iter()
            .for_each(|value| bytes.extend(value.to_le_bytes()));
    }
    bytes
}

fn bars_of(bytes: &[u8]) -> Vec<Bar> {
    let words = |chunk: &[u8]| -> [[u8; 8]; 8] {
        let mut words = [[0; 8]; 8];
        chunk.chunks_exact(8).zip(&mut words).for_each(|(from, to)| to.copy_from_slice(from));
        words
    };
    let bar = |chunk: &[u8]| {
        let [time, numbers @ ..] = words(chunk);
        let [open, high, low, close, volume, spread, coverage] = numbers.map(f64::from_le_bytes);
        let open_time = cambist_core::UnixNanos(i64::from_le_bytes(time));
        Bar { open_time, open, high, low, close, volume, spread, coverage }
    };
    bytes.chunks_exact(BAR_BYTES).map(bar).collect()
}

impl Journal {
    /// Whether there is one in `folder`.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(NAME).is_file()
    }

    /// Opens the journal in `folder`, or begins one, for one process alone, and gives every record to `each`, in order.
    ///
    /// # Errors
    /// When another process has it, a record is damaged, or `each` refuses one.
    pub fn open(folder: &Path, each: impl FnMut(Kept) -> Result<(), LiveError>) -> Result<Self, LiveError> {
        create_folder(folder)?;
        let lock = folder.join("journal.owner");
        let alone = std::fs::File::create(&lock).map_err(FileError::on("create", &lock))?;
        if alone.try_lock().is_err() {
            return Err(LiveError::Taken(folder.to_owned()));
        }
        Self::with(folder, Some(alone), each)
    }

    /// Reads the journal in `folder`, beside whoever writes it.
    ///
    /// # Errors
    /// When there is none, or a record is damaged.
    pub fn read(folder: &Path, each: impl FnMut(Kept) -> Result<(), LiveError>) -> Result<(), LiveError> {
        if !Self::is_in(folder) {
            return Err(LiveError::NoJournal(folder.to_owned()));
        }
        Self::with(folder, None, each).map(drop)
    }

    /// The first record in `folder` and those of operators, as they are written: who opens the journal verifies it.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn turns(folder: &Path) -> Result<Vec<Record>, LiveError> {
        let database = Database::open(&folder.join(NAME), &MIGRATIONS)?;
        let sql =
            "SELECT body FROM records WHERE seq = 1 OR body LIKE '{\"record\":\"commanded\"%' ORDER BY seq";
        let bodies: Vec<String> = database.run(sqlx::query_scalar(sql).fetch_all(database.pool()))?;
        // One that is damaged is named by who verifies it.
        Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
    }

    fn with(
        folder: &Path,
        alone: Option<std::fs::File>,
        mut each: impl FnMut(Kept) -> Result<(), LiveError>,
    ) -> Result<Self, LiveError> {
        let path = folder.join(NAME);
        let database = Database::open(&path, &MIGRATIONS)?;
        let mut journal = Self { path, database, last: (0, GENESIS), _alone: alone };
        loop {
            let read = journal.after(journal.last.0)?;
            let n = read.len();
            for (seq, body, data, hash) in read {
                each(journal.checked(seq, &body, &data, &hash)?)?;
            }
            if n < BATCH as usize {
                return Ok(journal);
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "a row")]
    fn after(&self, seq: i64) -> Result<Vec<(i64, String, Vec<u8>, Vec<u8>)>, LiveError> {
        let sql = "SELECT seq, body, data, hash FROM records WHERE seq > $1 ORDER BY seq LIMIT $2";
        let read = sqlx::query(sql).bind(seq).bind(BATCH).fetch_all(self.database.pool());
        let damaged = |error: sqlx::Error| self.damaged(seq + 1, error.to_string());
        self.database
            .run(read)
            .map_err(|error| self.damaged(seq + 1, error.to_string()))?
            .iter()
            .map(|row| {
                let data: Option<Vec<u8>> = row.try_get(2).map_err(damaged)?;
                let (number, body) = (row.try_get(0).map_err(damaged)?, row.try_get(1).map_err(damaged)?);
                Ok((number, body, data.unwrap_or_default(), row.try_get(3).map_err(damaged)?))
            })
            .collect()
    }

    fn damaged(&self, seq: i64, reason: String) -> LiveError {
        LiveError::Damaged { path: self.path.clone(), seq, reason }
    }

    fn checked(&mut self, seq: i64, body: &str, data: &[u8], hash: &[u8]) -> Result<Kept, LiveError> {
        let (last, previous) = self.last;
        if seq != last + 1 {
            return Err(self.damaged(last + 1, format!("it is missing; the next one is {seq}")));
        }
        let own = hash_of(&previous, seq, body, data);
        if own != hash {
            return Err(self
                .damaged(seq, "its hash is not that of what it says after the record before it".to_owned()));
        }
        let record = serde_json::from_str(body)
            .map_err(|error| self.damaged(seq, format!("it was written by another version: {error}")))?;
        self.last = (seq, own);
        Ok(Kept { seq, record, bars: bars_of(data) })
    }

    /// Writes a record down, with `bars` beside it; it is durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written: nothing may be sent then.
    pub fn append(&mut self, record: &Record, bars: &[Bar]) -> Result<i64, LiveError> {
        let (last, previous) = self.last;
        let seq = last + 1;
        let body = serde_json::to_string(record).map_err(|error| LiveError::Config(error.to_string()))?;
        let data = bytes_of(bars);
        let hash = hash_of(&previous, seq, &body, &data);
        let beside = (!data.is_empty()).then_some(data);
        let write = sqlx::query("INSERT INTO records (seq, body, data, hash) VALUES ($1, $2, $3, $4)")
            .bind(seq)
            .bind(body)
            .bind(beside)
            .bind(hash.to_vec())
            .execute(self.database.pool());
        self.database.run(write)?;
        self.last = (seq, hash);
        Ok(seq)
    }

    /// Records so far.
    #[must_use]
    pub fn n_records(&self) -> i64 {
        self.last.0
    }

    /// The hash of the last record, hex.
    #[must_use]
    pub fn head(&self) -> String {
        blake3::Hash::from(self.last.1).to_hex().to_string()
    }
}
