//! Templates of `line_format` and `label_format`, over `proto-extract`.
//!
//! Parts: [`Format`], compiled once. A template that fails marks the line with `TemplateFormatErr` and
//! leaves line and label as they were. Must not do: know the functions of templates.

use std::borrow::Cow;

use proto_extract::template::{Dialect, Fields, Template};
use proto_model::Timestamp;

use crate::record::{ERROR, LineLabels};

const FAILED: &str = "TemplateFormatErr";

/// A compiled template.
#[derive(Debug, Clone)]
pub(crate) struct Format(Template);

impl Format {
    /// The template of a line.
    ///
    /// # Errors
    /// In Loki's words.
    pub(crate) fn line_of(source: &str) -> Result<Self, String> {
        Template::parse("line", source, Dialect::LogQl).map(Self).map_err(|fault| format!("invalid line template: {fault}"))
    }

    /// The template of label `name`.
    ///
    /// # Errors
    /// In Loki's words.
    pub(crate) fn label_of(name: &str, source: &str) -> Result<Self, String> {
        Template::parse("label", source, Dialect::LogQl).map(Self).map_err(|fault| format!("invalid template for label '{name}': {fault}"))
    }

    /// Makes the line anew.
    pub(crate) fn line<'a>(&self, time: Timestamp, line: Cow<'a, [u8]>, labels: &mut LineLabels) -> Cow<'a, [u8]> {
        match self.render(time, &line, labels) {
            Ok(text) => Cow::Owned(text.into_bytes()),
            Err(details) => {
                labels.fail(FAILED, details);
                line
            }
        }
    }

    /// Sets label `name`; the template sees `seen`, or else the labels that it changes.
    pub(crate) fn label(&self, name: &str, time: Timestamp, line: &[u8], seen: Option<&LineLabels>, labels: &mut LineLabels) {
        match self.render(time, line, seen.unwrap_or(labels)) {
            Ok(text) => labels.set(name, &text),
            Err(details) => labels.fail(FAILED, details),
        }
    }

    fn render(&self, time: Timestamp, line: &[u8], labels: &LineLabels) -> Result<String, String> {
        let mut out = String::with_capacity(line.len());
        self.0.render(&Shown(labels), line, time, &mut out).map_err(|fault| fault.to_string())?;
        Ok(out)
    }
}

/// A line's labels as templates see them: the error is no field, as in Loki.
struct Shown<'l>(&'l LineLabels);

impl Fields for Shown<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.value(name).filter(|_| name != ERROR).map(Cow::Borrowed)
    }

    fn all(&self) -> Vec<(String, String)> {
        let all = self.0.all();
        all.iter().filter(|(name, _)| !name.starts_with(ERROR)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
