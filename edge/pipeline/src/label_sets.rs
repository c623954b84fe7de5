//! The label sets of one source, each made once and handed out by the same address from then on.
//!
//! A line's label set is its source's, changed by a few stages in a few ways. [`LabelSets`] remembers each
//! set and, for each set, where every change led last time, so that the common line finds its labels by
//! comparing a few bytes. Parts: [`SetId`], [`LabelSets`]. Limits: `LABEL_SETS_MAX` sets, then the table is
//! built anew at the next line; `STEPS_MAX` remembered changes a set, the oldest forgotten first.
//! Must not do: decide what a change is; stages say that.

use std::collections::BTreeMap;
use std::str;
use std::sync::Arc;

use proto_model::Labels;

use crate::draft::SlotId;
use crate::limits::{LABEL_SETS_MAX, LABEL_VALUE_BYTES_MAX, STEP_VALUE_BYTES_MAX, STEPS_MAX};

/// A label set in the table; valid until the next [`LabelSets::trim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetId(usize);

/// Which change of which stage; numbered when the program is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge(pub(crate) u32);

/// All label sets that one source's lines had so far.
pub(crate) struct LabelSets {
    sets: Vec<Set>,
    by_content: BTreeMap<Arc<Labels>, SetId>,
}

struct Set {
    labels: Arc<Labels>,
    steps: Vec<Step>,
    oldest: usize,
    /// The labels that some stage reads as extracted values, once asked for.
    values: Option<Vec<(SlotId, String)>>,
}

/// "That change with this value led there."
struct Step {
    edge: Edge,
    value: Vec<u8>,
    to: SetId,
}

impl LabelSets {
    /// The set the source itself has.
    pub(crate) const BASE: SetId = SetId(0);

    pub(crate) fn new(base: Arc<Labels>) -> Self {
        Self { sets: vec![Set::new(Arc::clone(&base))], by_content: BTreeMap::from([(base, Self::BASE)]) }
    }

    pub(crate) fn labels(&self, id: SetId) -> &Arc<Labels> {
        &self.sets[id.0].labels
    }

    /// The labels of a set whose names are among `names`, by their place there. `names` is the same at every call.
    pub(crate) fn values(&mut self, id: SetId, names: &[String]) -> &[(SlotId, String)] {
        let Set { labels, values, .. } = &mut self.sets[id.0];
        let value = |(n, name): (usize, &String)| labels.value(name).map(|value| (SlotId(n), value.to_owned()));
        values.get_or_insert_with(|| names.iter().enumerate().filter_map(value).collect())
    }

    /// Forgets all but the source's own set once there are too many. Ids given out before are void.
    pub(crate) fn trim(&mut self) {
        if self.sets.len() > LABEL_SETS_MAX {
            *self = Self::new(Arc::clone(self.labels(Self::BASE)));
        }
    }

    /// The id of a set with these labels; `labels` itself is kept when there is none yet.
    pub(crate) fn intern(&mut self, labels: &Arc<Labels>) -> SetId {
        if let Some(id) = self.by_content.get(labels) {
            return *id;
        }
        let id = SetId(self.sets.len());
        self.sets.push(Set::new(Arc::clone(labels)));
        self.by_content.insert(Arc::clone(labels), id);
        id
    }

    /// `from` with `name` set to `value`: an empty value removes it; one that is no UTF-8, or longer than
    /// `LABEL_VALUE_BYTES_MAX`, changes nothing.
    pub(crate) fn with(&mut self, from: SetId, edge: Edge, name: &str, value: &[u8]) -> SetId {
        if value.len() > LABEL_VALUE_BYTES_MAX {
            return from;
        }
        self.step(from, edge, value, |labels| {
            if let Ok(text) = str::from_utf8(value) {
                labels.set(name, text);
            }
        })
    }

    /// `from` after `change`, which must depend on nothing but the labels, `edge` and `value`.
    pub(crate) fn step(&mut self, from: SetId, edge: Edge, value: &[u8], change: impl FnOnce(&mut Labels)) -> SetId {
        if let Some(step) = self.sets[from.0].steps.iter().find(|step| step.is(edge, value)) {
            return step.to;
        }
        let mut labels = Labels::clone(self.labels(from));
        change(&mut labels);
        let to = self.intern(&Arc::new(labels));
        if value.len() <= STEP_VALUE_BYTES_MAX {
            self.sets[from.0].remember(Step { edge, value: value.to_vec(), to });
        }
        to
    }
}

impl Step {
    fn is(&self, edge: Edge, value: &[u8]) -> bool {
        // an empty value is not compared: its buffer has no address, and comparing there is slow on some machines
        self.edge == edge && self.value.len() == value.len() && (value.is_empty() || self.value == value)
    }
}

impl Set {
    fn new(labels: Arc<Labels>) -> Self {
        Self { labels, steps: Vec::new(), oldest: 0, values: None }
    }

    fn remember(&mut self, step: Step) {
        if self.steps.len() < STEPS_MAX {
            self.steps.push(step);
        } else {
            self.steps[self.oldest] = step;
            self.oldest = (self.oldest + 1) % STEPS_MAX;
        }
    }
}

#[cfg(test)]
mod tests;
