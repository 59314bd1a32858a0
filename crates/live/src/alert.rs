//! Alerts to a webhook: each kind of event at most once in a while, from a severity on.

use std::collections::BTreeMap;
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
    /// The same kind of event is told once in this time.
    pub cool_down: Duration,
}

/// The way to a webhook, or to nobody.
pub struct Alerts {
    to: Option<(Webhook, SyncSender<String>)>,
    clock: Arc<dyn Clock>,
    told: Mutex<BTreeMap<String, Duration>>,
}

impl Alerts {
    /// To `webhook`, by a thread of its own that ends with this.
    #[must_use]
    pub fn new(webhook: Option<Webhook>, clock: Arc<dyn Clock>) -> Self {
        let to = webhook.and_then(|webhook| {
            let (queue, waiting) = sync_channel::<String>(QUEUE);
            let client = reqwest::blocking::Client::builder().no_proxy().timeout(PATIENCE).build().ok()?;
            let url = webhook.url.clone();
            std::thread::spawn(move || {
                for body in waiting {
                    // Nobody to tell that telling failed: the log has the event.
                    let _ = client.post(&url).header("content-type", "application/json").body(body).send();
                }
            });
            Some((webhook, queue))
        });
        Self { to, clock, told: Mutex::default() }
    }

    /// Tells of `event`, if it is bad enough and was not told just now.
    pub fn raise(&self, severity: Severity, event: &str, line: &serde_json::Value) {
        let Some((webhook, queue)) = &self.to else { return };
        if severity < webhook.from {
            return;
        }
        let now = self.clock.elapsed();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = told.get(event).is_some_and(|last| now.saturating_sub(*last) < webhook.cool_down);
        if !recent && queue.try_send(line.to_string()).is_ok() {
            told.insert(event.to_owned(), now);
        }
    }
}
