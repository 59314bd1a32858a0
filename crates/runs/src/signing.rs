//! Ed25519 keys (RFC 8032): the secret one encrypted on disk by a passphrase (Argon2id, RFC 9106; XChaCha20-Poly1305), the public one
//! written as hex.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use cambist_store::{FileError, write_atomic};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use serde::{Deserialize, Serialize};

/// A key cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a key file.
    #[error("{path} is no key file: {reason}")]
    Format {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// It is there already.
    #[error(
        "{0} is there already: a key that is written over is lost, and with it what it signed can no longer be revoked"
    )]
    There(String),
    /// The passphrase does not open it.
    #[error("the passphrase does not open {0}")]
    Passphrase(String),
    /// Too short.
    #[error("the passphrase must have at least 12 characters")]
    Short,
    /// Not a public key.
    #[error("'{0}' is no public key: it has 64 hexadecimal digits")]
    Public(String),
    /// The machine gives no randomness, or a cipher failed.
    #[error("the key cannot be made: {0}")]
    Cipher(String),
}

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From its 64 hexadecimal digits.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(hex: &str) -> Result<Self, KeyError> {
        let bytes = unhex(hex.trim()).and_then(|b| <[u8; 32]>::try_from(b).ok());
        let key = bytes.and_then(|b| VerifyingKey::from_bytes(&b).ok());
        key.map(Self).ok_or_else(|| KeyError::Public(hex.to_owned()))
    }

    /// Whether `signature` (hex) is this key's over `message`.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &str) -> bool {
        let bytes = unhex(signature).and_then(|b| <[u8; 64]>::try_from(b).ok());
        bytes.is_some_and(|b| self.0.verify(message, &Signature::from_bytes(&b)).is_ok())
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(self.0.as_bytes()))
    }
}

/// A secret key, in memory only.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Its public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`; hex.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        hex(&self.0.sign(message).to_bytes())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    kind: String,
    public: String,
    /// Argon2id: KiB of memory, passes, lanes.
    argon2id: [u32; 3],
    salt: String,
    nonce: String,
    secret: String,
}

const KIND: &str = "cambist-signing-key-1";
/// As RFC 9106 recommends where memory is scarce: 64 MiB, three passes, four lanes.
const ARGON: [u32; 3] = [64 * 1024, 3, 4];

fn cipher(
    passphrase: &str,
    salt: &[u8],
    [memory, passes, lanes]: [u32; 3],
) -> Result<XChaCha20Poly1305, KeyError> {
    let failed = |e: argon2::Error| KeyError::Cipher(e.to_string());
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(failed)?;
    let mut key = [0u8; 32];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(passphrase.as_bytes(), salt, &mut key).map_err(failed)?;
    XChaCha20Poly1305::new_from_slice(&key).map_err(|e| KeyError::Cipher(e.to_string()))
}

/// 32 random bytes, hex: a token that nobody guesses.
///
/// # Errors
/// When the machine gives no randomness.
pub fn random_hex() -> Result<String, KeyError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| KeyError::Cipher(e.to_string()))?;
    Ok(hex(&bytes))
}

/// Makes a key and writes it, encrypted by `passphrase`, to `path`, readable by its owner alone. Returns the public key.
///
/// # Errors
/// When the passphrase is short, a file is there already, or it cannot be written.
pub fn generate(path: &Path, passphrase: &str) -> Result<PublicKey, KeyError> {
    if passphrase.chars().count() < 12 {
        return Err(KeyError::Short);
    }
    if path.exists() {
        return Err(KeyError::There(path.display().to_string()));
    }
    let (mut seed, mut salt, mut nonce) = ([0u8; 32], [0u8; 16], [0u8; 24]);
    for bytes in [&mut seed[..], &mut salt[..], &mut nonce[..]] {
        getrandom::fill(bytes).map_err(|e| KeyError::Cipher(e.to_string()))?;
    }
    let key = SigningKey::from_bytes(&seed);
    let cipher = cipher(passphrase, &salt, ARGON)?;
    let secret =
        cipher.encrypt(&XNonce::from(nonce), &seed[..]).map_err(|e| KeyError::Cipher(e.to_string()))?;
    let public = PublicKey(key.verifying_key());
    let file = KeyFile {
        kind: KIND.to_owned(),
        public: public.to_string(),
        argon2id: ARGON,
        salt: hex(&salt),
        nonce: hex(&nonce),
        secret: hex(&secret),
    };
    let text = serde_json::to_string_pretty(&file).unwrap_or_default() + "\n";
    write_atomic(path, |out| {
        #[cfg(unix)]
        out.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        std::io::Write::write_all(out, text.as_bytes())
    })?;
    Ok(public)
}

/// Opens the key at `path`.
///
/// # Errors
/// When it is no key file, or the passphrase does not open it.
pub fn open(path: &Path, passphrase: &str) -> Result<SecretKey, KeyError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(FileError::on("read", path))?;
    let format = |reason: String| KeyError::Format { path: shown.clone(), reason };
    let file: KeyFile = serde_json::from_str(&text).map_err(|e| format(e.to_string()))?;
    let [memory, passes, lanes] = file.argon2id;
    if file.kind != KIND || memory > 1 << 21 || passes > 32 || lanes > 64 {
        return Err(format("it is of another kind".to_owned()));
    }
    let field =
        |name: &str, hex: &str| unhex(hex).ok_or_else(|| format(format!("{name} is not hexadecimal")));
    let (salt, nonce) = (field("salt", &file.salt)?, field("nonce", &file.nonce)?);
    let nonce = <[u8; 24]>::try_from(nonce).map_err(|_| format("its nonce is too short".to_owned()))?;
    let secret = field("secret", &file.secret)?;
    let wrong = || KeyError::Passphrase(shown.clone());
    let seed = cipher(passphrase, &salt, file.argon2id)?
        .decrypt(&XNonce::from(nonce), &secret[..])
        .map_err(|_| wrong())?;
    let key = SecretKey(SigningKey::from_bytes(&<[u8; 32]>::try_from(seed).map_err(|_| wrong())?));
    if key.public().to_string() == file.public { Ok(key) } else { Err(wrong()) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signatures_are_the_standards() {
        let seed = unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let key = SecretKey(SigningKey::from_bytes(&seed.try_into().unwrap()));
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public().to_string(), public);
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(key.sign(&[0x72]), signature);
        let public = PublicKey::parse(public).unwrap();
        assert!(public.signed(&[0x72], signature) && !public.signed(&[0x73], signature));
    }

    #[test]
    fn a_key_opens_with_its_passphrase_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.json");
        assert!(matches!(generate(&path, "short"), Err(KeyError::Short)));
        let public = generate(&path, "correct horse battery").unwrap();
        assert!(matches!(generate(&path, "correct horse battery"), Err(KeyError::There(_))));
        assert_eq!(open(&path, "correct horse battery").unwrap().public(), public);
        assert!(matches!(open(&path, "correct horse batter"), Err(KeyError::Passphrase(_))));
        let text = std::fs::read_to_string(&path).unwrap();
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777,
            0o600
        );
        // A bit of the secret turned: not this key any more.
        let at = text.find("\"secret\": \"").unwrap() + 11;
        let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
        let mut changed = text.clone();
        changed.replace_range(at..=at, other);
        std::fs::write(&path, changed).unwrap();
        assert!(matches!(open(&path, "correct horse battery"), Err(KeyError::Passphrase(_))));
    }
}
