//! What an operator writes down of a live loop: limits, alerts, the bridge. Nothing in it has a default that costs money.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cambist_bridge::{Client, Settings};
use cambist_core::clock::Clock;
use serde::Deserialize;

use crate::alert::Webhook;
use crate::api::secret_of;
use crate::error::LiveError;
use crate::rules::Rules;
use crate::shared::Severity;

/// The file of `cambist serve --config`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveConfig {
    /// The loop's own limits.
    pub limits: Rules,
    /// The operator.
    pub operator: OperatorConfig,
    /// Alerts.
    pub alerts: Option<AlertConfig>,
    /// The bridge, for live trading.
    pub bridge: Option<BridgeConfig>,
}

/// `[operator]`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperatorConfig {
    /// Seconds without `POST /heartbeat` after which the loop kills itself; none for no such switch.
    pub silence_s: Option<u64>,
}

/// `[alerts]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertConfig {
    /// Takes a POST of the event as JSON.
    pub url: String,
    /// `info`, `warning` or `critical`.
    pub from: String,
    /// Seconds in which the same kind of event, as severe, is told once.
    pub cool_down_s: u64,
}

/// `[bridge]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeConfig {
    /// Where it listens.
    pub url: String,
    /// File of its token.
    pub token_file: PathBuf,
    /// PEM file of the authority that signed the bridge's certificate; for one that the machine trusts, none.
    pub authority: Option<PathBuf>,
    /// The broker's name of the instrument.
    pub symbol: String,
    /// Milliseconds between two looks for a bar.
    #[serde(default = "quarter")]
    pub poll_ms: u64,
    /// Seconds after which an order of which the bridge has never heard cannot come in any more: it refuses what waited for ten.
    #[serde(default = "twelve")]
    pub absent_after_s: u64,
    /// Seconds by which the bridge's clock may be ahead of ours before what it says is nonsense.
    #[serde(default = "two")]
    pub clock_ahead_s: u64,
}

impl BridgeConfig {
    /// A client of it.
    ///
    /// # Errors
    /// When its token or its authority cannot be read, or the address makes no sense.
    pub fn client(&self, clock: Arc<dyn Clock>) -> Result<Client, LiveError> {
        let token = secret_of(&self.token_file)?;
        let settings = Settings {
            authority: self.authority.clone(),
            skew: Duration::from_secs(self.clock_ahead_s),
            ..Settings::new(self.url.clone(), token)
        };
        Ok(Client::new(settings, clock)?)
    }
}

fn quarter() -> u64 {
    250
}

fn two() -> u64 {
    2
}

fn twelve() -> u64 {
    12
}

impl LiveConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, has a field that is unknown, or a limit that makes no sense.
    pub fn read(path: &Path) -> Result<Self, LiveError> {
        let failed = |reason: String| LiveError::Config(format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if let Some(fault) = config.limits.fault() {
            return Err(failed(fault));
        }
        config.webhook().map_err(failed)?;
        Ok(config)
    }

    /// Where alerts go.
    ///
    /// # Errors
    /// When the severity is none.
    pub fn webhook(&self) -> Result<Option<Webhook>, String> {
        let Some(AlertConfig { url, from, cool_down_s }) = &self.alerts else { return Ok(None) };
        let from = match from.as_str() {
            "info" => Severity::Info,
            "warning" => Severity::Warning,
            "critical" => Severity::Critical,
            other => return Err(format!("alerts.from is '{other}'; it must be info, warning or critical")),
        };
        let good = reqwest::Url::parse(url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !good {
            return Err(format!(
                "alerts.url is '{url}'; write where a POST goes, as http://127.0.0.1:9000/cambist"
            ));
        }
        Ok(Some(Webhook { url: url.clone(), from, cool_down: Duration::from_secs(*cool_down_s) }))
    }
}
