//! Requests to the bridge.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cambist_core::UnixNanos;
use cambist_core::clock::Clock;
use cambist_core::rng::{Purpose, Stream};
use reqwest::blocking::{RequestBuilder, Response};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::breaker::Breaker;
use crate::id::OrderId;
use crate::words::{
    Account, BarRecord, DealRecord, Health, Lease, Nonsense, Order, OrderRecord, Outcome, OutcomeBody,
    PositionRecord, Sensible, SymbolRecord,
};

/// How a bridge is spoken to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `http://127.0.0.1:8228`, or https for another machine.
    pub url: String,
    /// The bridge's token.
    pub token: String,
    /// PEM file of the authority that signed the bridge's certificate, beside those that the machine trusts.
    pub authority: Option<PathBuf>,
    /// How long an answer to a read may take. With its retries it should stay below the lease's length, so that a heartbeat comes through.
    pub read_timeout: Duration,
    /// How long one to an order may take; longer than the terminal's own time-out, or orders end as unknown for nothing.
    pub order_timeout: Duration,
    /// How often a read that failed is tried again.
    pub retries: u32,
    /// First pause between tries; each is twice as long as the one before, and a random part of it is waited (full jitter).
    pub first_pause: Duration,
    /// Failures in a row after which nothing is asked for `breaker_pause`.
    pub breaker_failures: u32,
    /// See [`Settings::breaker_failures`].
    pub breaker_pause: Duration,
    /// How far the bridge's times may be ahead of ours.
    pub skew: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Settings {
    /// The usual ones.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            authority: None,
            read_timeout: Duration::from_secs(3),
            order_timeout: Duration::from_secs(30),
            retries: 3,
            first_pause: Duration::from_millis(100),
            breaker_failures: 5,
            breaker_pause: Duration::from_secs(10),
            skew: Duration::from_secs(2),
            seed: 0,
        }
    }
}

/// The bridge did not answer what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// No answer.
    #[error("the bridge does not answer {path}: {}", deepest(source))]
    Away {
        /// What was asked.
        path: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Not asked: it has not answered for a while.
    #[error("the bridge is not asked for another {} ms: it failed several times in a row", .0.as_millis())]
    Resting(Duration),
    /// It says that something is wrong.
    #[error("the bridge says {status} to {path}: {detail}")]
    Problem {
        /// HTTP status.
        status: u16,
        /// What was asked.
        path: String,
        /// Kind of the problem, as RFC 9457's `type`.
        kind: String,
        /// What it says.
        detail: String,
    },
    /// It says what cannot be.
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    /// It says what nobody understands.
    #[error("the bridge answered {path} with what is not its API: {reason}")]
    Unreadable {
        /// What was asked.
        path: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// The client cannot be made.
    #[error("a client of {url} cannot be made: {reason}")]
    Settings {
        /// Of which bridge.
        url: String,
        /// Why.
        reason: String,
    },
}

impl BridgeError {
    /// Whether the bridge itself said so, and nothing between it and us.
    fn is_the_bridges(&self) -> bool {
        matches!(self, Self::Problem { kind, .. } if kind.starts_with("/problems/"))
    }
}

/// RFC 9457.
#[derive(Debug, Deserialize)]
struct ProblemBody {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
}

const REFUSED: &str = "/problems/refused";

/// A client of one bridge. One thread's: the one writer's.
pub struct Client {
    settings: Settings,
    http: reqwest::blocking::Client,
    clock: Arc<dyn Clock>,
    breaker: Breaker,
    jitter: Stream,
}

impl std::fmt::Debug for Client {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.settings.url)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

/// What a failure comes down to: the outer layers say that something could not be sent.
fn deepest(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Whether what is sent to `url` is read by nobody on the way: it is on this machine, or speaks TLS; and whether it holds no password itself.
#[must_use]
pub fn keeps_secrets(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_plain = url.username().is_empty() && url.password().is_none();
    is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_here))
}

