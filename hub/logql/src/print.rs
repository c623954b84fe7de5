//! The tree into Loki's canonical text, which keys caches and logs queries; it parses to the same tree.
//!
//! Parts: `Display` of every node from the whole to its leaves.
//! Promise: letter for letter what Loki 3.7 prints, except where that would not read back to the same
//! query: sizes and `vector(n)` that its rounding would change, `group_left` before a parenthesis,
//! labels beyond ASCII, and an expression with a backquote inside backquotes.

use std::fmt::{Display, Formatter, Result};

use proto_model::MatchOp;
use proto_model::labels::quoted;

use crate::ast::{
    Expr, Extraction, Grouping, LabelFilter, LabelFormat, LabelFormatValue, LabelPick, LineFilter, LineTerm, LogExpr, LogRange, Matcher, MetricExpr, Stage,
    Unwrap, VectorMatching,
};
use crate::duration::{print_bytes, print_decimal, print_go, print_number, print_prometheus};
use crate::op::GroupSide;
use crate::regex::is_plain;

/// Items between separators.
fn joined<T: Display>(f: &mut Formatter<'_>, items: &[T], separator: &str) -> Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Log(log) => log.fmt(f),
            Self::Metric(metric) => metric.fmt(f),
        }
    }
}

/// `{a="b", c=~"d"}`.
pub(crate) struct Selector<'a>(pub(crate) &'a [Matcher]);

impl Display for Selector<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("{")?;
        joined(f, self.0, ", ")?;
        f.write_str("}")
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Selector(&self.matchers).fmt(f)?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}{}{}", self.name, self.op.as_str(), quoted(&self.value))
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let list = |f: &mut Formatter<'_>, expressions: &[Extraction]| {
            f.write_str(if expressions.is_empty() { "" } else { " " })?;
            joined(f, expressions, ",")
        };
        match self {
            Self::LineFilter(filter) => filter.fmt(f),
            Self::Json { expressions } => {
                f.write_str("| json")?;
                list(f, expressions)
            }
            Self::Logfmt { strict, keep_empty, expressions } => {
                f.write_str("| logfmt")?;
                f.write_str(if *strict { " --strict" } else { "" })?;
                f.write_str(if *keep_empty { " --keep-empty" } else { "" })?;
                list(f, expressions)
            }
            Self::Pattern(source) => write!(f, "| pattern {}", quoted(source)),
            Self::Regexp(source) => write!(f, "| regexp {}", quoted(source)),
            Self::Unpack => f.write_str("| unpack"),
            Self::LabelFilter(filter) => write!(f, "| {filter}"),
            Self::LineFormat(template) => write!(f, "| line_format {}", quoted(template)),
            Self::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                joined(f, formats, ",")
            }
            Self::Drop(picks) => {
                f.write_str("| drop ")?;
                joined(f, picks, ",")
            }
            Self::Keep(picks) => {
                f.write_str("| keep ")?;
                joined(f, picks, ",")
            }
            Self::Decolorize => f.write_str("| decolorize"),
        }
    }
}

impl Display for Extraction {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}={}", self.name, quoted(&self.path))
    }
}

impl Display for LabelFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.value {
            LabelFormatValue::Rename(from) => write!(f, "{}={from}", self.name),
            LabelFormatValue::Template(template) => write!(f, "{}={}", self.name, quoted(template)),
        }
    }
}

impl Display for LabelPick {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Matcher(matcher) => matcher.fmt(f),
        }
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} ", self.op.as_str())?;
        joined(f, &self.terms, " or ")
    }
}

impl Display for LineTerm {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Ip(pattern) => write!(f, "ip({})", quoted(pattern)),
        }
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Matcher(Matcher { name, op: op @ (MatchOp::Regex | MatchOp::NotRegex), value }) if !is_plain(value) && !value.contains(['`', '\r']) => {
                write!(f, "{name}{}`{value}`", op.as_str())
            }
            Self::Matcher(matcher) => matcher.fmt(f),
            Self::Number { name, op, value } => write!(f, "{name}{}{}", op.as_str(), print_decimal(*value)),
            Self::Duration { name, op, value_ns } => write!(f, "{name}{}{}", op.as_str(), print_go(*value_ns)),
            Self::Bytes { name, op, value } => write!(f, "{name}{}{}", op.as_str(), print_bytes(*value)),
            Self::Ip { name, not, pattern } => write!(f, "{name}{}ip({})", if *not { "!=" } else { "=" }, quoted(pattern)),
            Self::And(left, right) => write!(f, "( {left} , {right} )"),
            Self::Or(left, right) => write!(f, "( {left} or {right} )"),
        }
    }
}

