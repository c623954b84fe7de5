//! Labels that every line gets which has none of that name: `-client.external-labels`.
//!
//! Pure. [`Added`] keeps what became of the label sets that came lately, [`KEPT_MAX`] of them. Must not do: take a label away.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_model::Labels;

/// Label sets remembered: a batch holds fewer streams.
const KEPT_MAX: usize = 4_096;

/// The labels, and the sets that have them.
#[derive(Debug, Default)]
pub(super) struct Added {
    labels: Labels,
    known: BTreeMap<Arc<Labels>, Arc<Labels>>,
}

impl Added {
    pub(super) fn new(labels: Labels) -> Self {
        Self { labels, known: BTreeMap::new() }
    }

    /// Whether there is nothing to add.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The labels of a line that came with `labels`.
    pub(super) fn to(&mut self, labels: &Arc<Labels>) -> Arc<Labels> {
        if let Some(known) = self.known.get(labels) {
            return Arc::clone(known);
        }
        if self.known.len() >= KEPT_MAX {
            self.known.clear();
        }
        let mut all = (**labels).clone();
        for (name, value) in self.labels.iter().filter(|(name, _)| labels.value(name).is_none()) {
            all.set(name, value);
        }
        let all = Arc::new(all);
        self.known.insert(Arc::clone(labels), Arc::clone(&all));
        all
    }
}
