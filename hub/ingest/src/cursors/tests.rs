use bytes::Bytes;
use hub_store::{CommitId, LaneHeader};
use proto_model::{ClusterId, EdgeId, LaneId, Timestamp, TrackId};
use tokio::sync::mpsc;

use super::*;
use crate::request::Room;

const LANE: LaneId = LaneId(7);
const P: ProducerId = ProducerId { lane: LANE, unique: 1 };
const OTHER: ProducerId = ProducerId { lane: LANE, unique: 2 };

fn speaker(edge: &str) -> Speaker {
    Speaker { cluster: ClusterId::new("alpha").unwrap(), edge: EdgeId::new(edge).unwrap() }
}

fn digest_of(sequence: u64) -> BatchDigest {
    digest::of_batch(format!("batch {sequence}").as_bytes())
}

/// C of sequences `1..=last`, all of them the batches of [`digest_of`].
fn chain_at(last: u64) -> Chain {
    (1..=last).fold(Chain::default(), |chain, sequence| digest::extend(chain, digest_of(sequence)))
}

fn offer(epoch: u64, sequence: u64) -> Offer {
    let (reply, _) = mpsc::channel(1);
    Offer {
        speaker: speaker("one"),
        producer: P,
        epoch: Epoch(epoch),
        sequence: Sequence(sequence),
        chain_previous: chain_at(sequence.saturating_sub(1).min(200)),
        digest: digest_of(sequence),
        positions: Vec::new(),
        rows: Vec::new(),
        body: Bytes::new(),
        lines: 1,
        room: Room::default(),
        reply,
    }
}

fn open(edge: &str, producer: Option<ProducerId>, acked: (u64, Chain)) -> Open {
    let (reply, _) = mpsc::channel(1);
    let acked = (Sequence(acked.0), acked.1);
    Open { speaker: speaker(edge), track: TrackId(1), producer, nonce: [3; 16], wal_id: 9, acked, followed: false, target: None, walks: 0, reply }
}

/// An opening whose walk ended at `producer`, which begins at 0 if it stands nowhere.
fn walked(edge: &str, producer: ProducerId) -> Open {
    let target = Target { producer, beginning: moves::Beginning::default(), carry: None, nonce: None, later: None };
    Open { target: Some(Box::new(target)), ..open(edge, None, (0, Chain::default())) }
}

/// What an opening is told.
fn opening(board: &mut Draftboard<'_>, open: &Open) -> Result<(Epoch, Sequence, Chain), Option<Refusal>> {
    match board.open(open, &Clones::default()) {
        Opening::Open(opened) => Ok((opened.epoch, opened.last, opened.chain)),
        Opening::Walk => Err(None),
        Opening::Refused(why) => Err(Some(why)),
    }
}

fn gap(from: u64, to: u64) -> GapOffer {
    let (reply, _) = mpsc::channel(1);
    let before = chain_at(from.saturating_sub(1).min(200));
    GapOffer {
        speaker: speaker("one"),
        producer: P,
        epoch: Epoch(3),
        from: Sequence(from),
        to: Sequence(to),
        chain_previous: before,
        chain_to: digest::extend_gap(before, from, to),
        lines: Some(4),
        bytes: None,
        range: (Timestamp(1), Timestamp(2)),
        reason: "dropped".to_owned(),
        source: String::new(),
        reply,
    }
}

/// Applies `records` as the next object: the lane itself says whether a board's records fit.
fn commit(fold: &mut Fold, records: Vec<LaneRecord>) {
    let number = fold.head() + 1;
    let commit = CommitId([u8::try_from(number % 250).unwrap() + 1; 16]);
    let header = LaneHeader {
        lane: LANE,
        number,
        commit,
        previous: fold.head_commit(),
        writer: String::new(),
        written: Timestamp(0),
        map_version: 0,
        records,
        sections: Vec::new(),
    };
    fold.apply(&header).unwrap();
}

