//! Backtests over a grid: the fast path is the environment to the bit, in outcomes, curves and trades, for every rule, long
//! only or not, rich or ruined; and what the command writes and refuses. `benches/vectorbt_sweep.py` compares with vectorbt.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

use cambist_lab::Layers;
use cambist_lab::run::Machine;
use cambist_lab::sweep::{RuleKind, Sort, Subject, Sweep, SweepRequest, sweep};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn run(
    kind: RuleKind,
    axes: &[&str],
    sets: &[&str],
    long_only: bool,
    by_environment: bool,
    n_threads: usize,
) -> Sweep {
    let sets: Vec<String> = ["data.n_bars=9000", "features.columns=[\"return(1)\"]"]
        .iter()
        .chain(sets)
        .map(|s| (*s).to_owned())
        .collect();
    let request = SweepRequest {
        subject: Subject::Rule { kind, long_only },
        axes: axes.iter().map(|text| text.parse().unwrap()).collect(),
        from: None,
        until: None,
        by_environment,
        sort: Sort::Sharpe,
    };
    let machine = Machine {
        data: "data".into(),
        runs: "runs".into(),
        n_threads,
        registry: None,
        time_limit: None,
        checkpoint_every: 25,
        keep_checkpoints: 3,
    };
    sweep(&Layers::read(None, &sets).unwrap(), &request, &machine, &|_, _| ()).unwrap()
}

/// The fast path and the environment give the same: trades, curve and return to the bit.
fn agree(kind: RuleKind, axes: &[&str], sets: &[&str], long_only: bool) -> u64 {
    let fast = run(kind, axes, sets, long_only, false, 2);
    let slow = run(kind, axes, sets, long_only, true, 1);
    assert!(fast.fast && !slow.fast);
    for (at, (a, b)) in fast.outcomes.iter().zip(&slow.outcomes).enumerate() {
        let name = format!("{kind:?} {axes:?} {at} {sets:?} {long_only}");
        assert_eq!((a.trades, a.ruined), (b.trades, b.ruined), "{name}");
        assert_eq!(a.total_return.to_bits(), b.total_return.to_bits(), "{name}");
        for (x, y) in
            [(a.max_drawdown, b.max_drawdown), (a.costs, b.costs), (a.held, b.held), (a.sharpe, b.sharpe)]
        {
            assert!(x.is_nan() && y.is_nan() || (x - y).abs() < 1e-9 * (1.0 + y.abs()), "{name}: {x} {y}");
        }
    }
    for ((at, curve, trades), (other, theirs, deals)) in fast.kept.iter().zip(&slow.kept) {
        assert_eq!(at, other);
        assert!(curve.iter().zip(theirs).all(|(x, y)| x.to_bits() == y.to_bits()), "{kind:?} {sets:?}");
        assert_eq!((curve.len(), trades), (theirs.len(), deals));
    }
    fast.outcomes.iter().map(|o| o.trades).max().unwrap_or(0)
}

