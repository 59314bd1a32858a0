//! The id of an order: the same decision gives the same id, so that a process that crashed makes it again.

use std::fmt;

use cambist_core::UnixNanos;
use serde::{Deserialize, Serialize};

/// 48 bits, written as twelve hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderId(u64);

impl OrderId {
    /// Of the decision at the close of the bar at `bar`, the `sequence`-th made there, and its `leg`: a reversal has two. Of ten million
    /// ids two agree with a probability of 0.16 (48 bits); the bridge then refuses the second, for it is another order.
    #[must_use]
    pub fn derive(account: u64, symbol: &str, bar: UnixNanos, sequence: u32, leg: u32) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("cambist 2026 order id");
        hash.update(&account.to_le_bytes());
        hash.update(&(symbol.len() as u64).to_le_bytes());
        hash.update(symbol.as_bytes());
        hash.update(&bar.0.to_le_bytes());
        hash.update(&sequence.to_le_bytes());
        hash.update(&leg.to_le_bytes());
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&hash.finalize().as_bytes()[..6]);
        Self(u64::from_be_bytes(bytes))
    }

    /// Its 48 bits: the low ones of MetaTrader's `magic`.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// What of a `magic` is an order's own; the rest is the strategy's.
    #[must_use]
    pub fn bits_of(magic: u64) -> u64 {
        magic & ((1 << 48) - 1)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

impl From<OrderId> for String {
    fn from(id: OrderId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for OrderId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_hex = text.len() == 12 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let bits = is_hex.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
        bits.map(Self).ok_or_else(|| format!("'{text}' is no id: it has twelve hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_has_one_id_and_another_has_another() {
        let id = |account, symbol, bar, sequence, leg| {
            OrderId::derive(account, symbol, UnixNanos(bar), sequence, leg)
        };
        let own = id(1, "BTCUSD", 60, 0, 0);
        assert_eq!(own, id(1, "BTCUSD", 60, 0, 0));
        for other in [
            id(2, "BTCUSD", 60, 0, 0),
            id(1, "BTCUS", 60, 0, 0),
            id(1, "BTCUSD", 61, 0, 0),
            id(1, "BTCUSD", 60, 1, 0),
            id(1, "BTCUSD", 60, 0, 1),
        ] {
            assert_ne!(own, other);
        }
        assert!(own.bits() < 1 << 48);
        assert_eq!(OrderId::try_from(own.to_string()), Ok(own));
        for bad in ["", "0123456789AB", "0123456789abc", "+123456789ab"] {
            assert!(OrderId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
