//! Records to a frozen batch and back: the one place (`docs/formats/batch.md`).
//!
//! Parts: [`Compression`]; [`BatchBuilder`] (collects records by stream, freezes them once);
//! [`BatchView`] (head, checksum and table of frozen bytes, lines untouched); [`Payload`] in
//! [`payload`] (the unpacked columns). Limits: `limits.rs`. Promises: a frozen batch never changes;
//! the same records in the same order give the same bytes. Must not do: number batches, or know of tenants.

pub mod payload;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use proto_model::{BatchDigest, Labels, LabelsNumbers, Timestamp};

use crate::edge_hub::{BatchTable, Pair, StreamRow};
use crate::fault::WireFault;
use crate::limits::{BATCH_BYTES_MAX, BATCH_RAW_BYTES_MAX, METADATA_MAX, RECORDS_MAX, STREAMS_MAX, TABLE_BYTES_MAX};
use crate::{digest, varint};

pub use payload::{Payload, Row};

/// First bytes of a frozen batch.
pub const MAGIC: [u8; 4] = *b"TRB1";
/// Newest format version.
pub const VERSION: u16 = 1;
/// The level code of a record in which no level was looked for.
pub const LEVEL_NONE: u8 = 255;
/// What a pair of texts takes beside them: lengths and keys.
const PAIR_BYTES: usize = 8;
/// What a stream takes in the table beside its labels.
const STREAM_ROW_BYTES: usize = 48;
/// Bytes before the table.
pub const HEAD_BYTES: usize = 44;

/// How the payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As it is.
    None,
    /// zstd level 1: on log text better than level 3 in ratio and speed (measured, `docs/decisions`).
    #[default]
    Zstd,
    /// Snappy, raw format.
    Snappy,
}

impl Compression {
    const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Zstd => 1,
            Self::Snappy => 2,
        }
    }
}

/// Collects records by stream until they are frozen.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    streams: Vec<StreamColumns>,
    numbers: LabelsNumbers,
    lines: u64,
    raw_bytes: u64,
    metadata_bytes: u64,
    /// About what the streams take in the table.
    table_bytes: usize,
    /// Kept from batch to batch: it has a mebibyte of tables.
    packer: Packer,
}

