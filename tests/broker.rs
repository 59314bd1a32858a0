//! The full model from config to environment: it keeps the contract, looks back only, is the broker and nothing else, and
//! agrees with the short form where the two can say the same.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use cambist_core::check::check_env;
use cambist_core::env::StepStorage;
use cambist_core::{AutoReset, BatchedEnv, MarketEvent, Side};
use cambist_execution::{Broker, Notice, Reason};
use cambist_lab::{Config, Layers, Market};
use cambist_market::{EpisodeLength, EpisodePlan, Execution, MarketEnv, MarketSpec, Starts};

/// `configs/btc_broker.toml` on a made-up market of `n` hours.
fn config(n: usize, sets: &[&str]) -> Config {
    let made_up = [
        "data.source=synthetic".to_owned(),
        "data.kind=regime".to_owned(),
        "data.start=2018-01-01".to_owned(),
        "data.seed=7".to_owned(),
        // A made-up coin is worth a hundred, not twenty thousand.
        "broker.spread=fixed".to_owned(),
        "broker.spread_ticks=3".to_owned(),
        "broker.slippage_ticks=1".to_owned(),
        format!("data.n_bars={n}"),
    ];
    let sets: Vec<String> = made_up.into_iter().chain(sets.iter().map(|s| (*s).to_owned())).collect();
    let layers = Layers::read(Some(Path::new("configs/btc_broker.toml")), &sets).unwrap();
    Config::validate(layers.resolve().unwrap()).unwrap()
}

fn market(n: usize, sets: &[&str]) -> (Config, Market) {
    let config = config(n, sets);
    let market = Market::prepare(&config, Path::new("data")).unwrap();
    (config, market)
}

fn spec(config: &Config, market: &Market) -> MarketSpec {
    let fold = config.folds(market.whole()).unwrap().remove(0);
    let mut spec = market.training_spec(config, &fold).unwrap();
    spec.plan = EpisodePlan { starts: Starts::First, length: EpisodeLength::ToEnd };
    spec.rows = 0..market.tape.len();
    spec
}

#[test]
fn the_full_model_keeps_the_contract_of_environments() {
    for books in ["netting", "hedging"] {
        let (config, market) = market(40_000, &[&format!("broker.books={books}"), "broker.latency_ms=0"]);
        let spec = spec(&config, &market);
        let env = MarketEnv::new(spec, 3, 0, AutoReset::SameStep).unwrap();
        check_env(&|| Box::new(env.clone()), 1, 500).unwrap();
    }
}

/// What an environment shows over `steps` steps of the same choices: equity and observation.
fn course(spec: &MarketSpec, n_steps: usize) -> Vec<(f64, Vec<u32>)> {
    let mut env = MarketEnv::new(spec.clone(), 1, 0, AutoReset::Disabled).unwrap();
    let mut storage = StepStorage::for_env(&env);
    env.reset(0, &mut storage.observations);
    let mut seen = Vec::new();
    for step in 0..n_steps {
        env.step(&[[2.0, 2.0, 0.0, 1.0, 2.0, 0.0, 0.0][step / 5 % 7]], &mut storage.buffers());
        let bits = storage.observations.iter().map(|v| v.to_bits()).collect();
        seen.push((env.snapshot(0).equity, bits));
    }
    seen
}

#[test]
fn what_comes_later_changes_nothing_before() {
    let (config, market) = market(40_000, &["broker.sizing=volatility_target", "broker.size=0.5"]);
    let spec_of = |market: &Market| {
        let mut spec = spec(&config, market);
        // The normaliser is fitted on the training window, which the change lies in: not what is tested here.
        spec.path = spec_path(&config, market);
        spec
    };
    let whole = course(&spec_of(&market), 1200);
    let first = MarketEnv::new(spec_of(&market), 1, 0, AutoReset::Disabled).unwrap().rows().start;
    let mut tape = market.tape.as_ref().clone();
    let changed = first + 800;
    for row in changed..tape.len() {
        for column in [&mut tape.open, &mut tape.high, &mut tape.low, &mut tape.close, &mut tape.volume] {
            column[row] *= 1.3;
        }
    }
    let other = Market::of(&config, tape, Path::new("data")).unwrap();
    let again = course(&spec_of(&other), 1200);
    // Step k shows the close of bar first + k + 1.
    assert!(whole[..799] == again[..799], "what came before has changed");
    assert!(whole[799..] != again[799..], "what comes later is there");
}

fn spec_path(config: &Config, market: &Market) -> cambist_decide::DecisionPath {
    let names = &market.features.names;
    let identity = cambist_features::Normaliser::identity(names, 1e9);
    cambist_decide::DecisionPath::new(config.decision, Arc::new(identity))
}

