//! Go's `printf`, `print` and `println`.
//!
//! Parts: [`sprintf`], [`sprint`], [`sprintln`]. Source: the documentation of Go's package `fmt`. Promises: a verb that does
//! not fit its value is said in the text, as Go says it, and is no fault. Limits: width and precision at most
//! [`TEMPLATE_WIDTH_MAX`]. Must not do: call functions.

use proto_model::labels::quoted;

use super::value::{Value, print_map};
use crate::gofloat::{format_e, format_f, format_g};
use crate::limits::TEMPLATE_WIDTH_MAX;
use crate::text::repaired;

/// `print`: a space between two values neither of which is text.
pub(super) fn sprint(values: &[Value<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, value) in values.iter().enumerate() {
        let is_text = |value: &Value<'_>| matches!(value, Value::Text(_));
        if at > 0 && !is_text(value) && !is_text(&values[at - 1]) {
            out.push(b' ');
        }
        value.print(&mut out);
    }
    out
}

/// `println`: spaces between all, and a line break.
pub(super) fn sprintln(values: &[Value<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        value.print(&mut out);
    }
    out.push(b'\n');
    out
}

/// What stands between `%` and the verb.
#[derive(Default, Clone, Copy)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `printf`.
pub(super) fn sprintf(format: &[u8], values: &[Value<'_>]) -> Vec<u8> {
    let format = repaired(format);
    let (mut out, mut rest, mut next) = (Vec::new(), &*format, 0);
    while let Some(at) = rest.find('%') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let (spec, length) = spec_of(rest, values, &mut next);
        rest = &rest[length..];
        let Some(verb) = rest.chars().next() else {
            out.extend_from_slice(b"%!(NOVERB)");
            break;
        };
        rest = &rest[verb.len_utf8()..];
        if verb == '%' {
            out.push(b'%');
            continue;
        }
        let Some(value) = values.get(next) else {
            out.extend_from_slice(format!("%!{verb}(MISSING)").as_bytes());
            continue;
        };
        next += 1;
        one(verb, spec, value, &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    if next < values.len() {
        out.extend_from_slice(b"%!(EXTRA ");
        for (at, value) in values[next..].iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b", ");
            }
            typed(value, &mut out);
        }
        out.push(b')');
    }
    out
}

fn typed(value: &Value<'_>, out: &mut Vec<u8>) {
    if let Value::Nil = value {
        out.extend_from_slice(b"<nil>");
        return;
    }
    out.extend_from_slice(value.type_name().as_bytes());
    out.push(b'=');
    value.print(out);
}

fn spec_of(text: &str, values: &[Value<'_>], next: &mut usize) -> (Spec, usize) {
    let mut spec = Spec::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(flag) = bytes.get(at) {
        match flag {
            b'-' => spec.minus = true,
            b'+' => spec.plus = true,
            b'#' => spec.sharp = true,
            b' ' => spec.space = true,
            b'0' => spec.zero = true,
            _ => break,
        }
        at += 1;
    }
    spec.width = number(bytes, &mut at, values, next).map(|width| {
        spec.minus |= width < 0;
        usize::try_from(width.unsigned_abs()).unwrap_or(0).min(TEMPLATE_WIDTH_MAX)
    });
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        let precision = number(bytes, &mut at, values, next).unwrap_or(0);
        spec.precision = usize::try_from(precision).ok().map(|precision| precision.min(TEMPLATE_WIDTH_MAX));
    }
    (spec, at)
}

/// Digits, or `*`: the next value.
fn number(bytes: &[u8], at: &mut usize, values: &[Value<'_>], next: &mut usize) -> Option<i64> {
    if bytes.get(*at) == Some(&b'*') {
        *at += 1;
        let value = values.get(*next);
        *next += 1;
        return match value {
            Some(Value::Int(value) | Value::Int64(value)) => Some(*value),
            _ => None,
        };
    }
    let digits = bytes[*at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let read = std::str::from_utf8(&bytes[*at..*at + digits]).ok().filter(|digits| !digits.is_empty())?;
    *at += digits;
    Some(read.parse().unwrap_or(i64::MAX))
}

fn one(verb: char, spec: Spec, value: &Value<'_>, out: &mut Vec<u8>) {
    if !matches!(verb, 'v' | 'T') {
        // A verb is for each part of a list or map.
        let part = |value: &Value<'_>| {
            let mut part = Vec::new();
            one(verb, spec, value, &mut part);
            Value::Text(part.into())
        };
        match value {
            Value::List(values) => return Value::List(std::sync::Arc::new(values.iter().map(part).collect())).print(out),
            Value::Map(values) => {
                let parts: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), part(value))).collect();
                return print_map(parts.iter().map(|(name, value)| (*name, value)), out);
            }
            _ => {}
        }
    }
    let text = match (verb, value) {
        ('T', _) => value.type_name().as_bytes().to_vec(),
        ('v', Value::Text(text)) if !spec.sharp => cut(text, spec),
        ('v', Value::Float(value)) if spec.precision.is_none() && !spec.sharp => return pad(signed(format_g(*value), spec).as_bytes(), spec, true, out),
        ('v', Value::Int(value) | Value::Int64(value)) => return pad(signed(value.to_string(), spec).as_bytes(), spec, true, out),
        ('v', Value::Text(text)) => quoted(&repaired(text)).into_bytes(),
        ('v', _) => {
            let mut text = Vec::new();
            value.print(&mut text);
            text
        }
        ('t', Value::Bool(value)) => value.to_string().into_bytes(),
        ('s', Value::Text(text)) => cut(text, spec),
        ('s', Value::Time(..)) => {
            let mut text = Vec::new();
            value.print(&mut text);
            cut(&text, spec)
        }
        ('q', Value::Text(text)) => {
            let text = cut(text, spec);
            let text = repaired(&text);
            if spec.sharp && !text.contains('`') { format!("`{text}`").into_bytes() } else { quoted(&text).into_bytes() }
        }
        ('x' | 'X', Value::Text(text)) => hexadecimal(&cut(text, spec), verb == 'X', spec),
        ('d' | 'b' | 'o' | 'x' | 'X' | 'c' | 'q' | 'U', Value::Int(value) | Value::Int64(value)) => return integer(verb, spec, *value, out),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(value)) => return pad(signed(float(verb, spec.precision, *value), spec).as_bytes(), spec, true, out),
        ('s' | 'd' | 'q' | 'f', Value::Nil | Value::Record) => format!("%!{verb}(<nil>)").into_bytes(),
        _ => {
            let mut text = format!("%!{verb}(").into_bytes();
            typed(value, &mut text);
            text.push(b')');
            out.extend_from_slice(&text);
            return;
        }
    };
    pad(&text, spec, false, out);
}

