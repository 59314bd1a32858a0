//! `cambist serve`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use cambist_bridge::Client;
use cambist_core::clock::{Clock, SystemClock};
use cambist_lab::Promotions;
use cambist_lab::live::{Pace, Paper, PaperRequest};
use cambist_lab::signing::PublicKey;
use cambist_live::api::{self, MayTrade, Secrets, secret_of};
use cambist_live::words::Command;
use cambist_live::{
    Alerts, Asked, Deployment, LiveConfig, LiveError, Mode, Mt5, Seat, Session, Settings, Shared, Venue,
    artefacts, preflight,
};

use crate::args::{MachineArgs, ServeArgs};
use crate::{output, progress};

/// How often is looked whether what decides may still trade: promotions expire, and are revoked.
const VERIFY: Duration = Duration::from_secs(60);
/// What trades where nothing else is named.
const REFERENCE: &str = "checkpoints/btc-minutes";

pub(crate) fn run(args: &ServeArgs, machine: &MachineArgs) -> anyhow::Result<()> {
    let config = args.config.as_deref().map_or(Ok(LiveConfig::default()), LiveConfig::read)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let known = artefacts(&args.state)?;
    let artefact = match (&args.artefact, &known) {
        (Some(given), _) => given.clone(),
        (None, Some([_, deciding])) => deciding.clone(),
        (None, None) => PathBuf::from(REFERENCE),
    };
    let deployment = Arc::new(Deployment::load(&artefact)?);
    let may_trade = may_trade(args, machine, &clock)?;
    may_trade(&deployment.hash).map_err(|reason| anyhow::anyhow!(reason))?;
    let settings = Settings {
        folder: args.state.clone(),
        mode: if args.live { "live" } else { "paper" },
        rules: config.limits,
        dead_man: config.operator.silence_s.map(Duration::from_secs),
        shadow: args.shadow.clone(),
    };
    let webhook = config.webhook().map_err(anyhow::Error::msg)?;
    let shared = Shared::new(
        Arc::clone(&deployment),
        Alerts::new(webhook, Arc::clone(&clock), args.state.clone()),
        args.state.clone(),
    );
    if args.live {
        let bridge = config.bridge.context("--live needs the section [bridge] in --config")?;
        let mut client = bridge.client(Arc::clone(&clock))?;
        let grace = config.limits.stop_grace.is_some() || deployment.terms.tickets.stop_ranges.is_none();
        anyhow::ensure!(
            grace,
            "the policy's entries carry stops: write limits.stop_grace, the seconds after which a position whose stop is gone is closed"
        );
        ready(&deployment, &mut client, &bridge.symbol)?;
        std::fs::create_dir_all(&args.state)
            .with_context(|| format!("cannot make {}", args.state.display()))?;
        let seat = Seat {
            symbol: bridge.symbol.clone(),
            account: args.account.context("--live needs --account")?,
            holder: format!("cambist serve {}", args.state.display()),
            lease_file: args.state.join("lease"),
            poll: Duration::from_millis(bridge.poll_ms),
            absent_after: Duration::from_secs(bridge.absent_after_s),
        };
        let venue = Mt5::open(client, Arc::clone(&deployment), seat, Arc::clone(&clock))?;
        return turn(args, settings, deployment, venue, shared, clock, may_trade).map(drop);
    }
    anyhow::ensure!(
        args.speed == 0.0 || crate::terminal::is_a_pace(args.speed),
        "--speed is {}; it must be from 0.001 to 1e9, or 0 for as fast as it goes",
        args.speed
    );
    std::fs::create_dir_all(&args.state).with_context(|| format!("cannot make {}", args.state.display()))?;
    let terminal = args.state.join("terminal.jsonl");
    let request = PaperRequest {
        from: &args.from,
        until: args.until.as_deref(),
        pace: if args.speed > 0.0 { Pace::Wall(args.speed) } else { Pace::Virtual },
        latency: Duration::from_millis(args.latency_ms),
        login: args.account.unwrap_or(1),
        journal: Some(&terminal),
        sets: &args.set,
    };
    // The account is at the broker that the journal began with, whoever decides now.
    let traded = match known {
        Some([first, _]) => Deployment::load(&first)?,
        None => deployment.as_ref().clone(),
    };
    let venue = Paper::open(&traded, &machine.data_dir, &request, Arc::clone(&clock))?;
    turn(args, settings, deployment, venue, shared, clock, may_trade)
}

/// Refuses an account on which orders would be something else than they were in training.
fn ready(deployment: &Deployment, client: &mut Client, symbol: &str) -> anyhow::Result<()> {
    let checks = preflight(deployment, &client.account()?, &client.symbol(symbol)?);
    let worst = checks.iter().find(|check| check.decides && !check.good);
    match worst {
        None => Ok(()),
        Some(check) => anyhow::bail!(
            "{} is {} at the broker, {} in training: {}; `cambist live preflight` shows all",
            check.field,
            check.broker,
            check.trained,
            check.meaning
        ),
    }
}

