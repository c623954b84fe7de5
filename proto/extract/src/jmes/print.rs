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
