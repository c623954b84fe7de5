use std::collections::BTreeMap;

use super::*;
use crate::fold::Fold;
use crate::header::{Checksum, CommitId, LaneHeader, SectionEntry};
use crate::record::LaneRecord;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// A lane whose number n holds sections of the n-th tenants named, with a floor.
fn lane(sections: &[&[&str]], floor: u64) -> LaneView {
    let mut fold = Fold::genesis(LaneId(1), CommitId([0; 16]));
    for (number, tenants) in (1..).zip(sections) {
        let entry = |name: &&str| SectionEntry {
            tenant: tenant(name),
            offset: 0,
            length: 10,
            checksum: Checksum::default(),
            table_length: 4,
            table_checksum: Checksum::default(),
            lines: 1,
            bytes: 1,
            min: Timestamp(0),
            max: Timestamp(0),
            batches: 1,
        };
        let header = LaneHeader {
            lane: LaneId(1),
            number,
            commit: CommitId([u8::try_from(number % 251).unwrap() + 1; 16]),
            previous: fold.head_commit(),
            writer: String::new(),
            written: Timestamp(0),
            map_version: 0,
            records: if number == sections.len() as u64 { vec![LaneRecord::Floor(floor)] } else { Vec::new() },
            sections: tenants.iter().map(entry).collect(),
        };
        fold.apply(&header).unwrap();
    }
    LaneView::of(&fold, None)
}

fn floor_by(view: &LaneView, marks: &[(&str, u64)]) -> Option<u64> {
    let marks: BTreeMap<TenantId, u64> = marks.iter().map(|(name, mark)| (tenant(name), *mark)).collect();
    let blocked = blocker(view, |tenant| marks.get(tenant).copied().unwrap_or(0)).map(|(_, number)| number);
    floor_of(view, blocked)
}

#[test]
fn a_floor_never_passes_a_section_that_is_not_absorbed() {
    let view = lane(&[&["acme"], &["acme", "blue"], &[], &["blue"], &["acme"], &[]], 0);
    assert_eq!(floor_by(&view, &[]), None);
    assert_eq!(floor_by(&view, &[("blue", 9)]), None);
    assert_eq!(floor_by(&view, &[("acme", 9)]), Some(1));
    assert_eq!(floor_by(&view, &[("acme", 1), ("blue", 9)]), Some(1));
    assert_eq!(floor_by(&view, &[("acme", 2), ("blue", 2)]), Some(3));
    assert_eq!(floor_by(&view, &[("acme", 4), ("blue", 4)]), Some(4));
    assert_eq!(floor_by(&view, &[("acme", 5), ("blue", 4)]), Some(6), "a tenant without further sections holds nothing up");
    let raised = lane(&[&["acme"], &["acme", "blue"], &[], &["blue"], &["acme"], &[]], 3);
    assert_eq!(floor_by(&raised, &[("acme", 2), ("blue", 2)]), None);
    assert_eq!(floor_by(&raised, &[("acme", 5), ("blue", 4)]), Some(6));
}

#[test]
fn numbers_without_sections_raise_the_floor_only_now_and_then() {
    let many = |count: usize| lane(&vec![&[][..]; count], 0);
    assert_eq!(floor_by(&many(255), &[]), None);
    assert_eq!(floor_by(&many(256), &[]), Some(256));
}

#[test]
fn an_object_goes_only_below_floor_and_second_snapshot_and_when_it_is_old() {
    let hour = Duration::from_secs(3_600);
    let now = Timestamp(0).plus(hour * 10);
    let reach = Reach { floor: 10, snapshot: Some(8), keep: hour, now };
    let old = now.minus(hour);
    assert!(reach.may_go(7, old));
    assert!(!reach.may_go(8, old), "a start reads on from the snapshot");
    assert!(!reach.may_go(7, old.plus(Duration::from_nanos(1))));
    assert!(!Reach { floor: 6, ..reach }.may_go(7, old));
    assert!(Reach { floor: 7, ..reach }.may_go(7, old));
    assert!(!Reach { snapshot: None, ..reach }.may_go(0, old));
}
