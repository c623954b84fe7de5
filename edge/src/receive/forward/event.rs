//! Messages of the forward protocol to events.
//!
//! Pure. Parts: [`Events`] (a message in any of its four modes: Message, Forward, PackedForward, CompressedPackedForward), [`Event`], [`ack`]. An entry is
//! `[time, record]`, or `[[time, metadata], record]` as Fluent Bit writes it. Limits: what a message unpacks to. Must not do: relabel.

#![expect(clippy::wildcard_enum_match_arm, reason = "a value is one of many kinds, and all but the expected are answered alike")]

use bytes::Bytes;
use proto_model::Timestamp;

use super::msgpack::{DEPTH_MAX, Reader, Token};
use crate::receive::http::read_bounded;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// When, by the sender's word.
    pub(super) time: Option<Timestamp>,
    pub(super) line: Bytes,
    pub(super) metadata: Vec<(String, String)>,
}

/// The events of one message.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) tag: String,
    /// What is to be confirmed: MessagePack of the chunk's name.
    pub(super) chunk: Option<Vec<u8>>,
    /// Entries one after the other.
    entries: Bytes,
    at: usize,
    /// Metrics or traces, as Fluent Bit sends them the same way: nothing for an edge.
    pub(super) is_foreign: bool,
    /// The record stands alone, with this time.
    single: Option<Option<Timestamp>>,
    is_done: bool,
}

impl Events {
    /// Reads a message; `None` for one that says nothing (a heartbeat).
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(message: &Bytes, bytes_max: usize) -> Result<Option<Self>, String> {
        let mut reader = Reader::new(message);
        let count = match reader.next()? {
            Token::Nil => return Ok(None),
            Token::Array(count @ 2..=4) => count,
            other => return Err(format!("a message is an array of 2 to 4 values, not {}", kind(other))),
        };
        let (Token::Text(tag) | Token::Binary(tag)) = reader.next()? else { return Err("a message has no tag".to_owned()) };
        let tag = String::from_utf8_lossy(tag).into_owned();
        let mut after = reader;
        let second = after.next()?;
        let (entries, single, option) = match second {
            Token::Array(inner) => {
                let begin = after.rest();
                (0..inner).try_for_each(|_| after.skip().map(|_| ()))?;
                let length = begin.len() - after.rest().len();
                (message.slice_ref(&begin[..length]), None, option(after, count > 2)?)
            }
            Token::Text(packed) | Token::Binary(packed) => {
                let option = option(after, count > 2)?;
                (unpacked(message.slice_ref(packed), &option, bytes_max)?, None, option)
            }
            _ if count < 3 => return Err("a message has no record".to_owned()),
            _ => {
                let time = time(&mut reader)?;
                let record = reader.skip()?;
                (message.slice_ref(record), Some(time), option(reader, count > 3)?)
            }
        };
        let is_foreign = option.signal != 0;
        Ok(Some(Self { tag, chunk: option.chunk, entries, at: 0, is_foreign, single, is_done: is_foreign }))
    }

    /// The next event.
    ///
    /// # Errors
    /// What is wrong with it; the events before it stand.
    pub(super) fn next(&mut self, message_key: Option<&str>) -> Result<Option<Event>, String> {
        let rest = self.entries.slice(self.at..);
        if self.is_done || rest.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(&rest);
        let time = match self.single {
            Some(time) => {
                self.is_done = true;
                time
            }
            None => match reader.next()? {
                Token::Array(2..) => time(&mut reader)?,
                other => return Err(format!("an entry is an array of time and record, not {}", kind(other))),
            },
        };
        let (line, metadata) = record(&mut reader, message_key, &rest)?;
        self.at += rest.len() - reader.rest().len();
        Ok(Some(Event { time, line, metadata }))
    }
}

