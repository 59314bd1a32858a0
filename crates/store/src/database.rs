//! The SQL pool: SQLite in write-ahead mode, migrated on opening, driven from plain blocking code.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::files::{FileError, create_folder};

/// What failed on which database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The folder cannot be made.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// The database cannot be opened or brought to this version's schema.
    #[error("cannot open the database {}: {source}", path.display())]
    Open {
        /// The database's file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed.
    #[error("the database {} refused a statement: {source}", path.display())]
    Statement {
        /// The database's file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
}

/// One SQLite database.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    pool: SqlitePool,
    runtime: tokio::runtime::Runtime,
}

impl Database {
    /// Opens or creates the database at `path` and applies those of `migrations` (in order, each once) it lacks.
    ///
    /// # Errors
    /// When the file cannot be opened, is not a database, or was written by a later version.
    pub fn open(path: &Path, migrations: &[&'static str]) -> Result<Self, DatabaseError> {
        if let Some(parent) = path.parent() {
            create_folder(parent)?;
        }
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| DatabaseError::Open {
            path: path.to_owned(),
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| failed(Box::new(e)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let steps = (1..).zip(migrations).map(|(version, &sql)| {
            let description = format!("step {version}").into();
            Migration::new(version, description, MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
        });
        let migrator = Migrator::with_migrations(steps.collect());
        let pool = runtime
            .block_on(SqlitePoolOptions::new().max_connections(1).connect_with(options))
            .map_err(|e| failed(Box::new(e)))?;
        runtime.block_on(migrator.run(&pool)).map_err(|e| failed(Box::new(e)))?;
        Ok(Self { path: path.to_owned(), pool, runtime })
    }

    /// The pool, to build statements on.
    #[must_use]
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Runs one database future to its end.
    ///
    /// # Errors
    /// The statement's error, with the database's path.
    pub fn run<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DatabaseError> {
        self.runtime
            .block_on(work)
            .map_err(|source| DatabaseError::Statement { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_once_and_later_ones_are_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        let first = "CREATE TABLE a (n INTEGER NOT NULL)";
        {
            let db = Database::open(&path, &[first]).unwrap();
            db.run(sqlx::query("INSERT INTO a VALUES (7)").execute(db.pool())).unwrap();
        }
        let db = Database::open(&path, &[first, "CREATE TABLE b (n INTEGER NOT NULL)"]).unwrap();
        let n: i64 = db.run(sqlx::query_scalar("SELECT sum(n) FROM a").fetch_one(db.pool())).unwrap();
        assert_eq!(n, 7);
        assert!(db.run(sqlx::query("SELECT * FROM b").execute(db.pool())).is_ok());
    }

    #[test]
    fn a_file_that_is_no_database_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        std::fs::write(&path, vec![b'x'; 4096]).unwrap();
        let error = Database::open(&path, &[]).unwrap_err().to_string();
        assert!(error.contains("x.sqlite"), "{error}");
    }
}
