//! JSON by the book: the same walk as `scan`, refusing whatever a JSON decoder refuses.
//!
//! Parts: [`Strict`], a position in a text with one method per thing that can come next. LogQL's
//! stages take what they can of a broken line; Promtail's decode the whole of it or call it malformed. Limits: [`JSON_DEPTH_MAX`] levels
//! of objects and arrays, which bounds the recursion. Half a surrogate pair is taken, as Go takes it.

use super::scan::{self, Kind, Token};
use crate::fault::JsonFault;
use crate::limits::JSON_DEPTH_MAX;

/// A position in JSON text.
#[derive(Clone)]
pub(crate) struct Strict<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Strict<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// At the value that begins at `at`.
    pub(crate) const fn new_at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, depth: 0 }
    }

    /// The first byte of the value that comes next.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.at = scan::skip_space(self.bytes, self.at);
        self.bytes.get(self.at).copied()
    }

    /// Checks that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), JsonFault> {
        if self.peek().is_none() { Ok(()) } else { Err(JsonFault::Malformed) }
    }

    /// Enters the object or array that comes next; whether it has something in it. To be followed by
    /// [`Self::key`] or a value, then [`Self::more`], while that is so.
    pub(crate) fn enter(&mut self, close: u8) -> Result<bool, JsonFault> {
        self.depth += 1;
        if self.depth > JSON_DEPTH_MAX {
            return Err(JsonFault::Depth { max: JSON_DEPTH_MAX });
        }
        self.at += 1;
        if self.peek() != Some(close) {
            return Ok(true);
        }
        self.leave();
        Ok(false)
    }

    /// Goes on to the next member, or leaves at `close`; whether there is a next one.
    pub(crate) fn more(&mut self, close: u8) -> Result<bool, JsonFault> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.leave();
                Ok(false)
            }
            Some(_) | None => Err(JsonFault::Malformed),
        }
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Reads a key and its colon.
    pub(crate) fn key(&mut self) -> Result<Token, JsonFault> {
        if self.peek() != Some(b'"') {
            return Err(JsonFault::Malformed);
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(JsonFault::Malformed);
        }
        self.at += 1;
        Ok(key)
    }

    /// Reads the value that comes next, to its end.
    pub(crate) fn value(&mut self) -> Result<Token, JsonFault> {
        let first = self.peek().ok_or(JsonFault::Malformed)?;
        let start = self.at;
        let kind = match first {
            b'"' => return self.string(),
            b'{' => self.object()?,
            b'[' => self.array()?,
            b't' => self.word(b"true", Kind::Boolean)?,
            b'f' => self.word(b"false", Kind::Boolean)?,
            b'n' => self.word(b"null", Kind::Null)?,
            _ => self.number()?,
        };
        Ok(Token { kind, start, end: self.at, next: self.at, escaped: false })
    }

    fn object(&mut self) -> Result<Kind, JsonFault> {
        let mut more = self.enter(b'}')?;
        while more {
            self.key()?;
            self.value()?;
            more = self.more(b'}')?;
        }
        Ok(Kind::Object)
    }

    fn array(&mut self) -> Result<Kind, JsonFault> {
        let mut more = self.enter(b']')?;
        while more {
            self.value()?;
            more = self.more(b']')?;
        }
        Ok(Kind::Array)
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, JsonFault> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(JsonFault::Malformed);
        }
        self.at += word.len();
        Ok(kind)
    }

    fn string(&mut self) -> Result<Token, JsonFault> {
        let start = self.at + 1;
        let (end, escaped) = scan::strict_end(self.bytes, start).ok_or(JsonFault::Malformed)?;
        if escaped && !escapes_are_known(&self.bytes[start..end]) {
            return Err(JsonFault::Malformed);
        }
        self.at = end + 1;
        Ok(Token { kind: Kind::String, start, end, next: self.at, escaped })
    }

    fn number(&mut self) -> Result<Kind, JsonFault> {
        self.skip(b"-");
        if !self.skip(b"0") && self.digits() == 0 {
            return Err(JsonFault::Malformed);
        }
        if self.skip(b".") && self.digits() == 0 {
            return Err(JsonFault::Malformed);
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            if self.digits() == 0 {
                return Err(JsonFault::Malformed);
            }
        }
        Ok(Kind::Number)
    }

    /// Takes one of `bytes`, if it comes next.
    fn skip(&mut self, bytes: &[u8]) -> bool {
        let found = self.bytes.get(self.at).is_some_and(|b| bytes.contains(b));
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> usize {
        let count = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        count
    }
}

fn escapes_are_known(raw: &[u8]) -> bool {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let Some((_, length)) = scan::loose_escape(&rest[at..]) else { return false };
        rest = &rest[at + length..];
    }
    true
}
