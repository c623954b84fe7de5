//! The substring index: which blocks cannot hold a text (`docs/formats/segment.md`, "Filters").
//!
//! Parts: [`GramDraft`] (the filter of a block that is being filled, and those of the blocks before it), [`GramFilters`] (read),
//! [`Needle`] (what is looked for). A filter is a set of the bytes of the block's lines and a bit map of all their pieces of
//! [`GRAM`] bytes. Promises: a block that may be passed over holds the text in no line and no metadata; a filter takes no more than a
//! [`FILTER_SHARE`]th of the lines. Must not do: say that a block does hold a text; know labels.

use bytes::Bytes;

use crate::limits::{FILTER_SHARE, FILTER_WORDS_MIN, FILTERS_BYTES_MAX};
use crate::{RegionEntry, SegmentFault, checksum};

/// Bytes of a piece. Shorter ones of ids are all in every block; longer ones of text are too many for the room.
pub const GRAM: usize = 5;
/// First bytes of the filters of a segment.
const MAGIC: [u8; 4] = *b"TRSF";
/// Newest format version.
const VERSION: u16 = 1;
/// Bytes before the directory.
const HEAD_BYTES: usize = 12;
/// Bytes of a block in the directory: words of its bit map, then its set of bytes.
const ENTRY_BYTES: usize = 4 + 32;
/// Below this share of bits set (in sixteenths) a map is halved: half of it does as well.
const SPARSE: usize = 4;
const WHAT: &str = "the filters of a segment";

const fn malformed(reason: &'static str) -> SegmentFault {
    SegmentFault::Malformed { what: WHAT, reason }
}

/// Spreads a piece over 32 bits.
const fn spread(piece: u64) -> u32 {
    (piece.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// The bit of a map of `bits` for a piece that was spread: maps half as long have it at half the place.
const fn place(spread: u32, bits: u64) -> usize {
    ((spread as u64 * bits) >> 32) as usize
}

/// Calls `each` for every piece of `text`.
fn pieces(text: &[u8], mut each: impl FnMut(u32)) {
    const MASK: u64 = (1 << (8 * GRAM)) - 1;
    let mut last = 0;
    for window in text.windows(8) {
        let mut eight = [0; 8];
        eight.copy_from_slice(window);
        each(spread(u64::from_le_bytes(eight) & MASK));
        last += 1;
    }
    for window in text[last..].windows(GRAM) {
        let mut eight = [0; 8];
        eight[..GRAM].copy_from_slice(window);
        each(spread(u64::from_le_bytes(eight)));
    }
}

/// A set of byte values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct ByteSet([u64; 4]);

impl ByteSet {
    fn of(texts: &[&[u8]]) -> Self {
        let mut seen = [false; 256];
        texts.iter().copied().flatten().for_each(|byte| seen[usize::from(*byte)] = true);
        let mut set = Self::default();
        (0..256).filter(|byte| seen[*byte]).for_each(|byte| set.0[byte / 64] |= 1 << (byte % 64));
        set
    }

    fn holds(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| mine & theirs == *theirs)
    }
}

/// The filters of a segment that is being written.
#[derive(Debug, Default)]
pub(crate) struct GramDraft {
    directory: Vec<u8>,
    maps: Vec<u8>,
    blocks: u32,
    words: Vec<u64>,
}

impl GramDraft {
    /// Adds the filter of the next block, by its lines and its metadata.
    pub(crate) fn block(&mut self, text: &[u8], metadata: &[u8]) {
        self.blocks += 1;
        // A whole number of eight words, so that it can be halved thrice.
        let words = (text.len() / FILTER_SHARE / 64) * 8;
        self.words.clear();
        if words >= FILTER_WORDS_MIN {
            self.words.resize(words, 0);
            let bits = 64 * words as u64;
            for bytes in [text, metadata] {
                let map = &mut self.words;
                pieces(bytes, |spread| {
                    let at = place(spread, bits);
                    map[at / 64] |= 1 << (at % 64);
                });
            }
            while self.words.len() > FILTER_WORDS_MIN && self.words.len().is_multiple_of(2) && is_sparse(&self.words) {
                halve(&mut self.words);
            }
        }
        self.directory.extend_from_slice(&u32::try_from(self.words.len()).unwrap_or(0).to_le_bytes());
        ByteSet::of(&[text, metadata]).0.iter().for_each(|word| self.directory.extend_from_slice(&word.to_le_bytes()));
        self.words.iter().for_each(|word| self.maps.extend_from_slice(&word.to_le_bytes()));
    }

    /// Appends all filters to `out`; `None` without blocks, or when they are too large to be read again.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Option<RegionEntry> {
        let length = HEAD_BYTES + self.directory.len() + self.maps.len();
        if self.blocks == 0 || length > FILTERS_BYTES_MAX {
            return None;
        }
        let offset = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.blocks.to_le_bytes());
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(&self.maps);
        Some(RegionEntry { offset: offset as u64, length: u32::try_from(length).ok()?, checksum: checksum(&out[offset..]) })
    }
}

