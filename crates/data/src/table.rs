//! A table of one's own as Parquet, zstd.

use std::path::Path;

use polars::prelude::Column;

use crate::error::DataError;
use crate::store::write_columns;

/// A column's values.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnValues {
    /// Whole numbers, and times in nanoseconds.
    Whole(Vec<i64>),
    /// Numbers.
    Numbers(Vec<f64>),
    /// Texts.
    Texts(Vec<String>),
}

/// Writes columns of equal length to `path`.
///
/// # Errors
/// When their lengths differ or the file cannot be written.
pub fn write_table(path: &Path, columns: Vec<(String, ColumnValues)>) -> Result<(), DataError> {
    let column = |(name, values): (String, ColumnValues)| match values {
        ColumnValues::Whole(values) => Column::new(name.as_str().into(), values),
        ColumnValues::Numbers(values) => Column::new(name.as_str().into(), values),
        ColumnValues::Texts(values) => Column::new(name.as_str().into(), values),
    };
    write_columns(columns.into_iter().map(column).collect(), path)
}
