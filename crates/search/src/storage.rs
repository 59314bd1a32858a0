//! Studies and trials in Optuna's own tables, in SQLite or PostgreSQL: Optuna loads them, `optuna-dashboard` shows them, and its
//! workers may join.
//!
//! Every change that takes several statements is one transaction that locks the study first, so that any number of processes
//! may work on it. Heartbeats are the storage's own clock; PostgreSQL's must be set to UTC where Python workers beat too.

use std::collections::BTreeMap;

use cambist_store::{Database, Dialect, Patience};
use serde_json::{Value, json};
use sqlx::Row;

use crate::error::SearchError;
use crate::rows::{Sql, beat, end, fixed_values, lock, note, read_trials, split, stale, stamp, try_again};
use crate::sampler::{SEEN, Suggestion};
use crate::schema::{REVISION, VERSION, statements, typed};
use crate::space::Space;
use crate::trial::{Direction, State, Trial};

/// A storage of studies.
#[derive(Debug)]
pub struct Storage {
    database: Database,
}

/// A study in a storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Its key.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What its objectives are to be.
    pub directions: Vec<Direction>,
}

/// What came of asking for a trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// A trial to work on: running, its fixed values among its parameters.
    Trial(Box<Trial>),
    /// Enough are done or under way; when one fails there will be more.
    Later,
    /// All are done.
    Done,
}

/// A trial's returns on the validation windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Returns {
    /// Beginning and end of the windows, ns: what is on the same index is between the same two.
    pub span: (i64, i64),
    /// One a bar.
    pub values: Vec<f32>,
}

impl Storage {
    /// The storage at `url`; tables that are missing are made.
    ///
    /// # Errors
    /// When it cannot be opened, or is of another version of Optuna.
    pub fn open(url: &str, patience: Patience) -> Result<Self, SearchError> {
        let database = Database::connect(url, &[], patience)?;
        let storage = Self { database };
        let found = storage.run(storage.revision())?;
        match found {
            Some(found) if found == REVISION => {}
            Some(found) => return Err(SearchError::Schema { found, wanted: REVISION }),
            None => storage.make()?,
        }
        // Ours, beside tables that Optuna made.
        let own = statements(storage.dialect()).into_iter().filter(|s| s.contains("cambist_returns"));
        for statement in own {
            storage.run(sqlx::query(sqlx::AssertSqlSafe(statement)).execute(storage.database.pool()))?;
        }
        Ok(storage)
    }

    async fn revision(&self) -> Sql<Option<String>> {
        let there = match self.dialect() {
            Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'",
            Dialect::Postgres => {
                "SELECT count(*) FROM pg_tables WHERE tablename = 'alembic_version' AND schemaname = current_schema()"
            }
        };
        let pool = self.database.pool();
        let there: i64 = sqlx::query_scalar(there).fetch_one(pool).await?;
        if there == 0 {
            return Ok(None);
        }
        let found: Option<(String,)> =
            sqlx::query_as("SELECT version_num FROM alembic_version").fetch_optional(pool).await?;
        Ok(found.map(|(version,)| version))
    }

