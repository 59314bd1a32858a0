//! What a sweep came to: a page, pictures, a table, and the config of the best trial.

use std::path::{Path, PathBuf};

use cambist_evaluate::metrics::bootstrap::optimal_block;
use cambist_evaluate::metrics::{moments, sharpe};
use cambist_evaluate::overfitting::{cscv, effective_trials, superior};
use cambist_evaluate::panels::{Axis, Line, Panel, Point, bars, panels, parallel};
use cambist_search::importance::importance;
use cambist_search::{Direction, Domain, Parameter, State, Storage, Trial, best, front};
use cambist_store::{Patience, create_folder, write_atomic};

use crate::config::Config;
use crate::error::LabError;
use crate::promote::{BLOCKS, deflated};

use super::spec::Sweep;
use super::worker::open;

/// What was written, and what it says.
#[derive(Debug, Clone)]
pub struct Report {
    /// The best trials, as text.
    pub table: String,
    /// What the best is worth.
    pub sentence: String,
    /// Files.
    pub files: Vec<PathBuf>,
}

/// Trials that the table shows.
const SHOWN: usize = 10;

/// Reports on the study called `name` in the storage at `url`, into the folder `out`.
///
/// # Errors
/// When the study is not there, or a file cannot be written.
pub fn report(url: &str, name: &str, out: &Path) -> Result<Report, LabError> {
    let storage = Storage::open(url, Patience::default())?;
    let (study, sweep, _) = open(&storage, name)?;
    let trials = storage.trials(&study)?;
    let returns = storage.returns(&study)?;
    // On one index: the best trial's, or where it left none, any other's.
    let first =
        ranked(&sweep, &trials).first().and_then(|t| returns.get(&t.number)).or(returns.values().next());
    let key = first.map(|r| (r.span, r.values.len()));
    let series: Vec<(u64, Vec<f64>)> = returns
        .iter()
        .filter(|(_, r)| Some((r.span, r.values.len())) == key)
        .map(|(number, r)| (*number, r.values.iter().map(|x| f64::from(*x)).collect()))
        .collect();
    let ranked = ranked(&sweep, &trials);
    let sentence = sentence(&sweep, &trials, &ranked, &series);
    create_folder(out)?;
    let mut files = Vec::new();
    let mut write = |file: &str, text: &str| -> Result<(), LabError> {
        let path = out.join(file);
        write_atomic(&path, |f| std::io::Write::write_all(f, text.as_bytes()))?;
        files.push(path);
        Ok(())
    };
    let pictures = [
        ("history.svg", history(&sweep, &trials)),
        ("importance.svg", bars(&importance(&sweep.space, &trials, 0))),
        ("parallel.svg", lines(&sweep, &trials)),
        ("slices.svg", slices(&sweep, &trials)),
    ];
    for (file, svg) in &pictures {
        write(file, svg)?;
    }
    write("trials.csv", &csv(&sweep, &trials))?;
    if let Some(top) = ranked.first() {
        let mut sets = sweep.sets(&top.params);
        sets.push(format!("run.study={}", sweep.name));
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        let config = Config::validate(sweep.layers()?.with(&sets)?.resolve()?)?;
        write("best.toml", &toml::to_string(&config.raw).unwrap_or_default())?;
    }
    write("index.html", &page(&sweep, &trials, &ranked, &sentence, &pictures))?;
    Ok(Report { table: text_table(&sweep, &ranked), sentence, files })
}

/// Complete trials, the best first; of several objectives the Pareto front.
fn ranked<'a>(sweep: &Sweep, trials: &'a [Trial]) -> Vec<&'a Trial> {
    let directions = sweep.directions();
    let [direction] = directions[..] else { return front(trials, &directions) };
    let Some(top) = best(trials, direction) else { return Vec::new() };
    let mut all: Vec<&Trial> = trials
        .iter()
        .filter(|t| t.state == State::Complete && t.id != top.id && t.values.len() == 1)
        .collect();
    all.sort_by(|a, b| {
        let key = |t: &Trial| (t.violation(), direction.loss(t.values[0]));
        let ((va, la), (vb, lb)) = (key(a), key(b));
        va.total_cmp(&vb).then(la.total_cmp(&lb)).then(a.number.cmp(&b.number))
    });
    [vec![top], all].concat()
}

