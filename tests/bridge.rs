//! The bridge to MetaTrader 5 that ships, over a simulated terminal: its own tests, in Python, with this build's binary.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::process::Command;

fn python(arguments: &[&str]) {
    let tools = std::env::var("CAMBIST_TOOLS").unwrap_or_else(|_| ".venv".to_owned());
    let output = Command::new(format!("{tools}/bin/python"))
        .args(arguments)
        .current_dir("bridge")
        .env("PYTHONPATH", "standin:.")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CAMBIST_BINARY", env!("CARGO_BIN_EXE_cambist"))
        .output()
        .unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{error}");
}

#[test]
fn an_order_happens_once() {
    python(&["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]);
}
