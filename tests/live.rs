//! A policy at work on paper: the environment's day to the bit, through crashes; a journal that tells when it was touched; replay.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use cambist_live::{Journal, LiveError, replay};
use cambist_store::Database;
use support::{cambist, refused, root, text, trader, works};

/// What is said on the way to an error, and the error.
fn failed(folder: &Path, arguments: &[&str]) -> String {
    let output = cambist(folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn paper<'a>(run: &'a str, state: &'a str, speed: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed =
        ["serve", run, "--from", "2023-03-10", "--until", "2023-03-22", "--listen", "127.0.0.1:0", "--quiet"];
    [&fixed[..], &["--state", state, "--speed", speed], more].concat()
}

#[test]
fn a_paper_day_is_the_environments_day_and_replays() {
    for books in ["netting", "hedging"] {
        let folder = tempfile::tempdir().unwrap();
        let run = trader(folder.path(), books, &[]);
        works(folder.path(), &paper(run.to_str().unwrap(), "live", "0", &[]));
        let said = works(folder.path(), &["live", "compare", "live"]);
        assert!(said.starts_with("288 bars, 2") && said.contains("\n0 differences"), "{books}: {said}");
        let found = replay(&folder.path().join("live"), None).unwrap();
        assert_eq!(found.differences, []);
        assert!(found.decisions == 288 && found.orders >= 200 && found.fills >= 200, "{found:?}");
        // A stop was hit on the way, and told apart from what the policy did.
        let mut stopped = 0;
        Journal::read(&folder.path().join("live"), |kept| {
            stopped += usize::from(serde_json::to_string(&kept.record).unwrap().contains("\"stopped\""));
            Ok(())
        })
        .unwrap();
        assert!(stopped > 3, "{stopped} stops in {books}");
        // The same day again is the same day, but another account is another journal's.
        let said = refused(folder.path(), &paper(run.to_str().unwrap(), "live", "0", &["--account", "2"]));
        assert!(said.contains("journal"), "{said}");
    }
}

#[test]
fn a_policy_that_watches_is_compared_with_the_one_that_trades() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = trader(folder.path(), "netting", &[]);
    let run = run.to_str().unwrap();
    let another = trader(other.path(), "netting", &["run.seed=2"]);
    // One that watches itself wants what it wants.
    works(folder.path(), &paper(run, "itself", "0", &["--shadow", run]));
    let said = works(folder.path(), &["live", "shadow", "itself"]);
    assert!(said.starts_with("288 bars") && said.contains("100.0 % of them, targets 0.000 apart"), "{said}");
    let numbers = |name: &str, said: &str| -> Vec<f64> {
        let line = said.lines().find(|line| line.starts_with(name)).unwrap()[name.len()..].to_owned();
        line.split(',').map(|part| part.trim().split(' ').next().unwrap().parse().unwrap()).collect()
    };
    let gross = numbers("gross log return", &said);
    assert!(gross[0] == gross[1] && gross[0] != 0.0, "{said}");
    works(folder.path(), &paper(run, "another", "0", &["--shadow", another.to_str().unwrap()]));
    let said = works(folder.path(), &["live", "shadow", "another"]);
    let gross = numbers("gross log return", &said);
    assert!(gross[0] != gross[1] && numbers("turnover", &said)[1] > 1.0, "{said}");
    // The sum again, from the journal's own words.
    let (mut targets, mut closes) = (Vec::new(), Vec::new());
    Journal::read(&folder.path().join("another"), |kept| {
        if let cambist_live::words::Record::Step { bar, shadow, .. } = &kept.record {
            targets.push(shadow.as_ref().unwrap().target);
            closes.push(bar.close);
        }
        Ok(())
    })
    .unwrap();
    let worth: f64 =
        closes.windows(2).zip(&targets).map(|(pair, target)| target * libm::log(pair[1] / pair[0])).sum();
    assert!((worth - gross[1]).abs() < 1e-5, "{worth} {said}");
    works(folder.path(), &paper(run, "alone", "0", &[]));
    let said = refused(folder.path(), &["live", "shadow", "alone"]);
    assert!(said.contains("--shadow"), "{said}");
}

