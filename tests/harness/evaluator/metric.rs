//! Metric queries, step by step: windows over samples, groups of series, operators between them.

use std::collections::{BTreeMap, BTreeSet};

use hub_logql::{BinOp, CmpOp, GroupSide, Grouping, LogRange, MetricExpr, RangeOp, UnwrapConversion, VectorMatching, VectorOp};
use proto_model::MatchOp;
use regex::Regex;

use super::{Answer, Line, Refusal, Set, filter, stage};

/// One series at one step.
type Sample = (Set, f64);

#[derive(Debug, Clone)]
enum Value {
    Scalar(f64),
    Vector(Vec<Sample>),
}

/// A sample of a line: series, time, value.
type Drawn = (Set, i64, f64);

/// Samples of each range expression, drawn once: by its place in the tree.
struct Draws<'l> {
    lines: &'l [Line],
    known: BTreeMap<usize, Vec<Drawn>>,
}

/// All steps.
///
/// # Errors
/// [`Refusal`].
pub fn matrix(lines: &[Line], expr: &MetricExpr, times: &[i64]) -> Result<Answer, Refusal> {
    let mut draws = Draws { lines, known: BTreeMap::new() };
    // Series that were made equal (`label_replace`) stay apart, by their place among their likes.
    let mut series: BTreeMap<(Set, usize), Vec<(i64, f64)>> = BTreeMap::new();
    check_errors(&mut draws, expr, times)?;
    for time in times {
        let mut met: BTreeMap<Set, usize> = BTreeMap::new();
        for (labels, value) in vector(eval(&mut draws, expr, *time)?) {
            let nth = met.entry(labels.clone()).or_default();
            series.entry((labels, *nth)).or_default().push((*time, value));
            *nth += 1;
        }
    }
    Ok(Answer::Series(series.into_iter().map(|((labels, _), points)| (labels, points)).collect()))
}

/// One step.
///
/// # Errors
/// [`Refusal`].
pub fn instant(lines: &[Line], expr: &MetricExpr, at: i64) -> Result<Answer, Refusal> {
    let mut draws = Draws { lines, known: BTreeMap::new() };
    check_errors(&mut draws, expr, &[at])?;
    Ok(match eval(&mut draws, expr, at)? {
        Value::Scalar(value) => Answer::Scalar(value),
        Value::Vector(samples) => Answer::Series(samples.into_iter().map(|(labels, value)| (labels, vec![(at, value)])).collect()),
    })
}

fn vector(value: Value) -> Vec<Sample> {
    match value {
        Value::Scalar(value) => vec![(Set::new(), value)],
        Value::Vector(samples) => samples,
    }
}

/// A line with an error in any window fails the query.
fn check_errors(draws: &mut Draws<'_>, expr: &MetricExpr, times: &[i64]) -> Result<(), Refusal> {
    match expr {
        MetricExpr::Range { range, op, grouping, .. } => {
            for (labels, time, _) in draw(draws, expr, *op, range, grouping.as_ref())? {
                if let Some(error) = labels.get("__error__")
                    && times.iter().any(|at| at - range.offset_ns - range.range_ns < *time && *time <= at - range.offset_ns)
                {
                    return Err(Refusal::Pipeline(error.clone()));
                }
            }
            Ok(())
        }
        MetricExpr::Vector { inner, .. } | MetricExpr::LabelReplace { inner, .. } => check_errors(draws, inner, times),
        MetricExpr::Binary { left, right, .. } => check_errors(draws, left, times).and_then(|()| check_errors(draws, right, times)),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) | MetricExpr::Variants { .. } => Ok(()),
    }
}

