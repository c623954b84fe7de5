//! A function per reader: bytes in, whether they were taken out; it panics where a promise is broken.
//!
//! Checksums are put right before a reader sees mutated bytes: they would hide what lies behind them.

use std::borrow::Cow;
use std::hint::black_box;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue};
use hub::api::push;
use hub_logql::limits::TEXT_BYTES_MAX;
use hub_logql::{parse, pretty, validate};
use hub_segment::{Block, Footer, Outline};
use hub_store::{LaneHeader, StoreKeys};
use proto_extract::json::{JsonPath, flatten, lookup};
use proto_extract::limits::TEMPLATE_OUTPUT_BYTES_MAX;
use proto_extract::pattern::{LinePattern, PatternParser};
use proto_extract::template::{Dialect, Fields, Template};
use proto_extract::{dialect, logfmt, quantity, unpack};
use proto_model::{LaneId, Timestamp};
use proto_wire::BatchView;
use proto_wire::limits::{PUSH_RAW_BYTES_MAX, RECORDS_MAX};
use proto_wire::push::{Pushed, json, protobuf};

/// Parse, print, parse: the same tree; the pretty text as well.
pub fn logql(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let Ok(tree) = parse(&text) else { return false };
    let printed = tree.to_string();
    // `1/0` is folded to NaN and printed so by Loki too, which has no way to write it.
    let shape = format!("{tree:?}");
    if ["(NaN)", "(inf)", "(-inf)"].iter().any(|number| shape.contains(number)) {
        return true;
    }
    let wide = pretty(&tree);
    // Escapes and blanks make texts longer; what passes the limit then is refused as any such text.
    if printed.len().max(wide.len()) > TEXT_BYTES_MAX {
        return true;
    }
    let again = parse(&printed).unwrap_or_else(|fault| panic!("{text:?} is printed as {printed:?}, which is refused: {fault}"));
    assert!(again == tree, "{text:?} is printed as {printed:?}, which is another query");
    let again = parse(&wide).unwrap_or_else(|fault| panic!("{text:?} is laid out as {wide:?}, which is refused: {fault}"));
    assert!(again == tree, "{text:?} is laid out as {wide:?}, which is another query");
    drop(validate(&tree));
    true
}

struct Labels;

impl Fields for Labels {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.all().into_iter().find(|(known, _)| known == name).map(|(_, value)| Cow::Owned(value))
    }

    fn all(&self) -> Vec<(String, String)> {
        [("app", "web"), ("n", "12"), ("x", "-3.5"), ("j", r#"{"a":[1,{"b":"c"}]}"#), ("t", "2024-02-03T04:05:06Z"), ("empty", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }
}

pub fn template(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let mut taken = false;
    for dialect in [Dialect::LogQl, Dialect::Promtail] {
        let Ok(template) = Template::parse("line", &text, dialect) else { continue };
        drop(template.fields());
        let mut out = String::new();
        let rendered = template.render(&Labels, b"level=info msg=\"a line\"", Timestamp(1_700_000_000_000_000_000), &mut out);
        assert!(out.len() <= TEMPLATE_OUTPUT_BYTES_MAX + text.len(), "{} bytes", out.len());
        taken |= rendered.is_ok();
    }
    taken
}

pub fn regex(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    drop(dialect::translate(&text));
    let Ok(regex) = dialect::compile(&text) else { return false };
    for haystack in [&b""[..], b"level=info a.b-c 10.0.0.1 \xff\xfe", "über ΑΒΓ \n x".as_bytes()] {
        black_box(regex.is_match(&dialect::seen(haystack)));
    }
    // Anchoring adds to the size, so it may be refused where the plain one is not.
    drop(dialect::compile_anchored(&text));
    true
}

pub fn lines(input: &[u8]) -> bool {
    let mut bytes = 0;
    let mut count = |name: &str, value: &str| bytes += name.len() + value.len();
    let mut taken = flatten(input, &mut count).is_ok();
    taken |= logfmt::scan(input, true, true, &mut count).is_ok();
    black_box(logfmt::scan(input, false, false, &mut count).is_ok());
    black_box(unpack::unpack(input, &mut count).is_ok());
    for path in ["a", "a.b[0]", "[\"a b\"].c", "streams[0].values[0][1]"] {
        drop(lookup(input, &JsonPath::parse(path).expect("a sound path")));
    }
    // A name is made of its whole path, so depth counts for every field.
    assert!(bytes <= (input.len() + 16) * (input.len() + 16), "{bytes} bytes of labels");
    let text = String::from_utf8_lossy(input);
    drop(JsonPath::parse(&text));
    drop(hub_logql::path::json_path(&text));
    drop(hub_logql::path::logfmt_key(&text));
    if let Ok(pattern) = PatternParser::parse(&text) {
        pattern.extract(b"10.0.0.1 - bob \"GET /\" 200", &mut |_, _| {});
    }
    if let Ok(pattern) = LinePattern::parse(&text) {
        black_box(pattern.matches(b"10.0.0.1 - bob \"GET /\" 200"));
    }
    black_box((quantity::float(&text).is_ok(), quantity::bytes(&text).is_ok(), quantity::duration_ns(&text).is_ok()));
    taken
}

fn bounded(pushed: &[Pushed], raw: usize) {
    let records: usize = pushed.iter().map(|stream| stream.records.len()).sum();
    let bytes: usize = pushed.iter().flat_map(|stream| &stream.records).map(|record| record.line.len()).sum();
    assert!(records <= RECORDS_MAX && bytes <= PUSH_RAW_BYTES_MAX, "{records} records, {bytes} bytes of {raw}");
}

pub fn push_json(input: &[u8]) -> bool {
    json(input).inspect(|pushed| bounded(pushed, input.len())).is_ok()
}

/// The message itself, in sound snappy.
pub fn push_protobuf(input: &[u8]) -> bool {
    let packed = snap::raw::Encoder::new().compress_vec(input).expect("a small input");
    protobuf(&packed).inspect(|pushed| bounded(pushed, input.len())).is_ok()
}

pub fn push_snappy(input: &[u8]) -> bool {
    protobuf(input).inspect(|pushed| bounded(pushed, input.len())).is_ok()
}

/// Through the route's own unpacking.
pub fn push_gzip(input: &[u8]) -> bool {
    ["gzip", "deflate"].iter().any(|packing| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-encoding", HeaderValue::from_static(packing));
        push::decode(&headers, &Bytes::copy_from_slice(input)).inspect(|pushed| bounded(pushed, input.len())).is_ok()
    })
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

pub fn batch(input: &[u8]) -> bool {
    let mut bytes = input.to_vec();
    if bytes.len() >= 44 {
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..40]), &bytes[44..]);
        put(&mut bytes, 40, &sum.to_le_bytes());
    }
    let Ok(view) = BatchView::parse(bytes.into()) else { return false };
    let Ok(payload) = view.payload() else { return false };
    let mut lines = 0;
    for stream in 0..view.table().streams.len() {
        for row in payload.rows(stream) {
            let Ok(row) = row else { return false };
            lines += 1;
            black_box(row.metadata().count());
        }
    }
    assert!(lines <= view.lines(), "{lines} lines, {} stated", view.lines());
    true
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    *blake3::hash(bytes).as_bytes().first_chunk().expect("it has 32 bytes")
}

