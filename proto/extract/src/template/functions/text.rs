//! Functions of text: case, trimming, cutting, replacing, encoding, tests.
//!
//! Parts: [`TABLE`] (Loki's and Sprig's, the same in both dialects), [`PROMTAIL`] (what only Promtail's stages have). Letters
//! change case one by one, as in Go: a letter that another case writes with several letters stays as it is. Limits:
//! [`TEMPLATE_OUTPUT_BYTES_MAX`] for whatever grows.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Param::{Any, Int, Text};
use super::builtin::query_escaped;
use super::{Arguments, Entry, Outcome, pure, variadic};
use crate::dialect;
use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;
use crate::template::value::Value;
use crate::text::repaired;

pub(super) const TABLE: &[Entry] = &[
    pure("ToLower", &[Text], |a| Ok(mapped(a, lower))),
    pure("lower", &[Text], |a| Ok(mapped(a, lower))),
    pure("ToUpper", &[Text], |a| Ok(mapped(a, upper))),
    pure("upper", &[Text], |a| Ok(mapped(a, upper))),
    pure("title", &[Text], |a| Ok(Value::text(title(&a.text(0))))),
    pure("Replace", &[Text, Text, Text, Int], |a| replaced(&a.text(0), &a.text(1), &a.text(2), a.int(3))),
    pure("replace", &[Text, Text, Text], |a| replaced(&a.text(2), &a.text(0), &a.text(1), -1)),
    pure("Trim", &[Text, Text], |a| Ok(cut(a.text(0).trim_matches(|c| a.text(1).contains(c))))),
    pure("TrimLeft", &[Text, Text], |a| Ok(cut(a.text(0).trim_start_matches(|c| a.text(1).contains(c))))),
    pure("TrimRight", &[Text, Text], |a| Ok(cut(a.text(0).trim_end_matches(|c| a.text(1).contains(c))))),
    pure("TrimPrefix", &[Text, Text], |a| Ok(cut(stripped(a.text(0).strip_prefix(&*a.text(1)), &a.text(0))))),
    pure("TrimSuffix", &[Text, Text], |a| Ok(cut(stripped(a.text(0).strip_suffix(&*a.text(1)), &a.text(0))))),
    pure("TrimSpace", &[Text], |a| Ok(cut(a.text(0).trim()))),
    pure("trim", &[Text], |a| Ok(cut(a.text(0).trim()))),
    pure("trimAll", &[Text, Text], |a| Ok(cut(a.text(1).trim_matches(|c| a.text(0).contains(c))))),
    pure("trimPrefix", &[Text, Text], |a| Ok(cut(stripped(a.text(1).strip_prefix(&*a.text(0)), &a.text(1))))),
    pure("trimSuffix", &[Text, Text], |a| Ok(cut(stripped(a.text(1).strip_suffix(&*a.text(0)), &a.text(1))))),
    pure("contains", &[Text, Text], |a| Ok(Value::Bool(a.text(1).contains(&*a.text(0))))),
    pure("hasPrefix", &[Text, Text], |a| Ok(Value::Bool(a.bytes(1).starts_with(a.bytes(0))))),
    pure("hasSuffix", &[Text, Text], |a| Ok(Value::Bool(a.bytes(1).ends_with(a.bytes(0))))),
    pure("repeat", &[Int, Text], repeat),
    pure("trunc", &[Int, Text], trunc),
    pure("substr", &[Int, Int, Text], substr),
    pure("indent", &[Int, Text], |a| indent(a, "")),
    pure("nindent", &[Int, Text], |a| indent(a, "\n")),
    pure("alignLeft", &[Int, Text], |a| align(a, true)),
    pure("alignRight", &[Int, Text], |a| align(a, false)),
    pure("b64enc", &[Text], |a| Ok(Value::text(STANDARD.encode(a.bytes(0))))),
    pure("b64dec", &[Text], b64dec),
    pure("urlencode", &[Text], |a| Ok(Value::text(query_escaped(a.bytes(0))))),
    pure("urldecode", &[Text], |a| unescaped(a.bytes(0))),
    pure("regexReplaceAll", &[Text, Text, Text], |a| regex_replaced(a, true)),
    pure("regexReplaceAllLiteral", &[Text, Text, Text], |a| regex_replaced(a, false)),
    pure("count", &[Text, Text], |a| Ok(Value::Int(i64::try_from(compiled(a)?.find_iter(a.bytes(1)).count()).unwrap_or(i64::MAX)))),
    variadic("default", &[Any], Any, |a| Ok(if a.any(1).is_true() { a.any(1) } else { a.any(0) }.clone().owned())),
    pure("fromJson", &[Text], |a| Ok(serde_json::from_slice(a.bytes(0)).map_or(Value::Nil, of_json))),
];

