//! The terminal as a process: JSON lines over a socket on this machine.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cambist_core::UnixNanos;
use cambist_core::clock::Clock;

use crate::calls::call;
use crate::terminal::Terminal;

/// How time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Only when it is told to.
    Virtual,
    /// So many times as fast as the wall clock.
    Times(f64),
}

/// A terminal cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {address}: {source}")]
pub struct ServeError {
    action: &'static str,
    address: String,
    source: std::io::Error,
}

/// Longest line that is read.
const LONGEST: u64 = 64 * 1024;
/// How often somebody is asked whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// Serves `terminal` at `listener`, each connection on a thread of its own and every call for itself, until `stop`.
///
/// # Errors
/// When the socket fails.
pub fn serve(
    terminal: Terminal,
    listener: &TcpListener,
    pace: Pace,
    clock: &dyn Clock,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_or(String::new(), |address| address.to_string());
    let failed = |action| {
        let address = address.clone();
        move |source| ServeError { action, address, source }
    };
    listener.set_nonblocking(true).map_err(failed("listen at"))?;
    let (first, begun) = (terminal.now(), clock.elapsed());
    let terminal = Mutex::new(terminal);
    let now = || match pace {
        Pace::Virtual => None,
        Pace::Times(times) => {
            let passed = (clock.elapsed() - begun).as_secs_f64() * times;
            Some(UnixNanos(first.0 + (passed * 1e9) as i64))
        }
    };
    std::thread::scope(|scope| {
        while !stop() {
            match listener.accept() {
                Ok((stream, _)) => {
                    let (terminal, now) = (&terminal, &now);
                    scope.spawn(move || {
                        // Who hangs up in the middle of a line has nothing more to say.
                        let _ = converse(&stream, terminal, now, stop);
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::sleep(PATIENCE / 10)
                }
                Err(error) => return Err(failed("listen at")(error)),
            }
        }
        Ok(())
    })
}

fn converse(
    stream: &TcpStream,
    terminal: &Mutex<Terminal>,
    now: &(dyn Fn() -> Option<UnixNanos> + Sync),
    stop: &(dyn Fn() -> bool + Sync),
) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    let mut writer = stream;
    while !stop() {
        let room = LONGEST.saturating_sub(line.len() as u64);
        match std::io::Read::take(&mut reader, room).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) if line.ends_with(b"\n") => {
                let text = String::from_utf8_lossy(&line);
                let mut answer = {
                    let mut terminal = terminal.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(now) = now() {
                        terminal.advance(now);
                    }
                    call(&mut terminal, text.trim()).to_string()
                };
                answer.push('\n');
                writer.write_all(answer.as_bytes())?;
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
