//! Defaults, file, `--set`: laid over one another, with each value's origin.

use std::path::Path;

use serde::Serialize;
use serde_json::Value as Json;
use toml::{Table, Value};

use super::ConfigError;
use super::raw::RawConfig;

/// A config with its layers.
#[derive(Debug, Clone)]
pub struct Layers {
    path: String,
    file: Table,
    set: Table,
}

/// A field as `cambist config explain` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// `section.name`.
    pub field: String,
    /// Its value, as TOML.
    pub value: String,
    /// `default`, the file, or `--set`.
    pub origin: String,
    /// Its unit, or nothing.
    pub unit: String,
    /// What it means.
    pub meaning: String,
}

/// The JSON Schema of a config.
#[must_use]
pub fn schema() -> Json {
    schemars::schema_for!(RawConfig).to_value()
}

impl Layers {
    /// The file at `path`, or the built-in config, with `sets` (`key=value`) over it.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, or a name in it or in `sets` is unknown.
    pub fn read(path: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        let (name, text) = match path {
            None => ("the built-in config".to_owned(), super::BUILT_IN.to_owned()),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|e| ConfigError::Unreadable { path: name.clone(), reason: e.to_string() })?;
                (name, text)
            }
        };
        Self::parse(&name, &text, sets)
    }

    /// The same from a text.
    ///
    /// # Errors
    /// As [`Layers::read`].
    pub fn parse(path: &str, text: &str, sets: &[String]) -> Result<Self, ConfigError> {
        let syntax = |path: &str, e: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            reason: e.to_string(),
        };
        let file: Table = plain(text.parse().map_err(|e| syntax(path, e))?);
        let mut set = Table::new();
        for pair in sets {
            let (key, value) = pair.split_once('=').ok_or_else(|| ConfigError::Set(pair.clone()))?;
            let line = format!("{} = {}", key.trim(), value.trim());
            // A bare word is a string.
            let quoted = format!("{} = {}", key.trim(), Value::String(value.trim().to_owned()));
            let parsed: Table = line.parse().or_else(|_| quoted.parse()).map_err(|e| syntax("--set", e))?;
            lay(&mut set, plain(parsed));
        }
        let known = known_fields();
        check_names(path, &file, &known)?;
        check_names("--set", &set, &known)?;
        Ok(Self { path: path.to_owned(), file, set })
    }

    /// The reference PPO work, with `sets` over it.
    ///
    /// # Errors
    /// As [`Layers::read`].
    pub fn reference_ppo(sets: &[String]) -> Result<Self, ConfigError> {
        Self::parse("the reference PPO work", super::REFERENCE_PPO, sets)
    }

    /// A config that was resolved before.
    ///
    /// # Errors
    /// As [`Layers::read`].
    pub fn of(raw: &RawConfig) -> Result<Self, ConfigError> {
        let path = "the resolved config".to_owned();
        let text = toml::to_string(raw)
            .map_err(|e| ConfigError::Type { path: path.clone(), reason: e.to_string() })?;
        Self::parse(&path, &text, &[])
    }

    /// These layers with further `sets` over them.
    ///
    /// # Errors
    /// As [`Layers::read`].
    pub fn with(&self, sets: &[&str]) -> Result<Self, ConfigError> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let over = Self::parse(&self.path, "", &sets)?;
        let mut out = self.clone();
        lay(&mut out.set, over.set);
        Ok(out)
    }

    /// The raw config.
    ///
    /// # Errors
    /// When a field is missing or of the wrong type.
    pub fn resolve(&self) -> Result<RawConfig, ConfigError> {
        let mut merged = self.file.clone();
        lay(&mut merged, self.set.clone());
        for (section, fields) in &merged {
            let bad = |v: &Value| matches!(v, Value::Float(x) if !x.is_finite());
            let mut fields = fields.as_table().into_iter().flatten();
            if let Some((name, value)) = fields.find(|(_, value)| bad(value)) {
                return Err(
                    self.type_error(&format!("{section}.{name} is {value}: it must be a finite number"))
                );
            }
        }
        let text = toml::to_string(&merged).map_err(|e| self.type_error(&e))?;
        toml::from_str(&text).map_err(|e| self.type_error(&e))
    }

    fn type_error(&self, error: &dyn std::fmt::Display) -> ConfigError {
        ConfigError::Type { path: self.path.clone(), reason: error.to_string().trim().to_owned() }
    }

    /// Every field with value, origin, unit and meaning.
    ///
    /// # Errors
    /// When the config does not resolve.
    pub fn explain(&self) -> Result<Vec<Explained>, ConfigError> {
        let raw = self.resolve()?;
        let resolved = Table::try_from(&raw).map_err(|e| self.type_error(&e))?;
        let origin = |field: &str| {
            let within = |table: &Table| get(table, field).is_some();
            if within(&self.set) {
                "--set".to_owned()
            } else if within(&self.file) {
                self.path.clone()
            } else {
                "default".to_owned()
            }
        };
        // A section that may be left out, and is, explains nothing.
        let there = |known: &Known| known.field.split('.').next().is_some_and(|s| resolved.contains_key(s));
        let explained = known_fields().into_iter().filter(there).map(|known| Explained {
            value: get(&resolved, &known.field).map_or("left out".to_owned(), ToString::to_string),
            origin: origin(&known.field),
            unit: known.unit,
            meaning: known.meaning,
            field: known.field,
        });
        Ok(explained.collect())
    }
}

