//! What was asked of a terminal, line by line on the disk before it is carried out.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_store::FileError;
use serde::{Deserialize, Serialize};

use crate::words::Request;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When it was asked, by the tape.
    pub(crate) at: UnixNanos,
    /// What.
    pub(crate) request: Request,
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

/// A journal, open for writing.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
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
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(FileError::on("open", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(FileError::on("read", path))?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).map_err(FileError::on("cut", path))?;
        file.seek(SeekFrom::End(0)).map_err(FileError::on("write", path))?;
        let mut journal = Self { file, path: path.to_owned() };
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut lines = text.lines().enumerate();
        let Some((_, head)) = lines.next() else {
            journal.write(&Head { setup: setup.to_owned() })?;
            return Ok((journal, Vec::new()));
        };
        match serde_json::from_str::<Head>(head) {
            Ok(head) if head.setup == setup => {}
            _ => return Err(JournalError::Other { path: path.to_owned() }),
        }
        let read = |(index, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| JournalError::Line {
                path: path.to_owned(),
                line: index + 1,
                reason: e.to_string(),
            })
        };
        let entries = lines.map(read).collect::<Result<Vec<Entry>, _>>()?;
        Ok((journal, entries))
    }

    /// Writes a line through to the disk.
    pub(crate) fn write(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        Ok(written.map_err(FileError::on("write", &self.path))?)
    }
}
