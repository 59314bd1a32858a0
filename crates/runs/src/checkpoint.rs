//! Checkpoints: what a training needs to go on, in files that are there whole or not at all.
//!
//! A file is a line of magic, the BLAKE3 hash of the rest, and the rest. It is written beside its place, flushed to the disk and
//! renamed ([`cambist_store::write_atomic`]); the last few are kept, and the one at which validation was best.

use std::path::{Path, PathBuf};

use cambist_store::{FileError, write_atomic};

use crate::error::RunError;

const MAGIC: &[u8] = b"cambist-checkpoint-3\n";
const HASH: usize = blake3::OUT_LEN;
const BEST: &str = "best.checkpoint";

/// The checkpoints of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

/// A checkpoint that was read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// What was saved.
    pub content: Vec<u8>,
    /// Newer ones that cannot be used, and why.
    pub damaged: Vec<(PathBuf, String)>,
}

impl Checkpoints {
    /// Those in `run`, of which the last `keep` are kept; at least one.
    #[must_use]
    pub fn of(run: &Path, keep: usize) -> Self {
        Self { folder: run.join("checkpoints"), keep: keep.max(1) }
    }

    /// Saves `content` as the `number`th checkpoint, and as the best one too when it is; removes those that are too old.
    ///
    /// # Errors
    /// When a file cannot be written: all earlier checkpoints are then still there.
    pub fn save(&self, number: u64, content: &[u8], best: bool) -> Result<PathBuf, RunError> {
        let hash = blake3::hash(content);
        let write = |path: &Path| {
            write_atomic(path, |file| {
                for part in [MAGIC, hash.as_bytes(), content] {
                    std::io::Write::write_all(file, part)?;
                }
                Ok(())
            })
        };
        let path = self.folder.join(format!("{number:010}.checkpoint"));
        write(&path)?;
        if best {
            write(&self.folder.join(BEST))?;
        }
        // Left-over temporary files of a process that died while it wrote are swept too.
        for (place, old) in self.numbered().iter().rev().enumerate() {
            if place >= self.keep {
                std::fs::remove_file(old).map_err(FileError::on("remove", old))?;
            }
        }
        self.sweep();
        Ok(path)
    }

    /// The newest checkpoint that is whole, or none when none was ever written.
    ///
    /// # Errors
    /// When there are checkpoints, and all are damaged.
    pub fn newest(&self) -> Result<Option<Found>, RunError> {
        let mut damaged = Vec::new();
        let mut paths = self.numbered();
        paths.reverse();
        paths.extend(Some(self.folder.join(BEST)).filter(|best| best.is_file()));
        for path in paths {
            match read(&path) {
                Ok(content) => return Ok(Some(Found { path, content, damaged })),
                Err(reason) => damaged.push((path, reason)),
            }
        }
        if damaged.is_empty() { Ok(None) } else { Err(RunError::NoCheckpoint { damaged }) }
    }

    /// Files with numbers, oldest first.
    fn numbered(&self) -> Vec<PathBuf> {
        let is_numbered = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.strip_suffix(".checkpoint").is_some_and(|stem| stem.bytes().all(|b| b.is_ascii_digit()))
        };
        let mut paths: Vec<PathBuf> = self.files().into_iter().filter(is_numbered).collect();
        paths.sort();
        paths
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path()).collect()
    }

    fn sweep(&self) {
        let left_over = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "tmp");
        for path in self.files().iter().filter(left_over) {
            // Harmless where it stays.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    if !bytes.starts_with(MAGIC) {
        return Err("it does not begin as a checkpoint of this version does".to_owned());
    }
    let rest = bytes.split_off(MAGIC.len());
    let (hash, content) =
        rest.split_at_checked(HASH).ok_or_else(|| format!("it ends after {} bytes", rest.len()))?;
    let found = blake3::hash(content);
    if found.as_bytes()[..] != *hash {
        return Err(format!("its content has the hash {}, not the one written with it", found.to_hex()));
    }
    Ok(content.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_and_the_best_are_kept_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of(folder.path(), 2);
        assert_eq!(checkpoints.newest().unwrap(), None);
        for number in 1..=4u64 {
            checkpoints.save(number, &number.to_le_bytes(), number == 2).unwrap();
        }
        let names = |paths: Vec<PathBuf>| {
            let mut names: Vec<String> =
                paths.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        let all = names(checkpoints.files());
        assert_eq!(all, ["0000000003.checkpoint", "0000000004.checkpoint", "best.checkpoint"]);
        assert_eq!(checkpoints.newest().unwrap().unwrap().content, 4u64.to_le_bytes());
        // Every byte of the newest matters: the one before is used, and the newest named.
        let newest = checkpoints.folder.join("0000000004.checkpoint");
        let whole = std::fs::read(&newest).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&newest, bytes).unwrap();
            let found = checkpoints.newest().unwrap().unwrap();
            assert_eq!(found.content, 3u64.to_le_bytes());
            assert_eq!(found.damaged[0].0, newest);
        }
        for length in 0..whole.len() {
            std::fs::write(&newest, &whole[..length]).unwrap();
            assert_eq!(checkpoints.newest().unwrap().unwrap().content, 3u64.to_le_bytes());
        }
        std::fs::write(checkpoints.folder.join("0000000003.checkpoint"), b"").unwrap();
        assert_eq!(checkpoints.newest().unwrap().unwrap().content, 2u64.to_le_bytes(), "the best");
        std::fs::write(checkpoints.folder.join(BEST), b"").unwrap();
        let error = checkpoints.newest().unwrap_err().to_string();
        assert!(error.contains("0000000004") && error.contains("best"), "{error}");
    }
}
