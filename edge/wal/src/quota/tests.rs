use std::time::Duration;

use proptest::prelude::*;
use proto_model::Chain;

use super::*;
use crate::bed::{self, NOW, TRACK, batch, disk, open_with, position, settings};
use crate::sim_disk::SimDisk;
use crate::{Entry, Loss, WalSettings};

fn dropping(max_bytes: u64) -> WalSettings {
    WalSettings { max_bytes, when_full: WhenFull::DropOldest, grace_bytes: 0, ..settings() }
}

#[test]
fn room_is_what_is_left_with_what_could_go() {
    let at = |used, clear, need| room(used, clear, need, 100, WhenFull::Block);
    assert_eq!((at(90, 0, 10), at(90, 0, 11), at(90, 1, 11)), (Room::Yes, Room::Block, Room::Yes));
    assert_eq!(room(u64::MAX, 0, u64::MAX, 100, WhenFull::DropOldest), Room::DropOldest);
}

#[test]
fn the_oldest_files_go_until_it_is_enough() {
    let files = (1..=5).map(|n| (n, FileFact { bytes: 10, ..FileFact::default() })).collect();
    assert_eq!(choose(&files, &BTreeSet::from([2, 5]), 15), BTreeSet::from([1, 3]));
    assert_eq!(choose(&files, &BTreeSet::new(), 0), BTreeSet::new());
    assert_eq!(choose(&files, &BTreeSet::from([5]), 1000), BTreeSet::from([1, 2, 3, 4]));
}

/// Appends batches of 30,000 bytes until there is no room.
fn fill(wal: &mut Wal, from: u64) -> u64 {
    let mut n = from;
    while wal.has_room(30_500) == Room::Yes {
        wal.append_batch(TRACK, &batch(n, 30_000), &[position(1, n)], NOW).unwrap();
        wal.sync().unwrap();
        n += 1;
    }
    n
}

/// All that a reader finds from the ack on, checked to be one chain.
fn entries(wal: &Wal) -> Vec<Entry> {
    let state = &wal.tracks()[0];
    let (mut at, mut chain) = (state.acked.0 + 1, state.acked_chain);
    let mut out = Vec::new();
    while at < state.next.0 {
        let entry = wal.read(TRACK, Sequence(at)).unwrap().unwrap_or_else(|| panic!("{at} of {state:?}"));
        let (previous, after): (Chain, Chain) = match &entry {
            Entry::Batch { sequence, chain_previous, digest, .. } => {
                at = sequence.0 + 1;
                (*chain_previous, digest::extend(*chain_previous, *digest))
            }
            Entry::Gap { from, to, chain_previous, chain_to, .. } => {
                assert_eq!(*chain_to, digest::extend_gap(*chain_previous, from.0, to.0));
                at = to.0 + 1;
                (*chain_previous, *chain_to)
            }
        };
        assert_eq!(previous, chain);
        chain = after;
        out.push(entry);
    }
    assert_eq!(chain, state.chain);
    out
}

fn gaps(entries: &[Entry]) -> Vec<(u64, u64, Option<u64>, String)> {
    let gap = |entry: &Entry| if let Entry::Gap { from, to, lines, reason, .. } = entry { Some((from.0, to.0, *lines, reason.clone())) } else { None };
    entries.iter().filter_map(gap).collect()
}

#[test]
fn a_full_wal_blocks_and_goes_on_after_an_ack() {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, WalSettings { when_full: WhenFull::Block, ..dropping(1_000_000) }).unwrap();
    let next = fill(&mut wal, 1);
    assert_eq!(wal.has_room(30_500), Room::Block);
    assert!(wal.usage().bytes <= 1_000_000 && wal.usage().unacked_batches == next - 1);
    while wal.append_batch(TRACK, &batch(next, 30_000), &[], NOW).is_ok() {}
    let fault = wal.append_batch(TRACK, &batch(next, 30_000), &[], NOW).unwrap_err();
    assert!(matches!(fault, WalFault::Full { max: 1_000_000, .. }), "{fault}");
    assert!(wal.usage().bytes <= 1_000_000 + 31_000, "the bound and one batch");
    wal.sync().unwrap();
    wal.acked(TRACK, Sequence(20)).unwrap();
    assert_eq!(wal.has_room(30_500), Room::Yes, "acked records give way, grace or not");
    wal.append_batch(TRACK, &batch(next, 30_000), &[], NOW).unwrap();
    assert!(wal.usage().bytes <= 1_000_000 && wal.tracks()[0].oldest > Sequence(1));
}

