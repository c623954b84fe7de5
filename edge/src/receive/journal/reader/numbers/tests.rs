use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::receive::journal::cursor::Run;

const RUN: Id = Id(7);

fn known() -> Numbers {
    let mut cursor = Cursor::default();
    cursor.runs.insert(RUN, Run::default());
    Numbers::new(&cursor)
}

#[test]
fn what_a_cursor_knows_is_not_missing() {
    let mut cursor = Cursor::default();
    cursor.runs.insert(RUN, Run { floor: 10, newest: 20 });
    let mut numbers = Numbers::new(&cursor);
    numbers.note(RUN, 25);
    assert_eq!(numbers.settle(RUN, 10, 25), (vec![(21, 24)], 4));
    assert_eq!(numbers.settle(RUN, 25, 25), (vec![], 0));
}

#[test]
fn damaged_entries_are_counted_elsewhere() {
    let mut numbers = known();
    [1, 2, 5, 6, 9].into_iter().for_each(|number| numbers.note(RUN, number));
    numbers.note_unknown(3);
    assert_eq!(numbers.settle(RUN, 1, 9), (vec![(3, 4), (7, 8)], 1));
}

#[test]
fn many_gaps_take_a_bounded_place() {
    let mut numbers = known();
    (0..10_000).for_each(|number| numbers.note(RUN, number * 2));
    assert_eq!(numbers.runs[&RUN].len(), RANGES_MAX);
    assert_eq!(numbers.settle(RUN, 0, 20_000).1, RANGES_MAX as u64 + 1);
}

proptest! {
    #[test]
    fn gaps_are_what_was_not_noted(noted in proptest::collection::vec(1..60_u64, 0..80), floor in 0..20_u64, newest in 20..70_u64) {
        let mut numbers = known();
        noted.iter().for_each(|number| numbers.note(RUN, *number));
        let (gaps, missing) = numbers.settle(RUN, floor, newest);
        let told: BTreeSet<u64> = gaps.iter().flat_map(|(first, last)| *first..=*last).collect();
        let want: BTreeSet<u64> = (floor + 1..=newest).filter(|number| !noted.contains(number)).collect();
        prop_assert_eq!(missing, want.len() as u64);
        prop_assert_eq!(told, want);
        // What lies beyond is judged later.
        let (_, later) = numbers.settle(RUN, newest, 80);
        prop_assert_eq!(later, (newest + 1..=80).filter(|number| !noted.contains(number)).count() as u64);
    }
}
