//! Names of clusters, tenants, edges, tokens (text) and of lanes and WALs (random numbers).
//!
//! Parts: the text ids, all of one grammar `[a-z0-9][a-z0-9-]{0,62}` ([`ClusterId`], [`TenantId`],
//! [`EdgeId`], [`TokenId`]); the random ids ([`LaneId`], [`WalId`]), printed as 16 hex digits.
//!
//! Promises: a text id is safe inside an object key, a URL path, a metric label and a log line as it
//! is, because its alphabet has none of `/ . % \ " ' $` and no upper case. Must not do: decode
//! percent escapes or fold case: what does not match the grammar is refused, never repaired.

use std::fmt;
use std::str::FromStr;

/// Longest text id in bytes: fits a DNS label, so a Kubernetes name can be one.
pub const ID_BYTES_MAX: usize = 63;

/// A text that is not an id, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id {text:?} is not allowed: {reason}; use 1 to 63 of a-z, 0-9 and -, starting with a letter or digit")]
pub struct IdFault {
    /// What the text was meant to name.
    pub kind: &'static str,
    /// The text, cut to 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

fn check(kind: &'static str, text: &str) -> Result<(), IdFault> {
    let reason = if text.is_empty() {
        "it is empty"
    } else if text.len() > ID_BYTES_MAX {
        "it is too long"
    } else if text.starts_with('-') {
        "it starts with -"
    } else if text.bytes().any(|b| !matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        "it holds a character outside a-z, 0-9 and -"
    } else {
        return Ok(());
    };
    Err(IdFault { kind, text: text.chars().take(80).collect(), reason })
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks `text` against the id grammar.
            ///
            /// # Errors
            /// [`IdFault`] when it does not match.
            pub fn new(text: &str) -> Result<Self, IdFault> {
                check($kind, text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;
            fn from_str(text: &str) -> Result<Self, IdFault> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdFault;
            fn try_from(text: String) -> Result<Self, IdFault> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

text_id!(
    /// A workload cluster, proven by certificate.
    ClusterId, "cluster"
);
text_id!(
    /// Who owns and may read data.
    TenantId, "tenant"
);
text_id!(
    /// One edge of a cluster.
    EdgeId, "edge"
);
text_id!(
    /// The public part of an access token.
    TokenId, "token"
);

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;
            fn from_str(text: &str) -> Result<Self, IdFault> {
                let fault = || IdFault { kind: $kind, text: text.chars().take(80).collect(), reason: "it is not 16 hex digits" };
                if text.len() != 16 || text.bytes().any(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    return Err(fault());
                }
                u64::from_str_radix(text, 16).map(Self).map_err(|_| fault())
            }
        }
    };
}

random_id!(
    /// A lane of the hub's log; random, used once (`docs/formats/lane.md`, rule 1).
    LaneId, "lane"
);
random_id!(
    /// One edge WAL directory; random, made with the directory.
    WalId, "wal"
);

#[cfg(test)]
mod tests;
