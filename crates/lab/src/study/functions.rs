//! Functions whose smallest value is known: how good a sampler is, beside Optuna's (`experiments/search`).

use std::collections::BTreeMap;

use cambist_search::{Asked, Direction, Domain, Parameter, SamplerKind, Space, State, Suggestion, Trial};
use serde::Serialize;
use serde_json::json;

use crate::error::LabError;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    space: fn() -> Vec<Parameter>,
    value: fn(&Space, &Suggestion) -> f64,
}

/// What a sampler found of one function.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The function.
    pub function: &'static str,
    /// The best value of every seed, in order.
    pub best: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// Their quartiles.
    pub quartiles: [f64; 2],
}

fn floats(n: usize, low: f64, high: f64) -> Vec<Parameter> {
    let domain = Domain::Float { low, high, log: false, step: None };
    (0..n).map(|i| Parameter { name: format!("x{i}"), domain: domain.clone(), when: None }).collect()
}

fn values(chosen: &Suggestion) -> Vec<f64> {
    (0..chosen.len()).filter_map(|i| chosen.get(&format!("x{i}")).copied()).collect()
}

/// All five, each with its minimum at or near zero.
pub const FUNCTIONS: [Function; 5] = [
    Function {
        name: "sphere",
        space: || floats(5, -5.0, 5.0),
        value: |_, chosen| values(chosen).iter().map(|x| x * x).sum(),
    },
    Function {
        name: "rosenbrock",
        space: || floats(3, -2.0, 2.0),
        value: |_, chosen| {
            let x = values(chosen);
            let term = |p: &[f64]| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2);
            x.windows(2).map(term).sum()
        },
    },
    Function {
        name: "ackley",
        space: || floats(5, -32.768, 32.768),
        value: |_, chosen| {
            let x = values(chosen);
            let n = x.len() as f64;
            let squares = x.iter().map(|x| x * x).sum::<f64>() / n;
            let cosines = x.iter().map(|x| libm::cos(std::f64::consts::TAU * x)).sum::<f64>() / n;
            20.0 + std::f64::consts::E - 20.0 * libm::exp(-0.2 * squares.sqrt()) - libm::exp(cosines)
        },
    },
    Function {
        name: "branin",
        space: || {
            let mut both = floats(2, 0.0, 15.0);
            both[0].domain = Domain::Float { low: -5.0, high: 10.0, log: false, step: None };
            both
        },
        value: |_, chosen| {
            let pi = std::f64::consts::PI;
            let (x, y) = (chosen["x0"], chosen["x1"]);
            let bend = y - 5.1 / (4.0 * pi * pi) * x * x + 5.0 / pi * x - 6.0;
            bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * libm::cos(x) + 10.0 - 0.397_887_357_729_738
        },
    },
    Function {
        name: "mixed",
        space: || {
            let named = |name: &str, domain| Parameter { name: name.to_owned(), domain, when: None };
            vec![
                named("kind", Domain::Choice(vec![json!("a"), json!("b"), json!("c"), json!("d")])),
                named("rate", Domain::Float { low: 1e-5, high: 1.0, log: true, step: None }),
                named("layers", Domain::Int { low: 1, high: 8, log: false, step: 1 }),
                named("flag", Domain::Choice(vec![json!(false), json!(true)])),
            ]
        },
        value: |space, chosen| {
            // Best: kind c, rate 1e-3, five layers, flag on; the flag matters for c alone.
            let kind = space.get("kind").and_then(|p| p.domain.external(chosen["kind"]));
            let base = match kind.as_ref().and_then(|k| k.as_str()) {
                Some("a") => 1.0,
                Some("b") => 0.7,
                Some("c") => 0.3 * (1.0 - chosen["flag"]),
                _ => 0.5,
            };
            let decades = libm::log10(chosen["rate"]) + 3.0;
            base + 0.3 * decades * decades + 0.1 * (chosen["layers"] - 5.0).powi(2)
        },
    },
];

/// Searches every function with `sampler`, `n_trials` a seed.
///
/// # Errors
/// When the sampler is for several objectives.
pub fn check_search(sampler: SamplerKind, n_seeds: u64, n_trials: u64) -> Result<Vec<Found>, LabError> {
    sampler.check(&[Direction::Minimize])?;
    let mut out = Vec::new();
    for function in FUNCTIONS {
        let space = Space::new((function.space)())?;
        let mut best: Vec<f64> =
            (0..n_seeds).map(|seed| searched(sampler, function, &space, seed, n_trials)).collect();
        let sorted = {
            best.sort_by(f64::total_cmp);
            &best
        };
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { 0.5 * (sorted[middle - 1] + sorted[middle]) };
        let quartiles = [at(0.25), at(0.75)];
        out.push(Found { function: function.name, median, quartiles, best });
    }
    Ok(out)
}

fn searched(sampler: SamplerKind, function: Function, space: &Space, seed: u64, n_trials: u64) -> f64 {
    let mut trials: Vec<Trial> = Vec::new();
    for number in 0..n_trials {
        let asked = Asked {
            space,
            directions: &[Direction::Minimize],
            seed,
            grid_points: 3,
            number,
            trials: &trials,
            earlier: &[],
        };
        let params = sampler.suggest(&asked, &Suggestion::new());
        let value = (function.value)(space, &params);
        trials.push(Trial {
            id: number as i64,
            number,
            state: State::Complete,
            times: (None, Some(format!("{number:09}"))),
            params,
            values: vec![value],
            intermediate: BTreeMap::new(),
            user: BTreeMap::new(),
            system: [(cambist_search::sampler::SEEN.to_owned(), json!(number))].into(),
        });
    }
    trials.iter().map(|t| t.values[0]).fold(f64::INFINITY, f64::min)
}
