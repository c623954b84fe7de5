//! Sprig's functions of text, paths, types and expressions that only Promtail's stages have.
//!
//! Source: Sprig's documentation; what they give is recorded in `tests/conformance/promtail_templates.jsonl`. Lists and
//! dictionaries are in `lists`. Not there, and refused as unknown: what reads the machine (`env`, `expandenv`, `getHostByName`),
//! chance, keys and certificates, versions, and what changes a dictionary in place. Widths and offsets count bytes, as in
//! Sprig. Must not do: read a clock; `now` is the time of the record.

use super::Param::{Any, Int, Text};
use super::text::{compiled, hex, list, lower, regex_replaced, sha2, shown, upper};
use super::{Arguments, Entry, Outcome, pure, variadic};
use crate::gojson::push_quoted;
use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;
use crate::template::value::Value;

pub(super) const TABLE: &[Entry] = &[
    pure("abbrev", &[Int, Text], |a| Ok(abbreviated(a.bytes(1), 0, a.int(0)))),
    pure("abbrevboth", &[Int, Int, Text], |a| Ok(abbreviated(a.bytes(2), a.int(0), a.int(1)))),
    pure("trimall", &[Text, Text], |a| Ok(Value::text(a.text(1).trim_matches(|c| a.text(0).contains(c))))),
    pure("initials", &[Text], |a| Ok(Value::text(a.text(0).split_whitespace().filter_map(|word| word.chars().next()).collect::<String>()))),
    pure("swapcase", &[Text], |a| Ok(Value::text(a.text(0).chars().map(|c| if c.is_uppercase() { lower(c) } else { upper(c) }).collect::<String>()))),
    pure("snakecase", &[Text], |a| Ok(Value::text(parts(&a.text(0)).join("_")))),
    pure("kebabcase", &[Text], |a| Ok(Value::text(parts(&a.text(0)).join("-")))),
    pure("camelcase", &[Text], |a| Ok(Value::text(parts(&a.text(0)).iter().map(|part| capital(part)).collect::<String>()))),
    pure("wrap", &[Int, Text], |a| wrapped(a.bytes(1), a.int(0), b"\n", false)),
    pure("wrapWith", &[Int, Text, Text], |a| wrapped(a.bytes(2), a.int(0), a.bytes(1), true)),
    variadic("cat", &[], Any, |a| Ok(Value::text(a.values.iter().filter(|value| !matches!(value, Value::Nil)).map(shown).collect::<Vec<_>>().join(" ")))),
    pure("plural", &[Text, Text, Int], |a| Ok(Value::text(if a.int(2) == 1 { a.text(0) } else { a.text(1) }))),
    variadic("quote", &[], Any, |a| Ok(Value::text(joined(a, |value| proto_model::labels::quoted(&shown(value)))))),
    variadic("squote", &[], Any, |a| Ok(Value::text(joined(a, |value| format!("'{}'", shown(value)))))),
    pure("sha256sum", &[Text], |a| Ok(Value::text(hex(&sha2(b"", a.bytes(0)))))),
    pure("sha512sum", &[Text], |a| Ok(Value::text(hex(&<sha2::Sha512 as sha2::Digest>::digest(a.bytes(0)))))),
    pure("adler32sum", &[Text], |a| Ok(Value::text(adler32(a.bytes(0)).to_string()))),
    pure("atoi", &[Text], |a| Ok(Value::Int(a.text(0).parse().unwrap_or(0)))),
    pure("toDecimal", &[Any], |a| Ok(Value::Int64(i64::from_str_radix(&shown(a.any(0)), 8).unwrap_or(0)))),
    pure("hello", &[], |_| Ok(Value::text("Hello!"))),
    pure("fail", &[Text], |a| Err(a.text(0).into_owned())),
    pure("toString", &[Any], |a| Ok(Value::text(shown(a.any(0))))),
    pure("ternary", &[Any, Any, Any], |a| match a.any(2) {
        Value::Bool(is_first) => Ok(if *is_first { a.any(0) } else { a.any(1) }.clone().owned()),
        other => Err(format!("expected bool; found {}", shown(other))),
    }),
    pure("regexMatch", &[Text, Text], |a| Ok(Value::Bool(compiled(a).is_ok_and(|regex| regex.is_match(a.bytes(1)))))),
    pure("mustRegexMatch", &[Text, Text], |a| Ok(Value::Bool(compiled(a)?.is_match(a.bytes(1))))),
    pure("regexFind", &[Text, Text], found),
    pure("mustRegexFind", &[Text, Text], found),
    pure("regexFindAll", &[Text, Text, Int], all_found),
    pure("mustRegexFindAll", &[Text, Text, Int], all_found),
    pure("regexSplit", &[Text, Text, Int], split_by_regex),
    pure("mustRegexSplit", &[Text, Text, Int], split_by_regex),
    pure("regexQuoteMeta", &[Text], |a| Ok(Value::text(quoted_meta(&a.text(0))))),
    pure("mustRegexReplaceAll", &[Text, Text, Text], |a| regex_replaced(a, true)),
    pure("mustRegexReplaceAllLiteral", &[Text, Text, Text], |a| regex_replaced(a, false)),
    pure("b32enc", &[Text], |a| Ok(Value::text(base32(a.bytes(0))))),
    pure("b32dec", &[Text], |a| Ok(from_base32(&a.text(0)).map_or_else(|| Value::text("illegal base32 data"), |bytes| Value::Text(bytes.into())))),
    pure("base", &[Text], |a| Ok(Value::text(base(&a.text(0))))),
    pure("osBase", &[Text], |a| Ok(Value::text(base(&a.text(0))))),
    pure("dir", &[Text], |a| Ok(Value::text(directory(&a.text(0))))),
    pure("osDir", &[Text], |a| Ok(Value::text(directory(&a.text(0))))),
    pure("clean", &[Text], |a| Ok(Value::text(cleaned(&a.text(0))))),
    pure("osClean", &[Text], |a| Ok(Value::text(cleaned(&a.text(0))))),
    pure("ext", &[Text], |a| Ok(Value::text(extension(&a.text(0))))),
    pure("osExt", &[Text], |a| Ok(Value::text(extension(&a.text(0))))),
    pure("isAbs", &[Text], |a| Ok(Value::Bool(a.bytes(0).starts_with(b"/")))),
    pure("osIsAbs", &[Text], |a| Ok(Value::Bool(a.bytes(0).starts_with(b"/")))),
    pure("toJson", &[Any], |a| json(a, true, None)),
    pure("mustToJson", &[Any], |a| json(a, true, None)),
    pure("toRawJson", &[Any], |a| json(a, false, None)),
    pure("mustToRawJson", &[Any], |a| json(a, false, None)),
    pure("toPrettyJson", &[Any], |a| json(a, true, Some(0))),
    pure("mustToPrettyJson", &[Any], |a| json(a, true, Some(0))),
    pure("typeOf", &[Any], |a| Ok(Value::text(type_name(a.any(0))))),
    pure("typeIs", &[Text, Any], |a| Ok(Value::Bool(a.text(0) == type_name(a.any(1))))),
    pure("typeIsLike", &[Text, Any], |a| Ok(Value::Bool(a.text(0) == type_name(a.any(1))))),
    pure("kindOf", &[Any], |a| Ok(Value::text(kind_name(a.any(0))))),
    pure("kindIs", &[Text, Any], |a| Ok(Value::Bool(a.text(0) == kind_name(a.any(1))))),
    pure("add1", &[Any], |a| Ok(Value::Int64(super::number::whole(a.any(0)).wrapping_add(1)))),
];

