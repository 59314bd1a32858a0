//! Looking at runs: lists, filters, comparisons, plots, exports.

use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_core::clock::Clock;
use cambist_evaluate::panels::{Axis, Line, Panel, panels};
use cambist_runs::{RunFolder, Status};
use serde_json::Value;

use crate::error::LabError;
use crate::run::Machine;

pub use cambist_runs::{Opening, RunRecord};

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// All of these are among its tags.
    pub tags: Vec<String>,
    /// Whether deleted ones are among them.
    pub deleted: bool,
}

/// `FIELD OP VALUE`: of the run (`status`, `experiment`, `market`, `seed`, `name`), its metrics (`sharpe`, `total_return` …) or its
/// config (`ppo.gamma` …).
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    field: String,
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    AtLeast,
    AtMost,
    Not,
    Above,
    Below,
    Is,
}

impl std::str::FromStr for Condition {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        let operators = [
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            ("!=", Operator::Not),
            (">", Operator::Above),
            ("<", Operator::Below),
            ("=", Operator::Is),
        ];
        let found = operators.iter().find_map(|(sign, operator)| Some((text.split_once(sign)?, *operator)));
        let ((field, value), operator) = found.ok_or_else(|| LabError::Filter(text.to_owned()))?;
        let (field, value) = (field.trim().to_owned(), value.trim().to_owned());
        if field.is_empty() || value.is_empty() || value.starts_with(['=', '<', '>']) {
            return Err(LabError::Filter(text.to_owned()));
        }
        Ok(Self { field, operator, value })
    }
}

impl Condition {
    fn holds(&self, run: &RunRecord) -> bool {
        let Some(own) = lookup(run, &self.field) else { return false };
        let order = match (own.as_f64(), self.value.parse::<f64>()) {
            (Some(a), Ok(b)) => a.partial_cmp(&b),
            _ => Some(shown(&own).as_str().cmp(self.value.as_str())),
        };
        order.is_some_and(|order| match self.operator {
            Operator::AtLeast => order.is_ge(),
            Operator::AtMost => order.is_le(),
            Operator::Not => order.is_ne(),
            Operator::Above => order.is_gt(),
            Operator::Below => order.is_lt(),
            Operator::Is => order.is_eq(),
        })
    }
}

/// A field of a run, its metrics or its config.
fn lookup(run: &RunRecord, field: &str) -> Option<Value> {
    let own = match field {
        "name" => Some(run.name.clone().into()),
        "experiment" => Some(run.experiment.clone().into()),
        "market" => Some(run.market.clone().into()),
        "status" => Some(run.status.name().into()),
        "seed" => Some(run.seed.into()),
        _ => None,
    };
    let metric = || run.metrics.get(field).filter(|v| !v.is_object()).cloned();
    let config = || field.split('.').try_fold(&run.config, |at, name| at.get(name)).cloned();
    own.or_else(metric).or_else(config).filter(|value| !value.is_null())
}

/// A value without quotes.
#[must_use]
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The runs that `filter` lets through, oldest first.
///
/// # Errors
/// When the registry cannot be read.
pub fn list(machine: &Machine, filter: &Filter) -> Result<Vec<RunRecord>, LabError> {
    let fits = |run: &RunRecord| {
        (filter.deleted || run.status != Status::Deleted)
            && filter.conditions.iter().all(|condition| condition.holds(run))
            && filter.tags.iter().all(|tag| run.tags.contains(tag))
    };
    let all = machine.registry(&machine.runs)?.runs()?;
    for condition in &filter.conditions {
        // A field that no run has is a slip, not a filter that lets nothing through.
        if !all.is_empty() && all.iter().all(|run| lookup(run, &condition.field).is_none()) {
            return Err(LabError::UnknownField { field: condition.field.clone(), n: all.len() });
        }
    }
    Ok(all.into_iter().filter(fits).collect())
}

