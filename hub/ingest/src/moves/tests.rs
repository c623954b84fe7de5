use std::collections::BTreeMap;

use hub_store::{CommitId, LaneHeader, SourceKey};
use proto_model::{ClusterId, EdgeId, Timestamp};

use super::*;

/// This hub's lane, and others.
const OWN: LaneId = LaneId(1);
const THERE: LaneId = LaneId(2);
const FAR: LaneId = LaneId(3);

fn id(lane: LaneId, unique: u128) -> ProducerId {
    ProducerId { lane, unique }
}

fn speaker(cluster: &str, edge: &str) -> Speaker {
    Speaker { cluster: ClusterId::new(cluster).unwrap(), edge: EdgeId::new(edge).unwrap() }
}

fn digest_of(sequence: u64) -> BatchDigest {
    digest::of_batch(format!("batch {sequence}").as_bytes())
}

fn chain_at(last: u64) -> Chain {
    (1..=last).fold(Chain::default(), |chain, sequence| digest::extend(chain, digest_of(sequence)))
}

fn acked(last: u64) -> (Sequence, Chain) {
    (Sequence(last), chain_at(last))
}

/// `alpha/one`, track 1 of WAL 7, with `producer` and acks up to `last`.
fn asker(producer: Option<ProducerId>, last: u64) -> Asker {
    Asker { speaker: speaker("alpha", "one"), track: TrackId(1), wal_id: 7, nonce: [1; 16], producer, is_unknown: false, acked: acked(last), followed: false }
}

fn named(asker: &Asker, edge: &str) -> Asker {
    Asker { speaker: speaker("alpha", edge), ..asker.clone() }
}

fn position(inode: u64, offset: u64) -> Position {
    Position { path: format!("/log/{inode}"), device: 1, inode, offset, ..Position::default() }
}

fn offsets(positions: &[Position]) -> Vec<(u64, u64)> {
    positions.iter().map(|position| (position.inode, position.offset)).collect()
}

fn ids(all: &[(ProducerId, ProducerState)]) -> BTreeSet<ProducerId> {
    all.iter().map(|(id, _)| *id).collect()
}

/// All lanes: the folds themselves say whether what a walk writes is valid.
#[derive(Clone)]
struct Lanes {
    folds: BTreeMap<LaneId, Fold>,
    minted: u128,
    /// Objects that walks wrote.
    written: usize,
}

impl Lanes {
    fn new() -> Self {
        let folds = [OWN, THERE, FAR].map(|lane| (lane, Fold::genesis(lane, CommitId([0; 16]))));
        Self { folds: folds.into(), minted: 1_000, written: 0 }
    }

    fn commit(&mut self, lane: LaneId, records: Vec<LaneRecord>) {
        let fold = self.folds.get_mut(&lane).unwrap();
        let number = fold.head() + 1;
        let header = LaneHeader {
            lane,
            number,
            commit: CommitId([u8::try_from(number).unwrap(); 16]),
            previous: fold.head_commit(),
            writer: String::new(),
            written: Timestamp(0),
            map_version: 0,
            records,
            sections: Vec::new(),
        };
        fold.apply(&header).unwrap();
    }

    fn state(&self, producer: ProducerId) -> Option<&ProducerState> {
        self.folds[&producer.lane].producer(&producer)
    }

    /// Opens `producer` for `alpha/<edge>` at 0 and stores batches up to `last`, with one source.
    fn open(&mut self, producer: ProducerId, edge: &str, track: u32, last: u64) {
        self.open_at(producer, edge, track, (0, last), None);
    }

    fn open_at(&mut self, producer: ProducerId, edge: &str, track: u32, (from, last): (u64, u64), after: Option<ProducerId>) {
        let (identity, wal_id, (sequence, chain)) = (format!("alpha/{edge}"), 7, acked(from));
        let mut records =
            vec![LaneRecord::Open { producer, epoch: Epoch(1), identity, nonce: [9; 16], wal_id, track, sequence, chain, positions: Vec::new(), after }];
        if last > from {
            let digests = (from + 1..=last).map(digest_of).collect();
            let (from, to) = (Sequence(from + 1), Sequence(last));
            records.push(LaneRecord::Advance { producer, epoch: Epoch(1), from, to, chain_to: chain_at(last), digests, positions: vec![position(5, last)] });
        }
        self.commit(producer.lane, records);
    }

    fn close(&mut self, producer: ProducerId, next: ProducerId) {
        let state = self.state(producer).unwrap();
        let record = LaneRecord::Close { producer, sequence: state.last, chain: state.chain, next };
        self.commit(producer.lane, vec![record]);
    }

    fn quarantine(&mut self, producer: ProducerId) {
        self.commit(producer.lane, vec![LaneRecord::Quarantine { producer, reason: "test".to_owned() }]);
    }

