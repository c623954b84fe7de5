//! What a manifest keeps of a segment.

use bytes::Bytes;
use proto_model::Timestamp;

use crate::{Kind, StreamEntry, object};

/// A finished segment.
#[derive(Debug, Clone)]
pub struct Built {
    /// The object.
    pub bytes: Bytes,
    /// What the manifest keeps of it.
    pub facts: Facts,
}

/// What is known of a segment without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Which lines it holds.
    pub kind: Kind,
    /// Length of the object.
    pub bytes: u64,
    /// Number of lines.
    pub lines: u64,
    /// Sum of line lengths, in bytes.
    pub raw_bytes: u64,
    /// Earliest line.
    pub min: Timestamp,
    /// Latest line.
    pub max: Timestamp,
    /// Number of streams.
    pub streams: u32,
    /// Where the footer begins in the object.
    pub footer_offset: u64,
    /// Its length as stored.
    pub footer_length: u32,
    /// BLAKE3-128 of it.
    pub footer_checksum: [u8; 16],
}

impl Facts {
    /// What streams and footer say together.
    pub(crate) fn of_parts(kind: Kind, streams: &[StreamEntry], footer_offset: u64, footer_length: u32, footer_checksum: [u8; 16]) -> Self {
        Self {
            kind,
            bytes: footer_offset + u64::from(footer_length) + object::TAIL_BYTES as u64,
            lines: streams.iter().map(|stream| stream.lines).sum(),
            raw_bytes: streams.iter().fold(0, |sum, stream| sum.saturating_add(stream.bytes)),
            min: streams.iter().map(|stream| stream.min).min().unwrap_or_default(),
            max: streams.iter().map(|stream| stream.max).max().unwrap_or_default(),
            streams: u32::try_from(streams.len()).unwrap_or(u32::MAX),
            footer_offset,
            footer_length,
            footer_checksum,
        }
    }
}
