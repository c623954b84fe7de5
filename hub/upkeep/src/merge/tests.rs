use hub_segment::Facts;
use hub_store::SegmentId;
use proto_model::Timestamp;

use super::*;
use crate::rig::grant;

const MIB: u64 = 1 << 20;

fn segment(id: u128, kind: Kind, raw_bytes: u64, range: (i64, i64)) -> SegmentRef {
    let facts = Facts {
        kind,
        bytes: raw_bytes / 5,
        lines: 1,
        raw_bytes,
        min: Timestamp(range.0),
        max: Timestamp(range.1),
        streams: 1,
        footer_offset: 0,
        footer_length: 0,
        footer_checksum: [0; 16],
    };
    SegmentRef { id: SegmentId(id), tenant: grant("acme").tenant().clone(), facts, cleaned: 0 }
}

fn chosen(sizes: &[(Kind, u64, (i64, i64))]) -> Option<Vec<u128>> {
    let segments: Vec<SegmentRef> = (0..).zip(sizes).map(|(id, (kind, raw, range))| segment(id, *kind, *raw, *range)).collect();
    choose(&segments, &|_| Some(0)).map(|inputs| inputs.iter().map(|input| input.id.0).collect())
}

const DAY: Kind = Kind::Day(9);

#[test]
fn four_neighbours_of_a_size_are_merged_smallest_first() {
    let day = |sizes: &[u64]| chosen(&sizes.iter().map(|size| (DAY, *size, (0, 9))).collect::<Vec<_>>());
    assert_eq!(day(&[1, 1, 1]), None);
    assert_eq!(day(&[1, 1, 1, 1]), Some(vec![0, 1, 2, 3]));
    assert_eq!(day(&[2 * MIB, 2 * MIB, 2 * MIB, 2 * MIB, 1, 1, 1, 1]), Some(vec![4, 5, 6, 7]));
    assert_eq!(day(&[1, 1, 20 * MIB, 1, 1]), None, "a large one is not rewritten for a few small ones");
    assert_eq!(day(&[20 * MIB, 1, 1, 1]), None);
    assert_eq!(day(&[20 * MIB, 1, 1, 1, 1]), Some(vec![1, 2, 3, 4]));
    assert_eq!(day(&[1, 1, 2, 1, 1]), Some(vec![0, 1, 2, 3, 4]));
    assert_eq!(day(&[200 * MIB, 200 * MIB, 200 * MIB, 200 * MIB, 200 * MIB]), None, "large ones stay");
    assert_eq!(day(&[100 * MIB, 100 * MIB, 100 * MIB, 100 * MIB]), Some(vec![0, 1]), "up to 256 MiB");
}

#[test]
fn days_do_not_mix_and_odd_lines_between_keep_their_order() {
    let other = Kind::Day(8);
    let mixed: Vec<_> = [DAY, other, DAY, other, DAY, other, DAY].into_iter().map(|kind| (kind, 1, if kind == DAY { (100, 109) } else { (50, 59) })).collect();
    assert_eq!(chosen(&mixed), Some(vec![0, 2, 4, 6]));
    let odd = |range| chosen(&[(DAY, 1, (0, 9)), (DAY, 1, (0, 9)), (Kind::Odd, 1, range), (DAY, 1, (0, 9)), (DAY, 1, (0, 9))]);
    assert_eq!(odd((5, 5)), None, "odd lines of the same time lie between");
    assert_eq!(odd((10, 10)), Some(vec![0, 1, 3, 4]));
}

#[test]
fn merging_ends_and_leaves_few() {
    let mut segments: Vec<SegmentRef> = Vec::new();
    let mut rewritten = 0;
    for id in 0..2_000 {
        segments.push(segment(id, DAY, MIB / 2, (0, 9)));
        while let Some(inputs) = choose(&segments, &|_| Some(0)) {
            let raw = inputs.iter().map(|input| input.facts.raw_bytes).sum();
            rewritten += raw;
            let at = segments.iter().position(|segment| segment.id == inputs[0].id).unwrap();
            segments.retain(|segment| !inputs.contains(segment));
            segments.insert(at, segment(10_000 + u128::from(rewritten), DAY, raw, (0, 9)));
        }
        let small = segments.iter().filter(|segment| segment.facts.raw_bytes < 128 * MIB).count();
        assert!(small <= 18, "{small} small segments");
    }
    assert!(rewritten < 1_000 * MIB * 7, "each byte is rewritten {} times", rewritten / (1_000 * MIB));
}
