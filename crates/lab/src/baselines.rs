//! Rules that a policy has to beat, traded by the same environment with the same costs.

use std::ops::Range;
use std::sync::Arc;

use cambist_core::MarketTape;
use cambist_core::rng::{Purpose, Stream};
use cambist_evaluate::Track;
use cambist_evaluate::judgement::HOLD;
use cambist_evaluate::metrics::moments::deviation;
use cambist_features::Normaliser;

use crate::backtest::backtest;
use crate::config::Config;
use crate::error::LabError;
use crate::market::Market;

/// Bars of the momentum rule's average.
pub const MOMENTUM_BARS: usize = 200;
/// Bars of the mean-reversion rule's average and deviation.
pub const REVERSION_BARS: usize = 48;

/// All baselines over `rows`, given what the policy did there.
///
/// # Errors
/// When the rows cannot hold an episode.
pub fn baselines(
    config: &Config,
    market: &Market,
    normaliser: &Arc<Normaliser>,
    rows: Range<usize>,
    policy: &Track,
) -> Result<Vec<Track>, LabError> {
    let tape = &market.tape;
    let run = |name: &str, rule: &mut dyn FnMut(usize) -> f64| -> Result<Track, LabError> {
        let mut env = market.once(config, normaliser, rows.clone(), true)?;
        Ok(backtest(
            &mut env,
            tape,
            name,
            |env, _, action| action[0] = rule(env.snapshot(0).row) as f32,
            |_| (),
        ))
    };
    let hold = hold(config, market, normaliser, rows.clone())?;
    let calm = hold_at_volatility(config, market, normaliser, rows.clone(), policy, &hold)?;
    let mut random = Random::matching(policy, config.raw.run.seed, config.decision.long_only);
    let mut reversion = 0.0;
    Ok(vec![
        run("flat", &mut |_| 0.0)?,
        calm,
        run("random, same turnover", &mut |_| random.target())?,
        run("momentum", &mut |row| momentum(tape, row))?,
        run("mean reversion", &mut |row| {
            reversion = mean_reversion(tape, row, reversion);
            reversion
        })?,
        hold,
    ])
}

/// Holding over `rows`.
///
/// # Errors
/// When the rows cannot hold an episode.
pub(crate) fn hold(
    config: &Config,
    market: &Market,
    normaliser: &Arc<Normaliser>,
    rows: Range<usize>,
) -> Result<Track, LabError> {
    constant(config, market, normaliser, rows, HOLD, 1.0)
}

/// Holding the share that is as volatile as the policy was.
///
/// # Errors
/// When the rows cannot hold an episode.
pub(crate) fn hold_at_volatility(
    config: &Config,
    market: &Market,
    normaliser: &Arc<Normaliser>,
    rows: Range<usize>,
    policy: &Track,
    hold: &Track,
) -> Result<Track, LabError> {
    let share = volatility_share(policy, hold);
    constant(config, market, normaliser, rows, "hold at policy's volatility", share)
}

fn constant(
    config: &Config,
    market: &Market,
    normaliser: &Arc<Normaliser>,
    rows: Range<usize>,
    name: &str,
    target: f64,
) -> Result<Track, LabError> {
    let mut env = market.once(config, normaliser, rows, true)?;
    Ok(backtest(&mut env, &market.tape, name, |_, _, action| action[0] = target as f32, |_| ()))
}

/// The constant share of holding that is as volatile as the policy, at most 1. Known only afterwards: a yardstick, not
/// a rule one could have followed.
fn volatility_share(policy: &Track, hold: &Track) -> f64 {
    let share = deviation(&policy.returns()) / deviation(&hold.returns());
    if share.is_finite() { share.min(1.0) } else { 0.0 }
}

/// Long above the average of the last [`MOMENTUM_BARS`] closes, short below it.
fn momentum(tape: &MarketTape, row: usize) -> f64 {
    match last(tape, row, MOMENTUM_BARS) {
        Some(closes) if tape.close[row] > closes.iter().sum::<f64>() / closes.len() as f64 => 1.0,
        Some(_) => -1.0,
        None => 0.0,
    }
}

/// Against a close more than one deviation from the average of the last [`REVERSION_BARS`]; flat once it is back.
fn mean_reversion(tape: &MarketTape, row: usize, held: f64) -> f64 {
    let Some(closes) = last(tape, row, REVERSION_BARS) else { return 0.0 };
    let mean = closes.iter().sum::<f64>() / closes.len() as f64;
    let distance = (tape.close[row] - mean) / deviation(closes);
    if distance > 1.0 {
        -1.0
    } else if distance < -1.0 {
        1.0
    } else if distance * held > 0.0 {
        0.0
    } else {
        held
    }
}

fn last(tape: &MarketTape, row: usize, n: usize) -> Option<&[f64]> {
    tape.close.get((row + 1).checked_sub(n)?..=row)
}

/// Jumps to a random target as often as gives the policy's turnover.
struct Random {
    stream: Stream,
    targets: &'static [f64],
    chance: f64,
    held: f64,
}

impl Random {
    fn matching(policy: &Track, seed: u64, long_only: bool) -> Self {
        // Mean distance of two independent draws: ½ of {0, 1}, 8/9 of {−1, 0, 1}.
        let (targets, distance): (&[f64], f64) =
            if long_only { (&[0.0, 1.0], 0.5) } else { (&[-1.0, 0.0, 1.0], 8.0 / 9.0) };
        let traded = policy.traded.last().copied().unwrap_or(0.0);
        let mean_equity = policy.equity.iter().sum::<f64>() / policy.equity.len() as f64;
        let per_bar = traded / mean_equity / policy.equity.len() as f64;
        let chance = (per_bar / distance).min(1.0);
        Self { stream: Stream::new(seed, Purpose::Baseline, 0), targets, chance, held: 0.0 }
    }

    fn target(&mut self) -> f64 {
        if self.stream.uniform() < self.chance {
            self.held = self.targets[self.stream.index(self.targets.len())];
        }
        self.held
    }
}