/// Quarters of an hour in `folder`, and a policy of the hours they make that is filled by them.
fn of_quarters(folder: &Path, seed: &str) {
    let synth = [
        "--symbol",
        "BTCUSD",
        "--timeframe",
        "15m",
        "--bars",
        "40000",
        "--start",
        "2022-06-01",
        "--seed",
        seed,
    ];
    works(folder, &[&["data", "synth", "regime"], &synth[..]].concat());
    let policy = std::fs::read_to_string(root().join("bridge/storm/policy.toml")).unwrap();
    let synthetic = |line: &&str| !["kind =", "n_bars =", "start ="].iter().any(|key| line.starts_with(key));
    let lines: Vec<&str> = policy.lines().filter(synthetic).collect();
    let text = lines.join("\n").replace("\"synthetic\"", "\"store\"\nstored_timeframe = \"15m\"");
    std::fs::write(folder.join("policy.toml"), text).unwrap();
}

/// The number behind `name` in what `compare` says of live and the orders at the open.
fn part(said: &str, name: &str) -> f64 {
    let line = said.lines().find(|line| line.starts_with("live less")).unwrap();
    let rest = line.split(&format!("{name} ")).nth(1).unwrap();
    rest.split([',', ';', ' ', ')']).next().unwrap().parse().unwrap()
}

/// Late entries meet other prices and other stops, in both kinds of books: all of it is explained, and on time there is nothing to explain.
#[test]
fn late_accounts_with_stops_are_explained_and_what_came_from_outside_is_not() {
    for (books, stopped) in [("netting", true), ("hedging", true)] {
        let folder = tempfile::tempdir().unwrap();
        of_quarters(folder.path(), "3");
        let run = trader(folder.path(), books, &["broker.fills_by=stored", "broker.stop_loss_atr=1.5"]);
        let run = run.to_str().unwrap();
        works(folder.path(), &paper(run, "on_time", "0", &[]));
        let said = works(folder.path(), &["live", "compare", "on_time"]);
        assert!(said.contains("\n0 differences"), "{books}: {said}");
        works(folder.path(), &paper(run, "late", "0", &["--latency-ms", "1800000"]));
        let said = works(folder.path(), &["live", "compare", "late"]);
        assert!(
            part(&said, "latency").abs() > 0.05 && part(&said, "left over").abs() < 0.3,
            "{books}: {said}"
        );
        assert_eq!(part(&said, "reached") != 0.0, stopped, "{books}: {said}");
        // A limit that held orders back is no latency.
        let limits = folder.path().join("limits.toml");
        std::fs::write(&limits, "[limits]\nmax_lots = 0.1\n").unwrap();
        let late = ["--latency-ms", "1800000", "--config", limits.to_str().unwrap()];
        works(folder.path(), &paper(run, "limited", "0", &late));
        let said = failed(folder.path(), &["live", "compare", "limited"]);
        assert!(said.contains("kept back by limits"), "{books}: {said}");
        // Nor is a stop-out that the environment does not know.
        let other = ["--set", "broker.stop_out=10000000", "--set", "broker.margin_call=10000000"];
        works(folder.path(), &paper(run, "stopped_out", "0", &other));
        let said = failed(folder.path(), &["live", "compare", "stopped_out"]);
        assert!(said.contains("on one side alone") || said.contains("refused"), "{books}: {said}");
    }
}

