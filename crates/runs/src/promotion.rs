//! Promotions: a signed record that says which artefact passed which gate on what evidence, and until when it may trade.

use std::path::{Path, PathBuf};

use cambist_core::UnixNanos;
use cambist_store::{FileError, create_folder, write_atomic};
use serde::{Deserialize, Serialize};

use crate::signing::{PublicKey, SecretKey};

/// What is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Hash of the artefact that may trade.
    pub artefact: String,
    /// The run that made it.
    pub run: String,
    /// The gate's name, and the BLAKE3 hash of its file.
    pub gate: (String, String),
    /// What was found, gate by gate.
    pub evidence: serde_json::Value,
    /// When it was signed, ns.
    pub issued: i64,
    /// From when on it is void, ns.
    pub expires: i64,
    /// Public key of who signed.
    pub signer: String,
}

/// A record with its signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The record.
    pub record: Record,
    /// Over what it says, hex.
    pub signature: String,
}

/// What takes a promotion back, signed by whoever signed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Signature of the promotion.
    pub promotion: String,
    /// Why.
    pub why: String,
    /// When, ns.
    pub at: i64,
    /// Over the three above, hex.
    pub signature: String,
}

/// Why an artefact may not trade.
#[derive(Debug, thiserror::Error)]
pub enum PromotionError {
    /// A file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a record.
    #[error("{path} is no promotion: {reason}")]
    Format {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Signed by somebody else.
    #[error("it is signed by {0}, whom nobody here trusts")]
    Untrusted(String),
    /// The signature is not of this record.
    #[error("its signature does not verify: the record was changed, or is not {0}'s")]
    Signature(String),
    /// Of another artefact.
    #[error("it is for the artefact {promoted}, this one is {found}")]
    OtherArtefact {
        /// The record's.
        promoted: String,
        /// What is here.
        found: String,
    },
    /// Too late.
    #[error("it was void from {0} on")]
    Expired(String),
    /// Too early.
    #[error("it is dated {0}, which is still to come: one of the two clocks is wrong")]
    NotYet(String),
    /// Taken back.
    #[error("it was taken back on {at}: {why}")]
    Revoked {
        /// When.
        at: String,
        /// Why.
        why: String,
    },
}

impl Record {
    /// What is signed: a line that says what it is, and the record as JSON with its keys in order.
    fn message(&self) -> Vec<u8> {
        // Through a value, whose keys have one order.
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("cambist-promotion-1\n{value}").into_bytes()
    }

    /// Signs it.
    #[must_use]
    pub fn sign(self, key: &SecretKey) -> Signed {
        Signed { signature: key.sign(&self.message()), record: self }
    }
}

impl Revocation {
    fn message(promotion: &str, why: &str, at: i64) -> Vec<u8> {
        format!("cambist-revocation-1\n{promotion}\n{at}\n{why}").into_bytes()
    }

    /// Takes `promotion` back.
    #[must_use]
    pub fn sign(promotion: &Signed, why: &str, now: UnixNanos, key: &SecretKey) -> Self {
        let (promotion, why, at) = (promotion.signature.clone(), why.to_owned(), now.0);
        let signature = key.sign(&Self::message(&promotion, &why, at));
        Self { promotion, why, at, signature }
    }
}

impl Signed {
    /// Whether the artefact `found` may trade at `now`, for one who trusts `trusted` and knows of `revocations`.
    ///
    /// # Errors
    /// Why it may not.
    pub fn verify(
        &self,
        found: &str,
        trusted: &[PublicKey],
        revocations: &[Revocation],
        now: UnixNanos,
    ) -> Result<(), PromotionError> {
        let Record { artefact, issued, expires, signer, .. } = &self.record;
        let key = trusted.iter().find(|key| key.to_string() == *signer);
        let key = key.ok_or_else(|| PromotionError::Untrusted(signer.clone()))?;
        if !key.signed(&self.record.message(), &self.signature) {
            return Err(PromotionError::Signature(signer.clone()));
        }
        if artefact != found {
            let (promoted, found) = (artefact.clone(), found.to_owned());
            return Err(PromotionError::OtherArtefact { promoted, found });
        }
        if now.0 < *issued {
            return Err(PromotionError::NotYet(UnixNanos(*issued).to_string()));
        }
        if now.0 >= *expires {
            return Err(PromotionError::Expired(UnixNanos(*expires).to_string()));
        }
        let own = |r: &&Revocation| {
            let message = Revocation::message(&r.promotion, &r.why, r.at);
            r.promotion == self.signature && key.signed(&message, &r.signature)
        };
        match revocations.iter().find(own) {
            Some(r) => Err(PromotionError::Revoked { at: UnixNanos(r.at).to_string(), why: r.why.clone() }),
            None => Ok(()),
        }
    }
}

/// The promotions beside a folder of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotions {
    folder: PathBuf,
}