impl Display for MetricExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Range { op, param, range, grouping } => {
                write!(f, "{}(", op.as_str())?;
                if let Some(param) = param {
                    write!(f, "{},", print_decimal(*param))?;
                }
                write!(f, "{range})")?;
                grouping.as_ref().map_or(Ok(()), |grouping| grouping.fmt(f))
            }
            Self::Vector { op, param, inner, grouping } => {
                f.write_str(op.as_str())?;
                if let Some(grouping) = grouping {
                    grouping.fmt(f)?;
                }
                f.write_str("(")?;
                if let Some(param) = param {
                    write!(f, "{},", print_decimal(*param))?;
                }
                write!(f, "{inner})")
            }
            Self::Binary { op, left, right, matching, return_bool } => {
                let opens = matches!(**right, Self::Binary { .. });
                let operator = Operator { word: op.as_str(), return_bool: *return_bool, matching: matching.as_ref(), opens };
                write!(f, "({left} {operator} {right})")
            }
            Self::Literal(value) => f.write_str(&print_number(*value)),
            Self::VectorLiteral(value) => {
                let rounded = format!("{value:.6}");
                let exact = rounded.parse() == Ok(*value);
                write!(f, "vector({})", if exact { rounded } else { print_decimal(*value) })
            }
            Self::LabelReplace { inner, dst, replacement, src, regex } => {
                write!(f, "label_replace({inner},{},{},{},{})", quoted(dst), quoted(replacement), quoted(src), quoted(regex))
            }
            Self::Variants { variants, of } => {
                f.write_str("variants(")?;
                joined(f, variants, ", ")?;
                write!(f, ") of ({of})")
            }
        }
    }
}

/// An operator with what stands behind it: `+ on (a) group_left (b)`.
pub(crate) struct Operator<'a> {
    pub(crate) word: &'static str,
    pub(crate) return_bool: bool,
    pub(crate) matching: Option<&'a VectorMatching>,
    /// Whether a `(` follows, which must not be taken for the labels of a group.
    pub(crate) opens: bool,
}

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.word)?;
        f.write_str(if self.return_bool { " bool" } else { "" })?;
        let Some(matching) = self.matching else { return Ok(()) };
        let empty_include = matching.group.is_some() && matching.include.is_empty() && self.opens;
        write!(f, " {matching}{}", if empty_include { " ()" } else { "" })
    }
}

/// Without a group, a blank is left at the end, as Loki prints it.
impl Display for VectorMatching {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} ({}) ", if self.on { "on" } else { "ignoring" }, self.labels.join(","))?;
        let Some(side) = self.group else { return Ok(()) };
        f.write_str(match side {
            GroupSide::Left => "group_left",
            GroupSide::Right => "group_right",
        })?;
        if self.include.is_empty() { Ok(()) } else { write!(f, " ({})", self.include.join(",")) }
    }
}

/// With the blank before it.
impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, " {} ({})", if self.without { "without" } else { "by" }, self.labels.join(","))
    }
}

impl Display for LogRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
            unwrap.filters.iter().try_for_each(|filter| write!(f, " | {filter}"))?;
        }
        write!(f, "[{}]", print_prometheus(self.range_ns))?;
        if self.offset_ns == 0 { Ok(()) } else { write!(f, " offset {}", print_go(self.offset_ns)) }
    }
}

/// Without its filters.
impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.conversion {
            Some(conversion) => write!(f, "| unwrap {}({})", conversion.as_str(), self.label),
            None => write!(f, "| unwrap {}", self.label),
        }
    }
}

#[cfg(test)]
mod tests;
