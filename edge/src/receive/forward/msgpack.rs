//! MessagePack: where a value ends, and what it says.
//!
//! Pure. Parts: [`Scan`] (finds the end of the first value of a growing buffer without reading any byte twice), [`Reader`] (values one by one), `json` (a
//! value as JSON text). Limits: [`DEPTH_MAX`]; lengths are believed only as far as there are bytes. Must not do: make trees.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto_model::json::{self, Escapes};

/// How deep values may nest.
pub(super) const DEPTH_MAX: usize = 32;

/// One value; of arrays and maps only how many follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'b> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'b [u8]),
    Binary(&'b [u8]),
    Extension(i8, &'b [u8]),
    Array(usize),
    Map(usize),
}

/// What follows a value's first byte: bytes of its own, and values within.
struct Shape {
    head: usize,
    body: u64,
    values: u64,
}

/// The shape of the value that begins `bytes`; `None` when more bytes are needed.
fn shape(bytes: &[u8]) -> Result<Option<Shape>, String> {
    let Some(first) = bytes.first().copied() else { return Ok(None) };
    let number = |width: usize| bytes.get(1..=width).map(|bytes| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)));
    let plain = |body: u64| Ok(Some(Shape { head: 1, body, values: 0 }));
    // A length of `width` bytes, then as many bytes and `more`, or as many values times `values`.
    let counted = |width: usize, more: u64| Ok(number(width).map(|n| Shape { head: 1 + width, body: n + more, values: 0 }));
    let holding = |width: usize, each: u64| Ok(number(width).map(|n| Shape { head: 1 + width, body: 0, values: n * each }));
    match first {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => plain(0),
        0x80..=0x8f => Ok(Some(Shape { head: 1, body: 0, values: u64::from(first & 15) * 2 })),
        0x90..=0x9f => Ok(Some(Shape { head: 1, body: 0, values: u64::from(first & 15) })),
        0xa0..=0xbf => plain(u64::from(first & 31)),
        0xc4 | 0xd9 => counted(1, 0),
        0xc5 | 0xda => counted(2, 0),
        0xc6 | 0xdb => counted(4, 0),
        0xc7 => counted(1, 1),
        0xc8 => counted(2, 1),
        0xc9 => counted(4, 1),
        0xcc | 0xd0 => plain(1),
        0xcd | 0xd1 => plain(2),
        0xca | 0xce | 0xd2 => plain(4),
        0xcb | 0xcf | 0xd3 => plain(8),
        0xd4 => plain(2),
        0xd5 => plain(3),
        0xd6 => plain(5),
        0xd7 => plain(9),
        0xd8 => plain(17),
        0xdc => holding(2, 1),
        0xdd => holding(4, 1),
        0xde => holding(2, 2),
        0xdf => holding(4, 2),
        0xc1 => Err("the byte c1 begins no MessagePack value".to_owned()),
    }
}

/// Where the first value of a buffer ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    at: usize,
    /// Values that still belong to it.
    left: u64,
}

impl Default for Scan {
    fn default() -> Self {
        Self { at: 0, left: 1 }
    }
}

impl Scan {
    /// The length of the first value, once all of it is there. `buffer` has only grown since the last call.
    pub(super) fn step(&mut self, buffer: &[u8], bytes_max: usize) -> Result<Option<usize>, String> {
        while self.left > 0 {
            let Some(shape) = shape(buffer.get(self.at..).unwrap_or_default())? else { return Ok(None) };
            let end = (self.at as u64).saturating_add(shape.head as u64).saturating_add(shape.body);
            // A value takes a byte at least.
            let least = end.saturating_add(self.left - 1).saturating_add(shape.values);
            if least > bytes_max as u64 {
                return Err(format!("a message is larger than {bytes_max} bytes (max_message_size)"));
            }
            if end > buffer.len() as u64 {
                return Ok(None);
            }
            self.at = usize::try_from(end).unwrap_or(usize::MAX);
            self.left = self.left - 1 + shape.values;
        }
        Ok(Some(self.at))
    }
}