    fn make(&self) -> Result<(), SearchError> {
        let dialect = self.dialect();
        self.run(async {
            let mut work = self.database.pool().begin().await?;
            if dialect == Dialect::Postgres {
                // Two that make the tables at once would both find none; the number is any that others do not lock.
                sqlx::query("SELECT CAST(pg_advisory_xact_lock(7246) AS TEXT)").execute(&mut *work).await?;
            }
            for statement in statements(dialect) {
                sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *work).await?;
            }
            let info = "INSERT INTO version_info (version_info_id, schema_version, library_version) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
            sqlx::query(info).bind(VERSION.0).bind(VERSION.1).execute(&mut *work).await?;
            let head = "INSERT INTO alembic_version (version_num) VALUES ($1) ON CONFLICT DO NOTHING";
            sqlx::query(head).bind(REVISION).execute(&mut *work).await?;
            work.commit().await
        })
    }

    fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    fn run<T>(&self, work: impl Future<Output = Sql<T>>) -> Result<T, SearchError> {
        Ok(self.database.run(work)?)
    }

    /// Runs a transaction, and again where the connection broke in it: what was committed unheard is found as it is.
    fn again<T>(&self, work: impl AsyncFn() -> Sql<T>) -> Result<T, SearchError> {
        let mut tries = 0;
        loop {
            match self.database.run(work()) {
                Err(error) if error.broke_off() && tries < 3 => tries += 1,
                other => return Ok(other?),
            }
        }
    }

    /// The study called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn study(&self, name: &str) -> Result<Study, SearchError> {
        match self.find(name)? {
            Some(study) => Ok(study),
            None => {
                let query = sqlx::query_scalar("SELECT study_name FROM studies ORDER BY study_id");
                let names: Vec<String> = self.run(query.fetch_all(self.database.pool()))?;
                let known = if names.is_empty() { "none yet".to_owned() } else { names.join(", ") };
                Err(SearchError::NoStudy { wanted: name.to_owned(), known })
            }
        }
    }

    fn find(&self, name: &str) -> Result<Option<Study>, SearchError> {
        let pool = self.database.pool();
        self.run(async {
            let id = sqlx::query_scalar("SELECT study_id FROM studies WHERE study_name = $1").bind(name);
            let id: Option<i64> = id.fetch_optional(pool).await?;
            let Some(id) = id else { return Ok(None) };
            let rows = sqlx::query(
                "SELECT CAST(direction AS TEXT) FROM study_directions WHERE study_id = $1 ORDER BY objective",
            );
            let rows = rows.bind(id).fetch_all(pool).await?;
            let directions = rows
                .iter()
                .map(|row| match row.get::<String, _>(0).as_str() {
                    "MAXIMIZE" => Direction::Maximize,
                    _ => Direction::Minimize,
                })
                .collect();
            Ok(Some(Study { id, name: name.to_owned(), directions }))
        })
    }

    /// The study called `name`, made where it is not there, with `spec` as what it asks. One that is there must ask the same.
    ///
    /// # Errors
    /// When one of that name asks something else.
    pub fn create(&self, name: &str, directions: &[Direction], spec: &Value) -> Result<Study, SearchError> {
        if self.find(name)?.is_none() {
            let direction = typed(self.dialect(), "$1", "studydirection");
            let made = self.run(async {
                let mut work = self.database.pool().begin().await?;
                let insert = "INSERT INTO studies (study_name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING study_id";
                let id: Option<i64> =
                    sqlx::query_scalar(insert).bind(name).fetch_optional(&mut *work).await?;
                let Some(id) = id else { return work.commit().await };
                for (objective, own) in (0i64..).zip(directions) {
                    let sql = format!(
                        "INSERT INTO study_directions (direction, study_id, objective) VALUES ({direction}, $2, $3)"
                    );
                    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(own.name()).bind(id);
                    query.bind(objective).execute(&mut *work).await?;
                }
                let attribute =
                    "INSERT INTO study_user_attributes (study_id, \"key\", value_json) VALUES ($1, $2, $3)";
                let query = sqlx::query(attribute).bind(id).bind(SPEC).bind(spec.to_string());
                query.execute(&mut *work).await?;
                work.commit().await
            });
            made?;
        }
        let study = self.study(name)?;
        let refuse = |reason: String| SearchError::OtherStudy { study: name.to_owned(), reason };
        if study.directions != directions {
            return Err(refuse(format!("its objectives are {:?}, here {directions:?}", study.directions)));
        }
        let kept = self.spec(&study)?;
        let fields = differing(&kept, spec);
        if fields.is_empty() { Ok(study) } else { Err(refuse(fields.join("; "))) }
    }

    /// What `study` asks, as it was made with; null where Optuna made it.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn spec(&self, study: &Study) -> Result<Value, SearchError> {
        self.study_attr(study, SPEC)
    }

    /// A user attribute of `study`; null where it has none.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn study_attr(&self, study: &Study, key: &str) -> Result<Value, SearchError> {
        let query = sqlx::query_scalar(
            "SELECT value_json FROM study_user_attributes WHERE study_id = $1 AND \"key\" = $2",
        );
        let text: Option<String> =
            self.run(query.bind(study.id).bind(key).fetch_optional(self.database.pool()))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null))
    }

    /// Sets a user attribute of `study`.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub fn set_study_attr(&self, study: &Study, key: &str, value: &Value) -> Result<(), SearchError> {
        let query = sqlx::query(
            "INSERT INTO study_user_attributes (study_id, \"key\", value_json) VALUES ($1, $2, $3)
             ON CONFLICT (study_id, \"key\") DO UPDATE SET value_json = excluded.value_json",
        );
        let query = query.bind(study.id).bind(key).bind(value.to_string());
        self.run(query.execute(self.database.pool()))?;
        Ok(())
    }

    /// All trials of `study`, in the order of their numbers.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn trials(&self, study: &Study) -> Result<Vec<Trial>, SearchError> {
        self.again(async || {
            let mut connection = self.database.pool().acquire().await?;
            read_trials(&mut connection, study.id).await
        })
    }

    /// Asks for a trial: one that waits, or a new one while fewer than `most` are done or under way and there is `more` to try. `suggest` gets all trials, the
    /// new number and the fixed values; what it returns is written down at once.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub fn ask(
        &self,
        study: &Study,
        space: &Space,
        most: u64,
        more: &dyn Fn(&[Trial]) -> bool,
        suggest: &dyn Fn(&[Trial], u64, &Suggestion) -> Suggestion,
    ) -> Result<Ask, SearchError> {
        let (dialect, now) = (self.dialect(), stamp());
        self.again(async || {
            let mut work = self.database.pool().begin().await?;
            lock(&mut work, study.id).await?;
            let trials = read_trials(&mut work, study.id).await?;
            let waiting = trials.iter().find(|t| t.state == State::Waiting).cloned();
            let running = typed(dialect, "$1", "trialstate");
            let time = typed(dialect, "$2", "timestamp");
            let (mut trial, fixed) = match waiting {
                Some(trial) => {
                    let sql = format!("UPDATE trials SET state = {running}, datetime_start = {time} WHERE trial_id = $3");
                    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind("RUNNING").bind(&now).bind(trial.id);
                    query.execute(&mut *work).await?;
                    let fixed = fixed_values(space, &trial);
                    (Trial { state: State::Running, ..trial }, fixed)
                }
                None => {
                    let done = trials.iter().filter(|t| t.state.counts()).count() as u64;
                    let under_way = trials.iter().filter(|t| t.state == State::Running).count() as u64;
                    let enough = !more(&trials);
                    if enough && under_way > 0 {
                        return Ok(Ask::Later);
                    }
                    if done >= most || enough {
                        return Ok(Ask::Done);
                    }
                    if done + under_way >= most {
                        return Ok(Ask::Later);
                    }
                    let number = trials.len() as u64;
                    let sql = format!(
                        "INSERT INTO trials (number, study_id, state, datetime_start) VALUES ($3, $4, {running}, {time}) RETURNING trial_id"
                    );
                    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind("RUNNING").bind(&now);
                    let id: i64 = query.bind(number as i64).bind(study.id).fetch_one(&mut *work).await?;
                    let trial = Trial {
                        id,
                        number,
                        state: State::Running,
                        times: (Some(now.clone()), None),
                        params: BTreeMap::new(),
                        values: Vec::new(),
                        intermediate: BTreeMap::new(),
                        user: BTreeMap::new(),
                        system: BTreeMap::new(),
                    };
                    (trial, Suggestion::new())
                }
            };
            let others: Vec<Trial> = trials.into_iter().filter(|t| t.id != trial.id).collect();
            trial.params = suggest(&others, trial.number, &fixed);
            for (name, value) in &trial.params {
                let Some(parameter) = space.get(name) else { continue };
                let sql = "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES ($1, $2, $3, $4) ON CONFLICT (trial_id, param_name) DO NOTHING";
                let distribution = parameter.domain.distribution().to_string();
                let query = sqlx::query(sql).bind(trial.id).bind(name).bind(*value).bind(distribution);
                query.execute(&mut *work).await?;
            }
            let seen = others.iter().filter(|t| t.state == State::Complete).count();
            note(&mut work, "trial_system_attributes", trial.id, SEEN, &json!(seen)).await?;
            beat(&mut work, trial.id).await?;
            work.commit().await?;
            Ok(Ask::Trial(Box::new(trial)))
        })
    }

    /// Notes `value` of `trial` at `step`.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub fn report(&self, trial: &Trial, step: u64, value: f64) -> Result<(), SearchError> {
        let (number, kind) = split(value);
        let kind_of = typed(self.dialect(), "$4", "trialintermediatevaluetype");
        let sql = format!(
            "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
             VALUES ($1, $2, $3, {kind_of}) ON CONFLICT (trial_id, step) DO UPDATE SET
             intermediate_value = excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(trial.id).bind(step as i64).bind(number);
        self.run(query.bind(kind).execute(self.database.pool()))?;
        Ok(())
    }

    /// Notes what users want to know of `trial`.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub fn note(&self, trial: &Trial, key: &str, value: &Value) -> Result<(), SearchError> {
        self.again(async || {
            let mut connection = self.database.pool().acquire().await?;
            note(&mut connection, "trial_user_attributes", trial.id, key, value).await
        })
    }

    /// Ends `trial` in `state`, with `values` and `constraints` where it has them, and its returns.
    ///
    /// # Errors
    /// When another process has ended it, or the storage cannot be written.
    pub fn tell(
        &self,
        study: &Study,
        trial: &Trial,
        state: State,
        values: &[f64],
        constraints: &[f64],
        returns: Option<&Returns>,
    ) -> Result<(), SearchError> {
        let dialect = self.dialect();
        let told = self.again(async || {
            let mut work = self.database.pool().begin().await?;
            lock(&mut work, study.id).await?;
            if !end(&mut work, dialect, trial.id, state).await? {
                return Ok(false);
            }
            for (objective, value) in (0i64..).zip(values) {
                let (number, kind) = split(*value);
                let kind_of = typed(dialect, "$4", "trialvaluetype");
                let sql = format!("INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES ($1, $2, $3, {kind_of})");
                let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(trial.id).bind(objective).bind(number);
                query.bind(kind).execute(&mut *work).await?;
            }
            if !constraints.is_empty() {
                note(&mut work, "trial_system_attributes", trial.id, "constraints", &json!(constraints)).await?;
            }
            if let Some(Returns { span, values }) = returns {
                let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                let sql = "INSERT INTO cambist_returns (trial_id, first_ns, last_ns, returns) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
                let query = sqlx::query(sql).bind(trial.id).bind(span.0).bind(span.1).bind(bytes);
                query.execute(&mut *work).await?;
            }
            work.commit().await?;
            Ok(true)
        })?;
        if told { Ok(()) } else { Err(SearchError::Gone(trial.number as i64)) }
    }

    /// The returns of the trials of `study`, by number.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn returns(&self, study: &Study) -> Result<BTreeMap<u64, Returns>, SearchError> {
        let query = sqlx::query(
            "SELECT t.number, r.first_ns, r.last_ns, r.returns FROM cambist_returns r
             JOIN trials t ON t.trial_id = r.trial_id WHERE t.study_id = $1",
        );
        let rows = self.run(query.bind(study.id).fetch_all(self.database.pool()))?;
        let read = |row: &sqlx::any::AnyRow| {
            let bytes: Vec<u8> = row.get(3);
            let (floats, _) = bytes.as_chunks::<4>();
            let values = floats.iter().map(|b| f32::from_le_bytes(*b)).collect();
            (row.get::<i64, _>(0) as u64, Returns { span: (row.get(1), row.get(2)), values })
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Says that `trial`'s worker lives; false when another process has ended the trial.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub fn beat(&self, trial_id: i64) -> Result<bool, SearchError> {
        self.again(async || {
            let mut work = self.database.pool().begin().await?;
            beat(&mut work, trial_id).await?;
            let query = sqlx::query_scalar("SELECT CAST(state AS TEXT) FROM trials WHERE trial_id = $1");
            let state: Option<String> = query.bind(trial_id).fetch_optional(&mut *work).await?;
            work.commit().await?;
            Ok(state.as_deref() == Some("RUNNING"))
        })
    }

    /// Fails trials whose worker has not been heard of for `grace_s` seconds, and lets each be tried again, once: a trial that waits, with
    /// the same values and the failed ones' numbers in `retry_history`. Returns the numbers that failed.
    ///
    /// # Errors
    /// When the storage cannot be written.
    pub fn fail_stale(&self, study: &Study, grace_s: f64) -> Result<Vec<u64>, SearchError> {
        let dialect = self.dialect();
        let age = match dialect {
            Dialect::Sqlite => "CAST((julianday('now') - julianday(h.heartbeat)) * 86400.0 AS REAL)",
            Dialect::Postgres => {
                "CAST(EXTRACT(EPOCH FROM (CAST(now() AS TIMESTAMP) - h.heartbeat)) AS DOUBLE PRECISION)"
            }
        };
        let sql = format!(
            "SELECT t.trial_id FROM trials t JOIN trial_heartbeats h ON h.trial_id = t.trial_id
             WHERE t.study_id = $1 AND CAST(t.state AS TEXT) = 'RUNNING' AND {age} > $2"
        );
        self.again(async || {
            let mut connection = self.database.pool().acquire().await?;
            if stale(&mut connection, &sql, study.id, grace_s).await?.is_empty() {
                return Ok(Vec::new());
            }
            drop(connection);
            let mut work = self.database.pool().begin().await?;
            lock(&mut work, study.id).await?;
            // Again, behind the lock: another may have failed them.
            let ids = stale(&mut work, &sql, study.id, grace_s).await?;
            let trials = read_trials(&mut work, study.id).await?;
            let (mut failed, mut number) = (Vec::new(), trials.len() as u64);
            for trial in trials.iter().filter(|t| ids.contains(&t.id)) {
                if end(&mut work, dialect, trial.id, State::Fail).await? {
                    failed.push(trial.number);
                    number += u64::from(try_again(&mut work, dialect, study.id, trial, number).await?);
                }
            }
            work.commit().await?;
            Ok(failed)
        })
    }

    /// Gives `trial` back: it waits for another worker, nothing lost and nothing counted.
    ///
    /// # Errors
    /// When another process has ended it, or the storage cannot be written.
    pub fn release(&self, study: &Study, trial: &Trial) -> Result<(), SearchError> {
        let dialect = self.dialect();
        let released = self.again(async || {
            let mut work = self.database.pool().begin().await?;
            lock(&mut work, study.id).await?;
            let waiting = typed(dialect, "$1", "trialstate");
            let sql = format!("UPDATE trials SET state = {waiting}, datetime_start = NULL WHERE trial_id = $2 AND CAST(state AS TEXT) = 'RUNNING'");
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind("WAITING").bind(trial.id);
            if query.execute(&mut *work).await?.rows_affected() == 0 {
                return Ok(false);
            }
            for table in ["trial_heartbeats", "trial_intermediate_values"] {
                let sql = format!("DELETE FROM {table} WHERE trial_id = $1");
                sqlx::query(sqlx::AssertSqlSafe(sql)).bind(trial.id).execute(&mut *work).await?;
            }
            work.commit().await?;
            Ok(true)
        })?;
        if released { Ok(()) } else { Err(SearchError::Gone(trial.number as i64)) }
    }
}

