//! Scalars of a running training, as JSON lines and as TensorBoard events.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_store::{FileError, write_atomic};

use crate::error::RunError;
use crate::tensorboard::{self, hparams};

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

    /// Opens them to go on after `step`: what an interrupted training wrote beyond it is taken out of `metrics.jsonl`, and
    /// TensorBoard is told to forget it.
    ///
    /// # Errors
    /// When one cannot be read or written.
    pub fn go_on(folder: &Path, step: u64, now: UnixNanos) -> Result<Self, RunError> {
        let path = folder.join("metrics.jsonl");
        if path.is_file() {
            let text = std::fs::read_to_string(&path).map_err(FileError::on("read", &path))?;
            let known = |line: &&str| {
                let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
                value.and_then(|v| v["step"].as_u64()).is_some_and(|at| at <= step)
            };
            let kept: String = text.lines().filter(known).flat_map(|line| [line, "\n"]).collect();
            write_atomic(&path, |file| file.write_all(kept.as_bytes()))?;
        }
        let mut log = Self::open(folder, now)?;
        let forget = tensorboard::session_start(step + 1, now);
        log.events.write_all(&forget).map_err(FileError::on("write", &log.events_path))?;
        Ok(log)
    }

    /// Writes the hyper-parameters of the run for TensorBoard's table of them, which shows the scalars named `outcomes` beside.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn hyper_parameters(
        &mut self,
        now: UnixNanos,
        parameters: &serde_json::Value,
        outcomes: &[&str],
    ) -> Result<(), RunError> {
        let records = hparams::begun(now, parameters, outcomes);
        self.events.write_all(&records).map_err(FileError::on("write", &self.events_path))?;
        Ok(())
    }

    /// Writes that the run is finished, with its outcomes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finished(&mut self, step: u64, now: UnixNanos, outcomes: &[(&str, f64)]) -> Result<(), RunError> {
        let records = [tensorboard::scalars(step, now, outcomes), hparams::finished(now)].concat();
        self.events.write_all(&records).map_err(FileError::on("write", &self.events_path))?;
        Ok(())
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