/// A policy of hours, filled by the quarters of an hour they are made of: on time its account is the environment's to the bit. Late, and
/// at a broker with another spread and slippage, every cent of the difference has its reason; spread and slippage have closed forms.
#[test]
fn a_late_account_is_attributed_to_the_cent() {
    let folder = tempfile::tempdir().unwrap();
    of_quarters(folder.path(), "3");
    // No stop is reached, so that both sides have the same deals.
    let sets = ["broker.fills_by=stored", "broker.stop_loss_atr=100"];
    let run = trader(folder.path(), "netting", &sets);
    let run = run.to_str().unwrap();
    works(folder.path(), &paper(run, "on_time", "0", &[]));
    let said = works(folder.path(), &["live", "compare", "on_time"]);
    assert!(said.starts_with("288 bars, 2") && said.contains("\n0 differences"), "{said}");
    let late =
        ["--latency-ms", "1200000", "--set", "broker.spread_ticks=9", "--set", "broker.slippage_ticks=4"];
    works(folder.path(), &paper(run, "late", "0", &late));
    let said = works(folder.path(), &["live", "compare", "late"]);
    let line = said.lines().find(|line| line.starts_with("live less")).unwrap();
    let [latency, spread, slippage] = ["latency", "spread", "slippage"].map(|name| part(&said, name));
    assert!(latency.abs() > 0.05 && part(&said, "reached") == 0.0, "{line}");
    assert!(part(&said, "left over").abs() <= 0.02, "{line}");
    // Half of six ticks more at every fill, three ticks more of slippage; what is held at the end is counted at the other spread too.
    let (mut lots, mut held) = (0.0, 0.0f64);
    Journal::read(&folder.path().join("late"), |kept| {
        if let cambist_live::words::Record::Step { findings, account, .. } = &kept.record {
            held = account.steps().abs() as f64 * 0.01;
            for finding in findings {
                if let cambist_live::words::Finding::Fill { steps, .. } = finding {
                    lots += steps.abs() as f64 * 0.01;
                }
            }
        }
        Ok(())
    })
    .unwrap();
    assert!((spread + 0.03 * (lots + held)).abs() < 0.011, "{line}: {lots} lots, {held} held");
    assert!((slippage + 0.03 * lots).abs() < 0.011, "{line}: {lots} lots");
    // What a journal says of costs is what its broker took: a spread of nine ticks, orders that come in with the
    // second quarter.
    let measured = |journal| -> Vec<Vec<String>> {
        let said = works(folder.path(), &["costs", "calibrate", journal]);
        said.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    for (journal, found, kind) in [
        ("on_time", ["3.000", "1.000", "0.000"], [false; 3]),
        ("late", ["9.000", "", "900000.000"], [true, false, true]),
    ] {
        let lines = measured(journal);
        let of = |name: &str| {
            lines.iter().find(|line| line.iter().any(|word| word.starts_with(name))).unwrap().join(" ")
        };
        for ((name, found), kind) in ["spread", "slippage", "from"].into_iter().zip(found).zip(kind) {
            let line = of(name);
            assert!(line.contains(found), "{journal}: {line}");
            if !found.is_empty() {
                assert_eq!(line.contains("too kind"), kind, "{journal}: {line}");
            }
        }
    }
    // Other bars than the environment's, and orders that it fills and the broker refuses, are explained by nothing.
    let other = folder.path().join("elsewhere");
    std::fs::create_dir(&other).unwrap();
    of_quarters(&other, "4");
    let said = failed(folder.path(), &["--data-dir", "elsewhere/data", "live", "compare", "late"]);
    assert!(said.contains("bars or features are others than in the environment"), "{said}");
    works(folder.path(), &paper(run, "refused", "0", &["--set", "broker.stops_level=1000000"]));
    let said = failed(folder.path(), &["live", "compare", "refused"]);
    assert!(said.contains("orders were refused") && said.contains("before any fill"), "{said}");
    // An order that is under way for longer than a bar has no bar to be decided in.
    let said = refused(folder.path(), &paper(run, "later", "0", &["--latency-ms", "3600000"]));
    assert!(said.contains("--latency-ms") && said.contains("less than a bar"), "{said}");
}

#[test]
fn a_killed_loop_goes_on_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let run = trader(folder.path(), "netting", &[]);
    // 288 hours in about three seconds, killed every fifth of one.
    let arguments = paper(run.to_str().unwrap(), "live", "400000", &[]);
    let begin = || -> Child {
        cambist(folder.path(), &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let (mut kills, mut cuts) = (0, 0);
    while kills < 6 {
        let mut child = begin();
        std::thread::sleep(Duration::from_millis(150 + 40 * kills));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        cuts += cut_anywhere(&folder.path().join("live"));
        flipped_anywhere(&folder.path().join("live"), kills);
    }
    assert!(begin().wait().unwrap().success());
    assert!(cuts > 0, "no journal was cut");
    assert!(kills > 1, "it was over before it could be killed");
    let found = replay(&folder.path().join("live"), None).unwrap();
    assert_eq!(found.differences, []);
    let (mut decided, mut disagreed, mut seen) = (0, 0, std::collections::BTreeSet::new());
    Journal::read(&folder.path().join("live"), |kept| {
        if let cambist_live::words::Record::Step { decision, findings, .. } = &kept.record {
            decided += 1;
            disagreed += findings.iter().filter(|finding| finding.disagrees()).count();
            for intent in &decision.intents {
                assert!(seen.insert(intent.id), "{} was decided twice", intent.id);
            }
        }
        Ok(())
    })
    .unwrap();
    assert!(decided > 50 && disagreed == 0, "{decided} decisions, {disagreed} disagreements");
}

#[test]
fn a_journal_that_was_touched_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = trader(folder.path(), "netting", &[]);
    let arguments = |state| {
        paper(run.to_str().unwrap(), state, "0", &[]).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let serve = |state| {
        let arguments = arguments(state);
        works(folder.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    serve("live");
    let state = folder.path().join("live");
    let whole = replay(&state, None).unwrap();
    let change = |sql: &'static str, state: &Path| {
        let database = Database::open(&state.join("journal.sqlite"), &[]).unwrap();
        database.run(sqlx::query(sql).execute(database.pool())).unwrap();
    };
    // A byte of what was seen, of a hash, a record that is gone, two that changed places.
    for (sql, record) in [
        ("UPDATE records SET body = replace(body, 'at', 'aT') WHERE seq = 40", 40),
        ("UPDATE records SET hash = zeroblob(32) WHERE seq = 3", 3),
        ("UPDATE records SET data = zeroblob(length(data)) WHERE seq = 1", 1),
        ("DELETE FROM records WHERE seq = 17", 17),
    ] {
        let copy = folder.path().join("touched");
        let _ = std::fs::remove_dir_all(&copy);
        copied(&state, &copy);
        change(sql, &copy);
        let error = replay(&copy, None).unwrap_err();
        assert!(matches!(error, LiveError::Damaged { seq, .. } if seq == record), "{sql}: {error}");
        let said = refused(folder.path(), &paper(run.to_str().unwrap(), "touched", "0", &[]));
        assert!(said.contains(&format!("record {record} is damaged")), "{said}");
    }
    assert_eq!(whole.differences, []);
}

/// Header of the write-ahead log, and of each of its frames; a page.
const WAL: (u64, u64, u64) = (32, 24, 4096);

/// Cuts what is not yet in the database's file at the end of every frame, and a byte to either side, as a crash of the machine may that loses
/// what was not durable: what is left is a journal, whole records long. What was durable, as its head remembers, is missed. How often
/// it was cut.
fn cut_anywhere(state: &Path) -> usize {
    let Ok(wal) = std::fs::metadata(state.join("journal.sqlite-wal")) else { return 0 };
    let (header, of_frame, page) = WAL;
    let frames = wal.len().saturating_sub(header) / (of_frame + page);
    let (whole, durable) = (records(state).unwrap(), durable(state));
    let copy = tempfile::tempdir().unwrap();
    let (log, head) = (copy.path().join("journal.sqlite-wal"), copy.path().join("journal.head"));
    let mut left = i64::MAX;
    let ends = (0..=frames).rev().map(|frame| header + frame * (of_frame + page));
    for place in ends.flat_map(|end| [end + 1, end, end.saturating_sub(1)]).filter(|end| *end < wal.len()) {
        copied(state, copy.path());
        std::fs::File::options().write(true).open(&log).unwrap().set_len(place).unwrap();
        let said = records(copy.path());
        let _ = std::fs::remove_file(&head);
        let kept = records(copy.path()).unwrap();
        assert!(
            kept <= left && kept <= whole,
            "cut at {place}: {kept} records, {left} were there when less was cut"
        );
        left = kept;
        let good = match &said {
            Ok(n) => *n == kept && *n >= durable,
            Err(error) => matches!(error, LiveError::Damaged { seq, .. } if *seq == kept + 1),
        };
        assert!(good, "cut at {place}, {durable} of {whole} records were durable: {said:?}");
    }
    frames as usize
}

/// Flips a bit of bytes all over what is in the files, one at a time: it is found, and its record named, or it was of a byte that holds nothing.
fn flipped_anywhere(state: &Path, seed: u64) {
    let durable = durable(state);
    if durable == 0 {
        return;
    }
    let copy = tempfile::tempdir().unwrap();
    let mut named = 0;
    for name in ["journal.sqlite", "journal.sqlite-wal", "journal.head"] {
        copied(state, copy.path());
        let Ok(bytes) = std::fs::read(state.join(name)) else { continue };
        for k in 0..24 {
            let place = (k * 7919 + seed * 104_729 + 13) as usize % bytes.len().max(1);
            let mut other = bytes.clone();
            let Some(byte) = other.get_mut(place) else { continue };
            *byte ^= 0x10;
            std::fs::write(copy.path().join(name), other).unwrap();
            let said = records(copy.path());
            let found =
                matches!(&said, Err(LiveError::Damaged { seq, .. }) if (1..=durable + 1).contains(seq));
            named += u32::from(found);
            let good = match (name, &said) {
                ("journal.head", said) => {
                    matches!(said, Err(LiveError::Config(what)) if what.contains("journal.head is damaged"))
                }
                (_, Ok(n)) => *n >= durable,
                // What is no database any more is named by its file.
                (_, said) => found || matches!(said, Err(LiveError::Database(_))),
            };
            assert!(good, "byte {place} of {name}, {durable} records: {said:?}");
        }
    }
    assert!(named > 0 || durable < 20, "no flip of {durable} records was found");
}

/// Records of which the journal in `state` remembers that they were durable: all, or all but the last if it was killed in between.
fn durable(state: &Path) -> i64 {
    let head = std::fs::read_to_string(state.join("journal.head")).unwrap_or_default();
    head.split_once(' ').map_or(0, |(n, _)| n.parse().unwrap())
}

/// Records of the journal in `state`, verified in a copy: whoever opens a log takes it into the database's file.
fn records(state: &Path) -> Result<i64, LiveError> {
    let copy = tempfile::tempdir().unwrap();
    copied(state, copy.path());
    let _ = std::fs::remove_file(copy.path().join("journal.sqlite-shm"));
    let mut n = 0;
    Journal::read(copy.path(), |kept| {
        n = kept.seq;
        Ok(())
    })?;
    Ok(n)
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&entry, to.join(entry.file_name().unwrap())).unwrap();
    }
}

#[test]
fn what_cannot_be_served_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(folder.path(), &["serve", "nothing"]);
    assert!(said.contains("nothing") && said.contains("cannot read"), "{said}");
    let said = refused(folder.path(), &["live", "replay", "nowhere"]);
    assert!(said.contains("there is no journal in nowhere"), "{said}");
    let run = trader(folder.path(), "netting", &[]);
    let run = run.to_str().unwrap();
    std::fs::write(folder.path().join("bad.toml"), "[limits]\ndaily_loss = 3.0\n").unwrap();
    let said = refused(folder.path(), &["serve", run, "--config", "bad.toml"]);
    assert!(said.contains("limits.daily_loss is 3; it must be above 0 and at most 1"), "{said}");
    std::fs::write(folder.path().join("bad.toml"), "[limits]\nmax_lot = 3.0\n").unwrap();
    let said = cambist(folder.path(), &["serve", run, "--config", "bad.toml"]).output().unwrap();
    assert!(text(&said.stderr).contains("unknown field `max_lot`"), "{}", text(&said.stderr));
    std::fs::write(
        folder.path().join("bad.toml"),
        "[alerts]\nurl = \"nonsense\"\nfrom = \"info\"\ncool_down_s = 1\n",
    )
    .unwrap();
    let said = refused(folder.path(), &["serve", run, "--config", "bad.toml"]);
    assert!(said.contains("alerts.url is 'nonsense'"), "{said}");
    // Token and passwords travel in the open to nobody.
    let said = refused(folder.path(), &["serve", run, "--from", "2023-03-10", "--listen", "0.0.0.0:0"]);
    assert!(said.contains("on this machine alone"), "{said}");
    std::fs::write(folder.path().join("token"), "a token of more than sixteen\n").unwrap();
    let said =
        refused(folder.path(), &["live", "status", "--url", "http://10.0.0.1:8230", "--token-file", "token"]);
    assert!(said.contains("in the open"), "{said}");
    let said =
        cambist(folder.path(), &["live", "limit", "max_lots", "why", "--totp", "123456"]).output().unwrap();
    assert!(!said.status.success() && text(&said.stderr).contains("--value"), "{}", text(&said.stderr));
    // Live money needs a promotion that is trusted here.
    std::fs::write(
        folder.path().join("live.toml"),
        "[bridge]\nurl = \"http://127.0.0.1:9\"\ntoken_file = \"token\"\nsymbol = \"BTCUSD\"\n",
    )
    .unwrap();
    let key = "4af8c315a8c6d736d13faccd61c8bce49cfaf2eb8123d7486e57f8796ebf0d38";
    let live = ["serve", run, "--live", "--account", "1", "--config", "live.toml", "--trust", key];
    let said = refused(folder.path(), &live);
    assert!(said.contains("no promotion of the artefact"), "{said}");
}
