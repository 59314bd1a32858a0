//! Faults on the line of a terminal: what was answered, and what was done.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use cambist_execution::Books;
use cambist_terminal::{Faults, Reply, Terminal, Weather};
use serde_json::{Value, json};
use support::{bars, setup};

fn terminal() -> Terminal {
    Terminal::open(setup(Books::Hedging, bars(60, 1)), None).unwrap()
}

/// Each fault leaves the terminal as its name says: with the order, or without.
#[test]
fn an_order_is_there_or_not_as_the_fault_says() {
    let of = |set: &dyn Fn(&mut Faults)| {
        let mut faults = Faults { seed: 3, ..Faults::default() };
        set(&mut faults);
        faults
    };
    let cases: [(&str, Faults, usize, Option<i64>); 14] = [
        ("nothing", Faults::default(), 1, Some(10009)),
        ("delay", of(&|f| (f.delay, f.delay_ms) = (1.0, 7)), 1, Some(10009)),
        ("timeout_before", of(&|f| f.timeout_before = 1.0), 0, Some(10012)),
        ("timeout_after", of(&|f| f.timeout_after = 1.0), 1, Some(10012)),
        ("none_before", of(&|f| f.none_before = 1.0), 0, None),
        ("none_after", of(&|f| f.none_after = 1.0), 1, None),
        ("reset_before", of(&|f| f.reset_before = 1.0), 0, None),
        ("reset_after", of(&|f| f.reset_after = 1.0), 1, None),
        ("restart_before", of(&|f| f.restart_before = 1.0), 0, None),
        ("restart_after", of(&|f| f.restart_after = 1.0), 1, None),
        ("lost_before", of(&|f| f.lost_before = 1.0), 0, Some(10031)),
        ("lost_after", of(&|f| f.lost_after = 1.0), 1, Some(10031)),
        ("requote", of(&|f| f.requote = 1.0), 0, Some(10004)),
        ("partial", of(&|f| f.partial = 1.0), 1, Some(10010)),
    ];
    for (name, faults, deals, retcode) in cases {
        faults.check().unwrap();
        let (mut terminal, wait) = (terminal(), faults.delay_ms * u64::from(faults.delay > 0.0));
        let mut weather = Weather::new(faults);
        let order = r#"{"call":"order_send","request":{"action":1,"symbol":"BTCUSD","volume":0.4,"type":0,"type_filling":1,"magic":9}}"#;
        let said = match weather.call(&mut terminal, order) {
            Reply::Say(answer, after) => {
                assert_eq!(after, Duration::from_millis(wait), "{name}");
                answer["ok"]["retcode"].as_i64()
            }
            Reply::HangUp => None,
        };
        assert_eq!(said, retcode, "{name}");
        let made = terminal.history_deals(0, i64::MAX);
        let made: Vec<_> = made.iter().filter(|deal| deal.magic == 9).collect();
        assert_eq!(made.len(), deals, "{name}");
        if let Some(deal) = made.first() {
            assert_eq!(deal.volume, if name == "partial" { 0.2 } else { 0.4 }, "{name}");
        }
    }
    assert!(of(&|f| f.requote = 1.5).check().is_err() && of(&|f| f.delay_ms = 100_000).check().is_err());
    assert!(of(&|f| (f.requote, f.partial) = (0.6, 0.6)).check().is_err());
}

/// The second order is answered with what the first came to; both are done.
#[test]
fn an_answer_may_be_anothers() {
    let mut terminal = terminal();
    let mut weather = Weather::new(Faults { anothers: 1.0, ..Faults::default() });
    let order = |magic: u32| {
        json!({"call": "order_send", "request": {
            "action": 1, "symbol": "BTCUSD", "volume": 0.1, "type": 0, "type_filling": 1, "magic": magic}})
        .to_string()
    };
    let said = |reply| if let Reply::Say(answer, _) = reply { answer } else { Value::Null };
    assert_eq!(said(weather.call(&mut terminal, &order(1)))["error"][0], -10005, "there is none before it");
    assert_eq!(said(weather.call(&mut terminal, &order(2)))["ok"]["request"]["magic"], 1);
    assert_eq!(said(weather.call(&mut terminal, &order(3)))["ok"]["request"]["magic"], 2);
    assert_eq!(terminal.positions().len(), 3);
}

/// Spells blur what is read, and no more: time told by the simulation, and the terminal's own books, stay right.
#[test]
fn spells_blur_what_is_read() {
    let always = Faults { stale_ticks: 1.0, history_lag: 1.0, disconnected: 1.0, ..Faults::default() };
    let mut terminal = terminal();
    let mut calm = Weather::new(Faults::default());
    let mut weather = Weather::new(always);
    let say = |weather: &mut Weather, terminal: &mut Terminal, line: &str| match weather.call(terminal, line)
    {
        Reply::Say(answer, _) => answer["ok"].clone(),
        Reply::HangUp => Value::Null,
    };
    let tick = r#"{"call":"symbol_info_tick","symbol":"BTCUSD"}"#;
    let first = say(&mut weather, &mut terminal, tick);
    let order = r#"{"call":"order_send","request":{"action":1,"symbol":"BTCUSD","volume":0.4,"type":0,"type_filling":1,"magic":9}}"#;
    say(&mut calm, &mut terminal, order);
    let deals = r#"{"call":"history_deals_get","from":0,"until":99999999999}"#;
    let n = |deals: &Value| deals.as_array().map_or(0, Vec::len);
    assert_eq!(n(&say(&mut calm, &mut terminal, deals)), 2, "a deposit and a deal");
    assert_eq!(n(&say(&mut weather, &mut terminal, deals)), 0, "neither is older than the lag");
    assert_eq!(say(&mut weather, &mut terminal, r#"{"call":"terminal_info"}"#)["connected"], false);
    say(&mut weather, &mut terminal, r#"{"call":"advance","bars":1}"#);
    assert_eq!(say(&mut weather, &mut terminal, tick), first, "a tick of before");
    assert_ne!(say(&mut calm, &mut terminal, tick), first);
    let mut jumpy = Weather::new(Faults { clock_jump: 1.0, jump_s: -60, ..Faults::default() });
    let (off, right) = (say(&mut jumpy, &mut terminal, tick), say(&mut calm, &mut terminal, tick));
    assert_eq!(right["time_msc"].as_i64().unwrap() - off["time_msc"].as_i64().unwrap(), 60_000);
}
