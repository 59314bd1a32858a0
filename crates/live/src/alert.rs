//! Alerts to a webhook: each kind of event and severity at most once in a while, from a severity on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cambist_core::clock::Clock;

use crate::shared::Severity;

/// Alerts that wait to be sent; more are dropped, and the log has them all.
const QUEUE: usize = 64;
/// How long a webhook may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where alerts go, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Takes a POST of the event as JSON.
    pub url: String,
    /// From this severity on.
    pub from: Severity,
    /// The same kind of event, as severe, is told once in this time.
    pub cool_down: Duration,
}

/// What was told, by event and severity, and when.
type Told = Arc<Mutex<BTreeMap<(String, Severity), Duration>>>;

/// The way to a webhook, or to nobody.
pub struct Alerts {
    to: Option<(Webhook, SyncSender<Alert>)>,
    clock: Arc<dyn Clock>,
    told: Told,
}

struct Alert {
    key: (String, Severity),
    body: String,
}

impl Alerts {
    /// To `webhook`, by a thread of its own that ends with this. One that did not arrive is written to the log in the folder `log`, and
    /// its kind is told again when it comes again.
    #[must_use]
    pub fn new(webhook: Option<Webhook>, clock: Arc<dyn Clock>, log: PathBuf) -> Self {
        let told = Told::default();
        let to = webhook.and_then(|webhook| {
            let (queue, waiting) = sync_channel::<Alert>(QUEUE);
            let client = reqwest::blocking::Client::builder().no_proxy().timeout(PATIENCE).build().ok()?;
            let (url, told, clock) = (webhook.url.clone(), Arc::clone(&told), Arc::clone(&clock));
            std::thread::spawn(move || {
                for Alert { key, body } in waiting {
                    let request = client.post(&url).header("content-type", "application/json").body(body);
                    let arrived = request.send().and_then(reqwest::blocking::Response::error_for_status);
                    if let Err(error) = arrived {
                        let why = error.without_url().to_string();
                        told.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                        let what = serde_json::json!({ "event": key.0, "severity": key.1, "why": why });
                        let details = serde_json::json!({ "severity": Severity::Warning, "what": what });
                        // Who reads neither is told by nobody.
                        let _ = cambist_runs::log::append(&log, clock.now(), "alert_failed", &details);
                    }
                }
            });
            Some((webhook, queue))
        });
        Self { to, clock, told }
    }

    /// Tells of `event`, if it is bad enough and was not told just now: a worse one of its kind is another.
    pub fn raise(&self, severity: Severity, event: &str, line: &serde_json::Value) {
        let Some((webhook, queue)) = &self.to else { return };
        if severity < webhook.from {
            return;
        }
        let now = self.clock.elapsed();
        let key = (event.to_owned(), severity);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = told.get(&key).is_some_and(|last| now.saturating_sub(*last) < webhook.cool_down);
        if !recent && queue.try_send(Alert { key: key.clone(), body: line.to_string() }).is_ok() {
            told.insert(key, now);
        }
    }
}
