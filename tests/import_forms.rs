//! Every form of bars says the same thing: fixtures of the same four hours as each source writes them.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::PathBuf;

use cambist_core::{InstrumentId, MarketTape, PriceSide, Timeframe, UnixNanos, VolumeKind};
use cambist_data::{Choices, DataError, ImportRequest, import};

/// 2021-07-15 10:00 to 13:00 UTC, as the rows of each file are written below.
fn read(name: &str, text: &str, zone: Option<&str>) -> Result<MarketTape, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let request = ImportRequest {
        paths: vec![path],
        instrument: InstrumentId("X".into()),
        timeframe: Timeframe::HOUR,
        zone: zone.map(str::to_owned),
        choices: Choices::default(),
    };
    import(&request).map(|(tape, _)| tape)
}

#[track_caller]
fn is_right(tape: &MarketTape) {
    let start = UnixNanos::parse("2021-07-15T10:00").unwrap().0;
    let wanted: Vec<i64> = (0..4).map(|h| start + h * Timeframe::HOUR.nanos()).collect();
    assert_eq!(tape.open_time, wanted);
    assert_eq!(tape.open, [1.1, 1.2, 1.3, 1.4]);
    assert_eq!(tape.high, [1.15, 1.25, 1.35, 1.45]);
    assert_eq!(tape.low, [1.05, 1.15, 1.25, 1.35]);
    assert_eq!(tape.close, [1.12, 1.22, 1.32, 1.42]);
    assert_eq!(tape.volume, [7.0, 8.0, 9.0, 10.0]);
}

fn rows(row: impl Fn(usize, &str) -> String) -> String {
    let prices =
        ["1.1,1.15,1.05,1.12,7", "1.2,1.25,1.15,1.22,8", "1.3,1.35,1.25,1.32,9", "1.4,1.45,1.35,1.42,10"];
    prices.iter().enumerate().map(|(hour, prices)| row(hour, prices) + "\n").collect()
}

const MS: u64 = 1_626_343_200_000;

#[test]
fn our_own_columns() {
    let head = "timestamp,open,high,low,close,volume\n";
    let millis = head.to_owned() + &rows(|h, p| format!("{},{p}", MS + 3_600_000 * h as u64));
    is_right(&read("x.csv", &millis, None).unwrap());
    let iso = head.to_owned() + &rows(|h, p| format!("2021-07-15 {}:00:00,{p}", 10 + h));
    is_right(&read("x.csv", &iso, None).unwrap());
    let local = head.to_owned()
        + &rows(|h, p| {
            format!("2021-07-15 {}:00,{p}", 6 + h)
                .replace(" 6", " 06")
                .replace(" 7", " 07")
                .replace(" 8", " 08")
                .replace(" 9", " 09")
        });
    is_right(&read("x.csv", &local, Some("America/New_York")).unwrap());
}

#[test]
fn a_file_without_volume_says_so() {
    let text = "timestamp,open,high,low,close\n".to_owned()
        + &rows(|h, p| format!("{},{}", MS + 3_600_000 * h as u64, p.rsplit_once(',').unwrap().0));
    assert_eq!(read("x.csv", &text, None).unwrap().volume_kind, VolumeKind::None);
}

#[test]
fn binance_klines() {
    let row = |scale: u64| {
        move |h: usize, p: &str| {
            let open = (MS + 3_600_000 * h as u64) * scale;
            format!("{open},{p},{},0,5,0,0,0", open + 3_600_000 * scale - 1)
        }
    };
    is_right(&read("x.csv", &rows(row(1)), None).unwrap());
    is_right(&read("x.csv", &rows(row(1000)), None).unwrap());
    let head = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n";
    is_right(&read("x.csv", &(head.to_owned() + &rows(row(1000))), None).unwrap());
}

#[test]
fn mt5_exports() {
    let head = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n";
    // The server is at UTC+3 in July.
    let body = rows(|h, p| format!("2021.07.15\t{}:00:00\t{}\t0\t12", 13 + h, p.replace(',', "\t")));
    let text = head.to_owned() + &body;
    let tape = read("x.csv", &text, Some("Europe/Athens")).unwrap();
    is_right(&tape);
    assert_eq!((tape.price_side, tape.volume_kind), (PriceSide::Bid, VolumeKind::Tick));
    // Prices have two digits here, so a point is 0.01.
    assert!(tape.spread.iter().all(|s| (s - 0.12).abs() < 1e-12));
    assert!(matches!(read("x.csv", &text, None), Err(DataError::ZoneNeeded(_))));
}

#[test]
fn dukascopy() {
    for head in ["Time,Open,High,Low,Close,Volume\n", "Gmt time,Open,High,Low,Close,Volume\n"] {
        let text = head.to_owned() + &rows(|h, p| format!("15.07.2021 {}:00:00.000,{p}", 10 + h));
        is_right(&read("x.csv", &text, None).unwrap());
    }
}

#[test]
fn bid_and_ask() {
    let head = "timestamp,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close,volume\n";
    let side = |p: &str, shift: f64| -> Vec<String> {
        p.split(',').take(4).map(|v| format!("{:.4}", v.parse::<f64>().unwrap() + shift)).collect()
    };
    let text = head.to_owned()
        + &rows(|h, p| {
            let volume = p.rsplit(',').next().unwrap();
            format!(
                "{},{},{},{volume}",
                MS + 3_600_000 * h as u64,
                side(p, -0.01).join(","),
                side(p, 0.01).join(",")
            )
        });
    let tape = read("x.csv", &text, None).unwrap();
    assert!(tape.spread.iter().all(|s| (s - 0.02).abs() < 1e-9));
    assert!(tape.close.iter().zip([1.12, 1.22, 1.32, 1.42]).all(|(a, b)| (a - b).abs() < 1e-9));
    assert_eq!(tape.price_side, PriceSide::Mid);
}

/// Real files, where they are at hand; with `CAMBIST_REQUIRE_DATA` they must be.
#[test]
fn real_files() {
    let Ok(root) = std::env::var("CAMBIST_DATA").map(PathBuf::from) else {
        assert!(std::env::var("CAMBIST_REQUIRE_DATA").is_err(), "CAMBIST_DATA is not set");
        return;
    };
    let import_one = |file: &str, timeframe: Timeframe, zone: Option<&str>| {
        let request = ImportRequest {
            paths: vec![root.join(file)],
            instrument: InstrumentId("X".into()),
            timeframe,
            zone: zone.map(str::to_owned),
            choices: Choices::default(),
        };
        import(&request).unwrap()
    };
    let year = import_one("crypto/binance_spot_btcusdt_1m/2018.parquet", Timeframe::MINUTE, None);
    assert_eq!(year.1.gaps[0].n_bars, 2011);
    assert_eq!(import_one("fx/FOREX_EURUSD_1H_ASK.csv", Timeframe::HOUR, None).0.len(), 6225);
    let oanda = import_one("fx/oanda_eurusd_1h_bidask.parquet", Timeframe::HOUR, None).0;
    let mut spreads = oanda.spread.clone();
    spreads.sort_by(f64::total_cmp);
    assert!((spreads[spreads.len() / 2] - 0.00013).abs() < 2e-5, "{}", spreads[spreads.len() / 2]);
    assert_eq!(import_one("fx/ejtrader_mt5/xauusd_1h.parquet", Timeframe::HOUR, None).0.len(), 57_600);
}