    /// Walks until there is an end, writing what is to be written, and for what is opened the record of the sealer.
    fn walk(&mut self, mut walk: Walk) -> Step {
        for _ in 0..10_000 {
            self.minted += 1;
            let (at, fresh) = (walk.at().lane, id(OWN, self.minted));
            match walk.steps(&self.folds[&at], OWN, fresh) {
                Step::Follow => {}
                Step::Close(records) => {
                    self.commit(at, records);
                    self.written += 1;
                }
                Step::OpenHere(target) => {
                    self.arrive(walk.asker(), &target);
                    return Step::OpenHere(target);
                }
                over @ (Step::Unknown | Step::Mint(_) | Step::Ended { .. } | Step::Denied(_)) => return over,
            }
        }
        panic!("no end")
    }

    fn arrive(&mut self, asker: &Asker, target: &Target) {
        let stands = self.state(target.producer).map(|state| (state.epoch, state.last, state.chain));
        let begins = (Epoch(0), target.beginning.sequence, target.beginning.chain);
        let (epoch, sequence, chain) = stands.unwrap_or(begins);
        let open = LaneRecord::Open {
            producer: target.producer,
            epoch: Epoch(epoch.0 + 1),
            identity: asker.speaker.to_string(),
            nonce: asker.nonce,
            wal_id: asker.wal_id,
            track: asker.track.0,
            sequence,
            chain,
            positions: target.beginning.positions.clone(),
            after: target.beginning.after.filter(|_| stands.is_none()),
        };
        self.commit(OWN, vec![open]);
    }

    /// An edge with this producer asks.
    fn ask(&mut self, asker: Asker) -> Step {
        let producer = asker.producer.unwrap();
        self.walk(Walk::at_producer(asker, producer, None))
    }

    fn all(&self, edge: &str) -> Vec<(ProducerId, ProducerState)> {
        let of = format!("alpha/{edge}");
        self.folds.values().flat_map(Fold::producers).filter(|(_, state)| state.identity == of).map(|(id, state)| (*id, state.clone())).collect()
    }
}

fn target(step: Step) -> Target {
    if let Step::OpenHere(target) = step { *target } else { panic!("not to be opened: {step:?}") }
}

#[test]
fn an_open_producer_of_the_own_lane_is_opened_as_it_is() {
    let mut lanes = Lanes::new();
    lanes.open(id(OWN, 1), "one", 1, 5);
    for last in 0..=5 {
        let found = target(lanes.ask(asker(Some(id(OWN, 1)), last)));
        assert_eq!((found.producer, found.beginning.sequence, found.carry, lanes.written), (id(OWN, 1), Sequence(5), None, 0));
    }
}

#[test]
fn a_producer_of_another_lane_is_closed_there_and_goes_on_here() {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    let found = target(lanes.ask(asker(Some(id(THERE, 1)), 3)));
    assert_eq!((found.producer.lane, lanes.written), (OWN, 1));
    assert_eq!(lanes.state(id(THERE, 1)).unwrap().closed, Some(found.producer));
    let Target { beginning, carry, nonce, .. } = found;
    assert_eq!((beginning.sequence, beginning.chain, beginning.after), (Sequence(5), chain_at(5), Some(id(THERE, 1))));
    assert_eq!((offsets(&beginning.positions), carry, nonce), (vec![(5, 5)], None, Some([9; 16])));
    // Asked again with the old name (the Welcome was lost): the same one.
    let again = target(lanes.ask(asker(Some(id(THERE, 1)), 3)));
    assert_eq!((again.producer, again.nonce, lanes.written), (found.producer, Some([1; 16]), 1));
}

#[test]
fn one_that_was_named_and_never_opened_is_opened_by_whoever_meets_it() {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    // Another hub closed it for its own lane, and died before it opened the next one.
    lanes.close(id(THERE, 1), id(FAR, 2));
    let found = target(lanes.ask(asker(Some(id(THERE, 1)), 5)));
    let skipped = lanes.state(id(FAR, 2)).unwrap();
    assert_eq!((skipped.last, skipped.closed, skipped.after, skipped.positions.len()), (Sequence(5), Some(found.producer), Some(id(THERE, 1)), 1));
    assert_eq!((found.beginning.sequence, found.beginning.after, offsets(&found.beginning.positions)), (Sequence(5), Some(id(FAR, 2)), vec![(5, 5)]));
    // The same in the own lane: it is just opened.
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    lanes.close(id(THERE, 1), id(OWN, 2));
    let found = target(lanes.ask(asker(Some(id(THERE, 1)), 5)));
    assert_eq!((found.producer, found.beginning.sequence, lanes.written), (id(OWN, 2), Sequence(5), 0));
}