fn joined(a: &Arguments<'_, '_>, one: impl Fn(&Value<'_>) -> String) -> String {
    a.values.iter().filter(|value| !matches!(value, Value::Nil)).map(one).collect::<Vec<_>>().join(" ")
}

/// As Sprig's `abbrevboth`; from the beginning when `from` is 0.
fn abbreviated(text: &[u8], from: i64, width: i64) -> Value<'static> {
    let whole = || Value::Text(text.to_vec().into());
    let (Ok(width), from) = (usize::try_from(width), usize::try_from(from).unwrap_or(0)) else { return whole() };
    if width < 4 || (from > 0 && width < 7) || text.len() <= width {
        return whole();
    }
    let room = width - 3;
    let from = if text.len() - from.min(text.len()) < room { text.len() - room } else { from };
    let marked = match from {
        0..=4 => [&text[..room], b"..."].concat(),
        _ if from + room < text.len() => [b"...", &text[from..from + room - 3], b"..."].concat(),
        _ => [b"...", &text[text.len() - room..]].concat(),
    };
    Value::Text(marked.into())
}

/// The words of a name in lower case: they end at what is no letter or digit, before a capital that follows a small letter,
/// and before the last capital of several that a small letter follows.
fn parts(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut parts: Vec<String> = Vec::new();
    let mut is_open = false;
    for (at, c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            is_open = false;
            continue;
        }
        let before = at.checked_sub(1).map(|at| chars[at]);
        let begins = c.is_uppercase() && (before.is_some_and(|b| !b.is_uppercase()) || chars.get(at + 1).is_some_and(|next| next.is_lowercase()));
        match parts.last_mut() {
            Some(part) if is_open && !begins => part.push(lower(*c)),
            _ => parts.push(lower(*c).to_string()),
        }
        is_open = true;
    }
    parts
}

