//! Positions of JSON tokens in a line: where a key, a value, a string, a block ends.
//!
//! Parts, as a walk meets them: [`enter`], [`key`], [`value`], [`after_value`]; below them
//! [`string_end`], [`block_end`], [`unescape`]. It is as forgiving as the parser Loki uses: numbers are not
//! checked, control characters may stand in strings, a comma may trail, brackets inside a skipped block
//! need not match. Promises: linear in the bytes read, no recursion, no allocation but in [`unescape`].

use crate::fault::JsonFault;
use crate::text::REPLACEMENT;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Number,
    Boolean,
    Null,
    Object,
    Array,
}

/// A key or a value: its bytes, without the quotes of a string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// First byte after it: of a key, after its colon; of an object, its `{`, since its end is not known yet.
    pub(crate) next: usize,
    /// Whether it is a string with escapes.
    pub(crate) escaped: bool,
}

/// Position of the first key, or the `}`, of the object that `bytes` begin with.
pub(crate) fn enter(bytes: &[u8]) -> Result<usize, JsonFault> {
    let at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return Err(JsonFault::Object);
    }
    first_token(bytes, at + 1)
}

/// Position of the first token of an object or array, `at` being after its opening bracket.
pub(crate) fn first_token(bytes: &[u8], at: usize) -> Result<usize, JsonFault> {
    let at = skip_space(bytes, at);
    if at < bytes.len() { Ok(at) } else { Err(JsonFault::Malformed) }
}

/// The key at `at`, its escapes checked; `next` is the position after its colon.
pub(crate) fn key(bytes: &[u8], at: usize) -> Result<Token, JsonFault> {
    if bytes.get(at) != Some(&b'"') {
        return Err(JsonFault::Object);
    }
    let (end, escaped) = string_end(bytes, at + 1).ok_or(JsonFault::Malformed)?;
    if escaped && !escapes_are_known(&bytes[at + 1..end]) {
        return Err(JsonFault::Escape);
    }
    let colon = skip_space(bytes, end + 1);
    if bytes.get(colon) != Some(&b':') {
        return Err(JsonFault::Malformed);
    }
    Ok(Token { kind: Kind::String, start: at + 1, end, next: colon + 1, escaped })
}

/// The value at or after `at`. An object is only recognised, its end is not searched.
pub(crate) fn value(bytes: &[u8], at: usize) -> Result<Token, JsonFault> {
    let start = skip_space(bytes, at);
    let Some(&first) = bytes.get(start) else { return Err(JsonFault::Malformed) };
    let token = |kind, end| Token { kind, start, end, next: end, escaped: false };
    match first {
        b'"' => {
            let (end, escaped) = string_end(bytes, start + 1).ok_or(JsonFault::String)?;
            Ok(Token { kind: Kind::String, start: start + 1, end, next: end + 1, escaped })
        }
        b'{' => Ok(token(Kind::Object, start)),
        b'[' => Ok(token(Kind::Array, block_end(bytes, start, b'[', b']').ok_or(JsonFault::Array)?)),
        b'0'..=b'9' | b'-' => Ok(token(Kind::Number, word_end(bytes, start))),
        _ => {
            let end = word_end(bytes, start);
            match &bytes[start..end] {
                b"true" | b"false" => Ok(token(Kind::Boolean, end)),
                b"null" => Ok(token(Kind::Null, end)),
                _ => Err(JsonFault::Value),
            }
        }
    }
}

/// The value at or after `at` with its end, objects included.
pub(crate) fn whole(bytes: &[u8], at: usize) -> Result<Token, JsonFault> {
    let token = value(bytes, at)?;
    if token.kind != Kind::Object {
        return Ok(token);
    }
    let end = block_end(bytes, token.start, b'{', b'}').ok_or(JsonFault::Object)?;
    Ok(Token { end, next: end, ..token })
}

/// Position of the next key, or of the `}`, where a value ended before `at`.
pub(crate) fn after_value(bytes: &[u8], at: usize) -> Result<usize, JsonFault> {
    let at = skip_space(bytes, at);
    match bytes.get(at) {
        None => Err(JsonFault::Array),
        Some(b'}') => Ok(at),
        Some(b',') => {
            let at = skip_space(bytes, at + 1);
            if at < bytes.len() { Ok(at) } else { Err(JsonFault::Array) }
        }
        Some(_) => Err(JsonFault::Object),
    }
}

