//! A delete is about what was there, leaves when all of that was gone through, and survives the bytes.

use std::collections::BTreeMap;

use hub_segment::{Facts, Kind};
use proto_model::TenantId;

use super::*;
use crate::header::CommitId;
use crate::mac::StoreKeys;
use crate::manifest::{Change, Stamp, codec};

const LANE: LaneId = LaneId(7);
const DAY: TimeRange = TimeRange { start: Timestamp(100), end: Timestamp(200) };

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn segment(id: u128, lines: u64, (min, max): (i64, i64)) -> SegmentRef {
    let facts = Facts {
        kind: Kind::Day(9),
        bytes: 100,
        lines,
        raw_bytes: 10,
        min: Timestamp(min),
        max: Timestamp(max),
        streams: 1,
        footer_offset: 50,
        footer_length: 10,
        footer_checksum: [0; 16],
    };
    SegmentRef { id: SegmentId(id), tenant: acme(), facts, cleaned: 0 }
}

fn next(base: &Manifest, change: &Change) -> Result<Manifest, String> {
    let commit = CommitId([u8::try_from(base.number + 2).unwrap(); 16]);
    base.next(change, Stamp { commit, writer: "hub".to_owned(), written: Timestamp(1_000 + i64::try_from(base.number).unwrap()) })
}

fn absorb(from: u64, to: u64, segments: Vec<SegmentRef>, open: &[u64], lines: &[(u64, u64)]) -> Change {
    Change::Absorb { lane: LANE, from, to, segments, deletes: applied(open, lines) }
}

fn applied(open: &[u64], lines: &[(u64, u64)]) -> Applied {
    Applied { open: open.to_vec(), lines: lines.iter().copied().collect() }
}

fn delete(last: u64) -> Change {
    Change::Delete { query: "{app=\"a\"}".to_owned(), range: DAY, last: BTreeMap::from([(LANE, last)]) }
}

/// Number 1: segments 1 (in time) and 2 (out of it), absorbed up to 5; number 2: a delete that is also about sections up to 8.
fn with_delete() -> Manifest {
    let genesis = Manifest::genesis(acme(), CommitId([1; 16]));
    let one = next(&genesis, &absorb(0, 5, vec![segment(1, 10, (150, 250)), segment(2, 10, (200, 300))], &[], &[])).unwrap();
    next(&one, &delete(8)).unwrap()
}

