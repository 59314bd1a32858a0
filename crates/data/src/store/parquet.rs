//! Tapes as Parquet, one file a year, zstd.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cambist_core::{MarketTape, UnixNanos};
use cambist_store::write_atomic;
use chrono::Datelike;
use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetReader, ParquetWriter, SerReader};

use crate::error::DataError;
use crate::synth::Truth;

/// The file of a synthetic market's hidden states.
pub(super) const TRUTH: &str = "truth.parquet";

pub(super) fn write_years(tape: &MarketTape, folder: &Path) -> Result<(), DataError> {
    let year = |row: usize| UnixNanos(tape.open_time[row]).civil().year();
    let mut start = 0;
    while start < tape.len() {
        let this = year(start);
        let end = start + tape.open_time[start..].partition_point(|&t| UnixNanos(t).civil().year() == this);
        let part = tape.slice(start..end);
        let mut columns = vec![Column::new("open_time".into(), &part.open_time)];
        for (name, values) in [
            ("open", &part.open),
            ("high", &part.high),
            ("low", &part.low),
            ("close", &part.close),
            ("volume", &part.volume),
            ("spread", &part.spread),
        ] {
            if !values.is_empty() {
                columns.push(Column::new(name.into(), values));
            }
        }
        columns.push(Column::new("coverage".into(), &part.coverage));
        write(columns, &folder.join(format!("{this}.parquet")))?;
        start = end;
    }
    Ok(())
}

pub(super) fn read_years(folder: &Path, tape: &mut MarketTape) -> Result<(), DataError> {
    let entries = std::fs::read_dir(folder).map_err(cambist_store::FileError::on("list", folder))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "parquet") && !p.ends_with(TRUTH));
    files.sort();
    for path in files {
        let failed = |e: polars::error::PolarsError| unreadable(&path, &e);
        let times = read(&path, "open_time")?;
        tape.open_time.extend(times.i64().map_err(failed)?.iter().flatten());
        for (name, values) in [
            ("open", &mut tape.open),
            ("high", &mut tape.high),
            ("low", &mut tape.low),
            ("close", &mut tape.close),
            ("volume", &mut tape.volume),
        ] {
            values.extend(read(&path, name)?.f64().map_err(failed)?.iter().flatten());
        }
        if let Ok(spread) = read(&path, "spread") {
            tape.spread.extend(spread.f64().map_err(failed)?.iter().flatten());
        }
        tape.coverage.extend(read(&path, "coverage")?.f32().map_err(failed)?.iter().flatten());
    }
    Ok(())
}

pub(super) fn write_truth(tape: &MarketTape, truth: &Truth, folder: &Path) -> Result<(), DataError> {
    let mut columns = vec![Column::new("open_time".into(), &tape.open_time)];
    columns.extend(truth.columns.iter().map(|(name, values)| Column::new(name.as_str().into(), values)));
    write(columns, &folder.join(TRUTH))
}

pub(crate) fn write(columns: Vec<Column>, path: &Path) -> Result<(), DataError> {
    let n_rows = columns.first().map_or(0, Column::len);
    let failed =
        |e: polars::error::PolarsError| DataError::Write { path: path.to_owned(), reason: e.to_string() };
    let mut frame = DataFrame::new(n_rows, columns).map_err(failed)?;
    write_atomic(path, |file: &mut File| {
        let writer = ParquetWriter::new(&mut *file).with_compression(ParquetCompression::Zstd(None));
        writer.finish(&mut frame).map(|_| ()).map_err(io::Error::other)
    })?;
    Ok(())
}

/// One column: of a table as large as memory no more is held than that.
fn read(path: &Path, column: &str) -> Result<Column, DataError> {
    let failed = |e| unreadable(path, &e);
    let file = File::open(path).map_err(cambist_store::FileError::on("open", path))?;
    let frame =
        ParquetReader::new(file).with_columns(Some(vec![column.to_owned()])).finish().map_err(failed)?;
    frame.column(column).cloned().map_err(failed)
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> DataError {
    DataError::Unreadable { path: path.to_owned(), reason: reason.to_string() }
}
