//! `labelallow`: all labels but the listed ones are removed.
//!
//! Must not do: touch extracted values.

use crate::compile::Compiler;
use crate::draft::Draft;
use crate::fault::Place;
use crate::label_sets::Edge;
use crate::settings::Text;
use crate::stage::Flow;
use crate::state::State;

/// The stage.
#[derive(Debug)]
pub(crate) struct LabelAllow {
    names: Vec<String>,
    edge: Edge,
}

impl LabelAllow {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, names: &[Text]) -> Option<Self> {
        let names = compiler.names(at, "labelallow", names)?;
        Some(Self { names, edge: compiler.edge() })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        draft.labels = state.sets.step(draft.labels, self.edge, b"", |labels| labels.retain(|name, _| self.names.iter().any(|n| n == name)));
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
