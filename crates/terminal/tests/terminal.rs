//! The terminal beside the broker it is made of: the same fills, nothing told too early, everything there again after a crash.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use cambist_core::rng::{Purpose, Stream};
use cambist_core::{BarEvent, MarketEvent, Ticket, UnixNanos};
use cambist_execution::{Books, Broker, Latency, Notice};
use cambist_risk::{Gate, GateLimits, Position};
use cambist_terminal::{Request, Setup, Terminal, call};
use serde_json::{Value, json};

#[path = "support/mod.rs"]
mod support;

use support::{bars, setup};

fn open(books: Books, n: usize, journal: Option<&Path>) -> Terminal {
    Terminal::open(setup(books, bars(n, 1)), journal).unwrap()
}

fn market(kind: u32, volume: f64) -> Request {
    Request {
        action: 1,
        symbol: "BTCUSD".to_owned(),
        volume,
        kind,
        type_filling: 1,
        magic: 42,
        comment: "test".to_owned(),
        ..Request::default()
    }
}

/// What `name` answers.
fn ask(terminal: &mut Terminal, arguments: &Value) -> Value {
    let answer = call(terminal, &arguments.to_string());
    answer.get("ok").unwrap_or_else(|| panic!("{arguments}: {answer}")).clone()
}

fn history(terminal: &mut Terminal) -> Value {
    let everything = |call: &str| json!({ "call": call, "from": 0, "until": i64::MAX });
    json!([
        ask(terminal, &json!({ "call": "account_info" })),
        ask(terminal, &json!({ "call": "positions_get" })),
        ask(terminal, &json!({ "call": "orders_get" })),
        ask(terminal, &everything("history_orders_get")),
        ask(terminal, &everything("history_deals_get")),
    ])
}

/// Random orders at the opens of 3,000 bars, with stops, in a netting account: every deal, balance and equity is the broker's,
/// to the bit. `tests/broker.rs` of the workspace holds the training environment to the same broker.
#[test]
fn a_day_at_the_opens_is_the_brokers() {
    let mut terminal = open(Books::Netting, 3_000, None);
    let tape = Arc::clone(&terminal.setup().bars);
    let mut broker = Broker::new(Arc::clone(&terminal.setup().rules), 100_000.0);
    let mut random = Stream::new(9, Purpose::Check, 1);
    broker.on(0, &MarketEvent::Bar(tape[9]), &mut ());
    let (mut n_deals, mut log) = (0, Vec::new());
    for bar in &tape[10..] {
        if random.uniform() < 0.2 {
            let steps = 1 + random.index(200) as i64;
            let buys = random.uniform() < 0.5;
            let stop = (random.uniform() < 0.5).then(|| bar.open + if buys { -900 } else { 900 });
            let request = Request {
                sl: stop.map_or(0.0, |ticks| ticks as f64 / 100.0),
                ..market(u32::from(!buys), steps as f64 / 100.0)
            };
            let ticket = Ticket { stop_loss: stop, ..Ticket::market(0, if buys { steps } else { -steps }) };
            let now = terminal.now();
            let position = Position { now, priced_at: now, equity: 1.0, steps: 0, step_value: 1.0 };
            let approved = Gate::new(GateLimits::default()).approve(ticket, &position).unwrap();
            let taken = broker.submit(approved, now).is_ok();
            let result = terminal.order_send(&request).unwrap();
            assert_eq!(taken, result.order != 0, "{result:?}");
        }
        terminal.advance(bar.close_time).unwrap();
        log.clear();
        broker.on(0, &MarketEvent::Bar(*bar), &mut log);
        let deals = log.iter().filter_map(|n| if let Notice::Deal(deal) = n { Some(deal) } else { None });
        for deal in deals {
            n_deals += 1;
            let records = terminal.history_deals(0, i64::MAX);
            let record = &records[n_deals];
            assert_eq!(record.price, deal.price.round() / 100.0);
            assert_eq!(record.profit.to_bits(), deal.profit.to_bits());
            assert_eq!(record.swap.to_bits(), deal.financing.to_bits());
            assert_eq!(record.volume, deal.steps as f64 * 0.01);
        }
    }
    assert!(n_deals > 500, "{n_deals}");
    assert_eq!(terminal.history_deals(0, i64::MAX).len(), n_deals + 1, "and the deposit");
    let account = ask(&mut terminal, &json!({ "call": "account_info" }));
    assert_eq!(account["balance"].as_f64().unwrap().to_bits(), broker.account().balance().to_bits());
    assert_eq!(account["equity"].as_f64().unwrap().to_bits(), broker.equity().to_bits());
}