#[test]
fn chains_are_walked_to_their_end_however_long() {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    lanes.close(id(THERE, 1), id(FAR, 2));
    lanes.open_at(id(FAR, 2), "one", 1, (5, 8), Some(id(THERE, 1)));
    lanes.close(id(FAR, 2), id(OWN, 3));
    lanes.open_at(id(OWN, 3), "one", 1, (8, 9), Some(id(FAR, 2)));
    let found = target(lanes.ask(asker(Some(id(THERE, 1)), 5)));
    assert_eq!((found.producer, found.beginning.sequence, found.carry), (id(OWN, 3), Sequence(9), None));

    let mut lanes = Lanes::new();
    let lane_of = |at: u128| if at.is_multiple_of(2) { THERE } else { FAR };
    lanes.open(id(lane_of(1), 1), "one", 1, 2);
    for at in 1..100 {
        lanes.close(id(lane_of(at), at), id(lane_of(at + 1), at + 1));
        lanes.open_at(id(lane_of(at + 1), at + 1), "one", 1, (2, 2), Some(id(lane_of(at), at)));
    }
    let found = target(lanes.ask(asker(Some(id(FAR, 1)), 2)));
    assert_eq!((found.beginning.after, lanes.written), (Some(id(lane_of(100), 100)), 1));
}

#[test]
fn a_ring_ends() {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 0);
    lanes.open(id(THERE, 2), "one", 2, 0);
    lanes.close(id(THERE, 1), id(THERE, 2));
    lanes.close(id(THERE, 2), id(THERE, 1));
    assert_eq!(lanes.ask(asker(Some(id(THERE, 1)), 0)), Step::Denied(Refusal::Denied));
}

#[test]
fn a_producer_that_nobody_knows_is_unknown_and_the_first_of_an_identity_begins_at_nothing() {
    let mut lanes = Lanes::new();
    assert_eq!(lanes.ask(asker(Some(id(THERE, 1)), 5)), Step::Unknown);
    for lane in [OWN, THERE] {
        let mut lanes = Lanes::new();
        let walk = Walk::begin(asker(None, 0), Some(id(lane, 1)), &[]).unwrap();
        let found = target(lanes.walk(walk));
        assert_eq!((found.producer.lane, found.beginning.sequence, lanes.written), (OWN, Sequence(0), usize::from(lane != OWN)));
        assert_eq!(found.producer == id(lane, 1), lane == OWN);
    }
}

#[test]
fn an_edge_without_producer_is_given_the_one_of_its_track_else_the_end_of_its_chain_else_a_new_one() {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    lanes.open(id(OWN, 2), "one", 2, 3);
    let all = lanes.all("one");
    let first = Some(id(THERE, 1));
    let track = |track| Asker { track: TrackId(track), ..asker(None, 0) };
    assert_eq!(Walk::begin(track(2), None, &all).unwrap().at(), id(OWN, 2));
    assert_eq!(Walk::begin(track(1), first, &all).unwrap().at(), id(THERE, 1));
    assert!(Walk::begin(track(3), None, &all).is_none(), "a new track of a WAL that is known");
    assert!(!Walk::ends_others(&track(1), &all) && !Walk::ends_others(&track(2), &all));
    // Another WAL: the edge lost the one before.
    let lost = Asker { wal_id: 8, ..track(1) };
    assert_eq!(Walk::begin(lost.clone(), first, &all).unwrap().at(), id(THERE, 1));
    assert!(Walk::ends_others(&lost, &all));
    assert!(!Walk::ends_others(&Asker { followed: true, ..lost.clone() }, &all), "it is not new: it has a later track");
    // Its opening lay in a busy hub: meanwhile it has two tracks by way of another, where the first moved on.
    let mut later = Lanes::new();
    later.open(id(THERE, 1), "one", 1, 5);
    later.open(id(OWN, 2), "one", 2, 3);
    later.close(id(THERE, 1), id(OWN, 3));
    assert!(!Walk::ends_others(&track(1), &later.all("one")), "its WAL is known");
    assert!(Walk::ends_others(&lost, &later.all("one")));
    let found = target(lanes.walk(Walk::begin(lost.clone(), first, &all).unwrap()));
    let before = lanes.all("one");
    let others = others_of(&before, &ids(&before), |other| *other != found.producer && *other != id(THERE, 1));
    let [other] = &others[..] else { panic!("{others:?}") };
    let close = |lanes: &Lanes| other.close(lanes.state(id(OWN, 2)), found.producer);
    let record = close(&lanes);
    lanes.commit(OWN, record);
    assert_eq!(lanes.state(id(OWN, 2)).unwrap().closed, Some(found.producer));
    assert_eq!(close(&lanes), [], "once");
    // The new WAL's second track is one of its own.
    assert!(Walk::begin(Asker { track: TrackId(2), ..lost }, None, &lanes.all("one")).is_none());
}

#[test]
fn positions_of_several_producers_are_merged_to_the_farthest() {
    let cut = Position { generation: 1, ..position(6, 3) };
    let open = [position(5, 10), position(5, 40), position(6, 900), cut.clone(), position(5, 20)];
    let ended = [position(5, 1_000), position(7, 7)];
    let found = merged(&open, &ended, None);
    assert_eq!(offsets(&found), [(5, 40), (6, 3), (7, 7)], "what had ended before does not outdo what stands");
    assert_eq!(found[1], cut);
    let later = [Position { from: 50, ..position(5, 90) }, Position { from: 40, ..position(5, 50) }];
    assert_eq!(offsets(&merged(&open, &later, None))[0], (5, 90), "but what began behind it does");
    let many: Vec<Position> = (0..5_000).map(|inode| Position { gone: inode % 2 == 0, ..position(inode + 1, 1) }).collect();
    let bounded = merged(&many, &[], None);
    assert_eq!((bounded.len(), bounded.iter().filter(|position| !position.gone).count()), (SOURCES_MAX, 2_500));
}

