//! Opening a large WAL takes little memory, whatever lies in it: alone in its process, so that the peak is its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_wal::{Entry, Wal, WalSettings, WhenFull};
use proto_model::{Sequence, Timestamp, TrackId};
use proto_seam::disk::real::RealDisk;
use proto_seam::{Disk, Entropy, OpenHow};
use proto_wire::FrozenBatch;

const BATCH_BYTES: usize = 1024 * 1024;
const BATCHES: u64 = 150;

/// The peak of resident memory since it was last forgotten, in KiB.
fn peak_kib() -> u64 {
    let status = RealDisk::new().read_all(Path::new("/proc/self/status"), 1 << 20).expect("procfs is there");
    let status = String::from_utf8(status).expect("procfs is text");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells the peak");
    line.trim().trim_end_matches(" kB").trim().parse().expect("it is a number")
}

fn forget_peak() {
    let mut file = RealDisk::new().open(Path::new("/proc/self/clear_refs"), OpenHow::Append).expect("procfs is there");
    file.append(b"5").expect("the kernel forgets the peak");
}

fn batch(entropy: &Entropy) -> FrozenBatch {
    let body: Vec<u8> = std::iter::repeat_with(|| entropy.next_u64().to_le_bytes()).take(BATCH_BYTES / 8).flatten().collect();
    let digest = proto_wire::digest::of_batch(&body);
    FrozenBatch { body: body.into(), digest, lines: 1, raw_bytes: BATCH_BYTES as u64, min: Timestamp(1), max: Timestamp(2) }
}

#[test]
fn recovery_holds_neither_files_nor_bodies() {
    let dir = tempfile::tempdir().unwrap();
    let settings = WalSettings {
        dir: dir.path().join("wal"),
        max_bytes: 10 << 30,
        max_age: Duration::ZERO,
        when_full: WhenFull::Block,
        grace_bytes: 1 << 30,
        grace_age: Duration::from_secs(3600),
        file_bytes: edge_wal::limits::FILE_BYTES,
    };
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    let entropy = Entropy::seeded(1);
    let (mut wal, _) = Wal::open(settings.clone(), Arc::clone(&disk), &entropy, Timestamp(0)).unwrap();
    for _ in 0..BATCHES {
        wal.append_batch(TrackId(1), &batch(&entropy), &[], Timestamp(0)).unwrap();
    }
    wal.sync().unwrap();
    assert!(wal.usage().bytes > 2 * edge_wal::limits::FILE_BYTES);
    drop(wal);

    forget_peak();
    let before = peak_kib();
    let (wal, recovered) = Wal::open(settings, disk, &entropy, Timestamp(0)).unwrap();
    let grown = peak_kib() - before;
    assert_eq!(recovered.tracks[0].next, Sequence(BATCHES + 1));
    assert!(grown < 2 * 1024, "opening {} MiB took {grown} KiB", wal.usage().bytes >> 20);

    forget_peak();
    let before = peak_kib();
    for sequence in 1..=BATCHES {
        assert!(matches!(wal.read(TrackId(1), Sequence(sequence)).unwrap(), Some(Entry::Batch { body, .. }) if body.len() == BATCH_BYTES));
    }
    let grown = peak_kib() - before;
    assert!(grown < 8 * 1024, "reading one batch after the other took {grown} KiB");
}
