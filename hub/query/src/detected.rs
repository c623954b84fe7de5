//! What labels and fields there are: `detected_labels`, `detected_fields`, `detected_field/<name>/values`.
//!
//! Parts: [`DetectedLabel`] with [`Engine::detected_labels`] (tables and footers alone), [`DetectedField`] and
//! [`FieldType`] with [`fields`] and [`field_values`], over the newest lines that a log query gave: metadata, labels of
//! the query's parsers, then JSON or, where a line is none, logfmt, as Loki tries them.
//! Promises: pure but for the labels; ascending by name; cardinalities are counted, not estimated; a field has the type of
//! most of its values (Loki: of whichever came last). Must not do: fetch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hub_logql::Matcher;
use hub_tenant::Grant;
use proto_extract::{json, quantity};
use proto_model::{Labels, TimeRange};

use crate::answer::{AnsweredEntry, LogAnswer, Pairs};
use crate::budget::Limits;
use crate::engine::Engine;
use crate::fault::QueryFault;
use crate::record::{ERROR, ERROR_DETAILS, EXTRACTED, LineLabels};
use crate::stages::parse;
use crate::wanted::Wanted;

/// Labels that are shown whatever their values.
const ALWAYS: [&str; 4] = ["cluster", "namespace", "instance", "pod"];

/// A label and how many values it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectedLabel {
    /// Its name.
    pub label: String,
    /// Its values.
    pub cardinality: usize,
}

/// A field that lines have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectedField {
    /// Its name as a label.
    pub label: String,
    /// What its values are.
    pub kind: FieldType,
    /// Different values among the lines looked at.
    pub cardinality: usize,
    /// `json`, `logfmt` or both, in the order they were met; none for metadata.
    pub parsers: Vec<&'static str>,
    /// The keys that lead to it in a JSON line; none when it stands in none.
    pub json_path: Vec<String>,
}

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldType {
    /// Whole numbers.
    Int,
    /// Numbers.
    Float,
    /// `true` and `false`, as Go reads them.
    Boolean,
    /// Go durations.
    Duration,
    /// Sizes with a unit.
    Bytes,
    /// Anything.
    String,
}

impl FieldType {
    /// As Loki writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }

    /// What one value is, tried in Loki's order.
    #[must_use]
    pub fn of(value: &str) -> Self {
        if value.parse::<i64>().is_ok() {
            Self::Int
        } else if quantity::float(value).is_ok() {
            Self::Float
        } else if matches!(value, "t" | "T" | "TRUE" | "true" | "True" | "f" | "F" | "FALSE" | "false" | "False") {
            Self::Boolean
        } else if quantity::duration_ns(value).is_ok() {
            Self::Duration
        } else if quantity::bytes(value).is_ok() {
            Self::Bytes
        } else {
            Self::String
        }
    }
}

impl Engine {
    /// The labels of the streams that have lines in `range`, but for those whose values are all numbers or UUIDs.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn detected_labels(
        &self,
        grants: &[Grant],
        range: TimeRange,
        selector: Option<&[Matcher]>,
        limits: &Limits,
    ) -> Result<Vec<DetectedLabel>, QueryFault> {
        let selectors: Vec<Vec<Matcher>> = selector.map(<[Matcher]>::to_vec).into_iter().collect();
        Ok(detected(&self.series(grants, &selectors, range, limits).await?))
    }
}

fn detected(streams: &[Arc<Labels>]) -> Vec<DetectedLabel> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in streams.iter().flat_map(|labels| labels.iter()) {
        values.entry(name).or_default().insert(value);
    }
    let shown = |(name, values): &(&str, BTreeSet<&str>)| !name.starts_with("__") && (ALWAYS.contains(name) || !are_ids(values));
    values.into_iter().filter(shown).map(|(name, values)| DetectedLabel { label: name.to_owned(), cardinality: values.len() }).collect()
}

/// Whether no value tells anything by itself. `0` and `1` alone are a yes or no.
fn are_ids(values: &BTreeSet<&str>) -> bool {
    let is_flag = values.iter().all(|value| matches!(*value, "0" | "1"));
    !is_flag && values.iter().all(|value| quantity::float(value).is_ok() || is_uuid(value))
}

/// In any of the forms that Go's `uuid.Parse` takes.
fn is_uuid(text: &str) -> bool {
    let bare = text.strip_prefix("urn:uuid:").or_else(|| text.strip_prefix('{').and_then(|text| text.strip_suffix('}'))).unwrap_or(text);
    let hex = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
    match bare.len() {
        32 => bare.len() == text.len() && hex(bare),
        36 => {
            let lengths: Vec<usize> = bare.split('-').map(str::len).collect();
            lengths == [8, 4, 4, 4, 12] && bare.split('-').all(hex)
        }
        _ => false,
    }
}

/// What is known of a field so far.
#[derive(Default)]
struct Seen {
    values: BTreeSet<String>,
    kinds: BTreeMap<FieldType, usize>,
    parsers: Vec<&'static str>,
    json_path: Vec<String>,
}

