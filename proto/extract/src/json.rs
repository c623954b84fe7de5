//! Fields out of JSON lines: all of them flattened, or one by path.
//!
//! Parts: [`flatten`] (`| json`) and [`paths`] (where its fields stand), [`JsonPath`] and [`lookup`] (`| json a="x.y[0]"`), over one scanner
//! that never builds a tree.
//!
//! Promises: one pass (the objects of the first level are walked twice: their end is found first, as
//! the parser Loki uses does it, so that broken lines give the same fields and the same error text);
//! objects deeper than [`JSON_DEPTH_MAX`] are a fault, never a stack overflow; nothing after the end
//! of the top object is looked at. Must not do: decide about clashing names; the caller does.

use std::borrow::Cow;

use crate::limits::JSON_DEPTH_MAX;
use crate::text::{self, Text};

pub use crate::fault::{JsonFault, PathFault};

pub use self::path::{JsonPath, lookup};
use self::scan::{Kind, Token};

mod path;
pub(crate) mod scan;
pub(crate) mod strict;

/// Calls `emit(name, value)` for every string, number and boolean of the object in `line`, in order of
/// the text. Names of nested objects are joined by `_`, characters outside `[a-zA-Z0-9_]` become `_`, a
/// leading digit gets a `_`; blank keys add nothing, and a field without any name is skipped. Arrays and
/// nulls are skipped. Numbers are as written. Bytes outside UTF-8 become spaces; a string with a wrong
/// escape is empty.
///
/// A name can come more than once (`{"a":1,"a":2}`, `{"a":{"b":1},"a_b":2}`): the caller keeps the first.
///
/// # Errors
/// When `line` is not an object or stops being one; the fields before that place have been emitted.
pub fn flatten(line: &[u8], emit: &mut dyn FnMut(&str, &str)) -> Result<(), JsonFault> {
    let at = scan::enter(line)?;
    let mut walk = Walk { text: Text::new(line), name: String::new(), scratch: String::new(), emit, trail: None };
    walk.objects(at)
}

/// Calls `emit(name, keys)` for every field that [`flatten`] gives, with the keys that lead to it as they stand in the object.
///
/// # Errors
/// As [`flatten`].
pub fn paths(line: &[u8], emit: &mut dyn FnMut(&str, &[String])) -> Result<(), JsonFault> {
    let at = scan::enter(line)?;
    let trail = Some(Trail { keys: Vec::new(), emit });
    let mut walk = Walk { text: Text::new(line), name: String::new(), scratch: String::new(), emit: &mut |_, _| (), trail };
    walk.objects(at)
}

/// The keys of the objects that are open, for [`paths`].
struct Trail<'e> {
    keys: Vec<String>,
    emit: &'e mut dyn FnMut(&str, &[String]),
}

/// The state of one [`flatten`].
struct Walk<'a, 'e> {
    text: Text<'a>,
    /// Name of the object being walked, its parts joined by `_`.
    name: String,
    /// Room for strings with escapes.
    scratch: String,
    emit: &'e mut dyn FnMut(&str, &str),
    trail: Option<Trail<'e>>,
}

impl<'a> Walk<'a, '_> {
    /// Walks the top object, whose first token after `{` is at `at`, and all objects in it.
    fn objects(&mut self, mut at: usize) -> Result<(), JsonFault> {
        let mut bytes = self.text.bytes();
        // Where the name ended before each open object, innermost last, and where the outermost nested one ends.
        let mut names = [0_usize; JSON_DEPTH_MAX];
        let mut depth = 0;
        let mut block_end = 0;
        loop {
            if bytes.get(at) == Some(&b'}') {
                if depth == 0 {
                    return Ok(());
                }
                depth -= 1;
                self.name.truncate(names[depth]);
                if let Some(trail) = &mut self.trail {
                    trail.keys.pop();
                }
                at += 1;
                if depth == 0 {
                    bytes = self.text.bytes();
                    at = block_end;
                }
                at = scan::after_value(bytes, at)?;
                continue;
            }
            let key = scan::key(bytes, at)?;
            let value = scan::value(bytes, key.next)?;
            if value.kind != Kind::Object {
                self.field(&key, &value);
                at = scan::after_value(bytes, value.next)?;
                continue;
            }
            if depth == JSON_DEPTH_MAX {
                return Err(JsonFault::Depth { max: JSON_DEPTH_MAX });
            }
            names[depth] = self.name.len();
            let part = self.key_text(&key);
            text::push_name(&mut self.name, &part);
            if let Some(trail) = &mut self.trail {
                trail.keys.push(part.into_owned());
            }
            if depth == 0 {
                block_end = scan::block_end(bytes, value.start, b'{', b'}').ok_or(JsonFault::Object)?;
                bytes = &bytes[..block_end];
            }
            depth += 1;
            at = scan::first_token(bytes, value.start + 1)?;
        }
    }

    /// Emits one field that is not an object.
    fn field(&mut self, key: &Token, value: &Token) {
        if matches!(value.kind, Kind::Array | Kind::Null | Kind::Object) {
            return;
        }
        let key_bytes = &self.text.bytes()[key.start..key.end];
        if self.name.is_empty() && !key.escaped && text::is_clean_name(key_bytes) {
            let name = self.text.slice(key.start..key.end);
            self.tell(&name, key);
            return self.send(&name, value);
        }
        let length = self.name.len();
        let part = self.key_text(key);
        let mut name = std::mem::take(&mut self.name);
        text::push_name(&mut name, &part);
        if !name.is_empty() {
            self.tell(&name, key);
            self.send(&name, value);
        }
        name.truncate(length);
        self.name = name;
    }

    /// Tells where a field stands.
    fn tell(&mut self, name: &str, key: &Token) {
        if self.trail.is_none() {
            return;
        }
        let last = self.key_text(key).into_owned();
        if let Some(trail) = &mut self.trail {
            trail.keys.push(last);
            (trail.emit)(name, &trail.keys);
            trail.keys.pop();
        }
    }

    fn key_text(&self, key: &Token) -> Cow<'a, str> {
        let raw = self.text.slice(key.start..key.end);
        if !key.escaped {
            return raw;
        }
        let mut out = String::new();
        // The scanner has checked the escapes of keys.
        scan::unescape(&raw, &mut out);
        Cow::Owned(out)
    }

    fn send(&mut self, name: &str, value: &Token) {
        if !value.escaped {
            (self.emit)(name, &self.text.value(value.start..value.end));
            return;
        }
        self.scratch.clear();
        if !scan::unescape(&self.text.slice(value.start..value.end), &mut self.scratch) {
            self.scratch.clear();
        }
        (self.emit)(name, &text::spaced(Cow::Borrowed(&self.scratch)));
    }
}

#[cfg(test)]
pub(crate) mod tests;
