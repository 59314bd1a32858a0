//! The registry: every judgement ever made, and every opening of sealed rows. Rows are only added.

use std::path::Path;

use cambist_core::UnixNanos;
use cambist_store::Database;
use sqlx::Row;

use crate::error::RunError;

const MIGRATIONS: &[&str] = &["CREATE TABLE judgement (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    run TEXT NOT NULL,
    market TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    sharpe REAL
);
CREATE INDEX judgement_market ON judgement (market);
CREATE TABLE sealed_opening (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    run TEXT NOT NULL,
    bars TEXT NOT NULL
);
CREATE TRIGGER judgement_stays BEFORE DELETE ON judgement BEGIN SELECT RAISE(ABORT, 'judgements are kept'); END;
CREATE TRIGGER opening_stays BEFORE DELETE ON sealed_opening BEGIN SELECT RAISE(ABORT, 'openings are kept'); END;"];

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

/// The registry of a folder of runs.
#[derive(Debug)]
pub struct Registry {
    database: Database,
}

impl Registry {
    /// Opens or creates `registry.sqlite` in `root`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(root: &Path) -> Result<Self, RunError> {
        Ok(Self { database: Database::open(&root.join("registry.sqlite"), MIGRATIONS)? })
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

    #[test]
    fn every_run_counts_once_with_its_latest_ratio() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).unwrap();
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
        let earlier = registry.earlier(&judged("d", 0.0, 9)).unwrap();
        assert_eq!((earlier.len(), earlier[0], earlier[1]), (3, 0.2, 0.3));
        assert!(earlier[2].is_nan());
        assert_eq!(registry.earlier(&judged("a", 0.0, 0)).unwrap().len(), 2);
        assert!(registry.earlier(&judged("d", 0.0, 10)).unwrap().is_empty(), "windows that only touch");
        assert!(registry.earlier(&Judged { market: "y".into(), ..judged("d", 0.0, 0) }).unwrap().is_empty());
        assert_eq!(registry.open_sealed("a", "x", UnixNanos(1)).unwrap(), 0);
        assert_eq!(registry.open_sealed("b", "x", UnixNanos(2)).unwrap(), 1);
    }
}