/// What packs payloads, once it was needed.
#[derive(Default)]
struct Packer(Option<zstd::bulk::Compressor<'static>>);

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

#[derive(Debug)]
struct StreamColumns {
    labels: Arc<Labels>,
    times: Vec<u8>,
    levels: Vec<u8>,
    level_run: Option<(u8, u64)>,
    metadata: Vec<u8>,
    metadata_rows: u64,
    lengths: Vec<u8>,
    lines: Vec<u8>,
    previous: i64,
    row: StreamRow,
}

/// A batch as it lies in the WAL, crosses the link and is stored.
#[derive(Debug, Clone)]
pub struct FrozenBatch {
    /// The bytes.
    pub body: Bytes,
    /// D of the bytes.
    pub digest: BatchDigest,
    /// Number of lines.
    pub lines: u64,
    /// Sum of line lengths in bytes.
    pub raw_bytes: u64,
    /// Earliest and latest line; equal when empty.
    pub min: Timestamp,
    /// See `min`.
    pub max: Timestamp,
}

impl BatchBuilder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one record. `level` is a code of `proto-extract`'s level (0 = unknown), or [`LEVEL_NONE`].
    pub fn push(&mut self, labels: &Arc<Labels>, time: Timestamp, level: u8, metadata: &[(String, String)], line: &[u8]) {
        let (at, is_new) = self.numbers.number(labels);
        if is_new {
            self.table_bytes += STREAM_ROW_BYTES + labels.iter().map(|(name, value)| name.len() + value.len() + PAIR_BYTES).sum::<usize>();
            self.streams.push(StreamColumns::new(Arc::clone(labels)));
        }
        self.streams[at].push(time, level, metadata, line);
        self.lines += 1;
        self.raw_bytes += line.len() as u64;
        self.metadata_bytes += metadata.iter().map(|(name, value)| (name.len() + value.len() + PAIR_BYTES) as u64).sum::<u64>();
    }

    /// Whether a stream of these labels is among them.
    #[must_use]
    pub fn has_stream(&self, labels: &Arc<Labels>) -> bool {
        self.numbers.knows(labels)
    }

    /// Number of records so far.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Sum of line lengths so far, in bytes.
    #[must_use]
    pub const fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Sum of what the records' structured metadata takes so far, in bytes.
    #[must_use]
    pub const fn metadata_bytes(&self) -> u64 {
        self.metadata_bytes
    }

    /// Number of streams so far.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether another record may still be added without passing a limit of the format.
    #[must_use]
    pub fn has_room(&self, line_bytes: usize) -> bool {
        let overhead = 64 * self.streams.len() + 16 * usize::try_from(self.lines).unwrap_or(usize::MAX);
        self.streams.len() < STREAMS_MAX
            && usize::try_from(self.lines).unwrap_or(usize::MAX) < RECORDS_MAX
            && self.table_bytes < TABLE_BYTES_MAX / 2
            && usize::try_from(self.raw_bytes + self.metadata_bytes).unwrap_or(usize::MAX).saturating_add(line_bytes).saturating_add(overhead)
                < BATCH_RAW_BYTES_MAX / 2
    }

    /// Freezes what was collected and empties the builder.
    ///
    /// # Errors
    /// [`WireFault::TooLarge`] when the table or the packed batch passes its limit (the caller's records
    /// were too many or too long for one batch), [`WireFault::Malformed`] when compression fails.
    pub fn freeze(&mut self, compression: Compression) -> Result<FrozenBatch, WireFault> {
        let mut packer = std::mem::take(&mut self.packer);
        let Self { streams, lines, raw_bytes, .. } = std::mem::take(self);
        let mut payload = Vec::with_capacity(streams.iter().map(StreamColumns::bytes_max).sum());
        let mut table = BatchTable { streams: Vec::with_capacity(streams.len()) };
        for stream in streams {
            table.streams.push(stream.finish(&mut payload));
        }
        let min = table.streams.iter().map(|row| row.min_ns).min().unwrap_or(0);
        let max = table.streams.iter().map(|row| row.max_ns).max().unwrap_or(0);
        let body = assemble(&table, &payload, compression, &mut packer);
        self.packer = packer;
        let body = body?;
        Ok(FrozenBatch { digest: digest::of_batch(&body), body, lines, raw_bytes, min: Timestamp(min), max: Timestamp(max) })
    }
}

impl StreamColumns {
    fn new(labels: Arc<Labels>) -> Self {
        Self {
            labels,
            times: Vec::new(),
            levels: Vec::new(),
            level_run: None,
            metadata: Vec::new(),
            metadata_rows: 0,
            lengths: Vec::new(),
            lines: Vec::new(),
            previous: 0,
            row: StreamRow { min_ns: i64::MAX, max_ns: i64::MIN, ..StreamRow::default() },
        }
    }

    fn push(&mut self, time: Timestamp, level: u8, metadata: &[(String, String)], line: &[u8]) {
        let ns = time.nanos();
        varint::put(&mut self.times, varint::zigzag(ns.wrapping_sub(self.previous)));
        self.previous = ns;
        self.level_run = match self.level_run {
            Some((code, run)) if code == level => Some((code, run + 1)),
            other => {
                Self::put_run(&mut self.levels, other);
                Some((level, 1))
            }
        };
        if !metadata.is_empty() || self.metadata_rows > 0 {
            // Rows before the first with metadata are written as empty ones, late: most streams have none.
            while self.metadata_rows < u64::from(self.row.lines) {
                self.metadata.push(0);
                self.metadata_rows += 1;
            }
            put_metadata(&mut self.metadata, metadata);
            self.metadata_rows += 1;
        }
        varint::put(&mut self.lengths, line.len() as u64);
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        self.row.lines += 1;
        self.row.bytes += line.len() as u64;
        self.row.min_ns = self.row.min_ns.min(ns);
        self.row.max_ns = self.row.max_ns.max(ns);
        self.row.longest = self.row.longest.max(u32::try_from(line.len()).unwrap_or(u32::MAX));
    }

