//! Which lane objects one absorption takes (lane rule 12). Pure.
//!
//! Parts: [`Portion`]; [`Plan`] and [`plan`]. Promises: a plan holds all sections of each of its tenants from its
//! watermark up to `to`; it takes at least one object. Must not do: read sections.

use std::collections::BTreeMap;

use hub_store::{Commit, LaneView};
use proto_model::TenantId;

use crate::limits::{HALVED_MAX, JOB_OBJECTS_MAX, JOB_RAW_MAX, JOB_STORED_MAX};

/// How much one job takes: half after each loss (lane rule 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Portion {
    halved: u32,
}

impl Portion {
    /// After the job lost a number.
    pub(crate) fn lost(self) -> Self {
        Self { halved: (self.halved + 1).min(HALVED_MAX) }
    }

    /// After it got its numbers.
    pub(crate) const fn done(self) -> Self {
        Self { halved: self.halved.saturating_sub(1) }
    }

    fn objects(self) -> usize {
        (JOB_OBJECTS_MAX >> self.halved).max(1)
    }

    const fn stored(self) -> u64 {
        JOB_STORED_MAX >> self.halved
    }

    const fn raw(self) -> u64 {
        JOB_RAW_MAX >> self.halved
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The objects, ascending, each with the sections that are wanted of it alone.
    pub(crate) objects: Vec<Commit>,
    /// The new watermark of its tenants.
    pub(crate) to: u64,
    /// The watermark of each of its tenants that it is built on.
    pub(crate) from: BTreeMap<TenantId, u64>,
}

/// The next job on a lane for the tenants of `marks` (their watermarks in it), up to `upto`; `None` when they have
/// nothing to absorb.
pub(crate) fn plan(view: &LaneView, marks: &BTreeMap<TenantId, u64>, upto: u64, portion: Portion) -> Option<Plan> {
    let mut plan = Plan { objects: Vec::new(), to: 0, from: BTreeMap::new() };
    let (mut stored, mut raw) = (0_u64, 0_u64);
    let lowest = marks.values().copied().min()?.max(view.floor());
    for object in view.objects_after(lowest).take_while(|object| object.number <= upto) {
        let wanted = |tenant: &TenantId| marks.get(tenant).is_some_and(|mark| object.number > *mark);
        let sections: Vec<_> = object.sections.iter().filter(|section| wanted(&section.tenant)).cloned().collect();
        if sections.is_empty() {
            continue;
        }
        stored = sections.iter().fold(stored, |sum, section| sum.saturating_add(section.length));
        raw = sections.iter().fold(raw, |sum, section| sum.saturating_add(section.bytes));
        let full = plan.objects.len() >= portion.objects() || stored > portion.stored() || raw > portion.raw();
        if full && !plan.objects.is_empty() {
            break;
        }
        for section in &sections {
            plan.from.insert(section.tenant.clone(), marks.get(&section.tenant).copied().unwrap_or(0));
        }
        plan.to = object.number;
        plan.objects.push(Commit { number: object.number, commit: object.commit, sections });
    }
    (!plan.objects.is_empty()).then_some(plan)
}

#[cfg(test)]
mod tests;
