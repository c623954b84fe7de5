//! The parsers of a pipeline: `json`, `logfmt`, `pattern`, `regexp`, `unpack`, over `proto-extract`.
//!
//! A name that the line came with gets `_extracted`; of a name found twice by one of the first two the
//! first counts. Parts: a function each. Promises: a label that nobody wants is not copied. Must not do:
//! judge what a broken line means for the query; it is only marked.

use std::borrow::Cow;

use proto_extract::json::{JsonPath, lookup};
use proto_extract::pattern::PatternParser;
use proto_extract::{dialect, json as json_lines, logfmt as logfmt_lines, unpack as packed_lines};
use regex::bytes::Regex;

use crate::record::LineLabels;
use crate::wanted::Wanted;

const JSON_FAILED: &str = "JSONParserErr";
const LOGFMT_FAILED: &str = "LogfmtParserErr";

/// Adds a label that a parser found, unless it was found before or nobody wants it.
fn add_first(labels: &mut LineLabels, wanted: &Wanted, name: &str, value: &str) {
    // Who wants it under another name wants it under this one too, and most fields nobody wants.
    if !wanted.takes(name) {
        return;
    }
    let name = labels.free_name(name);
    if wanted.takes(&name) && labels.parsed(&name).is_none() {
        labels.set(&name, value);
    }
}

/// Whether all that is wanted was parsed: then Loki reads no further, and a broken rest stays unseen.
fn has_all(labels: &LineLabels, wanted: &Wanted) -> bool {
    matches!(wanted, Wanted::Only(names) if names.iter().all(|name| labels.parsed(name).is_some()))
}

/// `| json`.
pub(crate) fn json(line: &[u8], labels: &mut LineLabels, wanted: &Wanted) {
    let read = json_lines::flatten(line, &mut |name, value| add_first(labels, wanted, name, value));
    if let Err(fault) = read
        && !has_all(labels, wanted)
    {
        labels.fail(JSON_FAILED, fault.to_string());
    }
}

/// `| json a="x.y"`.
pub(crate) fn json_paths(line: &[u8], paths: &[(String, JsonPath)], labels: &mut LineLabels) {
    if line.is_empty() {
        return;
    }
    for (name, path) in paths {
        match lookup(line, path) {
            Ok(found) => {
                let name = labels.free_name(name);
                labels.set(&name, found.as_deref().unwrap_or_default());
            }
            Err(fault) => return labels.fail(JSON_FAILED, fault.to_string()),
        }
    }
}

/// `| logfmt`.
pub(crate) fn logfmt(line: &[u8], (strict, keep_empty): (bool, bool), labels: &mut LineLabels, wanted: &Wanted) {
    let read = logfmt_lines::scan(line, strict, keep_empty, &mut |name, value| add_first(labels, wanted, name, value));
    if let Err(fault) = read
        && !has_all(labels, wanted)
    {
        labels.fail(LOGFMT_FAILED, fault.to_string());
    }
}

/// `| logfmt a="b"`.
pub(crate) fn logfmt_keys(line: &[u8], (strict, keep_empty): (bool, bool), keys: &[(String, String)], labels: &mut LineLabels) {
    let mut found = vec![None; keys.len()];
    let read = logfmt_lines::pairs(line, strict, &mut |key, value| {
        for (at, (_, wanted)) in keys.iter().enumerate() {
            if wanted == key && found[at].is_none() && (keep_empty || !value.is_empty()) {
                found[at] = Some(value.to_owned());
            }
        }
    });
    for ((name, _), value) in keys.iter().zip(&found) {
        let name = labels.free_name(name);
        if value.is_some() || read.is_ok() {
            labels.set(&name, value.as_deref().unwrap_or_default());
        }
    }
    if let Err(fault) = read {
        labels.fail(LOGFMT_FAILED, fault.to_string());
    }
}

/// `| pattern "<a> <_>"`.
pub(crate) fn pattern(line: &[u8], pattern: &PatternParser, labels: &mut LineLabels, wanted: &Wanted) {
    pattern.extract(line, &mut |name, value| {
        let name = labels.free_name(name);
        if wanted.takes(&name) {
            labels.set(&name, &String::from_utf8_lossy(value));
        }
    });
}

/// `| regexp "(?P<a>..)"`.
pub(crate) fn regexp(line: &[u8], regex: &Regex, labels: &mut LineLabels, wanted: &Wanted) {
    let seen = dialect::seen(line);
    let Some(captures) = regex.captures(&seen) else { return };
    for (at, name) in regex.capture_names().enumerate() {
        let Some(name) = name else { continue };
        let name = labels.free_name(name);
        if wanted.takes(&name) {
            let value = captures.get(at).map_or(&b""[..], |found| found.as_bytes());
            labels.set(&name, &String::from_utf8_lossy(value));
        }
    }
}

/// `| unpack`: the line as it was before it was packed.
pub(crate) fn unpack<'a>(line: Cow<'a, [u8]>, labels: &mut LineLabels, wanted: &Wanted) -> Cow<'a, [u8]> {
    let unpacked = packed_lines::unpack(&line, &mut |name, value| add_first(labels, wanted, name, value));
    match unpacked.map(|entry| entry.map(|entry| entry.into_owned().into_bytes())) {
        Ok(Some(entry)) => Cow::Owned(entry),
        Ok(None) => line,
        Err(fault) => {
            if *wanted != Wanted::Nothing {
                labels.fail(JSON_FAILED, fault.to_string());
            }
            line
        }
    }
}
