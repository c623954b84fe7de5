//! What the tests of this crate share: settings, batches, a position, a reopened WAL. Must not do: assert.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proto_model::{Labels, ProducerId, Timestamp, TrackId};
use proto_seam::{Disk, Entropy, FileIdentity};
use proto_wire::{BatchBuilder, Compression, FrozenBatch};

use crate::sim_disk::SimDisk;
use crate::{Recovered, SourcePosition, Wal, WalFault, WalSettings, WhenFull};

/// The track of most tests.
pub(crate) const TRACK: TrackId = TrackId(1);
/// The time of most tests.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Settings with small files.
pub(crate) fn settings() -> WalSettings {
    WalSettings {
        dir: PathBuf::from("/state/wal"),
        max_bytes: 1 << 40,
        max_age: Duration::ZERO,
        when_full: WhenFull::Block,
        grace_bytes: 1 << 40,
        grace_age: Duration::from_secs(3600),
        file_bytes: 64 * 1024,
    }
}

/// A simulated disk from a seed.
pub(crate) fn disk(seed: u64) -> SimDisk {
    SimDisk::new(&Entropy::seeded(seed))
}

/// Opens a WAL on `disk`.
pub(crate) fn open_with(disk: &SimDisk, settings: WalSettings) -> Result<(Wal, Recovered), WalFault> {
    Wal::open(settings, Arc::new(disk.clone()) as Arc<dyn Disk>, &Entropy::seeded(7), NOW)
}

/// Opens a WAL on `disk` with [`settings`].
pub(crate) fn open(disk: &SimDisk) -> (Wal, Recovered) {
    open_with(disk, settings()).unwrap()
}

/// A batch that tells its number, of about `bytes` bytes that do not compress.
pub(crate) fn batch(number: u64, bytes: usize) -> FrozenBatch {
    let entropy = Entropy::seeded(number);
    let noise: Vec<u8> = std::iter::repeat_with(|| entropy.next_u64().to_le_bytes()).flatten().take(bytes).collect();
    let labels = Arc::new(Labels::from_pairs([("app", "test")]));
    let mut builder = BatchBuilder::new();
    builder.push(&labels, Timestamp(i64::try_from(number).unwrap()), 0, &[], format!("line {number}").as_bytes());
    builder.push(&labels, Timestamp(i64::try_from(number).unwrap() + 1), 0, &[], &noise);
    builder.freeze(Compression::None).unwrap()
}

/// Source `source` read up to `offset`.
pub(crate) fn position(source: u64, offset: u64) -> SourcePosition {
    SourcePosition {
        path: format!("/var/log/{source}.log"),
        identity: FileIdentity { device: 1, inode: source },
        head_hash: source * 31,
        head_len: 100,
        generation: 0,
        offset,
        resume: offset.saturating_sub(3),
        held: b"abc".to_vec(),
        gone: false,
        size: offset + 10,
        modified_ns: 1_700_000_000_000_000_000,
        after: "20260101-000000".to_owned(),
        done: false,
        begun: 0,
        ..SourcePosition::default()
    }
}

/// [`position`] as a batch of the first track told it.
pub(crate) fn told(inode: u64, offset: u64) -> SourcePosition {
    SourcePosition { track: TRACK.0, ..position(inode, offset) }
}

/// A producer.
pub(crate) fn producer(unique: u128) -> ProducerId {
    ProducerId { lane: proto_model::LaneId(5), unique }
}
