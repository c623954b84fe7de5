//! A number for each label set, in order of first sight, for what keeps a column or a list of rows per stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Labels;

/// Label sets with their numbers from 0 on. The caller bounds how many there are.
#[derive(Debug, Clone, Default)]
pub struct LabelsNumbers {
    by_labels: BTreeMap<Arc<Labels>, usize>,
    /// That of the last line: lines come in runs.
    last: Option<(Arc<Labels>, usize)>,
}

impl LabelsNumbers {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { by_labels: BTreeMap::new(), last: None }
    }

    /// The number of `labels`, and whether they are seen for the first time: then it is the count of those before.
    pub fn number(&mut self, labels: &Arc<Labels>) -> (usize, bool) {
        if let Some((last, at)) = &self.last
            && Arc::ptr_eq(last, labels)
        {
            return (*at, false);
        }
        let next = self.by_labels.len();
        let at = *self.by_labels.entry(Arc::clone(labels)).or_insert(next);
        self.last = Some((Arc::clone(labels), at));
        (at, at == next)
    }

    /// Whether `labels` have a number.
    #[must_use]
    pub fn knows(&self, labels: &Arc<Labels>) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, labels)) || self.by_labels.contains_key(labels)
    }
}

/// In order of the labels.
impl IntoIterator for LabelsNumbers {
    type Item = (Arc<Labels>, usize);
    type IntoIter = std::collections::btree_map::IntoIter<Arc<Labels>, usize>;

    fn into_iter(self) -> Self::IntoIter {
        self.by_labels.into_iter()
    }
}
