//! What a running thing must write down to go on later as if it had never stopped.
//!
//! States are written in postcard's binary form: every float keeps its bits.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state cannot be kept, or not gone on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The environment has no way to write down its state.
    #[error(
        "this environment cannot be interrupted: it keeps no state (implement BatchedEnv::save_env and load_env)"
    )]
    Unsupported,
    /// It cannot be written down or read.
    #[error("the state of {what} cannot be read: {reason}")]
    Unreadable {
        /// Of what.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// It is of something else.
    #[error("the state is of {found}, here is {here}: {what} differs")]
    Misfit {
        /// What differs.
        what: &'static str,
        /// What the state says.
        found: String,
        /// What is needed.
        here: String,
    },
}

impl StateError {
    /// Refuses `found` where `here` is needed.
    ///
    /// # Errors
    /// When they differ.
    pub fn fits<T: PartialEq + ToString>(what: &'static str, found: T, here: T) -> Result<(), Self> {
        if found == here {
            return Ok(());
        }
        Err(Self::Misfit { what, found: found.to_string(), here: here.to_string() })
    }
}

/// The bytes of `value`, the state of `what`.
///
/// # Errors
/// When it cannot be written down.
pub fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, StateError> {
    postcard::to_allocvec(value).map_err(|e| StateError::Unreadable { what, reason: e.to_string() })
}

/// What [`encode`] wrote, all of it.
///
/// # Errors
/// When `bytes` are not the state of `what`, or more than that.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, StateError> {
    let unreadable = |reason: String| StateError::Unreadable { what, reason };
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|e| unreadable(e.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(unreadable(format!("{} bytes too many", rest.len()))) }
}
