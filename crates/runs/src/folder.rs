//! A run is a folder.

use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_store::{FileError, create_folder, write_atomic};

use crate::error::RunError;

/// The folder of one run: `config.toml`, `log.jsonl`, `metrics.jsonl`, TensorBoard events, `artefact/`, `report.html`,
/// `report.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A new folder in `root`, named after `now` and `name`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(root: &Path, name: &str, now: UnixNanos) -> Result<Self, RunError> {
        create_folder(root)?;
        let stamp = now.civil().format("%Y%m%d-%H%M%S").to_string();
        let mut attempt = 0;
        loop {
            let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let path = root.join(format!("{stamp}-{name}{suffix}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && attempt < 1000 => attempt += 1,
                Err(e) => return Err(FileError::on("create the folder", &path)(e).into()),
            }
        }
    }

    /// The run called `wanted`: a path, a name in `root`, the beginning of one name alone, or `latest`.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(root: &Path, wanted: &str) -> Result<Self, RunError> {
        let names = Self::list(root);
        let is_run = |path: &Path| path.join("config.toml").is_file();
        let by_path = PathBuf::from(wanted);
        if is_run(&by_path) {
            return Ok(Self { path: by_path });
        }
        // An empty name is a mistake, not the beginning of all.
        let fitting: Vec<&String> =
            names.iter().filter(|n| !wanted.is_empty() && n.starts_with(wanted)).collect();
        let name = match (wanted, fitting.as_slice()) {
            ("latest", _) => {
                names.iter().rev().find(|n| root.join(n).join("artefact/artefact.json").is_file())
            }
            (_, [one]) => Some(*one),
            (_, several) => several.iter().copied().find(|n| *n == wanted),
        };
        match name {
            Some(name) => Ok(Self { path: root.join(name) }),
            None => {
                let known = names.iter().rev().take(3).cloned().collect();
                Err(RunError::NoSuchRun { wanted: wanted.to_owned(), root: root.to_owned(), known })
            }
        }
    }

    /// Names of the runs in `root`, oldest first.
    #[must_use]
    pub fn list(root: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<String> = entries
            .filter(|e| e.path().join("config.toml").is_file())
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of runs it lies in.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Holds the run for this process alone, until what is returned is dropped or the process is gone.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn lock(&self) -> Result<std::fs::File, RunError> {
        let path = self.path.join("lock");
        let file = std::fs::File::create(&path).map_err(FileError::on("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(_) => Err(RunError::Held(self.name())),
        }
    }

    /// Where the artefact lies.
    #[must_use]
    pub fn artefact(&self) -> PathBuf {
        self.path.join("artefact")
    }

    /// Appends what happened to `log.jsonl`, with the time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn log(&self, now: UnixNanos, event: &str, details: &serde_json::Value) -> Result<(), RunError> {
        crate::log::append(&self.path, now, event, details)
    }

    /// Writes a text file whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, RunError> {
        let path = self.path.join(name);
        write_atomic(&path, |f| std::io::Write::write_all(f, text.as_bytes()))?;
        Ok(path)
    }
}
