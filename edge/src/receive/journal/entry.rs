//! What becomes of an entry: its labels before relabelling, its line, whether it is wanted.
//!
//! Parts: [`Shape`] (what a job makes of entries), [`Taken`], [`Refusal`]. Pure. As Promtail: `__journal_<field>` in lower case,
//! `__journal_priority_keyword`, the line is `MESSAGE` or all fields as JSON with sorted names. Labels that no rule looks at are not made.
//! Must not do: relabel, read files.

use std::collections::BTreeMap;

use bytes::Bytes;
use edge_pipeline::Relabeling;
use proto_extract::gojson::push_quoted;
use proto_model::Labels;

use super::file::Field;

/// Fields of journald's priorities, by number.
const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];
const PRIORITY_KEYWORD: &str = "__journal_priority_keyword";
/// Names of fields whose label is remembered.
const NAMES_MAX: usize = 4_096;
/// Longest line made of all fields.
const JSON_BYTES_MAX: usize = 1024 * 1024;

/// What a job makes of entries.
#[derive(Debug)]
pub(super) struct Shape {
    json: bool,
    /// Of each field one of these values.
    matches: BTreeMap<String, Vec<String>>,
    rules: Relabeling,
    needs_keyword: bool,
    /// Each field's label, where a rule looks at it.
    names: BTreeMap<String, Option<String>>,
}

/// An entry as a job wants it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) labels: Labels,
    pub(super) line: Bytes,
}

/// Why nothing is made of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not match.
    NotWanted,
    /// It has no `MESSAGE`.
    NoMessage,
}

impl Shape {
    /// `matches` is `FIELD=value` by spaces; of one field several may be named.
    ///
    /// # Errors
    /// The word that is no `FIELD=value`.
    pub(super) fn new(json: bool, matches: &str, rules: Relabeling) -> Result<Self, String> {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for word in matches.split_ascii_whitespace() {
            let (field, value) = word.split_once('=').filter(|(field, _)| is_field(field)).ok_or_else(|| word.to_owned())?;
            wanted.entry(field.to_owned()).or_default().push(value.to_owned());
        }
        let needs_keyword = rules.reads(PRIORITY_KEYWORD);
        Ok(Self { json, matches: wanted, rules, needs_keyword, names: BTreeMap::new() })
    }

    /// What an entry's fields come to.
    pub(super) fn take<'a>(&mut self, fields: impl Iterator<Item = &'a Field> + Clone) -> Result<Taken, Refusal> {
        let is_met = |(name, values): (&String, &Vec<String>)| {
            fields.clone().any(|field| field.name == *name && values.iter().any(|value| value.as_bytes() == field.value.as_slice()))
        };
        if !self.matches.iter().all(is_met) {
            return Err(Refusal::NotWanted);
        }
        // Of a field that comes twice the last counts.
        let line = if self.json {
            as_json(fields.clone())
        } else {
            let message = fields.clone().filter(|field| field.name == "MESSAGE").last().ok_or(Refusal::NoMessage)?;
            Bytes::copy_from_slice(&message.value)
        };
        let mut labels = Labels::empty();
        for field in fields {
            if self.needs_keyword && field.name == "PRIORITY" {
                labels.set(PRIORITY_KEYWORD, keyword(&field.value));
            }
            if let Some(label) = self.label(&field.name) {
                labels.set(label, String::from_utf8_lossy(&field.value));
            }
        }
        Ok(Taken { labels, line })
    }

    fn label(&mut self, field: &str) -> Option<&str> {
        if !self.names.contains_key(field) {
            if self.names.len() >= NAMES_MAX {
                self.names.clear();
            }
            let label = format!("__journal_{}", field.to_lowercase());
            let read = self.rules.reads(&label);
            self.names.insert(field.to_owned(), read.then_some(label));
        }
        self.names.get(field)?.as_deref()
    }
}

/// Whether journald would take it as a field's name.
fn is_field(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn keyword(priority: &[u8]) -> String {
    match priority {
        [digit @ b'0'..=b'7'] => PRIORITIES[usize::from(digit - b'0')].to_owned(),
        other => String::from_utf8_lossy(other).into_owned(),
    }
}

fn as_json<'a>(fields: impl Iterator<Item = &'a Field>) -> Bytes {
    let sorted: BTreeMap<&str, &[u8]> = fields.map(|field| (field.name.as_str(), field.value.as_slice())).collect();
    let mut out = String::from("{");
    let mut left_out = 0;
    for (name, value) in sorted {
        if out.len() + name.len() + value.len() > JSON_BYTES_MAX {
            left_out += 1;
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        push_quoted(name.as_bytes(), &mut out);
        out.push(':');
        push_quoted(value, &mut out);
    }
    if left_out > 0 {
        out.push_str(&format!(",\"__FIELDS_LEFT_OUT\":\"{left_out}\""));
    }
    out.push('}');
    Bytes::from(out)
}

#[cfg(test)]
mod tests;
