//! Ceilings of the WAL, each with its reason.

/// Default size at which a file is closed: small enough to delete often, large enough to sync a directory rarely.
pub const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Largest file size that may be set: offsets are 32 bit in the index, and a file passes its mark by one record.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Smallest file size: below it checkpoints would outweigh records.
pub const FILE_BYTES_MIN: u64 = 64 * 1024;
/// A full WAL is made of at least so many files, since space comes back by whole files.
pub const FILES_MIN: u64 = 8;
/// Largest head of one record: 4,096 positions with long paths and what the pipeline holds of them.
pub const HEAD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest body: a frozen batch.
pub const BODY_BYTES_MAX: usize = proto_wire::limits::BATCH_BYTES_MAX;
/// A checkpoint is split into records of about this size, so that reading one back stays cheap.
pub const CHECKPOINT_PART_BYTES: usize = 1024 * 1024;
/// A last file that is no longer than this and holds no sound record was being begun when the power went.
pub const OPENING_BYTES_MAX: u64 = 64 * 1024;
/// Bytes read at once while a file is scanned: the memory of recovery, beside one head.
pub const SCAN_BYTES: usize = 256 * 1024;
/// Bytes checksummed in search of a sound record after one bad one: a log line may be full of false markers.
pub const SEARCH_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Records not yet durable that are kept in memory (they must be written anew after a failed sync); above it an append syncs first.
pub const PENDING_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Least size of the file that keeps room for the opening of the next one on a full disk; a 64th of a small WAL.
pub const RESERVE_BYTES: u64 = 64 * 1024;
/// Acks that may be known in memory alone, in batches: at most so many the hub has that a restart does not know of, beside those in flight.
pub const ACK_LAG_BATCHES: u64 = proto_wire::limits::WINDOW_BATCHES as u64;
/// Batches after the durable ack that an earlier process may have sent: in flight, and acked without this directory knowing. Never dropped.
pub const SENT_BATCHES_MAX: u64 = 2 * ACK_LAG_BATCHES;
/// The same in bytes of their records.
pub const ACK_LAG_BYTES: u64 = proto_wire::limits::WINDOW_BYTES;
/// A record that cannot be read (not: is damaged) is tried so often before it is given up.
pub const READ_TRIES_MAX: u32 = 3;
/// Most files in `aside/`: it is for people to look at, not a second WAL.
pub const ASIDE_FILES_MAX: usize = 64;
/// Most tracks of one WAL: one per outage that is still draining.
pub const TRACKS_MAX: usize = 1_024;
/// Drained tracks of which no batch is held that are still known: their numbers fit a line of the checkpoint each.
pub const DRAINED_KEPT: usize = 8;
/// Longest reason or source text of a gap, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
