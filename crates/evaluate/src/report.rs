//! The report: one self-contained HTML page, the same numbers as JSON.

use std::collections::BTreeMap;

use cambist_core::UnixNanos;
use chrono::Datelike;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde::Serialize;

use crate::chart::{self, ChartError, Line, Style};
use crate::judgement::{Judgement, Scorecard};
use crate::metrics::drawdown;
use crate::track::Track;

/// A report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A chart failed.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// The page failed.
    #[error("cannot make the report's page: {0}")]
    Page(#[from] minijinja::Error),
}

/// What the page says beside the judgement.
#[derive(Debug, Clone, Serialize)]
pub struct Heading {
    /// Title.
    pub title: String,
    /// Name and value of facts: run, data, fingerprint, seed, costs.
    pub facts: Vec<(String, String)>,
}

/// A row of the metrics table: name, unit-formatted values, meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The metric.
    pub name: &'static str,
    /// One a track.
    pub values: Vec<String>,
    /// What it is.
    pub meaning: &'static str,
}

/// The metrics as text, in the order people read them.
#[must_use]
pub fn rows(scores: &[Scorecard]) -> Vec<Row> {
    let percent = |v: f64| if v.is_nan() { "–".to_owned() } else { format!("{:.2} %", 100.0 * v) };
    let row = |name, meaning, value: &dyn Fn(&Scorecard) -> String| Row {
        name,
        values: scores.iter().map(value).collect(),
        meaning,
    };
    vec![
        row("return", "end over start, minus 1", &|s| percent(s.total_return)),
        row("CAGR", "compound annual growth", &|s| percent(s.cagr)),
        row("volatility", "standard deviation of returns, annual", &|s| percent(s.volatility)),
        row("Sharpe", "mean over deviation, annual", &|s| number(s.sharpe)),
        row("Sortino", "mean over downside deviation, annual", &|s| number(s.sortino)),
        row("Calmar", "CAGR over deepest drawdown", &|s| number(s.calmar)),
        row("max drawdown", "deepest fall from a high", &|s| percent(s.max_drawdown)),
        row("drawdown days", "longest stay below a high", &|s| number(s.drawdown_days)),
        row("VaR 95 %", "loss of a bar exceeded once in 20", &|s| percent(s.value_at_risk)),
        row("CVaR 95 %", "mean loss beyond it", &|s| percent(s.conditional_value_at_risk)),
        row("hit rate", "share of moving bars that earned", &|s| percent(s.hit_rate)),
        row("profit factor", "won over lost", &|s| number(s.profit_factor)),
        row("turnover", "value traded over equity, a year", &|s| number(s.turnover)),
        row("exposure", "mean size of the position over equity", &|s| percent(s.exposure)),
        row("costs paid", "over starting equity", &|s| percent(s.costs)),
        row("alpha", "against holding, annual", &|s| percent(s.alpha)),
        row("beta", "against holding", &|s| number(s.beta)),
        row("break-even cost", "one way, in basis points", &|s| number(s.break_even_bp)),
        row("skewness", "of bar returns", &|s| number(s.skewness)),
        row("kurtosis", "of bar returns; 3 is normal", &|s| number(s.kurtosis)),
        row("PSR", "probability of a true Sharpe above 0", &|s| percent(s.probabilistic_sharpe)),
    ]
}

fn number(v: f64) -> String {
    if v.is_nan() { "–".to_owned() } else { format!("{v:.2}") }
}

/// The page.
///
/// # Errors
/// When a chart or the page fails.
pub fn html(heading: &Heading, judgement: &Judgement, tracks: &[Track]) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.add_template("report.html", include_str!("report.html"))?;
    let page = environment.get_template("report.html")?.render(context! {
        heading => Serde(heading),
        judgement => Serde(judgement),
        sharpe => number(judgement.scores.first().map_or(f64::NAN, |s| s.sharpe)),
        interval => [number(judgement.interval.low), number(judgement.interval.high)].join(", "),
        block => number(judgement.interval.block),
        names => judgement.scores.iter().map(|s| s.name.clone()).collect::<Vec<_>>(),
        rows => Serde(rows(&judgement.scores)),
        charts => charts(tracks)?,
    })?;
    Ok(page)
}

/// Equity, drawdown, position, months.
fn charts(tracks: &[Track]) -> Result<Vec<String>, ReportError> {
    let Some(policy) = tracks.first() else { return Ok(Vec::new()) };
    let scaled: Vec<Vec<f64>> =
        tracks.iter().map(|t| t.equity.iter().map(|e| e / t.equity[0]).collect()).collect();
    let equity: Vec<Line<'_>> =
        tracks.iter().zip(&scaled).map(|(t, values)| Line { name: &t.name, values }).collect();
    let fall: Vec<f64> = drawdown::series(&policy.equity).iter().map(|d| 100.0 * d).collect();
    let style = |title, unit| Style { title, unit, logarithmic: false, filled: true };
    Ok(vec![
        chart::lines(
            &Style {
                title: "Equity against baselines",
                unit: "multiple of start",
                logarithmic: true,
                filled: false,
            },
            &policy.time,
            &equity,
        )?,
        chart::lines(
            &style("Drawdown", "% below the high"),
            &policy.time,
            &[Line { name: "drawdown", values: &fall }],
        )?,
        chart::lines(
            &style("Position", "value over equity"),
            &policy.time,
            &[Line { name: "position", values: &policy.exposure }],
        )?,
        chart::months("Monthly returns", &monthly(policy))?,
    ])
}

/// Year, month and return of the calendar months of an account.
#[must_use]
pub fn monthly(track: &Track) -> Vec<(i32, u32, f64)> {
    let mut growth: BTreeMap<(i32, u32), f64> = BTreeMap::new();
    for (time, ret) in track.time.iter().skip(1).zip(track.returns()) {
        *growth.entry(month_of(*time)).or_insert(1.0) *= 1.0 + ret;
    }
    growth.into_iter().map(|((year, month), g)| (year, month, g - 1.0)).collect()
}

/// Civil year and month in which the bar that closed at `time` lay.
fn month_of(time: UnixNanos) -> (i32, u32) {
    let day = UnixNanos(time.0 - 1).civil().date();
    (day.year(), day.month())
}
