//! `structured_metadata`: values go with the line instead of naming its stream.
//!
//! A name takes the extracted value of its source, else the label of that name; a label whose value was taken is
//! removed. Must not do: take a value that is no UTF-8; it stays in the line.

use std::str;

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::label_sets::Edge;
use crate::settings::Pairs;
use crate::stage::Flow;
use crate::state::State;

/// The stage.
#[derive(Debug)]
pub(crate) struct StructuredMetadata(Vec<Taken>);

#[derive(Debug)]
struct Taken {
    name: String,
    source_name: String,
    source: SlotId,
    edge: Edge,
}

impl StructuredMetadata {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &Pairs) -> Option<Self> {
        let sources = compiler.named_sources(at, "structured_metadata", settings)?;
        let taken = sources.into_iter().map(|(name, source)| Taken { name, source_name: compiler.slot_name(source), source, edge: compiler.edge() });
        Some(Self(taken.collect()))
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let had = draft.labels;
        for taken in &self.0 {
            let label = state.sets.labels(had).value(&taken.source_name);
            let value = draft.parts.slots.text(taken.source).and_then(|text| str::from_utf8(text).ok()).or(label);
            let Some(value) = value.map(str::to_owned) else { continue };
            if label == Some(&value) {
                draft.labels = state.sets.with(draft.labels, taken.edge, &taken.source_name, b"");
            }
            draft.set_metadata(&taken.name, &value);
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
