//! `template`: an extracted value becomes the text of a template over the extracted values.
//!
//! `.Value` is the value of the source, `.Entry` the line, any other name an extracted value; what is missing prints
//! `<no value>`. An empty text takes the value away. A template that fails is counted and changes nothing.
//! Parts: [`TemplateStage`], [`Seen`] (what a template sees; `replace` uses it too), [`names_in`]. A template that asks
//! for all values (`range .`) sees those that the pipeline's stages name and the labels.
//! Must not do: know the functions; `proto_extract::template` does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proto_extract::template::{Dialect, Fields, Template};
use proto_model::Labels;

use crate::compile::Compiler;
use crate::draft::{Draft, Line, SlotId, Slots};
use crate::fault::Place;
use crate::settings::{TemplateSettings, place};
use crate::stage::Flow;
use crate::state::{Reader, State};

/// The stage.
#[derive(Debug)]
pub(crate) struct TemplateStage {
    source: SlotId,
    template: Template,
}

/// The names of extracted values that a template asks for; `None` when it may ask for any.
pub(crate) fn names_in(template: &str) -> Option<Vec<String>> {
    let parsed = Template::parse("template", template, Dialect::Promtail).ok();
    let Some(parsed) = parsed else { return Some(Vec::new()) };
    parsed.fields().map(|names| names.into_iter().filter(|name| *name != "Value").map(str::to_owned).collect())
}

impl TemplateStage {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &TemplateSettings) -> Option<Self> {
        let source = compiler.required_source(at, "template", settings.source.as_ref());
        let (template_at, text) = settings.template.as_ref().map_or((at, ""), |text| (place(text), &text.value));
        let template = Template::parse("pipeline_template", text, Dialect::Promtail)
            .map_err(|fault| compiler.mistake(template_at, format!("template: {fault}"), "write Go's text/template, for example '{{ .Value | ToUpper }}'"))
            .ok();
        Some(Self { source: source?, template: template? })
    }

    pub(crate) fn apply(&self, names: &[String], state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let mut out = String::new();
        let slots = &draft.parts.slots;
        let line = match draft.line {
            Line::Given(text) => text,
            Line::Own => draft.parts.own.as_slice(),
        };
        let seen = Seen { value: slots.text(self.source), entry: Some(line), names, slots, labels: state.sets.labels(draft.labels) };
        match self.template.render(&seen, line, draft.time, &mut out) {
            Err(_) => state.tally.error(Reader::Template),
            Ok(()) if out.is_empty() => draft.parts.slots.unset(self.source),
            Ok(()) => draft.parts.slots.set(self.source, out.as_bytes()),
        }
        Flow::Next
    }
}

/// What a template sees.
pub(crate) struct Seen<'s> {
    pub(crate) value: Option<&'s [u8]>,
    /// The line, where there is `.Entry`.
    pub(crate) entry: Option<&'s [u8]>,
    /// Names of the slots, sorted.
    pub(crate) names: &'s [String],
    pub(crate) slots: &'s Slots,
    pub(crate) labels: &'s Labels,
}

impl Fields for Seen<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        match (name, self.value, self.entry) {
            ("Value", Some(value), _) => return Some(String::from_utf8_lossy(value)),
            ("Entry", _, Some(entry)) => return Some(String::from_utf8_lossy(entry)),
            _ => {}
        }
        let id = self.names.binary_search_by(|known| known.as_str().cmp(name)).ok().map(SlotId)?;
        self.slots.text(id).map(String::from_utf8_lossy)
    }

    fn all(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> = self.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        all.retain(|name, _| self.names.binary_search(name).is_err());
        let named = self.names.iter().map(String::as_str).chain(["Value", "Entry"]);
        all.extend(named.filter_map(|name| Some((name.to_owned(), self.get(name)?.into_owned()))));
        all.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
