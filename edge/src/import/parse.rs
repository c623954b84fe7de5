//! The text of a positions file to its entries: Promtail's shape and Alloy's.
//!
//! Pure. Parts: [`parse`], [`Entry`], [`ParseFault`]. Promtail writes `positions: {PATH: "OFFSET"}`, Alloy the same with
//! `{path: PATH, labels: LABELS}` as keys. Promises: every entry knows its line; a key that is there twice is told by each
//! of its entries; bounded depth and number. Must not do: judge values.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{self, Event, Parser};

/// Most entries of one file.
pub const ENTRIES_MAX: usize = 50_000;
/// Deepest nesting: a key of Alloy's is a map in a map in a map.
const DEPTH_MAX: usize = 6;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, or `cursor-NAME`.
    pub path: String,
    /// Alloy's labels; empty in Promtail's file.
    pub labels: String,
    /// As written: a number of bytes, lines or seconds, or a cursor.
    pub value: String,
    /// Its key is there more than once.
    pub is_twice: bool,
    /// Where its key stands.
    pub line: u64,
    /// Its column.
    pub column: u64,
}

/// A file that is no positions file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseFault {
    /// Where.
    pub line: u64,
    /// Where in the line.
    pub column: u64,
    /// What it is; to follow "the positions file".
    pub text: String,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Map(Vec<(Node, Node)>),
    Other,
}

#[derive(Debug)]
struct Node {
    line: u64,
    column: u64,
    value: Value,
}

impl Node {
    fn fault(&self, text: impl Into<String>) -> ParseFault {
        ParseFault { line: self.line, column: self.column, text: text.into() }
    }

    fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }
}

/// Reads a positions file.
///
/// # Errors
/// Where and why it is none.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, ParseFault> {
    let whole = |text: &str| ParseFault { line: 1, column: 1, text: text.to_owned() };
    if bytes.is_empty() {
        return Err(whole("is empty, as a power cut leaves it"));
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Err(whole("holds nothing but NUL bytes, as a power cut leaves it"));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        return Err(ParseFault { line, column: 1, text: "holds NUL bytes".to_owned() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole("is not utf-8"))?;
    let Some(root) = document(text)? else { return Err(whole("holds no positions")) };
    let Node { value: Value::Map(top), .. } = root else { return Err(root.fault("is no map")) };
    let mut entries = Vec::new();
    for (key, value) in top {
        match (key.text(), value.value) {
            (Some("positions"), Value::Map(all)) => entries.extend(all.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?),
            (Some("positions"), Value::Text(text)) if text.is_empty() || text == "null" || text == "~" => {}
            (Some("positions"), _) => return Err(key.fault("has no map under `positions`")),
            _ => return Err(key.fault("holds another key than `positions`")),
        }
    }
    if entries.len() > ENTRIES_MAX {
        return Err(whole("holds too many entries"));
    }
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for entry in &entries {
        *seen.entry((entry.path.clone(), entry.labels.clone())).or_default() += 1;
    }
    for entry in &mut entries {
        entry.is_twice = seen.get(&(entry.path.clone(), entry.labels.clone())).is_some_and(|count| *count > 1);
    }
    Ok(entries)
}

fn entry((key, value): (Node, Node)) -> Result<Entry, ParseFault> {
    let (line, column) = (key.line, key.column);
    let Some(written) = value.text().map(str::to_owned) else { return Err(key.fault("has an entry that is no text or number")) };
    let mut entry = Entry { path: String::new(), labels: String::new(), value: written, is_twice: false, line, column };
    match key.value {
        Value::Text(path) => entry.path = path,
        Value::Map(parts) => {
            for (name, part) in parts {
                match (name.text(), part.text()) {
                    (Some("path"), Some(path)) => path.clone_into(&mut entry.path),
                    (Some("labels"), Some(labels)) => labels.clone_into(&mut entry.labels),
                    _ => return Err(name.fault("has a key that is neither a path nor {path, labels}")),
                }
            }
        }
        Value::Other => return Err(ParseFault { line, column, text: "has a key that is neither a path nor {path, labels}".to_owned() }),
    }
    if entry.path.is_empty() {
        return Err(ParseFault { line, column, text: "has an entry without a path".to_owned() });
    }
    Ok(entry)
}

/// What has begun and not ended yet.
enum Open {
    Map(Vec<(Node, Node)>, Option<Node>),
    List,
}

fn document(text: &str) -> Result<Option<Node>, ParseFault> {
    let options = granit_parser::options! { emit_comments: false, flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX };
    let mut events = Parser::new_from_str_with_options(text, options);
    let (mut root, mut open): (Option<Node>, Vec<(Open, u64, u64)>) = (None, Vec::new());
    while let Some(next) = events.next_event() {
        let (event, span) = next.map_err(|fault| {
            let (line, column) = (fault.marker().line() as u64, fault.marker().col() as u64 + 1);
            ParseFault { line, column, text: format!("is no yaml: {}", fault.info().to_string().trim_end_matches('.')) }
        })?;
        let (line, column) = (span.start.line() as u64, span.start.col() as u64 + 1);
        let finished = match event {
            Event::StreamEnd => break,
            Event::DocumentStart(..) if root.is_some() => return Err(ParseFault { line, column, text: "holds two documents".to_owned() }),
            Event::Scalar(text, ..) => Node { line, column, value: Value::Text(text.into_owned()) },
            Event::MappingStart(..) => {
                open.push((Open::Map(Vec::new(), None), line, column));
                continue;
            }
            Event::SequenceStart(..) => {
                open.push((Open::List, line, column));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some((Open::Map(entries, _), line, column)) => Node { line, column, value: Value::Map(entries) },
                Some((Open::List, line, column)) => Node { line, column, value: Value::Other },
                None => continue,
            },
            Event::Alias(_) => Node { line, column, value: Value::Other },
            // These carry no value, and an event that a later version of the parser adds would carry none either.
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd | Event::Anchor(..) | Event::UnresolvedAlias(_) | Event::Comment(..) | _ => {
                continue;
            }
        };
        match open.last_mut() {
            Some((Open::Map(entries, key), ..)) => match key.take() {
                None => *key = Some(finished),
                Some(key) => entries.push((key, finished)),
            },
            Some((Open::List, ..)) => {}
            None => root = Some(finished),
        }
    }
    Ok(root)
}
