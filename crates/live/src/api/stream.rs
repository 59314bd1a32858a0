//! Events as they happen, over a WebSocket: a JSON object a message.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Api;
use super::problem::Problem;

/// Decisions, outcomes, findings and commands, from now on.
pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => {
            let events = api.shared.listen();
            upgrade.on_upgrade(move |socket| tell(socket, events))
        }
        Err(_) => Problem::new(
            StatusCode::BAD_REQUEST,
            "upgrade",
            "this is a WebSocket: ask with Upgrade: websocket",
        )
        .into_response(),
    }
}

async fn tell(mut socket: WebSocket, mut events: Receiver<String>) {
    loop {
        tokio::select! {
            event = events.recv() => {
                let text = match event {
                    Ok(text) => text,
                    Err(RecvError::Lagged(n)) => serde_json::json!({ "event": "lagged", "details": { "missed": n } }).to_string(),
                    Err(RecvError::Closed) => return,
                };
                if socket.send(Message::Text(text.into())).await.is_err() {
                    return;
                }
            }
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}
