//! Ceilings and waits of the store, each with its reason.

use std::time::Duration;

/// Bytes asked for to read a header: nearly every header fits, so one request brings it (lane rule 2).
pub const HEADER_GET_BYTES: u64 = 64 * 1024;
/// Longest header that is believed: 100 producers that each report 1,000 sources.
pub const HEADER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest snapshot that is believed: a million lane objects of ten tenants.
pub const SNAPSHOT_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Longest object below `control/` that is read: a tenant map of 10,000 tenants.
pub const CONTROL_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest section that is believed.
pub const SECTION_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Labels of one section's table, unfolded: 100,000 streams of 600 bytes.
pub const TABLE_LABEL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A push lies whole in one object (lane rule 10), so an object may pass its target size by one push.
pub const OBJECT_SLACK_BYTES: usize = proto_wire::limits::PUSH_RAW_BYTES_MAX + proto_wire::limits::FRAME_BYTES_MAX;
/// Target size of a lane object.
pub const OBJECT_BYTES: usize = 8 * 1024 * 1024;
/// Memory for section bytes and tables.
pub const CACHE_BYTES: usize = 128 * 1024 * 1024;

/// Largest number of a lane: a billion a second for 290 years, and sums of two never overflow.
pub const NUMBER_MAX: u64 = (1 << 63) - 1;
/// Headers asked for at once while following: 32 x 64 KiB in memory (lane rule 7).
pub const FOLLOW_AT_ONCE: u64 = 32;
/// Bytes of headers kept before they are folded.
pub const FOLLOW_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Lanes followed at once: 50 idle ones take four turns of a request or two, well below [`FOLLOW_EVERY`].
pub const LANES_AT_ONCE: usize = 32;
/// Between two rounds of following (lane rule 7).
pub const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// So long after a fresh view was asked for, rounds keep all lanes fresh; after that they only look for what is new.
pub const ASKED_LATELY: Duration = Duration::from_secs(60);
/// A round at least this often keeps all lanes fresh: a hub that slept through a collection finds out by it.
pub const WHOLE_EVERY: Duration = Duration::from_secs(30);
/// Longest wait between rounds while the store fails.
pub const FOLLOW_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long a query waits for its view to be fresh.
pub const FRESH_WAIT_MAX: Duration = Duration::from_secs(5);
/// Wait between two tries of a query to get a fresh view.
pub const FRESH_RETRY: Duration = Duration::from_millis(200);
/// How often a lane's state is started anew in one go (lane rule 11) before the lane counts as unreadable.
pub const RESTARTS_MAX: u32 = 4;
/// Before a lane is started anew once more: times the attempt.
pub const RESTART_WAIT: Duration = Duration::from_millis(100);
/// Between two looks whether a snapshot is due.
pub const SNAPSHOT_LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tries of one amendment before its caller is told: a lane that others write without pause is won well before.
pub const AMEND_TRIES: u32 = 32;
/// Random wait in ms before an amendment is tried again, at first; doubles up to 16 times this.
pub const AMEND_WAIT_MS: u64 = 10;
/// Without an object for so long a lane counts as nobody's (lane rule 1).
pub const LANE_IDLE: Duration = Duration::from_secs(30);

/// Numbers between two snapshots (lane rule 11).
pub const SNAPSHOT_EVERY: u64 = 256;
/// While nothing is absorbed a snapshot grows with the lane: then one for each 64th part of it, so that
/// writing them stays a fixed share of the work. At most 16,384 numbers above the floor this is rule 11.
pub const SNAPSHOT_SHARE: u64 = 64;
/// Snapshots kept (lane rule 11).
pub const SNAPSHOTS_KEPT: usize = 2;

