use proptest::prelude::*;
use proto_model::{Chain, Timestamp};
use proto_wire::digest;

use super::*;
use crate::bed::{self, NOW, TRACK, batch, disk, open, open_with, position};
use crate::sim_disk::SimDisk;
use crate::{Entry, Loss, WalSettings};

fn small() -> WalSettings {
    WalSettings { grace_bytes: 0, ..bed::settings() }
}

/// Bodies (or `None` for a gap, with its span) from `from` on, with an unbroken chain after `before`.
fn read_all(wal: &Wal, track: TrackId, from: u64, before: Chain) -> Vec<(u64, Option<Bytes>)> {
    let (mut at, mut chain, mut out) = (from, before, Vec::new());
    while at <= wal.durable(track).0 {
        match wal.read(track, Sequence(at)).unwrap().unwrap() {
            Entry::Batch { sequence, chain_previous, digest, body, .. } => {
                assert_eq!((sequence.0, chain_previous), (at, chain));
                (at, chain) = (at + 1, digest::extend(chain, digest));
                out.push((1, Some(body)));
            }
            Entry::Gap { from, to, chain_previous, chain_to, .. } => {
                assert_eq!((from.0, chain_previous), (at, chain));
                out.push((to.0 + 1 - at, None));
                (at, chain) = (to.0 + 1, chain_to);
            }
        }
    }
    assert_eq!(wal.tracks().into_iter().find(|state| state.track == track).unwrap().chain, chain);
    out
}

/// Batches 1..=count of about 9 kB, in several files; `acked` of them are acked.
fn filled(disk: &SimDisk, count: u64, acked: u64) -> Wal {
    let (mut wal, _) = open_with(disk, small()).unwrap();
    wal.bind(TRACK, bed::producer(1)).unwrap();
    for n in 1..=count {
        wal.append_batch(TRACK, &batch(n, 9_000), &[position(n % 3 + 1, n)], NOW).unwrap();
        if n % 4 == 0 {
            wal.sync().unwrap();
        }
    }
    wal.sync().unwrap();
    wal.acked(TRACK, Sequence(acked)).unwrap();
    wal.trim(NOW).unwrap();
    wal
}

fn bodies(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, Option<Bytes>)> {
    numbers.into_iter().map(|n| (1, Some(batch(n, 9_000).body))).collect()
}

/// The hub has `has` of 1..=last; other digests under the other numbers.
fn committed(last: u64, keeps: u64, has: impl Fn(u64) -> bool) -> Committed {
    let from = last.saturating_sub(keeps) + 1;
    let digests = (from..=last).map(|n| if has(n) { batch(n, 9_000).digest } else { BatchDigest([9; 16]) }).collect();
    Committed { last: Sequence(last), digests }
}

#[test]
fn what_the_hub_has_is_left_out_and_the_rest_is_numbered_anew() {
    let disk = disk(1);
    let mut wal = filled(&disk, 20, 5);
    // The hub has 6..=9 and 11; 10 and 12 are another edge's.
    let told = committed(12, 7, |n| n != 10 && n != 12);
    let carried = wal.carry_over(TRACK, bed::producer(2), &told).unwrap();
    assert_eq!(carried, Carried { left_out: 5, kept: 10 });
    let expected = bodies([10].into_iter().chain(12..=20));
    let state = wal.tracks()[0].clone();
    assert_eq!((state.producer, state.next.0, state.acked.0, state.oldest.0), (Some(bed::producer(2)), 11, 0, 1));
    assert_eq!((state.acked_chain, wal.durable(TRACK)), (Chain::default(), Sequence(10)));
    assert_eq!(read_all(&wal, TRACK, 1, Chain::default()), expected);
    assert_eq!(wal.append_batch(TRACK, &batch(21, 9_000), &[position(1, 21)], NOW).unwrap(), Sequence(11));
    wal.sync().unwrap();
    let positions = wal.positions();
    drop(wal);
    let (mut wal, recovered) = open_with(&disk, small()).unwrap();
    assert_eq!((recovered.lost.len(), recovered.bad_records, recovered.positions), (0, 0, positions));
    assert_eq!(read_all(&wal, TRACK, 1, Chain::default()), [expected, bodies([21])].concat());
    // And once more, from there.
    wal.acked(TRACK, Sequence(3)).unwrap();
    wal.carry_over(TRACK, bed::producer(3), &Committed::default()).unwrap();
    assert_eq!(read_all(&wal, TRACK, 1, Chain::default()), bodies(14..=21));
    drop(wal);
    assert_eq!(read_all(&open_with(&disk, small()).unwrap().0, TRACK, 1, Chain::default()), bodies(14..=21));
}

