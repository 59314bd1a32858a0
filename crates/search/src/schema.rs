//! Optuna's relational schema (its revision v3.2.0.a, which Optuna 3.2 to 5.0 speak), and one table of our own beside it.

use cambist_store::Dialect;

/// The revision in `alembic_version`.
pub(crate) const REVISION: &str = "v3.2.0.a";
/// In `version_info`.
pub(crate) const VERSION: (i64, &str) = (12, "5.0.0");

/// Kinds that PostgreSQL has types of their own for.
const KINDS: [(&str, &str); 4] = [
    ("studydirection", "'NOT_SET', 'MINIMIZE', 'MAXIMIZE'"),
    ("trialstate", "'RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING'"),
    ("trialvaluetype", "'FINITE', 'INF_POS', 'INF_NEG'"),
    ("trialintermediatevaluetype", "'FINITE', 'INF_POS', 'INF_NEG', 'NAN'"),
];

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS studies (
    study_id {key}, study_name VARCHAR(512) NOT NULL, PRIMARY KEY (study_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_study_name ON studies (study_name);
CREATE TABLE IF NOT EXISTS version_info (
    version_info_id INTEGER NOT NULL, schema_version INTEGER, library_version VARCHAR(256),
    PRIMARY KEY (version_info_id), CHECK (version_info_id=1)
);
CREATE TABLE IF NOT EXISTS study_directions (
    study_direction_id {key}, direction {studydirection} NOT NULL, study_id INTEGER NOT NULL,
    objective INTEGER NOT NULL, PRIMARY KEY (study_direction_id), UNIQUE (study_id, objective),
    FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE IF NOT EXISTS study_user_attributes (
    study_user_attribute_id {key}, study_id INTEGER, \"key\" VARCHAR(512), value_json TEXT,
    PRIMARY KEY (study_user_attribute_id), UNIQUE (study_id, \"key\"),
    FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE IF NOT EXISTS study_system_attributes (
    study_system_attribute_id {key}, study_id INTEGER, \"key\" VARCHAR(512), value_json TEXT,
    PRIMARY KEY (study_system_attribute_id), UNIQUE (study_id, \"key\"),
    FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE IF NOT EXISTS trials (
    trial_id {key}, number INTEGER, study_id INTEGER, state {trialstate} NOT NULL, datetime_start {time},
    datetime_complete {time}, PRIMARY KEY (trial_id), FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials (study_id);
CREATE TABLE IF NOT EXISTS trial_user_attributes (
    trial_user_attribute_id {key}, trial_id INTEGER, \"key\" VARCHAR(512), value_json TEXT,
    PRIMARY KEY (trial_user_attribute_id), UNIQUE (trial_id, \"key\"),
    FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE IF NOT EXISTS trial_system_attributes (
    trial_system_attribute_id {key}, trial_id INTEGER, \"key\" VARCHAR(512), value_json TEXT,
    PRIMARY KEY (trial_system_attribute_id), UNIQUE (trial_id, \"key\"),
    FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE IF NOT EXISTS trial_params (
    param_id {key}, trial_id INTEGER, param_name VARCHAR(512), param_value {float}, distribution_json TEXT,
    PRIMARY KEY (param_id), UNIQUE (trial_id, param_name), FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE IF NOT EXISTS trial_values (
    trial_value_id {key}, trial_id INTEGER NOT NULL, objective INTEGER NOT NULL, value {float},
    value_type {trialvaluetype} NOT NULL, PRIMARY KEY (trial_value_id), UNIQUE (trial_id, objective),
    FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE IF NOT EXISTS trial_intermediate_values (
    trial_intermediate_value_id {key}, trial_id INTEGER NOT NULL, step INTEGER NOT NULL,
    intermediate_value {float}, intermediate_value_type {trialintermediatevaluetype} NOT NULL,
    PRIMARY KEY (trial_intermediate_value_id), UNIQUE (trial_id, step),
    FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE IF NOT EXISTS trial_heartbeats (
    trial_heartbeat_id {key}, trial_id INTEGER NOT NULL, heartbeat {time} NOT NULL,
    PRIMARY KEY (trial_heartbeat_id), UNIQUE (trial_id), FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE IF NOT EXISTS cambist_returns (
    trial_id INTEGER PRIMARY KEY, first_ns {int} NOT NULL, last_ns {int} NOT NULL, returns {blob} NOT NULL
)";

/// The statements that make what is not there yet.
pub(crate) fn statements(dialect: Dialect) -> Vec<String> {
    let mut out = Vec::new();
    let mut tables = dialect.words(TABLES);
    let words = match dialect {
        Dialect::Sqlite => ["INTEGER NOT NULL", "DATETIME", "FLOAT"],
        Dialect::Postgres => ["SERIAL NOT NULL", "TIMESTAMP WITHOUT TIME ZONE", "FLOAT(53)"],
    };
    for (name, word) in ["{key}", "{time}", "{float}"].iter().zip(words) {
        tables = tables.replace(name, word);
    }
    for (kind, names) in KINDS {
        let longest = names.split(", ").map(|name| name.len() - 2).max().unwrap_or(0);
        let word = match dialect {
            Dialect::Sqlite => format!("VARCHAR({longest})"),
            Dialect::Postgres => {
                out.push(format!(
                    "DO $$ BEGIN CREATE TYPE {kind} AS ENUM ({names}); EXCEPTION WHEN duplicate_object THEN NULL; END $$"
                ));
                kind.to_owned()
            }
        };
        tables = tables.replace(&format!("{{{kind}}}"), &word);
    }
    out.extend(tables.split(';').map(|statement| statement.trim().to_owned()));
    out
}

/// `place` as a value of `kind`, which PostgreSQL has a type of its own for.
pub(crate) fn typed(dialect: Dialect, place: &str, kind: &str) -> String {
    match dialect {
        Dialect::Sqlite => place.to_owned(),
        Dialect::Postgres => format!("CAST({place} AS {kind})"),
    }
}
