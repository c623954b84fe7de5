//! Lines for tests, segments of them, and all that can be read of a segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proto_model::{Labels, Timestamp};

use crate::{Block, Built, Footer, Kind, SegmentBuilder};

pub(crate) const DAY: i32 = 20_000;
pub(crate) const DAY_NS: i64 = DAY as i64 * 86_400_000_000_000;

/// A line, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) time: i64,
    pub(crate) level: u8,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) line: Vec<u8>,
}

pub(crate) type Streams = Vec<(Labels, Vec<Line>)>;

pub(crate) fn line(time: i64, text: &str) -> Line {
    Line { time: DAY_NS + time, level: 3, metadata: Vec::new(), line: text.as_bytes().to_vec() }
}

pub(crate) fn labels(app: usize) -> Arc<Labels> {
    Arc::new(Labels::from_pairs([("cluster", "a".to_owned()), ("app", format!("app-{app:05}")), ("namespace", format!("ns-{}", app % 7))]))
}

pub(crate) fn push(builder: &mut SegmentBuilder, labels: &Arc<Labels>, line: &Line) {
    let metadata = line.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    builder.push(labels, Timestamp(line.time), line.level, metadata, &line.line);
}

pub(crate) fn build(kind: Kind, lines: &[(usize, Line)]) -> Built {
    let mut builder = SegmentBuilder::new(kind);
    for (app, line) in lines {
        push(&mut builder, &labels(*app), line);
    }
    assert_eq!(builder.lines(), lines.len() as u64);
    assert_eq!(builder.raw_bytes(), lines.iter().map(|(_, line)| line.line.len() as u64).sum::<u64>());
    builder.finish().unwrap()
}

/// What a segment of `lines` must read as.
pub(crate) fn sorted(lines: &[(usize, Line)]) -> Streams {
    let mut streams: BTreeMap<Labels, Vec<Line>> = BTreeMap::new();
    for (app, line) in lines {
        streams.entry((*labels(*app)).clone()).or_default().push(line.clone());
    }
    for lines in streams.values_mut() {
        lines.sort_by_key(|line| line.time);
    }
    streams.into_iter().collect()
}

/// Opens a block out of the whole object.
pub(crate) fn block(object: &Bytes, footer: &Footer, at: usize) -> Block {
    Block::open(&block_bytes(object, footer, at), &footer.blocks[at]).unwrap()
}

pub(crate) fn block_bytes(object: &Bytes, footer: &Footer, at: usize) -> Bytes {
    let begin = usize::try_from(footer.blocks[at].offset).unwrap();
    object.slice(begin..begin + footer.blocks[at].length as usize)
}

pub(crate) fn footer(built: &Built) -> Footer {
    let begin = usize::try_from(built.facts.footer_offset).unwrap();
    let footer = Footer::read(&built.bytes.slice(begin..begin + built.facts.footer_length as usize), &built.facts).unwrap();
    assert_eq!(Footer::of_object(&built.bytes).unwrap(), footer, "with and without a manifest");
    assert_eq!(built.facts.bytes, built.bytes.len() as u64);
    footer
}

/// Reads everything, and checks that all that is said of it is so.
pub(crate) fn read(built: &Built) -> Streams {
    let footer = footer(built);
    let blocks: Vec<Block> = (0..footer.blocks.len()).map(|at| block(&built.bytes, &footer, at)).collect();
    let mut streams = Vec::new();
    for stream in &footer.streams {
        let mut lines: Vec<Line> = Vec::new();
        for run in &stream.runs {
            let block = &blocks[run.block as usize];
            assert_eq!(run.first, lines.len() as u64);
            let mut text = Vec::new();
            let begin = lines.len();
            for (index, row) in block.rows(run.at as usize).enumerate() {
                let row = row.unwrap();
                assert_eq!(row.index as usize, index);
                assert_eq!(block.row(run.at as usize, index), Some(row));
                text.extend_from_slice(row.line);
                text.push(b'\n');
                let metadata: Vec<(String, String)> = row.metadata().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                assert_eq!(row.has_metadata(), !metadata.is_empty());
                lines.push(Line { time: row.time.0, level: row.level, metadata, line: row.line.to_vec() });
            }
            let found = &lines[begin..];
            assert_eq!(block.text(run.at as usize), text);
            assert_eq!((run.min.0, run.max.0), (found[0].time, found[found.len() - 1].time));
            assert_eq!((run.lines as usize, run.bytes), (found.len(), found.iter().map(|line| line.line.len() as u64).sum()));
            check_outline(&built.bytes, &footer, run, found);
        }
        assert_eq!((stream.lines, stream.bytes), (lines.len() as u64, lines.iter().map(|line| line.line.len() as u64).sum()));
        assert_eq!((stream.min.0, stream.max.0), (lines[0].time, lines[lines.len() - 1].time));
        streams.push(((*stream.labels).clone(), lines));
    }
    let all: Vec<&Line> = streams.iter().flat_map(|(_, lines)| lines).collect();
    assert_eq!((built.facts.lines, built.facts.streams as usize), (all.len() as u64, streams.len()));
    assert_eq!(built.facts.raw_bytes, all.iter().map(|line| line.line.len() as u64).sum::<u64>());
    assert_eq!(built.facts.min.0, all.iter().map(|line| line.time).min().unwrap_or(0));
    assert_eq!(built.facts.max.0, all.iter().map(|line| line.time).max().unwrap_or(0));
    streams
}

fn check_outline(object: &Bytes, footer: &Footer, run: &crate::RunEntry, found: &[Line]) {
    let outline = crate::Outline::open(&block_bytes(object, footer, run.block as usize), &footer.blocks[run.block as usize]).unwrap();
    let at = run.at as usize;
    assert!(outline.times(at).iter().eq(found.iter().map(|line| &line.time)));
    assert!(outline.levels(at).iter().eq(found.iter().map(|line| &line.level)));
    assert!(outline.lengths(at).iter().map(|length| *length as usize).eq(found.iter().map(|line| line.line.len())));
    let whole = crate::Outline::open_with_metadata(&block_bytes(object, footer, run.block as usize), &footer.blocks[run.block as usize]).unwrap();
    for (index, line) in found.iter().enumerate() {
        let row = whole.row(at, index).unwrap();
        assert!(row.line.is_empty() && row.time.nanos() == line.time && row.level == line.level);
        assert!(row.metadata().eq(line.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
        assert!(!outline.row(at, index).unwrap().has_metadata());
    }
    assert!(whole.row(at, found.len()).is_none());
}

/// Noise that does not pack, the same for the same seed.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}

fn a_line() -> impl Strategy<Value = Line> {
    let time = prop_oneof![0_i64..5, 0_i64..86_400_000_000_000, (0_i64..86_400).prop_map(|second| second * 1_000_000_000)];
    let text = prop_oneof![Just(Vec::new()), "[a-z =\\n]{0,40}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..200)];
    let name = prop_oneof![Just("trace_id".to_owned()), Just("pod".to_owned()), "[a-z]{0,3}"];
    let value = prop_oneof![Just(String::new()), Just("same".to_owned()), "[ -~é]{0,20}"];
    let metadata = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec((name, value), 0..4)];
    let level = prop_oneof![Just(3_u8), 0_u8..8, Just(255)];
    (time, level, metadata, text).prop_map(|(time, level, metadata, line)| Line { time: DAY_NS + time, level, metadata, line })
}

/// Up to `lines` lines of up to `apps` streams.
pub(crate) fn some_lines(apps: usize, lines: usize) -> impl Strategy<Value = Vec<(usize, Line)>> {
    prop::collection::vec((0..apps, a_line()), 0..lines)
}
