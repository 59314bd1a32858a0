//! The broker's rim: decimal prices and lots, as people and terminals write them, to the engine's whole ticks and lot steps and
//! back. Exact, or refused; this is the one place where it happens.

use std::str::FromStr;

pub use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::instrument::Instrument;

/// Why a number of the broker's world is not one of the engine's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RimError {
    /// The price is between two ticks.
    #[error("the price {price} is no multiple of the tick {tick}")]
    OffTick {
        /// The price.
        price: Decimal,
        /// The tick.
        tick: f64,
    },
    /// The volume is between two steps.
    #[error("rule 1: {lots} lots are no multiple of the lot step {step}")]
    OffStep {
        /// The volume.
        lots: Decimal,
        /// The step.
        step: f64,
    },
    /// Not a number at all.
    #[error("'{0}' is no decimal number")]
    NotANumber(String),
}

/// The decimal that `value` is written as: 0.1 is a tenth, not the nearest binary fraction.
fn as_written(value: f64) -> Decimal {
    let text = value.to_string();
    Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).unwrap_or_default()
}

/// `number` over `unit`, if that is whole.
fn whole(number: Decimal, unit: f64) -> Option<i64> {
    let ratio = number.checked_div(as_written(unit))?;
    (ratio == ratio.trunc()).then(|| ratio.to_i64()).flatten()
}

/// Reads a decimal number.
///
/// # Errors
/// When `text` is none.
pub fn decimal(text: &str) -> Result<Decimal, RimError> {
    Decimal::from_str(text.trim()).map_err(|_| RimError::NotANumber(text.to_owned()))
}

impl Instrument {
    /// Ticks of a price.
    ///
    /// # Errors
    /// When it lies between two.
    pub fn ticks_of(&self, price: Decimal) -> Result<i64, RimError> {
        whole(price, self.tick_size).ok_or(RimError::OffTick { price, tick: self.tick_size })
    }

    /// Steps of a volume in lots.
    ///
    /// # Errors
    /// When it lies between two.
    pub fn steps_of(&self, lots: Decimal) -> Result<i64, RimError> {
        whole(lots, self.lots.step).ok_or(RimError::OffStep { lots, step: self.lots.step })
    }

    /// The price of whole `ticks`.
    #[must_use]
    pub fn decimal_price(&self, ticks: i64) -> Decimal {
        (Decimal::from(ticks) * as_written(self.tick_size)).normalize()
    }

    /// The lots of `steps`.
    #[must_use]
    pub fn decimal_lots(&self, steps: i64) -> Decimal {
        (Decimal::from(steps) * as_written(self.lots.step)).normalize()
    }

    /// The float nearest to the price of `ticks`, as a program that writes decimals sends it.
    #[must_use]
    pub fn written_price(&self, ticks: i64) -> f64 {
        self.decimal_price(ticks).to_string().parse().unwrap_or_else(|_| self.to_price(ticks as f64))
    }

    /// The float nearest to the lots of `steps`.
    #[must_use]
    pub fn written_lots(&self, steps: i64) -> f64 {
        self.decimal_lots(steps).to_string().parse().unwrap_or_else(|_| self.to_lots(steps))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use super::*;
    use crate::presets;

    #[test]
    fn the_rim_is_exact_both_ways() {
        for name in presets::NAMES {
            let instrument = presets::instrument(name).unwrap();
            for number in [0, 1, 7, 99, 123_457, 6_912_345, -3, 1_000_000_007] {
                assert_eq!(instrument.ticks_of(instrument.decimal_price(number)), Ok(number), "{name}");
                assert_eq!(instrument.steps_of(instrument.decimal_lots(number)), Ok(number), "{name}");
                // Inside, the price is the double nearest to it.
                let written: f64 = instrument.decimal_price(number).to_string().parse().unwrap();
                let inside = instrument.to_price(number as f64);
                assert!(
                    (inside - written).abs() <= 1e-15 * written.abs().max(1.0),
                    "{name}: {inside} {written}"
                );
            }
        }
    }

    #[test]
    fn what_lies_between_is_refused() {
        let eurusd = presets::instrument("eurusd").unwrap();
        let read = |text| decimal(text).unwrap();
        assert_eq!(eurusd.ticks_of(read("1.10234")), Ok(110_234));
        assert_eq!(eurusd.steps_of(read("0.07")), Ok(7));
        let error = eurusd.ticks_of(read("1.102345")).unwrap_err();
        assert_eq!(error.to_string(), "the price 1.102345 is no multiple of the tick 0.00001");
        let error = eurusd.steps_of(read("0.0700000001")).unwrap_err();
        assert_eq!(error.to_string(), "rule 1: 0.0700000001 lots are no multiple of the lot step 0.01");
        assert!(matches!(decimal("much"), Err(RimError::NotANumber(_))));
        assert!(eurusd.steps_of(Decimal::MAX).is_err(), "too large to be counted");
    }
}
