//! What is done with the series of one step: aggregations and binary operations.
//!
//! Parts: [`Sample`], [`Grouped`] (label sets to group label sets, remembered from step to step),
//! [`aggregate`], [`with_scalar`], [`Match`] and [`Match::combine`] (vector matching). Promises: the order of
//! samples in does not change the samples out, but for the last digits of sums; of equal values topk keeps
//! those whose labels come first. Must not do: know steps or windows.

pub(crate) mod matching;

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_logql::{BinOp, Grouping, VectorOp};
use proto_model::Labels;

use crate::range::over::variance;

/// One series at one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Arc<Labels>,
    pub(crate) value: f64,
}

/// Maps label sets to the label sets of their groups, each worked out once.
#[derive(Debug, Default)]
pub(crate) struct Grouped {
    known: BTreeMap<Arc<Labels>, Arc<Labels>>,
}

impl Grouped {
    fn of(&mut self, labels: &Arc<Labels>, grouping: Option<&Grouping>) -> Arc<Labels> {
        if let Some(group) = self.known.get(labels) {
            return Arc::clone(group);
        }
        let group = Arc::new(group_labels(labels, grouping));
        self.known.insert(Arc::clone(labels), Arc::clone(&group));
        group
    }
}

fn group_labels(labels: &Labels, grouping: Option<&Grouping>) -> Labels {
    let Some(grouping) = grouping else { return Labels::empty() };
    let mut group = labels.clone();
    group.retain(|name, _| grouping.labels.iter().any(|label| label == name) != grouping.without);
    group
}

/// Applies `op` to each group.
pub(crate) fn aggregate(op: VectorOp, param: Option<f64>, grouping: Option<&Grouping>, grouped: &mut Grouped, samples: Vec<Sample>) -> Vec<Sample> {
    if matches!(op, VectorOp::Sort | VectorOp::SortDesc) {
        return sorted(op, samples);
    }
    let mut groups: BTreeMap<Arc<Labels>, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        groups.entry(grouped.of(&sample.labels, grouping)).or_default().push(sample);
    }
    let mut out = Vec::new();
    for (labels, samples) in groups {
        match op {
            VectorOp::Topk | VectorOp::ApproxTopk | VectorOp::Bottomk => out.extend(extreme(op, param, samples)),
            VectorOp::Sum | VectorOp::Avg | VectorOp::Min | VectorOp::Max | VectorOp::Count | VectorOp::Stddev | VectorOp::Stdvar => {
                out.push(Sample { labels, value: fold(op, &samples) });
            }
            VectorOp::Sort | VectorOp::SortDesc => {}
        }
    }
    out
}

/// One number of a group that is not empty.
fn fold(op: VectorOp, samples: &[Sample]) -> f64 {
    let values = || samples.iter().map(|sample| sample.value);
    #[expect(clippy::cast_precision_loss, reason = "a group holds fewer series than a float counts exactly")]
    let count = samples.len() as f64;
    match op {
        VectorOp::Sum => values().sum(),
        VectorOp::Avg => values().sum::<f64>() / count,
        VectorOp::Min => values().fold(f64::NAN, |least, value| if value < least || least.is_nan() { value } else { least }),
        VectorOp::Max => values().fold(f64::NAN, |most, value| if value > most || most.is_nan() { value } else { most }),
        VectorOp::Stdvar => variance(values()),
        VectorOp::Stddev => variance(values()).sqrt(),
        VectorOp::Count | VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk | VectorOp::Sort | VectorOp::SortDesc => count,
    }
}

/// Ascending or descending by value, NaN last; equal values by labels.
fn sorted(op: VectorOp, mut samples: Vec<Sample>) -> Vec<Sample> {
    let down = matches!(op, VectorOp::SortDesc | VectorOp::Topk | VectorOp::ApproxTopk);
    samples.sort_by(|a, b| {
        let by_value = if down { b.value.total_cmp(&a.value) } else { a.value.total_cmp(&b.value) };
        a.value
            .is_nan()
            .cmp(&b.value.is_nan())
            .then(if a.value == b.value || a.value.is_nan() { std::cmp::Ordering::Equal } else { by_value })
            .then_with(|| a.labels.cmp(&b.labels))
    });
    samples
}

fn extreme(op: VectorOp, param: Option<f64>, samples: Vec<Sample>) -> Vec<Sample> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the parser takes whole numbers above 0 only")]
    let count = param.unwrap_or(0.0) as usize;
    let mut kept = sorted(op, samples);
    kept.truncate(count);
    kept
}

/// On which side of an operator the scalar stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarSide {
    Left,
    Right,
}

/// Every sample with a scalar: its value changes, or a comparison keeps or drops it.
pub(crate) fn with_scalar(op: BinOp, return_bool: bool, scalar: f64, side: ScalarSide, samples: Vec<Sample>) -> Vec<Sample> {
    let result = |sample: Sample| {
        let (left, right) = if side == ScalarSide::Left { (scalar, sample.value) } else { (sample.value, scalar) };
        let value = combined(op, return_bool, left, right, sample.value)?;
        Some(Sample { value, ..sample })
    };
    samples.into_iter().filter_map(result).collect()
}

/// The value of `left op right`; `kept` where a comparison that filters holds, `None` where it does not.
pub(crate) fn combined(op: BinOp, return_bool: bool, left: f64, right: f64, kept: f64) -> Option<f64> {
    match op.comparison() {
        Some(cmp) if !return_bool => cmp.holds(left, right).then_some(kept),
        Some(_) | None => Some(op.apply(left, right)),
    }
}

#[cfg(test)]
mod tests;
