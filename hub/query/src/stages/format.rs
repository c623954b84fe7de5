//! Templates of `line_format` and `label_format`, over `proto-extract`.
//!
//! Parts: [`Format`], compiled once. A template that fails marks the line with `TemplateFormatErr` and
//! leaves line and label as they were. Must not do: know the functions of templates.

use std::borrow::Cow;

use proto_extract::template::Template;
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
        Template::named("line", source).map(Self).map_err(|fault| format!("invalid line template: {fault}"))
    }

    /// The template of label `name`.
    ///
    /// # Errors
    /// In Loki's words.
    pub(crate) fn label_of(name: &str, source: &str) -> Result<Self, String> {
        Template::named("label", source).map(Self).map_err(|fault| format!("invalid template for label '{name}': {fault}"))
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

    /// Sets label `name`.
    pub(crate) fn label(&self, name: &str, time: Timestamp, line: &[u8], labels: &mut LineLabels) {
        match self.render(time, line, labels) {
            Ok(text) => labels.set(name, &text),
            Err(details) => labels.fail(FAILED, details),
        }
    }

    fn render(&self, time: Timestamp, line: &[u8], labels: &LineLabels) -> Result<String, String> {
        let mut out = String::with_capacity(line.len());
        // The error is no field of a template, as in Loki.
        let mut field = |name: &str| labels.value(name).filter(|_| name != ERROR).map(|value| Cow::Owned(value.to_owned()));
        self.0.render(&mut field, line, time, &mut out).map_err(|fault| fault.to_string())?;
        Ok(out)
    }
}
