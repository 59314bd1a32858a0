//! The registry: every run and what became of it, every judgement ever made, and every opening of sealed rows.
//!
//! SQLite beside the runs, or PostgreSQL by its URL, by the same statements. Judgements and openings are only added; a run that is
//! deleted leaves a tombstone, and its judgements go on counting.

use std::path::Path;

use cambist_core::UnixNanos;
use cambist_store::{Database, Dialect, Patience};
use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::error::RunError;

const JUDGEMENTS: &str = "CREATE TABLE judgement (
    id {id},
    at {int} NOT NULL,
    run TEXT NOT NULL,
    market TEXT NOT NULL,
    first_ns {int} NOT NULL,
    last_ns {int} NOT NULL,
    sharpe {real}
);
CREATE INDEX judgement_market ON judgement (market);
CREATE TABLE sealed_opening (
    id {id},
    at {int} NOT NULL,
    run TEXT NOT NULL,
    bars TEXT NOT NULL
);
";

/// Nothing is taken back, in the words of each.
const STAYS: [&str; 2] = [
    "CREATE TRIGGER judgement_stays BEFORE DELETE ON judgement BEGIN SELECT RAISE(ABORT, 'judgements are kept'); END;
CREATE TRIGGER opening_stays BEFORE DELETE ON sealed_opening BEGIN SELECT RAISE(ABORT, 'openings are kept'); END;",
    "CREATE FUNCTION cambist_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'judgements and openings are kept'; END $$;
CREATE TRIGGER judgement_stays BEFORE DELETE OR TRUNCATE ON judgement EXECUTE FUNCTION cambist_stays();
CREATE TRIGGER opening_stays BEFORE DELETE OR TRUNCATE ON sealed_opening EXECUTE FUNCTION cambist_stays();",
];

const RUNS: &str = "CREATE TABLE run (
    id {id},
    name TEXT NOT NULL UNIQUE,
    experiment TEXT NOT NULL,
    market TEXT NOT NULL,
    seed {int} NOT NULL,
    status TEXT NOT NULL,
    begun {int} NOT NULL,
    ended {int},
    artefact TEXT,
    config TEXT NOT NULL,
    metrics TEXT NOT NULL,
    note TEXT NOT NULL
);
CREATE TABLE run_tag (
    run TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (run, tag)
)";

/// Openings of sealed rows, each holding the hash of the one before.
const UNSEALINGS: &str = "CREATE TABLE unsealing (
    id {id},
    at {int} NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    run TEXT NOT NULL,
    bars TEXT NOT NULL,
    previous TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL UNIQUE
);
";

const UNSEALINGS_STAY: [&str; 2] = [
    "CREATE TRIGGER unsealing_stays BEFORE DELETE ON unsealing BEGIN SELECT RAISE(ABORT, 'openings are kept'); END;
CREATE TRIGGER unsealing_is_final BEFORE UPDATE OF at, who, why, run, bars, previous, hash ON unsealing BEGIN SELECT RAISE(ABORT, 'openings are kept'); END;",
    "CREATE TRIGGER unsealing_stays BEFORE DELETE OR UPDATE OR TRUNCATE ON unsealing EXECUTE FUNCTION cambist_stays();",
];

/// An opening of sealed rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// When, ns.
    pub at: i64,
    /// Who opened them.
    pub who: String,
    /// Why.
    pub why: String,
    /// The run that was judged on them.
    pub run: String,
    /// Which rows: instrument, venue, and from when on.
    pub bars: String,
}

impl Opening {
    /// BLAKE3 over the hash before it and all it says.
    fn hash(&self, previous: &str) -> String {
        // As JSON, so that no text can be read as two fields.
        let said = serde_json::json!([previous, self.at, self.who, self.why, self.run, self.bars]);
        blake3::hash(said.to_string().as_bytes()).to_hex().to_string()
    }
}

