//! One entry of a track, as the index keeps it: 48 bytes.
//!
//! Parts: [`SlotKind`], [`GapCode`], [`Slot`], [`Place`]. A slot says where its record lies, what it adds
//! to the chain and since when it is there; the last sequence it covers is the one before the next slot's.
//! Must not do: know its neighbours.

use proto_model::Timestamp;

use crate::entry::pb;
use crate::recover::reason;

/// What a slot stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// A batch; `link` is its digest.
    Batch,
    /// A gap with a record of its own; `link` begins with its [`GapCode`].
    Gap,
    /// Batches whose records are gone; `link` is the chain after them.
    Hole,
}

/// Why a gap stands where it stands, as far as it matters to the next one beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapCode {
    /// Dropped for room.
    Full,
    /// Dropped for age.
    Age,
    /// Any other: never merged.
    Other,
}

impl GapCode {
    /// Of a gap with this head.
    fn of(head: &pb::GapHead) -> Self {
        match head.reason.as_str() {
            reason::WAL_FULL if head.source.is_empty() => Self::Full,
            reason::WAL_AGE if head.source.is_empty() => Self::Age,
            _ => Self::Other,
        }
    }

    /// The reason it gives.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Full => reason::WAL_FULL,
            Self::Age => reason::WAL_AGE,
            Self::Other => "",
        }
    }
}

/// One entry of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its first sequence; it reaches up to the next slot's.
    pub(crate) from: u64,
    /// See [`SlotKind`].
    pub(crate) link: [u8; 16],
    /// When it was written.
    pub(crate) written: Timestamp,
    /// Where its record begins.
    pub(crate) offset: u32,
    /// The number of the file with its record.
    pub(crate) file: u32,
    /// Its lines, saturated.
    pub(crate) lines: u32,
    len_and_flags: u32,
}

const LEN_MASK: u32 = (1 << 28) - 1;
const KIND_SHIFT: u32 = 28;
const UNDURABLE: u32 = 1 << 31;

impl Slot {
    /// A slot that is not durable yet and lies nowhere.
    pub(crate) fn new(kind: SlotKind, from: u64, link: [u8; 16], written: Timestamp, lines: u64) -> Self {
        let code = match kind {
            SlotKind::Batch => 0,
            SlotKind::Gap => 1,
            SlotKind::Hole => 2,
        };
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        Self { from, link, written, offset: 0, file: 0, lines, len_and_flags: code << KIND_SHIFT | UNDURABLE }
    }

    /// The slot of a gap that begins at `from`.
    pub(crate) fn gap(from: u64, head: &pb::GapHead) -> Self {
        let mut link = [0; 16];
        link[0] = GapCode::of(head) as u8;
        Self::new(SlotKind::Gap, from, link, Timestamp(head.written_ns), head.lines.unwrap_or(0))
    }

    /// Which kind of gap it is.
    pub(crate) const fn gap_code(&self) -> GapCode {
        match self.link[0] {
            0 => GapCode::Full,
            1 => GapCode::Age,
            _ => GapCode::Other,
        }
    }

    /// The same, durable, at a place.
    pub(crate) fn placed(mut self, place: Place) -> Self {
        self.place(place);
        self.set_durable();
        self
    }

    /// Says where its record lies.
    pub(crate) fn place(&mut self, place: Place) {
        self.file = place.file;
        self.offset = place.offset;
        self.len_and_flags = self.len_and_flags & !LEN_MASK | place.len & LEN_MASK;
    }

    /// Where its record lies.
    pub(crate) const fn where_it_lies(&self) -> Place {
        Place { file: self.file, offset: self.offset, len: self.len_and_flags & LEN_MASK }
    }

    /// Length of its record.
    pub(crate) const fn len(&self) -> u64 {
        (self.len_and_flags & LEN_MASK) as u64
    }

    /// What it stands for.
    pub(crate) const fn kind(&self) -> SlotKind {
        match self.len_and_flags >> KIND_SHIFT & 0b11 {
            0 => SlotKind::Batch,
            1 => SlotKind::Gap,
            _ => SlotKind::Hole,
        }
    }

    /// The same, durable.
    pub(crate) const fn durable(mut self) -> Self {
        self.set_durable();
        self
    }

    /// Its record was synced (or it has none).
    pub(crate) const fn is_durable(&self) -> bool {
        self.len_and_flags & UNDURABLE == 0
    }

    /// Its record was synced.
    pub(crate) const fn set_durable(&mut self) {
        self.len_and_flags &= !UNDURABLE;
    }
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// File number.
    pub(crate) file: u32,
    /// Where it begins.
    pub(crate) offset: u32,
    /// Its length.
    pub(crate) len: u32,
}

#[cfg(test)]
mod tests;
