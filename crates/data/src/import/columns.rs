//! From a table in a known form to raw bars.

use std::path::Path;

use polars::prelude::{Column, DataType, TimeUnit};

use super::form::STAMPS;
use super::table::{Table, cells, floats};
use super::time::{absolute, civil, date, epoch, time};
use super::{Form, RawBars, Zone};
use crate::error::DataError;

const KLINE: [&str; 6] = ["column_1", "column_2", "column_3", "column_4", "column_5", "column_6"];

/// Appends the rows of `table` to `raw`.
pub(super) fn append(
    table: &Table,
    form: Form,
    zone: Zone,
    path: &Path,
    raw: &mut RawBars,
) -> Result<(), DataError> {
    let reader = Reader { table, path };
    raw.sources.push((raw.len(), table.first_line, path.to_owned()));
    let named = |prefix: &str| ["open", "high", "low", "close"].map(|side| format!("{prefix}{side}"));
    match form {
        Form::BinanceKline if !table.has_header => {
            raw.open_time.extend(reader.stamps(KLINE[0], zone)?);
            for (column, name) in raw.prices.iter_mut().zip(&KLINE[1..5]) {
                column.extend(reader.numbers(name)?);
            }
            raw.volume.extend(reader.numbers(KLINE[5])?);
        }
        Form::Plain | Form::BinanceKline | Form::Dukascopy => {
            raw.open_time.extend(reader.stamp_column(zone)?);
            reader.prices(&named(""), raw)?;
            reader.volume(&["volume"], raw)?;
            reader.spread(raw)?;
        }
        Form::Mt5 => {
            raw.open_time.extend(reader.mt5_stamps(zone)?);
            reader.prices(&named(""), raw)?;
            reader.volume(&["tickvol"], raw)?;
            // MT5 writes its spread in points, whose size the export does not tell; the digits of the prices do.
            let point = reader.point()?;
            if table.has(&["spread"]) {
                raw.spread.extend(reader.numbers("spread")?.into_iter().map(|points| points * point));
            }
        }
        Form::BidAsk => {
            raw.open_time.extend(reader.stamp_column(zone)?);
            for (index, (bid, ask)) in named("bid_").iter().zip(&named("ask_")).enumerate() {
                let (bid, ask) = (reader.numbers(bid)?, reader.numbers(ask)?);
                if index == 0 {
                    raw.spread.extend(bid.iter().zip(&ask).map(|(b, a)| a - b));
                }
                raw.prices[index].extend(bid.iter().zip(&ask).map(|(b, a)| 0.5 * (a + b)));
            }
            reader.volume(&["volume", "bid_volume"], raw)?;
        }
    }
    if !raw.spread.is_empty() && raw.spread.len() != raw.len() {
        return Err(DataError::Refused(format!(
            "{} differs from the files before it: either all files have spreads or none",
            path.display()
        )));
    }
    Ok(())
}

struct Reader<'a> {
    table: &'a Table,
    path: &'a Path,
}