/// An order a bar, by the environment and by hand.
#[test]
fn the_environment_is_the_broker_and_nothing_else() {
    let sets =
        ["broker.sizing=fixed_lots", "broker.size=3.0", "broker.max_exposure=100.0", "broker.latency_ms=0"];
    let (config, market) = market(40_000, &sets);
    let spec = spec(&config, &market);
    let Execution::Full(full) = &spec.execution else { panic!("the short form") };
    let mut env = MarketEnv::new(spec.clone(), 1, 0, AutoReset::Disabled).unwrap();
    let mut storage = StepStorage::for_env(&env);
    env.reset(0, &mut storage.observations);
    let mut broker = Broker::new(Arc::clone(&full.rules), spec.initial_cash);
    let mut row = env.rows().start;
    let mut log = Vec::new();
    broker.on(0, &MarketEvent::Bar(full.events[row]), &mut log);
    for (step, choice) in
        [2.0f32, 2.0, 0.0, 0.0, 1.0, 2.0, 1.0, 0.0].into_iter().cycle().take(400).enumerate()
    {
        env.step(&[choice], &mut storage.buffers());
        let wanted = (f64::from(choice) as i64 - 1) * 300;
        let held = broker.account().steps(0) + broker.in_flight(0);
        if wanted != held {
            let mut ticket = cambist_core::Ticket::market(0, wanted - held);
            if wanted != 0 {
                let outlook = full.outlooks[row];
                let mark = broker.mark(0);
                let away = 8.0 * outlook.true_range * wanted.signum() as f64;
                let mid = 0.5 * (mark.bid + mark.ask) * 0.01;
                ticket.stop_loss = (outlook.true_range > 0.0).then(|| ((mid - away) / 0.01).round() as i64);
            }
            assert_eq!(ticket.side, if wanted > held { Side::Buy } else { Side::Sell });
            let position = cambist_risk::Position {
                now: full.events[row].close_time,
                priced_at: full.events[row].close_time,
                equity: broker.equity(),
                steps: held,
                step_value: 1.0,
            };
            let order =
                cambist_risk::Gate::new(cambist_risk::GateLimits::default()).approve(ticket, &position);
            broker.submit(order.unwrap(), full.events[row].close_time).unwrap();
        }
        row += 1;
        broker.on(0, &MarketEvent::Bar(full.events[row]), &mut log);
        let (mine, theirs) = (env.snapshot(0), broker.equity());
        assert_eq!(mine.equity.to_bits(), theirs.to_bits(), "step {step}");
    }
    let deals = log.iter().filter(|notice| matches!(notice, Notice::Deal(d) if d.reason == Reason::Client));
    assert!(deals.count() > 200);
}

#[test]
fn short_and_full_agree_where_both_can_say_it() {
    let (config, full) = market(
        40_000,
        &[
            "broker.tick_size=0.000001",
            "broker.lot_step=0.000001",
            "broker.lot_maximum=1000000",
            "broker.leverage=1000",
            "broker.stop_out=-1e9",
            "broker.margin_call=0",
            "broker.money_digits=-1",
            "broker.taker_bp=5",
            "broker.spread=fixed",
            "broker.spread_ticks=0",
            "broker.slippage_ticks=0",
            "broker.slippage_volatility=0",
            "broker.impact_temporary=0",
            "broker.impact_permanent=0",
            "broker.participation=0",
            "broker.swap=none",
            "broker.swap_long=0",
            "broker.swap_short=0",
            "broker.latency_ms=0",
            "broker.stop_loss_atr=0",
        ],
    );
    let mut long = spec(&config, &full);
    long.path = spec_path(&config, &full);
    let mut short = long.clone();
    let costs = cambist_execution::CostModel {
        commission: cambist_core::BasisPoints(5.0),
        ..cambist_execution::CostModel::FREE
    };
    let rules = cambist_execution::EngineRules { costs, margin: true, ruin_fraction: 0.1 };
    short.execution = Execution::Short(cambist_execution::Engine::new(rules));
    let decision = cambist_decide::DecisionRules { one_way_cost: costs.one_way(), ..config.decision };
    let identity = cambist_features::Normaliser::identity(&full.features.names, 1e9);
    short.path = cambist_decide::DecisionPath::new(decision, Arc::new(identity));
    for ((a, _), (b, _)) in course(&short, 1000).into_iter().zip(course(&long, 1000)) {
        // A step is a millionth of a coin worth 100: no more than that is rounded away.
        assert!((a / b - 1.0).abs() < 1e-5, "{a} {b}");
    }
}