#[test]
fn gaps_go_on_with_their_counts_and_are_left_out_where_the_hub_has_them() {
    let disk = disk(2);
    let (mut wal, _) = open(&disk);
    wal.bind(TRACK, bed::producer(1)).unwrap();
    let loss = |lines| Loss { lines: Some(lines), reason: "truncated".to_owned(), ..Loss::default() };
    for n in 1..=3 {
        wal.append_batch(TRACK, &batch(n, 9_000), &[], NOW).unwrap();
        wal.append_loss(TRACK, &loss(n), &[], Timestamp(5)).unwrap();
    }
    wal.sync().unwrap();
    let told = Committed { last: Sequence(2), digests: [batch(1, 9_000).digest, BatchDigest([0; 16])].into() };
    assert_eq!(wal.carry_over(TRACK, bed::producer(2), &told).unwrap(), Carried { left_out: 2, kept: 4 });
    let again = open_again(&disk, &mut wal);
    for wal in [&wal, &again] {
        let Some(Entry::Gap { from, to, lines, reason, .. }) = wal.read(TRACK, Sequence(2)).unwrap() else { panic!("no gap") };
        assert_eq!((from.0, to.0, lines, reason.as_str()), (2, 2, Some(2), "truncated"));
        read_all(wal, TRACK, 1, Chain::default());
    }
}

/// A second WAL on a copy of the disk.
fn open_again(original: &SimDisk, wal: &mut Wal) -> Wal {
    wal.sync().unwrap();
    let copy = disk(9);
    proto_seam::Disk::make_dirs(&copy, &bed::settings().dir).unwrap();
    for path in original.paths().iter().filter(|path| path.extension().is_some_and(|ext| ext == "wal")) {
        copy.put(path, &original.contents(path).unwrap());
    }
    open(&copy).0
}

#[test]
fn an_empty_track_and_one_that_the_hub_has_whole_begin_at_one() {
    for (count, acked, told) in [(0, 0, Committed::default()), (6, 6, committed(6, 6, |_| true)), (6, 2, committed(6, 6, |_| true))] {
        let disk = disk(3);
        let mut wal = filled(&disk, count, acked);
        assert_eq!(wal.carry_over(TRACK, bed::producer(2), &told).unwrap(), Carried { left_out: count - acked, kept: 0 });
        assert_eq!(wal.append_batch(TRACK, &batch(7, 9_000), &[], NOW).unwrap(), Sequence(1));
        wal.sync().unwrap();
        drop(wal);
        let (wal, recovered) = open_with(&disk, small()).unwrap();
        assert_eq!((recovered.tracks[0].producer, recovered.tracks[0].next.0), (Some(bed::producer(2)), 2));
        assert_eq!(read_all(&wal, TRACK, 1, Chain::default()), bodies([7]));
    }
}