/// The run called `wanted`: its name, the beginning of one name alone, or `latest`.
///
/// # Errors
/// When there is none.
pub fn one(machine: &Machine, wanted: &str) -> Result<RunRecord, LabError> {
    let all = machine.registry(&machine.runs)?.runs()?;
    let fitting: Vec<&RunRecord> =
        all.iter().filter(|run| !wanted.is_empty() && run.name.starts_with(wanted)).collect();
    let found = match (wanted, fitting.as_slice()) {
        ("latest", _) => all.iter().rev().find(|run| run.status != Status::Deleted),
        (_, [one]) => Some(*one),
        (_, several) => several.iter().copied().find(|run| run.name == wanted),
    };
    found.cloned().ok_or_else(|| {
        LabError::Run(cambist_runs::RunError::NoSuchRun {
            wanted: wanted.to_owned(),
            root: machine.runs.clone(),
            known: all.iter().rev().take(3).map(|run| run.name.clone()).collect(),
        })
    })
}

/// Where runs differ: field and one value a run; configs first, then metrics.
#[must_use]
pub fn compare(runs: &[RunRecord]) -> Vec<(String, Vec<String>)> {
    let mut rows = Vec::new();
    let parts: [fn(&RunRecord) -> &Value; 2] = [|run| &run.config, |run| &run.metrics];
    for part in parts {
        let mut fields = std::collections::BTreeSet::new();
        for run in runs {
            leaves("", part(run), &mut fields);
        }
        for field in fields {
            let value = |run: &RunRecord| {
                let found = field.split('.').try_fold(part(run), |at, name| at.get(name));
                found.map_or("–".to_owned(), shown)
            };
            let values: Vec<String> = runs.iter().map(value).collect();
            if values.iter().any(|value| *value != values[0]) {
                rows.push((field, values));
            }
        }
    }
    rows
}

fn leaves(path: &str, value: &Value, out: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value, out);
            }
        }
        _ => drop(out.insert(path.to_owned())),
    }
}

/// Draws `metrics` of `runs` over environment steps, a panel a metric, into `out`.
///
/// # Errors
/// When a run's metrics cannot be read, none has a metric, or the file cannot be written.
pub fn plot(machine: &Machine, runs: &[RunRecord], metrics: &[String], out: &Path) -> Result<(), LabError> {
    let mut read: Vec<(String, Vec<Value>)> = Vec::new();
    for run in runs {
        let path = machine.runs.join(&run.name).join("metrics.jsonl");
        let text = std::fs::read_to_string(&path).map_err(cambist_store::FileError::on("read", &path))?;
        read.push((run.name.clone(), text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()));
    }
    let mut drawn = Vec::new();
    for metric in metrics {
        let points = |rows: &[Value]| -> Vec<(f64, f64)> {
            rows.iter().filter_map(|row| Some((row["step"].as_f64()?, row[metric].as_f64()?))).collect()
        };
        let lines: Vec<Line> =
            read.iter().map(|(name, rows)| Line { name: name.clone(), points: points(rows) }).collect();
        if lines.iter().all(|line| line.points.is_empty()) {
            let known = read.iter().flat_map(|(_, rows)| rows.iter().filter_map(Value::as_object));
            let known: std::collections::BTreeSet<&str> =
                known.flat_map(|row| row.keys().map(String::as_str)).filter(|k| *k != "step").collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(LabError::NoMetric { metric: metric.clone(), known });
        }
        let all = || lines.iter().flat_map(|line| line.points.iter());
        let across = Axis::over(&format!("{metric} over environment steps"), all().map(|p| p.0));
        let up = Axis::over(metric, all().map(|p| p.1));
        drawn.push(Panel { across, up, points: Vec::new(), lines });
    }
    let svg = panels(&drawn, 1, 900.0);
    cambist_store::write_atomic(out, |f| std::io::Write::write_all(f, svg.as_bytes()))?;
    Ok(())
}

