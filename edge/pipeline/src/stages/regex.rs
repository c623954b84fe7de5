//! `regex`: named groups of an expression become extracted values.
//!
//! A group that took no part in the match gives an empty value; without a match nothing changes. Only groups
//! that some stage reads are taken. Must not do: count a line that does not match; that is how the stage is used.

use ::regex::bytes;

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::haystack::Haystack;
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
        let locations = &mut state.captures[self.index];
        draft.read(self.source, |text, slots| {
            let haystack = Haystack::new(text);
            if self.expression.captures_read(locations, haystack.as_bytes()).is_none() {
                return;
            }
            for (group, id) in &self.groups {
                let range = locations.get(*group).map_or(0..0, |(start, end)| haystack.original(start, end));
                slots.set(*id, &text[range]);
            }
        });
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