/// P of `alpha/one` under epoch 3, batches `1..=last` committed; OTHER of `alpha/two` under epoch 1.
fn fold_at(last: u64) -> Fold {
    let mut fold = Fold::genesis(LANE, CommitId([0; 16]));
    for _ in 0..3 {
        let mut board = Draftboard::new(&fold);
        opening(&mut board, &walked("one", P)).unwrap();
        let records = board.into_records();
        commit(&mut fold, records);
    }
    let mut board = Draftboard::new(&fold);
    opening(&mut board, &walked("two", OTHER)).unwrap();
    for sequence in 1..=last {
        assert_eq!(board.batch(&offer(3, sequence)), Verdict::Take);
    }
    let records = board.into_records();
    commit(&mut fold, records);
    fold
}

#[derive(Debug, PartialEq)]
enum Told {
    Take,
    Committed(u64),
    Expect(u64),
    Fenced,
    Denied,
    Protocol,
    Diverged { quarantine: bool },
}

fn told(verdict: Verdict) -> Told {
    match verdict {
        Verdict::Take => Told::Take,
        Verdict::Committed(last) => Told::Committed(last.0),
        Verdict::Expect(next) => Told::Expect(next.0),
        Verdict::Waiting => panic!("nothing waits"),
        Verdict::Refuse { why: Refusal::Diverged(_), quarantine } => Told::Diverged { quarantine },
        Verdict::Refuse { quarantine: true, why } => panic!("quarantined for {why:?}"),
        Verdict::Refuse { why: Refusal::Fenced, .. } => Told::Fenced,
        Verdict::Refuse { why: Refusal::Denied, .. } => Told::Denied,
        Verdict::Refuse { why: Refusal::Protocol(_), .. } => Told::Protocol,
        Verdict::Refuse { why, .. } => panic!("unexpected: {why:?}"),
    }
}

type Change = fn(&mut Offer);
type GapChange = fn(&mut GapOffer);

#[test]
fn the_receiver_table_row_by_row() {
    const MAX: u64 = Sequence::MAX.0;
    let table: Vec<(&str, (u64, u64), Change, Told)> = vec![
        ("another identity's producer", (3, 6), |o| o.speaker = speaker("two"), Told::Denied),
        ("a namesake in another cluster", (3, 6), |o| o.speaker.cluster = ClusterId::new("beta").unwrap(), Told::Denied),
        ("a producer nobody opened", (3, 6), |o| o.producer.unique = 77, Told::Denied),
        ("a producer of another lane", (3, 6), |o| o.producer.lane = LaneId(8), Told::Fenced),
        ("an earlier epoch", (2, 6), |_| {}, Told::Fenced),
        ("an earlier epoch with an old batch", (1, 2), |_| {}, Told::Fenced),
        ("an epoch never allotted", (4, 6), |_| {}, Told::Protocol),
        ("the largest epoch", (u64::MAX, 6), |_| {}, Told::Protocol),
        ("sequence 0", (3, 0), |_| {}, Told::Protocol),
        ("sequence 2^63", (3, MAX + 1), |_| {}, Told::Protocol),
        ("sequence 2^64 - 1", (3, u64::MAX), |_| {}, Told::Protocol),
        ("the newest again", (3, 5), |_| {}, Told::Committed(5)),
        ("the first again", (3, 1), |_| {}, Told::Committed(5)),
        ("an old number with other bytes", (3, 4), |o| o.digest = digest_of(99), Told::Diverged { quarantine: true }),
        ("the next", (3, 6), |_| {}, Told::Take),
        ("the next on another chain", (3, 6), |o| o.chain_previous = chain_at(4), Told::Diverged { quarantine: true }),
        ("the one after the next", (3, 7), |_| {}, Told::Expect(6)),
        ("the largest number", (3, MAX), |_| {}, Told::Expect(6)),
        ("far ahead, on a chain of its own", (3, 9), |o| o.chain_previous = Chain([9; 16]), Told::Expect(6)),
    ];
    let fold = fold_at(5);
    for (name, (epoch, sequence), change, expected) in table {
        let mut asked = offer(epoch, sequence);
        change(&mut asked);
        let mut board = Draftboard::new(&fold);
        let verdict = told(board.batch(&asked));
        assert_eq!(verdict, expected, "{name}");
        // Only what is taken leaves a record, and that one alone.
        assert_eq!(board.into_records().len(), usize::from(verdict == Told::Take), "{name}");
    }
}