/// Whether an artefact may trade here: on paper any, live one with a promotion that holds.
fn may_trade(args: &ServeArgs, machine: &MachineArgs, clock: &Arc<dyn Clock>) -> anyhow::Result<MayTrade> {
    if !args.live {
        return Ok(Arc::new(|_| Ok(())));
    }
    let trusted = args.trust.iter().map(|key| PublicKey::parse(key)).collect::<Result<Vec<_>, _>>()?;
    let (promotions, clock) = (Promotions::of(&machine.runs_dir), Arc::clone(clock));
    Ok(Arc::new(move |hash| {
        let said = |error: LiveError| error.to_string();
        let read = || -> Result<_, LiveError> { Ok((promotions.list()?, promotions.revocations()?)) };
        let (signed, revoked) = read().map_err(said)?;
        let own: Vec<_> = signed.iter().filter(|one| one.record.artefact == hash).collect();
        let verdicts = own.iter().map(|one| one.verify(hash, &trusted, &revoked, clock.now()));
        match verdicts.reduce(Result::or) {
            None => Err(said(LiveError::NotPromoted(hash.to_owned()))),
            Some(verdict) => verdict.map_err(|error| said(error.into())),
        }
    }))
}

fn turn<V: Venue>(
    args: &ServeArgs,
    settings: Settings,
    deployment: Arc<Deployment>,
    venue: V,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    may_trade: MayTrade,
) -> anyhow::Result<()> {
    let say = |text: String| {
        if !args.quiet {
            output::line(&text);
        }
    };
    let mode = settings.mode;
    // Whatever may be wrong with these is found before anybody else is kept from trading.
    let socket = api::bind(&args.listen)?;
    let token = token(args)?;
    let totp = args.totp_file.as_deref().map(secret_of).transpose()?;
    let used = args.state.join("totp.used");
    let secrets = Secrets::new(&token, totp.as_deref(), used, Arc::clone(&may_trade))?;
    let stop = progress::interruption("stopping after this bar: again to stop at once")?;
    let mut session = Session::open(settings, deployment, venue, Arc::clone(&shared), Arc::clone(&clock))?;
    let server = api::serve(Arc::clone(&shared), secrets, Arc::clone(&clock), socket)
        .inspect_err(|_| session.end())?;
    let mut verified = clock.elapsed();
    let opened = session.engine().opened();
    say(format!(
        "{mode} trading of {} in account {}, policy {}, journal {} ({} records)",
        opened.symbol,
        opened.account,
        session.engine().deployment().hash.get(..12).unwrap_or_default(),
        args.state.display(),
        session.journal().n_records(),
    ));
    say(format!("API at http://{}; its token is in {}", server.address, token_path(args).display()));
    let mut said = 0;
    loop {
        let more = !stop.load(Ordering::SeqCst) && session.turn()?;
        for decision in shared.decisions(1).iter().filter(|d| d.close.0 > said) {
            if !decision.intents.is_empty() {
                say(format!(
                    "{}  {}  target {:+.2}  equity {:.2}  {}",
                    decision.close, decision.id, decision.target, decision.equity, decision.reason
                ));
            }
        }
        said = session.engine().close().0;
        if clock.elapsed().saturating_sub(verified) >= VERIFY {
            verified = clock.elapsed();
            let engine = session.engine();
            if let (Mode::Running, Err(why)) = (&engine.standing().mode, may_trade(&engine.deployment().hash))
            {
                pause(&shared, why)?;
            }
        }
        if !more {
            break;
        }
    }
    session.end();
    let status = shared.status();
    say(format!(
        "at {}: equity {:.2}, balance {:.2}, {} lots",
        status.close, status.equity, status.balance, status.lots
    ));
    Ok(())
}

/// Lets the loop open nothing more, at its next turn.
fn pause(shared: &Shared, why: String) -> anyhow::Result<()> {
    let (answer, _) = std::sync::mpsc::sync_channel(1);
    let by = "the promotion".to_owned();
    let asked = Asked { command: Command::Pause, by, why, given_up: Arc::default(), answer };
    shared.post(asked).map_err(anyhow::Error::msg)
}

fn token_path(args: &ServeArgs) -> std::path::PathBuf {
    args.token_file.clone().unwrap_or_else(|| args.state.join("token"))
}

/// The API's token, made if there is none.
fn token(args: &ServeArgs) -> anyhow::Result<String> {
    let path = token_path(args);
    if args.token_file.is_none() && !path.exists() {
        make_token(&path)?;
    }
    Ok(secret_of(&path)?)
}

fn make_token(path: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    let token = cambist_lab::signing::random_hex()?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(|| format!("cannot make {}", path.display()))?;
    writeln!(file, "{token}")?;
    Ok(())
}