/// Fields that are called otherwise now.
const MOVED: [(&str, &str); 1] =
    [("broker.rollover_minute", "broker.server_offset_minutes' with 'broker.daylight_saving")];

struct Known {
    field: String,
    unit: String,
    meaning: String,
}

/// Every field, from the schema, which has the doc comments.
fn known_fields() -> Vec<Known> {
    let schema = schema();
    let text = |node: &Json, key: &str| node[key].as_str().unwrap_or("").replace('\n', " ");
    let mut fields = Vec::new();
    for (section, node) in schema["properties"].as_object().into_iter().flatten() {
        let reference = node["$ref"].as_str().unwrap_or("");
        let definition = &schema["$defs"][reference.rsplit('/').next().unwrap_or("")];
        for (name, field) in definition["properties"].as_object().into_iter().flatten() {
            fields.push(Known {
                field: format!("{section}.{name}"),
                unit: text(field, "unit"),
                meaning: text(field, "description"),
            });
        }
    }
    fields
}

fn get<'a>(table: &'a Table, field: &str) -> Option<&'a Value> {
    let (section, name) = field.split_once('.')?;
    table.get(section)?.as_table()?.get(name)
}

/// Bare TOML dates as the texts that the fields are.
fn plain(table: Table) -> Table {
    let plain_value = |value| match value {
        Value::Datetime(at) => Value::String(at.to_string()),
        Value::Table(inner) => Value::Table(plain(inner)),
        other => other,
    };
    table.into_iter().map(|(key, value)| (key, plain_value(value))).collect()
}

/// `over` over `under`, table by table.
fn lay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn check_names(path: &str, table: &Table, known: &[Known]) -> Result<(), ConfigError> {
    for (section, value) in table {
        let names: Vec<String> = match value {
            Value::Table(fields) => fields.keys().map(|name| format!("{section}.{name}")).collect(),
            _ => vec![section.clone()],
        };
        let is_section = known.iter().any(|k| k.field.starts_with(&format!("{section}.")));
        let bad = names.into_iter().find(|name| !known.iter().any(|k| k.field == *name));
        let bad = bad.or_else(|| (!is_section).then(|| section.clone()));
        if let Some(field) = bad {
            let distance = |k: &&Known| strsim::damerau_levenshtein(&k.field, &field);
            let moved = MOVED.iter().find(|(from, _)| *from == field).map(|&(_, to)| to.to_owned());
            let nearest = known.iter().min_by_key(distance).map(|k| k.field.clone());
            let nearest = moved.or(nearest).unwrap_or_default();
            return Err(ConfigError::Unknown { path: path.to_owned(), field, nearest });
        }
    }
    Ok(())
}
