//! The parsers of a pipeline, over whole lines: json, logfmt, pattern, regexp, unpack.

use hub_logql::Extraction;
use regex::Regex;
use serde_json::Value;

use super::record::Record;

/// A name as labels have it.
fn sane(key: &str) -> String {
    let mut name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The text of a scalar; arrays, objects and null have none.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `| json`: the generator writes whole objects, whose keys differ, or what is no JSON at all.
pub fn json(record: &mut Record) {
    match serde_json::from_str::<Value>(&record.text) {
        Ok(Value::Object(fields)) => flatten(record, "", &fields),
        Ok(_) | Err(_) => record.error = Some("JSONParserErr".to_owned()),
    }
}

fn flatten(record: &mut Record, prefix: &str, fields: &serde_json::Map<String, Value>) {
    for (key, value) in fields {
        let name = if prefix.is_empty() {
            sane(key)
        } else {
            format!("{prefix}_{}", key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>())
        };
        if let Value::Object(inner) = value {
            flatten(record, &name, inner);
        } else if let Some(text) = scalar(value) {
            record.set_first(&name, &text);
        }
    }
}

/// `| json name="path"`; false ends the stage.
pub fn json_path(record: &mut Record, name: &str, path: &str) -> bool {
    let Ok(whole) = serde_json::from_str::<Value>(&record.text) else {
        record.error = Some("JSONParserErr".to_owned());
        return false;
    };
    let pointer = if path.starts_with("[\"") {
        format!("/{}", path.trim_start_matches("[\"").trim_end_matches("\"]").replace('/', "~1"))
    } else {
        format!("/{}", path.replace(['.', '['], "/").replace(']', ""))
    };
    let found = match whole.pointer(&pointer) {
        None | Some(Value::Null) => String::new(),
        Some(value) => scalar(value).unwrap_or_else(|| value.to_string()),
    };
    let name = record.free(name);
    record.set(&name, &found);
    true
}

/// Pairs of a logfmt line, in order, as far as they are sound; false where one is not.
fn pairs(text: &str) -> Vec<Result<(String, String), ()>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c <= ' ' || c == '=').unwrap_or(rest.len());
        let key = &rest[..end];
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix('=') {
            if let Some(quoted) = after.strip_prefix('"') {
                let (value, left) = unquoted(quoted);
                found.push(if key.is_empty() { Err(()) } else { Ok((key.to_owned(), value)) });
                rest = left;
            } else {
                let end = after.find(|c: char| c <= ' ').unwrap_or(after.len());
                let value = &after[..end];
                let bad = key.is_empty() || value.contains('=') || value.contains('"');
                found.push(if bad { Err(()) } else { Ok((key.to_owned(), value.to_owned())) });
                rest = &after[end..];
            }
        } else {
            found.push(Ok((key.to_owned(), String::new())));
        }
        rest = rest.trim_start();
    }
    found
}

/// A quoted value behind its first quote, and what follows.
fn unquoted(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(c) => value.push(c),
                None => {}
            },
            c => value.push(c),
        }
    }
    (value, "")
}

/// `| logfmt`, with its flags and names.
pub fn logfmt(record: &mut Record, strict: bool, keep_empty: bool, expressions: &[Extraction]) {
    let mut sound = Vec::new();
    let mut failed = false;
    for pair in pairs(&record.text) {
        match pair {
            Ok(pair) => sound.push(pair),
            Err(()) if strict => {
                failed = true;
                break;
            }
            Err(()) => {}
        }
    }
    if expressions.is_empty() {
        for (key, value) in sound.iter().filter(|(_, value)| keep_empty || !value.is_empty()) {
            record.set_first(&sane(key), value);
        }
    } else {
        for wanted in expressions {
            let found = sound.iter().find(|(key, value)| *key == wanted.path && (keep_empty || !value.is_empty())).map(|(_, value)| value.clone());
            if found.is_some() || !failed {
                let name = record.free(&wanted.name);
                record.set(&name, &found.unwrap_or_default());
            }
        }
    }
    if failed {
        record.error = Some("LogfmtParserErr".to_owned());
    }
}

/// `| pattern`: texts and `<captures>` take turns; a text that is missing ends it, the capture before takes the rest.
pub fn pattern(record: &mut Record, source: &str) {
    let split = Regex::new("<([a-zA-Z_][a-zA-Z0-9_]*)>").expect("the expression is sound");
    let names: Vec<&str> = split.captures_iter(source).map(|found| found.get(1).expect("it is a group").as_str()).collect();
    let texts: Vec<&str> = split.split(source).collect();
    let text = record.text.clone();
    let Some(mut rest) = text.strip_prefix(texts[0]).filter(|_| !text.is_empty()) else { return };
    for (name, after) in names.iter().zip(&texts[1..]) {
        let found = if after.is_empty() { None } else { rest.find(after) };
        if *name != "_" {
            let name = record.free(name);
            record.set(&name, &rest[..found.unwrap_or(rest.len())]);
        }
        let Some(found) = found else { return };
        rest = &rest[found + after.len()..];
    }
}

/// `| regexp`.
pub fn regexp(record: &mut Record, source: &str) {
    let regex = Regex::new(source).expect("the generator writes expressions that both dialects have");
    let text = record.text.clone();
    let Some(found) = regex.captures(&text) else { return };
    for name in regex.capture_names().flatten() {
        let free = record.free(name);
        record.set(&free, found.name(name).map_or("", |value| value.as_str()));
    }
}

/// `| unpack`.
pub fn unpack(record: &mut Record) {
    if record.text.is_empty() {
        return;
    }
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(&record.text) else {
        record.error = Some("JSONParserErr".to_owned());
        return;
    };
    let Some(Value::String(entry)) = fields.get("_entry") else { return };
    for (key, value) in &fields {
        if let (true, Value::String(value)) = (key != "_entry", value) {
            record.set_first(&sane(key), value);
        }
    }
    record.text.clone_from(entry);
}
