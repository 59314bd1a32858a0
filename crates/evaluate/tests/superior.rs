//! Hansen's test beside the `arch` package (`scripts/spa_fixture.py`), and White's where its answer is known.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use cambist_core::rng::{Purpose, Stream};
use cambist_evaluate::overfitting::superior;

#[test]
fn p_values_are_archs() {
    let text = include_str!("fixtures/spa.json");
    let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
    let block = fixture["block"].as_f64().unwrap();
    for case in fixture["cases"].as_array().unwrap() {
        let series: Vec<Vec<f64>> = serde_json::from_value(case["excess"].clone()).unwrap();
        let excess: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
        let found = superior(&excess, block, 20_000, 1).unwrap();
        for (name, own) in [("lower", found.lower), ("consistent", found.consistent), ("upper", found.upper)]
        {
            let theirs = case[name].as_f64().unwrap();
            // Two bootstraps of 20,000 draws: four standard errors of a difference.
            let error = 4.0 * (2.0 * 0.25 / 20_000.0f64).sqrt();
            assert!((own - theirs).abs() < error, "{name}: {own} against {theirs}");
        }
        assert!(found.lower <= found.consistent && found.consistent <= found.upper);
    }
}

/// Of worthless series the p-value is below 10 % in about a tenth of cases; of one that earns, in nearly all.
#[test]
fn the_reality_check_is_right_as_often_as_it_says() {
    let rejected = |edge: f64| {
        (0..200u64)
            .filter(|&seed| {
                let mut stream = Stream::new(seed, Purpose::Check, 3);
                let series: Vec<Vec<f64>> = (0..5)
                    .map(|k| {
                        (0..250).map(|_| if k == 0 { edge } else { 0.0 } + 0.01 * stream.normal()).collect()
                    })
                    .collect();
                let excess: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
                superior(&excess, 2.0, 500, seed).unwrap().reality_check < 0.1
            })
            .count()
    };
    let (worthless, worthy) = (rejected(0.0), rejected(0.0025));
    assert!((8..=34).contains(&worthless), "{worthless} of 200");
    assert!(worthy > 180, "{worthy} of 200");
    assert!(superior(&[&[0.0; 100]], 2.0, 100, 1).is_none() && superior(&[], 2.0, 100, 1).is_none());
}