/// A judgement to be counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Which run.
    pub run: String,
    /// On which market: where the bars come from, and what is traded.
    pub market: String,
    /// Beginning of the window that was to be judged, whatever became of the account, ns.
    pub first: i64,
    /// End of the window, ns.
    pub last: i64,
    /// Sharpe ratio per bar; NaN when it never traded.
    pub sharpe: f64,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its process works on it, or was killed.
    Running,
    /// It ended at a safe point before it was done.
    Interrupted,
    /// Trained and judged.
    Finished,
    /// It ended with an error.
    Failed,
    /// Its folder is gone; it still counts as tried.
    Deleted,
}

impl Status {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Running, "running"),
        (Self::Interrupted, "interrupted"),
        (Self::Finished, "finished"),
        (Self::Failed, "failed"),
        (Self::Deleted, "deleted"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Self {
        Self::ALL.iter().find(|(_, own)| *own == name).map_or(Self::Failed, |(status, _)| *status)
    }
}

/// A run, as the registry knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRecord {
    /// Its folder's name.
    pub name: String,
    /// `run.name` of its config.
    pub experiment: String,
    /// Where its bars come from, and what is traded.
    pub market: String,
    /// Its seed.
    pub seed: u64,
    /// How it stands.
    pub status: Status,
    /// When it was begun, ns.
    pub begun: i64,
    /// When it ended, ns.
    pub ended: Option<i64>,
    /// Hash of its artefact.
    pub artefact: Option<String>,
    /// Its config, resolved.
    pub config: serde_json::Value,
    /// What it came to: the policy's scorecard.
    pub metrics: serde_json::Value,
    /// Why it failed.
    pub note: String,
    /// What users call it.
    pub tags: Vec<String>,
}

/// The registry of a folder of runs.
#[derive(Debug)]
pub struct Registry {
    database: Database,
}

fn steps(dialect: Dialect) -> [String; 3] {
    let own = match dialect {
        Dialect::Sqlite => 0,
        Dialect::Postgres => 1,
    };
    let (judgements, unsealings) = (STAYS[own], UNSEALINGS_STAY[own]);
    [format!("{JUDGEMENTS}{judgements}"), RUNS.to_owned(), format!("{UNSEALINGS}{unsealings}")]
}