impl Client {
    /// A client by `settings`.
    ///
    /// # Errors
    /// When no client can be made of them.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, BridgeError> {
        let failed = |reason: String| BridgeError::Settings { url: settings.url.clone(), reason };
        reqwest::Url::parse(&settings.url).map_err(|error| failed(error.to_string()))?;
        if !keeps_secrets(&settings.url) {
            return Err(failed(
                "write http://127.0.0.1:8228, or https for another machine: the token would travel in the open".to_owned(),
            ));
        }
        let mut builder = reqwest::blocking::Client::builder();
        if let Some(path) = &settings.authority {
            let unread = |error: String| failed(format!("{}: {error}", path.display()));
            let pem = std::fs::read(path).map_err(|error| unread(error.to_string()))?;
            let known =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unread(error.to_string()))?;
            if known.is_empty() {
                return Err(unread("there is no certificate in it (PEM)".to_owned()));
            }
            builder = known.into_iter().fold(builder, reqwest::blocking::ClientBuilder::add_root_certificate);
        }
        let http = builder
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.read_timeout)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let breaker = Breaker::new(settings.breaker_failures, settings.breaker_pause);
        let jitter = Stream::new(settings.seed, Purpose::Broker, 2);
        Ok(Self { http, clock, breaker, jitter, settings })
    }

    /// Whether terminal and trading are well.
    ///
    /// # Errors
    /// As all reads: when the bridge does not answer after some tries, says that something is wrong, or says nonsense.
    pub fn health(&mut self) -> Result<Health, BridgeError> {
        self.read("/health", &[])
    }

    /// What the broker says of `symbol`.
    ///
    /// # Errors
    /// As [`Client::health`].
    pub fn symbol(&mut self, symbol: &str) -> Result<SymbolRecord, BridgeError> {
        self.read(&format!("/symbol/{}", escaped(symbol)), &[])
    }

    /// The last `count` bars of `symbol`, oldest first; `timeframe` is MetaTrader's, such as `H1`.
    ///
    /// # Errors
    /// As [`Client::health`]; and when bars are not in order.
    pub fn bars(&mut self, symbol: &str, timeframe: &str, count: u32) -> Result<Vec<BarRecord>, BridgeError> {
        let query = [
            ("symbol", symbol.to_owned()),
            ("timeframe", timeframe.to_owned()),
            ("count", count.to_string()),
        ];
        let bars: Vec<BarRecord> = self.read("/ohlcv", &query)?;
        match bars.windows(2).find(|pair| pair[0].time_ms >= pair[1].time_ms || !pair[0].complete) {
            None => Ok(bars),
            Some(pair) => Err(Nonsense {
                what: format!("the bar of {} ms", pair[1].time_ms),
                field: "time_ms",
                found: format!(
                    "after a bar of {} ms, which is {}complete",
                    pair[0].time_ms,
                    if pair[0].complete { "" } else { "not " }
                ),
            }
            .into()),
        }
    }

    /// Balance, equity, margin.
    ///
    /// # Errors
    /// As [`Client::health`].
    pub fn account(&mut self) -> Result<Account, BridgeError> {
        self.read("/account", &[])
    }

    /// Open positions, everybody's.
    ///
    /// # Errors
    /// As [`Client::health`].
    pub fn positions(&mut self) -> Result<Vec<PositionRecord>, BridgeError> {
        self.read("/positions", &[])
    }

    /// Orders that work, everybody's.
    ///
    /// # Errors
    /// As [`Client::health`].
    pub fn orders(&mut self) -> Result<Vec<OrderRecord>, BridgeError> {
        self.read("/orders", &[])
    }

    /// Deals since `from`, everybody's.
    ///
    /// # Errors
    /// As [`Client::health`].
    pub fn deals(&mut self, from: UnixNanos) -> Result<Vec<DealRecord>, BridgeError> {
        self.read("/deals", &[("from_ms", (from.0 / 1_000_000).max(0).to_string())])
    }

    /// Becomes the one writer; `previous` is the token of a lease of one's own that has not ended.
    ///
    /// # Errors
    /// A problem when another process holds it.
    pub fn take_lease(&mut self, holder: &str, previous: Option<u64>) -> Result<Lease, BridgeError> {
        let body = serde_json::json!({ "holder": holder, "previous": previous });
        let request = self.request(Method::POST, "/lease", self.settings.read_timeout).json(&body);
        let answer = self.once(request, "/lease")?;
        self.understood(answer, "/lease")
    }

    /// Says that one is alive.
    ///
    /// # Errors
    /// A problem when the lease is lost: trading must stop then.
    pub fn renew_lease(&mut self, token: u64) -> Result<Lease, BridgeError> {
        let request =
            self.request(Method::PUT, "/lease", self.settings.read_timeout).header("Cambist-Lease", token);
        let answer = self.once(request, "/lease")?;
        self.understood(answer, "/lease")
    }

    /// Ends in good order: the dead-man's switch stays where it is.
    ///
    /// # Errors
    /// A problem when the lease is lost already.
    pub fn let_lease_go(&mut self, token: u64) -> Result<(), BridgeError> {
        let request =
            self.request(Method::DELETE, "/lease", self.settings.read_timeout).header("Cambist-Lease", token);
        let answer = self.once(request, "/lease")?;
        if answer.status() == StatusCode::NO_CONTENT { Ok(()) } else { Err(problem(answer, "/lease")) }
    }

    /// Sends `order`, once. Whatever goes wrong after it may have left is an outcome that is not known.
    ///
    /// # Errors
    /// When this attempt certainly sent nothing: the bridge cannot be connected to, or it says so (paused, lease lost, something unresolved, no
    /// terminal, not a valid request). Of an attempt before it, under the same id, only [`Client::outcome`] tells.
    pub fn order(&mut self, lease: u64, order: &Order) -> Result<Outcome, BridgeError> {
        let request = self.request(Method::POST, "/order", self.settings.order_timeout);
        let sent = self.once(request.header("Cambist-Lease", lease).json(order), "/order");
        let answer = match sent {
            Ok(answer) => answer,
            // What never connected never left.
            Err(BridgeError::Away { source, path }) if source.is_connect() => {
                return Err(BridgeError::Away { source, path });
            }
            Err(BridgeError::Away { source, .. }) => {
                return Ok(Outcome::Unknown(format!("no answer: {source}")));
            }
            Err(other) => return Err(other),
        };
        let status = answer.status();
        let text = match answer.text() {
            Ok(text) => text,
            Err(error) => return Ok(Outcome::Unknown(format!("the answer broke off: {error}"))),
        };
        match outcome_of(status, &text, order.id) {
            Some(outcome) => Ok(outcome),
            // Only the bridge's own problems say that the id was not used; whatever else it is may stand before an order that was sent.
            None => match problem_of(status, &text, "/order") {
                problem @ BridgeError::Problem { status: 400..=499 | 502 | 503, .. }
                    if problem.is_the_bridges() =>
                {
                    Err(problem)
                }
                _ => Ok(Outcome::Unknown(format!("an answer that is no outcome ({status})"))),
            },
        }
    }

    /// What became of `id`; none when the bridge has never had it.
    ///
    /// # Errors
    /// As [`Client::health`].
    pub fn outcome(&mut self, id: OrderId) -> Result<Option<Outcome>, BridgeError> {
        let path = format!("/order/{id}");
        match self.tried(&path, &[]) {
            Ok(answer) => {
                let status = answer.status();
                let text =
                    answer.text().map_err(|source| BridgeError::Away { path: path.clone(), source })?;
                outcome_of(status, &text, id).map(Some).ok_or_else(|| problem_of(status, &text, &path))
            }
            Err(BridgeError::Problem { status: 404, kind, .. }) if kind == "/problems/no-such-id" => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: Method, path: &str, timeout: Duration) -> RequestBuilder {
        let url = format!("{}{path}", self.settings.url.trim_end_matches('/'));
        self.http.request(method, url).bearer_auth(&self.settings.token).timeout(timeout)
    }

    /// One request. Heartbeats and orders are not held up by the breaker: a close must be tried.
    fn once(&mut self, request: RequestBuilder, path: &str) -> Result<Response, BridgeError> {
        let sent = request.send();
        // An answer that it cannot do something shows that it is there.
        let is_there = sent.as_ref().is_ok_and(|answer| answer.status() != StatusCode::INTERNAL_SERVER_ERROR);
        self.breaker.note(is_there, self.clock.elapsed());
        sent.map_err(|source| BridgeError::Away { path: path.to_owned(), source: source.without_url() })
    }

    /// A read, tried again where it may go better: no answer, too many requests, no terminal.
    fn tried(&mut self, path: &str, query: &[(&str, String)]) -> Result<Response, BridgeError> {
        let mut pause = self.settings.first_pause;
        for left in (0..=self.settings.retries).rev() {
            if let Some(rest) = self.breaker.closed_in(self.clock.elapsed()) {
                return Err(BridgeError::Resting(rest));
            }
            let request = self.request(Method::GET, path, self.settings.read_timeout).query(query);
            let failed = match self.once(request, path) {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => problem(answer, path),
                Err(error) => error,
            };
            let passes = matches!(
                failed,
                BridgeError::Away { .. } | BridgeError::Problem { status: 429 | 502 | 500, .. }
            );
            if left == 0 || !passes {
                return Err(failed);
            }
            // Full jitter: AWS Architecture Blog, Exponential Backoff And Jitter, 2015.
            std::thread::sleep(pause.mul_f64(self.jitter.uniform()));
            pause = pause.saturating_mul(2);
        }
        Err(BridgeError::Resting(Duration::ZERO))
    }

    fn read<T: DeserializeOwned + Sensible>(
        &mut self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, BridgeError> {
        let answer = self.tried(path, query)?;
        self.understood(answer, path)
    }

    fn understood<T: DeserializeOwned + Sensible>(
        &self,
        answer: Response,
        path: &str,
    ) -> Result<T, BridgeError> {
        if !answer.status().is_success() {
            return Err(problem(answer, path));
        }
        let failed = |reason: String| BridgeError::Unreadable { path: path.to_owned(), reason };
        let text = answer.text().map_err(|error| failed(error.to_string()))?;
        let value: T = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        value.check(self.latest())?;
        Ok(value)
    }

    /// The latest moment at which anything may have happened.
    fn latest(&self) -> UnixNanos {
        let skew = i64::try_from(self.settings.skew.as_nanos()).unwrap_or(i64::MAX);
        UnixNanos(self.clock.now().0.saturating_add(skew))
    }
}

/// The outcome that an answer is, of `id` and of no other.
fn outcome_of(status: StatusCode, text: &str, id: OrderId) -> Option<Outcome> {
    if !status.is_success() {
        let kind = serde_json::from_str::<ProblemBody>(text).ok()?.kind;
        if kind != REFUSED {
            return None;
        }
    }
    let body: OutcomeBody = serde_json::from_str(text).ok()?;
    if body.id != id {
        return Some(Outcome::Unknown(format!("the bridge answered for {}", body.id)));
    }
    Some(body.outcome().unwrap_or_else(|nonsense| Outcome::Unknown(nonsense.to_string())))
}

fn problem(answer: Response, path: &str) -> BridgeError {
    let status = answer.status();
    problem_of(status, &answer.text().unwrap_or_default(), path)
}

fn problem_of(status: StatusCode, text: &str, path: &str) -> BridgeError {
    let (kind, detail) = serde_json::from_str::<ProblemBody>(text).map_or_else(
        |_| (String::new(), text.chars().take(200).collect()),
        |problem| (problem.kind, problem.detail),
    );
    BridgeError::Problem { status: status.as_u16(), path: path.to_owned(), kind, detail }
}

/// A part of a path, with everything but letters, digits and a few signs as percent.
fn escaped(part: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    part.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
