//! Rows of Optuna's tables: what is read of trials, and the changes that storage makes of.

use std::collections::BTreeMap;

use cambist_core::UnixNanos;
use cambist_store::Dialect;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Row};

use crate::sampler::Suggestion;
use crate::schema::typed;
use crate::space::Space;
use crate::trial::{State, Trial};

pub(crate) type Sql<T> = Result<T, sqlx::Error>;

/// Now, as Optuna's tables hold it: UTC, without a zone, to the microsecond.
#[expect(clippy::disallowed_methods, reason = "a stamp of a row; no result depends on it")]
pub(crate) fn stamp() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixNanos(now.as_nanos() as i64).civil().format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// A number, and what kind it is: columns hold finite ones only.
pub(crate) fn split(value: f64) -> (Option<f64>, &'static str) {
    match value {
        x if x.is_nan() => (None, "NAN"),
        f64::INFINITY => (None, "INF_POS"),
        f64::NEG_INFINITY => (None, "INF_NEG"),
        x => (Some(x), "FINITE"),
    }
}

pub(crate) fn joined(number: Option<f64>, kind: &str) -> f64 {
    match kind {
        "INF_POS" => f64::INFINITY,
        "INF_NEG" => f64::NEG_INFINITY,
        "NAN" => f64::NAN,
        _ => number.unwrap_or(f64::NAN),
    }
}

/// Takes the study for this transaction, in both dialects by a write that changes nothing.
pub(crate) async fn lock(work: &mut AnyConnection, study: i64) -> Sql<()> {
    sqlx::query("UPDATE studies SET study_name = study_name WHERE study_id = $1")
        .bind(study)
        .execute(work)
        .await?;
    Ok(())
}

pub(crate) async fn beat(work: &mut AnyConnection, trial: i64) -> Sql<()> {
    let sql = "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES ($1, CURRENT_TIMESTAMP)
               ON CONFLICT (trial_id) DO UPDATE SET heartbeat = CURRENT_TIMESTAMP";
    sqlx::query(sql).bind(trial).execute(work).await?;
    Ok(())
}

