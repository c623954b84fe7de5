//! The labels of one line while a pipeline works on it: index labels, metadata, parsed labels, error.
//!
//! Parts: [`LineLabels`] (one, used again for every line), [`ERROR`] and [`ERROR_DETAILS`]. A lookup sees
//! parsed labels first, then index labels, then metadata. Promises: index labels are never copied while
//! nothing changes them. Must not do: know stages.

use std::borrow::Cow;
use std::sync::Arc;

use proto_extract::level::Level;
use proto_model::Labels;
use proto_wire::batch::Row;

use crate::answer::Pairs;
use crate::scan::DETECTED_LEVEL;

/// Names the stage that could not read the line.
pub(crate) const ERROR: &str = "__error__";
/// Says why.
pub(crate) const ERROR_DETAILS: &str = "__error_details__";
/// Added to the name of a parsed label that an index label or metadata already has.
pub(crate) const EXTRACTED: &str = "_extracted";

/// The labels of one line.
#[derive(Debug, Clone)]
pub(crate) struct LineLabels {
    base: Arc<Labels>,
    /// Index labels and metadata that stages removed.
    removed: Vec<String>,
    metadata: Pairs,
    parsed: Pairs,
    error: Option<&'static str>,
    details: Option<String>,
}

impl LineLabels {
    pub(crate) fn new(base: Arc<Labels>) -> Self {
        Self { base, removed: Vec::new(), metadata: Vec::new(), parsed: Vec::new(), error: None, details: None }
    }

    /// Starts the next line of the same stream.
    pub(crate) fn reset(&mut self) {
        self.removed.clear();
        self.metadata.clear();
        self.parsed.clear();
        self.error = None;
        self.details = None;
    }

    /// Starts the next line of the same stream with the metadata and the level of its row; gives their bytes.
    pub(crate) fn begin(&mut self, row: &Row<'_>) -> u64 {
        self.reset();
        let mut bytes = 0;
        if row.has_metadata() {
            for (name, value) in row.metadata() {
                bytes += name.len() + value.len();
                self.add_metadata(name, value);
            }
        }
        // A code without a level stands for "not looked for".
        if let Some(level) = Level::of_code(row.level) {
            bytes += DETECTED_LEVEL.len() + level.as_str().len();
            self.add_metadata(DETECTED_LEVEL, level.as_str());
        }
        bytes as u64
    }

    /// Gives the line metadata; where an index label has its name, it stands beside that under another, as in Loki.
    pub(crate) fn add_metadata(&mut self, name: &str, value: &str) {
        let name = if self.base.value(name).is_some() { format!("{name}{EXTRACTED}") } else { name.to_owned() };
        self.metadata.push((name, value.to_owned()));
    }

    pub(crate) const fn base(&self) -> &Arc<Labels> {
        &self.base
    }

    /// Whether the line has its index labels and nothing else.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_unchanged() && self.error.is_none() && self.details.is_none()
    }

    fn is_unchanged(&self) -> bool {
        self.removed.is_empty() && self.metadata.is_empty() && self.parsed.is_empty()
    }

    pub(crate) const fn error(&self) -> Option<&'static str> {
        self.error
    }

    /// The value of `name`, as every stage sees it.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        match name {
            ERROR => return self.error,
            // Loki shows it in answers only.
            ERROR_DETAILS => return None,
            _ => {}
        }
        if let Some(value) = find(&self.parsed, name) {
            return Some(value);
        }
        if !self.removed.is_empty() && self.removed.iter().any(|gone| gone == name) {
            return None;
        }
        self.base.value(name).or_else(|| find(&self.metadata, name))
    }

    /// The parsed label `name`.
    pub(crate) fn parsed(&self, name: &str) -> Option<&str> {
        find(&self.parsed, name)
    }

    /// The name under which a stage may set `name`: another where the line already came with it.
    pub(crate) fn free_name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.base.value(name).is_some() || find(&self.metadata, name).is_some() { Cow::Owned(format!("{name}{EXTRACTED}")) } else { Cow::Borrowed(name) }
    }

    /// Sets a parsed label; it hides an index label or metadata of that name.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if let Some((_, old)) = self.parsed.iter_mut().find(|(n, _)| n == name) {
            value.clone_into(old);
            return;
        }
        self.metadata.retain(|(n, _)| n != name);
        self.parsed.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        match name {
            ERROR => self.error = None,
            ERROR_DETAILS => self.details = None,
            _ => {
                self.parsed.retain(|(n, _)| n != name);
                self.metadata.retain(|(n, _)| n != name);
                if self.base.value(name).is_some() && !self.removed.iter().any(|gone| gone == name) {
                    self.removed.push(name.to_owned());
                }
            }
        }
    }

    /// Keeps the labels for which `keep(name, value)` holds; the error stays.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str, &str) -> bool) {
        let base = Arc::clone(&self.base);
        for (name, value) in base.iter() {
            let hidden = self.removed.iter().any(|gone| gone == name) || self.parsed(name).is_some();
            if !hidden && !keep(name, value) {
                self.removed.push(name.to_owned());
            }
        }
        self.metadata.retain(|(name, value)| keep(name, value));
        self.parsed.retain(|(name, value)| keep(name, value));
    }

    pub(crate) fn fail(&mut self, error: &'static str, details: impl Into<String>) {
        self.error = Some(error);
        self.details = Some(details.into());
    }

    /// The index labels that are left.
    pub(crate) fn stream(&self) -> Arc<Labels> {
        let hidden = |name: &str| self.removed.iter().any(|gone| gone == name) || self.parsed(name).is_some();
        if (self.removed.is_empty() && self.parsed.is_empty()) || !self.base.iter().any(|(name, _)| hidden(name)) {
            return Arc::clone(&self.base);
        }
        let mut left = Labels::clone(&self.base);
        left.retain(|name, _| !hidden(name));
        Arc::new(left)
    }

    /// The metadata that is left, by name.
    pub(crate) fn metadata_pairs(&self) -> Pairs {
        let mut pairs = self.metadata.clone();
        pairs.sort_unstable();
        pairs
    }

    /// The parsed labels and the error, by name.
    pub(crate) fn parsed_pairs(&self) -> Pairs {
        let mut pairs = self.parsed.clone();
        pairs.extend(self.error.map(|error| (ERROR.to_owned(), error.to_owned())));
        // A line whose error was dropped shows the details only where something else about it changed, as in Loki.
        let shown = self.error.is_some() || !self.is_unchanged();
        pairs.extend(self.details.as_ref().filter(|_| shown).map(|details| (ERROR_DETAILS.to_owned(), details.clone())));
        pairs.sort_unstable();
        pairs
    }

    /// All labels together; empty values are absent.
    pub(crate) fn all(&self) -> Labels {
        let mut all = Labels::empty();
        for (name, value) in &self.metadata {
            all.set(name.as_str(), value.as_str());
        }
        for (name, value) in self.base.iter() {
            if !self.removed.iter().any(|gone| gone == name) {
                all.set(name, value);
            }
        }
        for (name, value) in &self.parsed {
            all.set(name.as_str(), value.as_str());
        }
        for (name, value) in [(ERROR, self.error), (ERROR_DETAILS, self.details.as_deref())] {
            if let Some(value) = value {
                all.set(name, value);
            }
        }
        all
    }
}

fn find<'p>(pairs: &'p Pairs, name: &str) -> Option<&'p str> {
    pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}