fn eval(draws: &mut Draws<'_>, expr: &MetricExpr, at: i64) -> Result<Value, Refusal> {
    Ok(match expr {
        MetricExpr::Literal(value) => Value::Scalar(*value),
        MetricExpr::VectorLiteral(value) => Value::Vector(vec![(Set::new(), *value)]),
        MetricExpr::Range { op, param, range, grouping } => Value::Vector(windows(draws, expr, (*op, *param), range, grouping.as_ref(), at)?),
        MetricExpr::Vector { op, param, inner, grouping } => {
            let samples = vector(eval(draws, inner, at)?);
            Value::Vector(aggregate(*op, *param, grouping.as_ref(), samples)?)
        }
        MetricExpr::LabelReplace { inner, dst, replacement, src, regex } => {
            let regex = Regex::new(&format!("^(?s:{regex})$")).expect("the generator writes expressions that both dialects have");
            let replaced = vector(eval(draws, inner, at)?).into_iter().map(|(mut labels, value)| {
                let source = labels.get(src).cloned().unwrap_or_default();
                if let Some(found) = regex.captures(&source) {
                    let mut made = String::new();
                    found.expand(replacement, &mut made);
                    if made.is_empty() { drop(labels.remove(dst)) } else { drop(labels.insert(dst.clone(), made)) }
                }
                (labels, value)
            });
            Value::Vector(replaced.collect())
        }
        MetricExpr::Binary { op, left, right, matching, return_bool } => {
            let (left, right) = (eval(draws, left, at)?, eval(draws, right, at)?);
            match (left, right) {
                (Value::Scalar(left), Value::Scalar(right)) => Value::Scalar(number(*op, left, right)),
                (Value::Scalar(scalar), Value::Vector(samples)) => {
                    Value::Vector(samples.into_iter().filter_map(|(labels, v)| Some((labels, joined(*op, *return_bool, scalar, v, v)?))).collect())
                }
                (Value::Vector(samples), Value::Scalar(scalar)) => {
                    Value::Vector(samples.into_iter().filter_map(|(labels, v)| Some((labels, joined(*op, *return_bool, v, scalar, v)?))).collect())
                }
                (Value::Vector(left), Value::Vector(right)) => Value::Vector(matched(*op, *return_bool, matching.as_ref(), left, right)?),
            }
        }
        MetricExpr::Variants { .. } => return Err(Refusal::Unknown("variants")),
    })
}

/// Every line of a range expression as a sample of its series.
fn draw<'d>(draws: &'d mut Draws<'_>, expr: &MetricExpr, op: RangeOp, range: &LogRange, grouping: Option<&Grouping>) -> Result<&'d [Drawn], Refusal> {
    let key = std::ptr::from_ref(expr) as usize;
    if !draws.known.contains_key(&key) {
        let mut drawn = Vec::new();
        for line in draws.lines {
            let Some(mut record) = stage::run(&range.log, line)? else { continue };
            let mut value = 1.0;
            if let Some(unwrap) = &range.unwrap {
                let text = record.text_of(&unwrap.label).to_owned();
                if text.is_empty() {
                    continue;
                }
                let read = match unwrap.conversion {
                    None => filter::number(&text),
                    Some(UnwrapConversion::Bytes) => filter::size(&text),
                    Some(UnwrapConversion::Duration | UnwrapConversion::DurationSeconds) => filter::duration(&text).map(|ns| ns / 1e9),
                };
                value = read.unwrap_or_else(|| {
                    record.error = Some("SampleExtractionErr".to_owned());
                    0.0
                });
                if !unwrap.filters.iter().all(|test| filter::passes(test, &mut record)) {
                    continue;
                }
            } else if matches!(op, RangeOp::BytesRate | RangeOp::BytesOverTime) {
                #[expect(clippy::cast_precision_loss, reason = "lines are short")]
                let length = record.text.len() as f64;
                value = length;
            }
            let mut labels = record.shown();
            labels.retain(|_, value| !value.is_empty());
            if record.error.is_none() {
                if let Some(unwrap) = &range.unwrap
                    && grouping.is_none_or(|grouping| grouping.without)
                {
                    labels.remove(&unwrap.label);
                }
                if let Some(grouping) = grouping {
                    labels = group(&labels, grouping);
                }
            }
            drawn.push((labels, line.time, value));
        }
        draws.known.insert(key, drawn);
    }
    Ok(&draws.known[&key])
}

