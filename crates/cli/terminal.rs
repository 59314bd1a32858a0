//! `cambist terminal`.

use std::net::TcpListener;
use std::sync::atomic::Ordering;

use anyhow::Context;
use cambist_lab::Layers;
use cambist_lab::terminal::{Faults, TerminalRequest, faults, open, serve};

use crate::args::{MachineArgs, TerminalCommand};
use crate::{output, progress};

pub(crate) fn run(command: &TerminalCommand, machine: &MachineArgs) -> anyhow::Result<()> {
    let TerminalCommand::Simulate { config, set, from, until, journal, login, listen, faults: weather } =
        command;
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
    Ok(serve(terminal, weather, &listener, &|| stop.load(Ordering::SeqCst))?)
}
