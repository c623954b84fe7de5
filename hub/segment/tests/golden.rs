//! Bytes of format versions 1 and 2, kept: every later program must read them as these wrote them.
//!
//! `golden/v2.segment` was written once by `write_it` and is never written again; another version gets a file of its own.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hub_segment::{Block, Built, Footer, GramFilters, Kind, Needle, RegionEntry, SegmentBuilder, Tallies};
use proto_model::{Labels, Timestamp};

const VERSION_1: &[u8] = include_bytes!("golden/v1.segment");
const VERSION_2: &[u8] = include_bytes!("golden/v2.segment");
const DAY: i32 = 20_454;
const MIDNIGHT: i64 = DAY as i64 * 86_400_000_000_000;

/// More names than metadata columns hold.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| (0..5_000).map(|at| format!("name-{at}")).collect());

type Row = (i64, u8, Vec<(&'static str, String)>, Vec<u8>);

/// Three small streams and two large ones, every encoding of every column among them.
fn streams() -> Vec<(Arc<Labels>, Vec<Row>)> {
    let labels = |pairs: &[(&str, &str)]| Arc::new(Labels::from_pairs(pairs.iter().copied()));
    let metadata = |at: i64| match at % 5 {
        0 => vec![],
        1 => vec![("pod", "checkout-7".to_owned())],
        _ => vec![
            ("pod", "checkout-7".to_owned()),
            ("trace_id", format!("{:016x}", at.wrapping_mul(0x9e37_79b9))),
            ("zone", ["a", "b"][at as usize % 2].to_owned()),
        ],
    };
    let plain = |at: i64| (MIDNIGHT + at * 1_000_000, 3, vec![], format!("ts={at} level=info msg=\"line {at} of many\"").into_bytes());
    let odd_bytes =
        vec![(MIDNIGHT, 255, vec![], vec![]), (MIDNIGHT, 0, vec![], b"two\nlines".to_vec()), (MIDNIGHT + 1, 7, vec![], vec![0, 159, 146, 150, 255])];
    let names = |at: i64| (MIDNIGHT + at, 1, vec![(NAMES[at as usize].as_str(), at.to_string())], vec![b'-'; 250]);
    vec![
        (labels(&[]), vec![(MIDNIGHT + 86_399_999_999_999, 5, vec![], b"last of the day".to_vec())]),
        (
            labels(&[("app", "checkout"), ("cluster", "a")]),
            (0..40)
                .map(|at| {
                    let (time, level, _, line) = plain(at);
                    (time, level + (at % 3) as u8, metadata(at), line)
                })
                .collect(),
        ),
        (labels(&[("app", "checkout"), ("cluster", "b")]), odd_bytes),
        (labels(&[("app", "large"), ("cluster", "a")]), (0..70_000).map(plain).collect()),
        (labels(&[("app", "names")]), (0..5_000).map(names).collect()),
    ]
}

fn built() -> Built {
    let mut builder = SegmentBuilder::new(Kind::Day(DAY));
    for (labels, rows) in streams() {
        for (time, level, metadata, line) in rows {
            builder.push(&labels, Timestamp(time), level, metadata.iter().map(|(name, value)| (*name, value.as_str())), &line);
        }
    }
    builder.finish().expect("a segment")
}

fn check(object: &Bytes) {
    let footer = Footer::of_object(object).expect("a footer");
    assert_eq!(footer.facts.kind, Kind::Day(DAY));
    assert_eq!(footer.facts.lines, 75_044);
    let blocks: Vec<Block> = footer
        .blocks
        .iter()
        .map(|entry| {
            let begin = usize::try_from(entry.offset).expect("a small offset");
            Block::open(&object.slice(begin..begin + entry.length as usize), entry).expect("a block")
        })
        .collect();
    let expected = streams();
    assert_eq!(footer.streams.len(), expected.len());
    for (stream, (labels, rows)) in footer.streams.iter().zip(expected) {
        assert_eq!(stream.labels, labels);
        let found = stream.runs.iter().flat_map(|run| blocks[run.block as usize].rows(run.at as usize)).map(|row| row.expect("a row"));
        let mut count = 0;
        for (row, (time, level, metadata, line)) in found.zip(&rows) {
            assert_eq!((row.time.0, row.level, row.line), (*time, *level, line.as_slice()));
            assert!(row.metadata().eq(metadata.iter().map(|(name, value)| (*name, value.as_str()))));
            count += 1;
        }
        assert_eq!((count, stream.lines), (rows.len(), rows.len() as u64));
    }
}

#[test]
fn version_1_is_read() {
    let object = Bytes::from_static(VERSION_1);
    check(&object);
    let footer = Footer::of_object(&object).expect("a footer");
    assert_eq!((footer.filters, footer.tallies), (None, None));
}

#[test]
fn version_2_is_read_with_filters_and_tallies() {
    let object = Bytes::from_static(VERSION_2);
    check(&object);
    let footer = Footer::of_object(&object).expect("a footer");
    let region = |entry: &RegionEntry| object.slice(usize::try_from(entry.offset).expect("a small offset")..).slice(..entry.length as usize);
    let (filters, tallies) = (footer.filters.expect("filters"), footer.tallies.expect("tallies"));
    let filters = GramFilters::read(&region(&filters), &filters, footer.blocks.len()).expect("sound filters");
    let tallies = Tallies::read(&region(&tallies), &tallies, &footer.blocks).expect("sound tallies");
    let may_hold = |text: &str| (0..footer.blocks.len()).filter(|block| filters.may_hold(*block, &Needle::new(text.as_bytes()))).count();
    assert_eq!((may_hold("last of the day"), may_hold("checkout-7"), may_hold("panic: runtime error")), (1, 1, 0));
    // Lines that count up share their pieces: more blocks than the one that holds it may be looked at, not all.
    assert!((1..footer.blocks.len()).contains(&may_hold("ts=69999 level")), "{} of {}", may_hold("ts=69999 level"), footer.blocks.len());
    let run = footer.streams.iter().find(|stream| stream.lines == 70_000).and_then(|stream| stream.runs.first()).expect("a run");
    // The first line stands at the end of the minute before.
    let found = tallies.of(run.block as usize, run.at as usize);
    assert_eq!(
        found.iter().map(|tally| (tally.end_ns, tally.lines)).collect::<Vec<_>>()[..2],
        [(MIDNIGHT, 1), (MIDNIGHT + 60_000_000_000, u64::from(run.lines) - 1)]
    );
}

#[test]
fn what_is_written_now_reads_alike() {
    check(&built().bytes);
}

#[test]
#[ignore = "writes the file again: only for a new version, under a new name"]
#[expect(clippy::disallowed_methods, reason = "a tool for who changes the format, not a test of shipped code")]
fn write_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v2.segment");
    std::fs::write(path, built().bytes).unwrap();
}
