//! A policy beside its baselines: the numbers, and one plain sentence.

use cambist_core::UnixNanos;
use serde::Serialize;

use crate::metrics::bootstrap::{Interval, sharpe_interval};
use crate::metrics::probabilistic_sharpe::SharpeEstimate;
use crate::metrics::{
    break_even, calmar, deflated_sharpe, drawdown, growth, hit_rate, market, moments, profit_factor, sharpe,
    sortino, tail, turnover,
};
use crate::track::Track;

/// Every metric of one track. Fractions, not percent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scorecard {
    /// Whose.
    pub name: String,
    /// End over start, minus 1.
    pub total_return: f64,
    /// Compound annual growth.
    pub cagr: f64,
    /// Annual volatility.
    pub volatility: f64,
    /// Annual Sharpe ratio.
    pub sharpe: f64,
    /// Annual Sortino ratio.
    pub sortino: f64,
    /// Calmar ratio.
    pub calmar: f64,
    /// Deepest drawdown.
    pub max_drawdown: f64,
    /// Longest stay below a high, in days.
    pub drawdown_days: f64,
    /// 95 % value at risk of a bar.
    pub value_at_risk: f64,
    /// Mean loss beyond it.
    pub conditional_value_at_risk: f64,
    /// Share of moving bars that earned.
    pub hit_rate: f64,
    /// Won over lost.
    pub profit_factor: f64,
    /// Value traded over equity, a year.
    pub turnover: f64,
    /// Mean |exposure|.
    pub exposure: f64,
    /// Costs paid over starting equity.
    pub costs: f64,
    /// Annual alpha against holding.
    pub alpha: f64,
    /// Beta against holding.
    pub beta: f64,
    /// One-way cost that would eat the profit, in basis points.
    pub break_even_bp: f64,
    /// Skewness of bar returns.
    pub skewness: f64,
    /// Kurtosis of bar returns, not excess.
    pub kurtosis: f64,
    /// Probability that the true Sharpe ratio is above zero.
    pub probabilistic_sharpe: f64,
    /// Whether the account was liquidated.
    pub ruined: bool,
}

impl Scorecard {
    /// Of `track`, against the returns of `hold`.
    #[must_use]
    pub fn of(track: &Track, hold: &[f64]) -> Self {
        let returns = track.returns();
        let per_year = track.bars_per_year();
        let fall = drawdown::drawdown(&track.equity);
        let cagr = growth::cagr(&track.equity, track.years());
        let (value_at_risk, conditional_value_at_risk) = tail::value_at_risk(&returns, 0.05);
        let (alpha, beta) = market::alpha_beta(&returns, hold, per_year);
        let start = track.equity.first().copied().unwrap_or(f64::NAN);
        Self {
            name: track.name.clone(),
            total_return: growth::total_return(&track.equity),
            cagr,
            volatility: sharpe::annual_volatility(&returns, per_year),
            sharpe: sharpe::annual(&returns, per_year),
            sortino: sortino::annual(&returns, per_year),
            calmar: calmar::calmar(cagr, fall.deepest),
            max_drawdown: fall.deepest,
            drawdown_days: fall.longest_bars as f64 / per_year * 365.25,
            value_at_risk,
            conditional_value_at_risk,
            hit_rate: hit_rate::hit_rate(&returns),
            profit_factor: profit_factor::profit_factor(&returns),
            turnover: turnover::annual_turnover(track),
            exposure: turnover::mean_exposure(track),
            costs: track.costs.last().copied().unwrap_or(0.0) / start,
            alpha,
            beta,
            break_even_bp: break_even::break_even_bp(track),
            skewness: moments::skewness(&returns),
            kurtosis: moments::kurtosis(&returns),
            probabilistic_sharpe: SharpeEstimate::of(&returns).probability_above(0.0),
            ruined: track.ruined,
        }
    }
}

/// Runs judged before, whose best by luck the Sharpe ratio is deflated by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trials {
    /// How many runs were judged on these bars, this one included.
    pub n: usize,
    /// Variance of their Sharpe ratios per bar; zero for one.
    pub variance: f64,
}

impl Trials {
    /// From the ratios of the runs judged before, and this one's.
    #[must_use]
    pub fn of(earlier: &[f64], this: f64) -> Self {
        let ratios: Vec<f64> = earlier.iter().copied().chain([this]).filter(|r| r.is_finite()).collect();
        let variance = if ratios.len() > 1 { moments::deviation(&ratios).powi(2) } else { 0.0 };
        Self { n: earlier.len() + 1, variance }
    }
}

