//! The header of a lane object: typed, to bytes and back (`docs/formats/lane.md`).
//!
//! Parts: [`CommitId`]; [`SectionEntry`] (one line of the directory); [`LaneHeader`] with its codec.
//! Promises: decoding checks frame, MAC, name, and every field; what it gives has its sections in
//! ascending order of tenants with offsets that cannot overflow. Must not do: judge the header against a fold.

use std::fmt;

use bytes::Bytes;
use prost::Message as _;
use proto_model::{LaneId, TenantId, Timestamp};

use crate::fault::StoreFault;
use crate::frame::{self, HEAD_BYTES, Kind};
use crate::keys::Key;
use crate::limits::SECTION_BYTES_MAX;
use crate::mac::StoreKeys;
use crate::proto;
use crate::record::{LaneRecord, tenant_of, text_of};

/// 128 random bits, new for every PUT of a lane object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CommitId(pub [u8; 16]);

impl CommitId {
    /// What the genesis names as its predecessor.
    pub const NONE: Self = Self([0; 16]);

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        bytes.try_into().map(Self).map_err(|_| "a commit id is not 16 bytes".to_owned())
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// BLAKE3-128 of stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksum(pub [u8; 16]);

impl Checksum {
    /// Of parts that follow one another.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        let mut out = [0; 16];
        out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(out)
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        bytes.try_into().map(Self).map_err(|_| "a checksum is not 16 bytes".to_owned())
    }
}

/// One tenant's section of a lane object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionEntry {
    /// Whose.
    pub tenant: TenantId,
    /// Its first byte in the object.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Of all its bytes.
    pub checksum: Checksum,
    /// Bytes of its table with the table's length field.
    pub table_length: u32,
    /// Of those.
    pub table_checksum: Checksum,
    /// Lines in it.
    pub lines: u64,
    /// Sum of their lengths in bytes.
    pub bytes: u64,
    /// Earliest line.
    pub min: Timestamp,
    /// Latest line.
    pub max: Timestamp,
    /// Batches in it.
    pub batches: u32,
}

/// The header of one lane object.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneHeader {
    /// The lane.
    pub lane: LaneId,
    /// The number in it.
    pub number: u64,
    /// This PUT's id.
    pub commit: CommitId,
    /// The id that `number - 1` bears.
    pub previous: CommitId,
    /// The hub that wrote it.
    pub writer: String,
    /// When, by its clock.
    pub written: Timestamp,
    /// The tenant map by which its sections were made.
    pub map_version: u64,
    /// What it changes, in order.
    pub records: Vec<LaneRecord>,
    /// Its sections, ascending by tenant. Offsets count from the first byte of the object.
    pub sections: Vec<SectionEntry>,
}

impl LaneHeader {
    /// Head and header as they are written. `self.sections` hold offsets from the first byte *behind*
    /// the header here; they are corrected to the object's first byte.
    ///
    /// # Errors
    /// [`StoreFault::TooLarge`] when the header passes its limit, [`StoreFault::Draft`] when what was
    /// encoded would not be read back as it is.
    pub(crate) fn seal(&mut self, keys: &StoreKeys) -> Result<Bytes, StoreFault> {
        let key = Key::lane_object(self.lane, self.number);
        let header = self.to_proto().encode_to_vec();
        let front = (HEAD_BYTES + header.len()) as u64;
        let sealed = frame::seal(Kind::Lane, &key, &header, keys)?;
        for entry in &mut self.sections {
            entry.offset = entry.offset.saturating_add(front);
        }
        match Self::open(&sealed, self.lane, self.number, keys) {
            Ok(back) if back == *self => Ok(sealed),
            Ok(_) => Err(StoreFault::Draft { reason: "the header does not read back as it was written".to_owned() }),
            Err(fault) => Err(StoreFault::Draft { reason: fault.to_string() }),
        }
    }

    /// The header of object `number` of `lane` in `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] or [`StoreFault::Version`].
    pub fn open(bytes: &Bytes, lane: LaneId, number: u64, keys: &StoreKeys) -> Result<Self, StoreFault> {
        let key = Key::lane_object(lane, number);
        let header = frame::open(Kind::Lane, &key, bytes, keys)?;
        let front = (HEAD_BYTES + header.len()) as u64;
        let damaged = |reason: String| StoreFault::Damaged { key: key.to_string(), reason };
        let message = proto::LaneHeader::decode(header).map_err(|fault| damaged(fault.to_string()))?;
        let read = Self::from_proto(message, front).map_err(damaged)?;
        if (read.lane, read.number) != (lane, number) {
            return Err(StoreFault::Damaged { key: key.to_string(), reason: format!("it says it is number {} of lane {}", read.number, read.lane) });
        }
        Ok(read)
    }

    fn to_proto(&self) -> proto::LaneHeader {
        proto::LaneHeader {
            lane: self.lane.0,
            number: self.number,
            commit: self.commit.0.to_vec(),
            previous: self.previous.0.to_vec(),
            writer: self.writer.clone(),
            written_ns: self.written.nanos(),
            map_version: self.map_version,
            records: self.records.iter().map(LaneRecord::to_proto).collect(),
            sections: self.sections.iter().map(entry_to_proto).collect(),
        }
    }

    fn from_proto(message: proto::LaneHeader, front: u64) -> Result<Self, String> {
        let sections = message.sections.into_iter().map(|entry| entry_from_proto(&entry, front)).collect::<Result<Vec<_>, _>>()?;
        if !sections.is_sorted_by(|a, b| a.tenant < b.tenant) {
            return Err("its sections are not in ascending order of tenants".to_owned());
        }
        Ok(Self {
            lane: LaneId(message.lane),
            number: message.number,
            commit: CommitId::read(&message.commit)?,
            previous: CommitId::read(&message.previous)?,
            writer: text_of(message.writer)?,
            written: Timestamp(message.written_ns),
            map_version: message.map_version,
            records: message.records.into_iter().map(LaneRecord::from_proto).collect::<Result<_, _>>()?,
            sections,
        })
    }
}

fn entry_to_proto(entry: &SectionEntry) -> proto::SectionEntry {
    proto::SectionEntry {
        tenant: entry.tenant.to_string(),
        offset: entry.offset,
        length: entry.length,
        checksum: entry.checksum.0.to_vec(),
        table_length: entry.table_length,
        table_checksum: entry.table_checksum.0.to_vec(),
        lines: entry.lines,
        bytes: entry.bytes,
        min_ns: entry.min.nanos(),
        max_ns: entry.max.nanos(),
        batches: entry.batches,
    }
}

fn entry_from_proto(entry: &proto::SectionEntry, front: u64) -> Result<SectionEntry, String> {
    let read = SectionEntry {
        tenant: tenant_of(&entry.tenant)?,
        offset: entry.offset.checked_add(front).ok_or("a section lies beyond all bounds")?,
        length: entry.length,
        checksum: Checksum::read(&entry.checksum)?,
        table_length: entry.table_length,
        table_checksum: Checksum::read(&entry.table_checksum)?,
        lines: entry.lines,
        bytes: entry.bytes,
        min: Timestamp(entry.min_ns),
        max: Timestamp(entry.max_ns),
        batches: entry.batches,
    };
    read.check()?;
    Ok(read)
}

impl SectionEntry {
    /// That its place can be asked for; the reason when it cannot.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.length > SECTION_BYTES_MAX || self.offset.checked_add(self.length).is_none() {
            return Err(format!("a section has {} bytes", self.length));
        }
        if u64::from(self.table_length) > self.length || self.table_length < 4 {
            return Err(format!("the table of a section has {} bytes, the section {}", self.table_length, self.length));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