/// The object with the checksum of its footer put right.
fn mended(input: &[u8]) -> Bytes {
    let mut bytes = input.to_vec();
    if let Some(tail) = bytes.len().checked_sub(32) {
        let length = u32::from_le_bytes(bytes[tail..tail + 4].try_into().expect("four bytes")) as usize;
        if let Some(begin) = tail.checked_sub(length) {
            let sum = checksum(&bytes[begin..tail]);
            put(&mut bytes, tail + 4, &sum);
        }
    }
    bytes.into()
}

pub fn footer(input: &[u8]) -> bool {
    let object = mended(input);
    let Ok(footer) = Footer::of_object(&object) else { return false };
    let at = usize::try_from(footer.facts.footer_offset).expect("it was read");
    let read = Footer::read(&object.slice(at..at + footer.facts.footer_length as usize), &footer.facts);
    assert_eq!(read.as_ref(), Ok(&footer), "the same footer, read by its facts");
    for block in &footer.blocks {
        assert!(block.offset + u64::from(block.length) <= footer.facts.footer_offset, "a block beyond the object");
    }
    true
}

/// Every block that the (unchanged) footers of sound segments name, over mutated bytes of any object.
pub fn block(input: &[u8]) -> bool {
    let object = Bytes::copy_from_slice(input);
    // The first bytes choose which footer speaks, so that a mutated body meets several.
    let footer = match Footer::of_object(&mended(input)) {
        Ok(footer) => footer,
        Err(_) => return false,
    };
    let mut taken = false;
    for entry in &footer.blocks {
        let from = usize::try_from(entry.offset).expect("it was read");
        let bytes = object.slice(from..from + entry.length as usize);
        let mut entry = *entry;
        entry.checksum = checksum(&bytes);
        drop(Outline::open(&bytes, &entry));
        drop(Outline::open_with_metadata(&bytes, &entry));
        let Ok(block) = Block::open(&bytes, &entry) else { continue };
        let mut lines = 0;
        for at in 0..entry.runs as usize {
            for row in block.rows(at) {
                let Ok(row) = row else { break };
                lines += 1;
                black_box(row.metadata().count());
            }
        }
        assert!(lines <= entry.lines, "{lines} lines, {} stated", entry.lines);
        taken = true;
    }
    taken
}

pub fn lane(input: &[u8]) -> bool {
    let mut bytes = input.to_vec();
    if bytes.len() >= 56 {
        let length = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
        let end = 56_usize.saturating_add(length).min(bytes.len());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..52]), &bytes[56..end]);
        put(&mut bytes, 52, &sum.to_le_bytes());
    }
    let bytes = Bytes::from(bytes);
    // A header is refused under another name than it says, so it is opened under the name it says.
    let Some((head, rest)) = bytes.get(56..).and_then(|header| header.split_first_chunk::<10>()) else { return false };
    let lane = u64::from_le_bytes(head[1..9].try_into().expect("eight bytes"));
    let length = rest.iter().take(10).position(|byte| *byte < 0x80).map_or(0, |last| last + 1);
    let number = rest[..length].iter().rev().fold(0_u64, |sum, byte| sum.wrapping_shl(7) | u64::from(byte & 0x7F));
    let Ok(header) = LaneHeader::open(&bytes, LaneId(lane), number, &StoreKeys::none()) else { return false };
    for section in &header.sections {
        assert!(section.offset.checked_add(section.length).is_some(), "a section beyond all offsets");
    }
    true
}
