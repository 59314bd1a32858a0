//! `cambist terminal`.

use std::net::TcpListener;
use std::sync::atomic::Ordering;

use anyhow::Context;
use cambist_core::clock::SystemClock;
use cambist_lab::Layers;
use cambist_lab::terminal::{Pace, TerminalRequest, open, serve};

use crate::args::{MachineArgs, TerminalCommand};
use crate::{output, progress};

pub(crate) fn run(command: &TerminalCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let TerminalCommand::Simulate { config, set, from, until, journal, login, listen, pace } = command;
    let pace = match pace.as_str() {
        "virtual" => Pace::Virtual,
        times => match times.parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Pace::Times(times),
            _ => anyhow::bail!(
                "--pace is '{times}': write 'virtual', or how many times as fast as the wall clock"
            ),
        },
    };
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
    Ok(serve(terminal, &listener, pace, &SystemClock::start(), &|| stop.load(Ordering::SeqCst))?)
}