#[test]
fn files_go_in_an_order_that_keeps_the_numbers() {
    let disk = disk(4);
    let mut wal = filled(&disk, 30, 3);
    wal.carry_over(TRACK, bed::producer(2), &committed(3, 3, |_| true)).unwrap();
    let mut expected: Vec<u64> = (4..=30).collect();
    for n in 31..=60 {
        wal.append_batch(TRACK, &batch(n, 9_000), &[], NOW).unwrap();
        wal.sync().unwrap();
        expected.push(n);
    }
    for acked in 0..=50 {
        wal.acked(TRACK, Sequence(acked)).unwrap();
        wal.trim(NOW).unwrap();
        if acked % 7 == 0 {
            drop(wal);
            wal = open_with(&disk, small()).unwrap().0;
            wal.acked(TRACK, Sequence(acked)).unwrap();
        }
        let state = wal.tracks()[0].clone();
        assert_eq!((state.acked.0, state.next.0), (acked, expected.len() as u64 + 1));
        let left = expected[usize::try_from(acked).unwrap()..].iter().copied();
        assert_eq!(read_all(&wal, TRACK, acked + 1, state.acked_chain), bodies(left));
    }
    let first = wal.usage().bytes;
    assert!(first < 400_000, "old files and the one with the numbers are gone: {first}");
}

#[test]
fn a_damaged_record_of_the_numbers_is_told_and_nothing_is_confused() {
    let disk = disk(5);
    let mut wal = filled(&disk, 8, 2);
    wal.carry_over(TRACK, bed::producer(2), &committed(4, 4, |_| true)).unwrap();
    for n in 9..=12 {
        wal.append_batch(TRACK, &batch(n, 9_000), &[], NOW).unwrap();
    }
    wal.sync().unwrap();
    drop(wal);
    let mut controls = Vec::new();
    crate::inspect(&bed::settings().dir, &disk, &mut |record| {
        if record.kind == crate::InspectedKind::Control {
            controls.push((record.file, record.offset));
        }
    })
    .unwrap();
    let both = controls.split_off(controls.len() - 2);
    let flip = |at: &(String, u64)| assert!(disk.flip(&bed::settings().dir.join(&at.0), at.1 + 60));
    flip(&both[0]);
    let (wal, recovered) = open_with(&disk, small()).unwrap();
    assert_eq!((recovered.bad_records, recovered.lost.len()), (1, 0), "it stands twice");
    assert_eq!(read_all(&wal, TRACK, 1, Chain::default()), bodies(5..=12));
    drop(wal);
    flip(&both[1]);
    let (wal, recovered) = open_with(&disk, small()).unwrap();
    let lost: Vec<_> = recovered.lost.iter().map(|lost| (lost.from.0, lost.to.0)).collect();
    assert_eq!((lost, recovered.tracks[0].next.0), (vec![(1, 4)], 9));
    assert_eq!(read_all(&wal, TRACK, 1, Chain::default()), [vec![(4, None)], bodies(9..=12)].concat());
}

/// Carries over 12 batches of an earlier process and writes on, on a disk that may stop; gives whether it was
/// carried over and the newest batch that was synced after.
fn scenario(disk: &SimDisk) -> (bool, u64) {
    let Ok((mut wal, _)) = open_with(disk, small()) else { return (false, 0) };
    if wal.acked(TRACK, Sequence(3)).is_err() {
        return (false, 0);
    }
    let carried = wal.carry_over(TRACK, bed::producer(2), &committed(6, 6, |n| n != 5)).is_ok();
    let mut synced = 0;
    for n in 13..=24 {
        if wal.append_batch(TRACK, &batch(n, 9_000), &[position(1, n)], NOW).is_ok() && wal.sync().is_ok() {
            synced = n;
        } else {
            break;
        }
    }
    (carried, synced)
}

