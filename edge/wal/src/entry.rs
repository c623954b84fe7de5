//! One record to bytes and back; pure.
//!
//! Parts: [`pb`] (the heads, from `wal.proto`), [`Head`] (one of the four), [`Header`] (the 48 bytes
//! before it), [`Seal`] (the checksum, begun with the WAL's id and the file's number), [`encode`].
//! Promises: bytes from disk end in `None`, never in a panic; a log line that looks like a record
//! cannot pass for one, because its writer does not know the WAL's id. Must not do: I/O.

use bytes::Bytes;
use prost::Message as _;
use proto_model::WalId;

use crate::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX};

/// Heads of records, generated from `wal.proto`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic, clippy::use_self)]
pub(crate) mod pb {
    include!(concat!(env!("OUT_DIR"), "/tributary.wal.v1.rs"));
}

/// First bytes of a record: none of them is valid UTF-8 where it stands.
pub(crate) const MARKER: [u8; 4] = [0xA7, 0x57, 0x41, 0x4C];
/// Bytes before the head.
pub(crate) const HEADER_BYTES: usize = 48;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A batch.
    Batch,
    /// What takes the place of batches that were given up.
    Gap,
    /// The state before this file.
    Checkpoint,
    /// Bind, acked, adopt, close, positions.
    Control,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Gap => 2,
            Self::Checkpoint => 3,
            Self::Control => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Batch),
            2 => Some(Self::Gap),
            3 => Some(Self::Checkpoint),
            4 => Some(Self::Control),
            _ => None,
        }
    }
}

/// A record's head.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Head {
    /// Of a batch.
    Batch(pb::BatchHead),
    /// Of a gap.
    Gap(pb::GapHead),
    /// Of a checkpoint.
    Checkpoint(pb::CheckpointHead),
    /// Of a control record.
    Control(pb::ControlHead),
}

impl Head {
    /// Which kind of record it heads.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Batch(_) => Kind::Batch,
            Self::Gap(_) => Kind::Gap,
            Self::Checkpoint(_) => Kind::Checkpoint,
            Self::Control(_) => Kind::Control,
        }
    }

    /// How many bytes of its file were durable when it was written.
    pub(crate) const fn synced(&self) -> u64 {
        match self {
            Self::Batch(head) => head.synced,
            Self::Gap(head) => head.synced,
            Self::Checkpoint(head) => head.synced,
            Self::Control(head) => head.synced,
        }
    }

    /// The head's bytes, with `synced` put in.
    pub(crate) fn encode(&mut self, synced: u64) -> Vec<u8> {
        match self {
            Self::Batch(head) => {
                head.synced = synced;
                head.encode_to_vec()
            }
            Self::Gap(head) => {
                head.synced = synced;
                head.encode_to_vec()
            }
            Self::Checkpoint(head) => {
                head.synced = synced;
                head.encode_to_vec()
            }
            Self::Control(head) => {
                head.synced = synced;
                head.encode_to_vec()
            }
        }
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Batch(head) => head.encoded_len(),
            Self::Gap(head) => head.encoded_len(),
            Self::Checkpoint(head) => head.encoded_len(),
            Self::Control(head) => head.encoded_len(),
        }
    }

    /// Reads the head of a record of `kind`; `None` when the bytes are no such head.
    pub(crate) fn decode(kind: Kind, bytes: &[u8]) -> Option<Self> {
        match kind {
            Kind::Batch => pb::BatchHead::decode(bytes).ok().map(Self::Batch),
            Kind::Gap => pb::GapHead::decode(bytes).ok().map(Self::Gap),
            Kind::Checkpoint => pb::CheckpointHead::decode(bytes).ok().map(Self::Checkpoint),
            Kind::Control => pb::ControlHead::decode(bytes).ok().map(Self::Control),
        }
    }

    /// A control head.
    pub(crate) const fn control(kind: pb::control_head::Kind) -> Self {
        Self::Control(pb::ControlHead { kind: Some(kind), synced: 0 })
    }
}