fn is_sparse(words: &[u64]) -> bool {
    let set: usize = words.iter().map(|word| word.count_ones() as usize).sum();
    set * 16 < words.len() * 64 * SPARSE
}

/// Puts each pair of bits together.
fn halve(words: &mut Vec<u64>) {
    for at in 0..words.len() / 2 {
        words[at] = paired(words[2 * at]) | paired(words[2 * at + 1]) << 32;
    }
    words.truncate(words.len() / 2);
}

/// Bit `n` of the result: bit `2n` or bit `2n + 1`.
const fn paired(word: u64) -> u64 {
    let mut out = (word | word >> 1) & 0x5555_5555_5555_5555;
    out = (out | out >> 1) & 0x3333_3333_3333_3333;
    out = (out | out >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    out = (out | out >> 4) & 0x00ff_00ff_00ff_00ff;
    out = (out | out >> 8) & 0x0000_ffff_0000_ffff;
    (out | out >> 16) & 0x0000_0000_ffff_ffff
}

/// A text to be looked for.
#[derive(Debug, Clone)]
pub struct Needle {
    pieces: Vec<u32>,
    bytes: ByteSet,
}

impl Needle {
    /// Of a text; an empty one is everywhere.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let mut found = Vec::new();
        pieces(text, |spread| found.push(spread));
        Self { pieces: found, bytes: ByteSet::of(&[text]) }
    }
}

/// The filters of a segment.
#[derive(Debug)]
pub struct GramFilters {
    bytes: Bytes,
    /// Where each block's map begins, and how many words it has.
    maps: Vec<(usize, usize)>,
}

impl GramFilters {
    /// Reads the `entry.length` bytes that lie at `entry.offset` of the object, filters of `blocks` blocks.
    ///
    /// # Errors
    /// Any [`SegmentFault`]: the bytes are not the whole, sound filters of which `entry` speaks.
    pub fn read(bytes: &Bytes, entry: &RegionEntry, blocks: usize) -> Result<Self, SegmentFault> {
        let head = entry.head(WHAT, bytes, (MAGIC, VERSION))?;
        if u32::from_le_bytes(head) as usize != blocks {
            return Err(malformed("they are of another number of blocks than the footer says"));
        }
        let mut begin = HEAD_BYTES + blocks * ENTRY_BYTES;
        let mut maps = Vec::with_capacity(blocks.min(bytes.len()));
        for block in 0..blocks {
            let at = HEAD_BYTES + block * ENTRY_BYTES;
            let words = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(SegmentFault::Short { what: WHAT })?;
            let words = u32::from_le_bytes(*words) as usize;
            maps.push((begin, words));
            begin = words.checked_mul(8).and_then(|length| begin.checked_add(length)).ok_or_else(|| malformed("a filter is too long"))?;
        }
        if begin != bytes.len() {
            return Err(malformed("they are of another length than their directory says"));
        }
        Ok(Self { bytes: bytes.clone(), maps })
    }

    /// Whether any line of block `block` may hold the text.
    #[must_use]
    pub fn may_hold(&self, block: usize, needle: &Needle) -> bool {
        let Some((begin, words)) = self.maps.get(block).copied() else { return true };
        let directory = HEAD_BYTES + block * ENTRY_BYTES + 4;
        let word = |at: usize| self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).map_or(u64::MAX, |word| u64::from_le_bytes(*word));
        if !ByteSet(std::array::from_fn(|at| word(directory + 8 * at))).holds(&needle.bytes) {
            return false;
        }
        let bits = 64 * words as u64;
        words == 0
            || needle.pieces.iter().all(|spread| {
                let at = place(*spread, bits);
                word(begin + at / 64 * 8) >> (at % 64) & 1 == 1
            })
    }

    /// Bytes of memory it takes, about: for a cache's account.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.bytes.len() + 16 * self.maps.capacity()
    }
}

#[cfg(test)]
mod tests;
