//! The live loop's own limits and holds, beside the artefact's gate: the stricter of both holds.

use cambist_risk::GateLimits;
use serde::{Deserialize, Serialize};

/// What must hold for an entry. None is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Largest |value| of a position over equity.
    pub max_exposure: Option<f64>,
    /// Largest position, in lots.
    pub max_lots: Option<f64>,
    /// Orders in any sixty minutes, those that reduce apart.
    pub orders_per_hour: Option<u32>,
    /// Share of a day's first equity that may be lost on it.
    pub daily_loss: Option<f64>,
    /// Share of the highest equity seen that may be lost.
    pub drawdown: Option<f64>,
    /// Seconds after its close from which a bar is too old to be decided on.
    pub stale_after: Option<f64>,
    /// Ask minus bid, in ticks, from which nothing is opened.
    pub max_spread: Option<f64>,
    /// Seconds by which a bar may close ahead of our clock.
    pub clock_skew: Option<f64>,
    /// Seconds that an entry's stop may be missing at the broker before the position is closed.
    pub stop_grace: Option<f64>,
    /// Whether a kill leaves what is held as it is, instead of closing it.
    pub kill_freezes: bool,
}

impl Rules {
    /// What is wrong with them, if anything is.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let numbers = [
            ("max_exposure", self.max_exposure, 1e6),
            ("max_lots", self.max_lots, 1e9),
            ("daily_loss", self.daily_loss, 1.0),
            ("drawdown", self.drawdown, 1.0),
            ("stale_after", self.stale_after, 1e9),
            ("max_spread", self.max_spread, 1e9),
            ("clock_skew", self.clock_skew, 1e9),
            ("stop_grace", self.stop_grace, 1e9),
        ];
        let bad = numbers.iter().find(|(_, value, most)| value.is_some_and(|v| !(v > 0.0 && v <= *most)));
        bad.map(|(name, value, most)| {
            format!("limits.{name} is {}; it must be above 0 and at most {most}", value.unwrap_or(f64::NAN))
        })
    }

    /// As limits of a gate.
    #[must_use]
    pub fn gate(&self, clock: cambist_core::ServerClock) -> GateLimits {
        GateLimits {
            max_exposure: self.max_exposure,
            orders_per_hour: self.orders_per_hour,
            daily_loss: self.daily_loss,
            clock,
            drawdown: self.drawdown,
            stale_after: None,
        }
    }

    /// Sets one by its name.
    ///
    /// # Errors
    /// What can be set, or why the value cannot be.
    pub fn set(&mut self, name: &str, value: Option<f64>) -> Result<(), String> {
        let mut changed = *self;
        match name {
            "max_exposure" => changed.max_exposure = value,
            "max_lots" => changed.max_lots = value,
            "orders_per_hour" => {
                if let Some(bad) = value.filter(|v| !(0.0..=1e6).contains(v) || v.fract() != 0.0) {
                    return Err(format!(
                        "limits.orders_per_hour is {bad}; it must be a whole number from 0 to 1000000"
                    ));
                }
                changed.orders_per_hour = value.map(|v| v as u32);
            }
            "daily_loss" => changed.daily_loss = value,
            "drawdown" => changed.drawdown = value,
            "stale_after" => changed.stale_after = value,
            "max_spread" => changed.max_spread = value,
            _ => {
                return Err(format!(
                    "there is no limit '{name}': max_exposure, max_lots, orders_per_hour, daily_loss, drawdown, stale_after, max_spread"
                ));
            }
        }
        match changed.fault() {
            Some(fault) => Err(fault),
            None => {
                *self = changed;
                Ok(())
            }
        }
    }
}
