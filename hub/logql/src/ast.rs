//! The tree of a LogQL query, as parsed: checked values, no positions, no defaults applied.
//!
//! Parts in the order of a query: [`Expr`], [`LogExpr`] with [`Matcher`] and [`Stage`]s
//! ([`LineFilter`], [`LabelFilter`] and the rest), then [`MetricExpr`] with [`LogRange`],
//! [`Grouping`] and [`VectorMatching`]. The operators are in [`crate::op`].
//!
//! Promises: equal meaning written differently gives an equal tree where Loki's canonical text is
//! equal (`!= "a" or "b"` is two filters; `sum by ()` is `sum`; scalars are folded).
//! Must not do: evaluate; know time, labels or templates.

use proto_model::MatchOp;

use crate::op::{BinOp, CmpOp, GroupSide, LineOp, RangeOp, UnwrapConversion, VectorOp};

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Gives log lines.
    Log(LogExpr),
    /// Gives samples.
    Metric(MetricExpr),
}

/// A selector and what is done with each of its lines, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct LogExpr {
    /// All must hold; at least one rules out the empty value.
    pub matchers: Vec<Matcher>,
    /// Applied to a line from first to last.
    pub stages: Vec<Stage>,
}

/// One test of a label's text. Regular expressions are anchored at both ends; an absent label is "".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How it is compared.
    pub op: MatchOp,
    /// What it is compared with.
    pub value: String,
}

/// One step of a pipeline. `unwrap` is none: it ends the pipeline of a [`LogRange`].
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Keeps lines by their text.
    LineFilter(LineFilter),
    /// `| json`: all fields, or the named ones.
    Json {
        /// Empty: all fields.
        expressions: Vec<Extraction>,
    },
    /// `| logfmt`.
    Logfmt {
        /// `--strict`: stop at the first broken pair and mark the line.
        strict: bool,
        /// `--keep-empty`: labels for keys without a value.
        keep_empty: bool,
        /// Empty: all pairs.
        expressions: Vec<Extraction>,
    },
    /// `| pattern "..."`.
    Pattern(String),
    /// `| regexp "..."`.
    Regexp(String),
    /// `| unpack`.
    Unpack,
    /// Keeps lines by their labels.
    LabelFilter(LabelFilter),
    /// `| line_format "..."`: a Go template.
    LineFormat(String),
    /// `| label_format a=b,c="..."`.
    LabelFormat(Vec<LabelFormat>),
    /// `| drop ...`.
    Drop(Vec<LabelPick>),
    /// `| keep ...`.
    Keep(Vec<LabelPick>),
    /// `| decolorize`.
    Decolorize,
}

/// `name="path"` of `json` and `logfmt`; a bare `name` has itself as path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// The label to set.
    pub name: String,
    /// Where its value lies in the line ([`crate::path`]).
    pub path: String,
}

/// One assignment of `label_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelFormat {
    /// The label to set.
    pub name: String,
    /// What to set it to.
    pub value: LabelFormatValue,
}

/// The right side of a `label_format` assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelFormatValue {
    /// Another label, which is renamed.
    Rename(String),
    /// A Go template.
    Template(String),
}

/// One item of `drop` or `keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelPick {
    /// The label, whatever its value.
    Name(String),
    /// The label, if it holds.
    Matcher(Matcher),
}

/// One line filter: the line must (or must not) meet any of the terms. A negated one has one term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineFilter {
    /// How the line is tested.
    pub op: LineOp,
    /// Never empty; one suffices.
    pub terms: Vec<LineTerm>,
}

/// What a line is tested for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineTerm {
    /// Text, unanchored regular expression or pattern, as the operator says.
    Text(String),
    /// `ip("...")`: any address in the line within this address, range or network.
    Ip(String),
}

