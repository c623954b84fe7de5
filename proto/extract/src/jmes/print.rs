//! Values as Promtail hands them on after decoding a line: text for labels and lines.
//!
//! Parts: [`value`], [`string`], and the writer of objects and arrays, whose form is that of Promtail's encoder (`jsoniter`): keys sorted, no
//! white space, `<`, `>` and `&` escaped, floats with an exponent only below 1e-6 and from 1e21 on.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proto_model::json::{self, Escapes};

use crate::fault::JsonFault;
use crate::gofloat;
use crate::json::scan::{self, Kind, Token};
use crate::json::strict::Strict;
use crate::text::Text;

/// The text of a value; `None` for null.
pub(super) fn value(text: &Text<'_>, token: &Token) -> Result<Option<String>, JsonFault> {
    Ok(Some(match token.kind {
        Kind::Null => return Ok(None),
        Kind::String => string(text, token).into_owned(),
        Kind::Boolean => text.slice(token.start..token.end).into_owned(),
        Kind::Number => gofloat::format_f(number(text, token)?),
        Kind::Object | Kind::Array => {
            let mut out = String::with_capacity(token.end - token.start);
            write_value(text, token, &mut out)?;
            out
        }
    }))
}

/// The text of a string, its escapes resolved.
pub(super) fn string<'a>(text: &Text<'a>, token: &Token) -> Cow<'a, str> {
    let raw = text.slice(token.start..token.end);
    if !token.escaped {
        return raw;
    }
    let mut out = String::with_capacity(raw.len());
    scan::unescape_loose(&raw, &mut out);
    Cow::Owned(out)
}

/// The value that comes next as a tree; of equal keys the last counts.
pub(super) fn decoded(text: &Text<'_>, reader: &mut Strict<'_>) -> Result<serde_json::Value, JsonFault> {
    use serde_json::{Map, Number, Value};
    match reader.peek() {
        Some(b'{') => {
            let mut map = Map::new();
            let mut more = reader.enter(b'}')?;
            while more {
                let key = string(text, &reader.key()?).into_owned();
                map.insert(key, decoded(text, reader)?);
                more = reader.more(b'}')?;
            }
            Ok(Value::Object(map))
        }
        Some(b'[') => {
            let mut items = Vec::new();
            let mut more = reader.enter(b']')?;
            while more {
                items.push(decoded(text, reader)?);
                more = reader.more(b']')?;
            }
            Ok(Value::Array(items))
        }
        _ => {
            let token = reader.value()?;
            Ok(match token.kind {
                Kind::String => Value::String(string(text, &token).into_owned()),
                Kind::Number => Number::from_f64(number(text, &token)?).map_or(Value::Null, Value::Number),
                Kind::Boolean => Value::Bool(token.end - token.start == 4),
                Kind::Null | Kind::Object | Kind::Array => Value::Null,
            })
        }
    }
}

/// The text of a decoded value that is not null.
pub(super) fn text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => gofloat::format_f(number.as_f64().unwrap_or(f64::NAN)),
        other @ (serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Array(_) | serde_json::Value::Object(_)) => tree(&other),
    }
}

/// A decoded value as JSON.
pub(super) fn tree(value: &serde_json::Value) -> String {
    let mut out = String::new();
    write_tree(value, &mut out);
    out
}

fn write_tree(value: &serde_json::Value, out: &mut String) {
    use serde_json::Value;
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(number.as_f64().unwrap_or(f64::NAN), out),
        Value::String(text) => json::string(out, text, Escapes::Jsoniter),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                write_tree(item, out);
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Value::Object(map) => {
            for (at, (name, item)) in map.iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                json::string(out, name, Escapes::Jsoniter);
                out.push(':');
                write_tree(item, out);
            }
            out.push_str(if map.is_empty() { "{}" } else { "}" });
        }
    }
}

fn number(text: &Text<'_>, token: &Token) -> Result<f64, JsonFault> {
    let number: f64 = text.slice(token.start..token.end).parse().map_err(|_| JsonFault::Malformed)?;
    if number.is_finite() { Ok(number) } else { Err(JsonFault::Malformed) }
}

fn write_value(text: &Text<'_>, token: &Token, out: &mut String) -> Result<(), JsonFault> {
    match token.kind {
        Kind::Null | Kind::Boolean => out.push_str(&text.slice(token.start..token.end)),
        Kind::String => json::string(out, &string(text, token), Escapes::Jsoniter),
        Kind::Number => write_number(number(text, token)?, out),
        Kind::Object => write_object(text, token, out)?,
        Kind::Array => {
            out.push('[');
            let mut reader = Strict::new_at(text.bytes(), token.start);
            let mut more = reader.enter(b']')?;
            while more {
                write_value(text, &reader.value()?, out)?;
                more = reader.more(b']')?;
                if more {
                    out.push(',');
                }
            }
            out.push(']');
        }
    }
    Ok(())
}

fn write_object(text: &Text<'_>, token: &Token, out: &mut String) -> Result<(), JsonFault> {
    let mut members = BTreeMap::new();
    let mut reader = Strict::new_at(text.bytes(), token.start);
    let mut more = reader.enter(b'}')?;
    while more {
        let key = string(text, &reader.key()?);
        members.insert(key, reader.value()?);
        more = reader.more(b'}')?;
    }
    out.push('{');
    for (place, (key, value)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        json::string(out, key, Escapes::Jsoniter);
        out.push(':');
        write_value(text, value, out)?;
    }
    out.push('}');
    Ok(())
}

fn write_number(number: f64, out: &mut String) {
    let size = number.abs();
    if size != 0.0
        && !(1e-6..1e21).contains(&size)
        && let Some(text) = gofloat::format_e(number)
    {
        out.push_str(&text);
    } else {
        out.push_str(&gofloat::format_f(number));
    }
}
