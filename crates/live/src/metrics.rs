//! Counters and gauges, as Prometheus reads them (OpenMetrics text).

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cambist_bridge::Outcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::results;
use crate::shared::Status;

type Real = Gauge<f64, AtomicU64>;

/// What became of an order, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Became {
    outcome: String,
}

/// What a request was answered with, as labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    path: String,
    status: u16,
}

/// All of them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decide: Histogram,
    commit: Histogram,
    send: Histogram,
    slippage: Histogram,
    decisions: Counter,
    outcomes: Family<Became, Counter>,
    requests: Family<Answered, Counter>,
    drifts: Counter,
    equity: Real,
    balance: Real,
    lots: Real,
    target: Real,
    held: Gauge,
    unresolved: Gauge,
    records: Gauge,
    bar_close: Gauge,
    results: Real,
    results_low: Real,
    results_high: Real,
}

impl Default for Metrics {
    fn default() -> Self {
        // From 4 µs to about 0.5 s.
        let times = || Histogram::new(exponential_buckets(4e-6, 2.0, 18));
        let mut registry = Registry::with_prefix("cambist");
        let metrics = Self {
            registry: Registry::default(),
            decide: times(),
            commit: times(),
            send: times(),
            slippage: Histogram::new([-1000.0, -100.0, -10.0, -1.0, 0.0, 1.0, 10.0, 100.0, 1000.0]),
            decisions: Counter::default(),
            outcomes: Family::default(),
            requests: Family::default(),
            drifts: Counter::default(),
            equity: Real::default(),
            balance: Real::default(),
            lots: Real::default(),
            target: Real::default(),
            held: Gauge::default(),
            unresolved: Gauge::default(),
            records: Gauge::default(),
            bar_close: Gauge::default(),
            results: Real::default(),
            results_low: Real::default(),
            results_high: Real::default(),
        };
        let m = &metrics;
        for (name, help, histogram) in [
            ("decide", "From a closed bar to approved intents", &m.decide),
            ("commit", "Until the decision is durable", &m.commit),
            ("send", "From sending an order to its outcome", &m.send),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register(
            "slippage_ticks",
            "Fill against the quote at sending; positive costs",
            m.slippage.clone(),
        );
        registry.register("decisions", "Bars decided on", m.decisions.clone());
        registry.register("orders", "Orders, by what became of them", m.outcomes.clone());
        registry.register("requests", "Requests to the API", m.requests.clone());
        registry.register("drifts", "Times observations left training's range", m.drifts.clone());
        for (name, help, gauge) in [
            ("equity", "Equity at the last bar's close", &m.equity),
            ("balance", "Balance, by our books", &m.balance),
            ("lots", "Signed lots held, by our books", &m.lots),
            ("target", "Target of the last decision", &m.target),
            ("results_log_return", "Log return of the days since the policy was put to work", &m.results),
            ("results_low", "Where the backtest's band of that begins", &m.results_low),
            ("results_high", "Where it ends", &m.results_high),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, gauge) in [
            ("held_back", "1 while nothing may be opened", &m.held),
            ("unresolved_orders", "Orders of which not all is known", &m.unresolved),
            ("journal_records", "Records of the journal", &m.records),
            ("bar_close_timestamp_seconds", "Close of the last bar", &m.bar_close),
        ] {
            registry.register(name, help, gauge.clone());
        }
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// In the text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn decided(&self, decide: Duration, commit: Duration) {
        self.decisions.inc();
        self.decide.observe(decide.as_secs_f64());
        self.commit.observe(commit.as_secs_f64());
    }

    pub(crate) fn sent(&self, took: Duration) {
        self.send.observe(took.as_secs_f64());
    }

    pub(crate) fn slipped(&self, ticks: f64) {
        self.slippage.observe(ticks);
    }

    pub(crate) fn drifted(&self) {
        self.drifts.inc();
    }

    pub(crate) fn outcome(&self, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Confirmed(_) => "confirmed",
            Outcome::Refused { .. } => "refused",
            Outcome::Unknown(_) => "unknown",
        };
        self.outcomes.get_or_create(&Became { outcome: outcome.to_owned() }).inc();
    }

    pub(crate) fn answered(&self, path: &str, status: u16) {
        self.requests.get_or_create(&Answered { path: path.to_owned(), status }).inc();
    }

    /// Not a number where there is no band.
    pub(crate) fn compares(&self, report: &results::Report) {
        self.results.set(report.log_return);
        self.results_low.set(report.low.unwrap_or(f64::NAN));
        self.results_high.set(report.high.unwrap_or(f64::NAN));
    }

    pub(crate) fn stands(&self, status: &Status, held: bool, close_seconds: i64) {
        self.equity.set(status.equity);
        self.balance.set(status.balance);
        self.lots.set(status.lots);
        self.target.set(status.target);
        self.held.set(i64::from(held));
        self.unresolved.set(status.unresolved.len() as i64);
        self.records.set(status.records);
        self.bar_close.set(close_seconds);
    }
}