/// Values of a whole buffer, one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is not read yet.
    pub(super) const fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// The next value.
    pub(super) fn next(&mut self) -> Result<Token<'b>, String> {
        let cut = || "a MessagePack value is cut short".to_owned();
        let Shape { head, body, .. } = shape(self.rest)?.ok_or_else(cut)?;
        let body = usize::try_from(body).map_err(|_| cut())?;
        let all = self.rest;
        let (own, rest) = all.split_at_checked(head.saturating_add(body)).ok_or_else(cut)?;
        self.rest = rest;
        let (head, body) = own.split_at(head);
        Ok(token(head, body))
    }

    /// Passes the next value over, all of it.
    pub(super) fn skip(&mut self) -> Result<&'b [u8], String> {
        let length = Scan::default().step(self.rest, usize::MAX)?.ok_or_else(|| "a MessagePack value is cut short".to_owned())?;
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(value)
    }

    /// The next value as JSON.
    pub(super) fn json(&mut self, out: &mut String) -> Result<(), String> {
        self.json_at(out, 0)
    }

    fn json_at(&mut self, out: &mut String, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("a record nests deeper than {DEPTH_MAX}"));
        }
        match self.next()? {
            Token::Nil => out.push_str("null"),
            Token::Bool(flag) => out.push_str(if flag { "true" } else { "false" }),
            Token::Unsigned(number) => write(out, format_args!("{number}")),
            Token::Signed(number) => write(out, format_args!("{number}")),
            Token::Float(number) if number.is_finite() => write(out, format_args!("{number}")),
            Token::Float(_) => out.push_str("null"),
            Token::Text(text) => quoted(out, text),
            Token::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(_) => quoted(out, bytes),
                Err(_) => quoted(out, STANDARD.encode(bytes).as_bytes()),
            },
            Token::Extension(_, bytes) => quoted(out, STANDARD.encode(bytes).as_bytes()),
            Token::Array(count) => {
                out.push('[');
                for at in 0..count {
                    out.push_str(if at == 0 { "" } else { "," });
                    self.json_at(out, depth + 1)?;
                }
                out.push(']');
            }
            Token::Map(count) => {
                out.push('{');
                for at in 0..count {
                    out.push_str(if at == 0 { "" } else { "," });
                    self.name(out)?;
                    out.push(':');
                    self.json_at(out, depth + 1)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }

    /// A map's key: text in JSON whatever it is here.
    fn name(&mut self, out: &mut String) -> Result<(), String> {
        if let Token::Text(text) | Token::Binary(text) = Reader::new(self.rest).next()? {
            self.next()?;
            quoted(out, text);
            return Ok(());
        }
        let mut own = String::new();
        self.json_at(&mut own, DEPTH_MAX)?;
        quoted(out, own.as_bytes());
        Ok(())
    }
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

fn token<'b>(head: &[u8], body: &'b [u8]) -> Token<'b> {
    let count = || head[1..].iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let unsigned = || body.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (kind, data) = body.split_first().map_or((0, body), |(kind, data)| (i8::from_be_bytes([*kind]), data));
    match head[0] {
        small @ 0x00..=0x7f => Token::Unsigned(small.into()),
        small @ 0xe0..=0xff => Token::Signed(i8::from_be_bytes([small]).into()),
        0xc2 => Token::Bool(false),
        0xc3 => Token::Bool(true),
        small @ 0x80..=0x8f => Token::Map((small & 15).into()),
        small @ 0x90..=0x9f => Token::Array((small & 15).into()),
        0xa0..=0xbf | 0xd9..=0xdb => Token::Text(body),
        0xc4..=0xc6 => Token::Binary(body),
        0xc7..=0xc9 | 0xd4..=0xd8 => Token::Extension(kind, data),
        0xcc..=0xcf => Token::Unsigned(unsigned()),
        0xd0 => Token::Signed(kind.into()),
        0xd1 => Token::Signed(body.try_into().map_or(0, i16::from_be_bytes).into()),
        0xd2 => Token::Signed(body.try_into().map_or(0, i32::from_be_bytes).into()),
        0xd3 => Token::Signed(body.try_into().map_or(0, i64::from_be_bytes)),
        0xca => Token::Float(body.try_into().map_or(0.0, f32::from_be_bytes).into()),
        0xcb => Token::Float(body.try_into().map_or(0.0, f64::from_be_bytes)),
        0xdc | 0xdd => Token::Array(count()),
        0xde | 0xdf => Token::Map(count()),
        0xc0 | 0xc1 => Token::Nil,
    }
}

/// Text in JSON; what is not UTF-8 is replaced.
pub(super) fn quoted(out: &mut String, text: &[u8]) {
    json::string(out, &String::from_utf8_lossy(text), Escapes::Plain);
}

#[cfg(test)]
mod tests;