#[test]
fn a_quarantined_producer_is_refused_until_it_is_released() {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    lanes.quarantine(id(THERE, 1));
    for who in [asker(Some(id(THERE, 1)), 5), named(&asker(Some(id(THERE, 1)), 5), "new")] {
        assert!(matches!(lanes.ask(who), Step::Denied(Refusal::Diverged(_))));
    }
    // Released by an operator: its own edge begins a numbering anew, and is told what stands.
    lanes.close(id(THERE, 1), id(THERE, 2));
    let found = target(lanes.ask(asker(Some(id(THERE, 1)), 2)));
    let carry = found.carry.clone().unwrap();
    assert_eq!((carry.producer, carry.last, carry.chain), (id(THERE, 1), Sequence(5), chain_at(5)));
    assert_eq!(carry.digests, (1..=5).map(digest_of).collect::<Vec<_>>());
    assert_eq!((found.beginning.sequence, found.beginning.chain, offsets(&found.beginning.positions)), (Sequence(0), Chain::default(), vec![(5, 5)]));
    // Asked again before its first batch: the same. After that: somebody else holds a copy of the WAL.
    let again = target(lanes.ask(asker(Some(id(THERE, 1)), 2)));
    assert_eq!((again.producer, again.carry), (found.producer, found.carry));
    let (from, to, chain_to) = (Sequence(1), Sequence(1), digest::extend(Chain::default(), digest_of(77)));
    let epoch = lanes.state(found.producer).unwrap().epoch;
    let advance = LaneRecord::Advance { producer: found.producer, epoch, from, to, chain_to, digests: vec![digest_of(77)], positions: Vec::new() };
    lanes.commit(OWN, vec![advance]);
    assert!(matches!(lanes.ask(asker(Some(id(THERE, 1)), 2)), Step::Denied(Refusal::Diverged(_))));
    let bound = Asker { acked: (Sequence(1), chain_to), ..asker(Some(found.producer), 0) };
    assert_eq!(target(lanes.ask(bound)).carry, None, "who is bound to the new one goes on with it");
}

#[test]
fn an_edge_whose_wal_is_new_brings_nothing_over_from_a_release_long_ago() {
    let mut lanes = Lanes::new();
    lanes.open(id(OWN, 1), "one", 1, 5);
    lanes.quarantine(id(OWN, 1));
    lanes.close(id(OWN, 1), id(OWN, 2));
    lanes.open_at(id(OWN, 2), "one", 1, (0, 3), Some(id(OWN, 1)));
    let lost = Asker { wal_id: 8, ..asker(None, 0) };
    let walk = Walk::begin(lost, Some(id(OWN, 1)), &lanes.all("one")).unwrap();
    let found = target(lanes.walk(walk));
    assert_eq!((found.beginning.after, found.carry, found.beginning.sequence), (Some(id(OWN, 2)), None, Sequence(3)));
}

/// A WAL is lost, the next one goes on in its tracks' stead, then the first one is put back as it was before its second track was bound.
#[test]
fn a_track_that_another_wal_took_over_has_ended_for_its_own() {
    for lane in [OWN, THERE] {
        let mut lanes = Lanes::new();
        lanes.open(id(lane, 1), "one", 1, 5);
        lanes.open(id(lane, 2), "one", 2, 3);
        lanes.close(id(lane, 1), id(lane, 2));
        let lost = Asker { wal_id: 8, ..asker(None, 0) };
        let walk = Walk::begin(lost.clone(), Some(id(lane, 1)), &lanes.all("one")).unwrap();
        let stands = target(lanes.walk(walk)).producer;
        assert_eq!((lanes.state(id(lane, 2)).unwrap().track, lanes.state(stands).unwrap().wal_id), (2, 8), "it stays what it was");
        let unbound = Asker { track: TrackId(2), ..asker(None, 0) };
        let walk = Walk::begin(unbound.clone(), None, &lanes.all("one")).expect("it is known");
        let found = target(lanes.walk(walk));
        assert_eq!(found.carry.map(|carry| carry.ended), Some(true), "{lane}");
        assert_eq!((found.beginning.sequence, found.beginning.after), (Sequence(3), Some(stands)));
        // Now its own track stands, which that one leads to.
        let walk = Walk::begin(unbound, None, &lanes.all("one")).unwrap();
        assert_eq!(target(lanes.walk(walk)).carry, None);
    }
}