#[test]
fn a_number_older_than_the_kept_digests_is_acked_for_its_owner_only() {
    let fold = fold_at(70);
    assert_eq!(fold.producer(&P).unwrap().digest_of(Sequence(6)), None);
    let mut board = Draftboard::new(&fold);
    assert_eq!(board.batch(&offer(3, 6)), Verdict::Committed(Sequence(70)));
    assert_eq!(told(board.batch(&Offer { speaker: speaker("two"), ..offer(3, 6) })), Told::Denied);
    assert_eq!(told(board.batch(&Offer { digest: digest_of(1), ..offer(3, 7) })), Told::Diverged { quarantine: true });
}

#[test]
fn batches_of_one_object_are_judged_one_after_the_other() {
    let mut fold = fold_at(5);
    let mut board = Draftboard::new(&fold);
    assert_eq!(board.batch(&offer(3, 7)), Verdict::Expect(Sequence(6)));
    for sequence in 6..=9 {
        assert_eq!(board.batch(&offer(3, sequence)), Verdict::Take);
    }
    assert_eq!(board.batch(&offer(3, 8)), Verdict::Waiting, "its commit is not known yet: no ack before");
    assert_eq!(board.batch(&offer(3, 5)), Verdict::Committed(Sequence(5)), "not 9: only 5 stands");
    assert_eq!(told(board.batch(&Offer { digest: digest_of(1), ..offer(3, 8) })), Told::Diverged { quarantine: true });
    let records = board.into_records();
    assert!(matches!(&records[..], [LaneRecord::Advance { from: Sequence(6), to: Sequence(9), digests, .. }] if digests.len() == 4), "{records:?}");
    commit(&mut fold, records);
    let state = fold.producer(&P).unwrap();
    assert_eq!((state.last, state.chain), (Sequence(9), chain_at(9)));
}

#[test]
fn a_reopening_in_the_same_object_fences_what_follows_and_keeps_what_came_before() {
    let mut fold = fold_at(5);
    let mut board = Draftboard::new(&fold);
    assert_eq!(board.batch(&offer(3, 6)), Verdict::Take);
    let answer = opening(&mut board, &open("one", Some(P), (5, chain_at(5)))).unwrap();
    assert_eq!(answer, (Epoch(4), Sequence(6), chain_at(6)), "the batch before it counts");
    assert_eq!(told(board.batch(&offer(3, 7))), Told::Fenced);
    assert_eq!(board.batch(&offer(4, 7)), Verdict::Take);
    // Both the batch before and after the opening are still told from other batches under their numbers.
    assert_eq!(board.batch(&offer(4, 6)), Verdict::Waiting);
    for sequence in [6, 7] {
        assert_eq!(told(board.batch(&Offer { digest: digest_of(1), ..offer(4, sequence) })), Told::Diverged { quarantine: true });
    }
    let records = board.into_records();
    assert!(
        matches!(
            &records[..],
            [
                LaneRecord::Advance { epoch: Epoch(3), to: Sequence(6), .. },
                LaneRecord::Open { epoch: Epoch(4), sequence: Sequence(6), .. },
                LaneRecord::Advance { epoch: Epoch(4), from: Sequence(7), digests, .. }
            ] if digests.len() == 1
        ),
        "{records:?}"
    );
    commit(&mut fold, records);
    assert_eq!(fold.producer(&P).unwrap().last, Sequence(7));
}

