//! A part of the object between blocks and footer that is read on its own: filters, tallies.
//!
//! Parts: [`RegionEntry`], what the footer says of one. Must not do: know what is in it.

use crate::{SegmentFault, checksum};

/// Where a part lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionEntry {
    /// Where it begins in the object.
    pub offset: u64,
    /// Its length as stored.
    pub length: u32,
    /// BLAKE3-128 of it.
    pub checksum: [u8; 16],
}

impl RegionEntry {
    /// Checks that `bytes` are those of which it speaks, of this kind and version; the four bytes behind those.
    pub(crate) fn head(&self, what: &'static str, bytes: &[u8], (magic, version): ([u8; 4], u16)) -> Result<[u8; 4], SegmentFault> {
        if bytes.len() != self.length as usize {
            return Err(SegmentFault::Short { what });
        }
        if checksum(bytes) != self.checksum {
            return Err(SegmentFault::Checksum { what });
        }
        let head = bytes.first_chunk::<12>().ok_or(SegmentFault::Short { what })?;
        if head[..4] != magic {
            return Err(SegmentFault::Magic { what });
        }
        let found = u16::from_le_bytes([head[4], head[5]]);
        if found != version {
            return Err(SegmentFault::Version { what, found, known: version });
        }
        Ok([head[8], head[9], head[10], head[11]])
    }
}
