//! Regimes on markets of known truth, where the exact Bayes filter knows the parameters: the fitted model closes at least
//! 95 % of the distance from a constant guess to it, and its log-loss is within 0.01 nat a bar; where no filter can tell,
//! the fit says so. And streams: batch bits from any start, other people's numbers.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use cambist_core::rng::{Purpose, Stream};
use cambist_core::{Bar, InstrumentId, MarketTape, PriceSide, Timeframe, UnixNanos, VolumeKind};
use cambist_regime::hmm::FitSettings;
use cambist_regime::{
    ChangeModel, GaussianHmm, HmmFilter, Labeller, RegimeError, RegimeKind, RegimeModel, RegimeRequest,
};

/// States and observations of `model`.
fn simulate(model: &GaussianHmm, n: usize, seed: u64) -> (Vec<usize>, Vec<f64>) {
    let mut stream = Stream::new(seed, Purpose::Check, 0);
    let k = model.n_states();
    let mut state = 0;
    let draw = |row: &[f64], stream: &mut Stream| {
        let mut u = stream.uniform();
        row.iter()
            .position(|p| {
                u -= p;
                u < 0.0
            })
            .unwrap_or(row.len() - 1)
    };
    (0..n)
        .map(|_| {
            state = draw(&model.transition[state * k..(state + 1) * k], &mut stream);
            (state, model.mean[state] + model.variance[state].sqrt() * stream.normal())
        })
        .unzip()
}

/// Accuracy of the likeliest state, log-loss of the states, and log-loss of the observations, in nats a bar.
fn score(model: &GaussianHmm, states: &[usize], x: &[f64]) -> (f64, f64, f64) {
    let mut filter = HmmFilter::new(model);
    let (mut right, mut loss) = (0, 0.0);
    for (&state, &v) in states.iter().zip(x) {
        let p = filter.push(v);
        let likeliest = (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        right += usize::from(likeliest == state);
        loss -= libm::log(p[state].max(1e-300));
    }
    let n = x.len() as f64;
    (right as f64 / n, loss / n, -filter.log_likelihood() / n)
}

fn market(stay: f64, mean: &[f64], deviation: &[f64]) -> GaussianHmm {
    let k = mean.len();
    let off = (1.0 - stay) / (k - 1) as f64;
    let mut model = GaussianHmm {
        initial: vec![],
        transition: (0..k * k).map(|at| if at / k == at % k { stay } else { off }).collect(),
        mean: mean.to_vec(),
        variance: deviation.iter().map(|d| d * d).collect(),
    };
    model.initial = model.stationary();
    model
}

#[test]
fn the_fit_closes_the_distance_to_the_filter_that_knows() {
    let markets = [
        ("calm and wild", market(0.98, &[0.0002, -0.0003], &[0.004, 0.012])),
        ("bull and bear, daily", market(0.985, &[-0.004, 0.004], &[0.01, 0.011])),
        ("three volatilities", market(0.985, &[0.0, 0.0, 0.0], &[0.003, 0.008, 0.02])),
        ("four", market(0.99, &[0.001, -0.001, 0.002, -0.004], &[0.004, 0.009, 0.018, 0.04])),
    ];
    for (name, truth) in markets {
        let (states, x) = simulate(&truth, 60_000, 11);
        let (train, test) = x.split_at(30_000);
        let n_states = truth.n_states();
        let settings = FitSettings { n_states, n_restarts: 4, max_iterations: 500, tolerance: 1e-4, seed: 5 };
        let fit = GaussianHmm::fit(train, &settings).unwrap();
        let (exact, exact_loss, exact_density) = score(&truth, &states[30_000..], test);
        let (fitted, fitted_loss, fitted_density) = score(&fit.model, &states[30_000..], test);
        let share = |k: usize| states[30_000..].iter().filter(|&&s| s == k).count() as f64 / 30_000.0;
        let constant = (0..n_states).map(share).fold(0.0, f64::max);
        assert!(exact - constant >= 0.2, "{name}: no market for this test, {exact} against {constant}");
        let closed = (fitted - constant) / (exact - constant);
        assert!(closed >= 0.95, "{name}: {closed:.3} of the distance");
        assert!(fitted_loss - exact_loss <= 0.01, "{name}: {fitted_loss:.4} against {exact_loss:.4}");
        assert!(fitted_density - exact_density <= 0.01, "{name}: {fitted_density} {exact_density}");
        assert!(fit.is_identifiable(), "{name}: {fit:?}");
    }
}

#[test]
fn where_nothing_can_be_told_the_fit_says_so() {
    let one = market(0.5, &[0.0, 0.0], &[0.01, 0.01]);
    let faint = market(0.9, &[0.0001, -0.0001], &[0.01, 0.01]);
    for model in [one, faint] {
        let (_, x) = simulate(&model, 20_000, 3);
        for n_states in [2, 3] {
            let settings =
                FitSettings { n_states, n_restarts: 3, max_iterations: 200, tolerance: 1e-3, seed: 1 };
            assert!(!GaussianHmm::fit(&x, &settings).unwrap().is_identifiable());
        }
    }
}

fn tape(x: &[f64], timeframe: Timeframe) -> MarketTape {
    let mut tape = MarketTape::empty(InstrumentId("X".into()), timeframe, PriceSide::Last, VolumeKind::None);
    let mut price = 100.0;
    for (at, change) in x.iter().enumerate() {
        let open = price;
        price *= libm::exp(*change);
        tape.push(Bar {
            open_time: UnixNanos(at as i64 * timeframe.nanos()),
            open,
            high: open.max(price),
            low: open.min(price),
            close: price,
            volume: 0.0,
            spread: 0.0,
            coverage: 1.0,
        });
    }
    tape
}

fn request(kind: RegimeKind, timeframe: Timeframe) -> RegimeRequest {
    RegimeRequest {
        kind,
        timeframe,
        n_states: 2,
        n_restarts: 2,
        seed: 1,
        n_bars: 10,
        trend_t: 1.5,
        hysteresis: 0.7,
        mean_run: 100.0,
        recent: 5,
        labeller: Labeller { enter: 0.6, dwell: 2 },
    }
}

#[test]
fn streams_give_the_batchs_bits_from_any_start() {
    let (_, x) = simulate(&market(0.98, &[0.001, -0.002], &[0.004, 0.012]), 6000, 2);
    let tape = tape(&x, Timeframe::HOUR);
    for (kind, timeframe) in [
        (RegimeKind::Hmm, Timeframe::HOUR),
        (RegimeKind::Changes, Timeframe::HOUR),
        (RegimeKind::Rules, Timeframe::DAY),
        (RegimeKind::Hmm, Timeframe::DAY),
    ] {
        let model = RegimeModel::fit(&request(kind, timeframe), &tape.slice(0..3000)).unwrap();
        let whole = model.view(&tape).unwrap();
        for start in [1, 17, 100, 500] {
            let late = model.view(&tape.slice(start..tape.len())).unwrap();
            let mut compared = 0;
            for row in start..tape.len() {
                if let Some(p) = late.at(row - start) {
                    assert_eq!(Some(p), whole.at(row), "{kind:?} from {start} at {row}");
                    assert_eq!(late.label[row - start], whole.label[row]);
                    compared += 1;
                }
            }
            assert!(
                timeframe == Timeframe::DAY && kind == RegimeKind::Hmm || compared > 1000,
                "{kind:?} {compared}"
            );
        }
        // What comes later changes nothing before.
        let short = model.view(&tape.slice(0..4000)).unwrap();
        assert_eq!(short.probability[..], whole.probability[..short.probability.len()]);
        // Saved and read again.
        let text = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<RegimeModel>(&text).unwrap(), model);
    }
}

