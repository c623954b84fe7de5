//! What lies in a journal file, as systemd documents it (`JOURNAL_FILE_FORMAT`): header, objects, payloads.
//!
//! Parts: [`Header`], [`ObjectHead`], [`EntryHead`], [`payload`] (what a DATA object holds, unpacked). Pure. Numbers are little-endian,
//! objects begin at multiples of 8. Limits: [`FIELD_BYTES_MAX`] of a field are kept, with a mark where it was cut; what is packed is
//! unpacked no further. Promises: any bytes end in a value or a [`Damage`]. Must not do: read files.

use std::io::Read as _;

/// Bytes of a header that every version has.
pub(super) const HEADER_BYTES: usize = 208;
/// Bytes every object begins with.
pub(super) const OBJECT_HEAD_BYTES: usize = 16;
/// Bytes of an entry before its items.
pub(super) const ENTRY_HEAD_BYTES: usize = 64;
/// Bytes of an array of entries before its items.
pub(super) const ARRAY_HEAD_BYTES: usize = 24;
/// Bytes of a field that are kept, its name included: as much as Loki takes as a line.
pub(super) const FIELD_BYTES_MAX: usize = 256 * 1024;
/// Fields of one entry: journald takes no more.
pub(super) const FIELDS_MAX: usize = 1_024;
/// A field packed with LZ4 is unpacked in one piece: a larger one is named and left out.
const LZ4_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Kinds of objects.
pub(super) const DATA: u8 = 1;
pub(super) const ENTRY: u8 = 3;
pub(super) const ENTRY_ARRAY: u8 = 6;

/// Flags without which a file cannot be read.
const INCOMPATIBLE_LZ4: u32 = 2;
const INCOMPATIBLE_KEYED_HASH: u32 = 4;
const INCOMPATIBLE_ZSTD: u32 = 8;
const INCOMPATIBLE_COMPACT: u32 = 16;
const KNOWN: u32 = INCOMPATIBLE_LZ4 | INCOMPATIBLE_KEYED_HASH | INCOMPATIBLE_ZSTD | INCOMPATIBLE_COMPACT;
/// How a DATA object's payload is packed.
const OBJECT_XZ: u8 = 1;
const OBJECT_LZ4: u8 = 2;
const OBJECT_ZSTD: u8 = 4;

/// What is wrong with a file or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// It does not begin as a journal file does.
    #[error("it is no journal file")]
    NoJournal,
    /// It needs what this reader does not know; the flags.
    #[error("it has flags {0:#x} that this reader does not know")]
    Unknown(u32),
    /// Something in it cannot be so.
    #[error("{0}")]
    Broken(&'static str),
}

/// The 128 bits that name a file, a boot, or a run of sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Id(pub(super) u128);

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Nothing is written to it any more.
    pub(super) is_archived: bool,
    /// Offsets take 32 bits.
    pub(super) is_compact: bool,
    pub(super) file_id: Id,
    pub(super) seqnum_id: Id,
    /// Where the last object begins.
    pub(super) tail_object: u64,
    pub(super) entries: u64,
    pub(super) head_seqnum: u64,
    pub(super) tail_seqnum: u64,
    pub(super) tail_realtime: u64,
    /// Where the first array of entries lies; 0 = there is none.
    pub(super) entry_array: u64,
}

impl Header {
    /// From the first [`HEADER_BYTES`] of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.len() < HEADER_BYTES || !bytes.starts_with(b"LPKSHHRH") {
            return Err(Damage::NoJournal);
        }
        let incompatible = u32_at(bytes, 12);
        if incompatible & !KNOWN != 0 {
            return Err(Damage::Unknown(incompatible & !KNOWN));
        }
        Ok(Self {
            is_archived: bytes[16] == 2,
            is_compact: incompatible & INCOMPATIBLE_COMPACT != 0,
            file_id: id_at(bytes, 24),
            seqnum_id: id_at(bytes, 72),
            tail_object: u64_at(bytes, 136),
            entries: u64_at(bytes, 152),
            tail_seqnum: u64_at(bytes, 160),
            head_seqnum: u64_at(bytes, 168),
            entry_array: u64_at(bytes, 176),
            tail_realtime: u64_at(bytes, 192),
        })
    }

    /// Bytes of one item of an array.
    pub(super) const fn array_item_bytes(&self) -> usize {
        if self.is_compact { 4 } else { 8 }
    }

    /// Bytes of one item of an entry.
    pub(super) const fn entry_item_bytes(&self) -> usize {
        if self.is_compact { 4 } else { 16 }
    }

    /// Where a DATA object's payload begins, from its own beginning.
    pub(super) const fn payload_at(&self) -> usize {
        if self.is_compact { 72 } else { 64 }
    }

    /// An item of an array or an entry: an offset.
    pub(super) fn offset(&self, item: &[u8]) -> u64 {
        if self.is_compact { u64::from(u32_at(item, 0)) } else { u64_at(item, 0) }
    }
}

