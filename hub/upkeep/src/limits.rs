//! Sizes and waits of upkeep, each with its reason.

use std::time::Duration;

/// Lane objects that one job takes at most (lane rule 12).
pub const JOB_OBJECTS_MAX: usize = 1_024;
/// Stored bytes that one job takes at most (lane rule 12): they are in memory until its last tenant is done.
pub const JOB_STORED_MAX: u64 = 64 << 20;
/// Bytes of lines that one job takes at most, as the directory states them: batches pack up to 10 : 1.
pub const JOB_RAW_MAX: u64 = 64 << 20;
/// A job is halved no more often: one object is left by then.
pub const HALVED_MAX: u32 = 10;
/// Tenants of a job that are built and committed at once.
pub const TENANTS_AT_ONCE: usize = 4;
/// Bytes of lines collected for one tenant before its segments are written, whatever tables state.
pub const BUILD_RAW_MAX: u64 = 64 << 20;
/// Days of one tenant and job that get segments of their own; lines of further days count as odd.
pub const DAYS_MAX: usize = 64;
/// A tenant with less than this share of `absorb.bytes` waiting is small.
pub const SMALL_SHARE: u64 = 64;
/// A section that cannot be read so often is set aside: it must not stop its lane for ever.
pub const DAMAGED_READS: u32 = 3;

/// Bytes of lines of the largest segment that merging makes.
pub const MERGE_RAW_MAX: u64 = 256 << 20;
/// Stored bytes that one merge reads at most.
pub const MERGE_STORED_MAX: u64 = 256 << 20;
/// Segments that one merge takes at most: a block of each is in memory.
pub const MERGE_INPUTS_MAX: usize = 16;
/// So many neighbours of one size are merged: a day has at most so many of each of 6 sizes, less one.
pub const MERGE_FAN: usize = 4;
/// Bytes of lines of the smallest size; each next is four times that.
pub const TIER_BYTES: u64 = 1 << 20;

/// Segments that one look for deletes goes through: a footer of each is read.
pub const REWRITE_LOOKS_MAX: usize = 64;
/// Looks for deletes of one tenant in one round.
pub const REWRITES_AT_ONCE: usize = 16;

/// Age at which a segment that nothing names is doomed (lane rule 16): jobs are shorter.
pub const DOOM_AGE: Duration = Duration::from_secs(3_600);
/// From then to its deletion: longer than the longest query.
pub const DOOM_GRACE: Duration = Duration::from_secs(3_600);

/// Between two looks at what is due.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two rounds of floors.
pub const FLOOR_LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two rounds of merging and collecting.
pub const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Between two sweeps.
pub const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// How much longer than due a job waits at hubs that it does not belong to.
pub const GRACE: Duration = Duration::from_secs(60);
/// A hub that wrote its lane so lately takes its share of upkeep.
pub const ALIVE: Duration = Duration::from_secs(30);
/// Merges of one tenant in one round.
pub const MERGES_AT_ONCE: usize = 8;
/// Fruitless tries in a row before `absorb_all` gives up.
pub const ABSORB_ALL_TRIES: u32 = 12;
/// Before it tries again: times the try.
pub const ABSORB_ALL_WAIT: Duration = Duration::from_millis(100);