#[test]
fn a_quarantined_producer_is_refused_everything_from_then_on() {
    let mut fold = fold_at(5);
    let mut board = Draftboard::new(&fold);
    assert_eq!(board.batch(&offer(3, 6)), Verdict::Take);
    board.quarantine(P, "twice");
    board.quarantine(P, "twice again");
    assert_eq!(told(board.batch(&offer(3, 7))), Told::Diverged { quarantine: false });
    assert_eq!(opening(&mut board, &open("one", Some(P), (0, Chain::default()))), Err(None), "another hub may have released it");
    assert!(matches!(opening(&mut board, &walked("one", P)), Err(Some(Refusal::Diverged(_)))));
    let records = board.into_records();
    let marks = records.iter().filter(|record| matches!(record, LaneRecord::Quarantine { .. })).count();
    assert_eq!((records.len(), marks), (2, 1), "the batch that fitted, then one mark: {records:?}");
    commit(&mut fold, records);
    let mut board = Draftboard::new(&fold);
    assert_eq!(told(board.batch(&offer(3, 6))), Told::Diverged { quarantine: false }, "not even a repeat is acked");
    assert!(matches!(board.gap(&gap(7, 8)), Verdict::Refuse { why: Refusal::Diverged(_), .. }));
    assert_eq!(opening(&mut board, &open("two", Some(OTHER), (0, Chain::default()))).unwrap().0, Epoch(2), "others are unharmed");
}

#[test]
fn only_the_owner_opens_and_the_acked_chain_is_compared() {
    let fold = fold_at(5);
    let mut board = Draftboard::new(&fold);
    assert_eq!(opening(&mut board, &open("two", Some(P), (0, Chain::default()))), Err(None), "whether it may is found out by walking");
    assert_eq!(opening(&mut board, &walked("two", P)), Err(None));
    for acked in [(5, chain_at(4)), (4, chain_at(5)), (0, chain_at(3))] {
        assert!(matches!(opening(&mut board, &open("one", Some(P), acked)), Err(Some(Refusal::Diverged(_)))), "{acked:?}");
    }
    // A hub that was rolled back, or whose ack the edge never saw: both are told where the lane stands.
    for acked in [(3, chain_at(3)), (9, chain_at(9)), (5, chain_at(5)), (0, Chain::default())] {
        assert_eq!(opening(&mut board, &open("one", Some(P), acked)).unwrap().1, Sequence(5), "{acked:?}");
    }
    // A new producer belongs to whom it was opened for, within the object already.
    let fresh = ProducerId { lane: LANE, unique: 5 };
    assert_eq!(opening(&mut board, &open("three", Some(fresh), (0, Chain::default()))), Err(None), "not before its chain was walked");
    assert_eq!(opening(&mut board, &walked("three", fresh)).unwrap(), (Epoch(1), Sequence(0), Chain::default()));
    assert_eq!(opening(&mut board, &open("two", Some(fresh), (0, Chain::default()))), Err(None));
    assert_eq!(told(board.batch(&Offer { producer: fresh, ..offer(1, 1) })), Told::Denied);
    assert_eq!(board.batch(&Offer { producer: fresh, speaker: speaker("three"), ..offer(1, 1) }), Verdict::Take);
}

#[test]
fn gaps_take_the_numbers_of_what_was_given_up() {
    let mut fold = fold_at(5);
    let mut board = Draftboard::new(&fold);
    assert_eq!(board.batch(&offer(3, 6)), Verdict::Take);
    assert_eq!(board.gap(&gap(8, 9)), Verdict::Expect(Sequence(7)));
    assert_eq!(board.gap(&gap(7, 9)), Verdict::Take);
    assert_eq!(board.gap(&gap(7, 9)), Verdict::Waiting);
    let after = digest::extend_gap(chain_at(6), 7, 9);
    assert_eq!(board.batch(&Offer { chain_previous: after, ..offer(3, 10) }), Verdict::Take);
    let records = board.into_records();
    assert_eq!(records.len(), 3, "{records:?}");
    commit(&mut fold, records);
    assert_eq!(fold.producer(&P).unwrap().last, Sequence(10));
    let mut board = Draftboard::new(&fold);
    assert_eq!(board.gap(&gap(7, 9)), Verdict::Committed(Sequence(10)));
}

