//! The journal: every input and output of a live loop, each record chained to the last by its hash, durable before anything is sent.
//!
//! SQLite in write-ahead mode with full synchronisation. A record's hash is BLAKE3 over the hash before it, its number, its text and its
//! data, so that a byte of a record that is changed is found, and named by its record. A chain does not know its own end: the number and
//! the hash of the last record lie in `journal.head` as well, written when the record is durable, so that an end that is lost is missed.
//! What a crash cuts off before that is no more than the record that was being written, of which nothing was sent.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use cambist_core::Bar;
use cambist_store::{Database, FileError, create_folder};
use sqlx::Row;

use crate::error::LiveError;
use crate::words::Record;

const MIGRATIONS: [&str; 1] =
    ["CREATE TABLE records (seq {int} PRIMARY KEY, body TEXT NOT NULL, data {blob}, hash {blob} NOT NULL)"];
const NAME: &str = "journal.sqlite";
const HEAD: &str = "journal.head";
/// What the first record is chained to.
const GENESIS: [u8; 32] = *b"cambist live journal, version 1.";
/// Times that a head is read until it is whole.
const READS: usize = 3;
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
    /// Of who writes: the file of the head, and the lock.
    own: Option<(std::fs::File, std::fs::File)>,
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

/// What `journal.head` says of the last record: number, hash, and a check of both.
fn head_line(seq: i64, hash: &[u8; 32]) -> String {
    let said = format!("{seq:020} {}", blake3::Hash::from(*hash).to_hex());
    let check = blake3::hash(said.as_bytes()).to_hex();
    format!("{said} {}\n", check.get(..16).unwrap_or_default())
}

/// Number and hash of the last record that was durable, by the file at `path`; none where there is none, or nothing in it, as a machine may
/// leave it that lost its power. Beside somebody who writes, it is read until it is whole.
fn head_of(path: &Path) -> Result<Option<(i64, [u8; 32])>, LiveError> {
    for _ in 0..READS {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => String::from_utf8_lossy(&read.map_err(FileError::on("read", path))?).into_owned(),
        };
        if text.trim_matches('\0').is_empty() {
            return Ok(None);
        }
        let mut words = text.split(' ');
        let parsed = words
            .next()
            .and_then(|seq| seq.parse().ok())
            .zip(words.next().and_then(|hash| blake3::Hash::from_hex(hash).ok()));
        if let Some((seq, hash)) = parsed.filter(|(seq, hash)| head_line(*seq, hash.as_bytes()) == text) {
            return Ok(Some((seq, *hash.as_bytes())));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    Err(LiveError::Config(format!(
        "{} is damaged, which remembers the journal's last record: verify a copy of the folder without it (`cambist live replay`), see that its last \
         record is the last that the log tells of, and remove it",
        path.display()
    )))
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
        let (path, head) = (folder.join(NAME), folder.join(HEAD));
        // Before the records: who writes beside us is ahead of it, never behind.
        let written = head_of(&head)?;
        let database = Database::open(&path, &MIGRATIONS)?;
        let mut journal = Self { path, database, last: (0, GENESIS), own: None };
        loop {
            // In a page that cannot be read lie records of which only one by one is known which is lost.
            let read = journal.after(BATCH).or_else(|_| journal.after(1))?;
            if read.is_empty() {
                break;
            }
            for (seq, body, data, hash) in read {
                let kept = journal.checked(seq, &body, &data, &hash)?;
                if written.is_some_and(|written| written.0 == seq && written.1 != journal.last.1) {
                    return Err(journal.damaged(seq, format!("it is not the one that {HEAD} remembers")));
                }
                each(kept)?;
            }
        }
        let last = journal.last.0;
        if let Some((n, _)) = written.filter(|(n, _)| *n > last) {
            let reason =
                format!("it is gone: {n} records were durable, as {HEAD} remembers, and {last} are here");
            return Err(journal.damaged(last + 1, reason));
        }
        if let Some(alone) = alone {
            let open = std::fs::File::options().write(true).create(true).truncate(false).open(&head);
            journal.own = Some((open.map_err(FileError::on("open", &head))?, alone));
            journal.remember()?;
        }
        Ok(journal)
    }

    /// Writes down which record is the last, over what was there.
    fn remember(&mut self) -> Result<(), LiveError> {
        let (seq, hash) = self.last;
        let Some((file, _)) = self.own.as_mut().filter(|_| seq > 0) else { return Ok(()) };
        let write =
            file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(head_line(seq, &hash).as_bytes()));
        write.map_err(FileError::on("write", &self.path.with_file_name(HEAD))).map_err(LiveError::Head)
    }

    #[expect(clippy::type_complexity, reason = "a row")]
    fn after(&self, n: i64) -> Result<Vec<(i64, String, Vec<u8>, Vec<u8>)>, LiveError> {
        let seq = self.last.0;
        let sql = "SELECT seq, body, data, hash FROM records WHERE seq > $1 ORDER BY seq LIMIT $2";
        let read = sqlx::query(sql).bind(seq).bind(n).fetch_all(self.database.pool());
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
        self.remember()?;
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