fn group(labels: &Set, grouping: &Grouping) -> Set {
    labels.iter().filter(|(name, _)| grouping.labels.contains(name) != grouping.without).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn windows(
    draws: &mut Draws<'_>,
    expr: &MetricExpr,
    (op, param): (RangeOp, Option<f64>),
    range: &LogRange,
    grouping: Option<&Grouping>,
    at: i64,
) -> Result<Vec<Sample>, Refusal> {
    let end = at - range.offset_ns;
    let mut series: BTreeMap<Set, Vec<(i64, f64)>> = BTreeMap::new();
    for (labels, time, value) in draw(draws, expr, op, range, grouping)? {
        if end - range.range_ns < *time && *time <= end {
            series.entry(labels.clone()).or_default().push((*time, *value));
        }
    }
    if op == RangeOp::AbsentOverTime {
        return Ok(if series.is_empty() { vec![(absent(range), 1.0)] } else { Vec::new() });
    }
    #[expect(clippy::cast_precision_loss, reason = "windows are short")]
    let seconds = range.range_ns as f64 / 1e9;
    let mut out = Vec::new();
    for (labels, mut samples) in series {
        samples.sort_by_key(|(time, _)| *time);
        let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
        out.push((labels, over(op, param, seconds, range.unwrap.is_some(), &values)?));
    }
    Ok(out)
}

/// The labels that a selector fixes.
fn absent(range: &LogRange) -> Set {
    let mut labels = Set::new();
    let mut unclear = BTreeSet::new();
    for m in &range.log.matchers {
        if m.op == MatchOp::Equal && !labels.contains_key(&m.name) {
            labels.insert(m.name.clone(), m.value.clone());
        } else {
            unclear.insert(m.name.clone());
        }
    }
    labels.retain(|name, value| !unclear.contains(name) && !value.is_empty());
    labels
}

#[expect(clippy::cast_precision_loss, reason = "windows hold few samples")]
fn over(op: RangeOp, param: Option<f64>, seconds: f64, unwrapped: bool, values: &[f64]) -> Result<f64, Refusal> {
    let sum = || values.iter().sum::<f64>();
    Ok(match op {
        RangeOp::CountOverTime => values.len() as f64,
        RangeOp::Rate if unwrapped => sum() / seconds,
        RangeOp::Rate => values.len() as f64 / seconds,
        RangeOp::BytesOverTime | RangeOp::SumOverTime => sum(),
        RangeOp::BytesRate => sum() / seconds,
        RangeOp::AvgOverTime => sum() / values.len() as f64,
        RangeOp::MinOverTime => least(values),
        RangeOp::MaxOverTime => -least(&values.iter().map(|value| -value).collect::<Vec<_>>()),
        RangeOp::StdvarOverTime => variance(values),
        RangeOp::StddevOverTime => variance(values).sqrt(),
        RangeOp::QuantileOverTime => quantile(param.unwrap_or(f64::NAN), values),
        RangeOp::FirstOverTime => values[0],
        RangeOp::LastOverTime => values[values.len() - 1],
        RangeOp::RateCounter | RangeOp::AbsentOverTime => return Err(Refusal::Unknown("this range aggregation")),
    })
}

/// NaN only when all are.
fn least(values: &[f64]) -> f64 {
    values.iter().copied().filter(|value| !value.is_nan()).reduce(f64::min).unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "windows hold few samples")]
fn variance(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "ranks are small")]
fn quantile(q: f64, values: &[f64]) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_nan()).collect();
    let mut numbers: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    numbers.sort_by(|a, b| a.partial_cmp(b).expect("NaN was taken out"));
    sorted.extend(numbers);
    let rank = q * (sorted.len() - 1) as f64;
    let below = rank.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = rank - rank.floor();
    sorted[below] * (1.0 - share) + sorted[above] * share
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "groups hold few series")]
fn aggregate(op: VectorOp, param: Option<f64>, grouping: Option<&Grouping>, samples: Vec<Sample>) -> Result<Vec<Sample>, Refusal> {
    let mut groups: BTreeMap<Set, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        let key = grouping.map(|grouping| group(&sample.0, grouping)).unwrap_or_default();
        groups.entry(key).or_default().push(sample);
    }
    let mut out = Vec::new();
    for (labels, mut members) in groups {
        let values: Vec<f64> = members.iter().map(|(_, value)| *value).collect();
        let value = match op {
            VectorOp::Sum => values.iter().sum(),
            VectorOp::Avg => values.iter().sum::<f64>() / values.len() as f64,
            VectorOp::Count => values.len() as f64,
            VectorOp::Min => least(&values),
            VectorOp::Max => -least(&values.iter().map(|value| -value).collect::<Vec<_>>()),
            VectorOp::Stdvar => variance(&values),
            VectorOp::Stddev => variance(&values).sqrt(),
            VectorOp::Topk | VectorOp::Bottomk | VectorOp::Sort | VectorOp::SortDesc => {
                let down = matches!(op, VectorOp::Topk | VectorOp::SortDesc);
                members.sort_by(|(a_labels, a), (b_labels, b)| {
                    let by_value = if a.is_nan() || b.is_nan() { a.is_nan().cmp(&b.is_nan()) } else { a.partial_cmp(b).expect("neither is NaN") };
                    let by_value = if down && !a.is_nan() && !b.is_nan() { by_value.reverse() } else { by_value };
                    by_value.then_with(|| a_labels.cmp(b_labels))
                });
                if matches!(op, VectorOp::Topk | VectorOp::Bottomk) {
                    members.truncate(param.unwrap_or(0.0) as usize);
                }
                out.extend(members);
                continue;
            }
            VectorOp::ApproxTopk => return Err(Refusal::Unknown("approx_topk")),
        };
        out.push((labels, value));
    }
    Ok(out)
}