/// What only Promtail's stages have.
pub(super) const PROMTAIL: &[Entry] = &[
    pure("Hash", &[Text, Text], |a| Ok(Value::text(hex(&sha3(a.bytes(0), a.bytes(1)))))),
    pure("Sha2Hash", &[Text, Text], |a| Ok(Value::text(hex(&sha2(a.bytes(0), a.bytes(1)))))),
    pure("nospace", &[Text], |a| Ok(Value::text(a.text(0).chars().filter(|c| !c.is_whitespace()).collect::<String>()))),
    pure("untitle", &[Text], |a| Ok(Value::text(words(&a.text(0), lower)))),
    pure("empty", &[Any], |a| Ok(Value::Bool(!a.any(0).is_true()))),
    variadic("coalesce", &[], Any, |a| Ok(a.values.iter().find(|value| value.is_true()).map_or(Value::Nil, |value| value.clone().owned()))),
];

pub(super) fn shown(value: &Value<'_>) -> String {
    let mut out = Vec::new();
    if !matches!(value, Value::Nil) {
        value.print(&mut out);
    }
    repaired(&out).into_owned()
}

pub(super) fn list<'t>(texts: impl Iterator<Item = &'t str>) -> Value<'static> {
    Value::List(Arc::new(texts.map(Value::text).collect()))
}

fn cut(text: &str) -> Value<'static> {
    Value::text(text)
}

fn stripped<'t>(found: Option<&'t str>, whole: &'t str) -> &'t str {
    found.unwrap_or(whole)
}

fn bounded(bytes: usize) -> Result<(), String> {
    if bytes <= TEMPLATE_OUTPUT_BYTES_MAX { Ok(()) } else { Err(format!("the text would have {bytes} bytes, the limit is {TEMPLATE_OUTPUT_BYTES_MAX}")) }
}

fn mapped(a: &Arguments<'_, '_>, change: fn(char) -> char) -> Value<'static> {
    Value::text(a.text(0).chars().map(change).collect::<String>())
}

/// Each word with its first letter changed.
fn words(text: &str, change: fn(char) -> char) -> String {
    let mut before = ' ';
    let changed = text.chars().map(|c| {
        let first = separates(before);
        before = c;
        if first { change(c) } else { c }
    });
    changed.collect()
}

fn title(text: &str) -> String {
    words(text, upper)
}

/// As Go's `strings.Title` sees words.
fn separates(c: char) -> bool {
    if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { !c.is_alphanumeric() && c.is_whitespace() }
}

fn replaced(text: &str, old: &str, new: &str, times: i64) -> Outcome {
    let times = usize::try_from(times).unwrap_or(usize::MAX);
    let found = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() }.min(times);
    bounded(text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(Value::text(text.replacen(old, new, times)))
}

fn repeat(a: &Arguments<'_, '_>) -> Outcome {
    let times = usize::try_from(a.int(0)).map_err(|_| "strings: negative Repeat count")?;
    bounded(times.saturating_mul(a.bytes(1).len()))?;
    Ok(Value::Text(a.bytes(1).repeat(times).into()))
}

fn trunc(a: &Arguments<'_, '_>) -> Outcome {
    let (count, text) = (a.int(0), a.bytes(1));
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let kept = if size >= text.len() {
        text
    } else if count < 0 {
        &text[text.len() - size..]
    } else {
        &text[..size]
    };
    Ok(Value::Text(kept.to_vec().into()))
}

fn substr(a: &Arguments<'_, '_>) -> Outcome {
    let (text, start, end) = (a.bytes(2), a.int(0), a.int(1));
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let (from, to) = match (start, end) {
        (start, end) if start < 0 => (0, end),
        (start, end) if end < 0 || end > length => (start, length),
        both => both,
    };
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    let found = range.and_then(|(from, to)| text.get(from..to));
    let fault = || match (from, to) {
        (_, to) if to < 0 => format!("runtime error: slice bounds out of range [:{to}]"),
        (_, to) if to > length => format!("runtime error: slice bounds out of range [:{to}] with length {length}"),
        (from, to) => format!("runtime error: slice bounds out of range [{from}:{to}]"),
    };
    found.map(|text| Value::Text(text.to_vec().into())).ok_or_else(fault)
}

fn indent(a: &Arguments<'_, '_>, before: &str) -> Outcome {
    let spaces = usize::try_from(a.int(0)).map_err(|_| "strings: negative Repeat count")?;
    bounded(spaces)?;
    let pad = " ".repeat(spaces);
    let Value::Text(text) = replaced(&a.text(1), "\n", &format!("\n{pad}"), -1)? else { return Ok(Value::Nil) };
    Ok(Value::text(format!("{before}{pad}{}", repaired(&text))))
}

