//! The API of a live loop, by clients that are not ours: schemathesis, a WebSocket, Prometheus, an authenticator.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use support::{python, root, text};

#[test]
fn strangers_clients_and_operators() {
    let output = python()
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/live"])
        .current_dir(root())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CAMBIST_BINARY", env!("CARGO_BIN_EXE_cambist"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}