/// The user attribute of a study that says what it asks.
const SPEC: &str = "cambist:spec";

/// Names of what differs between two lists of things that have names.
fn named(kept: &Value, here: &Value) -> Vec<String> {
    fn list(value: &Value) -> Option<&Vec<Value>> {
        match value {
            Value::Object(one) if one.len() == 1 => one.values().next()?.as_array(),
            value => value.as_array(),
        }
    }
    let (Some(kept), Some(here)) = (list(kept), list(here)) else { return Vec::new() };
    let name = |one: &Value| one.get("name").and_then(Value::as_str).map(str::to_owned);
    let differs = |one: &&Value, others: &[Value]| !others.contains(one);
    let own = kept.iter().filter(|one| differs(one, here)).filter_map(name);
    let names: std::collections::BTreeSet<String> =
        own.chain(here.iter().filter(|one| differs(one, kept)).filter_map(name)).collect();
    names.into_iter().collect()
}

/// Fields that differ.
fn differing(kept: &Value, here: &Value) -> Vec<String> {
    match (kept, here) {
        (Value::Object(kept), Value::Object(here)) => {
            let names: std::collections::BTreeSet<&String> = kept.keys().chain(here.keys()).collect();
            let null = &Value::Null;
            names
                .into_iter()
                .filter(|name| kept.get(*name).unwrap_or(null) != here.get(*name).unwrap_or(null))
                .map(|name| {
                    let (a, b) = (kept.get(name).unwrap_or(null), here.get(name).unwrap_or(null));
                    let parameters = named(a, b);
                    if parameters.is_empty() {
                        format!("{name} is {a} there and {b} here")
                    } else {
                        format!("{name} differs in {}", parameters.join(", "))
                    }
                })
                .collect()
        }
        _ if kept == here => Vec::new(),
        _ => vec!["it was not made by cambist sweep".to_owned()],
    }
}