#[test]
fn what_is_dropped_becomes_one_gap_however_often() {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, dropping(1_000_000)).unwrap();
    let mut next = 1;
    let mut lost_lines = 0;
    let mut first = 1;
    for _ in 0..12 {
        next = fill(&mut wal, next);
        assert_eq!(wal.has_room(30_500), Room::DropOldest);
        let lost = wal.drop_oldest(30_500, NOW).unwrap();
        assert_eq!(lost.len(), 1);
        assert_eq!((lost[0].from.0, lost[0].reason.as_str()), (first, "wal_full"), "told once");
        first = lost[0].to.0 + 1;
        lost_lines += lost[0].lines.unwrap();
        assert_eq!(lost[0].lines, Some(2 * (lost[0].to.0 - lost[0].from.0 + 1)));
        assert_eq!(wal.has_room(30_500), Room::Yes);
    }
    let found = entries(&wal);
    assert_eq!(gaps(&found), [(1, first - 1, Some(lost_lines), "wal_full".to_owned())]);
    let Entry::Gap { bytes, min, max, .. } = &found[0] else { panic!("no gap") };
    assert!(bytes.unwrap() > 30_000 * (first - 1) && *min == Timestamp(1) && max.nanos() == i64::try_from(first).unwrap());
    drop(wal);
    let (wal, recovered) = open_with(&disk, dropping(1_000_000)).unwrap();
    assert_eq!((recovered.lost, recovered.bad_records, entries(&wal)), (Vec::new(), 0, found), "a restart finds the same");
}

#[test]
fn the_file_that_is_written_is_closed_when_it_alone_can_go() {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, dropping(100_000)).unwrap();
    let next = fill(&mut wal, 1);
    assert_eq!(next, 4);
    assert_eq!(wal.drop_oldest(30_500, NOW).unwrap()[0].to, Sequence(3));
    assert_eq!(wal.has_room(30_500), Room::Yes);
    assert_eq!(wal.append_batch(TRACK, &batch(4, 30_000), &[], NOW).unwrap(), Sequence(4));
    wal.sync().unwrap();
    assert_eq!(gaps(&entries(&wal)), [(1, 3, Some(6), "wal_full".to_owned())]);
}

#[test]
fn what_may_have_been_sent_is_never_dropped() {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, dropping(1_000_000)).unwrap();
    wal.bind(TRACK, bed::producer(1)).unwrap();
    let next = fill(&mut wal, 1);
    wal.acked(TRACK, Sequence(3)).unwrap();
    assert!(wal.read(TRACK, Sequence(6)).unwrap().is_some());
    let mut next = fill(&mut wal, next);
    for _ in 0..6 {
        wal.drop_oldest(30_500, NOW).unwrap();
        next = fill(&mut wal, next);
    }
    let found = entries(&wal);
    assert!(found[..3].iter().all(|entry| matches!(entry, Entry::Batch { .. })), "4 to 6 were sent: {:?}", gaps(&found));
    assert_eq!(gaps(&found).len(), 1);
    drop(wal);
    // A new process does not know what was sent: all that could be in flight stays, so nothing can go here.
    let (mut wal, _) = open_with(&disk, dropping(1_000_000)).unwrap();
    assert_eq!(wal.drop_oldest(30_500, NOW).unwrap(), []);
    assert_eq!(wal.has_room(30_500), Room::DropOldest);
    // The hub says where it stands: then it can.
    let (at, chain) = (Sequence(4), wal.chain_at(TRACK, Sequence(4)).unwrap());
    assert_eq!(wal.settle(TRACK, at, chain).unwrap(), crate::Settled::Agreed);
    assert!(!wal.drop_oldest(30_500, NOW).unwrap().is_empty());
    assert_eq!(wal.has_room(30_500), Room::Yes);
}

