//! A sweep as files: results as CSV and as a page with a sortable table, a heat map, curves, and trades as Parquet.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use cambist_data::table::{ColumnValues, write_table};
use cambist_evaluate::chart::{self, Line, Style};
use cambist_evaluate::heat::{self, HeatMap};
use cambist_store::files::write_atomic;

use super::{Axis, Outcome, Sort, Sweep};
use crate::error::LabError;

/// Columns of the result behind the axes.
const COLUMNS: [&str; 7] = ["return", "sharpe", "drawdown", "trades", "held", "costs", "ruined"];

impl Sweep {
    /// Names of the result's columns.
    #[must_use]
    pub fn head(&self) -> Vec<String> {
        let axes = self.grid.axes.iter().map(|axis| axis.name.clone());
        axes.chain(COLUMNS.map(str::to_owned)).collect()
    }

    /// Cells of combination `at`, as numbers a program reads.
    #[must_use]
    pub fn cells(&self, at: usize) -> Vec<String> {
        let Outcome { total_return, sharpe, max_drawdown, trades, held, costs, ruined } = self.outcomes[at];
        let numbers = [total_return, sharpe, max_drawdown, trades as f64, held, costs];
        let own = numbers.iter().map(ToString::to_string).chain([ruined.to_string()]);
        self.grid.combinations[at].values.iter().cloned().chain(own).collect()
    }

    /// Cells of combination `at`, for people.
    #[must_use]
    pub fn shown(&self, at: usize) -> Vec<String> {
        let o = &self.outcomes[at];
        let percent = |v: f64| format!("{:.2} %", 100.0 * v);
        let sharpe = if o.sharpe.is_finite() { format!("{:.2}", o.sharpe) } else { "–".to_owned() };
        let ruined = if o.ruined { "yes" } else { "" };
        let own = [
            percent(o.total_return),
            sharpe,
            percent(o.max_drawdown),
            o.trades.to_string(),
            percent(o.held),
            percent(o.costs),
            ruined.to_owned(),
        ];
        self.grid.combinations[at].values.iter().cloned().chain(own).collect()
    }

    fn name(&self, at: usize) -> String {
        let pairs = self.grid.axes.iter().zip(&self.grid.combinations[at].values);
        pairs.map(|(axis, value)| format!("{} {value}", axis.name)).collect::<Vec<_>>().join(", ")
    }
}

/// Writes everything into `folder`; returns the files.
///
/// # Errors
/// When a file cannot be written.
pub fn write(sweep: &Sweep, sort: Sort, folder: &Path) -> Result<Vec<PathBuf>, LabError> {
    let mut files = Vec::new();
    let mut put = |name: &str, text: &str| -> Result<(), LabError> {
        let path = folder.join(name);
        write_atomic(&path, |file| file.write_all(text.as_bytes()))?;
        files.push(path);
        Ok(())
    };
    let mut csv = sweep.head().join(",") + "\n";
    for &at in &sweep.ranking {
        csv += &(sweep.cells(at).join(",") + "\n");
    }
    put("results.csv", &csv)?;
    let curves = curves(sweep)?;
    put("equity.svg", &curves)?;
    let map = heat_map(sweep, sort)?;
    if let Some(map) = &map {
        put("heatmap.svg", map)?;
    }
    put("results.html", &page(sweep, &curves, map.as_deref()))?;
    let path = folder.join("trades.parquet");
    trades(sweep, &path)?;
    files.push(path);
    Ok(files)
}

fn curves(sweep: &Sweep) -> Result<String, LabError> {
    let scaled = |curve: &[f64]| -> Vec<f64> { curve.iter().map(|e| e / curve[0]).collect() };
    let mut named: Vec<(String, Vec<f64>)> =
        sweep.kept.iter().map(|(at, curve, _)| (sweep.name(*at), scaled(curve))).collect();
    named.push(("the price".to_owned(), scaled(&sweep.close)));
    let lines: Vec<Line<'_>> = named.iter().map(|(name, values)| Line { name, values }).collect();
    let style =
        Style { title: "The best of the grid", unit: "multiple of start", logarithmic: true, filled: false };
    Ok(chart::lines(&style, &sweep.time, &lines)?)
}

/// The first two axes with more than one value; the best over all others.
fn heat_map(sweep: &Sweep, sort: Sort) -> Result<Option<String>, LabError> {
    let several: Vec<usize> =
        (0..sweep.grid.axes.len()).filter(|&a| sweep.grid.axes[a].values.len() > 1).collect();
    let &[across, up, ..] = several.as_slice() else { return Ok(None) };
    let axis = |a: usize| -> &Axis { &sweep.grid.axes[a] };
    let (columns, rows) = (axis(across).values.len(), axis(up).values.len());
    let mut values = vec![f64::NAN; columns * rows];
    for (combination, outcome) in sweep.grid.combinations.iter().zip(&sweep.outcomes) {
        let place = |a: usize| axis(a).values.iter().position(|v| *v == combination.values[a]);
        let (Some(column), Some(row)) = (place(across), place(up)) else { continue };
        let cell = &mut values[row * columns + column];
        let key = sort.key(outcome);
        if key.is_finite() {
            *cell = cell.max(key);
        }
    }
    let title = format!("{sort:?}, the best over other parameters").to_lowercase();
    let named = |a: usize| (axis(a).name.clone(), axis(a).values.clone());
    Ok(Some(heat::draw(&HeatMap { title, across: named(across), up: named(up), values })?))
}

fn trades(sweep: &Sweep, path: &Path) -> Result<(), LabError> {
    let rows = || sweep.kept.iter().flat_map(|(at, _, trades)| trades.iter().map(move |trade| (*at, trade)));
    let number =
        |pick: fn(&super::TradeRow) -> f64| ColumnValues::Numbers(rows().map(|(_, t)| pick(t)).collect());
    let mut columns =
        vec![("combination".to_owned(), ColumnValues::Whole(rows().map(|(at, _)| at as i64).collect()))];
    for (a, axis) in sweep.grid.axes.iter().enumerate() {
        let values = rows().map(|(at, _)| sweep.grid.combinations[at].values[a].clone()).collect();
        columns.push((axis.name.clone(), ColumnValues::Texts(values)));
    }
    columns.push(("time".to_owned(), ColumnValues::Whole(rows().map(|(_, t)| t.time.0).collect())));
    columns.push(("units".to_owned(), number(|t| t.units)));
    columns.push(("price".to_owned(), number(|t| t.value / t.units.abs())));
    columns.push(("cost".to_owned(), number(|t| t.cost)));
    columns.push(("equity".to_owned(), number(|t| t.equity)));
    Ok(write_table(path, columns)?)
}

/// A page that needs nothing else; a click on a column sorts by it.
fn page(sweep: &Sweep, curves: &str, map: Option<&str>) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let mut rows = String::new();
    for &at in &sweep.ranking {
        let cells =
            sweep.shown(at).iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect::<String>();
        let _ = writeln!(rows, "<tr>{cells}</tr>");
    }
    let head = sweep.head().iter().map(|name| format!("<th>{}</th>", escape(name))).collect::<String>();
    include_str!("page.html")
        .replace("{{span}}", &sweep.span.to_string())
        .replace("{{n}}", &sweep.outcomes.len().to_string())
        .replace("{{bars}}", &sweep.n_bars.to_string())
        .replace("{{curves}}", curves)
        .replace("{{map}}", map.unwrap_or(""))
        .replace("{{head}}", &head)
        .replace("{{rows}}", &rows)
}