/// Position of the first byte from `at` that is not JSON's white space.
pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Position after the last byte of a number or word.
fn word_end(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start..];
    start + rest.iter().position(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']')).unwrap_or(rest.len())
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const TOPS: u64 = u64::from_le_bytes([0x80; 8]);

/// The top bit of every byte of `word` that is `byte`; bytes above the lowest hit may be wrong.
const fn equal_bytes(word: u64, byte: u8) -> u64 {
    let word = word ^ (ONES * byte as u64);
    word.wrapping_sub(ONES) & !word & TOPS
}

/// Position of the quote that ends the string whose first byte is at `at`, and whether it has escapes.
pub(crate) fn string_end(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    end_of::<false>(bytes, at)
}

/// As [`string_end`], for a string without control characters; `None` also where there is one.
pub(crate) fn strict_end(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    end_of::<true>(bytes, at)
}

fn end_of<const STRICT: bool>(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    loop {
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*chunk);
            // bytes below a space borrow when one is taken off, as `equal_bytes` does with zero
            let low = if STRICT { word.wrapping_sub(ONES * 0x20) & !word & TOPS } else { 0 };
            let hits = equal_bytes(word, b'"') | equal_bytes(word, b'\\') | low;
            if hits != 0 {
                at += hits.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match *bytes.get(at)? {
            b'"' => return Some((at, escaped)),
            b'\\' => {
                escaped = true;
                at += 1;
                // what is escaped may not be a control character either
                if STRICT && bytes.get(at).is_none_or(|b| *b < b' ') {
                    return None;
                }
                at += 1;
            }
            ..b' ' if STRICT => return None,
            _ => at += 1,
        }
    }
}

/// Position after the bracket that closes the block whose `open` is at `start`. Strings are skipped, other brackets ignored.
pub(crate) fn block_end(bytes: &[u8], start: usize, open: u8, close: u8) -> Option<usize> {
    let mut level = 0_usize;
    let mut at = start;
    loop {
        let byte = *bytes.get(at)?;
        if byte == b'"' {
            at = string_end(bytes, at + 1)?.0;
        } else if byte == open {
            level += 1;
        } else if byte == close {
            level -= 1;
            if level == 0 {
                return Some(at + 1);
            }
        }
        at += 1;
    }
}

/// Appends `raw` with its escapes resolved; `false` when one is wrong.
pub(crate) fn unescape(raw: &str, out: &mut String) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let Some((c, length)) = escape(&rest.as_bytes()[at..]) else { return false };
        out.push_str(&rest[..at]);
        out.push(c);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    true
}

/// Whether [`unescape`] would take all escapes in `raw`.
fn escapes_are_known(raw: &[u8]) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let Some((_, length)) = escape(&rest[at..]) else { return false };
        rest = &rest[at + length..];
    }
    true
}

/// The character that the escape at the start of `bytes` stands for, and its length there.
pub(crate) fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let c = match bytes.get(1)? {
        code @ (b'"' | b'\\' | b'/') => *code as char,
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(bytes),
        _ => return None,
    };
    Some((c, 2))
}

/// As [`escape`], with half a surrogate pair as U+FFFD.
pub(crate) fn loose_escape(bytes: &[u8]) -> Option<(char, usize)> {
    escape(bytes).or_else(|| hex4(bytes).map(|_| (REPLACEMENT, 6)))
}

/// As [`unescape`], with half a surrogate pair as U+FFFD. Other wrong escapes stay as they are.
pub(crate) fn unescape_loose(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (c, length) = loose_escape(&rest.as_bytes()[at..]).unwrap_or(('\\', 1));
        out.push_str(&rest[..at]);
        out.push(c);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
}

/// The character of `\uXXXX` or of a pair of surrogates at the start of `bytes`, and its length there.
fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let high = hex4(bytes)?;
    if !(0xd800..0xe000).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = hex4(bytes.get(6..)?)?;
    if high >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
        return None;
    }
    Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?, 12))
}

/// The number of `\uXXXX` at the start of `bytes`.
fn hex4(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | (*digit as char).to_digit(16)?))
}
