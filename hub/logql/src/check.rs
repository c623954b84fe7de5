//! What the grammar lets through and LogQL does not, in Loki's words.
//!
//! Parts: checks of single nodes, which the parser calls as it builds them (selectors, stages,
//! aggregations, operators); [`validate`], which judges the stages of a whole query as Loki does when
//! it builds the pipeline: after parsing, so that `format_query` still takes them.
//! Must not do: compile regular expressions or templates; who builds the pipeline does, and reports
//! with [`LogqlFault::stage`].

use std::net::IpAddr;

use proto_model::MatchOp;

use crate::ast::{Expr, Grouping, LabelFilter, LabelFormat, LineFilter, LineTerm, LogExpr, LogRange, Matcher, MetricExpr, Stage};
use crate::fault::LogqlFault;
use crate::op::{BinOp, LineOp, RangeOp, VectorOp};
use crate::path;
use crate::regex;

type Checked = Result<(), LogqlFault>;

fn refuse(text: impl Into<String>) -> Checked {
    Err(LogqlFault::meaning(text))
}

/// The regular expression of a matcher.
pub(crate) fn matcher(matcher: &Matcher) -> Checked {
    if matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex) {
        regex::facts(&matcher.value).map_err(LogqlFault::meaning)?;
    }
    Ok(())
}

/// Whether a matcher rules out the empty value; without one all streams would be read.
pub(crate) fn is_selective(matchers: &[Matcher]) -> bool {
    let rules_out_empty = |matcher: &Matcher| match matcher.op {
        MatchOp::Equal => !matcher.value.is_empty(),
        MatchOp::NotEqual => matcher.value.is_empty(),
        MatchOp::Regex => regex::facts(&matcher.value).is_ok_and(|facts| !facts.takes_empty),
        MatchOp::NotRegex => regex::facts(&matcher.value).is_ok_and(|facts| facts.takes_empty),
    };
    matchers.iter().any(rules_out_empty)
}

/// `| regexp`: valid, with at least one named group, no name twice.
pub(crate) fn regexp_stage(source: &str) -> Checked {
    let invalid = |text: String| LogqlFault::meaning(format!("invalid regexp parser: {text}"));
    let mut names = regex::facts(source).map_err(invalid)?.names;
    if names.is_empty() {
        return Err(invalid("at least one named capture must be supplied".to_owned()));
    }
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(invalid(format!("duplicate extracted label name '{}'", pair[0]))),
        None => Ok(()),
    }
}

/// `| pattern`: at least one named capture, no name twice, text between captures.
pub(crate) fn pattern_stage(source: &str) -> Checked {
    let invalid = |text: &str| refuse(format!("invalid pattern parser: {text}"));
    let captures = captures(source);
    if source.is_empty() {
        return invalid("parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL");
    }
    if captures.iter().all(|capture| capture.name == "_") {
        return invalid("at least one capture is required");
    }
    if let Some(text) = consecutive(source, &captures) {
        return invalid(&text);
    }
    let mut names: Vec<&str> = captures.iter().map(|capture| capture.name).filter(|name| *name != "_").collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => invalid(&format!("duplicate capture name ({}): invalid expression", pair[0])),
        None => Ok(()),
    }
}

/// `<name>` in a pattern, and where it stands.
struct Capture<'a> {
    name: &'a str,
    start: usize,
    end: usize,
}

/// The captures of a pattern; what looks like one but has no label name inside is text.
fn captures(source: &str) -> Vec<Capture<'_>> {
    let mut found = Vec::new();
    for (start, _) in source.match_indices('<') {
        let inside = &source[start + 1..];
        let length = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let name = &inside[..length];
        if inside[length..].starts_with('>') && proto_model::labels::is_label_name(name) {
            found.push(Capture { name, start, end: start + length + 2 });
        }
    }
    found
}

