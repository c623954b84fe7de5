//! How far each source was read, as the WAL's records tell it.
//!
//! Parts: [`SourcePosition`]; [`Positions`], the newest of each source. A source is known by device and
//! inode (by its path when it has none); one that is gone is forgotten. Must not do: judge whether a
//! file is still the same; the tail does, with the hash of its first bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto_seam::FileIdentity;

use crate::entry::pb;

/// How far one source was read, and what the pipeline holds of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourcePosition {
    /// The path it was last seen at.
    pub path: String,
    /// Device and inode.
    pub identity: FileIdentity,
    /// BLAKE3-64 of its first `head_len` bytes.
    pub head_hash: u64,
    /// How many first bytes `head_hash` covers.
    pub head_len: u32,
    /// +1 each time the same file was cut and begun again.
    pub generation: u32,
    /// Next byte to read.
    pub offset: u64,
    /// First byte held by the pipeline, or `offset`; never above it.
    pub resume: u64,
    /// The pipeline's state over bytes `resume..offset`.
    pub held: Vec<u8>,
    /// The edge will read no more of it.
    pub gone: bool,
    /// Its length when it was last seen; of an archive its packed bytes.
    pub size: u64,
    /// Its last modification as last seen, ns since 1970; 0 = not known.
    pub modified_ns: i64,
    /// The newest stamp in a name beside it when it was begun; empty = none, or not known.
    pub after: String,
    /// It was read to its end; the position is kept while the file exists, so that it is not read again under another name.
    pub done: bool,
    /// Where this edge began: what lies before was read by another program, and is never read here.
    pub begun: u64,
    /// The track of the batch that told it last; 0 = none did. The WAL's to say, as is `from`.
    pub track: u32,
    /// Where that track began with it, in this generation.
    pub from: u64,
    /// A loss that is to be told: so many bytes before `offset` are nowhere; [`Self::MISSING_UNKNOWN`]: it is not known how many.
    pub missing: u64,
}

impl SourcePosition {
    /// In [`Self::missing`]: some, perhaps.
    pub const MISSING_UNKNOWN: u64 = u64::MAX;

    /// As it lies in a record.
    pub(crate) fn to_pb(&self) -> pb::Position {
        pb::Position {
            path: self.path.clone(),
            device: self.identity.device,
            inode: self.identity.inode,
            head_hash: self.head_hash,
            head_len: self.head_len,
            generation: self.generation,
            offset: self.offset,
            resume: self.resume,
            held: Bytes::copy_from_slice(&self.held),
            gone: self.gone,
            size: self.size,
            modified_ns: self.modified_ns,
            after: self.after.clone(),
            done: self.done,
            begun: self.begun,
            track: self.track,
            from: self.from,
            missing: self.missing,
        }
    }

    /// From a record.
    pub(crate) fn from_pb(position: pb::Position) -> Self {
        Self {
            path: position.path,
            identity: FileIdentity { device: position.device, inode: position.inode },
            head_hash: position.head_hash,
            head_len: position.head_len,
            generation: position.generation,
            offset: position.offset,
            resume: position.resume.min(position.offset),
            held: position.held.to_vec(),
            gone: position.gone,
            size: position.size,
            modified_ns: position.modified_ns,
            after: position.after,
            done: position.done,
            begun: position.begun,
            track: position.track,
            from: position.from,
            missing: position.missing,
        }
    }
}

/// Several, as they lie in a record.
pub(crate) fn all_to_pb(positions: &[SourcePosition]) -> Vec<pb::Position> {
    positions.iter().map(SourcePosition::to_pb).collect()
}

/// What names a source.
type Key = (FileIdentity, String);

fn key_of(position: &SourcePosition) -> Key {
    (position.identity, if position.identity == FileIdentity::default() { position.path.clone() } else { String::new() })
}

/// Where the newest track of each source began with it, as all that was appended tells, durable or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beginnings(BTreeMap<Key, Begun>);

/// Of one source.
#[derive(Debug, Clone, Copy)]
struct Begun {
    track: u32,
    generation: u32,
    from: u64,
    resume: u64,
}

impl Begun {
    const fn of(told: &SourcePosition) -> Self {
        Self { track: told.track, generation: told.generation, from: told.from, resume: told.resume }
    }
}

impl Beginnings {
    /// As these positions say.
    pub(crate) fn of<'p>(positions: impl IntoIterator<Item = &'p SourcePosition>) -> Self {
        Self(positions.into_iter().map(|told| (key_of(told), Begun::of(told))).collect())
    }

    /// Says in `told`, which is of `track` (0: of none, no line goes with it), where that track began.
    pub(crate) fn stamp(&self, track: u32, told: &mut SourcePosition) {
        let known = self.0.get(&key_of(told)).filter(|known| known.generation == told.generation);
        (told.track, told.from) = match known {
            Some(known) if track == 0 || known.track == track => (known.track, known.from),
            Some(known) if known.track == 0 => (track, known.from),
            Some(known) => (track, known.resume),
            None => (track, 0),
        };
    }

    /// Takes what was stamped and written.
    pub(crate) fn take(&mut self, told: &[SourcePosition]) {
        for told in told {
            if told.gone {
                self.0.remove(&key_of(told));
            } else {
                self.0.insert(key_of(told), Begun::of(told));
            }
        }
    }
}

/// The newest position of each source that is not gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    by_source: BTreeMap<Key, SourcePosition>,
}

impl Positions {
    /// Takes what a record tells.
    pub(crate) fn apply(&mut self, positions: &[pb::Position]) {
        for position in positions {
            let position = SourcePosition::from_pb(position.clone());
            let key = key_of(&position);
            if position.gone {
                self.by_source.remove(&key);
            } else {
                self.by_source.insert(key, position);
            }
        }
    }

    /// Forgets all, then takes what a record tells.
    pub(crate) fn replace(&mut self, positions: &[pb::Position]) {
        self.by_source.clear();
        self.apply(positions);
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SourcePosition> {
        self.by_source.values()
    }
}