impl Seen {
    fn add(&mut self, value: &str) {
        if !self.values.contains(value) {
            self.values.insert(value.to_owned());
        }
        *self.kinds.entry(FieldType::of(value)).or_default() += 1;
    }

    /// The type of most values; whole numbers among others are numbers.
    fn kind(&self) -> FieldType {
        let most = self.kinds.iter().max_by_key(|(kind, count)| (**count, std::cmp::Reverse(**kind))).map_or(FieldType::String, |(kind, _)| *kind);
        if most == FieldType::Int && self.kinds.contains_key(&FieldType::Float) { FieldType::Float } else { most }
    }
}

/// The first `limit` fields of the lines of an answer, newest line first.
#[must_use]
pub fn fields(answer: &LogAnswer, limit: usize) -> Vec<DetectedField> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for (labels, entry) in newest_first(answer) {
        for (name, value) in &entry.metadata {
            if let Some(field) = field(&mut seen, name, limit) {
                field.add(value);
            }
        }
        let parsed = Parsed::of(labels, entry);
        for (name, value) in &parsed.pairs {
            let Some(field) = field(&mut seen, name, limit) else { continue };
            field.add(value);
            if let Some(parser) = parsed.parser.filter(|parser| !field.parsers.contains(parser)) {
                field.parsers.push(parser);
            }
            if field.json_path.is_empty() && parsed.parser == Some("json") {
                field.json_path = path_of(&entry.line, name);
            }
        }
    }
    let answered = |(label, seen): (String, Seen)| {
        let (kind, cardinality) = (seen.kind(), seen.values.len());
        DetectedField { label, kind, cardinality, parsers: seen.parsers, json_path: seen.json_path }
    };
    seen.into_iter().map(answered).collect()
}

fn field<'s>(seen: &'s mut BTreeMap<String, Seen>, name: &str, limit: usize) -> Option<&'s mut Seen> {
    if !seen.contains_key(name) {
        if seen.len() >= limit {
            return None;
        }
        seen.insert(name.to_owned(), Seen::default());
    }
    seen.get_mut(name)
}

/// The first `limit` values of field `name` in the lines of an answer, newest line first.
#[must_use]
pub fn field_values(answer: &LogAnswer, name: &str, limit: usize) -> Vec<String> {
    let mut values = BTreeSet::new();
    for (labels, entry) in newest_first(answer) {
        let parsed = Parsed::of(labels, entry);
        let all = entry.metadata.iter().chain(&parsed.pairs).filter(|(known, _)| known == name);
        for (_, value) in all {
            if values.len() >= limit {
                return values.into_iter().collect();
            }
            values.insert(value.clone());
        }
    }
    values.into_iter().collect()
}

fn newest_first(answer: &LogAnswer) -> Vec<(&Arc<Labels>, &AnsweredEntry)> {
    let mut all: Vec<_> = answer.streams.iter().flat_map(|stream| stream.entries.iter().map(|entry| (&stream.labels, entry))).collect();
    all.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.time));
    all
}

/// What a line holds besides its metadata.
struct Parsed {
    /// Of the query's parsers and of the one that could read the line, each pair once.
    pairs: BTreeSet<(String, String)>,
    parser: Option<&'static str>,
}

impl Parsed {
    fn of(labels: &Arc<Labels>, entry: &AnsweredEntry) -> Self {
        let mut pairs: BTreeSet<(String, String)> = entry.parsed.iter().filter(|(name, _)| name != ERROR && name != ERROR_DETAILS).cloned().collect();
        let mut line = LineLabels::new(Arc::clone(labels));
        parse::json(entry.line.as_bytes(), &mut line, &Wanted::All);
        let mut parser = "json";
        if line.error().is_some() {
            line.reset();
            parser = "logfmt";
            parse::logfmt(entry.line.as_bytes(), (false, false), &mut line, &Wanted::All);
        }
        if line.error().is_some() {
            return Self { pairs, parser: None };
        }
        let found: Pairs = line.parsed_pairs();
        pairs.extend(found);
        Self { pairs, parser: Some(parser) }
    }
}

/// The keys that lead to field `name` of a JSON line; empty when it has none of that name.
fn path_of(line: &str, name: &str) -> Vec<String> {
    let plain = name.strip_suffix(EXTRACTED).unwrap_or(name);
    let (mut exact, mut renamed) = (Vec::new(), Vec::new());
    // The fields before a fault stand all the same, and a line with one is no JSON line here.
    let (Ok(()) | Err(_)) = json::paths(line.as_bytes(), &mut |found, keys| {
        for (wanted, path) in [(name, &mut exact), (plain, &mut renamed)] {
            if found == wanted && path.is_empty() {
                keys.clone_into(path);
            }
        }
    });
    if exact.is_empty() { renamed } else { exact }
}

#[cfg(test)]
mod tests;
