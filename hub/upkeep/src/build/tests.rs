use std::collections::BTreeSet;

use hub_segment::{Block, Footer};
use proto_wire::batch::{BatchBuilder, Compression};

use super::*;
use crate::rig::{START_NS, batch};

fn rows(of: &[hub_store::HubRow]) -> Vec<TableRow> {
    of.iter().map(|row| TableRow { labels: Arc::new(row.labels.clone()), lines: row.lines, bytes: row.bytes, min: row.min, max: row.max }).collect()
}

#[test]
fn a_table_is_true_or_it_is_not() {
    let (body, hub_rows) = batch("a", 5, START_NS);
    let good = rows(&hub_rows);
    assert!(verify(body.clone(), &good).is_ok());
    let untrue = |change: &dyn Fn(&mut Vec<TableRow>)| {
        let mut rows = good.clone();
        change(&mut rows);
        verify(body.clone(), &rows).map(drop).unwrap_err()
    };
    let counted = Untrue { lines: Some(5) };
    assert_eq!(untrue(&|rows| rows[0].lines += 1), counted);
    assert_eq!(untrue(&|rows| rows[1].bytes -= 1), counted);
    assert_eq!(untrue(&|rows| rows[0].min = Timestamp(rows[0].min.nanos() + 1)), counted);
    assert_eq!(untrue(&|rows| rows[0].max = Timestamp(rows[0].max.nanos() - 1)), counted);
    assert_eq!(untrue(&|rows| drop(rows.pop())), counted);
    assert_eq!(untrue(&|rows| rows.push(rows[0].clone())), counted);
    let cut = verify(body.slice(..body.len() - 1), &good).map(drop);
    assert_eq!(cut, Err(Untrue { lines: None }));
}

/// All lines of a segment by stream, in order.
fn lines(built: &Built) -> Vec<String> {
    let facts = built.facts;
    let from = usize::try_from(facts.footer_offset).unwrap();
    let footer = Footer::read(&built.bytes.slice(from..from + facts.footer_length as usize), &facts).unwrap();
    let mut out = Vec::new();
    for run in footer.streams.iter().flat_map(|stream| &stream.runs) {
        let entry = &footer.blocks[run.block as usize];
        let at = usize::try_from(entry.offset).unwrap();
        let block = Block::open(&built.bytes.slice(at..at + entry.length as usize), entry).unwrap();
        out.extend(block.rows(run.at as usize).map(|row| String::from_utf8(row.unwrap().line.to_vec()).unwrap()));
    }
    out
}

#[test]
fn lines_go_to_their_days_in_the_order_of_arrival_and_too_many_days_are_odd() {
    let now = Timestamp(START_NS);
    let labels = Arc::new(Labels::from_pairs([("app", "web")]));
    let mut builders = Builders { now, open: BTreeMap::new(), raw_bytes: 0, done: Vec::new() };
    let day = 86_400_000_000_000;
    let mut frozen = BatchBuilder::new();
    for at in 0..100_i64 {
        for twin in 0..2 {
            frozen.push(&labels, Timestamp(START_NS - at * day), 255, &[], format!("{at}-{twin}").as_bytes());
        }
    }
    let payload = BatchView::parse(frozen.freeze(Compression::Zstd).unwrap().body).unwrap().payload().unwrap();
    for row in payload.rows(0) {
        builders.push(&labels, &row.unwrap()).unwrap();
    }
    builders.flush().unwrap();
    let kinds: BTreeSet<Kind> = builders.done.iter().map(|built| built.facts.kind).collect();
    assert_eq!((kinds.len(), builders.done.len()), (DAYS_MAX + 1, DAYS_MAX + 1));
    assert_eq!(builders.done.iter().map(|built| built.facts.lines).sum::<u64>(), 200);
    for built in builders.done.iter().filter(|built| built.facts.kind != Kind::Odd) {
        let found = lines(built);
        assert!(found[0].ends_with("-0") && found[1].ends_with("-1") && found.len() == 2, "equal times stay in order: {found:?}");
    }
}
