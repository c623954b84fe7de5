//! The first entries out of many scans, whatever the order in which scans end.

use std::sync::Arc;

use proptest::prelude::*;
use proto_model::{Labels, LaneId, Timestamp};

use super::{Cut, Found, Order, Place, Top};
use crate::answer::AnsweredEntry;
use crate::request::Direction;

fn found(time: i64, number: u64) -> Found {
    let order = Order { place: Place::Section(LaneId(1), number), tenant: 0, batch: 0, stream: 0, index: 0 };
    let entry = AnsweredEntry { time: Timestamp(time), line: number.to_string(), metadata: Vec::new(), parsed: Vec::new() };
    Found { order, labels: Arc::new(Labels::empty()), entry }
}

proptest! {
    #[test]
    fn parts_merge_into_the_first_of_all(times in prop::collection::vec(0_i64..10, 0..40), limit in 1_usize..12, parts in 1_usize..5, forward: bool) {
        let direction = if forward { Direction::Forward } else { Direction::Backward };
        let cut = Arc::new(Cut::new(direction));
        let mut tops: Vec<Top> = (0..parts).map(|_| Top::new(limit, Arc::clone(&cut))).collect();
        for (at, time) in times.iter().enumerate() {
            let found = found(*time, at as u64);
            let top = &mut tops[at % parts];
            if top.admits(found.entry.time, found.order) {
                top.take(found);
            }
        }
        let mut all = Top::new(limit, cut);
        tops.into_iter().rev().for_each(|top| {
            all.merge(top);
        });
        let lines: Vec<String> = all.into_streams().into_iter().flat_map(|stream| stream.entries).map(|entry| entry.line).collect();
        let mut wanted: Vec<(i64, usize)> = times.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        if !forward {
            wanted.reverse();
        }
        prop_assert_eq!(lines, wanted.iter().take(limit).map(|(_, at)| at.to_string()).collect::<Vec<_>>());
    }
}
