//! One config under several seeds, and what they say together: one seed is no verdict.

use cambist_core::clock::Clock;
use cambist_evaluate::Scorecard;
use cambist_evaluate::judgement::HOLD;
use cambist_evaluate::metrics::seeds::{SeedEstimate, over_seeds};
use serde::Serialize;

use crate::config::Layers;
use crate::error::LabError;
use crate::run::{Ending, Machine, Outcome, run};
use crate::train::Observer;

/// A metric over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedMetric {
    /// Its name.
    pub name: &'static str,
    /// One value a seed, the mean over its folds.
    pub values: Vec<f64>,
    /// Of every fold, one value a seed: the strata of the bootstrap.
    pub folds: Vec<Vec<f64>>,
    /// Interquartile mean over folds and seeds, with its interval.
    pub estimate: SeedEstimate,
}

/// What several seeds came to.
#[derive(Debug, Clone, Serialize)]
pub struct Seeds {
    /// The runs' names.
    pub runs: Vec<String>,
    /// The seeds that were trained to the end.
    pub seeds: Vec<u64>,
    /// Whether the last run was stopped early; it does not count.
    pub stopped: bool,
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
const ENOUGH: usize = 5;

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
    let config = layers.resolve()?;
    // No two members of two runs train under one seed.
    let (first, stride) = (config.run.seed, config.population.size.max(1));
    let (mut scores, mut runs, mut seeds) = (Vec::new(), Vec::new(), Vec::new());
    for seed in (first..first.saturating_add(n * stride as u64)).step_by(stride) {
        let set = format!("run.seed={seed}");
        let outcome = match run(&layers.with(&[&set])?, machine, clock, observer)? {
            Ending::Finished(outcome) => outcome,
            Ending::Interrupted(interrupted) => {
                runs.push(interrupted.folder.name());
                break;
            }
        };
        finished(&outcome);
        runs.push(outcome.folder.name());
        seeds.push(seed);
        scores.push(outcome.folds);
    }
    let stopped = seeds.len() < runs.len();
    let file = machine.runs.join(format!("{}-seeds.json", runs.first().map_or("none", String::as_str)));
    let metrics = metrics(&scores);
    let sentence = sentence(seeds.len(), &metrics);
    let summary = Seeds { runs, seeds, stopped, metrics, sentence, file: file.display().to_string() };
    let text = serde_json::to_string_pretty(&summary).unwrap_or_default();
    cambist_store::write_atomic(&file, |out| std::io::Write::write_all(out, text.as_bytes()))?;
    Ok(summary)
}

/// From the scorecards of every seed's folds.
fn metrics(scores: &[Vec<Vec<Scorecard>>]) -> Vec<SeedMetric> {
    type Pick = fn(&[Scorecard]) -> f64;
    let picks: [(&'static str, Pick); 5] = [
        ("total return", |s| s[0].total_return),
        ("return above holding", |s| s[0].total_return - held(s)),
        ("Sharpe ratio", |s| if s[0].sharpe.is_nan() { 0.0 } else { s[0].sharpe }),
        ("deepest drawdown", |s| s[0].max_drawdown),
        ("costs over equity", |s| s[0].costs),
    ];
    let n_folds = scores.first().map_or(0, Vec::len);
    picks
        .into_iter()
        .map(|(name, pick)| {
            let fold = |index: usize| scores.iter().filter_map(|s| s.get(index)).map(|s| pick(s)).collect();
            let folds: Vec<Vec<f64>> = (0..n_folds).map(fold).collect();
            let mean =
                |seed: &Vec<Vec<Scorecard>>| seed.iter().map(|s| pick(s)).sum::<f64>() / seed.len() as f64;
            let values = scores.iter().map(mean).collect();
            SeedMetric { name, values, estimate: over_seeds(&folds, N_SAMPLES, 1), folds }
        })
        .collect()
}

fn held(scores: &[Scorecard]) -> f64 {
    scores.iter().find(|s| s.name == HOLD).map_or(f64::NAN, |s| s.total_return)
}

fn sentence(n: usize, metrics: &[SeedMetric]) -> String {
    if n == 0 {
        return "No seed was trained to the end: there is nothing to say.".to_owned();
    }
    let percent = |v: f64| format!("{:.1} %", 100.0 * v);
    let (own, above) = (metrics[0].estimate, metrics[1].estimate);
    let over = match metrics[0].folds.len() {
        0 | 1 => format!("Over {n} seeds the policy made"),
        folds => format!("Over {n} seeds and {folds} folds the policy made, a fold,"),
    };
    let said = format!(
        "{over} {} out of sample (interquartile mean; 95 % interval {} to {}), {} more than holding ({} to {})",
        percent(own.mean),
        percent(own.low),
        percent(own.high),
        percent(above.mean),
        percent(above.low),
        percent(above.high)
    );
    let verdict = match (n >= ENOUGH, above.low > 0.0, above.high < 0.0) {
        (false, ..) => format!("fewer than {ENOUGH} seeds are no verdict"),
        (_, true, _) => "in the mean over seeds the method beats holding on this window".to_owned(),
        (_, _, true) => "in the mean over seeds holding beats the method on this window".to_owned(),
        _ => "seeds differ too much to tell it from holding".to_owned(),
    };
    format!("{said}: {verdict}.")
}
