//! `labels`: extracted values become labels.
//!
//! A value that is missing, null or no UTF-8 changes nothing; an empty one removes the label, which is what a
//! label without a value means; one longer than `LABEL_VALUE_BYTES_MAX` is counted and changes nothing.
//! Must not do: bound how many values a label takes; tenants' limits do.

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::label_sets::Edge;
use crate::limits::LABEL_VALUE_BYTES_MAX;
use crate::settings::Pairs;
use crate::stage::Flow;
use crate::state::{Reader, State};

/// The stage.
#[derive(Debug)]
pub(crate) struct SetLabels(Vec<(String, SlotId, Edge)>);

impl SetLabels {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &Pairs) -> Option<Self> {
        let sources = compiler.named_sources(at, "labels", settings)?;
        Some(Self(sources.into_iter().map(|(name, source)| (name, source, compiler.edge())).collect()))
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        for (name, source, edge) in &self.0 {
            if let Some(value) = draft.parts.slots.text(*source) {
                if value.len() > LABEL_VALUE_BYTES_MAX {
                    state.tally.error(Reader::Labels);
                }
                draft.labels = state.sets.with(draft.labels, *edge, name, value);
            }
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