/// How an object begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectHead {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) size: u64,
}

impl ObjectHead {
    /// From at least [`OBJECT_HEAD_BYTES`].
    pub(super) fn parse(bytes: &[u8]) -> Self {
        Self { kind: bytes[0], flags: bytes[1], size: u64_at(bytes, 8) }
    }
}

/// What an entry says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct EntryHead {
    pub(super) size: u64,
    pub(super) seqnum: u64,
    /// Microseconds since 1970.
    pub(super) realtime: u64,
    pub(super) monotonic: u64,
    pub(super) boot_id: Id,
    pub(super) xor_hash: u64,
}

impl EntryHead {
    /// From at least [`ENTRY_HEAD_BYTES`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let head = ObjectHead::parse(bytes);
        if head.kind != ENTRY || head.size < ENTRY_HEAD_BYTES as u64 {
            return Err(Damage::Broken("where an entry should lie there is none"));
        }
        let boot_id = id_at(bytes, 40);
        let (seqnum, realtime, monotonic) = (u64_at(bytes, 16), u64_at(bytes, 24), u64_at(bytes, 32));
        if seqnum == 0 || realtime == 0 || realtime >= 1 << 55 {
            return Err(Damage::Broken("an entry has no number or no time"));
        }
        Ok(Self { size: head.size, seqnum, realtime, monotonic, boot_id, xor_hash: u64_at(bytes, 56) })
    }
}

/// A field as it is kept: `NAME=value` split, the value perhaps cut.
pub(super) fn payload(flags: u8, bytes: &[u8], whole: u64) -> Result<(String, Vec<u8>), Damage> {
    let (unpacked, length) = match flags & (OBJECT_XZ | OBJECT_LZ4 | OBJECT_ZSTD) {
        0 => (bytes[..bytes.len().min(FIELD_BYTES_MAX)].to_vec(), Some(whole)),
        OBJECT_LZ4 => unpacked_lz4(bytes)?,
        OBJECT_ZSTD => unpacked_zstd(bytes)?,
        _ => return Err(Damage::Broken("a field is packed in a way that is not known")),
    };
    let equals = memchr::memchr(b'=', &unpacked[..unpacked.len().min(256)]).ok_or(Damage::Broken("a field has no name"))?;
    let name = std::str::from_utf8(&unpacked[..equals]).map_err(|_| Damage::Broken("a field's name is no text"))?.to_owned();
    let mut value = unpacked[equals + 1..].to_vec();
    match length {
        Some(length) if length <= unpacked.len() as u64 => {}
        Some(length) => cut(&mut value, Some(length - equals as u64 - 1)),
        None => cut(&mut value, None),
    }
    Ok((name, value))
}

/// Ends a value that was cut with the mark that says so.
pub(super) fn cut(value: &mut Vec<u8>, length: Option<u64>) {
    let partial = value.utf8_chunks().last().map_or(0, |chunk| if chunk.invalid().len() < 4 { chunk.invalid().len() } else { 0 });
    value.truncate(value.len() - partial);
    match length {
        Some(length) => value.extend_from_slice(format!("…[cut from {length} bytes]").as_bytes()),
        None => value.extend_from_slice("…[cut]".as_bytes()),
    }
}

fn unpacked_lz4(bytes: &[u8]) -> Result<(Vec<u8>, Option<u64>), Damage> {
    const BROKEN: Damage = Damage::Broken("a field packed with LZ4 cannot be unpacked");
    let Some((length, packed)) = bytes.split_first_chunk::<8>() else { return Err(BROKEN) };
    let length = u64::from_le_bytes(*length);
    if length > LZ4_BYTES_MAX {
        return Err(Damage::Broken("a field packed with LZ4 is too large to be unpacked"));
    }
    let mut out = lz4_flex::block::decompress(packed, usize::try_from(length).map_err(|_| BROKEN)?).map_err(|_| BROKEN)?;
    let whole = out.len() as u64;
    out.truncate(FIELD_BYTES_MAX);
    Ok((out, Some(whole)))
}

fn unpacked_zstd(bytes: &[u8]) -> Result<(Vec<u8>, Option<u64>), Damage> {
    const BROKEN: Damage = Damage::Broken("a field packed with zstd cannot be unpacked");
    let mut out = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| BROKEN)?;
    decoder.take(FIELD_BYTES_MAX as u64 + 1).read_to_end(&mut out).map_err(|_| BROKEN)?;
    // Of a longer one its frame tells how long it is, where journald wrote that.
    let told = || zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten().filter(|told| *told > FIELD_BYTES_MAX as u64);
    let whole = if out.len() <= FIELD_BYTES_MAX { Some(out.len() as u64) } else { told() };
    out.truncate(FIELD_BYTES_MAX);
    Ok((out, whole))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn id_at(bytes: &[u8], at: usize) -> Id {
    bytes.get(at..at + 16).and_then(|part| part.try_into().ok()).map_or(Id(0), |part| Id(u128::from_be_bytes(part)))
}
