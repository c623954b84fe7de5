//! Merged is as pushed.

use std::sync::Weak;

use proptest::prelude::*;

use super::*;
use crate::testing::{DAY, Line, block, build, footer, line, noise, read, some_lines, sorted};

fn merged(parts: &[Built]) -> Built {
    let footers: Vec<Footer> = parts.iter().map(footer).collect();
    let fetches: Vec<_> = parts.iter().zip(&footers).map(|(part, footer)| |at: usize| Ok(block(&part.bytes, footer, at))).collect();
    let inputs: Vec<(&Footer, Fetch<'_>)> = footers.iter().zip(&fetches).map(|(footer, fetch)| (footer, fetch as Fetch<'_>)).collect();
    merge(&inputs, Kind::Day(DAY)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_merge_is_the_segment_of_all_lines_pushed_in_order(parts in prop::collection::vec(some_lines(6, 80), 1..5)) {
        let built: Vec<Built> = parts.iter().map(|lines| build(Kind::Day(DAY), lines)).collect();
        let all = parts.concat();
        let merged = merged(&built);
        prop_assert_eq!(read(&merged), sorted(&all));
        prop_assert_eq!(merged.bytes, build(Kind::Day(DAY), &all).bytes);
    }
}

/// Lines of `parts` segments whose streams span blocks and overlap in time.
fn large(parts: u64) -> Vec<Vec<(usize, Line)>> {
    let one = |part: u64| {
        let app = |at: u64| if at.is_multiple_of(3) { 0 } else { 1 + at as usize % 40 };
        (0..6_000_u64).map(|at| (app(at), Line { line: noise(part * 10_000 + at, 1_500), ..line(i64::try_from(at / 4 + part * 700).unwrap(), "") })).collect()
    };
    (0..parts).map(one).collect()
}

#[test]
fn streams_over_several_blocks_are_merged() {
    let parts = large(3);
    let built: Vec<Built> = parts.iter().map(|lines| build(Kind::Day(DAY), lines)).collect();
    let all = parts.concat();
    let merged = merged(&built);
    assert_eq!(read(&merged), sorted(&all));
    assert_eq!(merged.bytes, build(Kind::Day(DAY), &all).bytes);
}

#[test]
fn at_most_a_block_of_each_input_is_held() {
    let built: Vec<Built> = large(3).iter().map(|lines| build(Kind::Day(DAY), lines)).collect();
    let footers: Vec<Arc<Footer>> = built.iter().map(|built| Arc::new(footer(built))).collect();
    let mut merger = Merger::new(footers.clone(), Kind::Day(DAY)).unwrap();
    let mut given: Vec<Weak<Block>> = Vec::new();
    let done = loop {
        match merger.step().unwrap() {
            Step::Need { input, block: at } => {
                let block = Arc::new(block(&built[input].bytes, &footers[input], at));
                given.push(Arc::downgrade(&block));
                merger.give(block).unwrap();
                assert!(given.iter().filter(|block| block.strong_count() > 0).count() <= 3);
            }
            Step::Done(done) => break done,
        }
    };
    assert_eq!(given.len(), footers.iter().map(|footer| footer.blocks.len()).sum::<usize>(), "each block is asked for once");
    assert_eq!(done.facts.lines, 18_000);
    assert!(merger.step().is_err(), "it is over");
}

#[test]
fn equal_times_go_by_the_order_of_inputs() {
    let part = |name: &str| (0..50).map(|at| (0, line(at / 10, &format!("{name} {at}")))).collect::<Vec<_>>();
    let (first, second) = (part("first"), part("second"));
    let merged = merged(&[build(Kind::Day(DAY), &first), build(Kind::Day(DAY), &second)]);
    assert_eq!(read(&merged), sorted(&[first, second].concat()));
}

#[test]
fn other_kinds_and_too_many_are_refused() {
    let other = footer(&build(Kind::Odd, &[(0, line(0, "x"))]));
    assert!(matches!(Merger::new(vec![&other], Kind::Day(DAY)), Err(SegmentFault::Kind { .. })));
    assert!(matches!(Merger::new(vec![&other; MERGE_INPUTS_MAX + 1], Kind::Odd), Err(SegmentFault::TooLarge { .. })));
}

#[test]
fn a_block_of_another_segment_is_a_fault() {
    let here = footer(&build(Kind::Day(DAY), &[(0, line(0, "x")), (0, line(1, "y")), (1, line(1, "z"))]));
    let others = [vec![(0, line(0, "x"))], vec![(0, line(0, "x")), (1, line(1, "z"))]];
    for lines in others {
        let other = build(Kind::Day(DAY), &lines);
        let mut merger = Merger::new(vec![&here], Kind::Day(DAY)).unwrap();
        assert!(merger.give(Arc::new(block(&other.bytes, &footer(&other), 0))).is_err(), "nothing was asked for");
        assert!(matches!(merger.step().unwrap(), Step::Need { input: 0, block: 0 }));
        let given = merger.give(Arc::new(block(&other.bytes, &footer(&other), 0)));
        assert!(given.is_err() || merger.step().is_err());
    }
}

#[test]
fn a_footer_that_speaks_of_other_times_is_a_fault() {
    let built = build(Kind::Day(DAY), &large(1)[0]);
    let mut lying = footer(&built);
    let runs = &mut lying.streams[0].runs;
    assert!(runs.len() > 1);
    runs.swap(0, 1);
    let fetch = |at: usize| Ok(block(&built.bytes, &footer(&built), at));
    let merged = merge(&[(&lying, &fetch)], Kind::Day(DAY));
    assert_eq!(merged.unwrap_err(), SegmentFault::Malformed { what: "a stream", reason: "its lines are not sorted by time" });
}