fn capital(part: &str) -> String {
    let mut chars = part.chars();
    chars.next().map(upper).into_iter().chain(chars).collect()
}

/// Lines of `width` bytes, broken at spaces; with `hard`, also within words.
fn wrapped(text: &[u8], width: i64, newline: &[u8], hard: bool) -> Outcome {
    let width = usize::try_from(width).unwrap_or(0).max(1);
    let newline = if newline.is_empty() { b"\n" } else { newline };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while rest.len() > width {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let (end, next) = match rest[..=width].iter().rposition(|b| *b == b' ') {
            Some(space) => (space, space + 1),
            None if hard => (width, width),
            None => match rest[width..].iter().position(|b| *b == b' ') {
                Some(space) => (width + space, width + space + 1),
                None => break,
            },
        };
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(newline);
        if out.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            return Err(format!("the text would have more than {TEMPLATE_OUTPUT_BYTES_MAX} bytes"));
        }
        rest = &rest[next..];
    }
    out.extend_from_slice(rest);
    Ok(Value::Text(out.into()))
}

fn adler32(text: &[u8]) -> u32 {
    let (a, b) = text.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn found(a: &Arguments<'_, '_>) -> Outcome {
    Ok(compiled(a)?.find(a.bytes(1)).map_or_else(|| Value::text(""), |found| Value::Text(found.as_bytes().to_vec().into())))
}

/// Below zero: without limit.
fn count(wanted: i64) -> usize {
    usize::try_from(wanted).unwrap_or(usize::MAX)
}

fn all_found(a: &Arguments<'_, '_>) -> Outcome {
    let regex = compiled(a)?;
    let found = regex.find_iter(a.bytes(1)).take(count(a.int(2)));
    Ok(Value::List(std::sync::Arc::new(found.map(|found| Value::Text(found.as_bytes().to_vec().into())).collect())))
}

/// As Go's `Regexp.Split`.
fn split_by_regex(a: &Arguments<'_, '_>) -> Outcome {
    let (regex, text, most) = (compiled(a)?, a.text(1), count(a.int(2)));
    if most == 0 {
        return Ok(list(std::iter::empty()));
    }
    let (mut parts, mut begin, mut end) = (Vec::new(), 0, 0);
    for found in regex.find_iter(text.as_bytes()) {
        if parts.len() + 1 >= most {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(text[begin..end].to_owned());
        }
        begin = found.end();
    }
    if end != text.len() || text.is_empty() {
        parts.push(text[begin..].to_owned());
    }
    Ok(list(parts.iter().map(String::as_str)))
}

fn quoted_meta(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(text: &[u8]) -> String {
    let mut out = String::new();
    for group in text.chunks(5) {
        let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)) << (8 * (5 - group.len()));
        let letters = (group.len() * 8).div_ceil(5);
        for at in 0..8 {
            let letter = BASE32[(bits >> (35 - 5 * at) & 31) as usize];
            out.push(if at < letters { char::from(letter) } else { '=' });
        }
    }
    out
}