#[test]
fn the_fast_path_is_the_environment() {
    let cases: [(RuleKind, &[&str]); 4] = [
        (RuleKind::SmaCross, &["fast=3,10", "slow=20,50"]),
        (RuleKind::Momentum, &["n=1,7,48"]),
        (RuleKind::Donchian, &["n=2,24,100"]),
        (RuleKind::Reversion, &["n=12,48", "k=0.5,1.5"]),
    ];
    let dear = ["execution.commission_bp=40", "execution.ruin_fraction=0.5"];
    let free = [
        "execution.commission_bp=0",
        "execution.half_spread_bp=0",
        "execution.slippage_bp=0",
        "execution.margin=true",
    ];
    for (kind, axes) in cases {
        for sets in [&[][..], &dear, &free] {
            for long_only in [false, true] {
                assert!(agree(kind, axes, sets, long_only) > 10, "{kind:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default()
    })]

    /// Whatever the rule, its parameters, the market, the costs and the account.
    #[test]
    fn the_fast_path_is_the_environment_everywhere(
        kind in 0..4usize,
        n in 1..200usize,
        more in 1..150usize,
        k in 0.1..3.0f64,
        costs in prop::array::uniform3(0.0..30.0f64),
        borrow in 0.0..0.3f64,
        ruin in 0.0..0.9f64,
        margin: bool,
        long_only: bool,
        market in prop::sample::select(vec!["gbm", "heston", "regime"]),
        seed in 0..1000u64,
    ) {
        let (kind, axes) = match kind {
            0 => (RuleKind::SmaCross, vec![format!("fast={n}"), format!("slow={}", n + more)]),
            1 => (RuleKind::Momentum, vec![format!("n={n}")]),
            2 => (RuleKind::Donchian, vec![format!("n={n}")]),
            _ => (RuleKind::Reversion, vec![format!("n={}", n + 1), format!("k={k}")]),
        };
        let [commission, spread, slippage] = costs;
        let sets = [
            format!("execution.commission_bp={commission}"),
            format!("execution.half_spread_bp={spread}"),
            format!("execution.slippage_bp={slippage}"),
            format!("execution.borrow_rate={borrow}"),
            format!("execution.ruin_fraction={ruin}"),
            format!("execution.margin={margin}"),
            format!("data.kind={market}"),
            format!("data.seed={seed}"),
        ];
        let axes: Vec<&str> = axes.iter().map(String::as_str).collect();
        agree(kind, &axes, &sets.each_ref().map(String::as_str), long_only);
    }
}

#[test]
fn config_fields_are_axes() {
    let axes = ["n=24,72", "execution.commission_bp=0,10"];
    let sweep = run(RuleKind::Momentum, &axes, &[], false, false, 2);
    let returns: Vec<f64> = sweep.outcomes.iter().map(|o| o.total_return).collect();
    assert!(returns[0] > returns[1] && returns[2] > returns[3], "costs cost: {returns:?}");
    assert_eq!(sweep.grid.scenes.len(), 2);
}

fn cambist(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cambist"));
    command.args(["backtest"]).args(args).args(["--set", "data.n_bars=9000"]).current_dir(folder);
    command.output().unwrap()
}

#[test]
fn a_policy_is_tested_where_it_has_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_cambist")).args(args).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let small = ["ppo.total_steps=8192", "ppo.n_envs=16", "ppo.minibatch_size=256", "data.n_bars=61368"];
    let mut train = vec!["train", "--quiet"];
    small.iter().for_each(|set| train.extend(["--set", set]));
    run(&train);
    let grid = ["backtest", "--run", "latest", "--grid", "execution.commission_bp=0,6"];
    let test = run(&grid);
    assert!(test.contains("2024-01-02 to 2025-01-01") && !test.contains("proves nothing"), "{test}");
    let all = run(&[&grid[..], &["--from", "2022-01-01"]].concat());
    assert!(all.contains("in training: what it earned there proves nothing"), "{all}");
}

#[test]
fn results_are_written_and_nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rule = ["--rule", "sma_cross", "--grid", "fast=5:15:5", "--grid", "slow=20,60"];
    let output = cambist(path, &[&rule[..], &["--out", "grid", "--sort", "drawdown"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let csv = std::fs::read_to_string(path.join("grid/results.csv")).unwrap();
    assert_eq!(csv.lines().next(), Some("fast,slow,return,sharpe,drawdown,trades,held,costs,ruined"));
    let drawdowns: Vec<f64> =
        csv.lines().skip(1).map(|l| l.split(',').nth(4).unwrap().parse().unwrap()).collect();
    assert!(drawdowns.len() == 6 && drawdowns.is_sorted(), "{drawdowns:?}");
    for (file, start) in [
        ("trades.parquet", "PAR1"),
        ("equity.svg", "<svg"),
        ("heatmap.svg", "<svg"),
        ("results.html", "<!doctype"),
    ] {
        let bytes = std::fs::read(path.join("grid").join(file)).unwrap();
        assert!(bytes.starts_with(start.as_bytes()) && bytes.len() > 1000, "{file}");
    }
    let refused = |args: &[&str], words: &[&str]| {
        let output = cambist(path, args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{args:?}: '{word}' is not in: {error}"));
    };
    refused(&["--rule", "moon"], &["'moon'", "sma_cross"]);
    refused(&["--rule", "momentum"], &["needs values of n"]);
    refused(&["--rule", "momentum", "--grid", "n=1.5"], &["n is 1.5", "whole number"]);
    refused(&["--rule", "momentum", "--grid", "n=ten"], &["'ten' is no number"]);
    refused(&["--rule", "momentum", "--grid", "n=5", "--grid", "m=1"], &["'m' is neither", "(n)"]);
    refused(&["--rule", "momentum", "--grid", "n=5", "--grid", "execution.fee=1"], &["execution.fee"]);
    refused(&["--rule", "momentum", "--grid", "n=5", "--from", "2031-01-01"], &["2031-01-01"]);
    refused(&["--rule", "momentum", "--grid", "n=9:1:1"], &["--grid n=9:1:1"]);
    refused(&[&rule[..], &["--sort", "luck"]].concat(), &["'luck'", "drawdown"]);
}
