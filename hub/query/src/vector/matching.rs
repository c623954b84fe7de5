//! How the series of two sides find each other: `on`, `ignoring`, `group_left`, `group_right`, and the set
//! operators.
//!
//! Parts: [`Match`], made once for each operator, asked at each step. Promises: an ambiguous match is a
//! fault, in Loki's words, never a choice. Must not do: evaluate either side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hub_logql::{BinOp, GroupSide, VectorMatching};
use proto_model::Labels;

use super::{Sample, combined};
use crate::fault::QueryFault;

const MANY_RIGHT: &str = "found duplicate series on the right hand-side;many-to-many matching not allowed: matching labels must be unique on one side";
const MANY_LEFT: &str = "found duplicate series on the left hand-side;many-to-many matching not allowed: matching labels must be unique on one side";
const MANY_TO_ONE: &str = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
const GROUPS: &str = "multiple matches for labels: grouping labels must ensure unique matches";

/// A binary operator between two vectors.
#[derive(Debug)]
pub(crate) struct Match {
    op: BinOp,
    return_bool: bool,
    matching: Option<VectorMatching>,
    signatures: BTreeMap<Arc<Labels>, Arc<Labels>>,
}

impl Match {
    pub(crate) const fn new(op: BinOp, return_bool: bool, matching: Option<VectorMatching>) -> Self {
        Self { op, return_bool, matching, signatures: BTreeMap::new() }
    }

    /// The labels by which a series is matched.
    fn signature(&mut self, labels: &Arc<Labels>) -> Arc<Labels> {
        let Some(matching) = &self.matching else { return Arc::clone(labels) };
        if let Some(known) = self.signatures.get(labels) {
            return Arc::clone(known);
        }
        let mut signature = Labels::clone(labels);
        signature.retain(|name, _| matching.labels.iter().any(|label| label == name) == matching.on);
        let signature = Arc::new(signature);
        self.signatures.insert(Arc::clone(labels), Arc::clone(&signature));
        signature
    }

    /// The result at one step.
    ///
    /// # Errors
    /// [`QueryFault::Matching`] when more than one series of the "one" side match.
    pub(crate) fn combine(&mut self, left: Vec<Sample>, right: Vec<Sample>) -> Result<Vec<Sample>, QueryFault> {
        if self.op.is_set() {
            return Ok(self.set(left, right));
        }
        let group = self.matching.as_ref().and_then(|matching| matching.group);
        let swapped = group == Some(GroupSide::Right);
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let mut by_signature = BTreeMap::new();
        for sample in one {
            if by_signature.insert(self.signature(&sample.labels), sample).is_some() {
                return Err(QueryFault::Matching(if swapped { MANY_LEFT } else { MANY_RIGHT }));
            }
        }
        let mut met: BTreeMap<Arc<Labels>, BTreeSet<Arc<Labels>>> = BTreeMap::new();
        let mut out = Vec::new();
        for sample in many {
            let signature = self.signature(&sample.labels);
            let Some(partner) = by_signature.get(&signature) else { continue };
            let labels = self.result_labels(&sample.labels, &partner.labels, group.is_some());
            let matched = met.entry(signature).or_default();
            if group.is_none() && !matched.is_empty() {
                return Err(QueryFault::Matching(MANY_TO_ONE));
            }
            if !matched.insert(Arc::clone(&labels)) {
                return Err(QueryFault::Matching(GROUPS));
            }
            let (left, right) = if swapped { (partner.value, sample.value) } else { (sample.value, partner.value) };
            out.extend(combined(self.op, self.return_bool, left, right, left).map(|value| Sample { labels, value }));
        }
        Ok(out)
    }

    fn result_labels(&self, many: &Arc<Labels>, one: &Labels, grouped: bool) -> Arc<Labels> {
        let Some(matching) = &self.matching else { return Arc::clone(many) };
        let mut result = Labels::clone(many);
        if !grouped {
            result.retain(|name, _| matching.labels.iter().any(|label| label == name) == matching.on);
        }
        for name in &matching.include {
            result.set(name.as_str(), one.value(name).unwrap_or_default());
        }
        Arc::new(result)
    }

    fn set(&mut self, left: Vec<Sample>, right: Vec<Sample>) -> Vec<Sample> {
        let mut signatures = |samples: &[Sample]| samples.iter().map(|sample| self.signature(&sample.labels)).collect::<Vec<_>>();
        let (of_left, of_right) = (signatures(&left), signatures(&right));
        let (in_left, in_right): (BTreeSet<_>, BTreeSet<_>) = (of_left.iter().cloned().collect(), of_right.iter().cloned().collect());
        let kept = |samples: Vec<Sample>, of: Vec<Arc<Labels>>, keep: &dyn Fn(&Arc<Labels>) -> bool| {
            samples.into_iter().zip(of).filter(|(_, signature)| keep(signature)).map(|(sample, _)| sample).collect::<Vec<_>>()
        };
        if self.op == BinOp::And {
            return kept(left, of_left, &|signature| in_right.contains(signature));
        }
        if self.op == BinOp::Unless {
            return kept(left, of_left, &|signature| !in_right.contains(signature));
        }
        let mut out = left;
        out.extend(kept(right, of_right, &|signature| !in_left.contains(signature)));
        out
    }
}