/// Runs as CSV: what they are, their metrics, and the config's fields in which any two differ.
#[must_use]
pub fn csv(runs: &[RunRecord]) -> String {
    let quoted = |text: &str| {
        if text.contains([',', '"', '\n']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut differing: Vec<String> = compare(runs).into_iter().map(|(field, _)| field).collect();
    differing.retain(|field| runs.iter().all(|run| run.metrics.get(field).is_none()));
    let mut metrics = std::collections::BTreeSet::new();
    runs.iter().for_each(|run| leaves("", &run.metrics, &mut metrics));
    metrics.remove("name");
    let fields: Vec<String> = metrics.into_iter().filter(|m| !m.is_empty()).chain(differing).collect();
    let mut out =
        format!("run,experiment,market,seed,status,begun,ended,artefact,tags,{}\n", fields.join(","));
    for run in runs {
        let stamp = |at: i64| UnixNanos(at).to_string();
        let mut cells = vec![
            run.name.clone(),
            run.experiment.clone(),
            run.market.clone(),
            run.seed.to_string(),
            run.status.name().to_owned(),
            stamp(run.begun),
            run.ended.map_or(String::new(), stamp),
            run.artefact.clone().unwrap_or_default(),
            run.tags.join(" "),
        ];
        cells.extend(fields.iter().map(|f| lookup(run, f).map_or(String::new(), |v| shown(&v))));
        out += &cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
        out.push('\n');
    }
    out
}

/// Removes the folder of `run` and leaves a tombstone: it still counts as tried. Returns the folder.
///
/// # Errors
/// When another process works on it, or it cannot be removed.
pub fn delete(machine: &Machine, run: &RunRecord, clock: &dyn Clock) -> Result<PathBuf, LabError> {
    // Of a process that lives; one that was killed holds nothing.
    let _alone = folder(machine, run).map(|folder| folder.lock()).transpose()?;
    let path = machine.runs.join(&run.name);
    // The tombstone first: a folder without one would be forgotten.
    machine.registry(&machine.runs)?.bury(&run.name, clock.now())?;
    if path.is_dir() {
        std::fs::remove_dir_all(&path).map_err(cambist_store::FileError::on("remove", &path))?;
    }
    Ok(path)
}

/// The folder of `run`.
#[must_use]
pub fn folder(machine: &Machine, run: &RunRecord) -> Option<RunFolder> {
    RunFolder::find(&machine.runs, &run.name).ok()
}

/// Writes `text` to `path`, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), LabError> {
    cambist_store::write_atomic(path, |f| std::io::Write::write_all(f, text.as_bytes()))?;
    Ok(())
}

/// Which lines of logs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Beginning of a run's name.
    pub run: Option<String>,
    /// Name of an event.
    pub event: Option<String>,
    /// Text in the line.
    pub text: Option<String>,
    /// From when on: a date, or a date and time.
    pub since: Option<String>,
}

/// The lines of all runs' logs that are wanted, each run's oldest first, rotated and compressed ones among them: JSON objects with the
/// run's name.
///
/// # Errors
/// When a log cannot be read.
pub fn logs(machine: &Machine, wanted: &Wanted) -> Result<Vec<String>, LabError> {
    let mut out = Vec::new();
    for name in RunFolder::list(&machine.runs) {
        if wanted.run.as_ref().is_some_and(|run| !name.starts_with(run.as_str())) {
            continue;
        }
        for line in cambist_runs::log::lines(&machine.runs.join(&name))? {
            let Ok(mut value) = serde_json::from_str::<Value>(&line) else { continue };
            let time = value["time"].as_str().unwrap_or_default().to_owned();
            let fits = wanted.event.as_ref().is_none_or(|event| value["event"] == event.as_str())
                && wanted.text.as_ref().is_none_or(|text| line.contains(text.as_str()))
                && wanted.since.as_ref().is_none_or(|since| time.as_str() >= since.as_str());
            if let (true, Some(fields)) = (fits, value.as_object_mut()) {
                fields.insert("run".to_owned(), name.clone().into());
                out.push(value.to_string());
            }
        }
    }
    Ok(out)
}