fn cambist(args: &[&str]) -> Output {
    let made_up =
        ["--set", "data.source=synthetic", "--set", "data.start=2018-01-01", "--set", "data.n_bars=20000"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args(args).args(made_up).output().unwrap()
}

#[test]
fn costs_are_explained_and_add_up() {
    let explain =
        ["costs", "explain", "configs/btc_broker.toml", "--lots", "0.5", "--at", "2019-03-05T14:00"];
    let output = cambist(&explain);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let amount = |what: &str| -> f64 {
        let line =
            text.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what} in {text}"));
        line[what.len()..].split_whitespace().next().unwrap().parse().unwrap()
    };
    let parts: f64 = ["commission", "spread", "slippage", "impact"].map(amount).iter().sum();
    assert!((parts - amount("round trip")).abs() < 2e-4, "{text}");
    // Bought and sold at once, 3 bp of each fill; Tuesday 14:00 asks 600 ticks of 0.01 at least.
    assert!(amount("spread") <= -0.5 * 6.0, "{text}");
    assert!(
        text.contains("600 at the broker's 16:00") && text.contains("18 % a year") && text.contains("250 ms"),
        "{text}"
    );
    let closed = [
        "--set",
        "broker.instrument=eurusd",
        "--set",
        "broker.tick_size=0.01",
        "--set",
        "broker.participation=0",
    ];
    let sunday = cambist(&[&explain[..6], &["2019-03-03T14:00"], &closed].concat());
    let sunday =
        format!("{}{}", String::from_utf8_lossy(&sunday.stdout), String::from_utf8_lossy(&sunday.stderr));
    assert!(sunday.contains("the market is closed"), "{sunday}");
    // New York's summer began on the 10th: the same UTC hour is the broker's 17:00, and its midnight comes an hour earlier.
    let summer = String::from_utf8(cambist(&[&explain[..6], &["2019-07-05T14:00"]].concat()).stdout).unwrap();
    assert!(
        text.contains("midnight, next 22:00 UTC of 5 March") && summer.contains("midnight, next 21:00 UTC"),
        "{summer}"
    );
    assert!(summer.contains("600 at the broker's 17:00"), "{summer}");
}

