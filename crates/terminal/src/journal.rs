//! What was asked of a terminal, line by line on the disk before it is carried out.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_store::FileError;
use serde::{Deserialize, Serialize};

use crate::words::Request;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A request that may change something.
    Request(Request),
    /// Time has come to here.
    Now(UnixNanos),
}

/// The head of a journal: the terminal it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Fingerprint of rules, bars and first balance.
    pub(crate) setup: String,
}

/// A journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is of another terminal.
    #[error(
        "the journal {} is of another terminal (other bars, rules, balance or start): delete it, or name another", path.display()
    )]
    Other {
        /// Which file.
        path: PathBuf,
    },
    /// It is no journal.
    #[error("{} is no journal of a terminal: nothing was changed in it; name another file", path.display())]
    NoJournal {
        /// Which file.
        path: PathBuf,
    },
    /// Somebody else writes it.
    #[error("the journal {} is in use by another terminal: stop that one, or name another file", path.display())]
    Busy {
        /// Which file.
        path: PathBuf,
    },
    /// A line could not be written, and what is in the file since is not known.
    #[error("the journal {} could not be written before: begin the terminal again", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
    },
    /// A line in the middle is no entry.
    #[error("line {line} of the journal {} is no entry: {reason}; it was changed by someone else", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A journal, open for writing, by one terminal at a time.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    length: u64,
    broken: bool,
}

impl Journal {
    /// Opens or begins the journal at `path` of the terminal whose fingerprint is `setup`, and returns what is in it. A last
    /// line without its end was never answered, and is cut off.
    pub(crate) fn open(path: &Path, setup: &str) -> Result<(Self, Vec<Entry>), JournalError> {
        if let Some(parent) = path.parent() {
            cambist_store::create_folder(parent)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .map_err(FileError::on("open", path))?;
        if file.try_lock().is_err() {
            return Err(JournalError::Busy { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(FileError::on("read", path))?;
        let mut journal = Self { file, path: path.to_owned(), length: bytes.len() as u64, broken: false };
        if bytes.is_empty() {
            journal.write(&Head { setup: setup.to_owned() })?;
            return Ok((journal, Vec::new()));
        }
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut lines = text.lines().enumerate();
        let head = lines.next().and_then(|(_, line)| serde_json::from_str::<Head>(line).ok());
        match head {
            None => return Err(JournalError::NoJournal { path: path.to_owned() }),
            Some(head) if head.setup != setup => return Err(JournalError::Other { path: path.to_owned() }),
            Some(_) => {}
        }
        let read = |(index, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| JournalError::Line {
                path: path.to_owned(),
                line: index + 1,
                reason: e.to_string(),
            })
        };
        let entries = lines.map(read).collect::<Result<Vec<Entry>, _>>()?;
        journal.cut(whole as u64)?;
        Ok((journal, entries))
    }

    fn cut(&mut self, length: u64) -> Result<(), JournalError> {
        self.file.set_len(length).map_err(FileError::on("cut", &self.path))?;
        self.length = length;
        Ok(())
    }

    /// Writes a line through to the disk. What fails is taken back; if that is not certain, nothing is written any more.
    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        if self.broken {
            return Err(JournalError::Broken { path: self.path.clone() });
        }
        let mut text = serde_json::to_string(line).map_err(|e| JournalError::Line {
            path: self.path.clone(),
            line: 0,
            reason: e.to_string(),
        })?;
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // A line that may or may not be on the disk may or may not be lived through again.
            self.broken = true;
            let _ = self.cut(self.length);
            return Err(FileError::on("write", &self.path)(error).into());
        }
        self.length += text.len() as u64;
        Ok(())
    }
}
