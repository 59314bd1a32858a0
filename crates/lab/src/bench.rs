//! How fast it is: the same functions that train, under a clock.

mod alone;
mod live;
mod training;

use std::path::Path;

use cambist_core::clock::Clock;
use cambist_evaluate::chart;
use cambist_policy::Instructions;
use cambist_policy::kernels::peak_loop;
use serde::Serialize;

use crate::error::LabError;
use crate::run::Machine;

pub use alone::{backtests, environment, import, network};
pub use live::decisions;
pub use training::{PhaseSeconds, memory, population, ppo, scaling};

/// One thing measured several times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    /// What.
    pub what: String,
    /// In which unit.
    pub unit: &'static str,
    /// One value a repeat.
    pub values: Vec<f64>,
    /// What to know about it.
    pub note: String,
}

impl Reading {
    fn new(what: impl Into<String>, unit: &'static str, values: Vec<f64>, note: impl Into<String>) -> Self {
        Self { what: what.into(), unit, values, note: note.into() }
    }

    /// Smallest, median and largest.
    #[must_use]
    pub fn spread(&self) -> [f64; 3] {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
        let n = sorted.len();
        let middle =
            if n.is_multiple_of(2) { 0.5 * (at(n / 2) + at((n / 2).saturating_sub(1))) } else { at(n / 2) };
        [at(0), middle, at(n.saturating_sub(1))]
    }
}

impl Reading {
    /// Its row of a table: what, median, lowest, highest, unit, note.
    #[must_use]
    pub fn cells(&self) -> Vec<String> {
        let number = |v: f64| match v.abs() {
            size if size >= 1000.0 => format!("{v:.0}"),
            size if size >= 10.0 => format!("{v:.1}"),
            _ => format!("{v:.3}"),
        };
        let [low, median, high] = self.spread().map(number);
        vec![self.what.clone(), median, low, high, self.unit.to_owned(), self.note.clone()]
    }
}

/// A bar that shows where the time of an update went.
///
/// # Errors
/// When it cannot be drawn.
pub fn phase_chart(phases: &PhaseSeconds) -> Result<String, LabError> {
    let parts: Vec<(&str, f64)> = PhaseSeconds::NAMES.into_iter().zip(phases.0).collect();
    Ok(chart::parts("Where the time of an update goes", &parts)?)
}

/// Writes the table as `NAME.md`, and the chart as `NAME.svg`, into `folder`; returns the files' names.
///
/// # Errors
/// When a file cannot be written.
pub fn write(
    folder: &Path,
    name: &str,
    readings: &[Reading],
    machine: &str,
    chart: Option<&str>,
) -> Result<Vec<String>, LabError> {
    let mut text =
        String::from("| what | median | lowest | highest | unit | note |\n|---|---|---|---|---|---|\n");
    for reading in readings {
        text.push_str(&format!("| {} |\n", reading.cells().join(" | ")));
    }
    text.push_str(&format!("\n{machine}\n"));
    let mut written = Vec::new();
    for (ending, content) in [("md", Some(text.as_str())), ("svg", chart)] {
        let Some(content) = content else { continue };
        let path = folder.join(format!("{name}.{ending}"));
        cambist_store::write_atomic(&path, |file| std::io::Write::write_all(file, content.as_bytes()))?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

/// The machine's multiply-add peak on `n_threads` threads, in floating point operations a second: the widest loop of
/// independent fused multiply-adds in registers that the processor has, best of three.
#[must_use]
pub fn peak(n_threads: usize, clock: &dyn Clock) -> f64 {
    const N: u64 = 30_000_000;
    let isa = Instructions::detect();
    (0..3)
        .map(|_| {
            let begun = clock.elapsed();
            let work: f64 = std::thread::scope(|scope| {
                let handles: Vec<_> =
                    (0..n_threads).map(|_| scope.spawn(move || peak_loop(isa, N))).collect();
                // The sum of the loop is looked at, or there would be no loop.
                handles.into_iter().map(joined).map(|(work, sum)| work + 0.0 * f64::from(sum)).sum()
            });
            work / (clock.elapsed() - begun).as_secs_f64()
        })
        .fold(0.0, f64::max)
}

/// What a thread came to; its panic goes on here, or its work would count as done.
fn joined<T>(handle: std::thread::ScopedJoinHandle<'_, T>) -> T {
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A line that says on what was measured.
#[must_use]
pub fn machine_line(machine: &Machine, clock: &dyn Clock) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("unknown");
    format!(
        "{model}, {} threads, {}, multiply-add peak {:.0} GFLOP/s",
        machine.n_threads,
        Instructions::detect().name(),
        peak(machine.n_threads, clock) / 1e9
    )
}

/// A folder that goes when it is dropped, whatever happened in it.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self, LabError> {
        let path = std::env::temp_dir().join(format!("cambist-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(cambist_store::FileError::on("create", &path))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