#[test]
fn a_retired_producer_is_denied_for_ever() {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    lanes.close(id(THERE, 1), id(THERE, 1));
    assert_eq!(lanes.ask(asker(Some(id(THERE, 1)), 5)), Step::Denied(Refusal::Denied));
    let walk = Walk::begin(asker(None, 0), Some(id(THERE, 1)), &lanes.all("one")).unwrap();
    assert_eq!(lanes.walk(walk), Step::Denied(Refusal::Denied));
}

#[test]
fn another_identity_goes_on_when_it_proves_that_it_holds_the_wal() {
    for lane in [OWN, THERE] {
        let mut lanes = Lanes::new();
        lanes.open(id(lane, 1), "old", 1, 5);
        let denied = [
            // Everybody knows the empty chain.
            asker(Some(id(lane, 1)), 0),
            Asker { acked: (Sequence(5), chain_at(4)), ..asker(Some(id(lane, 1)), 0) },
            Asker { acked: (Sequence(6), chain_at(6)), ..asker(Some(id(lane, 1)), 0) },
            Asker { speaker: speaker("beta", "old"), ..asker(Some(id(lane, 1)), 5) },
        ];
        for who in denied {
            assert_eq!(lanes.ask(who.clone()), Step::Denied(Refusal::Denied), "{who:?}");
        }
        assert_eq!(lanes.written, 0);
        let found = target(lanes.ask(asker(Some(id(lane, 1)), 3)));
        assert_eq!((found.beginning.sequence, found.beginning.after, found.carry), (Sequence(5), Some(id(lane, 1)), None));
        assert_eq!(lanes.state(found.producer).unwrap().identity, "alpha/one");
        // The old identity does not take it back, whatever it can prove.
        let owner = named(&asker(Some(id(lane, 1)), 5), "old");
        assert_eq!(lanes.ask(owner), Step::Denied(Refusal::Denied));
        assert_eq!(target(lanes.ask(asker(Some(id(lane, 1)), 3))).producer, found.producer);
    }
}

#[test]
fn another_identity_takes_nothing_that_holds_nothing() {
    let mut lanes = Lanes::new();
    lanes.open(id(OWN, 1), "old", 1, 0);
    assert_eq!(lanes.ask(asker(Some(id(OWN, 1)), 0)), Step::Denied(Refusal::Denied), "there is nothing to prove");
}

#[test]
fn another_identity_opens_what_was_named_only_with_the_same_proof() {
    let lanes = || {
        let mut lanes = Lanes::new();
        lanes.open(id(THERE, 1), "old", 1, 5);
        lanes.close(id(THERE, 1), id(FAR, 2));
        lanes
    };
    assert_eq!(lanes().ask(Asker { acked: (Sequence(5), Chain([1; 16])), ..asker(Some(id(THERE, 1)), 5) }), Step::Denied(Refusal::Denied));
    let mut lanes = lanes();
    assert_eq!(target(lanes.ask(asker(Some(id(THERE, 1)), 5))).beginning.sequence, Sequence(5));
}

#[test]
fn what_was_set_free_is_brought_over_by_another_identity_under_a_numbering_of_its_own() {
    for released in [true, false] {
        let mut lanes = Lanes::new();
        lanes.open(id(THERE, 1), "old", 1, 5);
        if released {
            lanes.quarantine(id(THERE, 1));
        }
        lanes.close(id(THERE, 1), if released { id(THERE, 2) } else { id(THERE, 1) });
        // No proof is asked for: an operator decided.
        let Step::Mint(carry) = lanes.ask(asker(Some(id(THERE, 1)), 0)) else { panic!("nothing brought over") };
        assert_eq!((carry.producer, carry.last, carry.digests.len()), (id(THERE, 1), Sequence(5), 5));
        let foreign = Asker { speaker: speaker("beta", "one"), ..asker(Some(id(THERE, 1)), 5) };
        assert_eq!(lanes.ask(foreign), Step::Denied(Refusal::Denied), "of another cluster");
        // Asked again: the one that was made for it, while it holds nothing.
        lanes.open(id(OWN, 9), "one", 1, 0);
        let walk = Walk::begin(asker(Some(id(THERE, 1)), 0), None, &lanes.all("one")).unwrap().carrying(Some(carry.clone()));
        let found = target(lanes.walk(walk));
        assert_eq!((found.producer, found.carry), (id(OWN, 9), Some(carry)));
    }
}

