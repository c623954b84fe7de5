//! LogQL as text and as tree: what Loki 3.7 accepts, refused and printed as Loki does.
//!
//! ```text
//! text --token--> tokens --parse, parse_filter, parse_metric (check)--> Expr --validate--> who runs it
//!                                                                       Expr --print, pretty--> text
//! ```
//!
//! Parts in that order: `token`; `parse` and its two siblings; `check` with `regex` and
//! [`mod@path`]; the tree ([`ast`], [`op`]); `print` and `pretty`; beside them [`duration`],
//! [`limits`] and [`fault`].
//! Limits: [`limits`] bounds text, nesting, matchers, terms and expressions, so that no query can take
//! more than milliseconds or overflow the stack.
//! Promises: pure; never panics, whatever the text; `parse(&expr.to_string())` gives `expr` again,
//! but for scalars folded to what LogQL cannot write (NaN, infinite).
//! Must not do: run queries, compile expressions or templates, know tenants.

pub mod ast;
mod check;
pub mod duration;
pub mod fault;
pub mod limits;
pub mod op;
mod parse;
mod parse_filter;
mod parse_metric;
pub mod path;
mod pretty;
mod print;
mod regex;
mod token;

pub use ast::{
    Expr, Extraction, Grouping, LabelFilter, LabelFormat, LabelFormatValue, LabelPick, LineFilter, LineTerm, LogExpr, LogRange, Matcher, MetricExpr, Stage,
    Unwrap, VectorMatching,
};
pub use check::validate;
pub use fault::LogqlFault;
pub use op::{BinOp, CmpOp, GroupSide, LineOp, RangeOp, UnwrapConversion, VectorOp};
pub use pretty::pretty;

/// Reads a query.
///
/// # Errors
/// [`LogqlFault`]: not LogQL, senseless or too large; its text is Loki's.
pub fn parse(text: &str) -> Result<Expr, LogqlFault> {
    parse_metric::query(text)
}

/// Reads a selector and nothing else, as `match[]`, label queries and `index/stats` take it.
///
/// # Errors
/// As [`parse()`]; [`LogqlFault::NotSelector`] for a query that is more than a selector.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, LogqlFault> {
    parse_metric::selector_only(text)
}
