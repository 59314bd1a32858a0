//! `cambist terminal`.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use cambist_core::clock::{Clock, SystemClock};
use cambist_lab::Layers;
use cambist_lab::terminal::{Faults, Pace, TerminalRequest, faults, open, serve};

use crate::args::{MachineArgs, TerminalCommand};
use crate::{output, progress};

pub(crate) fn run(command: &TerminalCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let TerminalCommand::Simulate {
        config,
        set,
        from,
        until,
        journal,
        login,
        listen,
        speed,
        latency_ms,
        faults: weather,
    } = command;
    if let Some(speed) = speed.filter(|speed| !is_a_pace(*speed)) {
        anyhow::bail!("--speed is {speed}; it must be from 0.001 to 1e9, or left out");
    }
    let weather = weather.as_deref().map_or(Ok(Faults::default()), faults)?;
    let layers = Layers::read(config.as_deref(), set)?;
    let request =
        TerminalRequest { from, until: until.as_deref(), login: *login, journal: journal.as_deref() };
    let terminal = open(&layers, &machine.data_dir, &request)?;
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen at {listen}"))?;
    let stop = progress::interruption("stopping: again to stop at once")?;
    output::line(&format!(
        "{} of account {} at {}, {} on the tape; Ctrl-C ends it",
        terminal.setup().symbol,
        login,
        listener.local_addr()?,
        terminal.now()
    ));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let pace = speed.map(|speed| Pace::new(&terminal, clock, speed, Duration::from_millis(*latency_ms)));
    Ok(serve(terminal, weather, pace.as_ref(), &listener, &|| stop.load(Ordering::SeqCst))?)
}

/// Whether time can pass at this multiple of the wall clock's.
pub(crate) fn is_a_pace(speed: f64) -> bool {
    (1e-3..=1e9).contains(&speed)
}
