//! `cambist bridge`.

use std::sync::Arc;

use anyhow::Context;
use cambist_bridge::{Client, Settings};
use cambist_core::clock::SystemClock;

use crate::args::BridgeCommand;
use crate::output;

pub(crate) fn run(command: &BridgeCommand) -> anyhow::Result<()> {
    let BridgeCommand::Status { url, token_file, authority } = command;
    let token = match token_file {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => std::env::var("CAMBIST_BRIDGE_TOKEN")
            .ok()
            .context("give the bridge's token: --token-file, or CAMBIST_BRIDGE_TOKEN")?,
    };
    let settings = Settings { authority: authority.clone(), ..Settings::new(url, token.trim()) };
    let mut client = Client::new(settings, Arc::new(SystemClock::start()))?;
    let health = client.health()?;
    output::line(&format!(
        "terminal {}, trading {}, bridge {}",
        if health.connected { "connected" } else { "not connected" },
        if health.trading { "on" } else { "paused" },
        health.version
    ));
    health.paused.iter().for_each(|reason| output::line(&format!("paused    {reason}")));
    health
        .open_intents
        .iter()
        .for_each(|id| output::line(&format!("open      {id}: not known yet what became of it")));
    if let Some(holder) = health.lease_holder {
        output::line(&format!("lease     {} of {holder}", health.lease_token.unwrap_or_default()));
    }
    if !health.connected {
        anyhow::bail!("the bridge has no terminal: see that it runs and is logged in");
    }
    let account = client.account()?;
    output::line(&format!(
        "account   {} at {}: equity {:.2}, balance {:.2}, free {:.2} {}",
        account.login, account.server, account.equity, account.balance, account.margin_free, account.currency
    ));
    for held in client.positions()? {
        let side = if held.kind == 0 { "long" } else { "short" };
        let stop = if held.sl > 0.0 { format!("stop {}", held.sl) } else { "no stop".to_owned() };
        output::line(&format!(
            "position  {} {side} {} {} at {}, {stop}, profit {:.2}",
            held.ticket, held.volume, held.symbol, held.price_open, held.profit
        ));
    }
    Ok(())
}
