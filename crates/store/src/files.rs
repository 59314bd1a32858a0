//! Files and folders that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What failed on which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried, as a verb.
    pub action: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`: `FileError::on("read", path)`.
    pub fn on(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

/// Creates `path` and its parents.
///
/// # Errors
/// When a folder cannot be made.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(FileError::on("create the folder", path))
}

/// Writes what `fill` writes to a new file beside `path`, flushes it to the disk, and renames it to `path`.
///
/// # Errors
/// When anything fails; `path` is then as it was before.
pub fn write_atomic<F>(path: &Path, fill: F) -> Result<(), FileError>
where
    F: FnOnce(&mut File) -> io::Result<()>,
{
    if let Some(parent) = path.parent() {
        create_folder(parent)?;
    }
    let temporary = beside(path, "tmp");
    let written = File::create(&temporary).and_then(|mut file| {
        fill(&mut file)?;
        file.flush()?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        // The first error is the one to report; a left-over temporary file is harmless.
        let _ = fs::remove_file(&temporary);
    }
    renamed.map_err(FileError::on("write", path))?;
    sync_folder(path.parent())
}

/// Puts the finished folder `from` in the place of `to`: what stood there before is moved aside first and removed last.
///
/// # Errors
/// When a rename fails; `to` is then as it was before.
pub fn replace_folder(from: &Path, to: &Path) -> Result<(), FileError> {
    let aside = beside(to, "old");
    let _ = fs::remove_dir_all(&aside);
    let had_one = to.exists();
    if had_one {
        fs::rename(to, &aside).map_err(FileError::on("move aside", to))?;
    }
    if let Err(error) = fs::rename(from, to) {
        if had_one {
            let _ = fs::rename(&aside, to);
        }
        return Err(FileError::on("move into place", to)(error));
    }
    sync_folder(to.parent())?;
    if had_one {
        fs::remove_dir_all(&aside).map_err(FileError::on("remove", &aside))?;
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{suffix}", std::process::id()));
    path.with_file_name(name)
}

fn sync_folder(folder: Option<&Path>) -> Result<(), FileError> {
    let Some(folder) = folder.filter(|f| !f.as_os_str().is_empty()) else { return Ok(()) };
    File::open(folder).and_then(|f| f.sync_all()).map_err(FileError::on("flush", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write_atomic(&path, |f| f.write_all(b"old")).unwrap();
        let failed = write_atomic(&path, |f| {
            f.write_all(b"ne")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("new"), folder.path().join("place"));
        for (path, text) in [(&from, "new"), (&to, "old")] {
            write_atomic(&path.join("x"), |f| f.write_all(text.as_bytes())).unwrap();
        }
        replace_folder(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("x")).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
