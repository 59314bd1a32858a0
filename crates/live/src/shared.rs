//! What the loop and those who watch it share: status, decisions, events, commands, metrics.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use cambist_core::UnixNanos;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::alert::Alerts;
use crate::deployment::Deployment;
use crate::drift::Drift;
use crate::engine::Engine;
use crate::fills::Quality;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::results;
use crate::words::{Command, Decision, Snapshot};

/// Decisions and fills that are kept for whoever asks.
const KEPT: usize = 1440;
/// Events a slow listener may lag behind.
const LAG: usize = 1024;
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(30);

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// In the course of things.
    Info,
    /// To be looked at.
    Warning,
    /// At once.
    Critical,
}

/// A command, and where its answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What.
    pub command: Command,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// Whether who asked has been told that it was not done.
    pub given_up: Arc<AtomicBool>,
    /// Where the answer goes.
    pub answer: SyncSender<Result<(), String>>,
}

/// How the loop stands, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Status {
    /// Paper or live.
    pub mode: String,
    /// Number of the account.
    pub account: u64,
    /// The broker's name of the instrument.
    pub symbol: String,
    /// Hash of the artefact that decides.
    pub artefact: String,
    /// Now, by the loop's clock.
    pub now: String,
    /// The close of the last bar.
    pub close: String,
    /// What may be done.
    pub standing: serde_json::Value,
    /// Orders of which not all is known.
    pub unresolved: Vec<String>,
    /// Our books: balance.
    pub balance: f64,
    /// Our books: signed lots.
    pub lots: f64,
    /// Equity at the last bar's close.
    pub equity: f64,
    /// Target of the last decision.
    pub target: f64,
    /// Records of the journal.
    pub records: i64,
    /// Hash of the last record.
    pub head: String,
    /// Whether a bar has been decided on.
    pub ready: bool,
}

