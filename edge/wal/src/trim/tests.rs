use proto_model::Sequence;

use super::*;
use crate::bed::{NOW, TRACK, batch, disk, open_with, settings};
use crate::{Wal, WalSettings};

fn facts(files: &[(u32, u64, i64)]) -> (BTreeMap<u32, FileFact>, BTreeMap<u32, Clear>) {
    let fact = |bytes, secs| FileFact { bytes, clear_since: Some(Timestamp::from_secs(secs)), needs_next: false };
    let clear = Clear { is_durable: true, holds_acked: true };
    (files.iter().map(|(n, bytes, secs)| (*n, fact(*bytes, *secs))).collect(), files.iter().map(|(n, ..)| (*n, clear)).collect())
}

#[test]
fn grace_is_the_smaller_of_bytes_and_age() {
    let (files, mut clear) = facts(&[(1, 10, 0), (2, 10, 50), (3, 10, 90), (4, 10, 95)]);
    let at = |bytes, secs| outside_grace(&files, &clear, bytes, Duration::from_secs(secs), Timestamp::from_secs(100));
    assert_eq!(at(100, 1000), BTreeSet::new());
    assert_eq!(at(100, 60), BTreeSet::from([1]));
    assert_eq!(at(25, 1000), BTreeSet::from([1, 2]));
    assert_eq!(at(0, 1000), BTreeSet::from([1, 2, 3, 4]));
    assert_eq!(at(100, 0), BTreeSet::from([1, 2, 3, 4]));
    clear.insert(2, Clear { is_durable: true, holds_acked: false });
    assert_eq!(outside_grace(&files, &clear, 100, Duration::from_secs(1000), Timestamp::from_secs(100)), BTreeSet::from([2]), "nobody asks for it again");
}

#[test]
fn a_file_that_tells_anothers_end_stays_with_it() {
    let (mut files, _) = facts(&[(1, 1, 0), (2, 1, 0), (3, 1, 0), (4, 1, 0)]);
    for number in [1, 2] {
        files.get_mut(&number).unwrap().needs_next = true;
    }
    assert_eq!(with_those_before(&files, &BTreeSet::new(), &BTreeSet::from([2, 3, 4])), BTreeSet::from([4]));
    assert_eq!(with_those_before(&files, &BTreeSet::new(), &BTreeSet::from([1, 2, 3])), BTreeSet::from([1, 2, 3]));
    let rebased = BTreeSet::from([3]);
    files.values_mut().for_each(|file| file.needs_next = false);
    assert_eq!(with_those_before(&files, &rebased, &BTreeSet::from([2, 3, 4])), BTreeSet::from([2, 4]), "3 tells how 1 is numbered now");
    assert_eq!(with_those_before(&files, &rebased, &BTreeSet::from([1, 2, 3])), BTreeSet::from([1, 2, 3]));
}

/// Ten batches in five files and more.
fn filled(settings: WalSettings) -> (crate::sim_disk::SimDisk, Wal) {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, settings).unwrap();
    for n in 1..=10 {
        wal.append_batch(TRACK, &batch(n, 30_000), &[], NOW).unwrap();
        wal.sync().unwrap();
    }
    (disk, wal)
}

fn files(disk: &crate::sim_disk::SimDisk) -> usize {
    disk.paths().iter().filter(|path| path.extension().is_some_and(|ext| ext == "wal")).count()
}

#[test]
fn nothing_unacked_is_trimmed_and_all_acked_is_after_the_grace() {
    let (disk, mut wal) = filled(WalSettings { grace_age: Duration::from_secs(60), ..settings() });
    let later = |secs| NOW.plus(Duration::from_secs(secs));
    let before = files(&disk);
    assert_eq!((before, wal.trim(later(1000)).unwrap()), (4, 0));
    wal.acked(TRACK, Sequence(7)).unwrap();
    assert_eq!(wal.trim(later(1000)).unwrap(), 0, "the grace begins when the ack is seen");
    assert_eq!(wal.trim(later(1059)).unwrap(), 0);
    assert!(wal.trim(later(1060)).unwrap() > 180_000);
    assert_eq!(files(&disk), 2);
    assert_eq!(wal.tracks()[0].oldest, Sequence(7), "the file with 7 has 8 too");
    assert!(wal.read(TRACK, Sequence(7)).unwrap().is_some() && wal.read(TRACK, Sequence(6)).unwrap().is_none());
    drop(wal);
    let (wal, recovered) = open_with(&disk, settings()).unwrap();
    assert_eq!((recovered.tracks[0].acked, recovered.lost.len(), recovered.bad_records), (Sequence(7), 0, 0), "the ack was made durable first");
    assert_eq!(wal.tracks()[0].oldest, Sequence(7));
}

#[test]
fn a_full_disk_does_not_keep_trim_from_freeing_it() {
    let (disk, mut wal) = filled(WalSettings { grace_bytes: 0, ..settings() });
    wal.acked(TRACK, Sequence(4)).unwrap();
    wal.append_batch(TRACK, &batch(11, 10), &[], NOW).unwrap();
    wal.sync().unwrap();
    wal.acked(TRACK, Sequence(8)).unwrap();
    disk.set_full(Some(0));
    let fault = wal.trim(NOW).unwrap_err();
    assert!(matches!(fault, WalFault::DiskFull { .. }), "{fault}");
    assert_eq!(wal.tracks()[0].oldest, Sequence(4), "what was durably acked went");
    assert!(wal.trim(NOW).unwrap() > 0, "and made room to write the rest down");
    assert_eq!(wal.tracks()[0].oldest, Sequence(7));
}