impl Registry {
    /// Opens or creates `registry.sqlite` in `root`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(root: &Path) -> Result<Self, RunError> {
        let [first, second, third] = steps(Dialect::Sqlite);
        Ok(Self { database: Database::open(&root.join("registry.sqlite"), &[&first, &second, &third])? })
    }

    /// Opens or creates the registry at `url`: `sqlite:///…` or `postgresql://…`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn connect(url: &str) -> Result<Self, RunError> {
        let [first, second, third] = steps(Dialect::of(url));
        Ok(Self { database: Database::connect(url, &[&first, &second, &third], Patience::default())? })
    }

    /// Notes that `run` has begun, or goes on.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn begin(&self, run: &RunRecord) -> Result<(), RunError> {
        let query = sqlx::query(
            "INSERT INTO run (name, experiment, market, seed, status, begun, config, metrics, note)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '')
             ON CONFLICT (name) DO UPDATE SET status = excluded.status, ended = NULL, note = ''",
        )
        .bind(&run.name)
        .bind(&run.experiment)
        .bind(&run.market)
        .bind(run.seed as i64)
        .bind(Status::Running.name())
        .bind(run.begun)
        .bind(run.config.to_string())
        .bind("{}");
        self.database.run(query.execute(self.database.pool()))?;
        Ok(())
    }

    /// Notes how `run` ended.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn ended(
        &self,
        run: &str,
        status: Status,
        now: UnixNanos,
        artefact: Option<&str>,
        metrics: &serde_json::Value,
        note: &str,
    ) -> Result<(), RunError> {
        let query = sqlx::query(
            "UPDATE run SET status = $1, ended = $2, artefact = $3, metrics = $4, note = $5 WHERE name = $6",
        )
        .bind(status.name())
        .bind(now.0)
        .bind(artefact)
        .bind(metrics.to_string())
        .bind(note)
        .bind(run);
        self.database.run(query.execute(self.database.pool()))?;
        Ok(())
    }

    /// Leaves a tombstone of `run`; false when it is not known.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn bury(&self, run: &str, now: UnixNanos) -> Result<bool, RunError> {
        let query = sqlx::query("UPDATE run SET status = $1, ended = $2 WHERE name = $3");
        let query = query.bind(Status::Deleted.name()).bind(now.0).bind(run);
        Ok(self.database.run(query.execute(self.database.pool()))?.rows_affected() == 1)
    }

    /// Adds `tag` to `run`, or takes it away.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn tag(&self, run: &str, tag: &str, add: bool) -> Result<(), RunError> {
        let sql = if add {
            "INSERT INTO run_tag (run, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM run_tag WHERE run = $1 AND tag = $2"
        };
        let query = sqlx::query(sql).bind(run).bind(tag);
        self.database.run(query.execute(self.database.pool()))?;
        Ok(())
    }

    /// All runs, oldest first.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn runs(&self) -> Result<Vec<RunRecord>, RunError> {
        let pool = self.database.pool();
        let query = sqlx::query(
            "SELECT name, experiment, market, seed, status, begun, ended, artefact, config, metrics, note FROM run ORDER BY id",
        );
        let rows = self.database.run(query.fetch_all(pool))?;
        let tags = sqlx::query("SELECT run, tag FROM run_tag ORDER BY tag");
        let tags: Vec<(String, String)> =
            self.database.run(tags.fetch_all(pool))?.iter().map(|row| (row.get(0), row.get(1))).collect();
        let json = |text: String| serde_json::from_str(&text).unwrap_or(serde_json::Value::Null);
        let read = |row: &sqlx::any::AnyRow| {
            let name: String = row.get(0);
            RunRecord {
                tags: tags.iter().filter(|(run, _)| *run == name).map(|(_, tag)| tag.clone()).collect(),
                name,
                experiment: row.get(1),
                market: row.get(2),
                seed: row.get::<i64, _>(3) as u64,
                status: Status::named(&row.get::<String, _>(4)),
                begun: row.get(5),
                ended: row.get(6),
                artefact: row.get(7),
                config: json(row.get(8)),
                metrics: json(row.get(9)),
                note: row.get(10),
            }
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Sharpe ratios per bar of the other runs judged on the market in windows that overlap, a run's latest each; NaN for
    /// those that never traded.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn earlier(&self, judged: &Judged) -> Result<Vec<f64>, RunError> {
        let query = sqlx::query(
            "SELECT sharpe FROM judgement WHERE id IN
             (SELECT max(id) FROM judgement WHERE market = $1 AND run <> $2 AND first_ns < $3 AND last_ns > $4 GROUP BY run)
             ORDER BY id",
        )
        .bind(&judged.market)
        .bind(&judged.run)
        .bind(judged.last)
        .bind(judged.first);
        let rows = self.database.run(query.fetch_all(self.database.pool()))?;
        Ok(rows.iter().map(|row| row.get::<Option<f64>, _>(0).unwrap_or(f64::NAN)).collect())
    }

    /// Counts a judgement.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn judged(&self, judged: &Judged, now: UnixNanos) -> Result<(), RunError> {
        let query = sqlx::query(
            "INSERT INTO judgement (at, run, market, first_ns, last_ns, sharpe) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(now.0)
        .bind(&judged.run)
        .bind(&judged.market)
        .bind(judged.first)
        .bind(judged.last)
        .bind(judged.sharpe.is_finite().then_some(judged.sharpe));
        self.database.run(query.execute(self.database.pool()))?;
        Ok(())
    }

    /// Records an opening of sealed rows behind all that came before, and returns how often these were opened before.
    ///
    /// # Errors
    /// When the record before it was changed, or the registry cannot be written: the rows must then stay sealed.
    pub fn unseal(&self, opening: &Opening) -> Result<usize, RunError> {
        // Whoever opens takes the table first, so that no two follow from the same record.
        let lock = match self.database.dialect() {
            Dialect::Sqlite => "UPDATE unsealing SET id = id WHERE 0 = 1",
            Dialect::Postgres => "LOCK TABLE unsealing IN EXCLUSIVE MODE",
        };
        let before = self.database.run(async {
            let mut work = self.database.pool().begin().await?;
            sqlx::query(lock).execute(&mut *work).await?;
            let rows = sqlx::query(OPENINGS).fetch_all(&mut *work).await?;
            let before = match chain(&rows) {
                Ok(before) => before,
                Err(tampered) => return Ok(Err(tampered)),
            };
            let previous = before.last().map_or(String::new(), |(_, hash)| hash.clone());
            let query = sqlx::query(
                "INSERT INTO unsealing (at, who, why, run, bars, previous, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(opening.at)
            .bind(&opening.who)
            .bind(&opening.why)
            .bind(&opening.run)
            .bind(&opening.bars)
            .bind(&previous)
            .bind(opening.hash(&previous));
            query.execute(&mut *work).await?;
            work.commit().await?;
            Ok(Ok(before))
        })??;
        Ok(before.iter().filter(|(own, _)| own.bars == opening.bars).count())
    }

    /// All openings of sealed rows, oldest first, with their hashes.
    ///
    /// # Errors
    /// When the registry cannot be read, or an opening was changed or taken out: the first that does not follow from the one before.
    pub fn openings(&self) -> Result<Vec<(Opening, String)>, RunError> {
        chain(&self.database.run(sqlx::query(OPENINGS).fetch_all(self.database.pool()))?)
    }
}