/// Whether the policy beat its two plain rivals.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// It ended above its start.
    pub beats_nothing: bool,
    /// It ended above buy and hold.
    pub beats_holding: bool,
    /// Probability, by the stationary bootstrap, that its mean return is above holding's.
    pub sure_of_holding: f64,
    /// Probability that its true Sharpe ratio is above the best that luck would show among all runs judged.
    pub deflated_sharpe: f64,
    /// All of it in one sentence.
    pub sentence: String,
}

/// A judged window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Its name: test, validation, walk-forward, sealed.
    pub window: String,
    /// First close.
    pub from: UnixNanos,
    /// Last close.
    pub until: UnixNanos,
    /// Policy first, then baselines.
    pub scores: Vec<Scorecard>,
    /// 95 % interval of the policy's Sharpe ratio.
    pub interval: Interval,
    /// Runs judged on these bars.
    pub trials: Trials,
    /// The outcome.
    pub verdict: Verdict,
}

/// Resamples of the bootstrap.
const N_SAMPLES: usize = 1000;

/// Judges `tracks`: the policy's first, then the baselines', one of which is called [`HOLD`]. `earlier` holds the Sharpe
/// ratios per bar of the runs judged on the same bars before; `seed` moves the bootstrap.
#[must_use]
pub fn judge(window: &str, tracks: &[Track], earlier: &[f64], seed: u64) -> Option<Judgement> {
    let policy = tracks.first()?;
    let hold = tracks.iter().find(|t| t.name == HOLD)?;
    let held = hold.returns();
    let returns = policy.returns();
    let estimate = SharpeEstimate::of(&returns);
    let trials = Trials::of(earlier, estimate.sharpe);
    let scores = scorecards(tracks)?;
    let per_year = policy.bars_per_year();
    let interval = sharpe_interval(&returns, per_year, 0.95, N_SAMPLES, seed);
    let excess: Vec<f64> = returns.iter().zip(&held).map(|(r, h)| r - h).collect();
    let sure_of_holding = sharpe_interval(&excess, per_year, 0.95, N_SAMPLES, seed).share_positive;
    let deflated = deflated_sharpe::deflated_sharpe(&estimate, trials.variance, trials.n as f64);
    let held_return = growth::total_return(&hold.equity);
    let (from, until) = (*policy.time.first()?, *policy.time.last()?);
    let mut verdict = Verdict {
        beats_nothing: scores[0].total_return > 0.0,
        beats_holding: scores[0].total_return > held_return,
        sure_of_holding,
        deflated_sharpe: deflated,
        sentence: String::new(),
    };
    verdict.sentence = sentence(window, (from, until), &scores[0], held_return, &verdict, &trials);
    Some(Judgement { window: window.to_owned(), from, until, scores, interval, trials, verdict })
}

/// Scorecards of `tracks`, one of which is called [`HOLD`].
#[must_use]
pub fn scorecards(tracks: &[Track]) -> Option<Vec<Scorecard>> {
    let held = tracks.iter().find(|t| t.name == HOLD)?.returns();
    Some(tracks.iter().map(|t| Scorecard::of(t, &held)).collect())
}

/// Name of the holding baseline.
pub const HOLD: &str = "buy and hold";

fn sentence(
    window: &str,
    (from, until): (UnixNanos, UnixNanos),
    policy: &Scorecard,
    held: f64,
    verdict: &Verdict,
    trials: &Trials,
) -> String {
    let outcome = match (verdict.beats_nothing, verdict.beats_holding) {
        (true, true) => "beat both holding and doing nothing",
        (true, false) => "beat doing nothing but not holding",
        (false, true) => "beat holding but not doing nothing",
        (false, false) => "beat neither holding nor doing nothing",
    };
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let (luck, nothing) = if policy.sharpe.is_nan() {
        ("it never traded, so there is no edge to be sure of".to_owned(), String::new())
    } else {
        let runs = if trials.n == 1 {
            "the only run judged here".to_owned()
        } else {
            format!("one of {} runs judged here", trials.n)
        };
        let sure = format!(
            "the probability that it has an edge at all is {} (as {runs})",
            percent(verdict.deflated_sharpe)
        );
        (sure, format!(", and that it earns more than holding {}", percent(verdict.sure_of_holding)))
    };
    format!(
        "After costs, out of sample ({window}, {} to {}), the policy {outcome}: it made {} against {} for holding; {luck}{nothing}.",
        from.civil().date(),
        until.civil().date(),
        percent(policy.total_return),
        percent(held),
    )
}
