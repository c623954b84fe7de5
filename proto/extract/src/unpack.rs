//! LogQL's `| unpack`: a line that Promtail's `pack` stage made, taken apart again.
//!
//! Parts: [`unpack`]. A packed line is a JSON object of strings; `_entry` holds the line, the others
//! are labels. Must not do: decide about clashing names; the caller does.

use std::borrow::Cow;

use crate::json::scan::{self, Kind};
use crate::text::{self, Text};

pub use crate::fault::JsonFault;

/// Takes `line` apart: calls `emit(name, value)` for every string in it and returns what `_entry` holds. A line
/// without `_entry` was not packed: nothing is emitted and it is `None`, as for the empty line. Values that are
/// no strings are skipped. Names are made label names.
///
/// # Errors
/// When `line` is not a JSON object to its end; nothing has been emitted then.
pub fn unpack<'a>(line: &'a [u8], emit: &mut dyn FnMut(&str, &str)) -> Result<Option<Cow<'a, str>>, JsonFault> {
    if line.is_empty() {
        return Ok(None);
    }
    let first = scan::skip_space(line, 0);
    if line.get(first) != Some(&b'{') {
        return Err(JsonFault::NotPacked);
    }
    let text = Text::new(line);
    let mut at = scan::first_token(line, first + 1)?;
    let mut entry = None;
    let mut labels = Vec::new();
    while line.get(at) != Some(&b'}') {
        let key = scan::key(line, at)?;
        let name = unescaped(&text, &key);
        let value = scan::whole(line, key.next)?;
        if value.kind == Kind::String {
            let value = text::spaced(unescaped(&text, &value));
            if name == "_entry" { entry = Some(value) } else { labels.push((name, value)) }
        }
        at = scan::after_value(line, value.next)?;
    }
    if entry.is_some() {
        let mut name = String::new();
        for (key, value) in &labels {
            name.clear();
            text::push_name(&mut name, key);
            if !name.is_empty() {
                emit(&name, value);
            }
        }
    }
    Ok(entry)
}

/// The text of a string; empty when an escape in it is wrong.
fn unescaped<'a>(text: &Text<'a>, token: &scan::Token) -> Cow<'a, str> {
    let raw = text.slice(token.start..token.end);
    if !token.escaped {
        return raw;
    }
    let mut out = String::new();
    if !scan::unescape(&raw, &mut out) {
        out.clear();
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
