//! `labeldrop`: the listed labels are removed.
//!
//! Must not do: touch extracted values of the same names.

use crate::compile::Compiler;
use crate::draft::Draft;
use crate::fault::Place;
use crate::label_sets::Edge;
use crate::settings::Text;
use crate::stage::Flow;
use crate::state::State;

/// The stage.
#[derive(Debug)]
pub(crate) struct LabelDrop {
    names: Vec<String>,
    edge: Edge,
}

impl LabelDrop {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, names: &[Text]) -> Option<Self> {
        let names = compiler.names(at, "labeldrop", names)?;
        Some(Self { names, edge: compiler.edge() })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        draft.labels = state.sets.step(draft.labels, self.edge, b"", |labels| labels.retain(|name, _| !self.names.iter().any(|n| n == name)));
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