fn kind(token: Token<'_>) -> &'static str {
    match token {
        Token::Nil => "nil",
        Token::Bool(_) => "a flag",
        Token::Unsigned(_) | Token::Signed(_) | Token::Float(_) => "a number",
        Token::Text(_) => "text",
        Token::Binary(_) => "bytes",
        Token::Extension(..) => "an extension",
        Token::Array(_) => "an array of another length",
        Token::Map(_) => "a map",
    }
}

#[derive(Default)]
struct Options {
    chunk: Option<Vec<u8>>,
    compressed: String,
    /// 0 = logs.
    signal: u64,
}

/// The last value of a message, if there is one.
fn option(mut reader: Reader<'_>, there: bool) -> Result<Options, String> {
    let mut options = Options::default();
    if !there || reader.is_empty() {
        return Ok(options);
    }
    let Token::Map(count) = reader.next()? else { return Ok(options) };
    for _ in 0..count {
        let key = reader.next()?;
        let value = reader.skip()?;
        match (key, Reader::new(value).next()?) {
            (Token::Text(b"chunk"), Token::Text(_) | Token::Binary(_)) => options.chunk = Some(value.to_vec()),
            (Token::Text(b"compressed"), Token::Text(how)) => options.compressed = String::from_utf8_lossy(how).into_owned(),
            (Token::Text(b"fluent_signal"), Token::Unsigned(signal)) => options.signal = signal,
            (Token::Array(_) | Token::Map(_), _) => return Err("an option's name is no text".to_owned()),
            _ => {}
        }
    }
    Ok(options)
}

fn unpacked(packed: Bytes, options: &Options, bytes_max: usize) -> Result<Bytes, String> {
    match options.compressed.as_str() {
        "" | "text" => Ok(packed),
        "gzip" => read_bounded(flate2::read::MultiGzDecoder::new(packed.as_ref()), bytes_max)
            .map_err(|fault| format!("a packed message cannot be unpacked: {fault}"))?
            .ok_or_else(|| format!("a message unpacks to more than {bytes_max} bytes (max_message_size)")),
        other => Err(format!("messages packed with {other:?} cannot be read; set compress to gzip or text")),
    }
}

/// Seconds, an `EventTime`, or Fluent Bit's pair of time and metadata.
fn time(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, String> {
    time_at(reader, 0)
}

fn time_at(reader: &mut Reader<'_>, depth: usize) -> Result<Option<Timestamp>, String> {
    let seconds = |seconds: i64| seconds.checked_mul(1_000_000_000).map(Timestamp);
    Ok(match reader.next()? {
        Token::Unsigned(number) => i64::try_from(number).ok().and_then(seconds),
        Token::Signed(number) => seconds(number),
        Token::Float(number) if number.is_finite() && number.abs() < 9.2e9 => Some(Timestamp(float_ns(number))),
        Token::Extension(0, bytes) => {
            let [s0, s1, s2, s3, n0, n1, n2, n3]: [u8; 8] = bytes.try_into().map_err(|_| "an EventTime has eight bytes".to_owned())?;
            let whole = i64::from(u32::from_be_bytes([s0, s1, s2, s3])) * 1_000_000_000;
            Some(Timestamp(whole + i64::from(u32::from_be_bytes([n0, n1, n2, n3]))))
        }
        Token::Array(count @ 1..) if depth == 0 => {
            let time = time_at(reader, 1)?;
            (1..count).try_for_each(|_| reader.skip().map(|_| ()))?;
            time
        }
        Token::Nil | Token::Float(_) => None,
        other => return Err(format!("a time is a number or an EventTime, not {}", kind(other))),
    })
    .map(|time| time.filter(|time| *time != Timestamp(0)))
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn float_ns(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}

/// A record's line and metadata.
fn record(reader: &mut Reader<'_>, message_key: Option<&str>, all: &Bytes) -> Result<Parts, String> {
    let value = reader.skip()?;
    if let Some(key) = message_key
        && let Some((line, metadata)) = split(value, key, all)?
    {
        return Ok((line, metadata));
    }
    let mut text = String::new();
    Reader::new(value).json(&mut text)?;
    Ok((text.into(), Vec::new()))
}

/// A line, and the pairs beside it.
type Parts = (Bytes, Vec<(String, String)>);

/// The text under `key` and the pairs beside it; `None` when there is no such text.
fn split(record: &[u8], key: &str, all: &Bytes) -> Result<Option<Parts>, String> {
    let mut reader = Reader::new(record);
    let Token::Map(count) = reader.next()? else { return Ok(None) };
    let (mut line, mut metadata) = (None, Vec::new());
    for _ in 0..count {
        let name = text(reader.skip()?)?;
        let value = reader.skip()?;
        match Reader::new(value).next()? {
            Token::Text(found) | Token::Binary(found) if name == key => line = Some(all.slice_ref(without_end(found))),
            _ => metadata.push((name, text(value)?)),
        }
    }
    Ok(line.map(|line| (line, metadata)))
}

/// The line end that some senders keep.
fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A value as text: text as it is, be it sent as bytes; all else as JSON.
fn text(value: &[u8]) -> Result<String, String> {
    let token = Reader::new(value).next()?;
    if let Token::Text(text) = token {
        return Ok(String::from_utf8_lossy(text).into_owned());
    }
    if let Token::Binary(bytes) = token
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    Reader::new(value).json(&mut out)?;
    Ok(out)
}

/// `{"ack": chunk}`.
pub(super) fn ack(chunk: &[u8]) -> Vec<u8> {
    [&[0x81, 0xa3][..], b"ack", chunk].concat()
}

/// Depth is bounded where text is made of a record.
const _: () = assert!(DEPTH_MAX < 128, "JSON of a record must not use up the stack");

#[cfg(test)]
mod tests;
