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

fn steps(dialect: Dialect) -> [String; 2] {
    let stays = match dialect {
        Dialect::Sqlite => STAYS[0],
        Dialect::Postgres => STAYS[1],
    };
    [format!("{JUDGEMENTS}{stays}"), RUNS.to_owned()]
}

impl Registry {
    /// Opens or creates `registry.sqlite` in `root`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(root: &Path) -> Result<Self, RunError> {
        let [first, second] = steps(Dialect::Sqlite);
        Ok(Self { database: Database::open(&root.join("registry.sqlite"), &[&first, &second])? })
    }

    /// Opens or creates the registry at `url`: `sqlite:///…` or `postgresql://…`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn connect(url: &str) -> Result<Self, RunError> {
        let [first, second] = steps(Dialect::of(url));
        Ok(Self { database: Database::connect(url, &[&first, &second], Patience::default())? })
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

    /// Records that `run` opened the sealed rows `bars`, and returns how often they were opened before.
    ///
    /// # Errors
    /// When the registry cannot be written: the rows must then stay sealed.
    pub fn open_sealed(&self, run: &str, bars: &str, now: UnixNanos) -> Result<i64, RunError> {
        let pool = self.database.pool();
        let count = sqlx::query_scalar("SELECT count(*) FROM sealed_opening WHERE bars = $1").bind(bars);
        let before = self.database.run(count.fetch_one(pool))?;
        let insert = sqlx::query("INSERT INTO sealed_opening (at, run, bars) VALUES ($1, $2, $3)");
        self.database.run(insert.bind(now.0).bind(run).bind(bars).execute(pool))?;
        Ok(before)
    }
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
        registry.open_sealed("a", "x", UnixNanos(1)).unwrap();
        let Registry { database } = &registry;
        assert!(database.run(sqlx::query("DELETE FROM judgement").execute(database.pool())).is_err());
        assert!(database.run(sqlx::query("DELETE FROM sealed_opening").execute(database.pool())).is_err());
    }
}
