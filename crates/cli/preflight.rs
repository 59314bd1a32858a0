//! `cambist live preflight`.

use std::sync::Arc;

use anyhow::Context;
use cambist_core::clock::SystemClock;
use cambist_live::{Deployment, LiveConfig, preflight};

use crate::args::LiveCommand;
use crate::output;
use crate::table::with_notes;

pub(crate) fn run(command: &LiveCommand) -> anyhow::Result<()> {
    let LiveCommand::Preflight { artefact, config, account } = command else { return Ok(()) };
    let bridge = LiveConfig::read(config)?.bridge.context("the config has no section [bridge]")?;
    let deployment = Deployment::load(artefact)?;
    let mut client = bridge.client(Arc::new(SystemClock::start()))?;
    let told = client.account()?;
    anyhow::ensure!(told.login == *account, "the terminal is logged in to {}, not to {account}", told.login);
    let checks = preflight(&deployment, &told, &client.symbol(&bridge.symbol)?);
    let rows = checks.iter().map(|check| {
        let verdict = if check.good { "good".to_owned() } else { format!("differs: {}", check.meaning) };
        vec![check.field.to_owned(), check.trained.clone(), check.broker.clone(), verdict]
    });
    let head = ["field", "trained at", "broker", ""].map(str::to_owned);
    output::line(&with_notes(&head, &rows.collect::<Vec<_>>()));
    let bad = checks.iter().filter(|check| !check.good).count();
    anyhow::ensure!(bad == 0, "{bad} fields differ from what the policy was trained at");
    Ok(())
}