#[test]
fn losses_of_other_kinds_survive_the_drop_as_they_are() {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, dropping(1_000_000)).unwrap();
    wal.append_batch(TRACK, &batch(1, 30_000), &[], NOW).unwrap();
    let loss = Loss { lines: Some(77), reason: "truncated".to_owned(), source: "/var/log/a".to_owned(), ..Loss::default() };
    wal.append_loss(TRACK, &loss, &[], NOW).unwrap();
    let mut next = fill(&mut wal, 3);
    for _ in 0..4 {
        assert!(!wal.drop_oldest(30_500, NOW).unwrap().is_empty());
        next = fill(&mut wal, next);
    }
    let found = gaps(&entries(&wal));
    assert_eq!(found[..2], [(1, 1, Some(2), "wal_full".to_owned()), (2, 2, Some(77), "truncated".to_owned())]);
    assert_eq!(found.len(), 3);
}

#[test]
fn what_is_too_old_is_dropped_by_age() {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, WalSettings { max_age: Duration::from_secs(60), ..dropping(1 << 40) }).unwrap();
    for n in 1..=10 {
        wal.append_batch(TRACK, &batch(n, 10), &[], NOW.plus(Duration::from_secs(n * 10))).unwrap();
    }
    let at = |secs| NOW.plus(Duration::from_secs(secs));
    assert_eq!(wal.drop_aged(at(1000)).unwrap(), [], "what is not durable is not old");
    wal.sync().unwrap();
    assert_eq!(wal.drop_aged(at(70)).unwrap(), []);
    let told = |lost: Vec<Lost>| lost.into_iter().map(|lost| (lost.from.0, lost.to.0, lost.lines, lost.reason)).collect::<Vec<_>>();
    assert_eq!(told(wal.drop_aged(at(91)).unwrap()), [(1, 3, Some(6), "wal_age".to_owned())]);
    assert_eq!(told(wal.drop_aged(at(91)).unwrap()), []);
    assert_eq!(told(wal.drop_aged(at(101)).unwrap()), [(4, 4, Some(2), "wal_age".to_owned())]);
    assert_eq!(gaps(&entries(&wal)), [(1, 4, Some(8), "wal_age".to_owned())]);
    assert_eq!(wal.usage().oldest_unacked, Some(at(50)));
    let (mut forever, _) = open_with(&bed::disk(2), dropping(1 << 40)).unwrap();
    forever.append_batch(TRACK, &batch(1, 10), &[], Timestamp(0)).unwrap();
    forever.sync().unwrap();
    assert_eq!(forever.drop_aged(NOW).unwrap(), []);
}

#[test]
fn a_full_disk_under_drop_oldest_goes_on_by_dropping() {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, dropping(2_000_000)).unwrap();
    disk.set_full(Some(900_000));
    let mut n = 1;
    while wal.append_batch(TRACK, &batch(n, 30_000), &[], NOW).is_ok() {
        wal.sync().unwrap();
        n += 1;
    }
    assert!(wal.usage().stalled && n > 20);
    for _ in 0..40 {
        if wal.append_batch(TRACK, &batch(n, 30_000), &[], NOW).is_ok() {
            wal.sync().unwrap();
            n += 1;
        } else {
            assert!(!wal.drop_oldest(31_000, NOW).unwrap().is_empty());
        }
    }
    assert!(n > 50, "{n}");
    assert_eq!(gaps(&entries(&wal)).len(), 1);
}

#[test]
fn usage_tells_what_is_waiting() {
    let disk = disk(1);
    let (mut wal, _) = open_with(&disk, dropping(1 << 40)).unwrap();
    assert_eq!((wal.usage().unacked_batches, wal.usage().oldest_unacked), (0, None));
    for n in 1..=3 {
        wal.append_batch(TRACK, &batch(n, 1_000), &[], NOW.plus(Duration::from_secs(n))).unwrap();
    }
    wal.sync().unwrap();
    let all = wal.usage();
    assert_eq!((all.unacked_batches, all.lines_unacked, all.oldest_unacked), (3, 6, Some(NOW.plus(Duration::from_secs(1)))));
    assert!(all.unacked_bytes > 3_000 && all.unacked_bytes < all.bytes && !all.stalled);
    wal.acked(TRACK, Sequence(2)).unwrap();
    let rest = wal.usage();
    assert_eq!((rest.unacked_batches, rest.lines_unacked, rest.oldest_unacked), (1, 2, Some(NOW.plus(Duration::from_secs(3)))));
}

