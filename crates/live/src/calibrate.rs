//! What trading cost, from a journal, beside what training reckoned with: spread, slippage and the time orders took.

use std::path::Path;

use cambist_core::Bar;
use cambist_execution::Latency;
use serde::Serialize;

use crate::deployment::Deployment;
use crate::error::LiveError;
use crate::fills::Waiting;
use crate::journal::Journal;
use crate::market::Market;
use crate::words::Record;

/// Standard errors by which a difference must exceed chance to be called one.
const CERTAIN: f64 = 2.0;

/// One thing that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// What.
    pub what: &'static str,
    /// Mean.
    pub found: f64,
    /// Standard error of the mean.
    pub error: f64,
    /// Fills or bars it is the mean of.
    pub n: usize,
    /// What training reckoned with; none where it reckons with nothing of the kind.
    pub trained: Option<f64>,
    /// The field of `[broker]` to write it to.
    pub field: &'static str,
}

impl Measured {
    fn of(what: &'static str, values: &[f64], trained: Option<f64>, field: &'static str) -> Self {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n.max(1) as f64;
        let square: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
        let error = if n > 1 { (square / (n - 1) as f64 / n as f64).sqrt() } else { f64::INFINITY };
        Self { what, found: mean, error, n, trained, field }
    }

    /// Whether training was too kind, too hard, or neither for certain.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match self.trained {
            None => "",
            Some(trained) if self.found - trained > CERTAIN * self.error + 1e-9 => "training was too kind",
            Some(trained) if trained - self.found > CERTAIN * self.error + 1e-9 => "training was harder",
            Some(_) => "as in training",
        }
    }
}

/// What the journal in `folder` says of costs, held against its artefact, where it lies now if it was moved.
///
/// # Errors
/// When the journal is damaged, its artefact is not there, or nothing was filled.
pub fn calibrate(folder: &Path, artefact: Option<&Path>) -> Result<Vec<Measured>, LiveError> {
    let (mut trained, mut waiting) = (None, Waiting::default());
    let (mut spreads, mut slips, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    Journal::read(folder, |kept| {
        if let Record::Opened(opened) = &kept.record {
            trained = Some(Trained::new(Deployment::load(artefact.unwrap_or(&opened.artefact))?)?);
        }
        let Some(trained) = &mut trained else { return Ok(()) };
        for bar in kept.bars.iter().chain(kept.record.bar()) {
            spreads.extend(trained.sees(bar)?);
        }
        if let Record::Step { account, .. } = &kept.record {
            trained.quoted = Some(account.quote).filter(|quote| quote[1] > 0.0);
        }
        let filled = waiting.note(&kept.record);
        if let Some(quality) = filled.and_then(|filled| filled.quality(&trained.deployment)) {
            slips.push(quality.slippage_ticks);
            delays.push(quality.took_ms);
        }
        Ok(())
    })?;
    let Some(Trained { deployment, .. }) = trained.filter(|_| !slips.is_empty()) else {
        let what = format!(
            "the journal in {} has no fills that were quoted: there is nothing to measure",
            folder.display()
        );
        return Err(LiveError::Config(what));
    };
    let (found, reckoned): (Vec<f64>, Vec<f64>) = spreads.into_iter().unzip();
    let reckoned = (!reckoned.is_empty()).then(|| reckoned.iter().sum::<f64>() / reckoned.len() as f64);
    let listing = deployment.listing();
    let latency = match listing.latency {
        Latency::Millis(ms) => f64::from(ms),
        Latency::Bars(bars) => f64::from(bars) * f64::from(deployment.timeframe.seconds()) * 1e3,
    };
    Ok(vec![
        Measured::of("spread, ticks", &found, reckoned, "spread_ticks"),
        Measured::of("slippage, ticks", &slips, Some(listing.slippage.fixed), "slippage_ticks"),
        Measured::of("from decision to outcome, ms", &delays, Some(latency), "latency_ms"),
    ])
}

/// The market as training would have it.
struct Trained {
    deployment: Deployment,
    market: Market,
    /// Bid and ask at the last close, in ticks, which the next bar opens with.
    quoted: Option<[f64; 2]>,
}

impl Trained {
    fn new(deployment: Deployment) -> Result<Self, LiveError> {
        Ok(Self { market: Market::new(&deployment)?, deployment, quoted: None })
    }

    /// The spread that was quoted when `bar` opened, and the one that training gives it; none where nothing was quoted.
    fn sees(&mut self, bar: &Bar) -> Result<Option<(f64, f64)>, LiveError> {
        let seen = self.market.push(&self.deployment, bar)?;
        Ok(self.quoted.take().map(|quote| (quote[1] - quote[0], seen.event.spread as f64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_more_than_chance() {
        let of = |values: &[f64], trained| Measured::of("x", values, Some(trained), "f").verdict();
        assert_eq!(of(&[1.0, 1.2, 0.8, 1.1, 0.9], 1.0), "as in training");
        assert_eq!(of(&[3.0, 3.2, 2.8, 3.1, 2.9], 1.0), "training was too kind");
        assert_eq!(of(&[0.1, 0.2, 0.0, 0.1, 0.1], 1.0), "training was harder");
        assert_eq!(of(&[9.0], 1.0), "as in training", "one fill says nothing");
    }
}