/// Whatever comes after the open of the bar at hand, the terminal answers the same.
#[test]
fn nothing_is_told_too_early() {
    let course = |worst: i64| {
        let mut tape = bars(40, 1);
        for bar in &mut tape[20..] {
            bar.close += worst;
            (bar.high, bar.low) = (bar.high.max(bar.close), bar.low.min(bar.close));
        }
        for bar in &mut tape[21..] {
            (bar.open, bar.high, bar.low) = (bar.open + worst, bar.high + 2 * worst, bar.low + worst);
        }
        let mut terminal = Terminal::open(setup(Books::Hedging, tape), None).unwrap();
        terminal.advance(terminal.setup().bars[19].close_time).unwrap();
        let first = terminal.order_send(&market(0, 0.5)).unwrap();
        let second = terminal.order_send(&market(1, 0.2)).unwrap();
        let rates = ask(
            &mut terminal,
            &json!({
            "call": "copy_rates_from_pos", "symbol": "BTCUSD", "timeframe": 1, "start": 0, "count": 5 }),
        );
        let tick = ask(&mut terminal, &json!({ "call": "symbol_info_tick", "symbol": "BTCUSD" }));
        (format!("{first:?} {second:?} {rates} {tick}"), history(&mut terminal), first)
    };
    let (calm, wild) = (course(0), course(-30_000));
    assert_eq!((&calm.0, &calm.1), (&wild.0, &wild.1));
    assert_eq!((calm.2.retcode, calm.2.volume), (10009, 0.5));
    let positions = calm.1[1].as_array().unwrap();
    assert_eq!(positions.len(), 2, "an order is a position at once, and in a hedging account each its own");
    assert_eq!((positions[0]["ticket"].as_u64(), positions[0]["magic"].as_u64()), (Some(1), Some(42)));
}

/// A chart of five minutes over minutes: prices move inside a bar, from open to open, and the bar at hand is what its minutes have made of
/// it by then.
#[test]
fn a_bar_at_hand_grows_by_the_bars_it_is_made_of() {
    let minutes = bars(200, 1);
    let fives = minutes.chunks(5).map(|part| BarEvent {
        close_time: part[4].close_time,
        high: part.iter().map(|bar| bar.high).max().unwrap(),
        low: part.iter().map(|bar| bar.low).min().unwrap(),
        close: part[4].close,
        volume: Some(25_000),
        ..part[0]
    });
    let chart = fives.collect();
    let setup = Setup { chart, seconds: 300, ..setup(Books::Hedging, minutes.clone()) };
    let mut terminal = Terminal::open(setup, None).unwrap();
    let hand = |terminal: &mut Terminal| {
        let rates = json!({ "call": "copy_rates_from_pos", "symbol": "BTCUSD", "timeframe": 5, "start": 0, "count": 2 });
        ask(terminal, &rates)
    };
    let cents = |value: &Value| (value.as_f64().unwrap() * 100.0).round() as i64;
    for minute in 10..40 {
        terminal.advance(minutes[minute].open_time).unwrap();
        let rates = hand(&mut terminal);
        let (first, now) = (minute / 5 * 5, &minutes[minute]);
        let gone = &minutes[first..minute];
        let bar = &rates[1];
        assert_eq!(cents(&bar["open"]), minutes[first].open);
        assert_eq!(cents(&bar["close"]), now.open, "the last price is this minute's open");
        assert_eq!(
            cents(&bar["high"]),
            gone.iter().map(|bar| bar.high).max().unwrap_or(now.open).max(now.open)
        );
        assert_eq!(
            cents(&bar["low"]),
            gone.iter().map(|bar| bar.low).min().unwrap_or(now.open).min(now.open)
        );
        assert_eq!(bar["real_volume"].as_u64(), Some(5_000 * gone.len() as u64));
        assert_eq!(cents(&rates[0]["close"]), minutes[first - 1].close, "the bar before is whole");
        let tick = ask(&mut terminal, &json!({ "call": "symbol_info_tick", "symbol": "BTCUSD" }));
        // The price lies where our own orders have moved it.
        assert!((cents(&tick["bid"]) - now.open).abs() < 30);
        let sold = terminal.order_send(&market(1, 0.01)).unwrap();
        let slipped = (now.open - (sold.price * 100.0).round() as i64).abs();
        assert!(
            sold.retcode == 10009 && slipped < 30,
            "filled at the price of its minute, {slipped} ticks off"
        );
    }
    // Time is told in bars of the chart.
    terminal.advance(minutes[42].open_time).unwrap();
    assert_eq!(terminal.next_close(), minutes[44].close_time);
    assert_eq!(terminal.close_after(2), minutes[49].close_time);
}