const OPENINGS: &str = "SELECT at, who, why, run, bars, previous, hash FROM unsealing ORDER BY id";

/// Openings with their hashes, each of which must follow from the one before.
fn chain(rows: &[sqlx::any::AnyRow]) -> Result<Vec<(Opening, String)>, RunError> {
    let mut out: Vec<(Opening, String)> = Vec::with_capacity(rows.len());
    for row in rows {
        let opening =
            Opening { at: row.get(0), who: row.get(1), why: row.get(2), run: row.get(3), bars: row.get(4) };
        let (previous, hash): (String, String) = (row.get(5), row.get(6));
        let before = out.last().map_or("", |(_, hash)| hash.as_str());
        if previous != before || hash != opening.hash(&previous) {
            return Err(RunError::Tampered { number: out.len() + 1, run: opening.run });
        }
        out.push((opening, hash));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every registry does is in `tests/registry.rs`, for both databases.
    #[test]
    fn judgements_and_openings_stay() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).unwrap();
        let judged = Judged { run: "a".into(), market: "x".into(), first: 0, last: 1, sharpe: 0.5 };
        registry.judged(&judged, UnixNanos(1)).unwrap();
        let opening = |at, why: &str| Opening {
            at,
            who: "me".into(),
            why: why.into(),
            run: "a".into(),
            bars: "x from 2024".into(),
        };
        assert_eq!(registry.unseal(&opening(1, "to see")).unwrap(), 0);
        assert_eq!(registry.unseal(&opening(2, "again")).unwrap(), 1);
        assert_eq!(registry.unseal(&opening(3, "and again")).unwrap(), 2);
        let Registry { database } = &registry;
        let run = |sql: &'static str| database.run(sqlx::query(sql).execute(database.pool()));
        for sql in ["DELETE FROM judgement", "DELETE FROM unsealing", "UPDATE unsealing SET why = 'x'"] {
            assert!(run(sql).is_err(), "{sql}");
        }
        // Whoever takes the triggers away leaves traces: a changed row, and one that is missing.
        run("DROP TRIGGER unsealing_stays").unwrap();
        run("DROP TRIGGER unsealing_is_final").unwrap();
        run("UPDATE unsealing SET why = 'nothing' WHERE id = 2").unwrap();
        assert!(matches!(registry.openings(), Err(RunError::Tampered { number: 2, .. })));
        assert!(registry.unseal(&opening(4, "")).is_err());
        run("UPDATE unsealing SET why = 'again' WHERE id = 2").unwrap();
        assert_eq!(registry.openings().unwrap().len(), 3);
        run("DELETE FROM unsealing WHERE id = 2").unwrap();
        assert!(matches!(registry.openings(), Err(RunError::Tampered { number: 2, .. })));
    }
}