#[test]
fn gaps_that_do_not_fit_are_refused() {
    let fold = fold_at(5);
    let table: Vec<(&str, (u64, u64), GapChange, Told)> = vec![
        ("it ends before it begins", (7, 6), |_| {}, Told::Protocol),
        ("it begins at 0", (0, 6), |_| {}, Told::Protocol),
        ("it ends past the largest number", (6, u64::MAX), |_| {}, Told::Protocol),
        ("it ends at the largest number", (6, Sequence::MAX.0), |_| {}, Told::Take),
        ("another chain before", (6, 7), |g| g.chain_previous = chain_at(4), Told::Diverged { quarantine: true }),
        ("another chain after", (6, 7), |g| g.chain_to = chain_at(7), Told::Diverged { quarantine: true }),
        ("another identity", (6, 7), |g| g.speaker = speaker("two"), Told::Denied),
        ("an earlier epoch", (6, 7), |g| g.epoch = Epoch(2), Told::Fenced),
    ];
    for (name, (from, to), change, expected) in table {
        let mut asked = gap(from, to);
        change(&mut asked);
        assert_eq!(told(Draftboard::new(&fold).gap(&asked)), expected, "{name}");
    }
}

#[test]
fn positions_of_many_batches_never_make_a_record_that_the_lane_refuses() {
    let mut fold = fold_at(0);
    let mut board = Draftboard::new(&fold);
    for sequence in 1..=3 {
        let named = |at: u64| Position { path: format!("/log/{at}"), device: 1, inode: 1 + at, offset: sequence, ..Position::default() };
        let positions = (0..3_000).map(|at| named(sequence * 2_000 + at)).collect();
        assert_eq!(board.batch(&Offer { positions, ..offer(3, sequence) }), Verdict::Take);
    }
    let records = board.into_records();
    assert!(records.len() > 1);
    commit(&mut fold, records);
    let state = fold.producer(&P).unwrap();
    assert_eq!((state.last, state.chain), (Sequence(3), chain_at(3)));
}

fn close(sequence: u64, next: ProducerId) -> CloseOffer {
    let (reply, _) = mpsc::channel(1);
    CloseOffer { speaker: speaker("one"), producer: P, epoch: Epoch(3), sequence: Sequence(sequence), chain: chain_at(sequence), next, reply }
}

/// As [`fold_at`], with another producer of `alpha/one`.
fn fold_of_two(last: u64) -> (Fold, ProducerId) {
    let (mut fold, next) = (fold_at(last), ProducerId { lane: LANE, unique: 9 });
    let mut board = Draftboard::new(&fold);
    opening(&mut board, &walked("one", next)).unwrap();
    let records = board.into_records();
    commit(&mut fold, records);
    (fold, next)
}

#[test]
fn a_track_is_closed_where_it_stands_and_only_there() {
    type Change = fn(&mut CloseOffer);
    let (fold, next) = fold_of_two(5);
    let table: Vec<(&str, u64, Change, Told)> = vec![
        ("at its end", 5, |_| {}, Told::Take),
        ("beyond its end", 6, |_| {}, Told::Expect(6)),
        ("before its end", 4, |_| {}, Told::Diverged { quarantine: false }),
        ("at its end, on another chain", 5, |c| c.chain = chain_at(4), Told::Diverged { quarantine: true }),
        ("under an earlier epoch", 5, |c| c.epoch = Epoch(2), Told::Fenced),
        ("under an epoch never allotted", 5, |c| c.epoch = Epoch(4), Told::Protocol),
        ("by another edge", 5, |c| c.speaker = speaker("two"), Told::Denied),
        ("into itself", 5, |c| c.next = P, Told::Protocol),
        ("into another edge's", 5, |c| c.next = OTHER, Told::Protocol),
        ("into one that does not stand", 5, |c| c.next.unique = 77, Told::Protocol),
        ("into one of another lane", 5, |c| c.next.lane = LaneId(8), Told::Fenced),
    ];
    for (name, sequence, change, expected) in table {
        let mut asked = close(sequence, next);
        change(&mut asked);
        assert_eq!(told(Draftboard::new(&fold).close(&asked)), expected, "{name}");
    }
}

