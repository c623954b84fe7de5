use proptest::prelude::*;
use proto_seam::Disk;

use super::*;
use crate::Entry;
use crate::bed::{self, NOW, TRACK, batch, disk, open, position};
use crate::sim_disk::SimDisk;

fn filled(count: u64) -> (SimDisk, Wal) {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.bind(TRACK, bed::producer(1)).unwrap();
    for n in 1..=count {
        wal.append_batch(TRACK, &batch(n, 9_000), &[position(1, n)], NOW).unwrap();
    }
    wal.sync().unwrap();
    (disk, wal)
}

fn chain(wal: &Wal, at: u64) -> Chain {
    wal.chain_at(TRACK, Sequence(at)).unwrap()
}

/// Reads `from..=to` and gives the chain at its end, each entry going on from the one before.
fn read_on(wal: &Wal, from: u64, before: Chain) -> Chain {
    let (mut at, mut chain) = (from, before);
    while at <= wal.durable(TRACK).0 {
        match wal.read(TRACK, Sequence(at)).unwrap().unwrap() {
            Entry::Batch { sequence, chain_previous, digest, .. } => {
                assert_eq!((sequence.0, chain_previous), (at, chain));
                (at, chain) = (at + 1, digest::extend(chain, digest));
            }
            Entry::Gap { from, to, chain_previous, chain_to, .. } => {
                assert_eq!((from.0, chain_previous), (at, chain));
                (at, chain) = (to.0 + 1, chain_to);
            }
        }
    }
    chain
}

#[test]
fn a_hub_that_agrees_acks_what_it_has() {
    let (disk, mut wal) = filled(10);
    let seven = chain(&wal, 7);
    assert_eq!(wal.settle(TRACK, Sequence(7), seven).unwrap(), Settled::Agreed);
    assert_eq!((wal.tracks()[0].acked, wal.tracks()[0].acked_chain), (Sequence(7), seven));
    assert_eq!(wal.settle(TRACK, Sequence(7), seven).unwrap(), Settled::Agreed);
    assert_eq!(wal.settle(TRACK, Sequence(8), Chain([1; 16])).unwrap(), Settled::Diverged);
    assert_eq!(wal.tracks()[0].acked, Sequence(7), "nothing changed");
    assert_eq!(wal.settle(TRACK, Sequence(11), Chain([1; 16])).unwrap(), Settled::Behind);
    assert_eq!(read_on(&wal, 8, seven), wal.tracks()[0].chain);
    drop(wal);
    assert_eq!(open(&disk).1.tracks[0].producer, Some(bed::producer(1)));
    assert!(matches!(open(&disk).0.settle(TRACK, Sequence(0), Chain::default()), Ok(Settled::Agreed)));
}

#[test]
fn a_hub_that_was_rolled_back_gets_it_all_again_from_the_grace() {
    let (disk, mut wal) = filled(20);
    let (five, fifteen) = (chain(&wal, 5), chain(&wal, 15));
    wal.acked(TRACK, Sequence(15)).unwrap();
    wal.trim(NOW).unwrap();
    assert_eq!(wal.settle(TRACK, Sequence(5), five).unwrap(), Settled::RolledBack { lost: None });
    assert_eq!(wal.tracks()[0].acked, Sequence(5));
    assert_eq!((chain(&wal, 15), read_on(&wal, 6, five)), (fifteen, wal.tracks()[0].chain));
    drop(wal);
    let (wal, recovered) = open(&disk);
    assert_eq!((recovered.tracks[0].acked, recovered.lost.len()), (Sequence(5), 0), "a restart knows of it");
    assert_eq!(read_on(&wal, 6, five), wal.tracks()[0].chain);
}

#[test]
fn a_hub_rolled_back_past_the_grace_is_told_what_is_gone() {
    let (disk, mut wal) = filled(20);
    let two = chain(&wal, 2);
    wal.acked(TRACK, Sequence(15)).unwrap();
    let freed = wal.trim(NOW.plus(std::time::Duration::from_secs(0))).unwrap();
    assert_eq!(freed, 0, "all in the grace");
    wal.settings.grace_bytes = 0;
    assert!(wal.trim(NOW).unwrap() > 0);
    let oldest = wal.tracks()[0].oldest.0;
    assert!(oldest > 3);
    let Settled::RolledBack { lost: Some(lost) } = wal.settle(TRACK, Sequence(2), two).unwrap() else { panic!("not rolled back") };
    assert_eq!((lost.from.0, lost.to.0, lost.reason.as_str(), lost.lines), (3, oldest - 1, "hub_rollback", None));
    let end = read_on(&wal, 3, two);
    assert_eq!(end, wal.tracks()[0].chain);
    drop(wal);
    let (mut wal, recovered) = open(&disk);
    assert_eq!((recovered.tracks[0].acked.0, recovered.tracks[0].oldest.0, recovered.lost.len()), (2, 3, 0));
    assert_eq!(read_on(&wal, 3, two), end);
    wal.append_batch(TRACK, &batch(21, 10), &[], NOW).unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.settle(TRACK, Sequence(oldest - 1), digest::extend_gap(two, 3, oldest - 1)).unwrap(), Settled::Agreed, "the hub took the gap");
}