impl Promotions {
    /// Those in `runs/promotions`.
    #[must_use]
    pub fn of(runs: &Path) -> Self {
        Self { folder: runs.join("promotions") }
    }

    /// Keeps `signed`, and returns its file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, signed: &Signed) -> Result<PathBuf, PromotionError> {
        let path =
            self.folder.join(format!("{}.{}.promotion.json", signed.record.run, short(&signed.signature)));
        self.write(&path, signed)?;
        Ok(path)
    }

    /// Keeps `revocation`, and returns its file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn revoke(&self, revocation: &Revocation) -> Result<PathBuf, PromotionError> {
        let path = self.folder.join(format!("{}.revocation.json", short(&revocation.promotion)));
        self.write(&path, revocation)?;
        Ok(path)
    }

    fn write<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), PromotionError> {
        create_folder(&self.folder)?;
        let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
        write_atomic(path, |f| std::io::Write::write_all(f, text.as_bytes()))?;
        Ok(())
    }

    /// All promotions, by file name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn list(&self) -> Result<Vec<Signed>, PromotionError> {
        self.read(".promotion.json")
    }

    /// All revocations.
    ///
    /// # Errors
    /// When one cannot be read: what may have been taken back is not to be trusted.
    pub fn revocations(&self) -> Result<Vec<Revocation>, PromotionError> {
        self.read(".revocation.json")
    }

    fn read<T: serde::de::DeserializeOwned>(&self, end: &str) -> Result<Vec<T>, PromotionError> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).collect();
        paths.retain(|p| p.to_string_lossy().ends_with(end));
        paths.sort();
        paths
            .iter()
            .map(|path| {
                let text = std::fs::read_to_string(path).map_err(FileError::on("read", path))?;
                let path = path.display().to_string();
                serde_json::from_str(&text)
                    .map_err(|e| PromotionError::Format { path, reason: e.to_string() })
            })
            .collect()
    }
}

/// Enough of a signature to tell it from others.
#[must_use]
pub fn short(signature: &str) -> &str {
    signature.get(..12).unwrap_or(signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::{generate, open};

    #[test]
    fn a_promotion_holds_for_its_artefact_its_time_and_who_trusts_its_signer() {
        let folder = tempfile::tempdir().unwrap();
        let key = |name: &str| {
            let path = folder.path().join(name);
            generate(&path, "a long enough phrase").unwrap();
            open(&path, "a long enough phrase").unwrap()
        };
        let (mine, other) = (key("mine"), key("other"));
        let record = Record {
            artefact: "aa".into(),
            run: "run".into(),
            gate: ("live".into(), "bb".into()),
            evidence: serde_json::json!({ "x": 0.1 }),
            issued: 10,
            expires: 20,
            signer: mine.public().to_string(),
        };
        let signed = record.sign(&mine);
        let promotions = Promotions::of(folder.path());
        promotions.keep(&signed).unwrap();
        let [kept] = &promotions.list().unwrap()[..] else { panic!("one") };
        let trusted = [mine.public()];
        let at = |signed: &Signed, now, artefact: &str, trusted: &[PublicKey]| {
            signed.verify(artefact, trusted, &promotions.revocations().unwrap(), UnixNanos(now))
        };
        assert!(at(kept, 10, "aa", &trusted).is_ok() && at(kept, 19, "aa", &trusted).is_ok());
        assert!(matches!(at(kept, 20, "aa", &trusted), Err(PromotionError::Expired(_))));
        assert!(matches!(at(kept, 9, "aa", &trusted), Err(PromotionError::NotYet(_))));
        assert!(matches!(at(kept, 15, "ab", &trusted), Err(PromotionError::OtherArtefact { .. })));
        assert!(matches!(at(kept, 15, "aa", &[other.public()]), Err(PromotionError::Untrusted(_))));
        let mut changed = kept.clone();
        changed.record.evidence = serde_json::json!({ "x": 0.2 });
        assert!(matches!(at(&changed, 15, "aa", &trusted), Err(PromotionError::Signature(_))));
        // Somebody else's revocation is none.
        promotions.revoke(&Revocation::sign(kept, "envy", UnixNanos(12), &other)).unwrap();
        assert!(at(kept, 15, "aa", &trusted).is_ok());
        promotions.revoke(&Revocation::sign(kept, "it lost", UnixNanos(13), &mine)).unwrap();
        assert!(matches!(at(kept, 15, "aa", &trusted), Err(PromotionError::Revoked { .. })));
    }
}
