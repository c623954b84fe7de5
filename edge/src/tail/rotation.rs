//! Which file is which: renamed, truncated, replaced.
//!
//! Pure. Parts: [`Head`] (a file's first bytes, hashed), [`judge`] (what happened to a file that was being
//! read). A file is what device, inode and first bytes say, never what its path says. Must not do: I/O.

use proto_seam::FileIdentity;

/// Bytes of the head that are hashed at most.
pub const HEAD_BYTES: usize = 1_024;

/// Hash of the first `len` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// BLAKE3-64.
    pub hash: u64,
    /// How many bytes it covers.
    pub len: u32,
}

impl Head {
    /// Of `bytes`, at most the first [`HEAD_BYTES`].
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES)];
        let hash = blake3::hash(bytes);
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Self { hash: u64::from_le_bytes(first), len: u32::try_from(bytes.len()).unwrap_or(0) }
    }

    /// Whether a file that now begins with `bytes` can be the one this head was taken of.
    #[must_use]
    pub fn begins(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.len as usize).is_some_and(|prefix| Self::of(prefix) == *self)
    }
}

/// What was known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its identity.
    pub identity: FileIdentity,
    /// Its head.
    pub head: Head,
    /// How far it was read.
    pub offset: u64,
}

/// What is seen now, through the open descriptor or by path.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its identity.
    pub identity: FileIdentity,
    /// Its length.
    pub len: u64,
    /// Its first bytes, at most [`HEAD_BYTES`].
    pub first: &'a [u8],
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The same file: go on at the offset.
    Same,
    /// The same inode, begun again: read from 0 under the next generation.
    Truncated,
    /// Another file.
    Other,
}

/// Compares what was known with what is seen.
#[must_use]
pub fn judge(known: &Known, seen: &Seen<'_>) -> Change {
    if known.identity != seen.identity {
        Change::Other
    } else if seen.len < known.offset || !known.head.begins(seen.first) {
        // An inode whose first bytes changed was emptied and written again, or given to another file:
        // both are read from 0; whoever stored the position sees a new generation.
        Change::Truncated
    } else {
        Change::Same
    }
}

#[cfg(test)]
mod tests;
