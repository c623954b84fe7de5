use proto_model::Sequence;

use crate::bed::{self, NOW, TRACK, batch, disk, open, position};
use crate::fault::WalFault;
use crate::{Entry, Room, WalSettings, WhenFull};

/// One file with five batches, the first `acked` of them acked, on a disk without a byte of room.
fn full(acked: u64) -> (crate::sim_disk::SimDisk, crate::Wal) {
    let disk = disk(5);
    let (mut wal, _) = open(&disk);
    for n in 1..=5 {
        wal.append_batch(TRACK, &batch(n, 2_000), &[position(1, n * 10)], NOW).unwrap();
    }
    wal.sync().unwrap();
    disk.set_full(Some(0));
    assert!(matches!(wal.append_batch(TRACK, &batch(6, 2_000), &[], NOW), Err(WalFault::DiskFull { .. })), "the hub has nothing of it");
    wal.acked(TRACK, Sequence(acked)).unwrap();
    (disk, wal)
}

#[test]
fn on_a_full_disk_one_file_that_the_hub_has_gives_way() {
    let (disk, mut wal) = full(5);
    assert_eq!(wal.append_batch(TRACK, &batch(6, 2_000), &[position(1, 60)], NOW).unwrap(), Sequence(6));
    wal.sync().unwrap();
    assert!(!wal.usage().stalled);
    drop(wal);
    disk.crash();
    let (wal, recovered) = open(&disk);
    assert_eq!((recovered.tracks[0].acked, recovered.tracks[0].next), (Sequence(5), Sequence(7)), "nothing is forgotten");
    assert_eq!((recovered.positions, recovered.lost.len()), (vec![position(1, 60)], 0));
    assert!(matches!(wal.read(TRACK, Sequence(6)).unwrap(), Some(Entry::Batch { .. })));
}

#[test]
fn on_a_full_disk_what_the_hub_lacks_stays() {
    let (_, mut wal) = full(4);
    for _ in 0..50 {
        assert!(matches!(wal.append_batch(TRACK, &batch(6, 2_000), &[], NOW), Err(WalFault::DiskFull { .. })));
    }
    assert_eq!(crate::wal::locked(&wal.shared).files.len(), 1, "no file is begun in vain");
    assert!(matches!(wal.read(TRACK, Sequence(5)).unwrap(), Some(Entry::Batch { .. })));
    wal.acked(TRACK, Sequence(5)).unwrap();
    assert_eq!(wal.append_batch(TRACK, &batch(6, 2_000), &[], NOW).unwrap(), Sequence(6));
}

#[test]
fn a_wal_that_is_opened_on_a_full_disk_finds_its_reserve() {
    let (disk, mut wal) = full(0);
    drop(wal);
    (wal, _) = open(&disk);
    assert!(wal.usage().stalled);
    wal.acked(TRACK, Sequence(5)).unwrap();
    assert_eq!(wal.append_batch(TRACK, &batch(6, 2_000), &[], NOW).unwrap(), Sequence(6));
    wal.sync().unwrap();
}

#[test]
fn a_full_disk_is_lived_with_for_ever_while_the_hub_takes_all() {
    let disk = disk(6);
    let (mut wal, _) = bed::open_with(&disk, WalSettings { file_bytes: 1 << 20, ..bed::settings() }).unwrap();
    disk.set_full(Some(40_000));
    for n in 1..=500 {
        assert_eq!(wal.append_batch(TRACK, &batch(n, 2_000), &[position(1, n)], NOW).unwrap(), Sequence(n));
        wal.sync().unwrap();
        wal.acked(TRACK, Sequence(n)).unwrap();
    }
}

#[test]
fn on_a_full_disk_drop_oldest_gives_batches_up_and_tells() {
    let disk = disk(8);
    let (mut wal, _) = bed::open_with(&disk, WalSettings { when_full: WhenFull::DropOldest, ..bed::settings() }).unwrap();
    disk.set_full(Some(300_000));
    let (mut lost, mut dropped) = (0, 0);
    for n in 1..=400 {
        let (one, mut tries) = (batch(n, 5_000), 0);
        while let Err(fault) = wal.append_batch(TRACK, &one, &[position(1, n)], NOW) {
            assert!(matches!(fault, WalFault::DiskFull { .. }), "{fault}");
            tries += 1;
            assert!(tries < 5, "batch {n} never fits");
            assert_eq!(wal.has_room(6_000), Room::DropOldest);
            for one in wal.drop_oldest(6_000, NOW).unwrap() {
                assert_eq!(one.reason, crate::reason::WAL_FULL);
                lost += one.lines.unwrap();
                dropped += 1;
            }
        }
        wal.sync().unwrap();
    }
    assert!(dropped > 3 && lost >= 500, "{dropped} times, {lost} lines");
    drop(wal);
    disk.crash();
    let (wal, recovered) = open(&disk);
    let mut kept = 0;
    let mut next = Sequence(1);
    while next < recovered.tracks[0].next {
        match wal.read(TRACK, next).unwrap().unwrap() {
            Entry::Batch { .. } => (kept, next) = (kept + 2, Sequence(next.0 + 1)),
            Entry::Gap { to, .. } => next = Sequence(to.0 + 1),
        }
    }
    assert_eq!(kept + lost, 800, "every line is kept or told");
}

#[test]
fn under_drop_oldest_a_disk_that_was_given_room_costs_nothing() {
    let disk = disk(9);
    let (mut wal, _) = bed::open_with(&disk, WalSettings { when_full: WhenFull::DropOldest, ..bed::settings() }).unwrap();
    for n in 1..=40 {
        wal.append_batch(TRACK, &batch(n, 5_000), &[], NOW).unwrap();
    }
    wal.sync().unwrap();
    disk.set_full(Some(0));
    assert!(wal.append_batch(TRACK, &batch(41, 5_000), &[], NOW).is_err());
    disk.set_full(None);
    assert_eq!(wal.drop_oldest(6_000, NOW).unwrap(), []);
    assert_eq!(wal.append_batch(TRACK, &batch(41, 5_000), &[], NOW).unwrap(), Sequence(41));
}