#[test]
fn what_stood_before_a_move_is_left_out_of_a_carry_over_too() {
    for (last, digests) in [(5, 5), (7, 7), (80, 64)] {
        let mut lanes = Lanes::new();
        lanes.open(id(THERE, 1), "old", 1, 5);
        lanes.close(id(THERE, 1), id(FAR, 2));
        lanes.open_at(id(FAR, 2), "old", 1, (5, last), Some(id(THERE, 1)));
        lanes.quarantine(id(FAR, 2));
        lanes.close(id(FAR, 2), id(OWN, 3));
        let Step::Mint(carry) = lanes.ask(asker(Some(id(THERE, 1)), 0)) else { panic!("nothing brought over") };
        assert_eq!((carry.producer, carry.last, carry.digests.len()), (id(FAR, 2), Sequence(last), digests));
        assert_eq!(carry.digests, (last + 1 - digests as u64..=last).map(digest_of).collect::<Vec<_>>());
        let own = target(lanes.ask(named(&asker(Some(id(THERE, 1)), 0), "old")));
        assert_eq!((own.carry, own.beginning.sequence), (Some(carry), Sequence(0)));
        // Another numbering since: what stood in the one before is not of it.
        lanes.commit(
            OWN,
            vec![LaneRecord::Advance {
                producer: id(OWN, 3),
                epoch: Epoch(1),
                from: Sequence(1),
                to: Sequence(2),
                chain_to: chain_at(2),
                digests: vec![digest_of(1), digest_of(2)],
                positions: Vec::new(),
            }],
        );
        lanes.quarantine(id(OWN, 3));
        lanes.close(id(OWN, 3), id(OWN, 4));
        let Step::Mint(carry) = lanes.ask(asker(Some(id(OWN, 3)), 0)) else { panic!("nothing brought over") };
        assert_eq!((carry.last, carry.digests), (Sequence(2), vec![digest_of(1), digest_of(2)]));
    }
}

/// The asker's track 1 was drained at 5 and ended in track 2, which stood at 3; that one moved `moves` times since, the last time into `lane`.
fn drained(moves: u128, lane: LaneId) -> (Lanes, ProducerId) {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    lanes.open(id(THERE, 2), "one", 2, 3);
    lanes.close(id(THERE, 1), id(THERE, 2));
    let mut newest = id(THERE, 2);
    for at in 1..=moves {
        let next = id(if at == moves { lane } else { FAR }, 2 + at);
        lanes.close(newest, next);
        lanes.open_at(next, "one", 2, (3, 3), Some(newest));
        newest = next;
    }
    (lanes, newest)
}

/// Its WAL was set back to before the track was bound: it sends nothing that the track had stored.
#[test]
fn a_later_track_that_knows_no_producer_any_more_is_led_over_the_one_it_had() {
    for lane in [OWN, THERE, FAR] {
        let mut lanes = Lanes::new();
        lanes.open(id(THERE, 1), "one", 2, 5);
        lanes.open(id(lane, 2), "one", 3, 3);
        lanes.close(id(THERE, 1), id(lane, 2));
        let unbound = Asker { track: TrackId(2), ..asker(None, 0) };
        assert!(Walk::begin(Asker { followed: true, ..unbound.clone() }, None, &lanes.all("one")).is_none(), "it could not be told its end");
        let walk = Walk::begin(unbound.clone(), None, &lanes.all("one")).expect("it is known");
        let carry = target(lanes.walk(walk)).carry.expect("it is told where its track ended");
        assert_eq!((carry.producer, carry.last, carry.ended), (id(THERE, 1), Sequence(5), true));
        assert!(Walk::begin(Asker { track: TrackId(4), ..unbound.clone() }, None, &lanes.all("one")).is_none(), "never bound");
        // The number was given anew, after the old track 2 had ended in the first.
        let mut again = Lanes::new();
        again.open(id(THERE, 1), "one", 2, 5);
        again.open(id(lane, 2), "one", 1, 3);
        again.close(id(THERE, 1), id(lane, 2));
        assert!(Walk::begin(unbound.clone(), None, &again.all("one")).is_none(), "another track 2");
        assert!(Walk::begin(Asker { wal_id: 8, ..unbound }, None, &lanes.all("one")).is_none(), "another WAL's");
    }
    // It moved since, and its next one was opened by nobody yet.
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 2, 5);
    lanes.close(id(THERE, 1), id(FAR, 2));
    for (is_unknown, followed) in [(false, false), (true, true), (false, true)] {
        let mut lanes = lanes.clone();
        // A rollback forgot the producer that it names, or the hub named it to a WAL that was set back; later tracks follow it.
        let who = Asker { track: TrackId(2), is_unknown, followed, ..asker(None, 0) };
        let walk = Walk::begin(who, None, &lanes.all("one")).unwrap();
        let found = target(lanes.walk(walk));
        assert_eq!((found.beginning.sequence, found.carry), (Sequence(5), None));
    }
}

#[test]
fn a_drained_track_is_told_its_end_wherever_the_one_after_it_went() {
    for (moves, lane) in [(0, THERE), (1, OWN), (1, FAR), (3, FAR), (3, OWN)] {
        let (mut lanes, newest) = drained(moves, lane);
        for last in [5, 4, 0] {
            let who = Asker { followed: true, ..asker(Some(id(THERE, 1)), last) };
            let ended = Step::Ended { epoch: Epoch(1), end: acked(5), next: id(THERE, 2) };
            assert_eq!(lanes.ask(who), ended, "{moves} moves into {lane}, acked {last}");
        }
        assert_eq!((lanes.written, lanes.state(newest).unwrap().closed), (0, None), "the one after it stays where it is");
    }
}

