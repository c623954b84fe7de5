//! `replace`: what the groups of an expression match is replaced, in the line or in an extracted value.
//!
//! Every group of every match is replaced by the template's text, whose `.Value` is what the group matched and whose
//! other names are extracted values; a group inside one that is replaced already is left out. Named groups of the
//! first match become extracted values, as replaced. Without a match nothing changes; a template that fails is
//! counted and changes nothing. Must not do: use a template it cannot read whole; that is a mistake.

use std::collections::BTreeMap;

use proto_extract::template::{Dialect, Template, TemplateFault};
use proto_model::Timestamp;
use regex::bytes::Regex;

use crate::compile::Compiler;
use crate::draft::{Draft, Line, SlotId};
use crate::fault::Place;
use crate::haystack::Haystack;
use crate::settings::{ReplaceSettings, place};
use crate::stage::Flow;
use crate::stages::template::Seen;
use crate::state::{Reader, State};

/// The stage.
#[derive(Debug)]
pub(crate) struct Replace {
    expression: Regex,
    source: Option<SlotId>,
    template: Template,
    /// Numbers of named groups and where they go.
    groups: Vec<(usize, SlotId)>,
}

/// A line with its groups replaced.
struct Replaced {
    text: Vec<u8>,
    values: Vec<(SlotId, String)>,
}

impl Replace {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &ReplaceSettings) -> Option<Self> {
        let expression = compiler.expression(at, "replace", "expression", settings.expression.as_ref());
        let source = compiler.source("replace", settings.source.as_ref());
        let (template_at, text) = settings.replace.as_ref().map_or((at, ""), |text| (place(text), &text.value));
        let template = Template::parse("replace", text, Dialect::Promtail)
            .map_err(|fault| {
                compiler.mistake(
                    template_at,
                    format!("replace: {fault}"),
                    "write a text, or one with {{ .Value }} and functions such as {{ .Value | ToUpper }}",
                )
            })
            .ok();
        let expression = expression?;
        let groups = expression.capture_names().enumerate().filter_map(|(n, name)| Some((n, compiler.slot(name?)?))).collect();
        Some(Self { source: source.ok()?, template: template?, expression, groups })
    }

    pub(crate) fn apply(&self, names: &[String], state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let slots = &draft.parts.slots;
        let text = match (self.source, draft.line) {
            (Some(source), _) => slots.text(source),
            (None, Line::Given(text)) => Some(text),
            (None, Line::Own) => Some(draft.parts.own.as_slice()),
        };
        let Some(text) = text else { return Flow::Next };
        let seen = Seen { value: None, entry: None, names, slots, labels: state.sets.labels(draft.labels) };
        match self.replaced(text, &seen, draft.time) {
            Ok(None) => {}
            Ok(Some(replaced)) => {
                match self.source {
                    Some(source) => draft.parts.slots.set(source, &replaced.text),
                    None => drop(draft.replace(replaced.text)),
                }
                for (id, value) in replaced.values {
                    draft.parts.slots.set(id, value.as_bytes());
                }
            }
            Err(_) => state.tally.error(Reader::Replace),
        }
        Flow::Next
    }

    /// `None` without a match.
    fn replaced(&self, text: &[u8], seen: &Seen<'_>, time: Timestamp) -> Result<Option<Replaced>, TemplateFault> {
        let haystack = Haystack::new(text);
        let mut out = Vec::with_capacity(text.len());
        let mut end = 0;
        let mut first: Option<Vec<(SlotId, &[u8])>> = None;
        // what each captured text became: Promtail finds the named groups' values by it
        let mut became: BTreeMap<&[u8], String> = BTreeMap::new();
        for found in self.expression.captures_iter(haystack.as_bytes()) {
            let bytes = |n: usize| found.get(n).map(|group| haystack.original(group.start(), group.end()));
            first.get_or_insert_with(|| self.groups.iter().map(|(n, id)| (*id, &text[bytes(*n).unwrap_or(0..0)])).collect());
            for range in (1..found.len()).filter_map(bytes) {
                let captured = &text[range.clone()];
                let made = self.render(captured, seen, time)?;
                if end <= range.start {
                    out.extend_from_slice(&text[end..range.start]);
                    out.extend_from_slice(made.as_bytes());
                    end = range.end;
                }
                if !self.groups.is_empty() {
                    became.insert(captured, made);
                }
            }
        }
        let Some(first) = first else { return Ok(None) };
        out.extend_from_slice(&text[end..]);
        let values = first.into_iter().filter_map(|(id, captured)| Some((id, became.get(captured)?.clone()))).collect();
        Ok(Some(Replaced { text: out, values }))
    }

    fn render(&self, captured: &[u8], seen: &Seen<'_>, time: Timestamp) -> Result<String, TemplateFault> {
        let mut out = String::new();
        self.template.render(&Seen { value: Some(captured), ..*seen }, captured, time, &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
