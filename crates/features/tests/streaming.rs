//! A stream begun at any bar equals the batch, to the bit, for every family and timeframe (invariant 3), and what is
//! known at bar t does not depend on anything after it (invariant 2).
#![allow(clippy::unwrap_used, reason = "a test")]

use cambist_core::rng::{Purpose, Stream};
use cambist_core::{Bar, InstrumentId, MarketTape, PriceSide, Timeframe, UnixNanos, VolumeKind};
use cambist_features::family::FAMILIES;
use cambist_features::{FeatureStream, FeatureView, look_back};

/// Hourly bars from an odd hour, with holes: single bars, a night, four days.
fn tape(n: i64) -> MarketTape {
    let mut stream = Stream::new(9, Purpose::Check, 0);
    let mut tape =
        MarketTape::empty(InstrumentId("X".into()), Timeframe::HOUR, PriceSide::Last, VolumeKind::Real);
    let start = UnixNanos::parse("2020-01-03T05:00").unwrap().0;
    let mut price = 100.0;
    for hour in 0..n {
        let open = price;
        price *= 1.0 + 0.01 * stream.normal();
        let missing = hour % 97 == 13 || (500..509).contains(&hour) || (1900..1996).contains(&hour);
        if missing {
            continue;
        }
        let (high, low) = (open.max(price) * 1.001, open.min(price) * 0.999);
        let open_time = UnixNanos(start + hour * Timeframe::HOUR.nanos());
        let volume = 10.0 + stream.uniform();
        tape.push(Bar { open_time, open, high, low, close: price, volume, spread: 0.0, coverage: 1.0 });
    }
    tape
}

fn every_feature() -> Vec<String> {
    // Short periods keep the anchors of the longer timeframes within reach of the tape.
    let short = |name: &str| match name {
        "macd" => "macd(3,6,2)".to_owned(),
        "stochastic" => "stochastic(5,3,3)".to_owned(),
        "hour" | "weekday" => name.to_owned(),
        _ => format!("{name}(5)"),
    };
    let names: Vec<String> = FAMILIES.iter().map(|f| short(f.name)).collect();
    let with = |prefix: &str| names.iter().map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    [with(""), with("4h:"), with("1d:")].concat()
}

#[test]
fn a_stream_begun_anywhere_equals_the_batch() {
    let tape = tape(24 * 1100);
    for feature in every_feature() {
        let one = [feature.clone()];
        let batch = FeatureView::compute(&one, &tape).unwrap();
        assert!(batch.ready[tape.len() - 1], "{feature} is never ready");
        let mut compared = 0;
        for begin in (1..tape.len()).step_by(tape.len() / 23) {
            let mut stream = FeatureStream::new(&one, tape.timeframe).unwrap();
            for index in begin..tape.len() {
                let Some(row) = stream.push(&tape.bar(index)) else { continue };
                assert!(
                    batch.ready[index],
                    "{feature} begun at {begin} is ready before the batch at {index}"
                );
                let same =
                    row.iter().zip(batch.rows(index, 1)).all(|(a, b)| (*a as f32).to_bits() == b.to_bits());
                assert!(
                    same,
                    "{feature} begun at {begin} differs at {index}: {row:?} {:?}",
                    batch.rows(index, 1)
                );
                compared += 1;
            }
        }
        assert!(compared > 1000, "{feature}: only {compared} rows compared");
    }
}

#[test]
fn rows_before_a_change_do_not_change() {
    let base = tape(24 * 200);
    let features: Vec<String> = every_feature().into_iter().filter(|f| !f.starts_with("1d:")).collect();
    let before = FeatureView::compute(&features, &base).unwrap();
    for at in [3000, 3001, 3002, 3003, 4000] {
        let mut changed = base.clone();
        for column in
            [&mut changed.open, &mut changed.high, &mut changed.low, &mut changed.close, &mut changed.volume]
        {
            column[at..].iter_mut().for_each(|v| *v *= 1.7);
        }
        let after = FeatureView::compute(&features, &changed).unwrap();
        assert_eq!(before.values[..at * before.width()], after.values[..at * after.width()]);
        assert_ne!(before.rows(at, 1), after.rows(at, 1));
    }
}

/// What a bar changes ends where `look_back` says, whatever bar it is, and there is something to end.
#[test]
fn a_bar_is_forgotten_after_the_look_back() {
    let whole = tape(24 * 1100);
    for feature in every_feature() {
        let one = [feature.clone()];
        let reach = look_back(&one, Timeframe::HOUR).unwrap();
        let before = FeatureView::compute(&one, &whole).unwrap();
        let mut changed = 0;
        for row in 20_000..20_050 {
            let mut other = whole.clone();
            for column in [&mut other.open, &mut other.high, &mut other.low, &mut other.close] {
                column[row] *= 1.03;
            }
            other.high[row] *= 1.01;
            other.volume[row] *= 5.0;
            let after = FeatureView::compute(&one, &other).unwrap();
            let differs = |r: &usize| {
                before.rows(*r, 1).iter().zip(after.rows(*r, 1)).any(|(a, b)| a.to_bits() != b.to_bits())
            };
            let last = (0..whole.len()).rev().find(differs);
            assert!(last.is_none_or(|last| last < row + reach), "{feature}: {row} seen at {last:?}, {reach}");
            changed += usize::from(last.is_some());
        }
        let of_time_alone = feature.ends_with("hour") || feature.ends_with("weekday");
        assert!(changed > 0 || of_time_alone, "{feature}");
    }
}