#[test]
fn a_wal_of_before_a_track_began_is_led_to_where_that_one_stands() {
    for (moves, lane) in [(0, THERE), (1, OWN), (3, FAR)] {
        for last in [5, 4] {
            let (mut lanes, _) = drained(moves, lane);
            // What it holds of the ended track is no part of the other numbering, also where it holds all acks.
            let found = target(lanes.ask(asker(Some(id(THERE, 1)), last)));
            let carry = found.carry.unwrap();
            assert_eq!((carry.producer, carry.last, carry.ended), (id(THERE, 1), Sequence(5), true));
            assert_eq!(lanes.state(found.producer).unwrap().last, Sequence(3));
        }
    }
    // An edge without producer is given the end, whatever came before it.
    let (mut lanes, _) = drained(0, THERE);
    let lost = Asker { wal_id: 8, ..asker(None, 0) };
    let walk = Walk::begin(lost, Some(id(THERE, 1)), &lanes.all("one")).unwrap();
    let found = target(lanes.walk(walk));
    assert_eq!((found.beginning.sequence, found.carry), (Sequence(3), None));
    // One whose producer no lane knows any more holds a numbering, and it is not that one.
    let (mut lanes, _) = drained(0, THERE);
    let unknown = Asker { is_unknown: true, ..asker(None, 4) };
    let walk = Walk::begin(unknown, Some(id(THERE, 1)), &lanes.all("one")).unwrap();
    let carry = target(lanes.walk(walk)).carry.unwrap();
    assert_eq!((carry.producer, carry.ended), (id(THERE, 1), true));
}

#[test]
fn the_end_of_a_track_is_told_to_its_own_edge_and_to_who_proves_to_hold_its_wal() {
    let (mut lanes, _) = drained(1, OWN);
    let who = Asker { followed: true, ..asker(Some(id(THERE, 1)), 4) };
    assert!(matches!(lanes.ask(named(&who, "two")), Step::Ended { .. }));
    for stranger in [Asker { acked: acked(0), ..named(&who, "two") }, Asker { speaker: speaker("beta", "one"), ..who }] {
        assert_eq!(lanes.ask(stranger), Step::Denied(Refusal::Denied));
    }
}

#[test]
fn a_track_that_was_released_and_drained_by_another_holder_is_not_brought_over_again() {
    for followed in [false, true] {
        let mut lanes = Lanes::new();
        lanes.open(id(THERE, 1), "one", 1, 5);
        lanes.quarantine(id(THERE, 1));
        lanes.close(id(THERE, 1), id(THERE, 2));
        lanes.open_at(id(THERE, 2), "one", 1, (0, 2), Some(id(THERE, 1)));
        lanes.open(id(THERE, 3), "one", 2, 0);
        lanes.close(id(THERE, 2), id(THERE, 3));
        let who = Asker { followed, ..asker(Some(id(THERE, 1)), 5) };
        assert!(matches!(lanes.ask(who), Step::Denied(Refusal::Diverged(_))));
    }
}

#[test]
fn an_ack_that_contradicts_the_chain_is_not_moved() {
    let mut lanes = Lanes::new();
    lanes.open(id(THERE, 1), "one", 1, 5);
    for wrong in [(5, chain_at(4)), (2, chain_at(3)), (0, Chain([1; 16]))] {
        let who = Asker { acked: (Sequence(wrong.0), wrong.1), ..asker(Some(id(THERE, 1)), 0) };
        assert!(matches!(lanes.ask(who), Step::Denied(Refusal::Diverged(_))), "{wrong:?}");
    }
    assert_eq!(lanes.written, 0);
    // Beyond what stands: the bucket was rolled back. The edge is told where it stands.
    assert_eq!(target(lanes.ask(asker(Some(id(THERE, 1)), 9))).beginning.sequence, Sequence(5));
}

#[test]
fn proof_reaches_as_far_back_as_digests_are_kept() {
    let mut lanes = Lanes::new();
    lanes.open(id(OWN, 1), "one", 1, 100);
    let state = lanes.state(id(OWN, 1)).unwrap();
    assert_eq!(proves(state, acked(100)), Some(true));
    assert_eq!(proves(state, acked(36)), Some(true));
    assert_eq!(proves(state, acked(35)), None, "64 are kept");
    assert_eq!(proves(state, acked(101)), None);
    assert_eq!(proves(state, (Sequence(99), chain_at(98))), Some(false));
    let carry = carry_of(id(OWN, 1), state, None);
    assert_eq!((carry.digests.len(), carry.digests[63]), (64, digest_of(100)));
}