/// At most as many letters as the precision says.
fn cut(text: &[u8], spec: Spec) -> Vec<u8> {
    let Some(precision) = spec.precision else { return text.to_vec() };
    repaired(text).chars().take(precision).collect::<String>().into_bytes()
}

fn hexadecimal(text: &[u8], upper: bool, spec: Spec) -> Vec<u8> {
    let mut out = String::new();
    for (at, byte) in text.iter().enumerate() {
        if spec.space && at > 0 {
            out.push(' ');
        }
        if spec.sharp && (at == 0 || spec.space) {
            out.push_str(if upper { "0X" } else { "0x" });
        }
        out.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
    }
    out.into_bytes()
}

fn integer(verb: char, spec: Spec, value: i64, out: &mut Vec<u8>) {
    let size = value.unsigned_abs();
    let char_of = || u32::try_from(value).ok().and_then(char::from_u32).unwrap_or(crate::text::REPLACEMENT);
    let (prefix, mut digits) = match verb {
        'c' => return pad(char_of().to_string().as_bytes(), spec, false, out),
        'q' => return pad(format!("'{}'", char_of()).as_bytes(), spec, false, out),
        'U' => return pad(format!("U+{size:04X}").as_bytes(), spec, false, out),
        'b' => ("0b", format!("{size:b}")),
        'o' => ("0", format!("{size:o}")),
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        _ => ("", size.to_string()),
    };
    let precision = spec.precision.unwrap_or(0);
    if digits.len() < precision {
        digits = format!("{}{digits}", "0".repeat(precision - digits.len()));
    }
    let sign = if value < 0 {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    };
    let text = format!("{sign}{}{digits}", if spec.sharp { prefix } else { "" });
    pad(text.as_bytes(), Spec { zero: spec.zero && spec.precision.is_none(), ..spec }, true, out);
}

fn float(verb: char, precision: Option<usize>, value: f64) -> String {
    if !value.is_finite() {
        return format_f(value);
    }
    let text = match verb {
        'f' | 'F' => format!("{value:.*}", precision.unwrap_or(6)),
        'e' | 'E' => exponential(value, precision.unwrap_or(6)),
        _ => match precision {
            None => format_g(value),
            Some(precision) => significant(value, precision.max(1)),
        },
    };
    if matches!(verb, 'E' | 'G') { text.to_uppercase() } else { text }
}

fn exponential(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `%.3g`: so many digits that count, without zeros at the end.
fn significant(value: f64, digits: usize) -> String {
    let text = exponential(value, digits - 1);
    let exponent = text.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0);
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    let trimmed = |text: &str| if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() };
    if (-4..limit).contains(&exponent) {
        let places = usize::try_from(limit - 1 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.places$}"));
    }
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", trimmed(mantissa)),
        None => format_e(value).unwrap_or(text),
    }
}

fn signed(text: String, spec: Spec) -> String {
    if text.starts_with(['-', '+']) {
        return text;
    }
    if spec.plus {
        format!("+{text}")
    } else if spec.space {
        format!(" {text}")
    } else {
        text
    }
}

fn pad(text: &[u8], spec: Spec, is_number: bool, out: &mut Vec<u8>) {
    let letters = repaired(text).chars().count();
    let missing = spec.width.unwrap_or(0).saturating_sub(letters);
    if spec.minus {
        out.extend_from_slice(text);
        out.extend(std::iter::repeat_n(b' ', missing));
    } else if spec.zero {
        let sign = usize::from(is_number && matches!(text.first(), Some(b'-' | b'+' | b' ')));
        out.extend_from_slice(&text[..sign]);
        out.extend(std::iter::repeat_n(b'0', missing));
        out.extend_from_slice(&text[sign..]);
    } else {
        out.extend(std::iter::repeat_n(b' ', missing));
        out.extend_from_slice(text);
    }
}