fn compares(op: BinOp, left: f64, right: f64) -> Option<bool> {
    Some(match op.comparison()? {
        CmpOp::Equal => left == right,
        CmpOp::NotEqual => left != right,
        CmpOp::Greater => left > right,
        CmpOp::GreaterOrEqual => left >= right,
        CmpOp::Less => left < right,
        CmpOp::LessOrEqual => left <= right,
    })
}

fn number(op: BinOp, left: f64, right: f64) -> f64 {
    match op {
        BinOp::Add => left + right,
        BinOp::Sub => left - right,
        BinOp::Mul => left * right,
        BinOp::Div if right == 0.0 => f64::NAN,
        BinOp::Div => left / right,
        BinOp::Mod if right == 0.0 => f64::NAN,
        BinOp::Mod => left % right,
        BinOp::Pow => left.powf(right),
        BinOp::Or | BinOp::And | BinOp::Unless => f64::NAN,
        BinOp::Equal | BinOp::NotEqual | BinOp::Less | BinOp::LessOrEqual | BinOp::Greater | BinOp::GreaterOrEqual => {
            if compares(op, left, right) == Some(true) { 1.0 } else { 0.0 }
        }
    }
}

/// The value of a pair; `None` where a comparison that filters does not hold.
fn joined(op: BinOp, return_bool: bool, left: f64, right: f64, kept: f64) -> Option<f64> {
    match compares(op, left, right) {
        Some(holds) if !return_bool => holds.then_some(kept),
        Some(_) | None => Some(number(op, left, right)),
    }
}

fn matched(op: BinOp, return_bool: bool, matching: Option<&VectorMatching>, left: Vec<Sample>, right: Vec<Sample>) -> Result<Vec<Sample>, Refusal> {
    let key = |labels: &Set| -> Set {
        match matching {
            None => labels.clone(),
            Some(m) => labels.iter().filter(|(name, _)| m.labels.contains(name) == m.on).map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    };
    let has = |side: &[Sample], wanted: &Set| side.iter().any(|(labels, _)| key(labels) == *wanted);
    match op {
        BinOp::And => return Ok(left.into_iter().filter(|(labels, _)| has(&right, &key(labels))).collect()),
        BinOp::Unless => return Ok(left.into_iter().filter(|(labels, _)| !has(&right, &key(labels))).collect()),
        BinOp::Or => {
            let more: Vec<Sample> = right.into_iter().filter(|(labels, _)| !has(&left, &key(labels))).collect();
            return Ok(left.into_iter().chain(more).collect());
        }
        _ => {}
    }
    let side = matching.and_then(|m| m.group);
    let (many, one) = if side == Some(GroupSide::Right) { (&right, &left) } else { (&left, &right) };
    for (at, (labels, _)) in one.iter().enumerate() {
        if one[at + 1..].iter().any(|(other, _)| key(other) == key(labels)) {
            return Err(Refusal::Matching);
        }
    }
    let mut out: Vec<Sample> = Vec::new();
    let mut results: Vec<(Set, Set)> = Vec::new();
    for (labels, value) in many {
        let Some((partner, other)) = one.iter().find(|(partner, _)| key(partner) == key(labels)) else { continue };
        let mut result = if side.is_none() && matching.is_some() { key(labels) } else { labels.clone() };
        for name in matching.iter().flat_map(|m| &m.include) {
            match partner.get(name) {
                Some(value) => drop(result.insert(name.clone(), value.clone())),
                None => drop(result.remove(name)),
            }
        }
        let signature = key(labels);
        if results.iter().any(|(met, made)| *met == signature && (side.is_none() || *made == result)) {
            return Err(Refusal::Matching);
        }
        results.push((signature, result.clone()));
        let (left, right) = if side == Some(GroupSide::Right) { (*other, *value) } else { (*value, *other) };
        out.extend(joined(op, return_bool, left, right, left).map(|value| (result, value)));
    }
    Ok(out)
}