#[test]
fn a_gap_among_the_kept_digests_is_shown_as_such_and_never_unfolded() {
    let mut lanes = Lanes::new();
    let producer = id(OWN, 1);
    lanes.open(producer, "one", 1, 3);
    let (to, end) = (1 << 40, Chain([4; 16]));
    let (from, epoch) = (Sequence(4), Epoch(1));
    let gap = LaneRecord::Advance { producer, epoch, from, to: Sequence(to), chain_to: end, digests: Vec::new(), positions: Vec::new() };
    let chain_to = digest::extend(end, digest_of(9));
    let (from, digests) = (Sequence(to + 1), vec![digest_of(9)]);
    let next = LaneRecord::Advance { producer, epoch, from, to: Sequence(to + 1), chain_to, digests, positions: Vec::new() };
    lanes.commit(OWN, vec![gap, next]);
    let carry = carry_of(producer, lanes.state(producer).unwrap(), None);
    assert_eq!((carry.digests.len(), carry.digests[0], carry.digests[63]), (64, BatchDigest([0; 16]), digest_of(9)));
    assert_eq!(proves(lanes.state(producer).unwrap(), acked(3)), None);
}

#[test]
fn two_walks_over_one_producer_close_it_once() {
    let mut once = Once::default();
    let close = |unique| vec![LaneRecord::Close { producer: id(OWN, unique), sequence: Sequence(0), chain: Chain::default(), next: id(OWN, 9) }];
    assert!(once.first(&close(1)) && once.first(&close(2)) && !once.first(&close(1)));
}

#[test]
fn what_an_older_track_had_not_sent_is_missing_when_all_become_one() {
    let from = |inode, from, offset| Position { from, ..position(inode, offset) };
    let known = |inodes: &[u64]| inodes.iter().map(|inode| SourceKey::of(&position(*inode, 0))).collect::<BTreeSet<_>>();
    let missing = |found: &[Position]| found.iter().map(|position| (position.inode, position.offset, position.from, position.missing)).collect::<Vec<_>>();
    // Track 1 has source 5 up to 100, track 2 from 300 to 700; source 6 without a hole; source 7 is of track 2 alone.
    let tracks = [position(5, 100), from(5, 300, 700), position(6, 50), from(6, 50, 90), from(7, 40, 60)];
    assert_eq!(missing(&merged(&tracks, &[], Some(&known(&[5, 6])))), [(5, 700, 0, 200), (6, 90, 0, 0), (7, 60, 0, 40)]);
    // The first track has ended: what came before was its.
    assert_eq!(missing(&merged(&tracks[1..2], &[], None)), [(5, 700, 0, 0)]);
    assert_eq!(missing(&merged(&tracks[1..2], &tracks[..1], None)), [(5, 700, 0, 200)], "it ended in a try that was not finished");
    let cut = Position { generation: 3, ..from(5, 10, 20) };
    assert_eq!(missing(&merged(&[position(5, 100), cut], &[], Some(&known(&[5])))), [(5, 20, 0, u64::MAX)]);
    // Told again by a Welcome that came twice.
    assert_eq!(missing(&merged(&[Position { missing: 200, ..position(5, 700) }], &[], None)), [(5, 700, 0, 200)]);
}

#[test]
fn the_oldest_later_track_of_the_same_wal_is_named_to_whoever_knows_none() {
    let mut lanes = Lanes::new();
    for (unique, track) in [(1, 1), (2, 2), (3, 3), (4, 4)] {
        lanes.open(id(THERE, unique), "one", track, 5);
    }
    lanes.close(id(THERE, 2), id(THERE, 4));
    let all = lanes.all("one");
    let later = |asker: Asker| asker.later(&all, &ids(&all));
    let track = |track| Asker { track: TrackId(track), ..asker(None, 0) };
    assert_eq!([1, 2, 3, 4].map(|number| later(track(number))), [Some(TrackId(3)), Some(TrackId(3)), Some(TrackId(4)), None], "one that has ended is none");
    assert_eq!(later(Asker { followed: true, ..track(1) }), None, "it knows a later one");
    assert_eq!(later(Asker { wal_id: 8, ..track(1) }), None, "another WAL's tracks are not its own");
    // Track 4 was to go on elsewhere, and nobody came to open it there.
    lanes.close(id(THERE, 4), id(FAR, 9));
    let all = lanes.all("one");
    assert_eq!(track(3).later(&all, &ids(&all)), Some(TrackId(4)));
    let others = others_of(&all, &ids(&all), |other| *other != id(THERE, 1) && *other != id(THERE, 3));
    let [other] = &others[..] else { panic!("{others:?}") };
    assert_eq!(other.producer, id(FAR, 9));
    // One that ended in a track which the asker goes on with is no other, nor is that.
    let drained: Vec<_> = all.iter().filter(|(producer, _)| *producer == id(THERE, 2)).cloned().collect();
    assert!(others_of(&drained, &ids(&all), |_| true).is_empty());
    // A new WAL ends it all the same.
    let records = other.close(lanes.state(id(FAR, 9)), id(THERE, 3));
    lanes.commit(FAR, records);
    let ended = lanes.state(id(FAR, 9)).unwrap();
    assert_eq!((ended.last, ended.closed, ended.track), (Sequence(5), Some(id(THERE, 3)), 4));
    assert_eq!(track(3).later(&lanes.all("one"), &ids(&lanes.all("one"))), None);
}
