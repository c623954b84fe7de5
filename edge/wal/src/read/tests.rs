use std::sync::Arc;

use proto_seam::{Disk, Entropy};

use super::*;
use crate::bed::{self, NOW, TRACK, batch, disk, open, position, told};
use crate::{Wal, inspect};

/// Where batch `sequence` lies: its file's path, the offset of its body's last byte.
fn place(disk: &crate::sim_disk::SimDisk, sequence: u64) -> (PathBuf, u64) {
    let mut found = None;
    inspect(&bed::settings().dir, disk, &mut |record| {
        if record.sequence == sequence {
            found = Some((bed::settings().dir.join(&record.file), record.offset + record.bytes - 1));
        }
    })
    .unwrap();
    found.unwrap()
}

#[test]
fn what_turns_out_damaged_becomes_a_gap_and_blocks_nobody() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    let batches: Vec<_> = (1..=4).map(|n| batch(n, 5_000)).collect();
    for frozen in &batches {
        wal.append_batch(TRACK, frozen, &[position(1, 5)], NOW).unwrap();
    }
    wal.sync().unwrap();
    let (path, offset) = place(&disk, 2);
    assert!(disk.flip(&path, offset));
    let reader = wal.reader();
    let Some(Entry::Gap { from, to, lines, reason, chain_to, .. }) = reader.read(TRACK, Sequence(2)).unwrap() else { panic!("no gap") };
    assert_eq!((from.0, to.0, lines, reason.as_str()), (2, 2, Some(2), "wal_damaged"));
    let Some(Entry::Batch { chain_previous, body, positions, .. }) = reader.read(TRACK, Sequence(3)).unwrap() else { panic!("no batch") };
    assert_eq!((chain_previous, body, positions), (chain_to, batches[2].body.clone(), vec![told(1, 5)]));
    assert_eq!(wal.usage().damaged_reads, 1);
    assert_eq!(wal.append_batch(TRACK, &batches[0], &[], NOW).unwrap(), Sequence(5));
    wal.sync().unwrap();
    let tail = wal.tracks()[0].chain;
    drop(wal);
    assert_eq!(open(&disk).1.tracks[0].chain, tail, "a restart finds the same gap");
}

#[test]
fn a_disk_that_does_not_answer_is_asked_again_a_few_times() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    for n in 1..=3 {
        wal.append_batch(TRACK, &batch(n, 5_000), &[], NOW).unwrap();
    }
    wal.sync().unwrap();
    let (path, offset) = place(&disk, 2);
    disk.make_unreadable(&path, offset, offset + 1);
    let reader = wal.reader();
    assert!(matches!(reader.read(TRACK, Sequence(2)), Err(WalFault::Io { .. })));
    disk.make_readable();
    assert!(matches!(reader.read(TRACK, Sequence(2)).unwrap(), Some(Entry::Batch { .. })));
    disk.make_unreadable(&path, offset, offset + 1);
    let tries = (0..10).take_while(|_| reader.read(TRACK, Sequence(2)).is_err()).count();
    assert!(tries < usize::try_from(READ_TRIES_MAX).unwrap());
    assert!(matches!(reader.read(TRACK, Sequence(2)).unwrap(), Some(Entry::Gap { .. })));
    assert!(matches!(reader.read(TRACK, Sequence(3)).unwrap(), Some(Entry::Batch { .. })));
}

#[test]
fn what_is_not_here_is_none_and_unknown_tracks_are_faults() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.append_batch(TRACK, &batch(1, 10), &[], NOW).unwrap();
    for sequence in [0, 1, 2, u64::MAX] {
        assert_eq!(wal.read(TRACK, Sequence(sequence)).unwrap(), None);
    }
    wal.sync().unwrap();
    assert!(wal.read(TRACK, Sequence(1)).unwrap().is_some());
    assert!(matches!(wal.read(TrackId(2), Sequence(1)), Err(WalFault::NoTrack { .. })));
    assert_eq!(wal.durable(TrackId(2)), Sequence(0));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a reader beside a writer is two threads")]
fn readers_follow_a_writer_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let settings = crate::WalSettings { dir: dir.path().join("wal"), grace_bytes: 0, ..bed::settings() };
    let real: Arc<dyn Disk> = Arc::new(proto_seam::disk::real::RealDisk::new());
    let (mut wal, _) = Wal::open(settings.clone(), Arc::clone(&real), &Entropy::seeded(1), NOW).unwrap();
    let reader = wal.reader();
    let count = 150;
    let follower = std::thread::spawn(move || {
        let mut next = 1;
        while next <= count {
            if reader.durable(TRACK).0 < next {
                std::thread::yield_now();
                continue;
            }
            let Some(Entry::Batch { body, .. }) = reader.read(TRACK, Sequence(next)).unwrap() else { panic!("{next} is missing") };
            assert_eq!(body, batch(next, 3_000).body);
            next += 1;
        }
    });
    for n in 1..=count {
        wal.append_batch(TRACK, &batch(n, 3_000), &[position(1, n)], NOW).unwrap();
        wal.sync().unwrap();
    }
    follower.join().unwrap();
    wal.acked(TRACK, Sequence(count)).unwrap();
    assert!(wal.trim(NOW).unwrap() > 300_000);
    drop(wal);
    let (wal, recovered) = Wal::open(settings, real, &Entropy::seeded(2), NOW).unwrap();
    assert_eq!((recovered.tracks[0].next.0, recovered.tracks[0].acked.0, recovered.positions), (count + 1, count, vec![told(1, count)]));
    assert!(wal.usage().bytes < 70_000);
}