/// What was told stays told: whoever looks at any time sees the deals of before unchanged, and new ones that are no older than the
/// last look; what was answered is among them. Orders near what the bar's volume allows, stops that trigger inside bars, requests that
/// change nothing, a crash now and then.
#[test]
fn deals_are_only_ever_added() {
    for (books, seed) in [(Books::Netting, 1), (Books::Hedging, 2), (Books::Netting, 3), (Books::Hedging, 4)]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let begin = || Terminal::open(setup(books, bars(200, seed)), Some(&path)).unwrap();
        let mut terminal = begin();
        let mut random = Stream::new(seed, Purpose::Check, 2);
        let (mut seen, mut looked, mut answered) = (Vec::new(), 0, Vec::new());
        let (mut n_stops, mut now) = (0, terminal.now());
        while !terminal.is_over() {
            match random.index(30) {
                0..=8 => {
                    let open = terminal.setup().bars[10..].iter().find(|bar| bar.open_time >= terminal.now());
                    let open = open.map_or(2_000_000, |bar| bar.open);
                    let buys = random.uniform() < 0.5;
                    let stop = (open + if buys { -600 } else { 600 }) as f64 / 100.0;
                    let lots = (1 + random.index(240)) as f64 / 100.0;
                    let request = Request { sl: stop, ..market(u32::from(!buys), lots) };
                    let result = terminal.order_send(&request).unwrap();
                    if result.deal > 0 {
                        answered.push((result.deal, result.order, result.price));
                    }
                }
                9..=11 => {
                    let held = terminal.positions();
                    let Some(position) = held.first() else { continue };
                    let close =
                        Request { position: position.ticket, ..market(1 - position.kind, position.volume) };
                    terminal.order_send(&close).unwrap();
                }
                12..=14 => {
                    let held = terminal.positions();
                    let Some(position) = held.first() else { continue };
                    let away = if position.kind == 0 { -9.0 } else { 9.0 };
                    let sl = (position.price_current + away).round();
                    let levels = Request { action: 6, position: position.ticket, sl, ..Request::default() };
                    terminal.order_send(&levels).unwrap();
                }
                15 | 16 => {
                    terminal.order_send(&Request { action: 8, order: 9_999, ..Request::default() }).unwrap();
                    terminal.order_check(&market(0, 1.0));
                }
                17 => {
                    drop(terminal);
                    terminal = begin();
                }
                _ => {
                    let seconds = 1 + random.index(150) as i64;
                    terminal.advance(UnixNanos(terminal.now().0 + seconds * 1_000_000_000)).unwrap();
                }
            }
            assert!(terminal.now() >= now, "time went back");
            now = terminal.now();
            let deals = terminal.history_deals(0, i64::MAX);
            assert_eq!(deals[..seen.len()], seen[..], "what was told was changed");
            assert!(
                deals[seen.len()..].iter().all(|deal| deal.time_msc >= looked),
                "a deal of before the last look"
            );
            n_stops += deals[seen.len()..].iter().filter(|deal| deal.reason == 4).count();
            looked = deals.last().map_or(looked, |deal| deal.time_msc.max(looked));
            seen = deals;
        }
        for (ticket, order, price) in &answered {
            let made: Vec<_> = seen.iter().filter(|deal| deal.order == *order).collect();
            assert!(
                made.iter().any(|deal| deal.ticket == *ticket)
                    && made.iter().all(|deal| deal.price == *price)
            );
        }
        assert!(answered.len() > 30 && n_stops > 5, "{} answers, {n_stops} stops", answered.len());
        let account = terminal.account_info();
        let booked: f64 = seen.iter().map(|deal| deal.profit + deal.swap + deal.commission).sum();
        assert!((account["balance"].as_f64().unwrap() - booked).abs() < 0.01);
    }
}

