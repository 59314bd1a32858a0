//! A simulated terminal on the bars of a config: `cambist terminal simulate`.

use std::path::Path;
use std::sync::Arc;

use cambist_core::{MarketTape, UnixNanos};
use cambist_market::Execution;
use cambist_terminal::Setup;
pub use cambist_terminal::{Faults, Pace, Terminal, serve};

use crate::config::{Config, DataSource, ExecutionSetup, Layers};
use crate::error::LabError;
use crate::execution::execution;
use crate::market::Market;

/// What a terminal is opened on, beside its config.
#[derive(Debug, Clone, Copy)]
pub struct TerminalRequest<'a> {
    /// The account is opened at the close of the last bar before this time, UTC.
    pub from: &'a str,
    /// The tape ends with the last bar that closes by this time, UTC; with the data when it is none.
    pub until: Option<&'a str>,
    /// Number of the account.
    pub login: u64,
    /// File of what was asked, to go on from.
    pub journal: Option<&'a Path>,
}

/// The faults that the TOML file `path` asks for.
///
/// # Errors
/// When it cannot be read, or a number is not what it stands for.
pub fn faults(path: &Path) -> Result<Faults, LabError> {
    let failed = |reason: String| LabError::Faults { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let faults: Faults = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
    faults.check().map_err(failed)?;
    Ok(faults)
}

/// Opens a terminal of the config's broker on its bars. Sealed rows are not among them.
///
/// # Errors
/// When the config has no `[broker]`, the data are not there, the times hold no bars, or the journal is another's.
pub fn open(layers: &Layers, data: &Path, request: &TerminalRequest<'_>) -> Result<Terminal, LabError> {
    let config = Config::validate(layers.resolve()?)?;
    let (mut tape, mut finer) = Market::bars(&config, data)?;
    tape.truncate(request.end(&tape)?);
    if let Some(finer) = &mut finer {
        finer.truncate(request.end(finer)?);
    }
    on_tape(&config, &tape, finer.as_ref(), data, request)
}

impl TerminalRequest<'_> {
    /// Bars of `tape` until it ends.
    pub(crate) fn end(&self, tape: &MarketTape) -> Result<usize, LabError> {
        let until = self.until.map(time).transpose()?.unwrap_or(UnixNanos(i64::MAX));
        let bar = tape.timeframe.nanos();
        Ok(tape.open_time.partition_point(|&open| open.saturating_add(bar) <= until.0))
    }
}

pub(crate) fn time(text: &str) -> Result<UnixNanos, LabError> {
    UnixNanos::parse(text).ok_or_else(|| LabError::Time(text.to_owned()))
}

/// Opens a terminal on `tape`, whose prices are those of the `finer` bars it is made of, if there are any.
pub(crate) fn on_tape(
    config: &Config,
    tape: &MarketTape,
    finer: Option<&MarketTape>,
    data: &Path,
    request: &TerminalRequest<'_>,
) -> Result<Terminal, LabError> {
    let traded = execution(config, tape, finer, data)?;
    let (ExecutionSetup::Broker(broker), Execution::Full(full)) = (&config.execution, &traded) else {
        return Err(LabError::NoBroker);
    };
    let from = time(request.from)?;
    let symbol = match &config.source {
        DataSource::Store { symbol, .. } => symbol.0.clone(),
        DataSource::Synthetic(_) => broker.listing.instrument.name.to_uppercase(),
    };
    let (bars, rates) = match &full.finer {
        None => (Arc::clone(&full.events), Arc::clone(&full.rates)),
        Some(finer) => {
            let parts = finer.starts.windows(2).zip(full.rates.iter());
            let rates = parts.flat_map(|(ends, rate)| std::iter::repeat_n(*rate, ends[1] - ends[0]));
            (Arc::clone(&finer.events), rates.collect())
        }
    };
    let setup = Setup {
        rules: full.rules.clone(),
        symbol,
        history: bars.partition_point(|bar| bar.open_time < from),
        bars,
        chart: Arc::clone(&full.events),
        rates,
        seconds: tape.timeframe.seconds(),
        balance: config.initial_cash(),
        currency: config.raw.broker.as_ref().map_or(String::new(), |broker| broker.deposit_currency.clone()),
        login: request.login,
    };
    Ok(Terminal::open(setup, request.journal)?)
}
