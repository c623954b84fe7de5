//! Ceilings of the query path that no tenant may set, each with its reason.
//!
//! Must not do: hold anything a tenant may set (see [`crate::budget::Limits`]).

use std::time::Duration;

/// Sections, footers and blocks read at once for one query: enough to hide the store's latency behind the
/// scan, few enough that eight queries stay below 300 MiB.
pub const PARTS_AT_ONCE: usize = 4;
/// Texts of one kind of warning in an answer: people read a few, the rest is summed.
pub const WARNINGS_MAX: usize = 3;
/// How often a query asks for a new view after the one it had has moved, before it answers 503.
pub const VIEWS_MAX: u32 = 3;
/// What a partial answer may take beyond the query's timeout: what was found must still be brought into form.
pub const PARTIAL_GRACE: Duration = Duration::from_secs(10);
/// How long a tail waits for a change before it looks by itself.
pub const TAIL_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Lane objects that a tail reads again when they were absorbed before it looked; before these it tells that some were missed.
pub const TAIL_ABSORBED_MAX: u64 = 4_096;
/// Queries that run at once.
pub const QUERIES_AT_ONCE: usize = 16;
/// Of them, those of one tenant: the rest is free for whoever else asks.
pub const TENANT_QUERIES_AT_ONCE: usize = 12;
/// Queries that wait for their turn; more are refused.
pub const QUERIES_WAITING_MAX: usize = 1_024;
/// Of them, those of one tenant.
pub const TENANT_QUERIES_WAITING_MAX: usize = 128;
/// Steps of one range query, as Loki has it.
pub const STEPS_MAX: i64 = 11_000;
/// Unwrapped samples one query holds at once: 16 bytes each, so 128 MiB.
pub const SAMPLES_MAX: u64 = 8 << 20;
/// Points of inner series one query holds at once: about 48 bytes each, so 200 MiB.
pub const POINTS_MAX: u64 = 4 << 20;
/// Bytes that an unwrapped sample takes.
pub const SAMPLE_BYTES: u64 = 16;
/// Bytes that a point of an inner series takes, about.
pub const POINT_BYTES: u64 = 48;
/// Bytes that an inner series takes beside its texts: its place in the maps of scan, merge and aggregation.
pub const SERIES_BYTES: u64 = 320;
/// Bytes that a label of a series takes beside its texts.
pub const LABEL_BYTES: u64 = 64;
/// Bytes that a value of a series at a step takes.
pub const VALUE_BYTES: u64 = 16;
/// Bytes that an entry takes beside its texts, about.
pub const ENTRY_BYTES: u64 = 160;
/// Inner series of one range expression, before an aggregation makes fewer of them.
pub const SERIES_MAX: usize = 100_000;
/// Entries one log query may hold, whatever the tenant's limit says.
pub const ENTRIES_MAX: usize = 1_000_000;
/// Entries read at once where only those some time apart count: a few windows' worth, small beside a block.
pub const APART_PAGE: usize = 256;
/// Rows between two looks at whether the query was cancelled.
pub const ROWS_BETWEEN_LOOKS: u32 = 1_024;