impl Reader<'_> {
    fn column(&self, name: &str) -> Result<&Column, DataError> {
        self.table.column(name).ok_or_else(|| DataError::UnknownForm {
            path: self.path.to_owned(),
            found: self.table.names.clone(),
            known: super::form::KNOWN,
        })
    }

    fn bad(&self, name: &str, (row, value): (usize, String), expected: &str) -> DataError {
        DataError::BadValue {
            path: self.path.to_owned(),
            line: self.table.first_line + row,
            column: name.to_owned(),
            value,
            expected: expected.to_owned(),
        }
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>, DataError> {
        floats(self.column(name)?).map_err(|at| self.bad(name, at, "a number"))
    }

    fn prices(&self, names: &[String; 4], raw: &mut RawBars) -> Result<(), DataError> {
        for (column, name) in raw.prices.iter_mut().zip(names) {
            column.extend(self.numbers(name)?);
        }
        Ok(())
    }

    fn volume(&self, names: &[&str], raw: &mut RawBars) -> Result<(), DataError> {
        let found = names.iter().find(|name| self.table.column(name).is_some());
        if *raw.has_volume.get_or_insert(found.is_some()) != found.is_some() {
            return Err(DataError::Refused(format!(
                "{} differs from the files before it: either all files have volumes or none",
                self.path.display()
            )));
        }
        match found {
            Some(name) => raw.volume.extend(self.numbers(name)?),
            None => raw.volume.resize(raw.len(), 0.0),
        }
        Ok(())
    }

    fn spread(&self, raw: &mut RawBars) -> Result<(), DataError> {
        if self.table.has(&["spread"]) {
            raw.spread.extend(self.numbers("spread")?);
        }
        Ok(())
    }

    fn stamp_column(&self, zone: Zone) -> Result<Vec<i64>, DataError> {
        let name = STAMPS.into_iter().find(|name| self.table.column(name).is_some()).unwrap_or(STAMPS[0]);
        self.stamps(name, zone)
    }

    fn stamps(&self, name: &str, zone: Zone) -> Result<Vec<i64>, DataError> {
        let column = self.column(name)?;
        let expected = "a time stamp (epoch s, ms, µs or ns; YYYY-MM-DD HH:MM:SS; DD.MM.YYYY HH:MM:SS) that the zone has";
        let failed = |at| self.bad(name, at, expected);
        match column.dtype() {
            DataType::String => {
                let mut previous = None;
                let text = column.str().map_err(|e| failed((0, e.to_string())))?;
                let mut out = Vec::with_capacity(text.len());
                for (row, cell) in text.iter().enumerate() {
                    let cell = cell.unwrap_or("");
                    let at = absolute(cell).or_else(|| zone.to_utc(civil(cell)?, previous));
                    previous = Some(at.ok_or_else(|| failed((row, cell.to_owned())))?);
                    out.extend(previous);
                }
                Ok(out)
            }
            DataType::Datetime(unit, _) => {
                let scale = match unit {
                    TimeUnit::Nanoseconds => 1,
                    TimeUnit::Microseconds => 1_000,
                    TimeUnit::Milliseconds => 1_000_000,
                };
                self.integers(column, name, |v| v.checked_mul(scale))
            }
            _ => self.integers(column, name, epoch),
        }
    }

    fn integers(
        &self,
        column: &Column,
        name: &str,
        scale: impl Fn(i64) -> Option<i64>,
    ) -> Result<Vec<i64>, DataError> {
        let failed =
            |row, value: String| self.bad(name, (row, value), "an epoch time stamp in s, ms, µs or ns");
        let cast = column.cast(&DataType::Int64).map_err(|e| failed(0, e.to_string()))?;
        let values = cast.i64().map_err(|e| failed(0, e.to_string()))?;
        let mut out = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            let at = value.and_then(&scale);
            out.push(at.ok_or_else(|| failed(row, value.map_or("nothing".into(), |v| v.to_string())))?);
        }
        Ok(out)
    }

    fn mt5_stamps(&self, zone: Zone) -> Result<Vec<i64>, DataError> {
        let days =
            cells(self.column("date")?, date).map_err(|at| self.bad("<DATE>", at, "a date YYYY.MM.DD"))?;
        let clocks = match self.table.column("time") {
            Some(column) => cells(column, time).map_err(|at| self.bad("<TIME>", at, "a time HH:MM:SS"))?,
            None => vec![chrono::NaiveTime::MIN; days.len()],
        };
        let mut previous = None;
        let mut out = Vec::with_capacity(days.len());
        for (row, (day, clock)) in days.into_iter().zip(clocks).enumerate() {
            let local = day.and_time(clock);
            previous = zone.to_utc(local, previous);
            let missing =
                || self.bad("<TIME>", (row, local.to_string()), "a time that the zone's clock shows");
            out.push(previous.ok_or_else(missing)?);
        }
        Ok(out)
    }

    /// The smallest price step the file can write: ten to the minus (digits after the point).
    fn point(&self) -> Result<f64, DataError> {
        let digits = cells(self.column("close")?, |cell| {
            Some(cell.split_once('.').map_or(0, |(_, d)| d.trim().len()))
        })
        .map_err(|at| self.bad("close", at, "a price"))?;
        Ok(libm::pow(10.0, -(digits.into_iter().max().unwrap_or(0) as f64)))
    }
}