#[test]
fn rules_name_trends_on_made_up_markets() {
    let ups: Vec<f64> = (0..200).map(|at| 0.01 + 0.004 * f64::from(at % 2)).collect();
    let downs: Vec<f64> = (0..200).map(|at| -0.03 + 0.02 * f64::from(at % 2)).collect();
    let tape = tape(&[ups, downs].concat(), Timeframe::DAY);
    let model = RegimeModel::fit(&request(RegimeKind::Rules, Timeframe::DAY), &tape).unwrap();
    let view = model.view(&tape).unwrap();
    let name = |row: usize| view.names[usize::from(view.label[row].unwrap())].as_str();
    assert_eq!((name(150), name(350)), ("bull calm", "bear wild"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (_, x) = simulate(&market(0.98, &[0.0, 0.0], &[0.004, 0.012]), 600, 2);
    let hours = tape(&x, Timeframe::HOUR);
    let error = |request: &RegimeRequest| RegimeModel::fit(request, &hours).unwrap_err().to_string();
    assert!(error(&request(RegimeKind::Rules, Timeframe::HOUR)).contains("regime.timeframe is 1h"));
    let many = RegimeRequest { n_states: 7, ..request(RegimeKind::Hmm, Timeframe::HOUR) };
    assert!(error(&many).contains("regime.n_states is 7; it must be from 2 to 6"));
    let flat = tape(&[0.0; 100], Timeframe::HOUR);
    let hmm = request(RegimeKind::Hmm, Timeframe::HOUR);
    assert!(matches!(RegimeModel::fit(&hmm, &flat), Err(RegimeError::TooLittle { .. })));
    let model = RegimeModel::fit(&hmm, &hours).unwrap();
    let mut other = hours.clone();
    other.instrument = InstrumentId("Y".into());
    let refused = model.view(&other).unwrap_err().to_string();
    assert!(refused.contains("instrument is X, here it is Y"), "{refused}");
}

/// `scripts/regime_fixture.py`, with its versions.
#[test]
fn filter_and_change_points_equal_other_peoples() {
    let text = include_str!("fixtures/regime.json");
    let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let hmm = &fixture["hmm"];
    let model = GaussianHmm {
        initial: numbers(&hmm["initial"]),
        transition: numbers(&hmm["transition"]),
        mean: numbers(&hmm["mean"]),
        variance: numbers(&hmm["variance"]),
    };
    let x = numbers(&fixture["x"]);
    let mut filter = HmmFilter::new(&model);
    let filtered: Vec<f64> = x.iter().flat_map(|&v| filter.push(v).to_vec()).collect();
    for (mine, theirs) in filtered.iter().zip(numbers(&hmm["filtered"])) {
        assert!((mine - theirs).abs() < 1e-9, "{mine} {theirs}");
    }
    assert!((filter.log_likelihood() - hmm["log_likelihood"].as_f64().unwrap()).abs() < 1e-7);
    let changes = &fixture["changes"];
    let number = |name: &str| changes[name].as_f64().unwrap();
    let model = ChangeModel {
        mean_run: number("mean_run"),
        mean: number("mean"),
        kappa: number("kappa"),
        alpha: number("alpha"),
        beta: number("beta"),
        longest: 1000,
        recent: 3,
    };
    let mut running = model.running();
    for (v, theirs) in x.iter().zip(changes["run_lengths"].as_array().unwrap()) {
        running.push(*v);
        for (mine, theirs) in running.run_lengths().iter().zip(numbers(theirs)) {
            assert!((mine - theirs).abs() < 1e-9, "{mine} {theirs}");
        }
    }
}