/// What the best is worth, given how many were tried.
fn sentence(sweep: &Sweep, trials: &[Trial], ranked: &[&Trial], series: &[(u64, Vec<f64>)]) -> String {
    let count = |state| trials.iter().filter(|t| t.state == state).count();
    let (complete, pruned, failed) = (count(State::Complete), count(State::Pruned), count(State::Fail));
    let tried = format!("{complete} trials complete, {pruned} given up, {failed} failed");
    let Some(top) = ranked.first() else { return format!("{tried}: there is no best.") };
    let own = series.iter().find(|(number, _)| *number == top.number).map(|(_, r)| r);
    let all: Vec<&[f64]> = series.iter().map(|(_, r)| r.as_slice()).collect();
    let own_returns = own.is_some();
    let Some(own) = own.filter(|own| moments::deviation(own) > 1e-12) else {
        let why =
            if own_returns { "never traded" } else { "left no returns, as trials of other programs do" };
        return format!("{tried}. The best, trial {}, {why}: nothing is said of luck.", top.number);
    };
    let others = series.iter().filter(|(number, _)| *number != top.number);
    let others: Vec<f64> = others.map(|(_, r)| sharpe::per_bar(r)).collect();
    let (raw, effective) = (all.len(), effective_trials(&all));
    let luck = deflated(own, &others).map_or(f64::NAN, |d| d.probability);
    // Against doing nothing, with blocks as long as the best one's returns remember.
    let tested = superior(&all, optimal_block(own), 1000, sweep.seed);
    let data_snooping = tested.map_or(String::new(), |s| {
        format!(
            "; luck alone would do as well in {:.0} % of cases by Hansen's test, {:.0} % by White's",
            100.0 * s.consistent,
            100.0 * s.reality_check
        )
    });
    let splits = cscv(&all, BLOCKS);
    let overfit = splits.map_or("too few to say whether choosing overfits".to_owned(), |s| {
        format!("the probability of backtest overfitting is {:.0} % ({} splits)", 100.0 * s.pbo, s.n_splits)
    });
    format!(
        "{tried}; {raw} return series, {effective} of them different (clusters by correlation). The best on validation, trial {}, \
         has {:.1} % probability of a true Sharpe ratio above what the best of {raw} worthless ones would show (deflated Sharpe \
         ratio), and {overfit}{data_snooping}. Objective: {}; test windows were not looked at.",
        top.number,
        100.0 * luck,
        sweep.objectives.iter().map(|o| o.name()).collect::<Vec<_>>().join(", ")
    )
}

fn shown_value(parameter: &Parameter, trial: &Trial) -> String {
    let value = trial.params.get(&parameter.name).and_then(|x| parameter.domain.external(*x));
    let is_choice = matches!(parameter.domain, Domain::Choice(_));
    match value {
        None => "–".to_owned(),
        Some(serde_json::Value::Number(n)) if n.is_f64() && !is_choice => {
            format!("{:.4e}", n.as_f64().unwrap_or(f64::NAN))
        }
        Some(serde_json::Value::String(word)) => word,
        Some(other) => other.to_string(),
    }
}

fn cells(sweep: &Sweep, trial: &Trial) -> Vec<String> {
    let mut cells = vec![trial.number.to_string()];
    cells.extend(trial.values.iter().map(|v| format!("{v:.4}")));
    cells.extend(sweep.space.parameters().iter().map(|p| shown_value(p, trial)));
    cells
}

fn heads(sweep: &Sweep) -> Vec<String> {
    let names = sweep.objectives.iter().map(|o| o.name().to_owned());
    let parameters = sweep.space.parameters().iter().map(|p| p.name.clone());
    std::iter::once("trial".to_owned()).chain(names).chain(parameters).collect()
}

