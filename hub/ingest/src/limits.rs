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