/// What a restart finds is one of the two states, never a mixture.
fn check(disk: &SimDisk, (carried, synced): (bool, u64), what: &str) {
    let (mut wal, recovered) = open_with(disk, small()).unwrap();
    assert_eq!(recovered.lost, [], "{what}");
    let state = recovered.tracks[0].clone();
    let is_new = state.producer == Some(bed::producer(2));
    assert!(is_new || !carried, "{what}: it was durable");
    let after = if is_new { 7 } else { 12 };
    let more = state.next.0 - 1 - after;
    let numbers: Vec<u64> = if is_new { [5].into_iter().chain(7..=12).collect() } else { (1..=12).collect() };
    let all: Vec<u64> = numbers.into_iter().chain(13..13 + more).collect();
    assert!(all.last().is_some_and(|last| *last >= synced), "{what}: {all:?} after {synced}");
    let from = state.acked.0 + 1;
    let expected = bodies(all[usize::try_from(state.acked.0).unwrap()..].iter().copied());
    assert_eq!(read_all(&wal, TRACK, from, state.acked_chain), expected, "{what}");
    // It can be done (again), and goes on.
    if !is_new {
        wal.carry_over(TRACK, bed::producer(2), &committed(6, 6, |n| n != 5)).unwrap();
    }
    wal.append_batch(TRACK, &batch(99, 9_000), &[], NOW).unwrap();
    wal.sync().unwrap();
    drop(wal);
    disk.crash();
    let (wal, recovered) = open_with(disk, small()).unwrap();
    assert_eq!((recovered.lost.len(), recovered.tracks[0].producer), (0, Some(bed::producer(2))), "{what}");
    assert_eq!(read_all(&wal, TRACK, recovered.tracks[0].acked.0 + 1, recovered.tracks[0].acked_chain).last(), bodies([99]).last(), "{what}");
}

#[test]
fn a_crash_at_every_io_of_carrying_over_leaves_all_of_it_or_nothing() {
    let prepared = |seed| {
        let disk = disk(seed);
        drop(filled(&disk, 12, 3));
        disk
    };
    let whole = prepared(1);
    let before = whole.changes();
    assert_eq!(scenario(&whole), (true, 24));
    let changes = whole.changes() - before;
    assert!(changes > 20, "{changes}");
    for at in 0..=changes {
        for (seed, kills) in [(1, true), (2, false), (3, false), (4, false)] {
            let disk = prepared(seed);
            disk.stop_after(at);
            let done = scenario(&disk);
            if kills {
                disk.kill()
            } else {
                disk.crash()
            }
            check(&disk, done, &format!("change {at}, seed {seed}"));
        }
    }
}

#[test]
fn a_failed_write_or_sync_at_every_place_leaves_all_of_it_or_nothing() {
    for n in 1..24 {
        for fails_sync in [true, false] {
            let disk = disk(n);
            drop(filled(&disk, 12, 3));
            if fails_sync {
                disk.fail_sync(n)
            } else {
                disk.fail_write(n)
            }
            let done = scenario(&disk);
            disk.heal();
            disk.crash();
            check(&disk, done, &format!("{n} {fails_sync}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_hub_has_exactly_the_rest_goes_on(count in 0_u64..30, acked in 0_u64..30, last in 0_u64..30, keeps in 0_u64..30, has in any::<u64>(), more in 0_u64..5) {
        let disk = disk(7);
        let acked = acked.min(count);
        let mut wal = filled(&disk, count, acked);
        let hub_has = |n: u64| has >> (n % 64) & 1 == 1;
        wal.carry_over(TRACK, bed::producer(2), &committed(last, keeps.min(last), hub_has)).unwrap();
        let known = |n: u64| n <= last && n + keeps.min(last) > last;
        let kept: Vec<u64> = (acked + 1..=count).filter(|n| !(known(*n) && hub_has(*n))).chain(100..100 + more).collect();
        for n in 100..100 + more {
            wal.append_batch(TRACK, &batch(n, 9_000), &[], NOW).unwrap();
        }
        wal.sync().unwrap();
        prop_assert_eq!(read_all(&wal, TRACK, 1, Chain::default()), bodies(kept.iter().copied()));
        drop(wal);
        let (wal, recovered) = open_with(&disk, small()).unwrap();
        prop_assert_eq!((recovered.lost.len(), recovered.tracks[0].next.0), (0, kept.len() as u64 + 1));
        prop_assert_eq!(read_all(&wal, TRACK, 1, Chain::default()), bodies(kept));
    }
}
