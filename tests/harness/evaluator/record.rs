//! The labels of one line while a pipeline works on it: one map, and where its names came from.

use std::collections::BTreeSet;

use super::{Line, Set};

/// A line under way.
#[derive(Debug, Clone)]
pub struct Record {
    /// What stages see.
    pub labels: Set,
    /// Names that the line came with: a parser that finds one of them adds `_extracted`.
    pub came: BTreeSet<String>,
    /// Names that stages made.
    pub made: BTreeSet<String>,
    /// `__error__`.
    pub error: Option<String>,
    /// The text.
    pub text: String,
}

impl Record {
    /// As stored.
    #[must_use]
    pub fn new(line: &Line) -> Self {
        let mut labels = line.stream.clone();
        for (name, value) in &line.metadata {
            // Metadata named as an index label stands beside it.
            let name = if line.stream.contains_key(name) { format!("{name}_extracted") } else { name.clone() };
            labels.insert(name, value.clone());
        }
        let came = labels.keys().cloned().collect();
        Self { labels, came, made: BTreeSet::new(), error: None, text: line.text.clone() }
    }

    /// The value of a label; "" when there is none.
    #[must_use]
    pub fn text_of(&self, name: &str) -> &str {
        self.value(name).unwrap_or_default()
    }

    /// The value of a label.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        if name == "__error__" { self.error.as_deref() } else { self.labels.get(name).map(String::as_str) }
    }

    /// The name under which a parser may set `name`.
    #[must_use]
    pub fn free(&self, name: &str) -> String {
        if self.came.contains(name) { format!("{name}_extracted") } else { name.to_owned() }
    }

    /// Sets a label; what was there is gone.
    pub fn set(&mut self, name: &str, value: &str) {
        self.made.insert(name.to_owned());
        self.labels.insert(name.to_owned(), value.to_owned());
    }

    /// Sets what a parser found, the first of a name.
    pub fn set_first(&mut self, name: &str, value: &str) {
        let name = self.free(name);
        if !self.made.contains(&name) {
            self.set(&name, value);
        }
    }

    /// Takes a label away.
    pub fn remove(&mut self, name: &str) {
        if name == "__error__" {
            self.error = None;
        }
        self.made.remove(name);
        self.labels.remove(name);
    }

    /// As answered.
    #[must_use]
    pub fn shown(&self) -> Set {
        let mut labels = self.labels.clone();
        if let Some(error) = &self.error {
            labels.insert("__error__".to_owned(), error.clone());
        }
        labels
    }
}
