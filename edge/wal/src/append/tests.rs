use proto_model::Chain;
use proto_seam::FileIdentity;

use super::*;
use crate::bed::{self, NOW, TRACK, batch, disk, open, position, told};
use crate::limits::DRAINED_KEPT;
use crate::{Entry, Settled};

#[test]
fn positions_alone_and_gone_sources_are_kept_and_forgotten() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.append_positions(&[position(1, 10), position(2, 20)]).unwrap();
    assert_eq!(wal.positions(), [], "not before they are durable");
    wal.sync().unwrap();
    assert_eq!(wal.positions(), [position(1, 10), position(2, 20)]);
    let gone = SourcePosition { gone: true, ..position(1, 11) };
    wal.append_batch(TRACK, &batch(1, 10), &[gone.clone(), position(2, 25)], NOW).unwrap();
    wal.sync().unwrap();
    let Some(Entry::Batch { positions, .. }) = wal.read(TRACK, Sequence(1)).unwrap() else { panic!("no batch") };
    // Positions alone are of no track, and no track's beginning.
    assert_eq!(positions, [SourcePosition { track: 1, ..gone }, told(2, 25)], "the hub hears of it");
    // A source without device and inode is known by its path.
    let stream = |path: &str, offset| SourcePosition { path: path.to_owned(), identity: FileIdentity::default(), offset, ..SourcePosition::default() };
    wal.append_positions(&[stream("a", 1), stream("b", 2)]).unwrap();
    wal.append_positions(&[stream("a", 3)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(&disk).1.positions, [stream("a", 3), stream("b", 2), told(2, 25)]);
}

#[test]
fn many_positions_make_a_checkpoint_of_several_parts() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    let big = |n| SourcePosition { held: vec![7; 60_000], ..position(n, n) };
    for n in 1..=60 {
        wal.append_positions(&[big(n)]).unwrap();
    }
    wal.sync().unwrap();
    wal.append_positions(&[position(61, 1)]).unwrap();
    wal.sync().unwrap();
    let mut checkpoints = 0;
    crate::inspect(&bed::settings().dir, &disk, &mut |record| {
        checkpoints += u32::from(record.file.ends_with("2.wal") && record.kind == crate::InspectedKind::Checkpoint);
    })
    .unwrap();
    drop(wal);
    let first = bed::settings().dir.join("00000000000000000001.wal");
    proto_seam::Disk::remove(&disk, &first).unwrap();
    let recovered = open(&disk).1;
    assert!(checkpoints >= 2, "{checkpoints}");
    assert_eq!((recovered.positions.len(), recovered.positions_doubtful), (61, false), "each file's checkpoint is enough");
    assert_eq!(recovered.positions[0], big(1));
}

#[test]
fn what_is_too_large_is_refused_and_takes_no_number() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    let mut frozen = batch(1, 10);
    frozen.body = vec![0; BODY_BYTES_MAX + 1].into();
    assert!(matches!(wal.append_batch(TRACK, &frozen, &[], NOW), Err(WalFault::TooLarge { .. })));
    let held = SourcePosition { held: vec![0; HEAD_BYTES_MAX], ..position(1, 1) };
    assert!(matches!(wal.append_batch(TRACK, &batch(1, 10), &[held], NOW), Err(WalFault::TooLarge { .. })));
    let loss = Loss { reason: "x".repeat(TEXT_BYTES_MAX + 1), ..Loss::default() };
    assert!(matches!(wal.append_loss(TRACK, &loss, &[], NOW), Err(WalFault::TooLarge { .. })));
    assert!(matches!(wal.append_batch(TrackId(2), &batch(1, 10), &[], NOW), Err(WalFault::NoTrack { .. })));
    assert_eq!(wal.append_batch(TRACK, &batch(1, 10), &[], NOW).unwrap(), Sequence(1));
}

