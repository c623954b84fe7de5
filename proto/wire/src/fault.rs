//! What can be wrong with bytes from outside.

use proto_model::{Blame, Remedy};

/// A fault in bytes that crossed a link, lay in a WAL or came with a push.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// The bytes end before the structure does.
    #[error("{what} is cut short: send it again")]
    Short {
        /// Which structure.
        what: &'static str,
    },
    /// The structure does not start as it should.
    #[error("{what} does not begin with its magic bytes")]
    Magic {
        /// Which structure.
        what: &'static str,
    },
    /// Made by a newer program.
    #[error("{what} has format version {found}, this program knows {known}: upgrade it")]
    Version {
        /// Which structure.
        what: &'static str,
        /// The version found.
        found: u16,
        /// The newest version known.
        known: u16,
    },
    /// The checksum does not fit the bytes.
    #[error("{what} has a wrong checksum: it was damaged")]
    Checksum {
        /// Which structure.
        what: &'static str,
    },
    /// A count or size passes its limit.
    #[error("{what} is {found}, more than the {limit} allowed")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The structure contradicts itself.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// Which structure.
        what: &'static str,
        /// How.
        reason: String,
    },
}

impl WireFault {
    /// Whoever made the bytes.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        Blame::Caller
    }

    /// Damage in transit is cured by sending again, the rest by fixing the sender.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Short { .. } | Self::Checksum { .. } => Remedy::RetryAfter(std::time::Duration::ZERO),
            Self::Magic { .. } | Self::Version { .. } | Self::TooLarge { .. } | Self::Malformed { .. } => Remedy::Fix,
        }
    }
}
