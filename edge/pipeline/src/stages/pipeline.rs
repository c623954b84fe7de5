//! `pipeline`: nested stages; and what begins every pipeline, nested or not.
//!
//! Where a pipeline begins, each label becomes an extracted value of its name, over one that is there already.
//! `cri` and `docker` begin one too: they are pipelines in Promtail. Must not do: anything when no stage reads
//! extracted values; the compiler then leaves the step out.

use crate::draft::Draft;
use crate::stage::Flow;
use crate::state::State;

/// Copies the labels whose names (`names`, by slot) some stage reads.
pub(crate) fn begin(names: &[String], state: &mut State, draft: &mut Draft<'_>) -> Flow {
    for (id, value) in state.sets.values(draft.labels, names) {
        draft.parts.slots.set(*id, value.as_bytes());
    }
    Flow::Next
}

#[cfg(test)]
mod tests;
