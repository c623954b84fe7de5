//! What the admin page and `tributary-hub segment show` say of segments.
//!
//! Parts: [`shown`] (by its manifest); [`footer`] (by its footer: streams and blocks). Must not do: show lines.

use hub_segment::{Footer, Kind};
use hub_store::SegmentRef;
use proto_model::Timestamp;
use serde_json::{Value, json};

use crate::admin::rfc3339;

/// Nanoseconds of a day.
const DAY_NS: i64 = 86_400_000_000_000;

/// The UTC day of a segment, `YYYY-MM-DD`, or `odd`.
fn day(kind: Kind) -> String {
    match kind {
        Kind::Day(day) => rfc3339(Timestamp(i64::from(day).saturating_mul(DAY_NS))).chars().take(10).collect(),
        Kind::Odd => "odd".to_owned(),
    }
}

/// A segment as a manifest names it.
#[must_use]
pub fn shown(segment: &SegmentRef) -> Value {
    let facts = &segment.facts;
    json!({
        "key": segment.key(), "day": day(facts.kind), "lines": facts.lines, "raw_bytes": facts.raw_bytes, "bytes": facts.bytes,
        "streams": facts.streams, "min_time": rfc3339(facts.min), "max_time": rfc3339(facts.max),
    })
}

/// A segment's streams and blocks, one object each.
pub fn footer(footer: &Footer) -> impl Iterator<Item = Value> + '_ {
    let streams = footer.streams.iter().map(|stream| {
        let labels: serde_json::Map<String, Value> = stream.labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        json!({
            "kind": "stream", "labels": labels, "lines": stream.lines, "raw_bytes": stream.bytes, "min_time": rfc3339(stream.min), "max_time": rfc3339(stream.max),
            "blocks": stream.runs.iter().map(|run| run.block).collect::<Vec<_>>(),
        })
    });
    let blocks = footer.blocks.iter().zip(0..).map(|(block, at): (_, usize)| {
        json!({
            "kind": "block", "at": at, "offset": block.offset, "bytes": block.length, "lines": block.lines, "raw_bytes": block.bytes,
            "min_time": rfc3339(block.min), "max_time": rfc3339(block.max),
        })
    });
    streams.chain(blocks)
}
