//! `regex`: named groups of an expression become extracted values.
//!
//! A group that took no part in the match gives an empty value; without a match nothing changes. Only groups
//! that some stage reads are taken. Parts: [`Regex`], [`Matched`] (a source that reads as at the last line, as `filename`
//! does at every line, is not matched again). Must not do: count a line that does not match; that is how the stage is used.

use std::ops::Range;

use ::regex::bytes;

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId, Slots};
use crate::fault::Place;
use crate::haystack::Haystack;
use crate::limits::LABEL_VALUE_BYTES_MAX;
use crate::settings::RegexSettings;
use crate::stage::Flow;
use crate::state::State;

/// The stage.
#[derive(Debug)]
pub(crate) struct Regex {
    expression: bytes::Regex,
    source: Option<SlotId>,
    /// Group numbers and where they go.
    groups: Vec<(usize, SlotId)>,
    /// Which of the run's capture locations.
    index: usize,
}

/// What a source's run remembers of one expression: room for where its groups stand, and what the last text gave.
pub(crate) struct Matched {
    locations: bytes::CaptureLocations,
    /// The last text of a source; a line is not compared, lines differ.
    text: Vec<u8>,
    /// Where the groups stand in it; `None` when it does not match, or nothing was matched yet.
    groups: Option<Vec<Range<usize>>>,
    is_known: bool,
}

impl Matched {
    pub(crate) fn new(expression: &bytes::Regex) -> Self {
        Self { locations: expression.capture_locations(), text: Vec::new(), groups: None, is_known: false }
    }

    fn knows(&self, text: &[u8]) -> bool {
        self.is_known && self.text == text
    }
}

impl Regex {
    /// `None` after a mistake, or when no stage reads any of the groups.
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &RegexSettings) -> Option<Self> {
        let expression = compiler.expression(at, "regex", "expression", settings.expression.as_ref());
        let source = compiler.source("regex", settings.source.as_ref());
        let expression = expression?;
        let groups: Vec<_> = expression.capture_names().enumerate().filter_map(|(n, name)| Some((n, compiler.slot(name?)?))).collect();
        let source = source.ok()?;
        (!groups.is_empty()).then(|| Self { index: compiler.captures(&expression), expression, source, groups })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let matched = &mut state.matched[self.index];
        if self.source.is_none() {
            let (text, slots) = draft.split();
            if let Some(groups) = self.groups_in(text, &mut matched.locations) {
                self.fill(text, groups, slots);
            }
            return Flow::Next;
        }
        draft.read(self.source, |text, slots| {
            if !matched.knows(text) {
                matched.groups = self.groups_in(text, &mut matched.locations).map(Iterator::collect);
                matched.is_known = text.len() <= LABEL_VALUE_BYTES_MAX;
                matched.text.clear();
                matched.text.extend_from_slice(if matched.is_known { text } else { &[] });
            }
            if let Some(groups) = &matched.groups {
                self.fill(text, groups.iter().cloned(), slots);
            }
        });
        Flow::Next
    }

    /// Where the groups stand in `text`; `None` when it does not match.
    fn groups_in<'t>(&'t self, text: &'t [u8], locations: &'t mut bytes::CaptureLocations) -> Option<impl Iterator<Item = Range<usize>> + 't> {
        let haystack = Haystack::new(text);
        self.expression.captures_read(locations, haystack.as_bytes())?;
        let locations = &*locations;
        Some(self.groups.iter().map(move |(group, _)| locations.get(*group).map_or(0..0, |(start, end)| haystack.original(start, end))))
    }

    fn fill(&self, text: &[u8], groups: impl Iterator<Item = Range<usize>>, slots: &mut Slots) {
        for ((_, id), range) in self.groups.iter().zip(groups) {
            slots.set(*id, &text[range]);
        }
    }
}

#[cfg(test)]
mod tests;