fn from_base32(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    if !text.len().is_multiple_of(8) {
        return None;
    }
    let mut out = Vec::new();
    for group in text.chunks(8) {
        let letters = group.iter().take_while(|b| **b != b'=').count();
        let bytes = letters * 5 / 8;
        if !matches!(letters, 2 | 4 | 5 | 7 | 8) || group[letters..].iter().any(|b| *b != b'=') {
            return None;
        }
        let mut bits = 0_u64;
        for (at, letter) in group.iter().enumerate() {
            let value = if at < letters { BASE32.iter().position(|known| known == letter)? } else { 0 };
            bits = bits << 5 | value as u64;
        }
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + bytes]);
    }
    Some(out)
}

/// As Go's `path.Clean`.
fn cleaned(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match parts.last() {
            Some(last) if part == ".." && *last != ".." => drop(parts.pop()),
            _ if part == ".." && is_rooted => {}
            _ => parts.push(part),
        }
    }
    match (is_rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

fn base(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match (path.is_empty(), trimmed.rsplit('/').next().filter(|name| !name.is_empty())) {
        (true, _) => ".".to_owned(),
        (false, Some(name)) => name.to_owned(),
        (false, None) => "/".to_owned(),
    }
}

fn directory(path: &str) -> String {
    cleaned(path.rfind('/').map_or("", |at| &path[..=at]))
}

fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.').map_or("", |at| &name[at..])
}

fn type_name(value: &Value<'_>) -> &'static str {
    if matches!(value, Value::Nil) { "<nil>" } else { value.type_name() }
}

fn kind_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Nil => "invalid",
        Value::List(_) => "slice",
        Value::Map(_) | Value::Record => "map",
        Value::Time(..) => "struct",
        value => value.type_name(),
    }
}

fn json(a: &Arguments<'_, '_>, escape: bool, indent: Option<usize>) -> Outcome {
    let mut out = String::new();
    push_json(a.any(0), escape, indent, &mut out)?;
    Ok(Value::text(out))
}

fn push_json(value: &Value<'_>, escape: bool, indent: Option<usize>, out: &mut String) -> Result<(), String> {
    if out.len() > TEMPLATE_OUTPUT_BYTES_MAX {
        return Err(format!("the text would have more than {TEMPLATE_OUTPUT_BYTES_MAX} bytes"));
    }
    match value {
        Value::Nil | Value::Record => out.push_str("null"),
        Value::Bool(_) | Value::Int(_) | Value::Int64(_) => out.push_str(&shown(value)),
        Value::Float(number) if !number.is_finite() => return Err(format!("json: unsupported value: {}", shown(value))),
        Value::Float(number) => out.push_str(&crate::gofloat::format_json(*number)),
        Value::Text(text) => push_text(text, escape, out),
        Value::Time(..) => push_text(shown(value).as_bytes(), escape, out),
        Value::List(values) => {
            let items = values.iter().map(|value| (None, value));
            push_items(('[', ']'), items, escape, indent, out)?;
        }
        Value::Map(values) => {
            let items = values.iter().map(|(name, value)| (Some(name.as_str()), value));
            push_items(('{', '}'), items, escape, indent, out)?;
        }
    }
    Ok(())
}

fn push_text(text: &[u8], escape: bool, out: &mut String) {
    let from = out.len();
    push_quoted(text, out);
    if !escape {
        let plain = out[from..].replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&");
        out.replace_range(from.., &plain);
    }
}

fn push_items<'i>(
    (open, close): (char, char),
    items: impl ExactSizeIterator<Item = (Option<&'i str>, &'i Value<'static>)>,
    escape: bool,
    indent: Option<usize>,
    out: &mut String,
) -> Result<(), String> {
    let newline = |depth: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    let count = items.len();
    out.push(open);
    for (at, (name, value)) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        if let Some(depth) = indent {
            newline(depth + 1, out);
        }
        if let Some(name) = name {
            push_text(name.as_bytes(), escape, out);
            out.push_str(if indent.is_some() { ": " } else { ":" });
        }
        push_json(value, escape, indent.map(|depth| depth + 1), out)?;
    }
    if let Some(depth) = indent.filter(|_| count > 0) {
        newline(depth, out);
    }
    out.push(close);
    Ok(())
}
