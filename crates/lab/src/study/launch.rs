//! Workers on this machine: one process each, begun again when it dies.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cambist_search::{State, Storage, Study};

use crate::error::LabError;
use crate::run::Machine;

use super::worker::Orders;

/// Deaths of workers in a row, with no trial done between them, after which something is wrong with all of them.
const MOST_DEATHS: u32 = 5;

/// How a sweep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Trials complete.
    pub complete: u64,
    /// Trials given up.
    pub pruned: u64,
    /// Trials that failed.
    pub failed: u64,
    /// Trials under way.
    pub running: u64,
    /// Workers that died and were begun again.
    pub deaths: u32,
}

impl Standing {
    fn of(storage: &Storage, study: &Study) -> Result<Self, LabError> {
        let trials = storage.trials(study)?;
        let count = |state: State| trials.iter().filter(|t| t.state == state).count() as u64;
        Ok(Self {
            complete: count(State::Complete),
            pruned: count(State::Pruned),
            failed: count(State::Fail),
            running: count(State::Running),
            deaths: 0,
        })
    }
}

/// What to start, and how often.
#[derive(Debug)]
pub struct Crew<'a> {
    /// The program: this one.
    pub program: &'a Path,
    /// Where the study is.
    pub url: &'a str,
    /// How many.
    pub n_workers: usize,
    /// Folders, and threads that they share.
    pub machine: &'a Machine,
}

impl Crew<'_> {
    fn start(&self, study: &Study) -> Result<Child, LabError> {
        let threads = (self.machine.n_threads / self.n_workers).max(1).to_string();
        let mut command = Command::new(self.program);
        command.arg("sweep").arg("worker").arg("-").arg(&study.name).env("CAMBIST_STORAGE", self.url);
        command.arg("--data-dir").arg(&self.machine.data).arg("--runs-dir").arg(&self.machine.runs);
        command.arg("--threads").arg(threads);
        command.spawn().map_err(|source| {
            LabError::File(cambist_store::FileError {
                action: "start the worker",
                path: self.program.to_owned(),
                source,
            })
        })
    }
}

/// Runs workers until the study is done, or `stop` is set; `watch` hears how it stands.
///
/// # Errors
/// When a worker cannot be started, workers only die, or the storage is away for too long.
pub fn launch(
    crew: &Crew<'_>,
    storage: &Storage,
    study: &Study,
    orders: Orders,
    stop: &AtomicBool,
    watch: &mut dyn FnMut(Standing),
) -> Result<Standing, LabError> {
    let mut workers: Vec<Option<Child>> = Vec::new();
    for _ in 0..crew.n_workers {
        workers.push(Some(crew.start(study)?));
    }
    let (mut deaths, mut in_a_row, mut before) = (0, 0, 0);
    loop {
        let standing = Standing { deaths, ..Standing::of(storage, study)? };
        watch(standing);
        let ended = standing.complete + standing.pruned;
        if ended > before {
            (before, in_a_row) = (ended, 0);
        }
        let all = standing.complete + standing.pruned >= orders.trials;
        for worker in &mut workers {
            let Some(status) = worker.as_mut().and_then(|child| child.try_wait().ok().flatten()) else {
                continue;
            };
            *worker = None;
            if status.success() || all || stop.load(Ordering::SeqCst) {
                continue;
            }
            (deaths, in_a_row) = (deaths + 1, in_a_row + 1);
            if in_a_row > MOST_DEATHS {
                end_all(&mut workers);
                return Err(LabError::WorkersDie { times: in_a_row, how: shown(status) });
            }
            *worker = Some(crew.start(study)?);
        }
        if workers.iter().all(Option::is_none) {
            return Ok(Standing { deaths, ..Standing::of(storage, study)? });
        }
        if stop.load(Ordering::SeqCst) {
            // Ctrl-C reaches the workers by themselves, SIGTERM does not.
            end_all(&mut workers);
            return Ok(Standing { deaths, ..Standing::of(storage, study)? });
        }
        pause();
    }
}

/// Asks all workers to give their trials back, and waits until they have.
fn end_all(workers: &mut [Option<Child>]) {
    for child in workers.iter_mut().filter_map(Option::as_mut) {
        // A process that is gone already needs no asking.
        let _ = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
        let _ = child.wait();
    }
}

fn shown(status: ExitStatus) -> String {
    status.to_string()
}

fn pause() {
    std::thread::sleep(Duration::from_millis(300));
}