#[test]
fn a_delete_is_about_what_was_there_and_nothing_later() {
    let two = with_delete();
    let [open] = two.deletes.as_slice() else { panic!("{:?}", two.deletes) };
    assert_eq!((open.number, open.pieces, open.accepted), (2, 2, Timestamp(1_001)), "a segment and a lane");
    assert_eq!(two.segments.iter().map(|segment| two.of_segment(segment).count()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!([5, 8, 9].map(|number| two.of_section(LANE, number).count()), [1, 1, 0]);
    assert_eq!(two.of_section(LaneId(8), 1).count(), 0, "a lane that had nothing of the tenant");
    assert_eq!(two.progress(open), None);
    // What is absorbed now was judged by it.
    let three = next(&two, &absorb(5, 7, vec![segment(3, 1, (150, 160))], &[2], &[(2, 4)])).unwrap();
    assert_eq!((three.of_segment(&three.segments[2]).count(), three.deleted_lines, three.deletes[0].lines), (0, 4, 4));
    assert_eq!(three.progress(&three.deletes[0]), Some(0));
    next(&two, &absorb(5, 7, vec![segment(3, 1, (150, 160))], &[], &[])).unwrap_err();
    next(&two, &absorb(5, 7, vec![], &[2, 3], &[])).unwrap_err();
    // Heads that are absorbed already are none.
    let heads = next(&three, &delete(7)).unwrap().deletes[1].heads.clone();
    assert!(heads.is_empty());
}

#[test]
fn a_delete_leaves_with_the_commit_that_ends_it() {
    let two = with_delete();
    let strike = |base: &Manifest, replaced: Vec<(SegmentId, Option<SegmentRef>)>, clean: &[u128], lines| {
        let change = Change::Strike { replaced, clean: clean.iter().map(|id| SegmentId(*id)).collect(), deletes: applied(&[2], lines) };
        next(base, &change)
    };
    let three = strike(&two, vec![(SegmentId(1), Some(segment(4, 6, (210, 250))))], &[], &[(2, 4)]).unwrap();
    assert_eq!(three.segments.iter().map(|segment| (segment.id.0, segment.cleaned)).collect::<Vec<_>>(), [(4, 2), (2, 0)], "in its place");
    assert_eq!((three.deletes.len(), three.progress(&three.deletes[0])), (1, Some(50)), "the lane is not absorbed");
    let four = next(&three, &absorb(5, 8, vec![], &[2], &[(2, 1)])).unwrap();
    assert_eq!((four.deletes.len(), four.deleted_lines), (0, 5));
    let [done] = four.done.as_slice() else { panic!("{:?}", four.done) };
    assert_eq!((done.number, done.done, done.lines, done.heads.len(), four.progress(done)), (2, Some(Timestamp(1_003)), 5, 0, Some(100)));
    // Whole segments go, clean ones stay; what contradicts itself is refused.
    assert_eq!(strike(&two, vec![(SegmentId(1), None)], &[], &[(2, 10)]).unwrap().segments.len(), 1);
    assert_eq!(strike(&two, vec![], &[1], &[]).unwrap().segments[0].cleaned, 2);
    strike(&two, vec![(SegmentId(9), None)], &[], &[]).unwrap_err();
    strike(&two, vec![], &[9], &[]).unwrap_err();
    strike(&two, vec![(SegmentId(1), Some(segment(4, 10, (150, 250))))], &[], &[]).unwrap_err();
    strike(&two, vec![(SegmentId(1), None)], &[], &[(3, 1)]).unwrap_err();
    strike(&four, vec![(SegmentId(4), None)], &[], &[]).unwrap_err();
}

#[test]
fn segments_of_which_a_delete_is_about_some_are_not_merged() {
    let two = with_delete();
    let three = next(&two, &absorb(5, 7, vec![segment(3, 1, (150, 160))], &[2], &[])).unwrap();
    let merge = |base: &Manifest, inputs: &[u128], lines| {
        let inputs = inputs.iter().map(|id| SegmentId(*id)).collect();
        next(base, &Change::Merge { inputs, output: segment(9, lines, (150, 300)) })
    };
    assert_eq!(merge(&three, &[1, 2], 20).unwrap().segments[0].cleaned, 0, "both were there before");
    merge(&three, &[1, 2, 3], 21).unwrap_err();
    let four = next(&three, &Change::Strike { replaced: vec![], clean: vec![SegmentId(1), SegmentId(2)], deletes: applied(&[2], &[]) }).unwrap();
    assert_eq!(merge(&four, &[1, 2, 3], 21).unwrap().segments[0].cleaned, 2);
}

#[test]
fn a_delete_is_called_off_while_it_took_nothing_or_by_force() {
    let two = with_delete();
    assert!(next(&two, &Change::Cancel { number: 2, force: false }).unwrap().deletes.is_empty());
    next(&two, &Change::Cancel { number: 1, force: true }).unwrap_err();
    let three = next(&two, &absorb(5, 7, vec![], &[2], &[(2, 1)])).unwrap();
    next(&three, &Change::Cancel { number: 2, force: false }).unwrap_err();
    let four = next(&three, &Change::Cancel { number: 2, force: true }).unwrap();
    assert!(four.deletes.is_empty() && four.done.is_empty());
}

#[test]
fn an_erased_tenant_names_nothing_ever_again() {
    let two = with_delete();
    let erased = next(&two, &Change::Erase { at: Timestamp(5) }).unwrap();
    assert_eq!((erased.segments.len(), erased.doomed.len(), erased.deletes.len()), (0, 2, 0));
    next(&erased, &absorb(5, 6, vec![], &[], &[])).unwrap_err();
    next(&erased, &delete(9)).unwrap_err();
    let swept = next(&erased, &Change::Sweep { doomed: vec![], at: Timestamp(9), gone: vec![SegmentId(1), SegmentId(2)] }).unwrap();
    assert!(swept.erased && swept.doomed.is_empty());
}

#[test]
fn bounds_are_kept() {
    let mut manifest = with_delete();
    for _ in 1..DELETES_OPEN_MAX {
        manifest = next(&manifest, &delete(8)).unwrap();
    }
    next(&manifest, &delete(8)).unwrap_err();
    let long = Change::Delete { query: "x".repeat(DELETE_QUERY_BYTES_MAX + 1), range: DAY, last: BTreeMap::new() };
    next(&with_delete(), &long).unwrap_err();
    let empty = Change::Delete { query: String::new(), range: TimeRange { start: Timestamp(2), end: Timestamp(2) }, last: BTreeMap::from([(LANE, 9)]) };
    next(&with_delete(), &empty).unwrap_err();
    // Those that are done are forgotten, the oldest first.
    let mut manifest = with_delete();
    let nothing = Change::Delete { query: String::new(), range: TimeRange { start: Timestamp(0), end: Timestamp(1) }, last: BTreeMap::new() };
    for _ in 0..DELETES_DONE_KEPT + 3 {
        manifest = next(&manifest, &nothing).unwrap();
    }
    assert_eq!((manifest.done.len(), manifest.done[0].number), (DELETES_DONE_KEPT, 6));
}

#[test]
fn a_manifest_with_deletes_reads_back_and_old_hubs_refuse_it() {
    let keys = StoreKeys::none();
    let two = with_delete();
    let three = next(&two, &absorb(5, 8, vec![segment(3, 1, (150, 160))], &[2], &[(2, 4)])).unwrap();
    let done = next(&three, &Change::Strike { replaced: vec![], clean: vec![SegmentId(1)], deletes: applied(&[2], &[]) }).unwrap();
    let erased = next(&two, &Change::Erase { at: Timestamp(5) }).unwrap();
    for (manifest, version) in [(&two, 2), (&three, 2), (&done, 1), (&erased, 2)] {
        let bytes = codec::encode(manifest, &keys).unwrap();
        assert_eq!(codec::decode(&bytes, &acme(), manifest.number, &keys).unwrap(), *manifest);
        // One that holds no lines back may be carried on by a hub that knows no deletes.
        assert_eq!(u16::from_le_bytes([bytes[8], bytes[9]]), version);
        for at in 0..bytes.len() {
            let mut bad = bytes.to_vec();
            bad[at] ^= 0x40;
            codec::decode(&bad.into(), &acme(), manifest.number, &keys).unwrap_err();
        }
    }
}

#[test]
fn request_ids_are_read_as_they_are_written() {
    for number in [1, 0x1234_5678, u64::MAX] {
        let delete = Delete { number, ..with_delete().deletes[0].clone() };
        assert_eq!(Delete::parse_request_id(&delete.request_id()), Some(number));
    }
    for bad in ["", "1", "0000000g", "-0000001", "ABCDEF12", "00000000000000000"] {
        assert_eq!(Delete::parse_request_id(bad), None, "{bad}");
    }
}
