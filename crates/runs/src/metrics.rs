//! Scalars of a running training, as JSON lines and as TensorBoard events.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_store::FileError;

use crate::error::RunError;
use crate::tensorboard;

/// Both files, open for appending.
#[derive(Debug)]
pub struct MetricsLog {
    lines: File,
    lines_path: PathBuf,
    events: File,
    events_path: PathBuf,
}

impl MetricsLog {
    /// Opens `metrics.jsonl` and an events file in `folder`.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(folder: &Path, now: UnixNanos) -> Result<Self, RunError> {
        let append = |path: &Path| {
            OpenOptions::new().create(true).append(true).open(path).map_err(FileError::on("open", path))
        };
        let lines_path = folder.join("metrics.jsonl");
        let events_path = folder.join(format!("events.out.tfevents.{}.cambist", now.seconds()));
        let mut events = append(&events_path)?;
        events.write_all(&tensorboard::header(now)).map_err(FileError::on("write", &events_path))?;
        Ok(Self { lines: append(&lines_path)?, lines_path, events, events_path })
    }

    /// Adds the scalars of `step`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn add(&mut self, step: u64, now: UnixNanos, scalars: &[(&str, f64)]) -> Result<(), RunError> {
        let mut line = serde_json::Map::new();
        line.insert("step".into(), step.into());
        for (name, value) in scalars {
            line.insert((*name).to_owned(), (*value).into());
        }
        let text = serde_json::Value::Object(line).to_string() + "\n";
        self.lines.write_all(text.as_bytes()).map_err(FileError::on("write", &self.lines_path))?;
        let event = tensorboard::scalars(step, now, scalars);
        self.events.write_all(&event).map_err(FileError::on("write", &self.events_path))?;
        Ok(())
    }
}
