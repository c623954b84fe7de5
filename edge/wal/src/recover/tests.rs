use bytes::Bytes;
use proptest::prelude::*;
use proto_wire::digest;

use super::*;
use crate::entry::{Header, Kind, Seal, encode};

fn found(offset: u64, track: u32, sequence: u64, head: Head) -> Found {
    let mut head = head;
    let kind = head.kind();
    let bytes = encode(Seal::new(WalId(1), 1), kind, track, sequence, &head.encode(0), if kind == Kind::Batch { b"x" } else { b"" });
    Found { offset, header: Header::parse(bytes.first_chunk().unwrap()).unwrap(), head }
}

fn batch(sequence: u64, chain: Chain) -> (Head, Chain) {
    let digest = [u8::try_from(sequence % 250).unwrap(); 16];
    let head = pb::BatchHead { chain_previous: Bytes::copy_from_slice(&chain.0), digest: Bytes::copy_from_slice(&digest), ..pb::BatchHead::default() };
    (Head::Batch(head), digest::extend(chain, proto_model::BatchDigest(digest)))
}

/// The batches `1..=count`, each with the chain before it, without those in `missing`.
fn replay(count: u64, missing: &[u64]) -> Replay {
    let mut replay = Replay::default();
    let mut chain = Chain::default();
    for n in 1..=count {
        let (head, next) = batch(n, chain);
        chain = next;
        if !missing.contains(&n) {
            replay.record(1, found(n * 100, 1, n, head));
        }
    }
    replay
}

#[test]
fn what_is_missing_between_sound_records_is_lost_and_told() {
    let replayed = replay(10, &[4, 5, 8]).finish(WalId(1));
    let told: Vec<_> = replayed.recovered.lost.iter().map(|lost| (lost.from.0, lost.to.0)).collect();
    assert_eq!((told, replayed.recovered.tracks[0].next), (vec![(4, 5), (8, 8)], Sequence(11)));
    let none = replay(10, &[]).finish(WalId(1));
    assert_ne!(replayed.recovered.tracks[0].chain, none.recovered.tracks[0].chain, "a gap takes its place in the chain");
}

#[test]
fn what_the_hub_has_is_not_lost() {
    let mut with_ack = replay(10, &[4, 5, 8]);
    let acked = pb::Acked { sequence: 6, chain: Bytes::copy_from_slice(&[3; 16]) };
    with_ack.record(1, found(5_000, 1, 0, Head::control(pb::control_head::Kind::Acked(acked))));
    let replayed = with_ack.finish(WalId(1));
    assert_eq!(replayed.recovered.lost.iter().map(|lost| (lost.from.0, lost.to.0)).collect::<Vec<_>>(), [(8, 8)]);
    assert_eq!((replayed.recovered.tracks[0].acked, replayed.recovered.tracks[0].acked_chain), (Sequence(6), Chain([3; 16])));
}

#[test]
fn a_gap_record_explains_a_hole_that_came_before_it() {
    let mut with_gap = replay(10, &[4, 5, 6]);
    with_gap.record(2, found(64, 1, 4, Head::Gap(pb::GapHead { to: 6, reason: "wal_full".to_owned(), ..pb::GapHead::default() })));
    let replayed = with_gap.finish(WalId(1));
    assert!(replayed.recovered.lost.is_empty());
    assert_eq!(replayed.index.tracks[&1].at(5).map(|(slot, to)| (slot.kind(), slot.from, to)), Some((SlotKind::Gap, 4, 6)));
}

#[test]
fn a_checkpoint_tells_of_batches_in_a_file_that_is_gone() {
    let told = |acked| pb::Track { track: 1, next: 8, acked, chain: Bytes::from_static(&[5; 16]), ..pb::Track::default() };
    let checkpoint = |acked| Head::Checkpoint(pb::CheckpointHead { part: 0, parts: 1, tracks: vec![told(acked)], ..pb::CheckpointHead::default() });
    let mut all_acked = Replay::default();
    all_acked.record(2, found(64, 0, 0, checkpoint(7)));
    let state = all_acked.finish(WalId(1)).recovered;
    assert_eq!((state.lost.len(), state.tracks[0].next.0, state.tracks[0].oldest.0), (0, 8, 8));
    let mut some_acked = Replay::default();
    some_acked.record(2, found(64, 0, 0, checkpoint(3)));
    let state = some_acked.finish(WalId(1)).recovered;
    assert_eq!(state.lost.iter().map(|lost| (lost.from.0, lost.to.0)).collect::<Vec<_>>(), [(4, 7)]);
}

