//! Lines in, lines out.

use proptest::prelude::*;
use proto_model::{Labels, Timestamp};

use super::*;
use crate::limits::{BLOCK_BYTES, BLOCK_LINES_MAX, LINE_BYTES_MAX};
use crate::testing::{DAY, DAY_NS, Line, build, footer, labels, line, noise, read, some_lines, sorted};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn lines_come_back_sorted_by_stream_then_time(lines in some_lines(6, 200)) {
        prop_assert_eq!(read(&build(Kind::Day(DAY), &lines)), sorted(&lines));
    }

    #[test]
    fn rows_of_a_batch_are_taken_over_as_they_are(lines in some_lines(6, 100)) {
        let mut batch = proto_wire::batch::BatchBuilder::new();
        for (app, line) in &lines {
            batch.push(&labels(*app), Timestamp(line.time), line.level, &line.metadata, &line.line);
        }
        let view = proto_wire::batch::BatchView::parse(batch.freeze(proto_wire::batch::Compression::None).unwrap().body).unwrap();
        let payload = view.payload().unwrap();
        let mut builder = SegmentBuilder::new(Kind::Day(DAY));
        for (at, stream) in view.table().streams.iter().enumerate() {
            let labels = Arc::new(Labels::from_pairs(stream.labels.iter().map(|pair| (pair.name.clone(), pair.value.clone()))));
            payload.rows(at).for_each(|row| builder.push_row(&labels, &row.unwrap()));
        }
        prop_assert_eq!(builder.finish().unwrap().bytes, build(Kind::Day(DAY), &lines).bytes);
    }

    #[test]
    fn odd_lines_keep_their_times(times in prop::collection::vec(any::<i64>(), 1..50)) {
        let lines: Vec<(usize, Line)> = times.iter().map(|time| (0, Line { time: *time, ..line(0, "x") })).collect();
        prop_assert_eq!(read(&build(Kind::Odd, &lines)), sorted(&lines));
    }
}

#[test]
fn the_same_lines_give_the_same_bytes() {
    let lines: Vec<(usize, Line)> = (0..500).map(|at| (at % 5, line(i64::try_from(at).unwrap() % 50, "equal times"))).collect();
    assert_eq!(build(Kind::Day(DAY), &lines).bytes, build(Kind::Day(DAY), &lines).bytes);
}

#[test]
fn equal_times_keep_the_order_of_arrival() {
    let lines: Vec<(usize, Line)> = (0..2_000).map(|at| (0, line([7, 3, 7, 5][at % 4], &format!("line {at}")))).collect();
    let streams = read(&build(Kind::Day(DAY), &lines));
    let sevens: Vec<String> = streams[0].1.iter().filter(|line| line.time == DAY_NS + 7).map(|line| String::from_utf8(line.line.clone()).unwrap()).collect();
    assert_eq!(sevens, (0..2_000).filter(|at| at % 2 == 0).map(|at| format!("line {at}")).collect::<Vec<_>>());
}

#[test]
fn one_line_is_a_segment() {
    let lines = [(0, line(5, "the only one"))];
    let built = build(Kind::Day(DAY), &lines);
    assert_eq!(read(&built), sorted(&lines));
    assert!(built.bytes.len() < 500, "{} bytes", built.bytes.len());
}

#[test]
fn no_line_is_a_segment_without_streams() {
    assert!(read(&build(Kind::Day(DAY), &[])).is_empty());
}

#[test]
fn a_large_stream_has_blocks_of_its_own_of_equal_size() {
    let mut lines = vec![(0, line(1, "small, before")), (2, line(1, "small, after"))];
    let raw = 5 * BLOCK_BYTES / 2;
    for at in 0..raw / 1_000 {
        lines.push((1, Line { line: noise(at as u64, 999), ..line(i64::try_from(at).unwrap(), "") }));
    }
    let built = build(Kind::Day(DAY), &lines);
    assert_eq!(read(&built), sorted(&lines));
    let footer = footer(&built);
    let large = &footer.streams[1];
    assert_eq!(large.runs.len(), 3);
    for run in &large.runs {
        assert_eq!(footer.blocks[run.block as usize].runs, 1, "shared with another stream");
        assert!((run.bytes as usize).abs_diff(raw / 3) < 10_000, "{} bytes", run.bytes);
    }
}

#[test]
fn small_streams_share_blocks_and_are_not_split() {
    let lines: Vec<(usize, Line)> = (0..12_000).map(|at| (at * 7 % 4_000, Line { line: noise(at as u64, 500), ..line(9, "") })).collect();
    let built = build(Kind::Day(DAY), &lines);
    assert_eq!(read(&built), sorted(&lines));
    let footer = footer(&built);
    assert!(footer.streams.iter().all(|stream| stream.runs.len() == 1));
    assert_eq!(footer.blocks.len(), (12_000 * 501_usize).div_ceil(BLOCK_BYTES));
}

#[test]
fn the_longest_line_fits_and_a_longer_one_is_a_fault() {
    let long = |bytes| vec![(0, line(1, "before")), (0, Line { line: noise(1, bytes), ..line(2, "") }), (0, line(3, "after"))];
    let lines = long(LINE_BYTES_MAX);
    assert_eq!(read(&build(Kind::Day(DAY), &lines)), sorted(&lines));
    let mut builder = SegmentBuilder::new(Kind::Day(DAY));
    for (app, line) in long(LINE_BYTES_MAX + 1) {
        crate::testing::push(&mut builder, &labels(app), &line);
    }
    assert!(matches!(builder.finish(), Err(SegmentFault::TooLarge { .. })));
}

#[test]
fn empty_lines_close_a_block_by_number() {
    let lines: Vec<(usize, Line)> = (0..BLOCK_LINES_MAX + 10).map(|at| (0, line(i64::try_from(at).unwrap() * 1_000, ""))).collect();
    let built = build(Kind::Day(DAY), &lines);
    assert_eq!(read(&built), sorted(&lines));
    assert_eq!(footer(&built).blocks.len(), 2);
}

#[test]
fn a_line_of_another_day_is_a_fault() {
    let mut builder = SegmentBuilder::new(Kind::Day(DAY));
    builder.push(&labels(0), Timestamp(DAY_NS - 1), 3, [], b"yesterday");
    assert_eq!(builder.finish().unwrap_err(), SegmentFault::Kind { what: "a line", kind: Kind::Day(DAY) });
}

#[test]
fn a_full_builder_says_so() {
    let mut builder = SegmentBuilder::new(Kind::Day(DAY));
    assert!(builder.has_room(&labels(0), 100) && !builder.has_room(&labels(0), BUILD_BYTES_MAX + 1));
    for app in 0..STREAMS_MAX {
        builder.push(&Arc::new(Labels::from_pairs([("n", app.to_string())])), Timestamp(DAY_NS), 3, [], b"");
    }
    assert!(!builder.has_room(&Labels::empty(), 0));
    let built = builder.finish().unwrap();
    assert_eq!(footer(&built).streams.len(), STREAMS_MAX);
}

#[test]
fn more_streams_than_a_footer_holds_are_a_fault() {
    let mut builder = SegmentBuilder::new(Kind::Day(DAY));
    for app in 0..=STREAMS_MAX {
        builder.push(&Arc::new(Labels::from_pairs([("n", app.to_string())])), Timestamp(DAY_NS), 3, [], b"");
    }
    assert!(matches!(builder.finish(), Err(SegmentFault::TooLarge { .. })));
}
