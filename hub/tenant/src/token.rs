//! Access tokens: `trib_<id>_<43 base64url>`, of which only the SHA-256 of the whole text is kept.
//!
//! Parts: [`Secret`] (a new token's text, shown once), [`Presented`] (a token in a request),
//! [`TokenHash`], [`Role`], [`TokenRecord`] (what is stored).
//! Promises: 256 bits of entropy; hashes are compared in constant time; neither text nor hash of a
//! presented token appears in Debug output. Must not do: draw entropy (the caller brings 32 bytes from
//! a cryptographic source, not from `proto_seam::Entropy`).

use std::fmt;
use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto_model::id::ID_BYTES_MAX;
use proto_model::{TenantId, Timestamp, TokenId};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

const PREFIX: &str = "trib_";
/// 256 bits in base64url without padding.
const SECRET_BYTES: usize = 43;
/// Longest token.
pub const TOKEN_BYTES_MAX: usize = PREFIX.len() + ID_BYTES_MAX + 1 + SECRET_BYTES;

/// A new token's text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes the token `id` out of 256 random bits.
    #[must_use]
    pub fn from_entropy(id: &TokenId, entropy: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(entropy)))
    }

    /// The text: print it once, store it never.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored in its place.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A token as a request brings it: its public id, and the hash of its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// Which token it claims to be.
    pub id: TokenId,
    hash: TokenHash,
}

impl Presented {
    /// Reads a token's text; `None` when it has not the form of one.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let body = std::str::from_utf8(text).ok()?.strip_prefix(PREFIX)?;
        // The id has no underscore, the secret may have some.
        let (id, secret) = body.split_once('_')?;
        let is_base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if secret.len() != SECRET_BYTES || !secret.bytes().all(is_base64url) {
            return None;
        }
        Some(Self { id: TokenId::new(id).ok()?, hash: TokenHash::of(text) })
    }

    /// Whether this is the token with that hash; takes the same time whatever differs.
    #[must_use]
    pub fn matches(&self, stored: &TokenHash) -> bool {
        let differing = self.hash.0.iter().zip(&stored.0).fold(0, |all, (a, b)| all | black_box(a ^ b));
        black_box(differing) == 0
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("id", &self.id).finish_non_exhaustive()
    }
}

/// SHA-256 of a token's text, written as 64 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of `text`.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// A hash that no text has in practice: what an unknown token is compared with, for equal timing.
    pub(crate) const NONE: Self = Self([0; 32]);

    fn from_hex(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl Visitor<'_> for Hex {
            type Value = TokenHash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hex digits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TokenHash, E> {
                // The text is not repeated: someone may have put the token itself here.
                TokenHash::from_hex(text).ok_or_else(|| E::custom("the hash is not 64 lower case hex digits; write the sha256 of the whole token"))
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Queries of its tenants; no push.
    Reader,
    /// Pushes to its tenants; no query.
    Writer,
    /// The admin pages; no tenant's data.
    Operator,
}

impl Role {
    /// As written in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = RoleFault;
    fn from_str(text: &str) -> Result<Self, RoleFault> {
        [Self::Reader, Self::Writer, Self::Operator].into_iter().find(|role| role.as_str() == text).ok_or(RoleFault)
    }
}

/// A text that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no role; use reader, writer or operator")]
pub struct RoleFault;

/// A token as it is kept: in tenants.yaml, and as JSON in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// Its public name.
    pub id: TokenId,
    /// The hash of its text.
    pub sha256: TokenHash,
    /// What it may do.
    pub role: Role,
    /// For whom; empty for an operator.
    #[serde(default)]
    pub tenants: Vec<TenantId>,
    /// From when on it is void; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
}

impl TokenRecord {
    /// Whether it is void at `now`.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires.0 <= now)
    }

    /// What is wrong with the combination of role and tenants, and what to do: an operator has no tenants, the others need some.
    #[must_use]
    pub fn mistake(&self) -> Option<(&'static str, &'static str)> {
        match (self.role, self.tenants.is_empty()) {
            (Role::Operator, false) => Some(("an operator's token has tenants", "remove tenants, or make it a reader or writer")),
            (Role::Reader | Role::Writer, true) => Some(("the token has no tenants", "name at least one tenant")),
            (Role::Operator, true) | (Role::Reader | Role::Writer, false) => None,
        }
    }
}

/// A point in time, written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(pub Timestamp);

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0.nanos())) {
            Ok(at) => at.fmt(f),
            Err(_) => f.write_str("9999-12-30T22:00:00Z"),
        }
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rfc3339;
        impl Visitor<'_> for Rfc3339 {
            type Value = Expiry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time like 2030-01-31T00:00:00Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Expiry, E> {
                let at: Option<jiff::Timestamp> = text.parse().ok();
                let nanos = at.and_then(|at| i64::try_from(at.as_nanosecond()).ok());
                nanos
                    .map(|nanos| Expiry(Timestamp(nanos)))
                    .ok_or_else(|| E::custom("the expiry is no time of the years 1678 to 2261; write it like 2030-01-31T00:00:00Z"))
            }
        }
        deserializer.deserialize_str(Rfc3339)
    }
}

#[cfg(test)]
mod tests;
