//! Label filters: text, numbers, durations, sizes, addresses, `and`, `or`.
//!
//! Parts: [`Filter`], compiled once and asked for every line. A label that is no number where one is
//! needed marks the line with `LabelFilterErr` and keeps it, as Loki does; a line that is marked already
//! and has the label passes every filter but those on text. Must not do: look at the line.

use hub_logql::{CmpOp, LabelFilter};
use proto_extract::quantity;
use proto_extract::selector::CompiledMatcher;

use crate::address::AddressTest;
use crate::record::LineLabels;

const FAILED: &str = "LabelFilterErr";

/// One condition.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    Text(CompiledMatcher),
    Number { name: String, op: CmpOp, value: f64 },
    Duration { name: String, op: CmpOp, value_ns: i64 },
    Bytes { name: String, op: CmpOp, value: u64 },
    Address { name: String, not: bool, test: AddressTest },
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Filter {
    /// Compiles a condition.
    ///
    /// # Errors
    /// In Loki's words: a broken expression or address.
    pub(crate) fn new(filter: &LabelFilter) -> Result<Self, String> {
        let boxed = |filter: &LabelFilter| Self::new(filter).map(Box::new);
        Ok(match filter {
            LabelFilter::Matcher(matcher) => {
                Self::Text(CompiledMatcher::new(matcher.name.as_str(), matcher.op, matcher.value.as_str()).map_err(|fault| fault.to_string())?)
            }
            LabelFilter::Number { name, op, value } => Self::Number { name: name.clone(), op: *op, value: *value },
            LabelFilter::Duration { name, op, value_ns } => Self::Duration { name: name.clone(), op: *op, value_ns: *value_ns },
            LabelFilter::Bytes { name, op, value } => Self::Bytes { name: name.clone(), op: *op, value: *value },
            LabelFilter::Ip { name, not, pattern } => Self::Address { name: name.clone(), not: *not, test: AddressTest::parse(pattern)? },
            LabelFilter::And(left, right) => Self::And(boxed(left)?, boxed(right)?),
            LabelFilter::Or(left, right) => Self::Or(boxed(left)?, boxed(right)?),
        })
    }

    /// Whether the line stays.
    pub(crate) fn passes(&self, labels: &mut LineLabels) -> bool {
        match self {
            Self::Text(matcher) => matcher.matches(labels.value(&matcher.name)),
            Self::Number { name, op, value } => compare(labels, name, quantity::float, |found| op.holds(found, *value)),
            Self::Duration { name, op, value_ns } => compare(labels, name, quantity::duration_ns, |found| op.holds(found, *value_ns)),
            Self::Bytes { name, op, value } => compare(labels, name, quantity::bytes, |found| op.holds(found, *value)),
            Self::Address { name, not, test } => {
                let Some(value) = labels.value(name) else { return false };
                labels.error().is_some() || test.found_in(value.as_bytes()) != *not
            }
            Self::And(left, right) => {
                let left = left.passes(labels);
                // Both sides may mark the line.
                right.passes(labels) && left
            }
            Self::Or(left, right) => left.passes(labels) || right.passes(labels),
        }
    }
}

fn compare<T>(labels: &mut LineLabels, name: &str, read: impl Fn(&str) -> Result<T, String>, holds: impl Fn(T) -> bool) -> bool {
    let Some(value) = labels.value(name) else { return false };
    if labels.error().is_some() {
        return true;
    }
    match read(value) {
        Ok(found) => holds(found),
        Err(details) => {
            labels.fail(FAILED, details);
            true
        }
    }
}