#[test]
fn brokers_that_make_no_sense_are_refused() {
    let refused = |sets: &[&str], words: &[&str]| {
        let mut args = vec!["costs", "explain", "configs/btc_broker.toml", "--at", "2019-03-05T14:00"];
        sets.iter().for_each(|set| args.extend(["--set", set]));
        let output = cambist(&args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{sets:?}: {error}");
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
        for word in words {
            assert!(error.contains(word), "{sets:?}: '{word}' is not in: {error}");
        }
    };
    refused(&["broker.instrument=dogeusd"], &["broker.instrument", "dogeusd", "xauusd"]);
    refused(&["broker.tick_value=-1"], &["btcusd", "tick_value", "-1"]);
    refused(&["broker.tick_value=0"], &["rule 20", "btcusd", "tick_value is 0", "must be positive"]);
    for offset in ["1000", "-2147483648", "330"] {
        let set = format!("broker.server_offset_minutes={offset}");
        refused(&[&set], &["server_offset_minutes", offset, "840"]);
    }
    refused(&["broker.lot_step=0"], &["broker.lot_step", "0", "positive"]);
    refused(&["broker.rollover_minute=1320"], &["broker.rollover_minute", "server_offset_minutes"]);
    refused(
        &["broker.instrument=btcusdt-perpetual", "broker.deposit_currency=USDT"],
        &["broker.funding_file", "perpetual", "none"],
    );
    let foreign = "broker.deposit_currency=EUR";
    refused(
        &[foreign, "broker.conversion_symbol=EURJPY"],
        &["broker.conversion_symbol", "EURJPY", "USDEUR or EURUSD"],
    );
    refused(&["broker.lot_minimum=0.015"], &["broker.lot_minimum", "0.015", "0.01"]);
    refused(&["broker.deposit_currency=EUR"], &["broker.conversion_rate", "USD to EUR"]);
    refused(&["broker.participation=1.5"], &["participation", "1.5"]);
    refused(&["broker.spread=data"], &["spread", "bars have none"]);
    refused(&["broker.spread_by_hour=[1,2]"], &["broker.spread_by_hour", "2 numbers", "24"]);
    refused(&["broker.triple_day=sunday"], &["broker.triple_day", "sunday"]);
    refused(&["broker.stop_out=200"], &["broker.margin_call", "broker.stop_out"]);
    refused(&["broker.size=20"], &["broker.size", "20", "broker.max_exposure"]);
    refused(&["broker.stale_after=-1"], &["broker.stale_after", "at least 0"]);
    refused(&["decision.leverage=2"], &["decision.leverage", "broker.size"]);
    refused(&["broker.funding_file=nowhere.csv"], &["nowhere.csv"]);
    refused(&["execution.commission_bp=1"], &["execution"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("funding.csv");
    std::fs::write(&path, "timestamp,rate\n2018-01-01,0.0001\n2018-01-03,0.0001\n").unwrap();
    let file = format!("broker.funding_file={}", path.display());
    refused(&[&file], &["funding.csv", "no funding rate on 2018-01-02"]);
    std::fs::write(&path, "timestamp,rate\n2018-01-01,high\n").unwrap();
    refused(&[&file], &["funding.csv", "line 2", "'high'"]);
    for (lots, said) in [
        ("0.015", "0.015 lots are no multiple of the lot step 0.01"),
        ("nan", "'nan' is no decimal number"),
        ("0", "write a positive number"),
    ] {
        let output =
            cambist(&["costs", "explain", "configs/btc_broker.toml", "--lots", lots, "--at", "2019-03-05"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(said), "{lots}: {error}");
    }
    refused(&["broker.fills_by=stored"], &["broker.fills_by", "stored", "finer"]);
}

/// Steps through `spec` by `action`, a bar at a time; gives positions in units and equities.
fn lived(spec: &MarketSpec, n_steps: usize, action: impl Fn(usize) -> f32) -> Vec<(f64, f64)> {
    let mut env = MarketEnv::new(spec.clone(), 1, 0, AutoReset::Disabled).unwrap();
    let mut storage = StepStorage::for_env(&env);
    env.reset(0, &mut storage.observations);
    let step = |step: usize| {
        env.step(&[action(step)], &mut storage.buffers());
        let snapshot = env.snapshot(0);
        (snapshot.units, snapshot.equity)
    };
    (0..n_steps).map(step).collect()
}

const NO_VOLUME: [&str; 3] =
    ["broker.participation=0", "broker.impact_temporary=0", "broker.impact_permanent=0"];

#[test]
fn a_hedging_account_closes_what_it_is_against() {
    let sizes =
        ["broker.sizing=fixed_lots", "broker.size=2.0", "broker.max_exposure=100.0", "broker.swap=none"];
    let free = ["broker.swap_long=0", "broker.swap_short=0", "broker.stop_loss_atr=0"];
    let run = |books: &str| {
        let books = format!("broker.books={books}");
        let sets = [&NO_VOLUME[..], &sizes, &free, &[books.as_str()]].concat();
        let (config, market) = market(40_000, &sets);
        lived(&spec(&config, &market), 600, |step| [2.0, 0.0, 1.0, 2.0, 2.0, 1.0, 0.0][step / 3 % 7])
    };
    let (netting, hedging) = (run("netting"), run("hedging"));
    for (step, (a, b)) in netting.iter().zip(&hedging).enumerate() {
        assert!(a.0 == b.0 && (a.1 - b.1).abs() < 0.05, "step {step}: {a:?} {b:?}");
    }
    assert!(hedging.iter().any(|(units, _)| *units == 0.0) && hedging.iter().any(|(units, _)| *units < 0.0));
}

#[test]
fn a_position_with_stops_can_be_made_smaller() {
    let sets =
        [&NO_VOLUME[..], &["decision.action=continuous", "broker.latency_ms=0", "broker.stop_loss_atr=50"]];
    let (config, market) = market(40_000, &sets.concat());
    for side in [1.0f32, -1.0] {
        let course = lived(&spec(&config, &market), 12, |step| if step < 6 { side } else { 0.5 * side });
        let (full, half) = (course[5].0, course[11].0);
        assert!((half / full - 0.5).abs() < 0.1, "{full} {half}");
    }
}

#[test]
fn an_order_that_is_refused_on_its_way_is_asked_for_again() {
    let sets = [&NO_VOLUME[..], &["broker.latency_ms=0", "broker.latency_bars=1", "broker.reject_share=0.5"]];
    let (config, market) = market(40_000, &sets.concat());
    // Long for twenty bars, then short for twenty: half of the orders are refused, and yet the position gets there.
    let course = lived(&spec(&config, &market), 200, |step| if step / 20 % 2 == 0 { 2.0 } else { 0.0 });
    for (at, (units, _)) in course.iter().enumerate().skip(19).step_by(20) {
        assert!(*units * if at / 20 % 2 == 0 { 1.0 } else { -1.0 } > 0.0, "bar {at}: {units}");
    }
}

#[test]
fn finer_bars_decide_what_a_bar_leaves_open() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cambist"))
            .args(args)
            .arg("--data-dir")
            .arg(&data)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let synth = ["data", "synth", "regime", "--symbol", "MADE", "--timeframe", "15m", "--bars", "60000"];
    run(&[&synth[..], &["--start", "2020-01-01"]].concat());
    let lived_by = |fills: &str, ranges: &str| {
        let sets = [
            "data.symbol=MADE".to_owned(),
            "data.venue=".to_owned(),
            "data.stored_timeframe=15m".to_owned(),
            "broker.spread=fixed".to_owned(),
            "broker.spread_ticks=3".to_owned(),
            // Nothing that depends on a bar's own volume or deviation.
            "broker.slippage_ticks=1".to_owned(),
            "broker.slippage_volatility=0.0".to_owned(),
            "broker.impact_temporary=0.0".to_owned(),
            "broker.impact_permanent=0.0".to_owned(),
            "broker.participation=0.0".to_owned(),
            "broker.latency_ms=0".to_owned(),
            format!("broker.stop_loss_atr={ranges}"),
            format!("broker.take_profit_atr={ranges}"),
            format!("broker.fills_by={fills}"),
            "windows.train_until=2021-01-01".to_owned(),
            "windows.validation_until=2021-03-01".to_owned(),
            "windows.test_until=".to_owned(),
        ];
        let layers = Layers::read(Some(Path::new("configs/btc_broker.toml")), &sets).unwrap();
        let config = Config::validate(layers.resolve().unwrap()).unwrap();
        let market = Market::prepare(&config, &data).unwrap();
        let seen = course(&spec(&config, &market), 4000);
        seen.into_iter().map(|(equity, _)| equity).collect::<Vec<f64>>()
    };
    // Stops and targets that no bar reaches: who decides what a bar leaves open decides nothing.
    let (own, stored) = (lived_by("own", "500"), lived_by("stored", "500"));
    let apart = own.iter().zip(&stored).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart < 1e-6 * own[0], "{apart}");
    // Both within reach of one bar: of the two the worse is taken, where finer bars know better.
    let (own, stored) = (lived_by("own", "0.4"), lived_by("stored", "0.4"));
    let first = (0..4000).find(|&bar| (own[bar] - stored[bar]).abs() > 1e-6 * own[0]).unwrap();
    assert!(stored[first] > own[first], "{} by quarters of an hour, {} by hours", stored[first], own[first]);
}

/// What could only be refused order by order is refused at once, with the rule's number and the value; what is refused on the way is
/// counted and said.
#[test]
fn sizes_and_stops_that_no_broker_takes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/reference_broker.toml");
    let train = |sets: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
        command.arg("train").arg(&reference).args([
            "--set",
            "ppo.total_steps=16384",
            "--set",
            "ppo.n_envs=16",
        ]);
        command.args(["--set", "ppo.horizon=64", "--set", "ppo.minibatch_size=256"]).current_dir(&folder);
        for set in sets {
            command.args(["--set", set]);
        }
        command.output().unwrap()
    };
    let fixed = "broker.sizing=fixed_lots";
    for (sets, wanted) in [
        (&[fixed, "broker.size=0.015"][..], ["broker.size is 0.015", "rule 1"]),
        (&[fixed, "broker.size=0.001"], ["broker.size is 0.001", "rule 1"]),
        (&[fixed, "broker.size=20000"], ["broker.size is 20000", "rule 1"]),
        (
            &["broker.stop_loss_atr=2.0", "broker.stops_level=10000000"],
            ["broker.stop_loss_atr is 2", "rule 3"],
        ),
    ] {
        let output = train(sets);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{sets:?}");
        assert!(wanted.iter().all(|w| said.contains(w)) && said.trim_end().lines().count() == 1, "{said}");
    }
}

/// A rule trades through the broker too, at once the equity; what it does not know of is no axis.
#[test]
fn a_rule_is_stepped_through_the_broker() {
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
        command.args(["backtest", "configs/btc_broker.toml", "--rule", "momentum", "--grid", "n=24"]);
        for set in ["data.source=synthetic", "data.kind=regime", "data.start=2018-01-01", "data.n_bars=30000"]
        {
            command.args(["--set", set]);
        }
        command.args(more).output().unwrap()
    };
    let output = run(&["--grid", "broker.taker_bp=0,5", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let costs: Vec<f64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["costs"].as_f64().unwrap())
        .collect();
    assert!(costs[0] < costs[1], "{costs:?}");
    let output = run(&["--grid", "broker.size=0.3,1.0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("broker.size has no effect on it"), "{said}");
}
