//! `static_labels`: labels with values that the configuration gives.
//!
//! Must not do: touch a label whose value is left empty; Promtail skips it.

use crate::compile::Compiler;
use crate::draft::Draft;
use crate::fault::Place;
use crate::label_sets::Edge;
use crate::settings::Pairs;
use crate::stage::Flow;
use crate::state::State;

/// The stage.
#[derive(Debug)]
pub(crate) struct StaticLabels {
    labels: Vec<(String, String)>,
    edge: Edge,
}

impl StaticLabels {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &Pairs) -> Option<Self> {
        if settings.0.is_empty() {
            compiler.mistake(at, "static_labels: no label is given", "give at least one, for example static_labels: {site: north}");
            return None;
        }
        let mut labels = Vec::new();
        for (name, value) in &settings.0 {
            compiler.label_name("static_labels", name);
            if let Some(value) = value.as_ref().filter(|value| !value.value.is_empty()) {
                labels.push((name.value.clone(), value.value.clone()));
            }
        }
        Some(Self { labels, edge: compiler.edge() })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        draft.labels = state.sets.step(draft.labels, self.edge, b"", |labels| {
            for (name, value) in &self.labels {
                labels.set(name.as_str(), value.as_str());
            }
        });
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