#[test]
fn a_checkpoint_in_part_takes_nothing_back() {
    let position = |inode, offset| pb::Position { inode, offset, ..pb::Position::default() };
    let part = |part, positions| Head::Checkpoint(pb::CheckpointHead { part, parts: 2, positions, ..pb::CheckpointHead::default() });
    let offsets = |replay: Replay| replay.finish(WalId(1)).recovered.positions.iter().map(|p| (p.identity.inode, p.offset)).collect::<Vec<_>>();
    let start = || {
        let mut replay = Replay::default();
        let told = pb::Positions { positions: vec![position(1, 10), position(2, 20)], positions_before: Vec::new(), end_before: None };
        replay.record(1, found(64, 0, 0, Head::control(pb::control_head::Kind::Positions(told))));
        replay.record(2, found(64, 0, 0, part(0, vec![position(1, 11)])));
        replay
    };
    assert_eq!(offsets(start()), [(1, 11), (2, 20)]);
    let mut whole = start();
    whole.record(2, found(200, 0, 0, part(1, vec![position(3, 30)])));
    assert_eq!(offsets(whole), [(1, 11), (3, 30)], "2 was gone when it was made");
    let mut damaged = start();
    damaged.bad();
    damaged.record(2, found(200, 0, 0, part(1, vec![position(3, 30)])));
    assert!(damaged.doubtful);
    assert_eq!(offsets(damaged), [(1, 11), (2, 20), (3, 30)]);
}

fn heads() -> impl Strategy<Value = (u32, u64, Head)> {
    let number = || prop_oneof![4 => 0_u64..30, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1), 1 => any::<u64>()];
    let chain = || prop_oneof![Just(Bytes::new()), Just(Bytes::from_static(&[1; 16])), Just(Bytes::from_static(&[1; 3]))];
    let head = prop_oneof![
        (chain(), chain()).prop_map(|(chain_previous, digest)| Head::Batch(pb::BatchHead { chain_previous, digest, ..pb::BatchHead::default() })),
        (number(), chain(), prop_oneof![Just("wal_full"), Just("hub_rollback")]).prop_map(|(to, chain_previous, reason)| Head::Gap(pb::GapHead {
            to,
            chain_previous,
            reason: reason.to_owned(),
            ..pb::GapHead::default()
        })),
        (0_u32..3, 0_u32..3, number(), number(), chain()).prop_map(|(part, parts, next, acked, chain)| {
            let track = pb::Track { track: part % 2 + 1, next, acked, chain, ..pb::Track::default() };
            Head::Checkpoint(pb::CheckpointHead { part, parts, tracks: vec![track], ..pb::CheckpointHead::default() })
        }),
        (number(), chain()).prop_map(|(sequence, chain)| Head::control(pb::control_head::Kind::Acked(pb::Acked { sequence, chain }))),
        (number(), chain()).prop_map(|(last, chain)| Head::control(pb::control_head::Kind::Adopt(pb::Adopt { last, chain, ..pb::Adopt::default() }))),
        chain().prop_map(|producer| Head::control(pb::control_head::Kind::Bind(pb::Bind { producer }))),
        Just(Head::control(pb::control_head::Kind::Close(pb::Close {}))),
        Just(Head::Control(pb::ControlHead::default())),
    ];
    (1_u32..3, number(), head)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_records_makes_it_panic_or_leaves_a_track_with_holes(records in prop::collection::vec(heads(), 0..40)) {
        let mut replay = Replay::default();
        for (offset, (track, sequence, head)) in (64..).zip(records) {
            replay.record(1, found(offset, track, sequence, head));
        }
        let mut replayed = replay.finish(WalId(1));
        for track in replayed.index.tracks.values_mut() {
            prop_assert!(track.acked < track.next && track.oldest() <= track.next && track.acked + 1 >= track.oldest());
            let mut next = track.oldest();
            for (slot, to) in track.after(track.oldest() - 1) {
                prop_assert_eq!(slot.from, next);
                prop_assert!(to >= slot.from);
                next = to + 1;
            }
            prop_assert_eq!(next, track.next);
            prop_assert!(track.chain_at(track.acked).is_some());
        }
    }
}
