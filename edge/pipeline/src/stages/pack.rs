//! `pack`: the line becomes a JSON object of itself (`_entry`) and the listed values; labels that were packed are removed.
//!
//! Keys are sorted, `_entry` stands last; texts are escaped as Go's encoder does. With `ingest_timestamp` (the default) the
//! record's time becomes that of its reading. Must not do: pack a value that is null.

use std::collections::BTreeSet;

use proto_extract::gojson::push_quoted;

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::label_sets::Edge;
use crate::settings::PackSettings;
use crate::stage::Flow;
use crate::state::State;

/// The stage.
#[derive(Debug)]
pub(crate) struct Pack {
    /// By name.
    packed: Vec<(String, SlotId, Edge)>,
    ingest_timestamp: bool,
}

impl Pack {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, settings: &PackSettings) -> Option<Self> {
        let names: BTreeSet<&str> = settings.labels.iter().map(|text| text.value.as_str()).collect();
        let packed: Option<_> = names.into_iter().map(|name| Some((name.to_owned(), compiler.slot(name)?, compiler.edge()))).collect();
        Some(Self { packed: packed?, ingest_timestamp: settings.ingest_timestamp.unwrap_or(true) })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let mut out = String::with_capacity(draft.text().len() + 64);
        out.push('{');
        for (name, id, edge) in &self.packed {
            let Some(value) = draft.parts.slots.text(*id) else { continue };
            push_quoted(name.as_bytes(), &mut out);
            out.push(':');
            push_quoted(value, &mut out);
            out.push(',');
            draft.labels = state.sets.with(draft.labels, *edge, name, b"");
        }
        out.push_str("\"_entry\":");
        push_quoted(draft.text(), &mut out);
        out.push('}');
        draft.replace(out.into_bytes());
        if self.ingest_timestamp {
            draft.time = state.now;
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