#[test]
fn adopting_the_hubs_word_voids_what_was_here() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    for n in 1..=5 {
        wal.append_batch(TRACK, &batch(n, 10), &[position(n, n)], NOW).unwrap();
    }
    wal.sync().unwrap();
    wal.append_batch(TRACK, &batch(6, 10), &[position(6, 6)], NOW).unwrap();
    let chain = Chain([7; 16]);
    assert_eq!(wal.settle(TRACK, Sequence(80), chain).unwrap(), Settled::Behind);
    wal.adopt(TRACK, bed::producer(2), Sequence(80), chain, &[position(9, 900)]).unwrap();
    assert_eq!((wal.read(TRACK, Sequence(3)).unwrap(), wal.chain_at(TRACK, Sequence(80))), (None, Some(chain)));
    assert_eq!(wal.usage().unacked_batches, 0);
    let next = batch(7, 10);
    assert_eq!(wal.append_batch(TRACK, &next, &[], NOW).unwrap(), Sequence(81));
    wal.sync().unwrap();
    drop(wal);
    let (wal, recovered) = open(&disk);
    let state = &recovered.tracks[0];
    assert_eq!((state.next.0, state.acked.0, state.oldest.0, state.producer), (82, 80, 81, Some(bed::producer(2))));
    assert_eq!((recovered.positions, recovered.lost), (vec![position(9, 900)], vec![]));
    let Some(Entry::Batch { chain_previous, body, .. }) = wal.read(TRACK, Sequence(81)).unwrap() else { panic!("no batch") };
    assert_eq!((chain_previous, body), (chain, next.body));
}

#[test]
fn tracks_are_numbered_bound_and_closed_apart() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.append_batch(TRACK, &batch(1, 10), &[], NOW).unwrap();
    let second = wal.new_track().unwrap();
    assert_eq!(second, TrackId(2));
    assert_eq!(wal.append_batch(second, &batch(2, 10), &[], NOW).unwrap(), Sequence(1));
    wal.bind(second, bed::producer(5)).unwrap();
    wal.close_track(TRACK).unwrap();
    assert!(matches!(wal.append_batch(TRACK, &batch(3, 10), &[], NOW), Err(WalFault::NoTrack { .. })));
    assert!(matches!(wal.bind(TrackId(7), bed::producer(1)), Err(WalFault::NoTrack { .. })));
    wal.acked(second, Sequence(1)).unwrap();
    wal.append_batch(second, &batch(4, 10), &[], NOW).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let (wal, recovered) = open(&disk);
    let told: Vec<_> = recovered.tracks.iter().map(|t| (t.track.0, t.next.0, t.acked.0, t.closed, t.producer.is_some())).collect();
    assert_eq!(told, [(1, 2, 0, true, false), (2, 3, 1, false, true)]);
    assert!(matches!(wal.read(second, Sequence(2)).unwrap(), Some(Entry::Batch { chain_previous, .. }) if chain_previous != Chain::default()));
}

#[test]
fn a_track_that_is_closed_is_known_to_be_acked() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.append_batch(TRACK, &batch(1, 10), &[], NOW).unwrap();
    wal.sync().unwrap();
    wal.acked(TRACK, Sequence(1)).unwrap();
    wal.close_track(TRACK).unwrap();
    drop(wal);
    let (wal, recovered) = open(&disk);
    assert_eq!((recovered.tracks[0].closed, recovered.tracks[0].acked, wal.usage().unacked_batches), (true, Sequence(1), 0), "nobody would ever ask for it");
}

#[test]
fn the_last_drained_tracks_are_known_after_no_file_tells_of_them() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.settings.grace_bytes = 0;
    let mut track = TRACK;
    let mut held = Vec::new();
    for round in 0..12 {
        for _ in 0..3 {
            wal.append_batch(track, &batch(round, 30_000), &[], NOW).unwrap();
        }
        wal.sync().unwrap();
        let next = wal.new_track().unwrap();
        assert_eq!(next.0, track.0 + 1, "no number is used twice");
        wal.close_track(track).unwrap();
        wal.acked(track, Sequence(3)).unwrap();
        wal.trim(NOW).unwrap();
        held.push(wal.tracks().len());
        track = next;
        if round % 5 == 4 {
            drop(wal);
            wal = open(&disk).0;
            wal.settings.grace_bytes = 0;
            track = if wal.tracks().last().unwrap().track == track { track } else { wal.new_track().unwrap() };
        }
    }
    assert!(held.iter().all(|held| *held <= 5 + DRAINED_KEPT), "{held:?}");
    assert!(open_states(&disk, wal).iter().all(|state| state.closed || state.next.0 == 1));
}