/// Opens, a second time if a planted fault strikes.
fn reopen(disk: &SimDisk) -> (Wal, crate::Recovered) {
    let again = |_| {
        disk.kill();
        open_with(disk, dropping(700_000))
    };
    open_with(disk, dropping(700_000)).or_else(again).unwrap()
}

/// Appends, acks, sends, drops, sets aside, settles and crashes; then each number is a batch or in a gap, and nothing sent was dropped.
fn run(seed: u64, steps: &[(u8, u64)]) {
    let disk: SimDisk = disk(seed);
    let (mut wal, _) = open_with(&disk, dropping(700_000)).unwrap();
    wal.bind(TRACK, bed::producer(1)).unwrap();
    let mut bodies = BTreeMap::new();
    let (mut sent, mut dropped, mut number) = (0, BTreeSet::new(), 0);
    for (kind, amount) in steps {
        let durable = wal.durable(TRACK).0;
        let acked = wal.tracks()[0].acked.0;
        match kind {
            0..=5 => {
                number += 1;
                let frozen = batch(number, 30_000);
                if let Ok(sequence) = wal.append_batch(TRACK, &frozen, &[], NOW) {
                    bodies.insert(sequence.0, frozen.body);
                }
                while wal.sync().is_err() {}
            }
            6 if durable > acked => {
                let at = acked + 1 + amount % (durable - acked);
                if wal.read(TRACK, Sequence(at)).unwrap().is_some() {
                    sent = sent.max(at);
                }
            }
            7 if sent > acked => drop(wal.acked(TRACK, Sequence(acked + 1 + amount % (sent - acked))).unwrap()),
            8 | 9 => {
                for lost in wal.drop_oldest(30_500 * (1 + amount % 5), NOW).unwrap_or_default() {
                    assert!(lost.from.0 > sent, "{lost:?} was sent up to {sent}");
                    dropped.extend(lost.from.0..=lost.to.0);
                }
                while wal.sync().is_err() {}
            }
            10 => {
                drop(wal);
                let end: fn(&SimDisk) = if amount % 2 == 0 { SimDisk::crash } else { SimDisk::kill };
                end(&disk);
                let (again, recovered) = reopen(&disk);
                assert_eq!((recovered.bad_records, recovered.lost), (0, Vec::new()));
                wal = again;
            }
            11 if durable > acked => {
                let at = acked + 1 + amount % (durable - acked);
                if matches!(wal.read(TRACK, Sequence(at)).unwrap(), Some(Entry::Batch { .. })) {
                    drop(wal.set_aside(TRACK, Sequence(at), "corrupt"));
                    while wal.sync().is_err() {}
                    dropped.insert(at);
                    sent = sent.max(at);
                }
            }
            12 if sent > acked => {
                let at = Sequence(acked + amount % (sent - acked + 1));
                if let Some(chain) = wal.chain_at(TRACK, at) {
                    assert_eq!(wal.settle(TRACK, at, chain).unwrap(), crate::Settled::Agreed);
                    sent = at.0;
                }
            }
            13 => disk.fail_sync(1),
            _ => drop(wal.trim(NOW)),
        }
    }
    for entry in entries(&wal) {
        match entry {
            Entry::Batch { sequence, body, .. } => assert!(!dropped.contains(&sequence.0) && bodies[&sequence.0] == body),
            Entry::Gap { from, to, .. } => assert!((from.0..=to.0).all(|n| dropped.contains(&n)), "{from:?} to {to:?}"),
        }
    }
}

proptest! {
    #[test]
    fn drops_are_told_and_nothing_else_is_missing(seed in any::<u64>(), steps in prop::collection::vec((0_u8..15, any::<u64>()), 1..120)) {
        run(seed, &steps);
    }
}
