//! A metric query as a tree that is evaluated step by step over what its range expressions gave.
//!
//! Parts: [`Tree`] ([`Tree::new`] compiles, and names the [`RangePlan`]s to be read first), [`Evaluation`]
//! (walks the steps), [`Value`]. A `sum` over a range expression is worked out where lines are read, as Loki
//! does it. Promises: whatever LogQL has and this file does not know is refused. Must not do: read sections.

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_logql::{BinOp, Grouping, LabelFormatValue, LabelPick, LogRange, LogqlFault, MetricExpr, RangeOp, Stage, VectorOp};
use proto_extract::dialect;
use proto_model::{Labels, MatchOp, TimeRange, Timestamp};
use regex::bytes::Regex;

use crate::answer::Series;
use crate::budget::Budget;
use crate::fault::QueryFault;
use crate::limits::VALUE_BYTES;
use crate::plan::Selector;
use crate::range::{RangePlan, RangeSeries, Steps, UnwrapPlan};
use crate::record::{ERROR, ERROR_DETAILS};
use crate::stages::Pipeline;
use crate::stages::filter::Filter;
use crate::vector::matching::Match;
use crate::vector::{Grouped, Sample, ScalarSide, aggregate, with_scalar};
use crate::wanted::Wanted;

/// A compiled metric query.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Node,
    pub(crate) ranges: Vec<Arc<RangePlan>>,
}

#[derive(Debug)]
enum Node {
    /// The range expression of this number.
    Range(usize),
    Vector {
        op: VectorOp,
        param: Option<f64>,
        grouping: Option<Grouping>,
        grouped: Grouped,
        inner: Box<Self>,
    },
    Binary {
        op: BinOp,
        return_bool: bool,
        matching: Match,
        left: Box<Self>,
        right: Box<Self>,
    },
    Scalar(f64),
    ScalarVector(f64),
    LabelReplace {
        replace: Replace,
        inner: Box<Self>,
    },
}

/// `label_replace`, compiled.
#[derive(Debug)]
struct Replace {
    dst: String,
    src: String,
    replacement: String,
    regex: Regex,
    known: BTreeMap<Arc<Labels>, Arc<Labels>>,
}

/// What a node gives at a step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(f64),
    Vector(Vec<Sample>),
}

/// Points of an answered series.
type Points = Vec<(Timestamp, f64)>;

/// Walks the steps in order.
#[derive(Debug)]
pub(crate) struct Evaluation {
    root: Node,
    ranges: Vec<Vec<Cursor>>,
}

#[derive(Debug)]
struct Cursor {
    labels: Arc<Labels>,
    points: Vec<(u32, f64)>,
    next: usize,
}

impl Tree {
    /// Compiles `expr` for the given steps.
    ///
    /// # Errors
    /// What cannot be built, in Loki's words, and what this hub does not answer.
    pub(crate) fn new(expr: &MetricExpr, steps: Steps) -> Result<Self, QueryFault> {
        let mut ranges = Vec::new();
        let root = compile(expr, steps, &mut ranges)?;
        Ok(Self { root, ranges })
    }

    /// Whether the order of samples is part of the answer.
    pub(crate) const fn is_sorted(&self) -> bool {
        matches!(self.root, Node::Vector { op: VectorOp::Sort | VectorOp::SortDesc, .. })
    }

    /// The lines that its range expressions are about.
    pub(crate) fn reads(&self) -> Vec<TimeRange> {
        self.ranges.iter().map(|plan| plan.reads()).collect()
    }

    /// Starts evaluating over what each range expression gave, in their order.
    pub(crate) fn over(self, ranges: Vec<RangeSeries>) -> Evaluation {
        let cursors = |series: RangeSeries| series.into_iter().map(|(labels, points)| Cursor { labels, points, next: 0 }).collect();
        Evaluation { root: self.root, ranges: ranges.into_iter().map(cursors).collect() }
    }
}

fn compile(expr: &MetricExpr, steps: Steps, ranges: &mut Vec<Arc<RangePlan>>) -> Result<Node, QueryFault> {
    Ok(match expr {
        MetricExpr::Range { op, param, range, grouping } => range_node((*op, *param), range, grouping.as_ref(), steps, ranges)?,
        MetricExpr::Vector { op, param, inner, grouping } => {
            let inner = match pushed_down(*op, inner, grouping.as_ref()) {
                Some((op, range, grouping)) => range_node((op, None), range, Some(&grouping), steps, ranges)?,
                None => compile(inner, steps, ranges)?,
            };
            Node::Vector { op: *op, param: *param, grouping: grouping.clone(), grouped: Grouped::default(), inner: Box::new(inner) }
        }
        MetricExpr::Binary { op, left, right, matching, return_bool } => Node::Binary {
            op: *op,
            return_bool: *return_bool,
            matching: Match::new(*op, *return_bool, matching.clone()),
            left: Box::new(compile(left, steps, ranges)?),
            right: Box::new(compile(right, steps, ranges)?),
        },
        MetricExpr::Literal(value) => Node::Scalar(*value),
        MetricExpr::VectorLiteral(value) => Node::ScalarVector(*value),
        MetricExpr::LabelReplace { inner, dst, replacement, src, regex } => {
            let fault = |fault| QueryFault::Request(format!("parse error : invalid regex in label_replace: {fault}"));
            let regex = dialect::compile_anchored(regex).map_err(fault)?;
            let replace = Replace { dst: dst.clone(), src: src.clone(), replacement: replacement.clone(), regex, known: BTreeMap::new() };
            Node::LabelReplace { replace, inner: Box::new(compile(inner, steps, ranges)?) }
        }
        MetricExpr::Variants { .. } => return Err(QueryFault::Request("multi variant queries are disabled for this instance".to_owned())),
    })
}

