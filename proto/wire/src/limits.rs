//! Ceilings of everything that crosses a link, with their reasons.

/// Largest frame: a frozen batch of `BATCH_BYTES_MAX` and its message around it.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest frozen batch as stored; below the frame so that the message fits around it.
pub const BATCH_BYTES_MAX: usize = FRAME_BYTES_MAX - 256 * 1024;
/// Largest batch unpacked: a hard stop against compression bombs.
pub const BATCH_RAW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest batch table: 10,000 streams of about 100 bytes.
pub const TABLE_BYTES_MAX: usize = 1024 * 1024;
/// Most streams in a batch.
pub const STREAMS_MAX: usize = 10_000;
/// Most records in a batch: 16 MiB of empty lines are no use to anyone.
pub const RECORDS_MAX: usize = 2_000_000;
/// Most structured metadata pairs of one record.
pub const METADATA_MAX: usize = 1_024;
/// Most positions in one batch message.
pub const POSITIONS_MAX: usize = 4_096;
/// Batches without an ack: as many digests as a fold keeps for a producer.
pub const WINDOW_BATCHES: u32 = 64;
/// Bytes without an ack: 1 Gbit/s at 100 ms round trip plus a commit.
pub const WINDOW_BYTES: u64 = 16 * 1024 * 1024;
/// Largest OTLP record, resource or scope as sent: one is unpacked at a time, and takes up to thirty times that in memory.
pub const OTLP_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most `{` in an OTLP body in JSON: each makes at most about 200 bytes in memory.
pub const OTLP_OBJECTS_MAX: usize = 2_000_000;
/// Largest push body as sent (Loki: 100 MiB; a request lies whole in one lane object here).
pub const PUSH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest push body unpacked.
pub const PUSH_RAW_BYTES_MAX: usize = 64 * 1024 * 1024;
