//! The registry in SQLite and in PostgreSQL: the same migrations, the same behaviour.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]
#![cfg(unix)]

mod support;

use cambist_core::UnixNanos;
use cambist_runs::{Judged, Opening, Registry, RunRecord, Status};
use support::Postgres;

#[test]
fn in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    behaves(&Registry::open(folder.path()).unwrap());
    // The same file by its URL.
    let url = format!("sqlite:///{}", folder.path().join("registry.sqlite").display());
    assert_eq!(Registry::connect(&url).unwrap().runs().unwrap().len(), 1);
}

#[test]
fn in_postgresql() {
    let cluster = Postgres::start();
    let url = cluster.url("registry");
    behaves(&Registry::connect(&url).unwrap());
    assert_eq!(Registry::connect(&url).unwrap().runs().unwrap().len(), 1);
}

fn behaves(registry: &Registry) {
    let judged = |run: &str, sharpe, first| Judged {
        run: run.into(),
        market: "x".into(),
        first,
        last: first + 10,
        sharpe,
    };
    for (run, sharpe) in [("a", 0.1), ("b", 0.2), ("a", 0.3), ("c", f64::NAN)] {
        registry.judged(&judged(run, sharpe, 0), UnixNanos(1)).unwrap();
    }
    let earlier = |judged: &Judged| registry.earlier(judged).unwrap();
    let found = earlier(&judged("d", 0.0, 9));
    assert_eq!((found.len(), found[0], found[1]), (3, 0.2, 0.3));
    assert!(found[2].is_nan());
    assert_eq!(earlier(&judged("a", 0.0, 0)).len(), 2);
    assert!(earlier(&judged("d", 0.0, 10)).is_empty(), "windows that only touch");
    assert!(earlier(&Judged { market: "y".into(), ..judged("d", 0.0, 0) }).is_empty());
    let opening = |run: &str, bars: &str| Opening {
        at: 1,
        who: "me".into(),
        why: "to see".into(),
        run: run.into(),
        bars: bars.into(),
    };
    assert_eq!(registry.unseal(&opening("a", "x")).unwrap(), 0);
    assert_eq!(registry.unseal(&opening("b", "x")).unwrap(), 1);
    assert_eq!(registry.unseal(&opening("b", "y")).unwrap(), 0);
    assert_eq!(registry.openings().unwrap().len(), 3);
    let record = RunRecord {
        name: "20200101-a".into(),
        experiment: "a".into(),
        market: "x".into(),
        seed: 7,
        status: Status::Running,
        begun: 5,
        ended: None,
        artefact: None,
        config: serde_json::json!({ "ppo": { "gamma": 0.99 } }),
        metrics: serde_json::json!({}),
        note: String::new(),
        tags: Vec::new(),
    };
    registry.begin(&record).unwrap();
    assert_eq!(registry.runs().unwrap(), std::slice::from_ref(&record));
    let metrics = serde_json::json!({ "sharpe": 1.5 });
    registry.ended(&record.name, Status::Finished, UnixNanos(9), Some("h"), &metrics, "").unwrap();
    for tag in ["good", "bad", "good"] {
        registry.tag(&record.name, tag, true).unwrap();
    }
    registry.tag(&record.name, "bad", false).unwrap();
    let done = RunRecord {
        status: Status::Finished,
        ended: Some(9),
        artefact: Some("h".into()),
        metrics,
        tags: vec!["good".into()],
        ..record.clone()
    };
    assert_eq!(registry.runs().unwrap(), [done]);
    assert!(registry.bury(&record.name, UnixNanos(10)).unwrap());
    assert!(!registry.bury("none", UnixNanos(10)).unwrap());
    assert_eq!(registry.runs().unwrap()[0].status, Status::Deleted);
}

/// Six who open sealed rows at once, in a registry that is not there yet: each follows from the one before.
#[test]
fn openings_at_once_are_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::thread::scope(|scope| {
        for n in 0..6 {
            scope.spawn(move || {
                let opening = Opening {
                    at: n,
                    who: "me".into(),
                    why: "to see".into(),
                    run: n.to_string(),
                    bars: "x".into(),
                };
                Registry::open(path).unwrap().unseal(&opening).unwrap()
            });
        }
    });
    assert_eq!(Registry::open(path).unwrap().openings().unwrap().len(), 6);
}
