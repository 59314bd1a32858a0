//! Raw indicator values against TA-Lib's (fixture by `scripts/talib_fixture.py`).
#![allow(clippy::unwrap_used, reason = "a test")]

use cambist_core::{Bar, InstrumentId, MarketTape, PriceSide, Timeframe, UnixNanos, VolumeKind};
use cambist_features::stream::raw_values;

#[test]
fn indicators_equal_talib() {
    let text = include_str!("fixtures/talib.csv");
    let mut lines = text.lines().skip(1);
    let names: Vec<&str> = lines.next().unwrap().split(';').collect();
    let table: Vec<Vec<f64>> =
        lines.map(|line| line.split(';').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()).collect();
    let start = UnixNanos::parse("2020-01-01").unwrap().0;
    let mut tape =
        MarketTape::empty(InstrumentId("X".into()), Timeframe::HOUR, PriceSide::Last, VolumeKind::Real);
    for (index, row) in table.iter().enumerate() {
        let open_time = UnixNanos(start + index as i64 * Timeframe::HOUR.nanos());
        let [open, high, low, close, volume] = row[..5].try_into().unwrap();
        tape.push(Bar { open_time, open, high, low, close, volume, spread: 0.0, coverage: 1.0 });
    }
    let mut n_checked = 0;
    for (column, name) in names.iter().enumerate().skip(5) {
        let (spec, part) = name.split_once('#').unwrap_or((name, "0"));
        let part: usize = part.parse().unwrap();
        let ours = raw_values(spec, &tape).unwrap();
        let compared: Vec<(usize, f64, f64)> = (0..table.len())
            .filter_map(|row| Some((row, ours[row]?[part], table[row][column])))
            .filter(|(_, _, theirs)| theirs.is_finite())
            .collect();
        assert!(compared.len() > 900, "{name}: only {} rows to compare", compared.len());
        // Differences and oscillators pass through zero: their scale is the column's typical size.
        let scale = compared.iter().map(|(_, _, t)| t.abs()).sum::<f64>() / compared.len() as f64;
        for (row, ours, theirs) in compared {
            let error = (ours - theirs).abs() / theirs.abs().max(0.1 * scale);
            assert!(error < 1e-9, "{name}, row {row}: {ours} against {theirs}, relative {error:e}");
        }
        n_checked += 1;
    }
    assert_eq!(n_checked, 23);
}