#[test]
fn latency_is_refused() {
    let mut slow = setup(Books::Netting, bars(60, 1));
    let mut rules = slow.rules.as_ref().clone();
    rules.listings[0].latency = Latency::Millis(250);
    slow.rules = Arc::new(rules);
    let error = Terminal::open(slow, None).unwrap_err();
    assert!(error.to_string().contains("broker.latency_ms"), "{error}");
}

#[test]
fn a_terminal_that_dies_stands_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let act = |terminal: &mut Terminal, row: usize| {
        terminal.advance(terminal.setup().bars[row].open_time).unwrap();
        let request = match row % 5 {
            0 => market(0, 0.4),
            1 => Request { action: 5, kind: 2, price: 19_990.0, type_filling: 2, ..market(2, 0.1) },
            2 => Request { action: 6, sl: 19_000.0, position: 1, ..market(0, 0.0) },
            3 => Request { action: 8, order: 2, ..Request::default() },
            _ => market(1, 0.3),
        };
        terminal.order_send(&request).unwrap()
    };
    let mut whole = open(Books::Hedging, 80, None);
    for row in 12..60 {
        act(&mut whole, row);
    }
    for crash in [12, 13, 30, 47] {
        let _ = std::fs::remove_file(&path);
        let mut terminal = open(Books::Hedging, 80, Some(&path));
        (12..crash).for_each(|row| drop(act(&mut terminal, row)));
        drop(terminal);
        // Killed in the middle of a line that was never answered.
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"request\":{\"act").unwrap();
        drop(file);
        let mut terminal = open(Books::Hedging, 80, Some(&path));
        for row in crash..60 {
            act(&mut terminal, row);
        }
        assert_eq!(history(&mut terminal), history(&mut whole), "after {crash}");
    }
    let whole = open(Books::Hedging, 80, Some(&path));
    let busy = Terminal::open(setup(Books::Hedging, bars(80, 1)), Some(&path)).unwrap_err();
    assert!(busy.to_string().contains("in use"), "{busy}");
    drop(whole);
    let note = folder.path().join("note.txt");
    std::fs::write(&note, "what I must not forget").unwrap();
    let none = Terminal::open(setup(Books::Hedging, bars(80, 1)), Some(&note)).unwrap_err();
    assert!(none.to_string().contains("is no journal"), "{none}");
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "what I must not forget");
    let other = Terminal::open(setup(Books::Netting, bars(80, 1)), Some(&path)).unwrap_err();
    assert!(other.to_string().contains("another terminal"), "{other}");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"action\":1", "\"action\":one", 1)).unwrap();
    let damaged = Terminal::open(setup(Books::Hedging, bars(80, 1)), Some(&path)).unwrap_err();
    assert!(damaged.to_string().contains("is no entry"), "{damaged}");
}