/// Tries of a GET, LIST or DELETE. A create is tried once, always (lane rule 5).
pub const READ_TRIES: u32 = 4;
/// First wait between tries; doubles.
pub const READ_BACKOFF: Duration = Duration::from_millis(50);
/// One try of a header, control object, LIST or DELETE.
pub const SMALL_TIMEOUT: Duration = Duration::from_secs(10);
/// One try of a section, a snapshot, or a create.
pub const LARGE_TIMEOUT: Duration = Duration::from_secs(30);
/// To reach the store's socket.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries of a create under ever new content where the name is fixed (first producer, registration, map).
pub const CREATE_ROUNDS: u32 = 5;
/// Names in one listing: snapshots are two, tokens are made by hand; more is not ours.
pub const LIST_NAMES_MAX: usize = 100_000;

/// Digests kept for a producer: the link's window (`proto_wire::limits::WINDOW_BATCHES`).
pub const DIGESTS_KEPT: usize = proto_wire::limits::WINDOW_BATCHES as usize;
/// Sources whose positions are kept for a producer.
pub const SOURCES_MAX: usize = 4_096;
/// A source is forgotten this long after it was reported gone.
pub const GONE_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// What a closed producer knew of its newest batches and its sources is kept this long: whoever opens the
/// next one needs it.
pub const CLOSED_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// A push key is good for an hour; the rest is room for hubs whose clocks differ.
pub const PUSH_KEY_KEPT: Duration = Duration::from_secs(75 * 60);
/// What is too old to be kept is looked for once in so many numbers: there may be 100,000s of push keys.
pub const TIDY_EVERY: u64 = 64;
/// Loss records kept for one edge of a tenant; the oldest two become one after that.
pub const LOSSES_KEPT: usize = 256;
/// Lane numbers in one shared piece of a fold's directory.
pub const LOG_PIECE: u64 = 256;
/// Longest text (identity, reason, source, writer) that a record may hold.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Longest push key.
pub const PUSH_KEY_BYTES_MAX: usize = 256;

/// Longest manifest that is believed: half a million segments.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Manifests read in one go before the one they follow is looked at again: whole states, so few.
pub const MANIFESTS_AT_ONCE: u64 = 8;
/// Manifests of a tenant that are never deleted (lane rule 16).
pub const MANIFESTS_KEPT: usize = 2;
/// Memory for manifests of all tenants; those not used for longest are read anew.
pub const MANIFEST_MEMORY_MAX: usize = 64 * 1024 * 1024;
/// Open deletes of one tenant: each is looked at for every stream that a query reads.
pub const DELETES_OPEN_MAX: usize = 64;
/// Deletes of one tenant that are shown after they were carried out.
pub const DELETES_DONE_KEPT: usize = 32;
/// Longest query of a delete: it lies in every manifest while it is open.
pub const DELETE_QUERY_BYTES_MAX: usize = 4_096;
/// Tries to write a manifest that others write too, before who asks is told to ask again.
pub const COMMIT_TRIES: u32 = 16;
/// Lane objects above the floor at which the senders of a lane are slowed (lane rule 19).
pub const BEHIND_OBJECTS_MAX: u64 = 16_384;
/// Bytes of lane objects above the floor at which the senders of a lane are slowed (lane rule 19).
pub const BEHIND_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// Lane objects deleted in one go: 3 requests each.
pub const COLLECT_AT_ONCE: usize = 512;
/// A hub's clock and the store's may differ by this much before nothing is deleted any more.
pub const CLOCKS_APART_MAX: Duration = Duration::from_secs(5 * 60);
/// Names in one listing of lane objects or segments: two days of a lane that writes five a second. What is
/// beyond them is met by a later listing, since the first are deleted.
pub const LIST_DATED_MAX: usize = 1_000_000;
/// Lane numbers without sections after which the floor is raised all the same (lane rule 13).
pub const FLOOR_EVERY: u64 = 256;
/// Collections of a lane that go on where the last one ended, before its objects are listed again: a sleeper
/// may have made some below.
pub const LIST_LANE_EVERY: u32 = 256;