/// Shared state.
pub struct Shared {
    status: RwLock<Status>,
    account: RwLock<Option<Snapshot>>,
    decisions: Mutex<VecDeque<Decision>>,
    fills: Mutex<VecDeque<Quality>>,
    deployment: RwLock<Arc<Deployment>>,
    previous: RwLock<Option<Arc<Deployment>>>,
    rules: RwLock<serde_json::Value>,
    events: broadcast::Sender<String>,
    commands: Sender<Asked>,
    inbox: Mutex<Receiver<Asked>>,
    /// When the operator was last heard of, in milliseconds of the machine's running clock.
    heard: AtomicU64,
    drift: Mutex<Drift>,
    results: RwLock<results::Report>,
    alerts: Alerts,
    /// Folder of the log.
    log: PathBuf,
    /// Counters.
    pub metrics: Metrics,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T: Clone>(lock: &RwLock<T>) -> T {
    lock.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set<T>(lock: &RwLock<T>, value: T) {
    *lock.write().unwrap_or_else(PoisonError::into_inner) = value;
}

fn push<T>(queue: &Mutex<VecDeque<T>>, value: T) {
    let mut queue = locked(queue);
    if queue.len() == KEPT {
        queue.pop_front();
    }
    queue.push_back(value);
}

impl Shared {
    /// Of a loop that decides by `deployment`, and logs to the folder `log`.
    #[must_use]
    pub fn new(deployment: Arc<Deployment>, alerts: Alerts, log: PathBuf) -> Arc<Self> {
        let (commands, inbox) = channel();
        let drift = Mutex::new(Drift::new(&deployment));
        Arc::new(Self {
            status: RwLock::default(),
            account: RwLock::default(),
            decisions: Mutex::default(),
            fills: Mutex::default(),
            deployment: RwLock::new(deployment),
            previous: RwLock::default(),
            rules: RwLock::default(),
            events: broadcast::channel(LAG).0,
            commands,
            inbox: Mutex::new(inbox),
            heard: AtomicU64::new(0),
            drift,
            results: RwLock::default(),
            alerts,
            log,
            metrics: Metrics::default(),
        })
    }

    /// How the loop stands.
    #[must_use]
    pub fn status(&self) -> Status {
        read(&self.status)
    }

    /// The account, as the broker last told it.
    #[must_use]
    pub fn account(&self) -> Option<Snapshot> {
        read(&self.account)
    }

    /// The last `n` decisions, newest first.
    #[must_use]
    pub fn decisions(&self, n: usize) -> Vec<Decision> {
        locked(&self.decisions).iter().rev().take(n).cloned().collect()
    }

    /// What the last fills came to, newest first.
    #[must_use]
    pub fn fills(&self, n: usize) -> Vec<Quality> {
        locked(&self.fills).iter().rev().take(n).cloned().collect()
    }

    /// What decides.
    #[must_use]
    pub fn deployment(&self) -> Arc<Deployment> {
        read(&self.deployment)
    }

    /// What decided before the last swap.
    #[must_use]
    pub fn previous(&self) -> Option<Arc<Deployment>> {
        read(&self.previous)
    }

    /// The loop's own limits.
    #[must_use]
    pub fn rules(&self) -> serde_json::Value {
        read(&self.rules)
    }

    /// Hears events from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<String> {
        self.events.subscribe()
    }

    /// How observations compare with training's, and what they come to.
    #[must_use]
    pub fn drift_report(&self) -> crate::drift::Report {
        locked(&self.drift).report()
    }

    /// Hands the loop a command, without waiting.
    ///
    /// # Errors
    /// When there is no loop any more.
    pub fn post(&self, asked: Asked) -> Result<(), String> {
        self.commands.send(asked).map_err(|_| "the loop has ended".to_owned())
    }

    /// Asks the loop for something, and waits for what it says.
    ///
    /// # Errors
    /// Why it is not done.
    pub fn ask(&self, command: Command, by: &str, why: &str) -> Result<(), String> {
        let (answer, heard) = sync_channel(1);
        let given_up = Arc::new(AtomicBool::new(false));
        let asked = Asked {
            command,
            by: by.to_owned(),
            why: why.to_owned(),
            given_up: Arc::clone(&given_up),
            answer,
        };
        self.post(asked)?;
        heard.recv_timeout(COMMAND).unwrap_or_else(|_| {
            given_up.store(true, Ordering::SeqCst);
            Err("the loop is busy and has not heard it: a pause or a kill is done as soon as it does, anything else is not".to_owned())
        })
    }

    /// The operator is there.
    pub fn heartbeat(&self, now: Duration) {
        self.heard.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    pub(crate) fn asked(&self) -> Option<Asked> {
        locked(&self.inbox).try_recv().ok()
    }

    pub(crate) fn deployed(&self, deployment: &Arc<Deployment>, previous: Option<&Arc<Deployment>>) {
        set(&self.previous, previous.map(Arc::clone));
        *locked(&self.drift) = Drift::new(deployment);
        set(&self.deployment, Arc::clone(deployment));
    }

    pub(crate) fn say(&self, severity: Severity, event: &str, details: &serde_json::Value, now: UnixNanos) {
        let line = serde_json::json!({ "time": now.to_string(), "severity": severity, "event": event, "details": details });
        // Nobody may be listening.
        let _ = self.events.send(line.to_string());
        self.alerts.raise(severity, event, &line);
        let details = serde_json::json!({ "severity": severity, "what": details });
        // A disk that is full stops no order; the journal is another file, and stops them all.
        let _ = cambist_runs::log::append(&self.log, now, event, &details);
    }

    /// Observations of before, in their order. What has left its limits is told at the next look, for the second time perhaps.
    pub(crate) fn recall<'a>(&self, observations: impl IntoIterator<Item = &'a Vec<f32>>) {
        let mut drift = locked(&self.drift);
        observations.into_iter().for_each(|observation| drift.recall(observation));
    }

    pub(crate) fn drift(&self, observation: &[f32], now: UnixNanos) {
        let left = locked(&self.drift).push(observation);
        if let Some(what) = left {
            self.metrics.drifted();
            let details = serde_json::json!({ "what": what });
            self.say(Severity::Warning, "drift", &details, now);
        }
    }

    /// How results compare with the backtest's.
    #[must_use]
    pub fn results(&self) -> results::Report {
        read(&self.results)
    }

    pub(crate) fn compare(&self, report: results::Report) {
        self.metrics.compares(&report);
        set(&self.results, report);
    }

    pub(crate) fn filled(&self, quality: Quality) {
        self.metrics.slipped(quality.slippage_ticks);
        push(&self.fills, quality);
    }

    pub(crate) fn publish(
        &self,
        engine: &Engine,
        journal: &Journal,
        now: UnixNanos,
        account: Option<&Snapshot>,
        decision: Option<Decision>,
    ) {
        let before = self.status();
        let (opened, deployment) = (engine.opened(), engine.deployment());
        let (balance, steps) = engine.books();
        let status = Status {
            mode: opened.mode.clone(),
            account: opened.account,
            symbol: opened.symbol.clone(),
            artefact: deployment.hash.clone(),
            now: now.to_string(),
            close: engine.close().to_string(),
            standing: serde_json::to_value(engine.standing()).unwrap_or_default(),
            unresolved: engine.unresolved().map(|id| id.to_string()).collect(),
            balance,
            lots: steps as f64 / deployment.terms.tickets.steps_per_lot,
            equity: decision.as_ref().map_or(before.equity, |d| d.equity),
            target: decision.as_ref().map_or(before.target, |d| d.target),
            records: journal.n_records(),
            head: journal.head(),
            ready: before.ready || decision.is_some(),
        };
        self.metrics.stands(&status, engine.standing().held_by().is_some(), engine.close().seconds());
        set(&self.status, status);
        set(&self.rules, serde_json::json!({ "own": engine.rules(), "artefact": deployment.terms.gate }));
        if let Some(account) = account {
            set(&self.account, Some(account.clone()));
        }
        if let Some(decision) = decision {
            push(&self.decisions, decision);
        }
    }
}
