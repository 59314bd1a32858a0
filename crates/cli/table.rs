//! Tables for the terminal.

use cambist_lab::seeds::Seeds;
use cambist_lab::view::Rows;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// A table with `head` above `rows`; every column but the first is right-aligned.
pub(crate) fn text(head: &[String], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for index in 1..head.len() {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// A table whose last column is text.
pub(crate) fn with_notes(head: &[String], rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> =
        (0..head.len()).map(|c| width(c).unwrap_or(0).max(head[c].chars().count())).collect();
    let shown = |row: &[String]| {
        let cell = |(column, text): (usize, &String)| match column {
            0 => format!("{text:<w$}", w = widths[0]),
            c if c + 1 == head.len() => text.clone(),
            c => format!("{text:>w$}", w = widths[c]),
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(shown(head)).chain(rows.iter().map(|row| shown(row))).collect::<Vec<_>>().join("\n")
}

/// The metrics of policy and baselines.
pub(crate) fn scores(rows: &Rows) -> String {
    let head: Vec<String> = std::iter::once(String::new()).chain(rows.names.iter().cloned()).collect();
    let body: Vec<Vec<String>> = rows
        .metrics
        .iter()
        .map(|row| std::iter::once(row.name.to_owned()).chain(row.values.iter().cloned()).collect())
        .collect();
    text(&head, &body)
}

/// Metrics over seeds: a column a seed, then the interquartile mean and its interval.
pub(crate) fn seeds(summary: &Seeds) -> String {
    let seeds = summary.seeds.iter().map(|s| format!("seed {s}"));
    let head: Vec<String> = std::iter::once(String::new())
        .chain(seeds)
        .chain(["middle mean", "95 % from", "to"].map(str::to_owned))
        .collect();
    let body: Vec<Vec<String>> = summary
        .metrics
        .iter()
        .map(|m| {
            let e = m.estimate;
            let values = m.values.iter().chain([&e.mean, &e.low, &e.high]);
            std::iter::once(m.name.to_owned()).chain(values.map(|v| format!("{v:.3}"))).collect()
        })
        .collect();
    text(&head, &body)
}
