//! The stand-in of the package MetaTrader5 over a terminal that runs as a process of its own, is killed, and begins again.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Served(Child, String);

impl Served {
    fn begin(journal: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cambist"))
            .args([
                "terminal",
                "simulate",
                "configs/btc_broker.toml",
                "--from",
                "2023-03-10",
                "--listen",
                "127.0.0.1:0",
            ])
            .args([
                "--set",
                "data.source=synthetic",
                "--set",
                "data.kind=regime",
                "--set",
                "data.start=2022-06-01",
            ])
            .args([
                "--set",
                "data.n_bars=20000",
                "--set",
                "broker.spread=fixed",
                "--set",
                "broker.spread_ticks=3",
            ])
            .args(["--set", "broker.slippage_ticks=1", "--set", "windows.train_until=2022-12-01"])
            .args(["--set", "windows.validation_until=2023-01-01", "--set", "windows.test_until=2023-06-01"])
            .args([
                "--set",
                "windows.sealed_from=2024-09-01",
                "--set",
                "broker.books=hedging",
                "--set",
                "broker.latency_ms=0",
                "--journal",
            ])
            .arg(journal)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.split_whitespace().find_map(|word| word.strip_suffix(',').filter(|w| w.contains(':')));
        let address = address.unwrap().to_owned();
        Self(child, address)
    }

    fn speak(&self, mode: &str, state: &Path) {
        let tools = std::env::var("CAMBIST_TOOLS").unwrap_or_else(|_| ".venv".to_owned());
        let output = Command::new(format!("{tools}/bin/python"))
            .arg("scripts/check_standin.py")
            .arg(mode)
            .arg(state)
            .env("PYTHONPATH", "bridge/standin")
            .env("CAMBIST_TERMINAL", &self.1)
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("as the package would"), "{said}");
    }
}

impl Drop for Served {
    /// As `kill -9` does.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_client_of_the_package_trades_a_terminal_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, state) = (folder.path().join("journal.jsonl"), folder.path().join("books.json"));
    let served = Served::begin(&journal);
    served.speak("trade", &state);
    drop(served);
    Served::begin(&journal).speak("again", &state);
}

#[test]
fn what_makes_no_terminal_is_refused() {
    let refused = |args: &[&str], words: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_cambist")).args(["terminal", "simulate"]).args(args).output();
        let output = output.unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        for word in words {
            assert!(error.contains(word), "{args:?}: '{word}' is not in: {error}");
        }
    };
    let made_up = ["--set", "data.n_bars=20000", "--listen", "127.0.0.1:0", "--from"];
    refused(&[&made_up[..], &["2019-01-01"]].concat(), &["[broker]", "[execution]"]);
    let broker = ["configs/reference_broker.toml", "--set", "broker.latency_ms=0"];
    refused(&[&broker[..], &made_up, &["yesterday"]].concat(), &["yesterday"]);
    refused(&[&broker[..], &made_up, &["1980-01-01"]].concat(), &["0 are history"]);
    refused(&[&broker[..1], &made_up, &["2021-01-01"]].concat(), &["broker.latency_ms"]);
}