#[test]
fn a_closed_producer_takes_nothing_more_and_its_edge_is_told_to_open_again() {
    let (mut fold, next) = fold_of_two(5);
    let mut board = Draftboard::new(&fold);
    assert_eq!(board.batch(&offer(3, 6)), Verdict::Take);
    assert_eq!(told(board.close(&close(5, next))), Told::Diverged { quarantine: false }, "the batch before it counts");
    assert_eq!(board.close(&close(6, next)), Verdict::Take);
    assert_eq!(board.close(&close(6, next)), Verdict::Waiting, "its commit is not known yet");
    assert_eq!(told(board.batch(&offer(3, 7))), Told::Fenced);
    let records = board.into_records();
    commit(&mut fold, records);
    let mut board = Draftboard::new(&fold);
    assert_eq!(board.close(&close(6, next)), Verdict::Committed(Sequence(6)), "asked again");
    assert_eq!(told(board.close(&close(6, OTHER))), Told::Fenced);
    for sequence in [6, 7] {
        assert_eq!(told(board.batch(&offer(3, sequence))), Told::Fenced);
    }
    assert!(matches!(board.gap(&gap(7, 8)), Verdict::Refuse { why: Refusal::Fenced, quarantine: false }));
    assert_eq!(opening(&mut board, &open("one", Some(P), (6, chain_at(6)))), Err(None));
    board.quarantine(P, "too late");
    assert!(board.into_records().is_empty());
}

#[test]
fn a_producer_moved_here_goes_on_at_its_number_with_its_positions() {
    let mut fold = fold_at(0);
    let (there, here) = (ProducerId { lane: LaneId(8), unique: 4 }, ProducerId { lane: LANE, unique: 5 });
    let at = |path: &str, offset| Position { path: path.to_owned(), offset, ..Position::default() };
    let beginning = moves::Beginning { sequence: Sequence(5), chain: chain_at(5), positions: vec![at("/a", 7), at("/b", 8)], after: Some(there) };
    let target = Target { producer: here, beginning, carry: None, nonce: Some([8; 16]), later: None };
    let asked = Open { target: Some(Box::new(target)), ..open("one", Some(there), (4, chain_at(4))) };
    let mut board = Draftboard::new(&fold);
    let Opening::Open(opened) = board.open(&asked, &Clones::default()) else { panic!("not opened") };
    assert_eq!((opened.epoch, opened.last, opened.positions.len(), opened.before), (Epoch(1), Sequence(5), 2, Some([8; 16])));
    let next = Offer { producer: here, positions: vec![at("/a", 9)], ..offer(1, 6) };
    assert_eq!(board.batch(&next), Verdict::Take);
    // The same walk, asked by a second session: it finds what the first made.
    let Opening::Open(again) = board.open(&asked, &Clones::default()) else { panic!("not opened") };
    assert_eq!((again.epoch, again.last), (Epoch(2), Sequence(6)));
    assert_eq!(again.positions.iter().map(|position| position.offset).max(), Some(8), "what the walk found is entered as it is");
    let records = board.into_records();
    commit(&mut fold, records);
    let state = fold.producer(&here).unwrap();
    assert_eq!((state.last, state.after, state.track), (Sequence(6), Some(there), 1));
}

#[test]
fn two_holders_of_one_wal_are_set_aside() {
    let (mut fold, mut clones) = (fold_at(2), Clones::default());
    for (at, nonce) in [1, 2, 1, 2, 1].into_iter().enumerate() {
        let asked = Open { nonce: [nonce; 16], ..open("one", Some(P), (2, chain_at(2))) };
        let mut board = Draftboard::new(&fold);
        match board.open(&asked, &clones) {
            Opening::Open(opened) => clones.opened(&asked.speaker, asked.track, asked.nonce, opened.before),
            Opening::Refused(Refusal::Diverged(_)) => assert_eq!(at, 4),
            Opening::Refused(_) | Opening::Walk => panic!("at {at}"),
        }
        let records = board.into_records();
        commit(&mut fold, records);
    }
    assert!(fold.producer(&P).unwrap().quarantined);
}
