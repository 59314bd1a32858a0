//! A table's rows: what an exercise came to over its seeds, and what it must come to.

use serde::Serialize;

use super::{Classic, Earned, NullResult, OracleResult, SignalResult};

/// What a row's numbers are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Shares of what is best.
    Share,
    /// Returns of episodes.
    Return,
}

/// One exercise over its seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub market: String,
    /// Seeds trained.
    pub n_seeds: usize,
    /// Mean share of g*; of the null, mean |position| left.
    pub mean: f64,
    /// The worst seed's.
    pub worst: f64,
    /// Largest standard error of a seed's share.
    pub standard_error: Option<f64>,
    /// Of the null: the largest cost left over the cost before.
    pub cost_left: Option<f64>,
    /// Mean of the learned rule's number: on A the weight of the signal, on B and the oracle the threshold (of the oracle in
    /// deviations of the return), on C the mean distance of the edges from the optimum's.
    pub learned_rule: Option<f64>,
    /// The exact one.
    pub exact_rule: Option<f64>,
    /// What the mean must reach.
    pub needed: String,
    /// Environment steps of each training.
    pub steps: u64,
    /// Mean seconds of a training.
    pub seconds: f64,
    /// Whether it was reached.
    pub passed: bool,
    /// What mean, worst and standard error are in.
    pub unit: Unit,
    /// The first seed's policy over the optimal one, as SVG.
    #[serde(skip)]
    pub picture: Option<String>,
}

/// What a market's mean share of g* must reach, the worst seed's, and the distance of the learned rule's number from the
/// exact one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needed {
    mean: f64,
    worst: f64,
    rule: f64,
}

pub(super) const NEEDED_A: Needed = Needed { mean: 0.98, worst: 0.96, rule: f64::INFINITY };
pub(super) const NEEDED_B: Needed = Needed { mean: 0.98, worst: 0.96, rule: 0.08 };
pub(super) const NEEDED_C: Needed = Needed { mean: 0.97, worst: 0.0, rule: 0.10 };
/// Largest standard error of a judgement, as a share of g*.
const JUDGED_WITHIN: f64 = 0.003;
pub(super) const NOTHING_NEEDED: Needed =
    Needed { mean: f64::NEG_INFINITY, worst: f64::NEG_INFINITY, rule: f64::INFINITY };
const NEEDED_ORACLE: f64 = 0.98;
const NULL_POSITION: f64 = 0.02;
const NULL_COST: f64 = 0.05;
const REMEMBERING: f64 = 0.95;
const FORGETTING: f64 = 0.05;
const CART_POLE: f64 = 475.0;
const PENDULUM: f64 = -200.0;

impl Row {
    /// What all rows have: `values`, one a seed, the steps of a training and its mean seconds. Nothing is asked yet.
    fn of(
        market: String,
        values: &[f64],
        steps: Option<u64>,
        seconds: impl Iterator<Item = f64> + Clone,
    ) -> Self {
        Self {
            market,
            n_seeds: values.len(),
            mean: mean(values.iter().copied()),
            worst: values.iter().copied().fold(f64::INFINITY, f64::min),
            standard_error: None,
            cost_left: None,
            learned_rule: None,
            exact_rule: None,
            needed: String::new(),
            steps: steps.unwrap_or(0),
            seconds: mean(seconds),
            passed: false,
            unit: Unit::Share,
            picture: None,
        }
    }
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn earned_row(market: String, results: &[Earned]) -> Row {
    let values: Vec<f64> = results.iter().map(|r| r.mean).collect();
    let row = Row::of(market, &values, results.first().map(|r| r.steps), results.iter().map(|r| r.seconds));
    Row { standard_error: Some(largest(results.iter().map(|r| r.standard_error))), ..row }
}

pub(super) fn memory_row(market: String, remembers: bool, results: &[Earned]) -> Row {
    let row = earned_row(market, results);
    let (passed, needed) = if remembers {
        (row.mean >= REMEMBERING, format!("at least {:.0} %", 100.0 * REMEMBERING))
    } else {
        (row.mean <= FORGETTING, format!("at most {:.0} %", 100.0 * FORGETTING))
    };
    Row { needed, passed, ..row }
}

pub(super) fn classic_row(market: &str, task: Classic, results: &[Earned]) -> Row {
    let solved = match task {
        Classic::CartPole => CART_POLE,
        Classic::Pendulum => PENDULUM,
    };
    let row = earned_row(market.to_owned(), results);
    Row { needed: format!("return {solved:.0}"), passed: row.mean >= solved, unit: Unit::Return, ..row }
}

pub(super) fn signal_row(market: &str, results: &[SignalResult], needed: Needed) -> Row {
    let shares: Vec<f64> = results.iter().map(|r| r.judged.share).collect();
    let steps = results.first().map(|r| r.steps);
    let row = Row::of(market.to_owned(), &shares, steps, results.iter().map(|r| r.seconds));
    let exact = results.first().map_or(f64::NAN, |r| r.judged.exact_rule);
    // Seeds on either side do not make up for each other.
    let error = mean(results.iter().map(|r| (r.judged.learned_rule - exact).abs()));
    let standard_error = largest(results.iter().map(|r| r.judged.standard_error));
    let mut words = format!("{:.0} % of g*", 100.0 * needed.mean);
    if needed.worst > 0.0 {
        words.push_str(&format!(", worst {:.0} %", 100.0 * needed.worst));
    }
    if needed.rule.is_finite() {
        words.push_str(&format!(", rule within {:.2}", needed.rule));
    }
    Row {
        standard_error: Some(standard_error),
        learned_rule: Some(mean(results.iter().map(|r| r.judged.learned_rule))),
        exact_rule: Some(exact),
        needed: words,
        passed: row.mean >= needed.mean
            && row.worst >= needed.worst
            && standard_error <= JUDGED_WITHIN
            && (needed.rule.is_infinite() || error <= needed.rule),
        ..row
    }
}

pub(super) fn oracle_row(results: &[&OracleResult]) -> Row {
    let shares: Vec<f64> = results.iter().map(|r| r.share).collect();
    let steps = results.first().map(|r| r.steps);
    let row = Row::of("oracle".to_owned(), &shares, steps, results.iter().map(|r| r.seconds));
    let standard_error = largest(results.iter().map(|r| r.standard_error));
    Row {
        standard_error: Some(standard_error),
        learned_rule: Some(mean(results.iter().map(|r| r.learned_rule))),
        exact_rule: results.first().map(|r| r.exact_rule),
        needed: format!("{:.0} % of g*", 100.0 * NEEDED_ORACLE),
        passed: row.mean >= NEEDED_ORACLE && standard_error <= JUDGED_WITHIN,
        ..row
    }
}

pub(super) fn null_row(results: &[NullResult]) -> Row {
    let positions: Vec<f64> = results.iter().map(|r| r.position_after).collect();
    let steps = results.first().map(|r| r.steps);
    let row = Row::of("null".to_owned(), &positions, steps, results.iter().map(|r| r.seconds));
    let worst = largest(positions.into_iter());
    let cost = largest(results.iter().map(|r| r.cost_after / r.cost_before));
    Row {
        worst,
        cost_left: Some(cost),
        needed: format!("position ≤ {:.0} %, cost ≤ {:.0} %", 100.0 * NULL_POSITION, 100.0 * NULL_COST),
        passed: worst <= NULL_POSITION && cost <= NULL_COST,
        ..row
    }
}
