//! The loop's HTTP API: what it shows, what it obeys, and the policy as a service.
//!
//! Everything but `/health`, `/ready` and `/openapi.json` needs the bearer token. Pausing and killing need no more; what lets it trade
//! again, by another policy or past a limit needs a one-time password (TOTP, RFC 6238) too, each good once. Errors are RFC 9457 problems.

mod commands;
mod decide;
mod guard;
mod problem;
mod stream;
mod views;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use cambist_core::clock::Clock;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::LiveError;
use crate::shared::Shared;

pub use guard::{MayTrade, Secrets, secret_of};

/// Bytes of the largest body.
const LARGEST_BODY: usize = 256 * 1024;

/// What every request sees.
pub struct Api {
    /// The loop.
    pub shared: Arc<Shared>,
    /// Who may ask for what.
    pub secrets: Secrets,
    /// Time.
    pub clock: Arc<dyn Clock>,
    decider: decide::Decider,
    strangers: guard::Strangers,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Cambist live", description = "A policy at work: what it shows, what it obeys, and the policy as a service."),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_with(Default::default);
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Says of every number that it is one a float holds: JSON itself knows no largest.
fn bound_numbers(components: &mut utoipa::openapi::Components) {
    const LARGEST: f64 = 1e30;
    let Ok(mut schemas) = serde_json::to_value(&components.schemas) else { return };
    fn bound(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                let number = |kind: &serde_json::Value| {
                    kind == "number"
                        || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "number"))
                };
                if fields.get("type").is_some_and(number) {
                    let keys =
                        [("maximum", "exclusiveMaximum", LARGEST), ("minimum", "exclusiveMinimum", -LARGEST)];
                    for (key, strict, bound) in keys {
                        if !fields.contains_key(key) && !fields.contains_key(strict) {
                            fields.insert(key.to_owned(), bound.into());
                        }
                    }
                }
                fields.values_mut().for_each(bound);
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(bound),
            _ => {}
        }
    }
    bound(&mut schemas);
    if let Ok(bounded) = serde_json::from_value(schemas) {
        components.schemas = bounded;
    }
}

fn router(api: &Arc<Api>) -> axum::Router {
    let open = OpenApiRouter::new().routes(routes!(views::health)).routes(routes!(views::ready));
    let kept = OpenApiRouter::new()
        .routes(routes!(views::status))
        .routes(routes!(views::account))
        .routes(routes!(views::positions))
        .routes(routes!(views::orders))
        .routes(routes!(views::decisions))
        .routes(routes!(views::fills))
        .routes(routes!(views::policy))
        .routes(routes!(views::limits))
        .routes(routes!(views::drift))
        .routes(routes!(views::metrics))
        // A WebSocket, which OpenAPI has no words for.
        .route("/events", axum::routing::get(stream::events))
        .routes(routes!(decide::decide))
        .routes(routes!(commands::heartbeat))
        .routes(routes!(commands::pause))
        .routes(routes!(commands::kill))
        .routes(routes!(commands::resume))
        .routes(routes!(commands::adopt))
        .routes(routes!(commands::swap))
        .routes(routes!(commands::rollback))
        .routes(routes!(commands::limit))
        .route_layer(from_fn_with_state(Arc::clone(api), guard::token));
    let (router, mut document) =
        OpenApiRouter::with_openapi(Document::openapi()).merge(open).merge(kept).split_for_parts();
    if let Some(components) = &mut document.components {
        bound_numbers(components);
    }
    let document = Arc::new(document);
    router
        .route(
            "/openapi.json",
            axum::routing::get(move || async move { axum::Json(document.as_ref().clone()) }),
        )
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(Arc::clone(api), guard::counted))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(Arc::clone(api))
}

/// A socket at `listen`, on this machine alone: token and passwords would travel in the open.
///
/// # Errors
/// When it is an address of the network's, or nobody can listen there.
pub fn bind(listen: &str) -> Result<TcpListener, LiveError> {
    let failed = |error: std::io::Error| LiveError::Config(format!("cannot listen at {listen}: {error}"));
    let addresses: Vec<SocketAddr> = listen.to_socket_addrs().map_err(failed)?.collect();
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(LiveError::Config(format!(
            "--listen {listen}: the API listens on this machine alone, as 127.0.0.1:8230, since it speaks plain HTTP; reach it through a tunnel \
             (ssh -L) or put a server that speaks TLS before it"
        )));
    }
    let socket = TcpListener::bind(&addresses[..]).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket)
}

/// A server that answers until it is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves the API of `shared` at the `socket` of [`bind`].
///
/// # Errors
/// When there are no threads to be had.
pub fn serve(
    shared: Arc<Shared>,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
    socket: TcpListener,
) -> Result<Server, LiveError> {
    let failed = |error: std::io::Error| LiveError::Config(format!("cannot serve the API: {error}"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(socket) }).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    shared.heartbeat(clock.elapsed());
    let decider = decide::Decider::default();
    let router =
        router(&Arc::new(Api { shared, secrets, clock, decider, strangers: guard::Strangers::default() }));
    runtime.spawn(async move {
        // Ends with the runtime.
        let _ = axum::serve(listener, router).await;
    });
    Ok(Server { address, runtime: Some(runtime) })
}
