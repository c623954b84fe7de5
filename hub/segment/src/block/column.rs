//! A column of a block: packed bytes and what is said of them.
//!
//! Parts: [`Packer`] (compresses, remembering its contexts), [`Column`] (an entry of a block's directory), [`unpack`].
//! Promises: unpacking never allocates more than the limit it is given. Must not do: know what a column means.

use crate::SegmentFault;

/// As it is.
const PLAIN: u8 = 0;
/// zstd.
const ZSTD: u8 = 1;
/// On log text level 1 is better than 2 to 4 in ratio and speed; 6 gains 6 % for 4 times the CPU (`docs/formats/segment.md`).
const LEVEL_LARGE: i32 = 1;
/// The others are a twentieth of the bytes and gain from a closer look.
const LEVEL_SMALL: i32 = 3;
/// Bytes of a directory entry.
pub(crate) const ENTRY_BYTES: usize = 12;

/// Compresses columns and footers.
pub(crate) struct Packer {
    large: zstd::bulk::Compressor<'static>,
    small: zstd::bulk::Compressor<'static>,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> SegmentFault {
    move |e| SegmentFault::Compress { what, reason: e.to_string() }
}

impl Packer {
    pub(crate) fn new() -> Result<Self, SegmentFault> {
        let make = |level| zstd::bulk::Compressor::new(level).map_err(failed("a segment"));
        Ok(Self { large: make(LEVEL_LARGE)?, small: make(LEVEL_SMALL)? })
    }

    /// Appends packed lines or metadata to `out`; gives the packing.
    pub(crate) fn large(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<u8, SegmentFault> {
        Self::pack(&mut self.large, raw, out)
    }

    /// Appends any other packed column, or a footer, to `out`; gives the packing.
    pub(crate) fn small(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<u8, SegmentFault> {
        Self::pack(&mut self.small, raw, out)
    }

    fn pack(with: &mut zstd::bulk::Compressor<'static>, raw: &[u8], out: &mut Vec<u8>) -> Result<u8, SegmentFault> {
        let packed = with.compress(raw).map_err(failed("a column"))?;
        let (packing, bytes) = if packed.len() < raw.len() { (ZSTD, packed.as_slice()) } else { (PLAIN, raw) };
        out.extend_from_slice(bytes);
        Ok(packing)
    }
}

/// Unpacks into a fresh buffer of exactly `length` bytes.
pub(crate) fn unpack(what: &'static str, packing: u8, packed: &[u8], length: usize) -> Result<Vec<u8>, SegmentFault> {
    let raw = match packing {
        PLAIN => packed.to_vec(),
        ZSTD => zstd::bulk::decompress(packed, length).map_err(|_| SegmentFault::Malformed { what, reason: "it does not unpack" })?,
        _ => return Err(SegmentFault::Malformed { what, reason: "its packing is unknown" }),
    };
    if raw.len() != length {
        return Err(SegmentFault::Malformed { what, reason: "it unpacks to another size than stated" });
    }
    Ok(raw)
}

/// A directory entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) encoding: u8,
    pub(crate) packing: u8,
    pub(crate) packed: usize,
    pub(crate) unpacked: usize,
}

impl Column {
    pub(crate) fn put(&self, what: &'static str, out: &mut [u8]) -> Result<(), SegmentFault> {
        let number = |found: usize| u32::try_from(found).map_err(|_| SegmentFault::TooLarge { what, found: found as u64, limit: u64::from(u32::MAX) });
        out[0] = self.encoding;
        out[1] = self.packing;
        out[4..8].copy_from_slice(&number(self.packed)?.to_le_bytes());
        out[8..12].copy_from_slice(&number(self.unpacked)?.to_le_bytes());
        Ok(())
    }

    pub(crate) fn take(entry: &[u8; ENTRY_BYTES]) -> Self {
        let number = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]) as usize;
        Self { encoding: entry[0], packing: entry[1], packed: number(4), unpacked: number(8) }
    }

    /// Unpacks `bytes`, which may be no more than `limit` bytes then.
    pub(crate) fn unpack(&self, what: &'static str, bytes: &[u8], limit: usize) -> Result<Vec<u8>, SegmentFault> {
        if self.unpacked > limit {
            return Err(SegmentFault::TooLarge { what, found: self.unpacked as u64, limit: limit as u64 });
        }
        unpack(what, self.packing, bytes, self.unpacked)
    }
}
