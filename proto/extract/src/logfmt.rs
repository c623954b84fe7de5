//! Pairs out of logfmt lines, as go-logfmt reads them and Loki's `| logfmt` uses them.
//!
//! Parts: [`scan`] (LogQL: names made label names, empty values left out unless wanted), [`pairs`]
//! (keys as written, for Promtail's stage), one tokenizer below both.
//!
//! Promises: one pass, values without escapes are borrowed; bytes outside UTF-8 in values become spaces,
//! in keys they are a fault. Must not do: decide about clashing names; the caller keeps the first.

use std::borrow::Cow;

use crate::json;
use crate::text::{self, REPLACEMENT, Text};

pub use crate::fault::{LogfmtFault, LogfmtKind};

/// Calls `emit(name, value)` for every pair of `line`. Names are made of `[a-zA-Z0-9_]` with a `_` before a
/// leading digit; a key alone has an empty value. Pairs with an empty value are emitted only with
/// `keep_empty`. A name can come more than once: the caller keeps the first.
///
/// # Errors
/// With `strict`, at the first pair that is wrong; the pairs before it have been emitted. Without it wrong
/// pairs are skipped.
pub fn scan(line: &[u8], strict: bool, keep_empty: bool, emit: &mut dyn FnMut(&str, &str)) -> Result<(), LogfmtFault> {
    let mut name = String::new();
    pairs(line, strict, &mut |key, value| {
        if value.is_empty() && !keep_empty {
            return;
        }
        if text::is_clean_name(key.as_bytes()) {
            return emit(key, value);
        }
        name.clear();
        text::push_name(&mut name, key);
        if !name.is_empty() {
            emit(&name, value);
        }
    })
}

/// Calls `emit(key, value)` for every pair of `line`, keys as written, empty values included.
///
/// # Errors
/// As [`scan`].
pub fn pairs(line: &[u8], strict: bool, emit: &mut dyn FnMut(&str, &str)) -> Result<(), LogfmtFault> {
    let text = Text::new(line);
    let mut reader = Reader::new(line);
    let mut scratch = String::new();
    while let Some(pair) = reader.next_pair() {
        let emitted = pair.and_then(|pair| {
            let key = text.slice(pair.key_start..pair.key_end);
            if !pair.escaped {
                emit(&key, &text.value(pair.start..pair.end));
                return Ok(());
            }
            scratch.clear();
            if !unquote(&text.slice(pair.start..pair.end), &mut scratch) {
                return Err(fault(pair.next, LogfmtKind::Quoted));
            }
            emit(&key, &text::spaced(Cow::Borrowed(&scratch)));
            Ok(())
        });
        if strict {
            emitted?;
        }
    }
    Ok(())
}

/// Where a pair lies in its line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) key_start: usize,
    pub(crate) key_end: usize,
    /// The value without its quotes; empty where there is none.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Whether the value was quoted and has backslashes in it.
    pub(crate) escaped: bool,
    next: usize,
}

/// Walks the pairs of a line.
pub(crate) struct Reader<'a> {
    line: &'a [u8],
    at: usize,
}

/// What a byte means to a key or a bare value: 0 part of it, 1 ends it (space or control), 2 `=`, 3 `"`.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte <= b' ' as usize {
        classes[byte] = 1;
        byte += 1;
    }
    classes[b'=' as usize] = 2;
    classes[b'"' as usize] = 3;
    classes
};

impl<'a> Reader<'a> {
    pub(crate) const fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0 }
    }

    /// The next pair, or what is wrong with it; either way the one after it comes next.
    pub(crate) fn next_pair(&mut self) -> Option<Result<Pair, LogfmtFault>> {
        let spaces = self.line.get(self.at..)?.iter().position(|b| *b > b' ')?;
        let key_start = self.at + spaces;
        let (key_end, class) = self.word_end(key_start);
        let mut pair = Pair { key_start, key_end, start: key_end, end: key_end, escaped: false, next: key_end };
        match class {
            2 if key_end > key_start && self.is_key(key_start, key_end) => {}
            2 if key_end > key_start => return Some(Err(self.skip(key_end, LogfmtKind::Key))),
            2 => return Some(Err(self.skip(key_end, LogfmtKind::Equals))),
            3 => return Some(Err(self.skip(key_end, LogfmtKind::Quote))),
            _ => {
                self.at = key_end;
                return Some(if self.is_key(key_start, key_end) { Ok(pair) } else { Err(fault(key_end, LogfmtKind::Key)) });
            }
        }
        let start = key_end + 1;
        if self.line.get(start) == Some(&b'"') {
            let Some((end, escaped)) = json::scan::string_end(self.line, start + 1) else {
                self.at = self.line.len();
                return Some(Err(fault(self.at, LogfmtKind::Unterminated)));
            };
            pair = Pair { start: start + 1, end, escaped, next: end + 1, ..pair };
        } else {
            let (end, class) = self.word_end(start);
            match class {
                2 => return Some(Err(self.skip(end, LogfmtKind::Equals))),
                3 => return Some(Err(self.skip(end, LogfmtKind::Quote))),
                _ => pair = Pair { start, end, next: end, ..pair },
            }
        }
        self.at = pair.next;
        Some(Ok(pair))
    }

    /// Whether a key is text; U+FFFD in it counts as broken, as in Go.
    fn is_key(&self, start: usize, end: usize) -> bool {
        let key = &self.line[start..end];
        key.is_ascii() || std::str::from_utf8(key).is_ok_and(|key| !key.contains(REPLACEMENT))
    }

    /// Where the word at `start` ends, and the class of the byte there; 1 at the end of the line.
    fn word_end(&self, start: usize) -> (usize, u8) {
        let rest = &self.line[start..];
        for (length, byte) in rest.iter().enumerate() {
            let class = CLASSES[*byte as usize];
            if class != 0 {
                return (start + length, class);
            }
        }
        (self.line.len(), 1)
    }

    /// Goes on after the next space.
    fn skip(&mut self, at: usize, kind: LogfmtKind) -> LogfmtFault {
        let rest = &self.line[at..];
        self.at = at + rest.iter().position(|b| *b <= b' ').unwrap_or(rest.len());
        fault(at, kind)
    }
}

const fn fault(at: usize, kind: LogfmtKind) -> LogfmtFault {
    LogfmtFault { position: at + 1, kind }
}

/// Appends `raw`, the inside of a quoted value, with its escapes resolved; `false` when it is wrong. Beyond
/// JSON's escapes `\'` is known, half a surrogate pair becomes U+FFFD, control characters are wrong.
fn unquote(raw: &str, out: &mut String) -> bool {
    let mut rest = raw;
    while let Some(at) = rest.bytes().position(|b| b == b'\\' || b < b' ') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let bytes = rest.as_bytes();
        let (plain, length) = match bytes {
            [b'\\', b'\'', ..] => ('\'', 2),
            [b'\\', ..] => match json::scan::loose_escape(bytes) {
                Some(found) => found,
                None => return false,
            },
            _ => return false,
        };
        out.push(plain);
        rest = &rest[length..];
    }
    out.push_str(rest);
    true
}

#[cfg(test)]
mod tests;
