//! `tenant`: the tenant for `clients`, carried as the label [`TENANT_LABEL`].
//!
//! For the hub the certificate decides the tenant: whoever ships to it removes the label, and the hub drops it
//! with all reserved ones. Must not do: accept an empty tenant; the label is then left alone.

use crate::compile::Compiler;
use crate::draft::{Draft, SlotId};
use crate::fault::Place;
use crate::label_sets::Edge;
use crate::settings::TenantSettings;
use crate::stage::Flow;
use crate::state::State;

/// The label that carries a line's tenant to Promtail's `clients`.
pub const TENANT_LABEL: &str = "__tenant_id__";

/// The stage.
#[derive(Debug)]
pub(crate) struct Tenant {
    from: From,
    edge: Edge,
}

#[derive(Debug)]
enum From {
    Label(String),
    Source(SlotId),
    Value(String),
}

impl Tenant {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, at: Place, settings: &TenantSettings) -> Option<Self> {
        let given = |text: &Option<crate::settings::Text>| text.as_ref().map(|text| text.value.clone()).filter(|text| !text.is_empty());
        let from = match (given(&settings.label), given(&settings.source), given(&settings.value)) {
            (Some(label), None, None) => From::Label(label),
            (None, Some(source), None) => From::Source(compiler.slot(&source)?),
            (None, None, Some(value)) => From::Value(value),
            _ => {
                compiler.mistake(at, "tenant: not exactly one of label, source and value is given", "keep one of the three");
                return None;
            }
        };
        Some(Self { from, edge: compiler.edge() })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let labels = state.sets.labels(draft.labels).clone();
        let tenant = match &self.from {
            From::Label(name) => labels.value(name).map(str::as_bytes),
            From::Source(id) => draft.parts.slots.text(*id),
            From::Value(value) => Some(value.as_bytes()),
        };
        if let Some(tenant) = tenant.filter(|tenant| !tenant.is_empty()) {
            draft.labels = state.sets.with(draft.labels, self.edge, TENANT_LABEL, tenant);
        }
        Flow::Next
    }
}

#[cfg(test)]
mod tests;
