//! What trading cost, from a journal, beside what training reckoned with: spread, slippage and the time orders took.

use std::collections::BTreeMap;
use std::path::Path;

use cambist_bridge::{OrderId, Outcome};
use cambist_core::UnixNanos;
use serde::Serialize;

use crate::deployment::Deployment;
use crate::error::LiveError;
use crate::journal::Journal;
use crate::words::{Intent, Record};

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
    let mut deployment = None;
    let mut open: BTreeMap<OrderId, (Intent, [f64; 2])> = BTreeMap::new();
    let (mut spreads, mut trained_spreads, mut slips, mut delays) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Journal::read(folder, |kept| {
        match &kept.record {
            Record::Opened(opened) => {
                deployment = Some(Deployment::load(artefact.unwrap_or(&opened.artefact))?)
            }
            Record::Step { account, decision, .. } => {
                let quote = account.quote;
                if let Some(own) = deployment.as_ref().filter(|_| quote[1] > 0.0) {
                    let (rules, clock) = (own.terms.feed.spread, own.listing().clock);
                    spreads.push(quote[1] - quote[0]);
                    trained_spreads.push(rules.ticks(clock, decision.close, 0.0, quote[1] - quote[0]));
                }
                open.extend(decision.intents.iter().map(|intent| (intent.id, (intent.clone(), quote))));
            }
            Record::Outcome { id, at, sent, outcome: Outcome::Confirmed(fill) } => {
                if let (Some((intent, quote)), Some(own), Some(price)) =
                    (open.remove(id), deployment.as_ref(), fill.price.filter(|_| fill.volume > 0.0))
                {
                    let sign = intent.side.sign() as f64;
                    let ticks = price / own.listing().instrument.tick_size;
                    slips.push(sign * (ticks - quote[usize::from(sign > 0.0)]));
                    delays.push(milliseconds(*sent, *at));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let Some(deployment) = deployment.filter(|_| !slips.is_empty()) else {
        let what = format!(
            "the journal in {} has no fills that were quoted: there is nothing to measure",
            folder.display()
        );
        return Err(LiveError::Config(what));
    };
    let reckoned = trained_spreads.iter().sum::<f64>() / trained_spreads.len().max(1) as f64;
    let slippage = deployment.listing().slippage.fixed;
    Ok(vec![
        Measured::of("spread, ticks", &spreads, Some(reckoned), "spread_ticks"),
        Measured::of("slippage, ticks", &slips, Some(slippage), "slippage_ticks"),
        Measured::of("from sending to outcome, ms", &delays, None, "latency_ms"),
    ])
}

fn milliseconds(from: UnixNanos, until: UnixNanos) -> f64 {
    until.0.saturating_sub(from.0) as f64 * 1e-6
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