/// The fixed part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its track; 0 when it belongs to none.
    pub(crate) track: u32,
    /// Batch: its own; gap: the first given up; else 0.
    pub(crate) sequence: u64,
    /// Length of the head in bytes.
    pub(crate) head_len: u32,
    /// Length of the body in bytes.
    pub(crate) body_len: u32,
    crc: u32,
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Header {
    /// Reads a header; `None` when no record of this version begins so.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (length, head_len) = (u32_at(bytes, 4), u32_at(bytes, 28));
        let kind = Kind::from_code(bytes[12])?;
        let body_len = length.checked_sub(head_len)?;
        let sane = bytes[..4] == MARKER
            && bytes[13..16] == [0; 3]
            && head_len as usize <= HEAD_BYTES_MAX
            && body_len as usize <= BODY_BYTES_MAX
            && (body_len == 0 || kind == Kind::Batch);
        let sequence = u64::from(u32_at(bytes, 20)) | u64::from(u32_at(bytes, 24)) << 32;
        sane.then_some(Self { kind, track: u32_at(bytes, 16), sequence, head_len, body_len, crc: u32_at(bytes, 8) })
    }

    /// Length of the whole record.
    pub(crate) const fn record_len(&self) -> u64 {
        HEADER_BYTES as u64 + self.head_len as u64 + self.body_len as u64
    }

    /// Whether `sum`, over all but the checksum itself, is the record's checksum.
    pub(crate) const fn fits(&self, sum: Sum) -> bool {
        cfg!(planted = "torn_tail_kept") || self.crc == sum.0
    }
}

/// What a file's checksums begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal(u32);

/// A checksum on its way through a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum(u32);

impl Seal {
    /// Of file `number` of the WAL `id`.
    pub(crate) fn new(id: WalId, number: u64) -> Self {
        Self(crc32c::crc32c_append(crc32c::crc32c(&id.0.to_le_bytes()), &number.to_le_bytes()))
    }

    /// Begins the checksum of a record with its header.
    pub(crate) fn begin(self, header: &[u8; HEADER_BYTES]) -> Sum {
        Sum(crc32c::crc32c_append(crc32c::crc32c_append(self.0, &header[..8]), &header[12..]))
    }
}

impl Sum {
    /// Goes on over `bytes` of head or body.
    pub(crate) fn add(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }
}

/// Header and head of a record as they are written; the body follows as it is.
pub(crate) fn encode(seal: Seal, kind: Kind, track: u32, sequence: u64, head: &[u8], body: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("heads and bodies are bounded far below 4 GiB");
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MARKER);
    header[4..8].copy_from_slice(&(length(head) + length(body)).to_le_bytes());
    header[12] = kind.code();
    header[16..20].copy_from_slice(&track.to_le_bytes());
    header[20..28].copy_from_slice(&sequence.to_le_bytes());
    header[28..32].copy_from_slice(&length(head).to_le_bytes());
    let sum = seal.begin(&header).add(head).add(body);
    header[8..12].copy_from_slice(&sum.0.to_le_bytes());
    let mut out = Vec::with_capacity(HEADER_BYTES + head.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(head);
    out
}

/// Takes a whole record apart: header, head, body. `None` when it is not sound.
pub(crate) fn decode(seal: Seal, record: &Bytes) -> Option<(Header, Head, Bytes)> {
    let bytes: &[u8; HEADER_BYTES] = record.first_chunk()?;
    let header = Header::parse(bytes)?;
    if header.record_len() != record.len() as u64 || !header.fits(seal.begin(bytes).add(&record[HEADER_BYTES..])) {
        return None;
    }
    let body_at = HEADER_BYTES + header.head_len as usize;
    let head = Head::decode(header.kind, &record[HEADER_BYTES..body_at])?;
    Some((header, head, record.slice(body_at..)))
}

#[cfg(test)]
mod tests;
