//! What can be wrong with a segment.
//!
//! Bytes of a segment come from the store and are input: whatever is wrong with them ends in one of these.

use proto_model::{Blame, Remedy};

/// A fault in a segment, or in what was to become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentFault {
    /// The bytes end before the structure does.
    #[error("{what} is cut short: restore the object from a copy")]
    Short {
        /// Which structure.
        what: &'static str,
    },
    /// The structure does not start as it should.
    #[error("{what} does not begin with its magic bytes: it is another object or was damaged")]
    Magic {
        /// Which structure.
        what: &'static str,
    },
    /// Made by a newer program.
    #[error("{what} has format version {found}, this program knows {known}: upgrade the hub")]
    Version {
        /// Which structure.
        what: &'static str,
        /// The version found.
        found: u16,
        /// The newest version known.
        known: u16,
    },
    /// The checksum does not fit the bytes.
    #[error("{what} has a wrong checksum: it was damaged, restore the object from a copy")]
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
        reason: &'static str,
    },
    /// A line, or a segment to be merged, of another kind than the segment that is being built.
    #[error("{what} does not belong into a segment of {kind}")]
    Kind {
        /// What was put in.
        what: &'static str,
        /// The kind of the segment.
        kind: crate::Kind,
    },
    /// The compressor failed.
    #[error("compressing {what} failed: {reason}")]
    Compress {
        /// Which structure.
        what: &'static str,
        /// What it said.
        reason: String,
    },
}

impl SegmentFault {
    /// The store for bytes that were read, this program for what it was building.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Short { .. } | Self::Magic { .. } | Self::Checksum { .. } | Self::Malformed { .. } | Self::Version { .. } => Blame::Store,
            Self::TooLarge { .. } | Self::Kind { .. } | Self::Compress { .. } => Blame::Hub,
        }
    }

    /// Reading again does not mend an immutable object.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        Remedy::Fix
    }
}
