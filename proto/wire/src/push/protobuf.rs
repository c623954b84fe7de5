//! A snappy protobuf push body, walked field by field.
//!
//! Walked by hand and not into generated structs: a body of ten million empty entries is two bytes each on
//! the wire and a hundred in memory, so they are counted before they are kept. Nesting is fixed at four
//! levels; unknown fields are passed over.

use bytes::Bytes;
use proto_model::{Labels, Record, Timestamp};

use super::{Count, PushFault, Pushed, labels};
use crate::limits::PUSH_RAW_BYTES_MAX;
use crate::varint;

/// Reads a `logproto.PushRequest` in raw snappy.
///
/// # Errors
/// [`PushFault`]; `snappy: corrupt input` when it is not snappy, as Loki says.
pub fn protobuf(body: &[u8]) -> Result<Vec<Pushed>, PushFault> {
    let corrupt = |_| PushFault::Malformed("snappy: corrupt input".to_owned());
    let stated = snap::raw::decompress_len(body).map_err(corrupt)?;
    if stated > PUSH_RAW_BYTES_MAX {
        return Err(PushFault::TooLarge { what: "bytes", found: stated as u64, limit: PUSH_RAW_BYTES_MAX as u64 });
    }
    let raw: Bytes = snap::raw::Decoder::new().decompress_vec(body).map_err(corrupt)?.into();
    let mut count = Count::default();
    let mut streams = Vec::new();
    fields(&raw, &mut |number, value| match (number, value) {
        (1, Value::Bytes(stream)) => {
            streams.push(read_stream(&raw, stream, &mut count)?);
            Ok(())
        }
        _ => Ok(()),
    })?;
    Ok(streams)
}

pub(crate) enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

pub(crate) fn malformed(why: &str) -> PushFault {
    PushFault::Malformed(format!("proto: {why}"))
}

/// Calls `each` for every field of one message.
pub(crate) fn fields<'b>(mut message: &'b [u8], each: &mut dyn FnMut(u64, Value<'b>) -> Result<(), PushFault>) -> Result<(), PushFault> {
    let end = || malformed("unexpected EOF");
    while !message.is_empty() {
        let key = varint::take(&mut message).ok_or_else(end)?;
        let value = match key & 7 {
            0 => Value::Number(varint::take(&mut message).ok_or_else(end)?),
            2 => {
                let length = usize::try_from(varint::take(&mut message).ok_or_else(end)?).map_err(|_| end())?;
                let (value, rest) = message.split_at_checked(length).ok_or_else(end)?;
                message = rest;
                Value::Bytes(value)
            }
            skip @ (1 | 5) => {
                message = message.get(if skip == 1 { 8 } else { 4 }..).ok_or_else(end)?;
                continue;
            }
            other => return Err(malformed(&format!("wrong wireType = {other}"))),
        };
        each(key >> 3, value)?;
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_stream(raw: &Bytes, message: &[u8], count: &mut Count) -> Result<Pushed, PushFault> {
    let mut pushed = Pushed { labels: Labels::empty(), records: Vec::new() };
    fields(message, &mut |number, value| {
        match (number, value) {
            (1, Value::Bytes(bytes)) => pushed.labels = labels(&text(bytes))?,
            (2, Value::Bytes(bytes)) => {
                count.record()?;
                pushed.records.push(read_entry(raw, bytes)?);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(pushed)
}

fn read_entry(raw: &Bytes, message: &[u8]) -> Result<Record, PushFault> {
    let mut record = Record::default();
    fields(message, &mut |number, value| {
        match (number, value) {
            (1, Value::Bytes(bytes)) => record.time = read_time(bytes)?,
            (2, Value::Bytes(bytes)) => record.line = raw.slice_ref(bytes),
            (3, Value::Bytes(bytes)) => record.metadata.push(read_pair(bytes)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(record)
}

fn read_time(message: &[u8]) -> Result<Timestamp, PushFault> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    fields(message, &mut |number, value| {
        #[expect(clippy::cast_possible_wrap, reason = "protobuf carries int64 as its two's complement")]
        match (number, value) {
            (1, Value::Number(n)) => seconds = n as i64,
            (2, Value::Number(n)) => nanos = n as i64,
            _ => {}
        }
        Ok(())
    })?;
    let ns = seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(nanos));
    ns.map(Timestamp).ok_or_else(|| malformed("timestamp out of range"))
}

fn read_pair(message: &[u8]) -> Result<(String, String), PushFault> {
    let (mut name, mut content) = (String::new(), String::new());
    fields(message, &mut |number, value| {
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = text(bytes),
            (2, Value::Bytes(bytes)) => content = text(bytes),
            _ => {}
        }
        Ok(())
    })?;
    Ok((name, content))
}
