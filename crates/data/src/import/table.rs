//! A file as named columns: the only place where Polars reads.
//!
//! A CSV file's cells stay text, so that a bad one can be named with its line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use polars::prelude::{Column, CsvReadOptions, DataFrame, DataType, ParquetReader, SerReader};

use crate::error::DataError;

/// Columns of one file.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) frame: DataFrame,
    /// Lower-case names without blanks or angle brackets, or `column_1`, `column_2`, … when the file has no header.
    pub(super) names: Vec<String>,
    pub(super) has_header: bool,
    /// The line of the first data row, from 1.
    pub(super) first_line: usize,
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        let index = self.names.iter().position(|n| n == name)?;
        self.frame.columns().get(index)
    }

    pub(super) fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.names.iter().any(|n| n == name))
    }
}

/// Reads a CSV (`.csv`, `.txt`, `.tsv`) or Parquet file.
pub(super) fn read(path: &Path) -> Result<Table, DataError> {
    let unreadable = |reason: &dyn std::fmt::Display| DataError::Unreadable {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    match super::extension(path).as_str() {
        "parquet" => {
            let file = File::open(path).map_err(|e| unreadable(&e))?;
            let frame = ParquetReader::new(file).finish().map_err(|e| unreadable(&e))?;
            Ok(named(frame, true, 1))
        }
        "csv" | "txt" | "tsv" => {
            let file = File::open(path).map_err(|e| unreadable(&e))?;
            let mut first = String::new();
            BufReader::new(&file).read_line(&mut first).map_err(|e| unreadable(&e))?;
            if first.trim().is_empty() {
                return Err(unreadable(&"the first line is empty"));
            }
            let separator =
                [b'\t', b';', b','].into_iter().max_by_key(|&s| first.bytes().filter(|&b| b == s).count());
            // A header is a line whose cells are words; a line of data begins with a number or a date.
            let has_header =
                !first.trim_start_matches(['"', '\u{feff}']).starts_with(|c: char| c.is_ascii_digit());
            let frame = CsvReadOptions::default()
                .with_has_header(has_header)
                .with_infer_schema_length(Some(0))
                .map_parse_options(|o| o.with_separator(separator.unwrap_or(b',')))
                .try_into_reader_with_file_path(Some(path.to_owned()))
                .and_then(SerReader::finish)
                .map_err(|e| unreadable(&e))?;
            Ok(named(frame, has_header, 1 + usize::from(has_header)))
        }
        other => {
            Err(unreadable(&format!("its name ends in '.{other}'; .csv, .txt, .tsv and .parquet are read")))
        }
    }
}

fn named(frame: DataFrame, has_header: bool, first_line: usize) -> Table {
    let tidy = |name: &str| name.trim().trim_matches(['<', '>', '\u{feff}']).to_lowercase().replace(' ', "_");
    let names = frame.get_column_names().iter().map(|name| tidy(name.as_str())).collect();
    Table { frame, names, has_header, first_line }
}

/// A column's cells as floats; the first cell that is none is named by its row.
pub(super) fn floats(column: &Column) -> Result<Vec<f64>, (usize, String)> {
    if column.dtype() == &DataType::String {
        // An empty cell is a missing number, which is for the checks to judge.
        return cells(
            column,
            |cell| if cell.trim().is_empty() { Some(f64::NAN) } else { cell.trim().parse().ok() },
        );
    }
    let cast = column.cast(&DataType::Float64).map_err(|e| (0, e.to_string()))?;
    let values = cast.f64().map_err(|e| (0, e.to_string()))?;
    Ok(values.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}

/// A text column's cells, each read by `parse`; the first that cannot be read is named by its row.
pub(super) fn cells<T>(
    column: &Column,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, (usize, String)> {
    let text = column.str().map_err(|e| (0, e.to_string()))?;
    let mut out = Vec::with_capacity(text.len());
    for (row, cell) in text.iter().enumerate() {
        let cell = cell.unwrap_or("");
        out.push(parse(cell).ok_or_else(|| (row, cell.to_owned()))?);
    }
    Ok(out)
}