fn align(a: &Arguments<'_, '_>, left: bool) -> Outcome {
    let text = a.text(1);
    let letters = text.chars().count();
    let Ok(width) = usize::try_from(a.int(0)) else { return Ok(cut(&text)) };
    bounded(width)?;
    if width >= letters {
        let pad = " ".repeat(width - letters);
        return Ok(Value::text(if left { format!("{text}{pad}") } else { format!("{pad}{text}") }));
    }
    let skipped = if left { 0 } else { letters - width };
    Ok(Value::text(text.chars().skip(skipped).take(width).collect::<String>()))
}

fn b64dec(a: &Arguments<'_, '_>) -> Outcome {
    let text: Vec<u8> = a.bytes(0).iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    Ok(match STANDARD.decode(&text) {
        Ok(bytes) => Value::Text(bytes.into()),
        Err(fault) => {
            let at = match fault {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => at,
                base64::DecodeError::InvalidLength(at) => at / 4 * 4,
                base64::DecodeError::InvalidPadding => text.len() / 4 * 4,
            };
            Value::text(format!("illegal base64 data at input byte {at}"))
        }
    })
}

fn unescaped(text: &[u8]) -> Outcome {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits =
                    text.get(at..at + 2).and_then(|digits| std::str::from_utf8(digits).ok()).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let Some(value) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
                    let shown = &text[at - 1..text.len().min(at + 2)];
                    return Err(format!("invalid URL escape {}", proto_model::labels::quoted(&repaired(shown))));
                };
                out.push(value);
                at += 2;
            }
            byte => out.push(*byte),
        }
    }
    Ok(Value::Text(out.into()))
}

pub(super) fn compiled(a: &Arguments<'_, '_>) -> Result<regex::bytes::Regex, String> {
    dialect::compile(&a.text(0)).map_err(|fault| fault.to_string())
}

pub(super) fn regex_replaced(a: &Arguments<'_, '_>, expand: bool) -> Outcome {
    let (regex, text, with) = (compiled(a)?, a.bytes(1), a.bytes(2));
    let mut out = Vec::new();
    let mut from = 0;
    for groups in regex.captures_iter(text) {
        let Some(found) = groups.get(0) else { continue };
        out.extend_from_slice(&text[from..found.start()]);
        if expand {
            expanded(&groups, with, &mut out);
        } else {
            out.extend_from_slice(with);
        }
        bounded(out.len())?;
        from = found.end();
    }
    out.extend_from_slice(&text[from..]);
    Ok(Value::Text(out.into()))
}

/// `$1`, `${1}`, `$name`, `${name}`, `$$`, as Go's `Regexp.Expand` reads them.
fn expanded(groups: &regex::bytes::Captures<'_>, with: &[u8], out: &mut Vec<u8>) {
    let mut rest = with;
    while let Some(at) = memchr::memchr(b'$', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(b"$") {
            out.push(b'$');
            rest = after;
            continue;
        }
        let braced = rest.first() == Some(&b'{');
        let inner = if braced { &rest[1..] } else { rest };
        let length = inner.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let closed = !braced || inner.get(length) == Some(&b'}');
        if length == 0 || !closed {
            out.push(b'$');
            continue;
        }
        let name = String::from_utf8_lossy(&inner[..length]);
        let group = if name.bytes().all(|b| b.is_ascii_digit()) { name.parse().ok().and_then(|at| groups.get(at)) } else { groups.name(&name) };
        out.extend_from_slice(group.map(|group| group.as_bytes()).unwrap_or_default());
        rest = &inner[length + usize::from(braced)..];
    }
    out.extend_from_slice(rest);
}

fn of_json(value: serde_json::Value) -> Value<'static> {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(value) => Value::Float(value.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(value) => Value::text(value),
        serde_json::Value::Array(values) => Value::List(Arc::new(values.into_iter().map(of_json).collect())),
        serde_json::Value::Object(values) => {
            let values: BTreeMap<_, _> = values.into_iter().map(|(name, value)| (name, of_json(value))).collect();
            Value::Map(Arc::new(values))
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn sha2(salt: &[u8], text: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::new().chain_update(salt).chain_update(text).finalize().to_vec()
}

fn sha3(salt: &[u8], text: &[u8]) -> Vec<u8> {
    use sha3::Digest as _;
    sha3::Sha3_256::new().chain_update(salt).chain_update(text).finalize().to_vec()
}

pub(super) fn lower(c: char) -> char {
    let mut letters = c.to_lowercase();
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        // The only letter whose lower case is written with two: a capital I with a dot.
        _ => 'i',
    }
}

pub(super) fn upper(c: char) -> char {
    let mut letters = c.to_uppercase();
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        // Greek letters with a iota below have a capital form of one letter; the others have none.
        _ => match c {
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(c, 8),
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(c, 9),
            _ => c,
        },
    }
}

fn shifted(c: char, by: u32) -> char {
    char::from_u32(c as u32 + by).unwrap_or(c)
}