/// The range expression below a `sum` that can group its lines at once: sums of sums are sums.
fn pushed_down<'e>(op: VectorOp, inner: &'e MetricExpr, grouping: Option<&Grouping>) -> Option<(RangeOp, &'e LogRange, Grouping)> {
    let MetricExpr::Range { op: range_op, range, grouping: None, .. } = inner else { return None };
    let adds = matches!(range_op, RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::SumOverTime | RangeOp::Rate | RangeOp::CountOverTime);
    let nothing = Grouping { without: false, labels: Vec::new() };
    (op == VectorOp::Sum && adds).then(|| (*range_op, range, grouping.cloned().unwrap_or(nothing)))
}

fn range_node(
    (op, param): (RangeOp, Option<f64>),
    range: &LogRange,
    grouping: Option<&Grouping>,
    steps: Steps,
    ranges: &mut Vec<Arc<RangePlan>>,
) -> Result<Node, QueryFault> {
    let stages = without_idle_drops(without_idle_formats(op, &range.log.stages));
    let nothing = Grouping { without: false, labels: Vec::new() };
    let grouping = if op == RangeOp::AbsentOverTime { Some(&nothing) } else { grouping };
    let wanted = Wanted::of_metric(&stages, range.unwrap.as_ref(), grouping);
    let unwrap = range.unwrap.as_ref().map(|unwrap| {
        let filters = unwrap.filters.iter().map(|filter| Filter::new(filter).map_err(|text| LogqlFault::stage(&Stage::LabelFilter(filter.clone()), text)));
        Ok::<_, LogqlFault>(UnwrapPlan { label: unwrap.label.clone(), conversion: unwrap.conversion, filters: filters.collect::<Result<_, _>>()? })
    });
    ranges.push(Arc::new(RangePlan {
        op,
        param: param.unwrap_or(f64::NAN),
        selector: Selector::new(&range.log.matchers)?,
        pipeline: Arc::new(Pipeline::new(&stages, wanted)?),
        unwrap: unwrap.transpose()?,
        grouping: grouping.cloned(),
        steps,
        range_ns: range.range_ns,
        offset_ns: range.offset_ns,
        absent: absent_labels(range),
    }));
    Ok(Node::Range(ranges.len() - 1))
}

/// Leaves out every `line_format` whose line nothing looks at any more, as Loki does: its failures do not count.
fn without_idle_formats(op: RangeOp, stages: &[Stage]) -> Vec<Stage> {
    if matches!(op, RangeOp::BytesOverTime | RangeOp::BytesRate) {
        return stages.to_vec();
    }
    let reads_line = |stage: &Stage| match stage {
        Stage::LineFilter(_) | Stage::Json { .. } | Stage::Logfmt { .. } | Stage::Pattern(_) | Stage::Regexp(_) | Stage::Unpack => true,
        // Loki forgets these, and so shows the line as it was.
        Stage::LabelFormat(formats) => formats.iter().any(|format| matches!(&format.value, LabelFormatValue::Template(text) if text.contains("__line__"))),
        Stage::LabelFilter(_) | Stage::LineFormat(_) | Stage::Drop(_) | Stage::Keep(_) | Stage::Decolorize => false,
    };
    let idle = |(at, stage): &(usize, &Stage)| matches!(stage, Stage::LineFormat(_)) && !stages[at + 1..].iter().any(reads_line);
    stages.iter().enumerate().filter(|item| !idle(item)).map(|(_, stage)| stage.clone()).collect()
}

/// Leaves out what drops errors where no stage before can have made one, as Grafana writes it for its histogram of
/// lines: without it lines need not be read.
fn without_idle_drops(mut stages: Vec<Stage>) -> Vec<Stage> {
    let of_errors = |pick: &LabelPick| matches!(pick, LabelPick::Name(name) if name == ERROR || name == ERROR_DETAILS);
    let sound = stages.iter().take_while(|stage| matches!(stage, Stage::LineFilter(_) | Stage::Drop(_) | Stage::Keep(_))).count();
    let mut at = 0..;
    stages.retain(|stage| {
        let may_fail = at.next().is_none_or(|at| at >= sound);
        may_fail || !matches!(stage, Stage::Drop(picks) if picks.iter().all(of_errors))
    });
    stages
}

