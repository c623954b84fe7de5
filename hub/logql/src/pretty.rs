//! The tree into text for people: what is longer than a line is broken and indented as Loki's
//! `format_query` does.
//!
//! Parts: [`pretty`], then one function per kind of node, each given its indentation.
//! Promise: reads back to the same query, so `on ()`, `by ()` and the parentheses of operators, which
//! Loki drops here, are kept where they matter.

use crate::ast::{Expr, Grouping, LogExpr, LogRange, MetricExpr, Stage};
use crate::duration::{print_decimal, print_go, print_prometheus};
use crate::op::{BinOp, RangeOp, VectorOp};
use crate::print::{Operator, Selector};
use proto_model::labels::quoted;

/// Longest text in bytes that stays on one line.
const LINE_BYTES_MAX: usize = 100;

/// The query on as many lines as it needs.
#[must_use]
pub fn pretty(expr: &Expr) -> String {
    match expr {
        Expr::Log(log) => log_lines(log, 0),
        Expr::Metric(metric) => metric_lines(metric, 0),
    }
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn log_lines(log: &LogExpr, level: usize) -> String {
    let whole = log.to_string();
    if log.stages.is_empty() || whole.len() <= LINE_BYTES_MAX {
        return indent(level) + &whole;
    }
    let mut out = format!("{}{}", indent(level), Selector(&log.matchers));
    let mut before_is_line_filter = false;
    for stage in &log.stages {
        let is_line_filter = matches!(stage, Stage::LineFilter(_));
        // Line filters in a row are one stage to Loki.
        let gap = if is_line_filter && before_is_line_filter { " ".to_owned() } else { format!("\n{}", indent(level + 1)) };
        out.push_str(&format!("{gap}{stage}"));
        before_is_line_filter = is_line_filter;
    }
    out
}

fn range_lines(range: &LogRange, level: usize) -> String {
    let mut out = log_lines(&range.log, level);
    if let Some(unwrap) = &range.unwrap {
        let inner = indent(level + 1);
        out.push_str(&format!("\n{inner}{unwrap}"));
        for filter in &unwrap.filters {
            out.push_str(&format!("\n{inner}| {filter}"));
        }
    }
    out.push_str(&format!(" [{}]", print_prometheus(range.range_ns)));
    if range.offset_ns != 0 {
        let short = print_prometheus(range.offset_ns);
        let exact = range.offset_ns % 1_000_000 == 0;
        out.push_str(&format!(" offset {}", if exact { short } else { print_go(range.offset_ns) }));
    }
    out
}

fn metric_lines(expr: &MetricExpr, level: usize) -> String {
    let (here, inner_indent) = (indent(level), indent(level + 1));
    if let MetricExpr::Variants { variants, of } = expr {
        let variants: Vec<String> = variants.iter().map(|variant| metric_lines(variant, level + 1)).collect();
        return format!("{here}variants(\n{}\n{here}) of (\n{}\n{here})", variants.join(",\n"), range_lines(of, level + 1));
    }
    let whole = expr.to_string();
    if whole.len() <= LINE_BYTES_MAX {
        return here + &whole;
    }
    match expr {
        MetricExpr::Range { op, param, range, grouping } => range_aggregation(*op, *param, range, grouping.as_ref(), level),
        MetricExpr::Vector { op, param, inner, grouping } => vector_aggregation(*op, *param, inner, grouping.as_ref(), level),
        MetricExpr::Binary { op, left, right, matching, return_bool } => {
            let left = operand_lines(left, |inner| inner.ends_before(*op), level + 1);
            let right = operand_lines(right, |inner| !op.ends_before(inner), level + 1);
            let opens = right.trim_start().starts_with('(');
            let operator = Operator { word: op.as_str(), return_bool: *return_bool, matching: matching.as_ref(), opens };
            format!("{left}\n{here}{operator}\n{right}")
        }
        MetricExpr::LabelReplace { inner, dst, replacement, src, regex } => {
            let mut params = vec![metric_lines(inner, level + 1)];
            params.extend([dst, replacement, src, regex].map(|text| format!("{inner_indent}{}", quoted(text))));
            format!("{here}label_replace(\n{}\n{here})", params.join(",\n"))
        }
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) | MetricExpr::Variants { .. } => here + &whole,
    }
}

/// One side of an operator. What is broken over lines loses its parentheses, but only where
/// `binds` says that it is read the same without.
fn operand_lines(expr: &MetricExpr, binds: impl Fn(BinOp) -> bool, level: usize) -> String {
    match expr {
        MetricExpr::Binary { op, .. } if !binds(*op) && expr.to_string().len() > LINE_BYTES_MAX => {
            format!("{0}(\n{1}\n{0})", indent(level), metric_lines(expr, level + 1))
        }
        MetricExpr::Binary { .. }
        | MetricExpr::Range { .. }
        | MetricExpr::Vector { .. }
        | MetricExpr::Literal(_)
        | MetricExpr::VectorLiteral(_)
        | MetricExpr::LabelReplace { .. }
        | MetricExpr::Variants { .. } => metric_lines(expr, level),
    }
}

fn range_aggregation(op: RangeOp, param: Option<f64>, range: &LogRange, grouping: Option<&Grouping>, level: usize) -> String {
    let here = indent(level);
    let param = param.map_or(String::new(), |param| format!("{}{},\n", indent(level + 1), print_decimal(param)));
    format!("{here}{}(\n{param}{}\n{here}){}", op.as_str(), range_lines(range, level + 1), grouping_line(grouping))
}

fn vector_aggregation(op: VectorOp, param: Option<f64>, inner: &MetricExpr, grouping: Option<&Grouping>, level: usize) -> String {
    let here = indent(level);
    let param = param.map_or(String::new(), |param| format!("{}{},\n", indent(level + 1), print_decimal(param)));
    format!("{here}{}{}(\n{param}{}\n{here})", op.as_str(), grouping_line(grouping), metric_lines(inner, level + 1))
}

/// As printed, but with blanks behind the commas.
fn grouping_line(grouping: Option<&Grouping>) -> String {
    grouping.map_or(String::new(), |grouping| format!(" {} ({})", if grouping.without { "without" } else { "by" }, grouping.labels.join(", ")))
}