fn consecutive(source: &str, captures: &[Capture<'_>]) -> Option<String> {
    let pair = captures.windows(2).find(|pair| pair[0].end == pair[1].start)?;
    Some(format!("found consecutive capture '{}': invalid expression", &source[pair[0].start..pair[1].end]))
}

/// The last argument of `label_replace`, which is anchored before it is read.
pub(crate) fn label_replace(source: &str) -> Checked {
    let anchored = format!("^(?:{source})$");
    let facts = regex::facts(source).map_err(|text| text.replace(&format!("`{source}`"), &format!("`{anchored}`")));
    facts.map(|_| ()).map_err(|text| LogqlFault::meaning(format!("invalid regex in label_replace: {text}")))
}

/// What may be computed over lines, with which arguments.
pub(crate) fn range(op: RangeOp, param: Option<&(String, f64)>, range: &LogRange, grouping: Option<&Grouping>) -> Checked {
    let word = op.as_str();
    match (op == RangeOp::QuantileOverTime, param) {
        (true, None) => return refuse(format!("parameter required for operation {word}")),
        (false, Some((text, _))) => return refuse(format!("parameter {text} not supported for operation {word}")),
        (true, Some(_)) | (false, None) => {}
    }
    let (unwrapped, groups) = match op {
        RangeOp::CountOverTime | RangeOp::BytesRate | RangeOp::BytesOverTime => (Some(false), false),
        RangeOp::Rate | RangeOp::AbsentOverTime => (None, false),
        RangeOp::SumOverTime | RangeOp::RateCounter => (Some(true), false),
        RangeOp::AvgOverTime
        | RangeOp::MinOverTime
        | RangeOp::MaxOverTime
        | RangeOp::StdvarOverTime
        | RangeOp::StddevOverTime
        | RangeOp::QuantileOverTime
        | RangeOp::FirstOverTime
        | RangeOp::LastOverTime => (Some(true), true),
    };
    if grouping.is_some() && !groups {
        return refuse(format!("grouping not allowed for {word} aggregation"));
    }
    match (unwrapped, &range.unwrap) {
        (Some(true), None) => refuse(format!("invalid aggregation {word} without unwrap")),
        (Some(false), Some(_)) => refuse(format!("invalid aggregation {word} with unwrap")),
        (None | Some(true), Some(_)) | (None | Some(false), None) => Ok(()),
    }
}

/// What may be computed over series, with which arguments.
pub(crate) fn vector(op: VectorOp, param: Option<&(String, f64)>, grouping: Option<&Grouping>) -> Checked {
    let word = op.as_str();
    let takes_count = matches!(op, VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk);
    match (takes_count, param) {
        (true, None) => return refuse(format!("parameter required for operation {word}")),
        (true, Some((text, _))) => match text.parse::<i64>() {
            Err(_) => return refuse(format!("invalid parameter {word}({text},")),
            Ok(..=0) => return refuse(format!("invalid parameter (must be greater than 0) {word}({text}")),
            Ok(_) => {}
        },
        (false, Some((text, _))) => return refuse(format!("unsupported parameter for operation {word}({text},")),
        (false, None) => {}
    }
    match op {
        VectorOp::ApproxTopk if grouping.is_some() => refuse(format!("grouping not allowed for {word} aggregation")),
        VectorOp::Sort | VectorOp::SortDesc if grouping.is_some_and(|grouping| !grouping.labels.is_empty()) => {
            refuse("sort and sort_desc doesn't allow grouping by ")
        }
        VectorOp::Sum
        | VectorOp::Avg
        | VectorOp::Min
        | VectorOp::Max
        | VectorOp::Count
        | VectorOp::Stddev
        | VectorOp::Stdvar
        | VectorOp::Topk
        | VectorOp::Bottomk
        | VectorOp::ApproxTopk
        | VectorOp::Sort
        | VectorOp::SortDesc => Ok(()),
    }
}

/// Both sides of an operator give samples, and a set operator takes no scalar.
pub(crate) fn binary(op: BinOp, left: &Expr, right: &Expr) -> Checked {
    let word = op.as_str();
    for (side, expr) in [("left", left), ("right", right)] {
        if let Expr::Log(log) = expr {
            // The names of Loki's own types, which its users have come to know from this text.
            let kind = if log.stages.is_empty() { "MatchersExpr" } else { "PipelineExpr" };
            return refuse(format!("unexpected type for {side} leg of binary operation ({word}): *syntax.{kind}"));
        }
    }
    for (side, expr) in [("left", left), ("right", right)] {
        if let (true, Expr::Metric(MetricExpr::Literal(value))) = (op.is_set(), expr) {
            return refuse(format!("unexpected literal for {side} leg of logical/set binary operation ({word}): {value:.6}"));
        }
    }
    Ok(())
}

/// Judges every stage of a query: regular expressions and patterns of line filters, addresses, paths
/// of `json` and `logfmt`, names of `label_format`. Templates are judged by who compiles them.
///
/// # Errors
/// [`LogqlFault::Stage`] for the first stage that cannot be built.
pub fn validate(expr: &Expr) -> Result<(), LogqlFault> {
    match expr {
        Expr::Log(log) => log_stages(log),
        Expr::Metric(metric) => metric_stages(metric),
    }
}

fn metric_stages(expr: &MetricExpr) -> Checked {
    match expr {
        MetricExpr::Range { range, .. } => range_stages(range),
        MetricExpr::Vector { inner, .. } | MetricExpr::LabelReplace { inner, .. } => metric_stages(inner),
        MetricExpr::Binary { left, right, .. } => metric_stages(left).and_then(|()| metric_stages(right)),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => Ok(()),
        MetricExpr::Variants { variants, of } => variants.iter().try_for_each(metric_stages).and_then(|()| range_stages(of)),
    }
}

fn range_stages(range: &LogRange) -> Checked {
    log_stages(&range.log)?;
    let filters = range.unwrap.iter().flat_map(|unwrap| &unwrap.filters);
    filters.cloned().map(Stage::LabelFilter).try_for_each(|stage| one_stage(&stage))
}

fn log_stages(log: &LogExpr) -> Checked {
    log.stages.iter().try_for_each(one_stage)
}

fn one_stage(stage: &Stage) -> Checked {
    stage_text(stage).map_err(|text| LogqlFault::stage(stage, text))
}

fn stage_text(stage: &Stage) -> Result<(), String> {
    match stage {
        Stage::LineFilter(filter) => line_filter(filter),
        Stage::Json { expressions } => expressions.iter().try_for_each(|e| path::json_path(&e.path).map(|_| ())),
        Stage::Logfmt { expressions, .. } => expressions.iter().try_for_each(|e| path::logfmt_key(&e.path).map(|_| ())),
        Stage::LabelFormat(formats) => label_formats(formats),
        Stage::LabelFilter(filter) => label_filter(filter),
        Stage::Pattern(_) | Stage::Regexp(_) | Stage::Unpack | Stage::LineFormat(_) | Stage::Drop(_) | Stage::Keep(_) | Stage::Decolorize => Ok(()),
    }
}

fn line_filter(filter: &LineFilter) -> Result<(), String> {
    filter.terms.iter().try_for_each(|term| match (filter.op, term) {
        (LineOp::Contains | LineOp::NotContains, LineTerm::Ip(pattern)) => ip_pattern(pattern),
        (LineOp::Match | LineOp::NotMatch | LineOp::Pattern | LineOp::NotPattern, LineTerm::Ip(_)) => Err("ip: invalid operation".to_owned()),
        (LineOp::Match | LineOp::NotMatch, LineTerm::Text(source)) => regex::facts(source).map(|_| ()),
        (LineOp::Pattern | LineOp::NotPattern, LineTerm::Text(source)) => line_pattern(source),
        (LineOp::Contains | LineOp::NotContains, LineTerm::Text(_)) => Ok(()),
    })
}

fn label_filter(filter: &LabelFilter) -> Result<(), String> {
    match filter {
        LabelFilter::Ip { pattern, .. } => ip_pattern(pattern),
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => label_filter(left).and_then(|()| label_filter(right)),
        LabelFilter::Matcher(_) | LabelFilter::Number { .. } | LabelFilter::Duration { .. } | LabelFilter::Bytes { .. } => Ok(()),
    }
}

/// Wildcards `<_>` only, with text between them.
fn line_pattern(source: &str) -> Result<(), String> {
    let captures = captures(source);
    let named = || captures.iter().find(|capture| capture.name != "_").map(|capture| format!("named captures are not allowed: found '<{}>'", capture.name));
    consecutive(source, &captures).or_else(named).map_or(Ok(()), Err)
}

/// An address, a network `a/n` or a range `a-b` of one family.
fn ip_pattern(pattern: &str) -> Result<(), String> {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    let valid = if let Some((base, bits)) = pattern.split_once('/') {
        address(base).zip(bits.parse::<u8>().ok()).is_some_and(|(base, bits)| bits <= if base.is_ipv4() { 32 } else { 128 })
    } else if let Some((first, last)) = pattern.split_once('-') {
        address(first).zip(address(last)).is_some_and(|(first, last)| first.is_ipv4() == last.is_ipv4() && first <= last)
    } else {
        address(pattern).is_some()
    };
    if valid { Ok(()) } else { Err(format!("ip: invalid pattern: {pattern:?}")) }
}

fn label_formats(formats: &[LabelFormat]) -> Result<(), String> {
    for (i, format) in formats.iter().enumerate() {
        if format.name == "__error__" {
            return Err("__error__ cannot be formatted".to_owned());
        }
        if formats[..i].iter().any(|before| before.name == format.name) {
            return Err(format!("multiple label name '{}' not allowed in a single format operation", format.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