#[test]
fn what_a_rolled_back_hub_lacks_of_a_track_that_was_let_go_is_told_as_lost() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.settings.grace_bytes = 0;
    wal.bind(TRACK, bed::producer(5)).unwrap();
    for n in 0..3 {
        wal.append_batch(TRACK, &batch(n, 30_000), &[], NOW).unwrap();
    }
    wal.sync().unwrap();
    let mut newest = wal.new_track().unwrap();
    wal.acked(TRACK, Sequence(3)).unwrap();
    wal.close_track(TRACK).unwrap();
    for round in 0..6 {
        for n in 0..3 {
            wal.append_batch(newest, &batch(10 * round + n, 30_000), &[], NOW).unwrap();
        }
        wal.sync().unwrap();
        wal.acked(newest, Sequence(3)).unwrap();
        wal.close_track(newest).unwrap();
        newest = wal.new_track().unwrap();
        wal.trim(NOW).unwrap();
    }
    drop(wal);
    let (mut wal, _) = open(&disk);
    let first = wal.tracks().into_iter().find(|state| state.track == TRACK).unwrap();
    assert_eq!((first.closed, first.oldest, first.next), (true, Sequence(4), Sequence(4)), "none of its batches is held");
    assert!(wal.reopen_closed().unwrap().iter().any(|state| state.track == TRACK));
    let Settled::RolledBack { lost: Some(lost) } = wal.settle(TRACK, Sequence(1), Chain([7; 16])).unwrap() else { panic!("nothing was lost") };
    assert_eq!((lost.from, lost.to, lost.reason.as_str()), (Sequence(2), Sequence(3), "hub_rollback"));
    assert!(matches!(wal.read(TRACK, Sequence(2)).unwrap(), Some(Entry::Gap { .. })), "the hub is told");
    drop(wal);
    let first = open(&disk).0.tracks().into_iter().find(|state| state.track == TRACK).unwrap();
    assert_eq!((first.closed, first.acked, first.oldest), (false, Sequence(1), Sequence(2)), "after a restart too");
}

#[test]
fn closed_tracks_are_taken_up_again_and_stay_so() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.bind(TRACK, bed::producer(5)).unwrap();
    for n in 0..3 {
        wal.append_batch(TRACK, &batch(n, 10), &[], NOW).unwrap();
    }
    let next = wal.new_track().unwrap();
    wal.append_batch(next, &batch(3, 10), &[], NOW).unwrap();
    wal.sync().unwrap();
    wal.acked(TRACK, Sequence(3)).unwrap();
    wal.close_track(TRACK).unwrap();
    let reopened = wal.reopen_closed().unwrap();
    assert_eq!(
        reopened.iter().map(|state| (state.track, state.producer, state.acked.0, state.closed)).collect::<Vec<_>>(),
        [(TRACK, Some(bed::producer(5)), 3, false)]
    );
    assert!(wal.reopen_closed().unwrap().is_empty());
    assert_eq!(wal.settle(TRACK, Sequence(0), Chain::default()).unwrap(), Settled::RolledBack { lost: None });
    drop(wal);
    let (wal, recovered) = open(&disk);
    assert_eq!(recovered.tracks.iter().map(|state| (state.track, state.acked.0, state.closed)).collect::<Vec<_>>(), [(TRACK, 0, false), (next, 0, false)]);
    assert!(matches!(wal.read(TRACK, Sequence(1)).unwrap(), Some(Entry::Batch { .. })));
}

#[test]
fn a_first_track_that_was_let_go_does_not_begin_again() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.settings.grace_bytes = 0;
    let mut track = TRACK;
    for round in 0..DRAINED_KEPT as u64 + 6 {
        wal.append_batch(track, &batch(round, 60_000), &[], NOW).unwrap();
        let next = wal.new_track().unwrap();
        wal.sync().unwrap();
        wal.acked(track, Sequence(1)).unwrap();
        wal.close_track(track).unwrap();
        wal.trim(NOW).unwrap();
        track = next;
    }
    let before = wal.tracks();
    assert!(before.iter().all(|state| state.track > TRACK) && before.len() > DRAINED_KEPT, "{before:?}");
    assert_eq!(open_states(&disk, wal), before);
}

fn open_states(disk: &crate::sim_disk::SimDisk, wal: Wal) -> Vec<TrackState> {
    drop(wal);
    open(disk).1.tracks
}

#[test]
fn a_binding_that_could_not_be_written_was_never_made() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    disk.set_full(Some(0));
    assert!(matches!(wal.bind(TRACK, bed::producer(5)), Err(WalFault::DiskFull { .. })));
    assert_eq!(wal.tracks()[0].producer, None);
    disk.set_full(None);
    wal.sync().unwrap();
    drop(wal);
    assert_eq!(open(&disk).1.tracks[0].producer, None);
}

#[test]
fn acks_reach_the_disk_before_too_many_are_in_memory_alone() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    for n in 1..=200 {
        wal.append_batch(TRACK, &batch(n, 10), &[], NOW).unwrap();
    }
    wal.sync().unwrap();
    for n in 1..=190 {
        wal.acked(TRACK, Sequence(n)).unwrap();
        wal.acked(TRACK, Sequence(n / 2)).unwrap();
    }
    wal.acked(TRACK, Sequence(9_999)).unwrap();
    assert_eq!(wal.tracks()[0].acked, Sequence(200), "no more than there is");
    wal.settings.grace_bytes = 0;
    drop(wal);
    disk.kill();
    let acked = open(&disk).1.tracks[0].acked.0;
    assert!(acked + ACK_LAG_BATCHES > 200 && acked <= 200, "{acked}");
}

