//! Artefacts: all that a decision needs, in one folder that is there whole or not at all.
//!
//! `weights.safetensors` holds the weights, `artefact.json` everything else with a schema number and the hash of the
//! weights. The artefact's own hash is over what it says, so equal runs have equal hashes.

use std::path::{Path, PathBuf};

use cambist_store::{FileError, create_folder, replace_folder, write_atomic};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::RunError;

/// The schema this version writes and reads.
pub const SCHEMA: u64 = 3;

const MANIFEST: &str = "artefact.json";
const WEIGHTS: &str = "weights.safetensors";

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    schema: u64,
    weights_hash: String,
    hash: String,
    content: T,
}

#[derive(Deserialize)]
struct SchemaOnly {
    schema: u64,
}

/// Writes an artefact to `folder` in the place of an earlier one, and returns its hash (BLAKE3, hex).
///
/// # Errors
/// When a file cannot be written; an earlier artefact then stays.
pub fn save<T: Serialize>(folder: &Path, content: &T, weights: &[u8]) -> Result<String, RunError> {
    let unreadable =
        |e: serde_json::Error| RunError::Manifest { path: folder.join(MANIFEST), reason: e.to_string() };
    // Through a value, whose keys have one order, so that what is hashed can be made again from what is read.
    let content = serde_json::to_value(content).map_err(unreadable)?;
    let weights_hash = blake3::hash(weights).to_hex().to_string();
    let hash = artefact_hash(&content.to_string(), &weights_hash);
    let envelope = Envelope { schema: SCHEMA, weights_hash, hash: hash.clone(), content };
    let manifest = serde_json::to_vec_pretty(&envelope).map_err(unreadable)?;
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = folder.with_file_name(name);
    let _ = std::fs::remove_dir_all(&fresh);
    create_folder(&fresh)?;
    write_atomic(&fresh.join(WEIGHTS), |f| std::io::Write::write_all(f, weights))?;
    write_atomic(&fresh.join(MANIFEST), |f| std::io::Write::write_all(f, &manifest))?;
    replace_folder(&fresh, folder)?;
    Ok(hash)
}

/// A loaded artefact.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// Its content.
    pub content: T,
    /// Its hash.
    pub hash: String,
    /// Where its weights lie, checked against their hash.
    pub weights: PathBuf,
}

/// Reads the artefact in `folder`.
///
/// # Errors
/// When it is missing, of another schema, damaged, or lacks a field.
pub fn load<T: DeserializeOwned>(folder: &Path) -> Result<Loaded<T>, RunError> {
    let path = folder.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(FileError::on("read", &path))?;
    let unreadable = |e: serde_json::Error| RunError::Manifest { path: path.clone(), reason: e.to_string() };
    let SchemaOnly { schema } = serde_json::from_str(&text).map_err(unreadable)?;
    if schema != SCHEMA {
        return Err(RunError::Schema { path, found: schema, wanted: SCHEMA });
    }
    let envelope: Envelope<serde_json::Value> = serde_json::from_str(&text).map_err(unreadable)?;
    let weights = folder.join(WEIGHTS);
    let bytes = std::fs::read(&weights).map_err(FileError::on("read", &weights))?;
    let damaged = |what, found, wanted: &str| RunError::Damaged {
        path: folder.to_owned(),
        what,
        found,
        wanted: wanted.to_owned(),
    };
    let found = blake3::hash(&bytes).to_hex().to_string();
    if found != envelope.weights_hash {
        return Err(damaged("the weights file", found, &envelope.weights_hash));
    }
    let found = artefact_hash(&envelope.content.to_string(), &envelope.weights_hash);
    if found != envelope.hash {
        return Err(damaged("the manifest", found, &envelope.hash));
    }
    let content = serde_json::from_value(envelope.content).map_err(unreadable)?;
    Ok(Loaded { content, hash: envelope.hash, weights })
}

fn artefact_hash(content: &str, weights_hash: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in ["cambist-artefact-1\n", content, "\n", weights_hash] {
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn content() -> BTreeMap<String, f64> {
        [("b".to_owned(), 0.1 + 0.2), ("a".to_owned(), 1e-300)].into_iter().collect()
    }

    #[test]
    fn an_artefact_comes_back_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("artefact");
        let hash = save(&place, &content(), b"weights").unwrap();
        assert_eq!(save(&place, &content(), b"weights").unwrap(), hash);
        let loaded: Loaded<BTreeMap<String, f64>> = load(&place).unwrap();
        assert_eq!((loaded.content, loaded.hash), (content(), hash));
        std::fs::write(place.join(WEIGHTS), b"weighty").unwrap();
        let error = load::<BTreeMap<String, f64>>(&place).unwrap_err();
        assert!(matches!(error, RunError::Damaged { what: "the weights file", .. }), "{error}");
        save(&place, &content(), b"weights").unwrap();
        let path = place.join(MANIFEST);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("1e-300", "1e-301")).unwrap();
        let error = load::<BTreeMap<String, f64>>(&place).unwrap_err();
        assert!(matches!(error, RunError::Damaged { what: "the manifest", .. }), "{error}");
        std::fs::write(&path, text.replace("\"schema\": 3", "\"schema\": 7")).unwrap();
        let error = load::<BTreeMap<String, f64>>(&place).unwrap_err();
        assert!(matches!(error, RunError::Schema { found: 7, .. }), "{error}");
    }
}