pub(crate) async fn note(
    work: &mut AnyConnection,
    table: &str,
    trial: i64,
    key: &str,
    value: &Value,
) -> Sql<()> {
    let sql = format!(
        "INSERT INTO {table} (trial_id, \"key\", value_json) VALUES ($1, $2, $3)
         ON CONFLICT (trial_id, \"key\") DO UPDATE SET value_json = excluded.value_json"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(trial).bind(key).bind(value.to_string());
    query.execute(work).await?;
    Ok(())
}

pub(crate) async fn stale(work: &mut AnyConnection, sql: &str, study: i64, grace_s: f64) -> Sql<Vec<i64>> {
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).bind(study).bind(grace_s);
    query.fetch_all(work).await
}

/// Ends a running trial; false when it is not running.
pub(crate) async fn end(work: &mut AnyConnection, dialect: Dialect, trial: i64, state: State) -> Sql<bool> {
    let (to, time) = (typed(dialect, "$1", "trialstate"), typed(dialect, "$2", "timestamp"));
    let sql = format!(
        "UPDATE trials SET state = {to}, datetime_complete = {time} WHERE trial_id = $3 AND CAST(state AS TEXT) = 'RUNNING'"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(state.name()).bind(stamp()).bind(trial);
    Ok(query.execute(work).await?.rows_affected() == 1)
}

/// As Optuna's `RetryHeartbeatStaleTrialCallback(max_retry=1)`; whether there is a trial more.
pub(crate) async fn try_again(
    work: &mut AnyConnection,
    dialect: Dialect,
    study: i64,
    failed: &Trial,
    number: u64,
) -> Sql<bool> {
    let mut history = failed.retry_history();
    if !history.is_empty() {
        return Ok(false);
    }
    history.push(failed.number);
    let waiting = typed(dialect, "$1", "trialstate");
    let sql =
        format!("INSERT INTO trials (number, study_id, state) VALUES ($2, $3, {waiting}) RETURNING trial_id");
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind("WAITING").bind(number as i64).bind(study);
    let id: i64 = query.fetch_one(&mut *work).await?;
    let copy = "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
                SELECT $1, param_name, param_value, distribution_json FROM trial_params WHERE trial_id = $2";
    let copy = match dialect {
        Dialect::Sqlite => copy.to_owned(),
        Dialect::Postgres => copy.replace("SELECT $1", "SELECT CAST($1 AS INTEGER)"),
    };
    sqlx::query(sqlx::AssertSqlSafe(copy)).bind(id).bind(failed.id).execute(&mut *work).await?;
    for (key, value) in [("failed_trial", json!(failed.number)), ("retry_history", json!(history))] {
        note(work, "trial_system_attributes", id, key, &value).await?;
    }
    Ok(true)
}

/// Values a trial must have: those it was put in the queue with, and those of the trial it tries again.
pub(crate) fn fixed_values(space: &Space, trial: &Trial) -> Suggestion {
    let mut fixed = trial.params.clone();
    if let Some(Value::Object(enqueued)) = trial.system.get("fixed_params") {
        let internal =
            |(name, value): (&String, &Value)| Some((name.clone(), space.get(name)?.domain.internal(value)?));
        fixed.extend(enqueued.iter().filter_map(internal));
    }
    fixed
}

pub(crate) async fn read_trials(connection: &mut AnyConnection, study: i64) -> Sql<Vec<Trial>> {
    let sql = "SELECT trial_id, number, CAST(state AS TEXT), CAST(datetime_start AS TEXT),
               CAST(datetime_complete AS TEXT) FROM trials WHERE study_id = $1 ORDER BY number";
    let rows = sqlx::query(sql).bind(study).fetch_all(&mut *connection).await?;
    let mut trials: Vec<Trial> = rows
        .iter()
        .map(|row| Trial {
            id: row.get(0),
            number: row.get::<Option<i64>, _>(1).unwrap_or(0) as u64,
            state: State::named(row.get::<String, _>(2).as_str()).unwrap_or(State::Fail),
            times: (row.get(3), row.get(4)),
            params: BTreeMap::new(),
            values: Vec::new(),
            intermediate: BTreeMap::new(),
            user: BTreeMap::new(),
            system: BTreeMap::new(),
        })
        .collect();
    let places: BTreeMap<i64, usize> = trials.iter().enumerate().map(|(place, t)| (t.id, place)).collect();
    let of = |table: &str, columns: &str, order: &str| {
        sqlx::AssertSqlSafe(format!(
            "SELECT x.trial_id, {columns} FROM {table} x JOIN trials t ON t.trial_id = x.trial_id
             WHERE t.study_id = $1 ORDER BY {order}"
        ))
    };
    let sql = of("trial_params", "x.param_name, x.param_value", "x.param_id");
    for row in sqlx::query(sql).bind(study).fetch_all(&mut *connection).await? {
        if let Some(&place) = places.get(&row.get::<i64, _>(0)) {
            trials[place].params.insert(row.get(1), row.get(2));
        }
    }
    let sql = of("trial_values", "x.value, CAST(x.value_type AS TEXT)", "x.objective");
    for row in sqlx::query(sql).bind(study).fetch_all(&mut *connection).await? {
        if let Some(&place) = places.get(&row.get::<i64, _>(0)) {
            trials[place].values.push(joined(row.get(1), row.get::<String, _>(2).as_str()));
        }
    }
    let columns = "x.step, x.intermediate_value, CAST(x.intermediate_value_type AS TEXT)";
    let sql = of("trial_intermediate_values", columns, "x.step");
    for row in sqlx::query(sql).bind(study).fetch_all(&mut *connection).await? {
        if let Some(&place) = places.get(&row.get::<i64, _>(0)) {
            let value = joined(row.get(2), row.get::<String, _>(3).as_str());
            trials[place].intermediate.insert(row.get::<i64, _>(1) as u64, value);
        }
    }
    for (table, system) in [("trial_user_attributes", false), ("trial_system_attributes", true)] {
        let sql = of(table, "x.\"key\", x.value_json", "x.\"key\"");
        for row in sqlx::query(sql).bind(study).fetch_all(&mut *connection).await? {
            let Some(&place) = places.get(&row.get::<i64, _>(0)) else { continue };
            let value = serde_json::from_str(row.get::<String, _>(2).as_str()).unwrap_or(Value::Null);
            let trial = &mut trials[place];
            let notes = if system { &mut trial.system } else { &mut trial.user };
            notes.insert(row.get(1), value);
        }
    }
    Ok(trials)
}
