//! What a fetch brings: record batches, packed or not, to records.
//!
//! Parts: [`read`], [`Read`], [`Message`]. Pure. Format: record batches of version 2 (Kafka 0.11 and later). A batch cut short at the end of an
//! answer is left for the next fetch. Limits: [`BATCH_BYTES_MAX`] unpacked, [`READ_BYTES_MAX`] of an answer. Promises: a batch that cannot be read costs itself, and says which offset comes
//! after it. Must not do: fetch.

use std::io::Read as _;

use bytes::Bytes;

use super::wire::{In, Short};

/// Bytes of a batch, unpacked.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of records after which no further batch is unpacked: it comes with the next fetch.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What stands before a batch's length, length included.
const BEFORE: usize = 12;
/// What unpacked Snappy of Java's producers begins with.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) offset: i64,
    /// Milliseconds since 1970.
    pub(super) time_ms: i64,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) messages: Vec<Message>,
    /// The offset to fetch next, where a batch said so.
    pub(super) next: Option<i64>,
    /// Records of batches that could not be read.
    pub(super) damaged: u64,
}

/// All records of offset `from` and later.
pub(super) fn read(bytes: &Bytes, from: i64) -> Read {
    let mut read = Read::default();
    let (mut rest, mut bytes) = (bytes.clone(), 0);
    while rest.len() > BEFORE {
        let mut head = In(rest.clone());
        let (Ok(base), Ok(length)) = (head.i64(), head.i32()) else { break };
        let Ok(length) = usize::try_from(length) else { break };
        let Ok(batch) = head.part(length) else { break };
        rest = head.0;
        let before = read.messages.len();
        match one(base, batch, from, &mut read.messages) {
            Ok(next) => read.next = Some(next),
            Err(Wrong { next, records }) => {
                read.damaged += records;
                read.next = Some(next);
            }
        }
        bytes += read.messages.iter().skip(before).map(|message| message.key.len() + message.value.len()).sum::<usize>();
        if bytes >= READ_BYTES_MAX {
            break;
        }
    }
    read
}

/// A batch that cannot be read.
struct Wrong {
    next: i64,
    records: u64,
}

fn one(base: i64, batch: Bytes, from: i64, messages: &mut Vec<Message>) -> Result<i64, Wrong> {
    let mut input = In(batch);
    let head = |input: &mut In| -> Result<_, Short> {
        let (_epoch, magic, crc) = (input.i32()?, input.i8()?, input.i32()?);
        let is_sound = crc32c::crc32c(&input.0) == crc.cast_unsigned();
        let (attributes, last_delta, first_ms, max_ms) = (input.i16()?, input.i32()?, input.i64()?, input.i64()?);
        let (_producer, _epoch, _sequence, count) = (input.i64()?, input.i16()?, input.i32()?, input.i32()?);
        Ok((magic, is_sound, attributes, last_delta, first_ms, max_ms, count))
    };
    let Ok((magic, is_sound, attributes, last_delta, first_ms, max_ms, count)) = head(&mut input) else { return Err(Wrong { next: base + 1, records: 1 }) };
    let next = if magic == 2 { base.saturating_add(i64::from(last_delta.max(0))).saturating_add(1) } else { base.saturating_add(1) };
    let wrong = Wrong { next, records: u64::try_from(count).unwrap_or(1).clamp(1, 1 << 20) };
    if magic != 2 || !is_sound {
        return Err(wrong);
    }
    // Marks of transactions are no records.
    if attributes & 0x20 != 0 {
        return Ok(next);
    }
    let Some(unpacked) = unpacked(attributes & 7, &input.0) else { return Err(wrong) };
    let mut input = In(unpacked);
    let is_append_time = attributes & 8 != 0;
    let before = messages.len();
    for _ in 0..count {
        let message = (|| -> Result<Message, Short> {
            let length = usize::try_from(input.varint()?).map_err(|_| Short)?;
            let mut record = In(input.part(length)?);
            let (_attributes, time_delta, offset_delta) = (record.i8()?, record.varint()?, record.varint()?);
            let (key, value) = (record.varbytes()?.unwrap_or_default(), record.varbytes()?.unwrap_or_default());
            let time_ms = if is_append_time { max_ms } else { first_ms.saturating_add(time_delta) };
            Ok(Message { offset: base.saturating_add(offset_delta), time_ms, key, value })
        })();
        match message {
            Ok(message) if message.offset >= from => messages.push(message),
            Ok(_) => {}
            Err(Short) => {
                messages.truncate(before);
                return Err(wrong);
            }
        }
    }
    Ok(next)
}

fn unpacked(how: i16, bytes: &Bytes) -> Option<Bytes> {
    match how {
        0 => Some(bytes.clone()),
        1 => bounded(flate2::read::GzDecoder::new(bytes.as_ref())),
        2 => snappy(bytes),
        3 => lz4(bytes),
        4 => bounded(zstd::stream::read::Decoder::with_buffer(bytes.as_ref()).ok()?),
        _ => None,
    }
}

fn bounded(reader: impl std::io::Read) -> Option<Bytes> {
    let mut out = Vec::new();
    reader.take(BATCH_BYTES_MAX as u64 + 1).read_to_end(&mut out).ok()?;
    (out.len() <= BATCH_BYTES_MAX).then(|| out.into())
}

fn snappy(bytes: &[u8]) -> Option<Bytes> {
    let block = |part: &[u8]| {
        let length = snap::raw::decompress_len(part).ok().filter(|length| *length <= BATCH_BYTES_MAX)?;
        let mut out = vec![0; length];
        snap::raw::Decoder::new().decompress(part, &mut out).ok()?;
        Some(out)
    };
    let Some(mut rest) = bytes.strip_prefix(XERIAL).and_then(|rest| rest.get(8..)) else { return block(bytes).map(Bytes::from) };
    let mut out = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (part, more) = more.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        out.extend_from_slice(&block(part)?);
        if out.len() > BATCH_BYTES_MAX {
            return None;
        }
        rest = more;
    }
    Some(out.into())
}

/// The frame format: its checksums are not looked at, the batch has one of its own.
fn lz4(bytes: &[u8]) -> Option<Bytes> {
    let rest = bytes.strip_prefix(&LZ4_MAGIC)?;
    let flags = *rest.first()?;
    let has_size = flags & 0x08 != 0;
    let has_dictionary = flags & 0x01 != 0;
    let has_block_sums = flags & 0x10 != 0;
    let block_max = 1 << (8 + 2 * u32::from((rest.get(1)? >> 4) & 7).clamp(4, 7));
    let mut rest = rest.get(2 + if has_size { 8 } else { 0 } + if has_dictionary { 4 } else { 0 } + 1..)?;
    let mut out: Vec<u8> = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            return Some(out.into());
        }
        let (part, more) = more.split_at_checked(usize::try_from(length & 0x7fff_ffff).ok()?)?;
        if length & 0x8000_0000 != 0 {
            out.extend_from_slice(part);
        } else {
            // Blocks may lean on the 64 KiB before them.
            let before = out[out.len().saturating_sub(64 * 1024)..].to_vec();
            out.extend_from_slice(&lz4_flex::block::decompress_with_dict(part, block_max, &before).ok()?);
        }
        if out.len() > BATCH_BYTES_MAX {
            return None;
        }
        rest = if has_block_sums { more.get(4..)? } else { more };
    }
    Some(out.into())
}

#[cfg(test)]
mod tests;