    fn put_run(out: &mut Vec<u8>, run: Option<(u8, u64)>) {
        if let Some((code, length)) = run {
            out.push(code);
            varint::put(out, length);
        }
    }

    fn columns(&self) -> [&Vec<u8>; 5] {
        [&self.times, &self.levels, &self.metadata, &self.lengths, &self.lines]
    }

    /// As many bytes as [`StreamColumns::finish`] writes, or a few more.
    fn bytes_max(&self) -> usize {
        // The last run of levels is a code and a varint; a varint stands before each column.
        self.columns().iter().map(|column| column.len() + varint::BYTES_MAX).sum::<usize>() + 1 + varint::BYTES_MAX
    }

    fn finish(mut self, payload: &mut Vec<u8>) -> StreamRow {
        Self::put_run(&mut self.levels, self.level_run);
        let columns = self.columns();
        for column in columns {
            varint::put(payload, column.len() as u64);
        }
        for column in columns {
            payload.extend_from_slice(column);
        }
        self.row.labels = self.labels.iter().map(|(name, value)| Pair { name: name.to_owned(), value: value.to_owned() }).collect();
        self.row
    }
}

fn put_metadata(out: &mut Vec<u8>, metadata: &[(String, String)]) {
    let kept = &metadata[..metadata.len().min(METADATA_MAX)];
    varint::put(out, kept.len() as u64);
    for (name, value) in kept {
        for text in [name, value] {
            varint::put(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<u32, WireFault> {
    let fault = || WireFault::TooLarge { what, found: found as u64, limit: limit as u64 };
    if found > limit { Err(fault()) } else { u32::try_from(found).map_err(|_| fault()) }
}

fn assemble(table: &BatchTable, payload: &[u8], compression: Compression, packer: &mut Packer) -> Result<Bytes, WireFault> {
    let table = table.encode_to_vec();
    let packed = packer.pack(payload, compression)?;
    let table_len = limit("a batch table in bytes", table.len(), TABLE_BYTES_MAX)?;
    let packed_len = limit("a packed batch in bytes", packed.len(), BATCH_BYTES_MAX - HEAD_BYTES - table.len())?;
    let raw_len = limit("an unpacked batch in bytes", payload.len(), BATCH_RAW_BYTES_MAX)?;
    let mut body = Vec::with_capacity(HEAD_BYTES + table.len() + packed.len());
    body.extend_from_slice(&MAGIC);
    body.extend_from_slice(&VERSION.to_le_bytes());
    body.extend_from_slice(&[compression.code(), 0]);
    body.extend_from_slice(&[0; 4]); // key id: 0, no key
    body.extend_from_slice(&[0; 16]); // MAC: none without a key
    body.extend_from_slice(&table_len.to_le_bytes());
    body.extend_from_slice(&packed_len.to_le_bytes());
    body.extend_from_slice(&raw_len.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&body), &table), &packed);
    body.extend_from_slice(&sum.to_le_bytes());
    body.extend_from_slice(&table);
    body.extend_from_slice(&packed);
    Ok(body.into())
}

impl Packer {
    fn pack(&mut self, payload: &[u8], compression: Compression) -> Result<Vec<u8>, WireFault> {
        let fault = |reason: String| WireFault::Malformed { what: "a batch payload", reason };
        match compression {
            Compression::None => Ok(payload.to_vec()),
            Compression::Zstd => {
                let compressor = match &mut self.0 {
                    Some(compressor) => compressor,
                    none => none.insert(zstd::bulk::Compressor::new(1).map_err(|e| fault(e.to_string()))?),
                };
                compressor.compress(payload).map_err(|e| fault(e.to_string()))
            }
            Compression::Snappy => snap::raw::Encoder::new().compress_vec(payload).map_err(|e| fault(e.to_string())),
        }
    }
}

/// Frozen bytes whose head, checksum and table were read; the lines are still packed.
#[derive(Debug, Clone)]
pub struct BatchView {
    body: Bytes,
    table: BatchTable,
    compression: Compression,
    payload_at: usize,
    raw_len: usize,
}

impl BatchView {
    /// Checks head and checksum and reads the table.
    ///
    /// # Errors
    /// Any [`WireFault`]: the bytes are not a whole, sound batch that this version knows.
    pub fn parse(body: Bytes) -> Result<Self, WireFault> {
        const WHAT: &str = "a batch";
        let head: &[u8; HEAD_BYTES] = body.first_chunk().ok_or(WireFault::Short { what: WHAT })?;
        if head[..4] != MAGIC {
            return Err(WireFault::Magic { what: WHAT });
        }
        let version = u16::from_le_bytes([head[4], head[5]]);
        if version != VERSION {
            return Err(WireFault::Version { what: WHAT, found: version, known: VERSION });
        }
        let compression = match head[6] {
            0 => Compression::None,
            1 => Compression::Zstd,
            2 => Compression::Snappy,
            code => return Err(WireFault::Malformed { what: WHAT, reason: format!("compression code {code} is unknown") }),
        };
        let length = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (table_len, packed_len, raw_len, sum) = (length(28), length(32), length(36), length(40));
        limit("a batch table in bytes", table_len, TABLE_BYTES_MAX)?;
        limit("a packed batch in bytes", packed_len, BATCH_BYTES_MAX)?;
        limit("an unpacked batch in bytes", raw_len, BATCH_RAW_BYTES_MAX)?;
        if body.len() != HEAD_BYTES + table_len + packed_len {
            return Err(WireFault::Short { what: WHAT });
        }
        let found = crc32c::crc32c_append(crc32c::crc32c(&body[..40]), &body[HEAD_BYTES..]);
        if found as usize != sum {
            return Err(WireFault::Checksum { what: WHAT });
        }
        let payload_at = HEAD_BYTES + table_len;
        let table = BatchTable::decode(&body[HEAD_BYTES..payload_at]).map_err(|e| WireFault::Malformed { what: WHAT, reason: e.to_string() })?;
        limit("streams of a batch", table.streams.len(), STREAMS_MAX)?;
        let lines: u64 = table.streams.iter().map(|row| u64::from(row.lines)).sum();
        limit("records of a batch", usize::try_from(lines).unwrap_or(usize::MAX), RECORDS_MAX)?;
        Ok(Self { body, table, compression, payload_at, raw_len })
    }

    /// The table: per stream labels, counts, times.
    #[must_use]
    pub const fn table(&self) -> &BatchTable {
        &self.table
    }

    /// The frozen bytes.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Number of lines by the table.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.table.streams.iter().map(|row| u64::from(row.lines)).sum()
    }

    /// Sum of line lengths by the table.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.table.streams.iter().map(|row| row.bytes).sum()
    }

    /// Unpacks the columns into a fresh buffer.
    ///
    /// # Errors
    /// [`WireFault`] when the payload does not unpack to exactly the stated size or its columns do not
    /// fit the table.
    pub fn payload(&self) -> Result<Payload, WireFault> {
        let packed = &self.body[self.payload_at..];
        let fault = |reason: String| WireFault::Malformed { what: "a batch payload", reason };
        let raw = match self.compression {
            Compression::None => packed.to_vec(),
            Compression::Zstd => zstd::bulk::decompress(packed, self.raw_len).map_err(|e| fault(e.to_string()))?,
            Compression::Snappy => {
                let stated = snap::raw::decompress_len(packed).map_err(|e| fault(e.to_string()))?;
                limit("an unpacked batch in bytes", stated, self.raw_len)?;
                snap::raw::Decoder::new().decompress_vec(packed).map_err(|e| fault(e.to_string()))?
            }
        };
        if raw.len() != self.raw_len {
            return Err(fault(format!("it unpacks to {} bytes, {} were stated", raw.len(), self.raw_len)));
        }
        Payload::read(raw, &self.table)
    }
}

#[cfg(test)]
mod tests;
