//! What several tests need: a PostgreSQL of one's own, Python, and the command.

#![allow(dead_code, clippy::unwrap_used, reason = "every test uses some of it, and a test may fail")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A gate whose limits anything meets.
pub(crate) const OPEN_GATE: &str = include_str!("../../bridge/storm/gate.toml");

pub(crate) fn cambist(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args(args).current_dir(folder);
    command
}

pub(crate) fn works(folder: &Path, args: &[&str]) -> String {
    let output = cambist(folder, args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What is said when it is refused: one line, and the exit of an error.
pub(crate) fn refused(folder: &Path, args: &[&str]) -> String {
    let output: Output = cambist(folder, args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output.stdout));
    let said = text(&output.stderr);
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said
}

/// The run of a policy that trades at nearly every bar, with stops, in an account that nets or hedges; by `policy.toml` in `folder`, if it
/// is there.
pub(crate) fn trader(folder: &Path, books: &str, sets: &[&str]) -> PathBuf {
    if !folder.join("policy.toml").exists() {
        std::fs::copy(root().join("bridge/storm/policy.toml"), folder.join("policy.toml")).unwrap();
    }
    let books = format!("broker.books={books}");
    let sets = [books.as_str(), "broker.stop_loss_atr=1.0"].into_iter().chain(sets.iter().copied());
    let sets: Vec<&str> = sets.flat_map(|set| ["--set", set]).collect();
    works(folder, &[&["train", "policy.toml", "--quiet"], &sets[..]].concat());
    let runs = std::fs::read_dir(folder.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    runs.filter(|path| path.join("artefact").is_dir()).max().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that `scripts/setup_tests.sh` made.
pub(crate) fn python() -> Command {
    let tools = std::env::var_os("CAMBIST_TOOLS").map_or_else(|| root().join(".venv"), PathBuf::from);
    let python = tools.join("bin/python");
    assert!(python.is_file(), "{} is not there: run scripts/setup_tests.sh", python.display());
    Command::new(python)
}

/// What a Python script prints, as JSON.
pub(crate) fn json_of(script: &str, args: &[&str]) -> serde_json::Value {
    let output = python().arg(root().join("scripts").join(script)).args(args).output().unwrap();
    assert!(output.status.success(), "{script} {args:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A PostgreSQL cluster of one's own, gone when it is dropped.
pub(crate) struct Postgres {
    server: Child,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("cluster");
        std::fs::create_dir(&place).unwrap();
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if root {
            // The server refuses to run as root.
            for path in [folder.path(), &place] {
                assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
            }
        }
        let run = |program: &str| {
            let path = Self::program(program);
            if root {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(path);
                command
            } else {
                Command::new(path)
            }
        };
        let made = run("initdb")
            .args(["-U", "cambist", "--auth=trust", "--no-sync", "-D"])
            .arg(&place)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", text(&made.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = run("postgres")
            .arg("-D")
            .arg(&place)
            .arg("-k")
            .arg(&place)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "timezone=UTC", "-p"])
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cluster = Self { server, _folder: folder, port };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster
    }

    fn program(name: &str) -> PathBuf {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
        let mut places: Vec<PathBuf> =
            versions.map(|v| v.path().join("bin").join(name)).filter(|p| p.is_file()).collect();
        places.sort();
        places.pop().unwrap_or_else(|| name.into())
    }

    /// Of a fresh database.
    pub(crate) fn url(&self, name: &str) -> String {
        let made = Command::new(Self::program("createdb"))
            .args(["-h", "127.0.0.1", "-U", "cambist", "-p", &self.port.to_string(), name])
            .output()
            .unwrap();
        assert!(made.status.success(), "createdb: {}", text(&made.stderr));
        format!("postgresql://cambist@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT ends the server at once and cleanly; runuser passes it on.
        let _ = Command::new("pkill").args(["-INT", "-f", &format!("postgres.*-p {}", self.port)]).status();
        let _ = self.server.wait();
    }
}
