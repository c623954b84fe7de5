//! The order in which a log query looks at what there is.

use std::sync::Arc;

use hub_segment::{Facts, Kind};
use hub_store::{SegmentId, SegmentRef};
use proto_model::{Labels, TenantId, Timestamp};

use super::{Frontier, Look};
use crate::merge::{Cut, Found, Order, Place, Top};
use crate::plan::{ChosenBatch, ChosenRow};
use crate::request::Direction;
use crate::source::{Part, Piece, Source};

fn piece(rank: usize, min: i64, max: i64) -> Arc<Piece> {
    let facts = Facts {
        kind: Kind::Odd,
        bytes: 0,
        lines: 1,
        raw_bytes: 0,
        min: Timestamp(min),
        max: Timestamp(max),
        streams: 1,
        footer_offset: 0,
        footer_length: 0,
        footer_checksum: [0; 16],
    };
    let segment = SegmentRef { id: SegmentId(rank as u128), tenant: TenantId::new("acme").unwrap(), facts, cleaned: 0 };
    Arc::new(Piece { grant: 0, tenant: None, source: Source::Segment { rank, segment }, deletions: Vec::new() })
}

fn part(piece: &Arc<Piece>, at: usize, min: i64, max: i64) -> Part {
    let row = ChosenRow { at: 0, labels: Arc::new(Labels::empty()), lines: 1, bytes: 0, min: Timestamp(min), max: Timestamp(max), struck: None };
    Part::of(piece, None, vec![ChosenBatch { at, rows: vec![row] }]).unwrap()
}

fn names(frontier: &mut Frontier, cut: &Cut, skipped: &mut u64) -> Vec<String> {
    let name = |look: Look| match look {
        Look::Open(piece) => format!("{:?}", piece.place()),
        Look::Scan(part) => format!("{:?} block {}", part.piece.place(), part.chosen[0].at),
    };
    std::iter::from_fn(|| frontier.next(cut, skipped)).map(name).collect()
}

fn filled(direction: Direction) -> Frontier {
    let mut frontier = Frontier::new(direction);
    let pieces = [piece(0, 0, 50), piece(1, 40, 90), piece(2, 60, 70)];
    frontier.add(Look::Scan(part(&pieces[0], 0, 0, 20)));
    frontier.add(Look::Scan(part(&pieces[0], 1, 20, 50)));
    frontier.add(Look::Open(Arc::clone(&pieces[2])));
    frontier.add(Look::Open(Arc::clone(&pieces[1])));
    frontier
}

#[test]
fn the_first_in_the_asked_direction_comes_first() {
    let (mut skipped, forward, backward) = (0, Cut::new(Direction::Forward), Cut::new(Direction::Backward));
    let rising = ["Segment(0) block 0", "Segment(0) block 1", "Segment(1)", "Segment(2)"];
    assert_eq!(names(&mut filled(Direction::Forward), &forward, &mut skipped), rising);
    let falling = ["Segment(1)", "Segment(2)", "Segment(0) block 1", "Segment(0) block 0"];
    assert_eq!(names(&mut filled(Direction::Backward), &backward, &mut skipped), falling);
    assert_eq!(skipped, 0);
}

#[test]
fn what_lies_beyond_the_cut_is_given_up_at_once() {
    let mut frontier = filled(Direction::Backward);
    let cut = Arc::new(Cut::new(Direction::Backward));
    let mut top = Top::new(1, Arc::clone(&cut));
    let order = Order { place: Place::Segment(2), tenant: 0, batch: 0, stream: 0, index: 0 };
    let entry = crate::answer::AnsweredEntry { time: Timestamp(60), line: String::new(), metadata: Vec::new(), parsed: Vec::new() };
    top.take(Found { order, labels: Arc::new(Labels::empty()), entry });
    let mut skipped = 0;
    assert_eq!(names(&mut frontier, &cut, &mut skipped), ["Segment(1)", "Segment(2)"]);
    assert_eq!(skipped, 2);
}