#[test]
fn a_long_unsynced_run_syncs_itself() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    let frozen = batch(1, 1_000_000);
    let appended = (1..=30).take_while(|_| wal.append_batch(TRACK, &frozen, &[], NOW).is_ok()).count();
    assert_eq!(appended, 30);
    assert!(wal.durable(TRACK).0 >= 20 && wal.pending_bytes <= PENDING_BYTES_MAX + 2_000_000);
}

#[test]
fn a_position_says_where_its_track_began() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    let plain = |inode, offset| SourcePosition { resume: offset, held: Vec::new(), ..position(inode, offset) };
    let from = |wal: &Wal, inode: u64| {
        let found = wal.positions().into_iter().find(|position| position.identity.inode == inode).unwrap();
        (found.track, found.from, found.resume)
    };
    wal.append_positions(&[plain(2, 7)]).unwrap();
    wal.append_batch(TRACK, &batch(1, 10), &[plain(1, 10), plain(2, 20)], NOW).unwrap();
    wal.append_batch(TRACK, &batch(2, 10), &[plain(1, 30)], NOW).unwrap();
    let second = wal.new_track().unwrap();
    // Not durable yet, and yet the track before is known to have it.
    wal.append_batch(second, &batch(3, 10), &[plain(1, 50)], NOW).unwrap();
    wal.append_positions(&[plain(1, 55)]).unwrap();
    wal.sync().unwrap();
    assert_eq!((from(&wal, 1), from(&wal, 2)), ((2, 30, 55), (1, 0, 20)));
    drop(wal);
    let (mut wal, _) = open(&disk);
    wal.append_batch(second, &batch(4, 10), &[plain(1, 60), plain(2, 25), plain(3, 5)], NOW).unwrap();
    wal.append_batch(second, &batch(5, 10), &[SourcePosition { generation: 4, ..plain(2, 3) }], NOW).unwrap();
    wal.sync().unwrap();
    assert_eq!([1, 2, 3].map(|inode| from(&wal, inode)), [(2, 30, 60), (2, 0, 3), (2, 0, 5)], "a file that was cut begins again");
}

#[test]
fn a_track_that_is_adopted_cuts_others() {
    let disk = disk(1);
    let (mut wal, _) = open(&disk);
    wal.bind(TRACK, bed::producer(1)).unwrap();
    for n in 1..=9 {
        wal.append_batch(TRACK, &batch(n, 10), &[position(n, n)], NOW).unwrap();
    }
    wal.sync().unwrap();
    wal.acked(TRACK, Sequence(3)).unwrap();
    wal.write_acks().unwrap();
    wal.know_track(TrackId(4)).unwrap();
    let mut seen = Vec::new();
    wal.each_unacked(TRACK, &mut |entry| seen.push((entry.from.0, entry.positions.len(), entry.loss)));
    assert_eq!(seen, (4..=9).map(|n| (n, 1, None)).collect::<Vec<_>>());
    let before = wal.chain_at(TRACK, Sequence(6)).unwrap();
    wal.adopt_with_cuts(TrackId(4), bed::producer(2), (Sequence(80), Chain([7; 16])), &[position(9, 900)], &[(TRACK, Sequence(7))]).unwrap();
    let stands = |wal: &Wal| {
        let stands: Vec<_> = wal.tracks().iter().map(|state| (state.track.0, state.next.0, state.acked.0, state.closed)).collect();
        assert_eq!(stands, [(1, 7, 3, false), (4, 81, 80, false)]);
        assert_eq!((wal.durable(TRACK), wal.chain_at(TRACK, Sequence(6)), wal.read(TRACK, Sequence(7)).unwrap()), (Sequence(6), Some(before), None));
        assert!(wal.read(TRACK, Sequence(6)).unwrap().is_some());
    };
    stands(&wal);
    drop(wal);
    let (mut wal, _) = open(&disk);
    stands(&wal);
    // The numbers of the older one go on, the sources stay where they are.
    wal.adopt_numbers(TRACK, bed::producer(1), Sequence(30), Chain([8; 16])).unwrap();
    assert_eq!((wal.positions(), wal.durable(TRACK)), (vec![position(9, 900)], Sequence(30)));
}