fn text_table(sweep: &Sweep, ranked: &[&Trial]) -> String {
    let rows: Vec<Vec<String>> =
        std::iter::once(heads(sweep)).chain(ranked.iter().take(SHOWN).map(|t| cells(sweep, t))).collect();
    let n = rows[0].len();
    let widths: Vec<usize> = (0..n)
        .map(|c| rows.iter().map(|r| r.get(c).map_or(0, |x| x.chars().count())).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        padded.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn csv(sweep: &Sweep, trials: &[Trial]) -> String {
    let mut out = format!("{},state,seconds\n", heads(sweep).join(","));
    for trial in trials {
        let mut cells = vec![trial.number.to_string()];
        cells.extend(
            (0..sweep.objectives.len()).map(|i| trial.values.get(i).map_or(String::new(), f64::to_string)),
        );
        cells.extend(sweep.space.parameters().iter().map(|p| {
            let value = trial.params.get(&p.name).and_then(|x| p.domain.external(*x));
            value.map_or(String::new(), |v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
        }));
        let seconds = trial.user.get("cambist:seconds").map_or(String::new(), ToString::to_string);
        out += &format!("{},{},{seconds}\n", cells.join(","), trial.state.name());
    }
    out
}

/// What a trial is drawn at: its value, or its last report when it was given up.
fn height(trial: &Trial) -> Option<f64> {
    let value = trial.values.first().copied().or_else(|| trial.last_report().map(|(_, v)| v));
    value.filter(|v| v.is_finite() && v.abs() < 1e8)
}

/// From 0, the worst, to 1, the best of those that are complete.
fn shades(sweep: &Sweep, trials: &[Trial]) -> impl Fn(&Trial) -> Option<f64> {
    let direction = sweep.directions().first().copied().unwrap_or(Direction::Maximize);
    let mut losses: Vec<f64> = trials
        .iter()
        .filter(|t| t.state == State::Complete)
        .filter_map(|t| height(t).map(|v| direction.loss(v)))
        .collect();
    losses.sort_by(f64::total_cmp);
    move |trial: &Trial| {
        let own = height(trial).filter(|_| trial.state == State::Complete).map(|v| direction.loss(v))?;
        let worse = losses.iter().filter(|l| **l > own).count();
        Some(worse as f64 / (losses.len().max(2) - 1) as f64)
    }
}

fn drawn(trials: &[Trial]) -> impl Iterator<Item = (&Trial, f64)> {
    trials.iter().filter(|t| t.state.counts()).filter_map(|t| Some((t, height(t)?)))
}

fn value_axis(sweep: &Sweep, trials: &[Trial]) -> Axis {
    Axis::over(sweep.objectives[0].name(), drawn(trials).map(|(_, v)| v))
}

fn history(sweep: &Sweep, trials: &[Trial]) -> String {
    let (shade, direction) = (shades(sweep, trials), sweep.directions()[0]);
    let points = drawn(trials).map(|(t, y)| Point { x: t.number as f64, y, shade: shade(t) }).collect();
    let mut line: Vec<(f64, f64)> = Vec::new();
    for (trial, y) in drawn(trials).filter(|(t, _)| t.state == State::Complete) {
        let best = line
            .last()
            .map_or(y, |(_, best)| if direction.loss(y) < direction.loss(*best) { y } else { *best });
        line.push((trial.number as f64, best));
    }
    let across = Axis::over(
        "trial (hollow: given up; line: best so far)",
        drawn(trials).map(|(t, _)| t.number as f64),
    );
    let lines = vec![Line { name: "best so far".to_owned(), points: line }];
    panels(&[Panel { across, up: value_axis(sweep, trials), points, lines }], 1, 900.0)
}

/// The axis of a parameter.
fn axis(parameter: &Parameter) -> Axis {
    let (range, logarithmic, words) = match &parameter.domain {
        Domain::Float { low, high, log, .. } => ((*low, *high), *log, Vec::new()),
        Domain::Int { low, high, log, .. } => ((*low as f64, *high as f64), *log, Vec::new()),
        Domain::Choice(choices) => {
            let word = |c: &serde_json::Value| c.as_str().map_or_else(|| c.to_string(), str::to_owned);
            ((-0.5, choices.len() as f64 - 0.5), false, choices.iter().map(word).collect())
        }
    };
    Axis { name: parameter.name.clone(), range, logarithmic, words }
}

fn slices(sweep: &Sweep, trials: &[Trial]) -> String {
    let shade = shades(sweep, trials);
    let slice = |parameter: &Parameter| {
        let point =
            |(t, y): (&Trial, f64)| Some(Point { x: *t.params.get(&parameter.name)?, y, shade: shade(t) });
        Panel {
            across: axis(parameter),
            up: value_axis(sweep, trials),
            points: drawn(trials).filter_map(point).collect(),
            lines: Vec::new(),
        }
    };
    let all: Vec<Panel> = sweep.space.parameters().iter().map(slice).collect();
    panels(&all, 3, 300.0)
}

fn lines(sweep: &Sweep, trials: &[Trial]) -> String {
    let shade = shades(sweep, trials);
    let mut axes: Vec<Axis> = sweep.space.parameters().iter().map(axis).collect();
    axes.push(value_axis(sweep, trials));
    let row = |(t, y): (&Trial, f64)| {
        let mut values: Vec<Option<f64>> =
            sweep.space.parameters().iter().map(|p| t.params.get(&p.name).copied()).collect();
        values.push(Some(y));
        Some((values, shade(t)?))
    };
    parallel(&axes, &drawn(trials).filter_map(row).collect::<Vec<_>>())
}

fn page(
    sweep: &Sweep,
    trials: &[Trial],
    ranked: &[&Trial],
    sentence: &str,
    pictures: &[(&str, String)],
) -> String {
    let head: String = heads(sweep).iter().map(|h| format!("<th>{h}</th>")).collect();
    let row = |t: &&Trial| -> String {
        let cells: String = cells(sweep, t).iter().map(|c| format!("<td>{c}</td>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = ranked.iter().take(50).map(row).collect();
    let title = if sweep.objectives.len() > 1 { "Pareto front" } else { "Best trials" };
    let names = ["History", "Importance (share of variance, fANOVA)", "Parallel coordinates", "Slices"];
    let drawn: String =
        names.iter().zip(pictures).map(|(name, (_, svg))| format!("<h2>{name}</h2>\n{svg}\n")).collect();
    include_str!("page.html")
        .replace("{{name}}", &sweep.name)
        .replace("{{n}}", &trials.len().to_string())
        .replace("{{sentence}}", sentence)
        .replace("{{title}}", title)
        .replace("{{head}}", &head)
        .replace("{{rows}}", &rows)
        .replace("{{pictures}}", &drawn)
}
