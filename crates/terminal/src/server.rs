//! The terminal as a process: JSON lines over a socket on this machine.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cambist_core::UnixNanos;
use cambist_core::clock::Clock;
use serde::Deserialize;
use serde_json::json;

use crate::faults::{Faults, Reply, Weather};
use crate::terminal::Terminal;

/// A terminal cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {source}")]
pub struct ServeError {
    address: String,
    source: std::io::Error,
}

/// Time that passes by itself, at a multiple of the wall clock's.
pub struct Pace {
    clock: Arc<dyn Clock>,
    speed: f64,
    latency: Duration,
    since: (UnixNanos, Duration),
}

impl Pace {
    /// `speed` times as fast as `clock` runs, from the time of `terminal` on; orders are under way for `latency` of the tape's time.
    #[must_use]
    pub fn new(terminal: &Terminal, clock: Arc<dyn Clock>, speed: f64, latency: Duration) -> Self {
        let since = (terminal.now(), clock.elapsed());
        Self { clock, speed, latency, since }
    }

    fn now(&self) -> UnixNanos {
        let passed = self.clock.elapsed().saturating_sub(self.since.1).as_secs_f64() * self.speed;
        UnixNanos(self.since.0.0.saturating_add((passed * 1e9) as i64))
    }

    /// How long a call is under way, on the wall clock.
    fn under_way(&self, call: &str) -> Duration {
        if call == "order_send" { self.latency.div_f64(self.speed) } else { Duration::ZERO }
    }
}

/// What a call is named.
#[derive(Deserialize)]
struct Named {
    call: String,
}

/// Longest line that is read.
const LONGEST: u64 = 64 * 1024;
/// How often somebody is asked whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Most connections at once.
const CONNECTIONS: usize = 64;

/// Serves `terminal` at `listener`, each connection on a thread of its own and every call for itself, until `stop`, with `faults` on
/// the lines; with a `pace` time passes by itself, without one who simulates lets it. Who connects while there are too many already is hung up on.
///
/// # Errors
/// When the socket cannot be listened at.
pub fn serve(
    terminal: Terminal,
    faults: Faults,
    pace: Option<&Pace>,
    listener: &TcpListener,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_or(String::new(), |address| address.to_string());
    listener.set_nonblocking(true).map_err(|source| ServeError { address, source })?;
    let (terminal, connected) = (Mutex::new((terminal, Weather::new(faults))), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        while !stop() {
            // No connection yet, or none to be had now: a failure of one is no failure of the others.
            let Ok((stream, _)) = listener.accept() else {
                std::thread::sleep(PATIENCE / 10);
                continue;
            };
            let (terminal, connected) = (&terminal, &connected);
            if connected.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
                connected.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let talk = move || {
                // Who hangs up in the middle of a line has nothing more to say.
                let _ = converse(&stream, terminal, pace, stop);
                connected.fetch_sub(1, Ordering::SeqCst);
            };
            if std::thread::Builder::new().spawn_scoped(scope, talk).is_err() {
                connected.fetch_sub(1, Ordering::SeqCst);
            }
        }
    });
    Ok(())
}

fn converse(
    stream: &TcpStream,
    terminal: &Mutex<(Terminal, Weather)>,
    pace: Option<&Pace>,
    stop: &(dyn Fn() -> bool + Sync),
) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(50 * PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let mut writer = stream;
    // Restarts before this line's first call.
    let mut begun = None;
    while !stop() {
        let room = LONGEST.saturating_sub(line.len() as u64);
        match std::io::Read::take(&mut reader, room).read_until(b'\n', &mut line) {
            Ok(0) if room == 0 => {
                writer.write_all(b"{\"error\":[-2,\"Invalid arguments: the line is too long\"]}\n")?;
                return Ok(());
            }
            Ok(0) => return Ok(()),
            Ok(_) if line.ends_with(b"\n") => {
                let text = String::from_utf8_lossy(&line);
                let name = serde_json::from_str::<Named>(text.trim()).map_or(String::new(), |own| own.call);
                std::thread::sleep(pace.map_or(Duration::ZERO, |pace| pace.under_way(&name)));
                let reply = {
                    let mut guard = terminal.lock().unwrap_or_else(PoisonError::into_inner);
                    let (terminal, weather) = &mut *guard;
                    let restarts = weather.restarts();
                    if *begun.get_or_insert(restarts) != restarts && !Weather::is_simulators(&name) {
                        return Ok(());
                    }
                    let passed = pace.map_or(Ok(()), |pace| terminal.drift(pace.now()));
                    match (passed, pace) {
                        (Err(error), _) => {
                            Reply::Say(json!({ "error": [-1, error.to_string()] }), Duration::ZERO)
                        }
                        (Ok(()), Some(_)) if name == "advance" => {
                            let why = "time passes by itself here: begin the terminal without --speed";
                            Reply::Say(json!({ "error": [-2, why] }), Duration::ZERO)
                        }
                        _ => weather.call(terminal, text.trim()),
                    }
                };
                let Reply::Say(answer, after) = reply else { return Ok(()) };
                std::thread::sleep(after);
                writer.write_all(format!("{answer}\n").as_bytes())?;
                line.clear();
            }
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
