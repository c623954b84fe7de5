use proptest::prelude::*;

use super::*;
use crate::entry::pb;

fn batch(from: u64) -> Slot {
    Slot::new(SlotKind::Batch, from, [u8::try_from(from % 251).unwrap(); 16], Timestamp(1), 10)
}

fn gap(from: u64, to: u64) -> Slot {
    Slot::gap(from, &pb::GapHead { to, ..pb::GapHead::default() })
}

fn track(count: u64) -> Track {
    let mut track = Track::new(0, Chain::default());
    (1..=count).for_each(|n| track.push(batch(n), n));
    track
}

/// The chains of a track, folded naively: entry by entry from `from`.
fn chains(track: &Track, mut chain: Chain, from: u64) -> BTreeMap<u64, Chain> {
    let mut out = BTreeMap::from([(from, chain)]);
    for (slot, to) in track.after(from) {
        chain = match slot.kind() {
            SlotKind::Batch => digest::extend(chain, BatchDigest(slot.link)),
            SlotKind::Gap | SlotKind::Hole => digest::extend_gap(chain, slot.from, to),
        };
        out.insert(to, chain);
    }
    out
}

#[test]
fn a_gap_changes_the_chain_of_all_after_it() {
    let mut track = track(10);
    let before: Vec<Chain> = (0..=10).map(|n| track.chain_at(n).unwrap()).collect();
    track.replace(gap(4, 6), 6);
    assert_eq!((track.chain_at(3), track.chain_at(4), track.chain_at(5)), (Some(before[3]), None, None));
    assert_eq!(track.chain_at(6), Some(digest::extend_gap(before[3], 4, 6)));
    assert_ne!(track.chain_at(10), Some(before[10]));
    assert_eq!(track.chain_at(11), None);
    assert_eq!(track.at(5).map(|(slot, to)| (slot.from, to)), Some((4, 6)));
}

#[test]
fn the_hubs_mark_inside_a_gap_cuts_it_in_two() {
    let mut track = track(10);
    track.replace(gap(4, 8), 8);
    let told = Chain([9; 16]);
    track.set_acked(6, told);
    assert_eq!(track.at(7).map(|(slot, to)| (slot.from, to)), Some((7, 8)));
    assert_eq!((track.chain_at(6), track.chain_at(8)), (Some(told), Some(digest::extend_gap(told, 7, 8))));
    assert_eq!(track.chain_at(9), Some(digest::extend(digest::extend_gap(told, 7, 8), BatchDigest([9; 16]))));
}

#[test]
fn what_is_forgotten_was_acked() {
    let mut track = track(10);
    let chain = track.chain_at(5).unwrap();
    track.forget_through(5);
    assert_eq!(track.oldest(), 1, "nothing is acked");
    track.set_acked(5, chain);
    track.forget_through(7);
    assert_eq!((track.oldest(), track.at(5), track.chain_at(5)), (6, None, Some(chain)));
    assert_eq!(track.chain_at(4), None);
}

#[test]
fn what_was_acked_keeps_its_chain_when_it_cannot_be_read() {
    let mut index = Index::default();
    index.tracks.insert(1, track(10));
    let track = index.tracks.get_mut(&1).unwrap();
    let (three, ten) = (track.chain_at(3).unwrap(), track.tail());
    let five = track.chain_at(5).unwrap();
    track.set_acked(5, five);
    let place = track.at(3).unwrap().0.where_it_lies();
    assert!(index.give_up(1, 3, place) && !index.give_up(1, 3, place));
    let track = index.tracks.get_mut(&1).unwrap();
    assert_eq!((track.chain_at(3), track.tail(), track.at(3).unwrap().0.kind()), (Some(three), ten, SlotKind::Hole));
    assert!(index.give_up(1, 7, place));
    let track = index.tracks.get_mut(&1).unwrap();
    assert_ne!(track.tail(), ten, "what was not acked goes on with a gap");
    let six = track.chain_at(6).unwrap();
    assert_eq!(track.chain_at(7), Some(digest::extend_gap(six, 7, 7)));
    assert_eq!(index.damaged_reads, 2);
}

proptest! {
    #[test]
    fn the_chain_is_always_the_naive_fold(steps in prop::collection::vec((0_u8..6, 1_u64..60, 0_u64..8), 1..60)) {
        let mut track = track(3);
        for (kind, at, len) in steps {
            let (from, last) = (track.acked + 1, track.next - 1);
            let at = from + at % (last - track.acked).max(1);
            match kind {
                0 => track.push(batch(last + 1), last + 1),
                1 => track.push(gap(last + 1, last + 1 + len), last + 1 + len),
                2 if at <= last => track.replace(gap(at, (at + len).min(last)), (at + len).min(last)),
                3 if at <= last => {
                    let chain = track.chain_at(at).unwrap_or(Chain([1; 16]));
                    track.set_acked(at, chain);
                }
                4 => track.forget_through(track.acked),
                _ => prop_assert_eq!(track.chain_at(at).is_some(), track.at(at).is_some_and(|(_, to)| to == at) || at == track.acked),
            }
            let naive = chains(&track, track.acked_chain, track.acked);
            for sequence in track.acked..track.next {
                prop_assert_eq!(track.chain_at(sequence), naive.get(&sequence).copied());
            }
            prop_assert_eq!(track.tail(), *naive.last_key_value().unwrap().1);
            let mut next = track.oldest();
            for (slot, to) in track.after(track.oldest() - 1) {
                prop_assert_eq!(slot.from, next);
                next = to + 1;
            }
            prop_assert_eq!(next, track.next);
        }
    }
}