/// The labels a selector fixes: those compared with `=` and not otherwise.
fn absent_labels(range: &LogRange) -> Labels {
    let mut labels = Labels::empty();
    let mut unclear = Vec::new();
    for matcher in &range.log.matchers {
        if matcher.op == MatchOp::Equal && labels.value(&matcher.name).is_none() {
            labels.set(matcher.name.as_str(), matcher.value.as_str());
        } else {
            unclear.push(matcher.name.as_str());
        }
    }
    unclear.into_iter().for_each(|name| labels.remove(name));
    labels
}

impl Evaluation {
    /// The value at `step`; steps must be asked for in rising order.
    ///
    /// # Errors
    /// [`QueryFault::Matching`].
    pub(crate) fn at(&mut self, step: u32) -> Result<Value, QueryFault> {
        evaluate(&mut self.root, &mut self.ranges, step)
    }
}

fn evaluate(node: &mut Node, ranges: &mut [Vec<Cursor>], step: u32) -> Result<Value, QueryFault> {
    Ok(match node {
        Node::Range(at) => Value::Vector(ranges[*at].iter_mut().filter_map(|cursor| cursor.at(step)).collect()),
        Node::Scalar(value) => Value::Scalar(*value),
        Node::ScalarVector(value) => Value::Vector(vec![Sample { labels: Arc::new(Labels::empty()), value: *value }]),
        Node::Vector { op, param, grouping, grouped, inner } => {
            let samples = vector(evaluate(inner, ranges, step)?);
            Value::Vector(aggregate(*op, *param, grouping.as_ref(), grouped, samples))
        }
        Node::Binary { op, return_bool, matching, left, right } => {
            let (left, right) = (evaluate(left, ranges, step)?, evaluate(right, ranges, step)?);
            match (left, right) {
                (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(op.apply(left, right)),
                (Value::Scalar(scalar), Value::Vector(samples)) => Value::Vector(with_scalar(*op, *return_bool, scalar, ScalarSide::Left, samples)),
                (Value::Vector(samples), Value::Scalar(scalar)) => Value::Vector(with_scalar(*op, *return_bool, scalar, ScalarSide::Right, samples)),
                (Value::Vector(left), Value::Vector(right)) => Value::Vector(matching.combine(left, right)?),
            }
        }
        Node::LabelReplace { replace, inner } => {
            let samples = vector(evaluate(inner, ranges, step)?);
            Value::Vector(samples.into_iter().map(|sample| Sample { labels: replace.of(&sample.labels), ..sample }).collect())
        }
    })
}

fn vector(value: Value) -> Vec<Sample> {
    match value {
        Value::Vector(samples) => samples,
        Value::Scalar(value) => vec![Sample { labels: Arc::new(Labels::empty()), value }],
    }
}

/// All steps of a range query, by series; a query that gives a number gives a series without labels.
///
/// # Errors
/// [`QueryFault::Matching`], or too many series.
pub(crate) fn matrix(tree: Tree, ranges: Vec<RangeSeries>, steps: Steps, budget: &Budget) -> Result<Vec<Series>, QueryFault> {
    let mut evaluation = tree.over(ranges);
    // Equal labels can stand twice in a step (`label_replace`): both are kept, apart.
    let mut series: BTreeMap<(Arc<Labels>, usize), Points> = BTreeMap::new();
    for step in 0..steps.count {
        budget.go_on()?;
        let time = steps.time(step);
        let mut met: BTreeMap<Arc<Labels>, usize> = BTreeMap::new();
        let samples = vector(evaluation.at(u32::try_from(step).unwrap_or(u32::MAX))?);
        budget.hold(samples.len() as u64 * VALUE_BYTES)?;
        for sample in samples {
            let nth = met.entry(Arc::clone(&sample.labels)).or_default();
            let key = (sample.labels, *nth);
            *nth += 1;
            if let Some(points) = series.get_mut(&key) {
                points.push((time, sample.value));
            } else if budget.allow_series(series.len() + 1)? {
                series.insert(key, vec![(time, sample.value)]);
            }
        }
    }
    Ok(series.into_iter().map(|((labels, _), points)| Series { labels: (*labels).clone(), points }).collect())
}

impl Cursor {
    fn at(&mut self, step: u32) -> Option<Sample> {
        while self.points.get(self.next).is_some_and(|(at, _)| *at < step) {
            self.next += 1;
        }
        let (_, value) = self.points.get(self.next).filter(|(at, _)| *at == step)?;
        Some(Sample { labels: Arc::clone(&self.labels), value: *value })
    }
}

impl Replace {
    fn of(&mut self, labels: &Arc<Labels>) -> Arc<Labels> {
        if let Some(known) = self.known.get(labels) {
            return Arc::clone(known);
        }
        let source = labels.value(&self.src).unwrap_or_default();
        let replaced = match self.regex.captures(source.as_bytes()) {
            None => Arc::clone(labels),
            Some(captures) => {
                let mut value = Vec::new();
                captures.expand(self.replacement.as_bytes(), &mut value);
                let mut replaced = Labels::clone(labels);
                replaced.set(self.dst.as_str(), String::from_utf8_lossy(&value));
                Arc::new(replaced)
            }
        };
        self.known.insert(Arc::clone(labels), Arc::clone(&replaced));
        replaced
    }
}
