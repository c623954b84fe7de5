//! Go's own functions: comparison, parts of values, printing, escaping.
//!
//! Source: the documentation of Go's package `text/template`. Must not do: know records.

use std::cmp::Ordering;
use std::sync::Arc;

use proto_model::labels::quoted;

use super::Param::{Any, Text};
use super::{Arguments, Entry, Outcome, Run, pure, variadic};
use crate::template::format::{sprint, sprintf, sprintln};
use crate::template::value::{Value, compare, equal};
use crate::text::repaired;

pub(super) const TABLE: &[Entry] = &[
    Entry { name: "and", params: &[Any], more: Some(Any), run: Run::And },
    Entry { name: "or", params: &[Any], more: Some(Any), run: Run::Or },
    pure("not", &[Any], |a| Ok(Value::Bool(!a.any(0).is_true()))),
    variadic("eq", &[Any], Any, eq),
    pure("ne", &[Any, Any], |a| equal(a.any(0), a.any(1)).map(|equal| Value::Bool(!equal))),
    pure("lt", &[Any, Any], |a| ordered(a, |order| order == Some(Ordering::Less))),
    pure("le", &[Any, Any], |a| ordered(a, |order| matches!(order, Some(Ordering::Less | Ordering::Equal)))),
    pure("gt", &[Any, Any], |a| ordered(a, |order| order == Some(Ordering::Greater))),
    pure("ge", &[Any, Any], |a| ordered(a, |order| matches!(order, Some(Ordering::Greater | Ordering::Equal)))),
    pure("len", &[Any], len),
    variadic("index", &[Any], Any, index),
    variadic("slice", &[Any], Any, slice),
    variadic("print", &[], Any, |a| Ok(bytes(sprint(a.values)))),
    variadic("println", &[], Any, |a| Ok(bytes(sprintln(a.values)))),
    variadic("printf", &[Text], Any, |a| Ok(bytes(sprintf(a.bytes(0), a.values.get(1..).unwrap_or_default())))),
    variadic("html", &[], Any, |a| Ok(Value::text(escaped(&evaluated(a), html)))),
    variadic("js", &[], Any, |a| Ok(Value::text(js(&evaluated(a))))),
    variadic("urlquery", &[], Any, |a| Ok(Value::text(query_escaped(evaluated(a).as_bytes())))),
    variadic("call", &[Any], Any, |a| Err(format!("non-function of type {}", a.any(0).type_name()))),
];

fn bytes(text: Vec<u8>) -> Value<'static> {
    Value::Text(text.into())
}

fn eq(a: &Arguments<'_, '_>) -> Outcome {
    let (first, others) = a.values.split_first().ok_or("missing argument for comparison")?;
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn ordered(a: &Arguments<'_, '_>, holds: impl Fn(Option<Ordering>) -> bool) -> Outcome {
    compare(a.any(0), a.any(1)).map(|order| Value::Bool(holds(order)))
}

fn count(length: usize) -> Value<'static> {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

fn len(a: &Arguments<'_, '_>) -> Outcome {
    match a.any(0) {
        Value::Text(text) => Ok(count(text.len())),
        Value::List(values) => Ok(count(values.len())),
        Value::Map(values) => Ok(count(values.len())),
        Value::Nil => Err("len of nil pointer".to_owned()),
        other => Err(format!("len of type {}", other.type_name())),
    }
}

fn position(value: &Value<'_>, most: usize) -> Result<usize, String> {
    let index = match value {
        Value::Int(index) | Value::Int64(index) => *index,
        Value::Nil => return Err("cannot index slice/array with nil".to_owned()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    usize::try_from(index).ok().filter(|index| *index <= most).ok_or_else(|| format!("index out of range: {index}"))
}

fn index(a: &Arguments<'_, '_>) -> Outcome {
    let mut item = a.any(0).clone().owned();
    if matches!(item, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    for at in &a.values[1..] {
        item = match &item {
            Value::Map(values) => match at {
                Value::Text(name) => values.get(&*repaired(name)).cloned().unwrap_or(Value::Nil),
                other => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            Value::List(values) => {
                let at = position(at, values.len())?;
                values.get(at).cloned().ok_or_else(|| format!("index out of range: {at}"))?
            }
            Value::Text(text) => {
                let at = position(at, text.len())?;
                Value::Int(i64::from(*text.get(at).ok_or_else(|| format!("index out of range: {at}"))?))
            }
            Value::Nil => return Err("index of nil pointer".to_owned()),
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn slice(a: &Arguments<'_, '_>) -> Outcome {
    let ends = &a.values[1..];
    let length = match a.any(0) {
        Value::Text(_) if ends.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::Text(text) => text.len(),
        Value::List(values) => values.len(),
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if ends.len() > 3 {
        return Err(format!("too many slice indexes: {}", ends.len()));
    }
    let from = ends.first().map_or(Ok(0), |end| position(end, length))?;
    let to = ends.get(1).map_or(Ok(length), |end| position(end, length))?;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match a.any(0) {
        Value::List(values) => Value::List(Arc::new(values[from..to].to_vec())),
        _ => bytes(a.bytes(0)[from..to].to_vec()),
    })
}

/// One text as it is, anything else as `print` makes it.
fn evaluated(a: &Arguments<'_, '_>) -> String {
    match a.values {
        [Value::Text(text)] => repaired(text).into_owned(),
        values => repaired(&sprint(values)).into_owned(),
    }
}

fn escaped(text: &str, escape: fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match escape(c) {
            Some(escape) => out.push_str(escape),
            None => out.push(c),
        }
    }
    out
}

const fn html(c: char) -> Option<&'static str> {
    match c {
        '\0' => Some("\u{fffd}"),
        '"' => Some("&#34;"),
        '\'' => Some("&#39;"),
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' => out.push_str("\\u003C"),
            '>' => out.push_str("\\u003E"),
            '&' => out.push_str("\\u0026"),
            '=' => out.push_str("\\u003D"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if c.is_ascii() || quoted(c.encode_utf8(&mut [0; 4])).contains(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", c as u32)),
        }
    }
    out
}

/// As Go's `url.QueryEscape`.
pub(super) fn query_escaped(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte as char),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
