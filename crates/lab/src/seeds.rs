//! One config under several seeds, and what they say together: one seed is no verdict.

use cambist_core::clock::Clock;
use cambist_evaluate::Judgement;
use cambist_evaluate::metrics::seeds::{SeedEstimate, over_seeds};
use serde::Serialize;

use crate::config::Layers;
use crate::error::LabError;
use crate::run::{Machine, Outcome, run};
use crate::train::Observer;

/// A metric over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedMetric {
    /// Its name.
    pub name: &'static str,
    /// One value a seed.
    pub values: Vec<f64>,
    /// Interquartile mean with its interval.
    pub estimate: SeedEstimate,
}

/// What several seeds came to.
#[derive(Debug, Clone, Serialize)]
pub struct Seeds {
    /// The runs' names.
    pub runs: Vec<String>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The policy's metrics.
    pub metrics: Vec<SeedMetric>,
    /// All of it in one sentence.
    pub sentence: String,
    /// Where it is kept.
    pub file: String,
}

/// Resamples of the bootstrap.
const N_SAMPLES: usize = 10_000;
/// Seeds from which on there is something to say.
const ENOUGH: usize = 3;

/// Trains and judges `layers` under `n` seeds, from the config's own on; `finished` hears of each run. Every run has its
/// own folder; the summary lies beside them as `NAME-seeds.json`.
///
/// # Errors
/// Whatever fails; finished runs stay.
pub fn run_seeds(
    layers: &Layers,
    n: u64,
    machine: &Machine,
    clock: &dyn Clock,
    observer: &mut dyn Observer,
    finished: &mut dyn FnMut(&Outcome),
) -> Result<Seeds, LabError> {
    let first = layers.resolve()?.run.seed;
    let (mut judgements, mut runs, mut seeds) = (Vec::new(), Vec::new(), Vec::new());
    for seed in first..first.saturating_add(n) {
        let set = format!("run.seed={seed}");
        let outcome = run(&layers.with(&[&set])?, machine, clock, observer)?;
        finished(&outcome);
        runs.push(outcome.folder.name().to_owned());
        seeds.push(seed);
        judgements.push(outcome.judgement);
        if outcome.stopped {
            break;
        }
    }
    let file = machine.runs.join(format!("{}-seeds.json", runs.first().map_or("none", String::as_str)));
    let metrics = metrics(&judgements);
    let sentence = sentence(&judgements, &metrics);
    let summary = Seeds { runs, seeds, metrics, sentence, file: file.display().to_string() };
    let text = serde_json::to_string_pretty(&summary).unwrap_or_default();
    cambist_store::write_atomic(&file, |out| std::io::Write::write_all(out, text.as_bytes()))?;
    Ok(summary)
}

fn metrics(judgements: &[Judgement]) -> Vec<SeedMetric> {
    type Pick = fn(&Judgement) -> f64;
    let picks: [(&'static str, Pick); 5] = [
        ("total return", |j| j.scores[0].total_return),
        ("return above holding", |j| j.scores[0].total_return - held(j)),
        ("Sharpe ratio", |j| if j.scores[0].sharpe.is_nan() { 0.0 } else { j.scores[0].sharpe }),
        ("deepest drawdown", |j| j.scores[0].max_drawdown),
        ("costs over equity", |j| j.scores[0].costs),
    ];
    picks
        .into_iter()
        .map(|(name, pick)| {
            let values: Vec<f64> = judgements.iter().map(pick).collect();
            SeedMetric { name, estimate: over_seeds(std::slice::from_ref(&values), N_SAMPLES, 1), values }
        })
        .collect()
}

fn held(judgement: &Judgement) -> f64 {
    let hold = judgement.scores.iter().find(|s| s.name == cambist_evaluate::judgement::HOLD);
    hold.map_or(f64::NAN, |s| s.total_return)
}

fn sentence(judgements: &[Judgement], metrics: &[SeedMetric]) -> String {
    let (n, percent) = (judgements.len(), |v: f64| format!("{:.1} %", 100.0 * v));
    let (own, above) = (metrics[0].estimate, metrics[1].estimate);
    let said = format!(
        "Over {n} seeds the policy made {} out of sample (interquartile mean; 95 % interval {} to {}), {} more than holding ({} to {})",
        percent(own.mean),
        percent(own.low),
        percent(own.high),
        percent(above.mean),
        percent(above.low),
        percent(above.high)
    );
    let verdict = match (n >= ENOUGH, above.low > 0.0, above.high < 0.0) {
        (false, ..) => format!("fewer than {ENOUGH} seeds are no verdict"),
        (_, true, _) => "the method beats holding on this window, whatever the seed".to_owned(),
        (_, _, true) => "holding beats the method on this window, whatever the seed".to_owned(),
        _ => "seeds differ too much to tell it from holding".to_owned(),
    };
    format!("{said}: {verdict}.")
}