#[test]
fn refusals_have_metatraders_codes() {
    let poor = Setup { balance: 1_000.0, ..setup(Books::Hedging, bars(100, 1)) };
    let mut terminal = Terminal::open(poor, None).unwrap();
    terminal.advance(terminal.setup().bars[20].open_time).unwrap();
    let code = |terminal: &mut Terminal, request: &Request| terminal.order_send(request).unwrap().retcode;
    let off_step = code(&mut terminal, &market(0, 0.015));
    let too_small = code(&mut terminal, &market(0, 0.0));
    let stops = code(&mut terminal, &Request { sl: 90_000.0, ..market(0, 0.1) });
    let filling = code(&mut terminal, &Request { type_filling: 3, ..market(0, 0.1) });
    let money = code(&mut terminal, &market(0, 2.0));
    let gone = code(&mut terminal, &Request { position: 99, ..market(1, 0.1) });
    let symbol = code(&mut terminal, &Request { symbol: "EURUSD".to_owned(), ..market(0, 0.1) });
    let unknown = code(&mut terminal, &Request { action: 8, order: 77, ..Request::default() });
    let past = Request { action: 5, kind: 2, price: 100.0, type_time: 2, expiration: 5, ..market(2, 0.1) };
    let never = Request { expiration: i64::MIN / 1_000_000_000, ..past.clone() };
    let [past, never] = [past, never].map(|request| code(&mut terminal, &request));
    let rest = code(&mut terminal, &Request { type_filling: 2, ..market(0, 0.1) });
    let price = |price: f64| Request { action: 5, kind: 2, type_filling: 2, price, ..market(2, 0.1) };
    let prices = [0.0, -0.0, -5.0, f64::NAN].map(|p| code(&mut terminal, &price(p)));
    let elsewhere =
        Request { action: 6, sl: 10.0, position: 1, symbol: "EURUSD".to_owned(), ..Request::default() };
    let elsewhere = code(&mut terminal, &elsewhere);
    assert_eq!(
        [off_step, too_small, stops, filling, money, gone, symbol, unknown, past, never, rest, elsewhere],
        [10014, 10014, 10016, 10030, 10019, 10036, 10013, 10035, 10022, 10022, 10030, 10013]
    );
    assert_eq!(prices, [10015; 4]);
    // None of them did anything.
    assert_eq!(ask(&mut terminal, &json!({ "call": "positions_get" })), json!([]));
    assert_eq!(terminal.order_check(&market(0, 0.1)).0.0, 0);
    assert_eq!(terminal.order_check(&market(0, 2.0)).0.0, 10019);
    assert_eq!(ask(&mut terminal, &json!({ "call": "positions_get" })), json!([]), "a check does nothing");
    let held = terminal.order_send(&market(0, 0.1)).unwrap();
    let close = |kind, volume| Request { position: held.order, ..market(kind, volume) };
    let codes = [close(1, 0.2), close(0, 0.1)].map(|request| code(&mut terminal, &request));
    assert_eq!(codes, [10038, 10013], "more than is held; the same side");
    let error = call(&mut terminal, r#"{"call":"symbol_info","symbol":"EURUSD"}"#);
    assert_eq!(error["error"][0], -4);
    assert_eq!(ask(&mut terminal, &json!({ "call": "last_error" }))[0], -4);
    let all = json!({ "call": "copy_rates_from_pos", "symbol": "BTCUSD", "timeframe": 1, "start": 0, "count": u64::MAX });
    assert_eq!(ask(&mut terminal, &all).as_array().unwrap().len(), 21);
    ask(&mut terminal, &json!({ "call": "advance", "bars": u32::MAX }));
    assert!(terminal.is_over());
    assert_eq!(terminal.order_send(&market(0, 0.1)).unwrap().retcode, 10018, "the tape is over");
    assert_eq!(call(&mut terminal, "{\"call\":\"order_send\",\"request\":{\"lots\":1}}")["error"][0], -2);
}

/// A pending order, changed, filled and closed by its stop: states, entries and reasons.
#[test]
fn orders_and_deals_tell_their_story() {
    let mut terminal = open(Books::Hedging, 200, None);
    terminal.advance(terminal.setup().bars[20].open_time).unwrap();
    let open_price = terminal.setup().bars[20].open as f64 / 100.0;
    let low = terminal.setup().bars[20..40].iter().map(|bar| bar.low).min().unwrap();
    let price = |ticks: i64| ticks as f64 / 100.0;
    let limit = Request { action: 5, kind: 2, price: open_price - 900.0, type_filling: 2, ..market(2, 0.1) };
    let placed = terminal.order_send(&limit).unwrap();
    assert_eq!((placed.retcode, placed.order, placed.deal), (10009, 1, 0));
    let change =
        Request { action: 7, order: 1, price: price(low + 80), sl: price(low - 2_000), ..Request::default() };
    assert_eq!(terminal.order_send(&change).unwrap().retcode, 10009);
    assert_eq!(terminal.order_send(&change).unwrap().retcode, 10025, "no changes");
    let order = &terminal.orders()[0];
    assert_eq!((order.ticket, order.state, order.price_open), (1, 1, price(low + 80)));
    terminal.advance(terminal.setup().bars[39].close_time).unwrap();
    let deals = terminal.history_deals(0, i64::MAX);
    assert_eq!((deals[0].kind, deals[0].profit), (2, 100_000.0), "the deposit");
    assert_eq!((deals[1].kind, deals[1].entry, deals[1].reason, deals[1].order), (0, 0, 3, 1));
    // The server's clock: 20:40 UTC on a Friday in winter is 22:40 there.
    assert_eq!(deals[1].time_msc / 1000, deals[1].time);
    let noon = UnixNanos::parse("2023-03-10T22:20").unwrap().seconds();
    assert!((noon..noon + 3600).contains(&deals[1].time), "{}", deals[1].time);
    assert!(deals[1].commission < 0.0);
    let stops = Request {
        action: 6,
        position: 1,
        sl: price(low - 3_000),
        tp: price(low + 90_000),
        ..Request::default()
    };
    assert_eq!(terminal.order_send(&stops).unwrap().retcode, 10009);
    let position = &terminal.positions()[0];
    assert_eq!((position.sl, position.tp), (price(low - 3_000), price(low + 90_000)));
    assert_eq!(terminal.order_send(&stops).unwrap().retcode, 10025, "no changes");
    let closed = terminal.order_send(&Request { position: 1, ..market(1, 0.1) }).unwrap();
    assert_eq!(closed.retcode, 10009);
    let last = terminal.history_deals(0, i64::MAX).pop().unwrap();
    assert_eq!(
        (last.ticket, last.entry, last.position_id, terminal.positions().len()),
        (closed.deal, 1, 1, 0)
    );
}

/// In a netting account a reversal is one deal, in and out, of the same identifier and another ticket.
#[test]
fn a_reversal_turns_the_position_round() {
    let mut terminal = open(Books::Netting, 60, None);
    terminal.advance(terminal.setup().bars[20].open_time).unwrap();
    terminal.order_send(&market(0, 0.3)).unwrap();
    terminal.advance(terminal.setup().bars[22].open_time).unwrap();
    let turned = terminal.order_send(&Request { magic: 77, ..market(1, 0.5) }).unwrap();
    let deal = terminal.history_deals(0, i64::MAX).pop().unwrap();
    assert_eq!((deal.entry, deal.position_id, deal.ticket), (2, 1, turned.deal));
    let position = &terminal.positions()[0];
    assert_eq!((position.ticket, position.identifier, position.magic, position.kind), (2, 1, 77, 1));
    assert!((position.volume - 0.2).abs() < 1e-12);
}

/// Every open there has been is a tick, and the one at hand is `symbol_info_tick`'s; a terminal that begins again has the same.
#[test]
fn ticks_are_the_opens_that_were_shown() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal.jsonl");
    let all = json!({ "call": "copy_ticks", "symbol": "BTCUSD", "from": 0, "until": null, "count": 1000 });
    let tick = json!({ "call": "symbol_info_tick", "symbol": "BTCUSD" });
    let mut terminal = open(Books::Hedging, 60, Some(&journal));
    let mut shown = vec![ask(&mut terminal, &tick)];
    for step in 0..12 {
        terminal.order_send(&market(step % 2, 40.0)).unwrap();
        let time = terminal.close_after(1);
        terminal.advance(time).unwrap();
        shown.push(ask(&mut terminal, &tick));
    }
    let told = ask(&mut terminal, &all);
    // Prices at the first open moved when orders were sent there: what is told is what was last shown.
    let times = |ticks: &Value| -> Vec<i64> {
        ticks.as_array().unwrap().iter().map(|tick| tick["time_msc"].as_i64().unwrap()).collect()
    };
    assert_eq!(times(&told), times(&json!(shown)));
    assert_eq!(told[12], shown[12]);
    let (from, until) = (shown[3]["time"].as_i64().unwrap(), shown[5]["time"].as_i64().unwrap());
    let some = json!({ "call": "copy_ticks", "symbol": "BTCUSD", "from": from, "until": until, "count": 2 });
    assert_eq!(ask(&mut terminal, &some), json!(told.as_array().unwrap()[3..5]));
    drop(terminal);
    assert_eq!(ask(&mut open(Books::Hedging, 60, Some(&journal)), &all), told);
}
