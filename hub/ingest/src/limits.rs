//! Ceilings of the way in, with their reasons.

use std::time::Duration;

/// Bytes of batches and pushes that may wait for the store in the whole hub: eight full lane objects,
/// a small part of the 300 MiB a hub may use. When they are taken, sessions stop reading.
pub const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Requests that may wait, whatever their size.
pub const WAITING_REQUESTS_MAX: usize = 4_096;
/// Answers that may wait for one session: its window of batches, and then some.
pub const REPLIES_MAX: usize = 256;
/// Sessions of one hub (of one identity: the link's seats).
pub const SESSIONS_MAX: usize = 2_048;
/// Label names of one stream that an edge may send: above the tenant limits of pushes, since an edge's
/// lines are never refused for a taste, but low enough to bound a table.
pub const EDGE_LABELS_MAX: usize = 64;
/// Bytes of one label value that an edge may send (Loki: 2048).
pub const EDGE_LABEL_VALUE_BYTES_MAX: usize = 2_048;
/// Bytes of one session that may wait for the store: a whole lane object, and no more than an eighth of all.
pub const SESSION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Opens of one lane object: each answer may hold 4,096 positions.
pub const OPENS_PER_OBJECT: usize = 128;
/// Bytes without an ack that all sessions together are allowed; each gets an equal part, as of its opening.
pub const WINDOWS_BYTES: u64 = 192 * 1024 * 1024;
/// The least window of a session.
pub const WINDOW_LEAST: u64 = 128 * 1024;
/// Walks over chains of producers that go on at once, and those that may wait.
pub const WALKS_AT_ONCE: usize = 128;
/// See [`WALKS_AT_ONCE`].
pub const WALKS_WAITING: usize = 4_096;
/// Reads of an identity's producers that go on at once.
pub const LOOKS_AT_ONCE: usize = 16;
/// Walks of one opening before its edge is told to try again: each means that another hub was faster.
pub const WALKS_MAX: u32 = 8;
/// So many conflicts within [`RIVAL_WITHIN`] mean that another hub writes the same lane as its own.
pub const RIVAL_CONFLICTS: usize = 6;
/// See [`RIVAL_CONFLICTS`].
pub const RIVAL_WITHIN: Duration = Duration::from_secs(10);
/// Push lanes, beside the own one, that are written at once.
pub const PUSH_SEALERS_MAX: usize = 32;
/// A push lane that had nothing to write for so long is let go.
pub const PUSH_SEALER_IDLE: Duration = Duration::from_secs(60);
/// Requests that may wait for one push lane.
pub const PUSH_REQUESTS_MAX: usize = 512;
/// A lane so far ahead of its absorption has its senders slowed (lane rule 19): objects.
pub const BEHIND_OBJECTS: u64 = 16_384;
/// See [`BEHIND_OBJECTS`]: bytes.
pub const BEHIND_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Tracks that one session may open.
pub const TRACKS_MAX: usize = 64;
/// A peer that sends nothing for so long is closed (heartbeats come every 10 s).
pub const SILENCE_MAX: Duration = Duration::from_secs(30);
/// An edge has so long to say Hello.
pub const HELLO_WAIT_MAX: Duration = Duration::from_secs(10);
/// A push older than this is not built, or built again (lane rule 10).
pub const PUSH_AGE_MAX: Duration = Duration::from_secs(300);
/// A push is answered within this time: with 503 when it could not be stored by then, so that its sender keeps
/// it and tries again (Promtail's and Alloy's clients wait 10 s themselves).
pub const PUSH_ANSWER_MAX: Duration = Duration::from_secs(8);
/// A push that comes before the hub has its lane looks for it this often.
pub const LANE_LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a push key protects against a repeat (lane rule 10).
pub const PUSH_KEY_AGE_MAX: Duration = Duration::from_secs(3_600);
/// The hub's own tick, and how late it may come before every connection is closed (lane rule 10).
pub const TICK: Duration = Duration::from_secs(1);
/// See [`TICK`].
pub const TICK_LATE_MAX: Duration = Duration::from_secs(30);
/// An edge whose cluster is in no tenant asks again after this long.
pub const NO_TENANT_RETRY: Duration = Duration::from_secs(5);
/// Senders are paced once a second.
pub const PACE_EVERY: Duration = Duration::from_secs(1);
/// What is told to a slowed edge holds so long; it is told again before that.
pub const PACE_HOLDS: Duration = Duration::from_secs(5);
/// The store must be found behind so many times in a row before anyone is slowed.
pub const PACE_SLOW_LOOKS: u32 = 3;
/// Nothing must be the matter so many times in a row before all are free again.
pub const PACE_RELEASE_LOOKS: u32 = 5;
/// An edge may always send so many bytes a second: a batch a minute, on which the end of the trouble shows.
pub const PACE_LEAST: u64 = 16 * 1024;
/// First and longest wait between tries while the store is away.
pub const STORE_RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