#[test]
fn a_batch_the_hub_has_and_this_disk_lost_is_settled() {
    let (disk, wal) = filled(10);
    let (six, seven) = (chain(&wal, 6), chain(&wal, 7));
    drop(wal);
    let mut at = None;
    crate::inspect(&bed::settings().dir, &disk, &mut |record| {
        if record.sequence == 7 {
            at = Some((record.file, record.offset + 60));
        }
    })
    .unwrap();
    let (file, offset) = at.unwrap();
    assert!(disk.flip(&bed::settings().dir.join(file), offset));
    let (mut wal, recovered) = open(&disk);
    assert_eq!(recovered.lost.len(), 1);
    assert_ne!(chain(&wal, 7), seven, "a gap has a chain of its own");
    // Had the hub got 7 before: its word fits what the record after tells.
    assert_eq!(wal.settle(TRACK, Sequence(7), seven).unwrap(), Settled::Agreed);
    assert_eq!(read_on(&wal, 8, seven), wal.tracks()[0].chain);
    drop(wal);
    // Had it not: the gap goes out in its place.
    let (mut wal, _) = open(&disk);
    assert_eq!(wal.settle(TRACK, Sequence(6), six).unwrap(), Settled::Agreed);
    assert_eq!(read_on(&wal, 7, six), wal.tracks()[0].chain);
}

#[test]
fn a_refused_batch_goes_aside_and_blocks_nobody() {
    let (disk, mut wal) = filled(5);
    let Some(Entry::Batch { body, raw_bytes, .. }) = wal.read(TRACK, Sequence(3)).unwrap() else { panic!("no batch") };
    wal.set_aside(TRACK, Sequence(3), "corrupt").unwrap();
    let Some(Entry::Gap { from, to, lines, bytes, reason, .. }) = wal.read(TRACK, Sequence(3)).unwrap() else { panic!("no gap") };
    assert_eq!((from.0, to.0, lines, bytes, reason.as_str()), (3, 3, Some(2), Some(raw_bytes), "corrupt"));
    read_on(&wal, 1, Chain::default());
    let aside = bed::settings().dir.join("aside").join("1-00000000000000000003.batch");
    assert_eq!(disk.contents(&aside), Some(body.to_vec()));
    wal.set_aside(TRACK, Sequence(3), "again").unwrap();
    wal.set_aside(TRACK, Sequence(99), "never written").unwrap();
    disk.fail_sync(1);
    wal.set_aside(TRACK, Sequence(4), "corrupt").unwrap();
    assert!(matches!(wal.read(TRACK, Sequence(4)).unwrap(), Some(Entry::Gap { .. })), "no copy, but nobody waits for it");
    assert!(matches!(wal.set_aside(TrackId(9), Sequence(1), "x"), Err(WalFault::NoTrack { .. })));
    drop(wal);
    let (wal, recovered) = open(&disk);
    assert!(recovered.lost.is_empty());
    assert!(matches!(wal.read(TRACK, Sequence(3)).unwrap(), Some(Entry::Gap { .. })));
    read_on(&wal, 1, Chain::default());
}

#[test]
fn aside_is_bounded() {
    let (disk, mut wal) = filled(70);
    for n in 1..=70 {
        wal.set_aside(TRACK, Sequence(n), "corrupt").unwrap();
    }
    let aside = disk.list(&bed::settings().dir.join("aside")).unwrap();
    assert_eq!(aside.len(), ASIDE_FILES_MAX);
    assert!(aside.iter().any(|entry| entry.name == "1-00000000000000000070.batch"));
    assert!(!aside.iter().any(|entry| entry.name == "1-00000000000000000001.batch"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn wherever_the_hub_stood_the_chain_goes_on_from_its_word(acked in 0_u64..12, last in 0_u64..12, gap in 1_u64..12, aside in any::<bool>(), reopens in any::<bool>()) {
        let (disk, mut wal) = filled(12);
        wal.acked(TRACK, Sequence(acked)).unwrap();
        if aside && gap > acked {
            wal.set_aside(TRACK, Sequence(gap), "corrupt").unwrap();
        }
        if reopens {
            wal.append_batch(TRACK, &batch(13, 10), &[], NOW).unwrap();
            wal.sync().unwrap();
            drop(wal);
            wal = open(&disk).0;
        }
        let told = chain(&wal, last);
        let settled = wal.settle(TRACK, Sequence(last), told).unwrap();
        prop_assert_eq!(settled, if last >= acked { Settled::Agreed } else { Settled::RolledBack { lost: None } });
        prop_assert_eq!(read_on(&wal, last + 1, told), wal.tracks()[0].chain);
    }
}
