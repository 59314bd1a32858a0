//! What the loop shows.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::problem::{Problem, Query};

type Said<T> = State<Arc<T>>;

/// Whether the process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    alive: bool,
    version: String,
}

/// Alive: it answers.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { alive: true, version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// Ready: it has decided on a bar.
#[utoipa::path(get, path = "/ready", responses(
    (status = 200, body = Health),
    (status = 503, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn ready(State(api): Said<Api>) -> Result<Json<Health>, Problem> {
    if api.shared.status().ready {
        return Ok(health().await);
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "no bar has closed yet"))
}

fn json(value: &impl Serialize) -> Json<Value> {
    Json(serde_json::to_value(value).unwrap_or_default())
}

/// How the loop stands: what it may do, its books, its journal.
#[utoipa::path(get, path = "/status", security(("token" = [])), responses(
    (status = 200, body = Value), (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn status(State(api): Said<Api>) -> Json<Value> {
    json(&api.shared.status())
}

/// The account, as the broker last told it.
#[utoipa::path(get, path = "/account", security(("token" = [])), responses(
    (status = 200, body = Value),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn account(State(api): Said<Api>) -> Result<Json<Value>, Problem> {
    let told = api.shared.account();
    told.map(|account| json(&account)).ok_or_else(|| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "the broker has not been asked yet")
    })
}

/// What is held, in lots and prices.
#[utoipa::path(get, path = "/positions", security(("token" = [])), responses(
    (status = 200, body = Value), (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn positions(State(api): Said<Api>) -> Json<Value> {
    let deployment = api.shared.deployment();
    let instrument = &deployment.listing().instrument;
    let price = |ticks: Option<i64>| ticks.map(|ticks| instrument.to_price(ticks as f64));
    let held = api.shared.account().map_or(Vec::new(), |account| account.holdings);
    let rows = held.iter().map(|held| {
        serde_json::json!({
            "ticket": held.id, "lots": instrument.to_lots(held.steps), "entry": instrument.to_price(held.entry),
            "stop_loss": price(held.stop_loss), "take_profit": price(held.take_profit), "financing": held.financing,
        })
    });
    Json(rows.collect())
}

/// Orders of which not all is known, and the last one.
#[utoipa::path(get, path = "/orders", security(("token" = [])), responses(
    (status = 200, body = Value), (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn orders(State(api): Said<Api>) -> Json<Value> {
    let status = api.shared.status();
    Json(serde_json::json!({ "unresolved": status.unresolved, "last": status.standing.get("last_order") }))
}

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Last {
    /// At most so many, the newest first.
    #[param(minimum = 1, maximum = 1440)]
    n: Option<usize>,
}

impl Last {
    fn n(&self) -> Result<usize, Problem> {
        match self.n {
            None => Ok(20),
            Some(n @ 1..=1440) => Ok(n),
            Some(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "query", "n must be from 1 to 1440")),
        }
    }
}

/// The last decisions: what was seen, what was done, and why.
#[utoipa::path(get, path = "/decisions", params(Last), security(("token" = [])), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn decisions(
    State(api): Said<Api>,
    Query(last): Query<Last>,
) -> Result<Json<Value>, Problem> {
    Ok(json(&api.shared.decisions(last.n()?)))
}

/// What the last fills came to: decision, arrival, fill.
#[utoipa::path(get, path = "/fills", params(Last), security(("token" = [])), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn fills(State(api): Said<Api>, Query(last): Query<Last>) -> Result<Json<Value>, Problem> {
    Ok(json(&api.shared.fills(last.n()?)))
}

/// What decides.
#[utoipa::path(get, path = "/policy", security(("token" = [])), responses(
    (status = 200, body = Value), (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn policy(State(api): Said<Api>) -> Json<Value> {
    let own = api.shared.deployment();
    Json(serde_json::json!({
        "hash": own.hash, "folder": own.folder, "instrument": own.instrument, "timeframe": own.timeframe,
        "features": own.features, "observation": own.observation.names, "revision": own.revision,
        "deterministic": own.deterministic, "previous": api.shared.previous().map(|before| before.hash.clone()),
    }))
}

/// The artefact's limits, and the loop's own.
#[utoipa::path(get, path = "/limits", security(("token" = [])), responses(
    (status = 200, body = Value), (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn limits(State(api): Said<Api>) -> Json<Value> {
    Json(api.shared.rules())
}

/// How the features seen compare with training's, and results with the backtest's.
#[utoipa::path(get, path = "/drift", security(("token" = [])), responses(
    (status = 200, body = Value), (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn drift(State(api): Said<Api>) -> Json<Value> {
    let (seen, results) = (api.shared.drift_report(), api.shared.results());
    Json(
        serde_json::json!({ "n_bars": seen.n_bars, "features": seen.features, "psi_limit": seen.psi_limit, "ks_limit": seen.ks_limit, "results": results }),
    )
}

/// Counters and gauges, for Prometheus.
#[utoipa::path(get, path = "/metrics", security(("token" = [])), responses(
    (status = 200, body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn metrics(State(api): Said<Api>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], api.shared.metrics.text())
}