/// A condition on labels.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelFilter {
    /// On its text.
    Matcher(Matcher),
    /// On its value as a number.
    Number {
        /// The label.
        name: String,
        /// How it is compared.
        op: CmpOp,
        /// What it is compared with.
        value: f64,
    },
    /// On its value as a Go duration.
    Duration {
        /// The label.
        name: String,
        /// How it is compared.
        op: CmpOp,
        /// What it is compared with, in nanoseconds.
        value_ns: i64,
    },
    /// On its value as a size.
    Bytes {
        /// The label.
        name: String,
        /// How it is compared.
        op: CmpOp,
        /// What it is compared with, in bytes.
        value: u64,
    },
    /// On its value as an address.
    Ip {
        /// The label.
        name: String,
        /// `!=` instead of `=`.
        not: bool,
        /// Address, range `a-b` or network.
        pattern: String,
    },
    /// Both.
    And(Box<Self>, Box<Self>),
    /// Either.
    Or(Box<Self>, Box<Self>),
}

/// A metric query.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricExpr {
    /// Samples out of lines: `rate({..}[5m])`.
    Range {
        /// What is computed over each window.
        op: RangeOp,
        /// Only for `quantile_over_time`, and always there.
        param: Option<f64>,
        /// The lines.
        range: LogRange,
        /// `None`: all labels. `Some` of an empty `by` list: one series.
        grouping: Option<Grouping>,
    },
    /// Over the series of each step: `sum by (x) (..)`.
    Vector {
        /// What is computed over each group.
        op: VectorOp,
        /// Only for `topk`, `bottomk` and `approx_topk`, and always there: a whole number above 0.
        param: Option<f64>,
        /// The series.
        inner: Box<Self>,
        /// `None`: one group (for `sort`: no grouping).
        grouping: Option<Grouping>,
    },
    /// `left op right`; never of two literals.
    Binary {
        /// The operator.
        op: BinOp,
        /// Left side.
        left: Box<Self>,
        /// Right side.
        right: Box<Self>,
        /// `None`: series match on all labels.
        matching: Option<VectorMatching>,
        /// `bool`: compare to 0 or 1 instead of filtering.
        return_bool: bool,
    },
    /// A scalar.
    Literal(f64),
    /// `vector(n)`.
    VectorLiteral(f64),
    /// `label_replace(inner, dst, replacement, src, regex)`.
    LabelReplace {
        /// The series.
        inner: Box<Self>,
        /// The label to set.
        dst: String,
        /// Its value, with `$1`.
        replacement: String,
        /// The label to read.
        src: String,
        /// What it must match, anchored.
        regex: String,
    },
    /// `variants(m1, m2) of (range)`.
    Variants {
        /// What is computed, in order.
        variants: Vec<Self>,
        /// Over which lines.
        of: LogRange,
    },
}

/// Lines over a window that slides with the step.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRange {
    /// The lines; its stages come before the unwrap.
    pub log: LogExpr,
    /// Length of the window.
    pub range_ns: i64,
    /// How far back the window ends.
    pub offset_ns: i64,
    /// The label whose values are the samples.
    pub unwrap: Option<Unwrap>,
}

/// `| unwrap label`.
#[derive(Debug, Clone, PartialEq)]
pub struct Unwrap {
    /// The label.
    pub label: String,
    /// `None`: its value is a number.
    pub conversion: Option<UnwrapConversion>,
    /// Applied after it.
    pub filters: Vec<LabelFilter>,
}

/// `by (a, b)` or `without (a, b)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// `without` instead of `by`.
    pub without: bool,
    /// The labels, as written.
    pub labels: Vec<String>,
}

impl Grouping {
    /// `by ()`: everything into one group.
    #[must_use]
    pub fn is_by_nothing(&self) -> bool {
        !self.without && self.labels.is_empty()
    }
}

/// How the series of two sides find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorMatching {
    /// `on` instead of `ignoring`.
    pub on: bool,
    /// Its labels.
    pub labels: Vec<String>,
    /// `None`: one to one.
    pub group: Option<GroupSide>,
    /// Labels of the "one" side to copy.
    pub include: Vec<String>,
}
