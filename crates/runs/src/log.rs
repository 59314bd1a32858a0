//! What happened in a run: a JSON object a line, in a file that is compressed and begun anew when it grows too long.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_store::{FileError, write_atomic};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::error::RunError;

const NAME: &str = "log.jsonl";
/// Bytes from which a log is compressed and begun anew.
const LONGEST: u64 = 4 << 20;

/// Appends an event to the log in `folder`.
///
/// # Errors
/// When a file cannot be written; no line is lost.
pub fn append(
    folder: &Path,
    now: UnixNanos,
    event: &str,
    details: &serde_json::Value,
) -> Result<(), RunError> {
    append_within(folder, now, event, details, LONGEST)
}

fn append_within(
    folder: &Path,
    now: UnixNanos,
    event: &str,
    details: &serde_json::Value,
    longest: u64,
) -> Result<(), RunError> {
    let path = folder.join(NAME);
    if std::fs::metadata(&path).is_ok_and(|m| m.len() >= longest) {
        rotate(folder, &path)?;
    }
    let line = serde_json::json!({ "time": now.to_string(), "event": event, "details": details });
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(FileError::on("open", &path))?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(FileError::on("write", &path))?;
    Ok(())
}

/// Compresses the log under the next number, and begins it anew.
fn rotate(folder: &Path, path: &Path) -> Result<(), RunError> {
    let text = std::fs::read(path).map_err(FileError::on("read", path))?;
    let next = folder.join(format!("log.{:04}.jsonl.gz", rotated(folder).len() + 1));
    write_atomic(&next, |file| {
        let mut gzip = GzEncoder::new(file, Compression::default());
        gzip.write_all(&text)?;
        gzip.finish().map(drop)
    })?;
    std::fs::remove_file(path).map_err(FileError::on("remove", path))?;
    Ok(())
}

/// Compressed logs, oldest first.
fn rotated(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    paths.retain(|p| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("log.") && name.ends_with(".jsonl.gz")
    });
    paths.sort();
    paths
}

/// All lines of the log in `folder`, oldest first.
///
/// # Errors
/// When a file cannot be read.
pub fn lines(folder: &Path) -> Result<Vec<String>, RunError> {
    let mut text = String::new();
    for path in rotated(folder) {
        let file = std::fs::File::open(&path).map_err(FileError::on("open", &path))?;
        GzDecoder::new(file).read_to_string(&mut text).map_err(FileError::on("read", &path))?;
    }
    let path = folder.join(NAME);
    if path.is_file() {
        text += &std::fs::read_to_string(&path).map_err(FileError::on("read", &path))?;
    }
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_compressed_and_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for n in 0..200 {
            append_within(path, UnixNanos(n), "step", &serde_json::json!({ "n": n }), 1000).unwrap();
        }
        assert!(rotated(path).len() > 5);
        let all = lines(path).unwrap();
        assert_eq!(all.len(), 200);
        for (n, line) in all.iter().enumerate() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["details"]["n"], n);
        }
        // Any gunzip reads it.
        let first = std::process::Command::new("gzip").arg("-dc").arg(&rotated(path)[0]).output().unwrap();
        assert!(first.stdout.starts_with(all[0].as_bytes()));
    }
}
