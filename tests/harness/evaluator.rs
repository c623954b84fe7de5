//! A slow, plain evaluator of LogQL: what the engine's answers are held against.
//!
//! It knows nothing of the engine: every stage, parser, filter and aggregation is written again in the most direct
//! way, over lines in a list; it shares only the tree of a query (`hub_logql`). Parts: [`Line`]s and [`Question`]s in,
//! [`Answer`]s out ([`answer`]); `record` (the labels of a line), `stage` (a pipeline over one line), `parser`,
//! `filter`, `template` (a small part of Go's), `metric` (windows, groups, operators).
//! Limits: templates are those that the generator of `tests/oracle` writes; `rate_counter`, `approx_topk` and
//! `variants` are refused. Must not do: be fast; use anything of `hub_query` or `proto_extract`.

pub mod filter;
pub mod metric;
pub mod parser;
pub mod record;
pub mod stage;
pub mod template;

use std::collections::BTreeMap;

use hub_logql::Expr;

/// Labels by name.
pub type Set = BTreeMap<String, String>;

/// A stored line; the order of a list of them is the order in which they arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Index labels.
    pub stream: Set,
    /// Nanoseconds.
    pub time: i64,
    /// Structured metadata, `detected_level` included.
    pub metadata: Set,
    /// The text.
    pub text: String,
}

/// What is asked beside the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Lines of `[start, end)`.
    Logs {
        /// Included.
        start: i64,
        /// Excluded.
        end: i64,
        /// Oldest first.
        forward: bool,
        /// Lines at most.
        limit: usize,
    },
    /// Samples at `start`, `start + step`, ... `end`: all multiples of `step`.
    Range {
        /// First.
        start: i64,
        /// Last.
        end: i64,
        /// Between two.
        step: i64,
    },
    /// Samples at one time.
    Instant {
        /// When.
        at: i64,
    },
}

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Nanoseconds.
    pub time: i64,
    /// All labels, without `__error_details__`.
    pub labels: Set,
    /// The text.
    pub text: String,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Lines, in order of the answer; the second list are those that a limit cut off.
    Lines(Vec<Shown>, Vec<Shown>),
    /// Series and their points.
    Series(Vec<(Set, Vec<(i64, f64)>)>),
    /// A number.
    Scalar(f64),
}

impl Answer {
    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Lines(lines, _) => lines.is_empty(),
            Self::Series(series) => series.is_empty(),
            Self::Scalar(_) => false,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A line of a metric query has this error.
    Pipeline(String),
    /// Series do not match one to one.
    Matching,
    /// This evaluator does not know it.
    Unknown(&'static str),
}

/// Answers `query` over `lines`.
///
/// # Errors
/// [`Refusal`].
pub fn answer(lines: &[Line], query: &Expr, question: Question) -> Result<Answer, Refusal> {
    match (query, question) {
        (Expr::Log(log), Question::Logs { start, end, forward, limit }) => {
            let mut shown = Vec::new();
            for line in lines.iter().filter(|line| start <= line.time && line.time < end) {
                if let Some(record) = stage::run(log, line)? {
                    shown.push(Shown { time: line.time, labels: record.shown(), text: record.text });
                }
            }
            // Stable: lines of one time stay in order of arrival, backward in its reverse.
            if forward {
                shown.sort_by_key(|line| line.time);
            } else {
                shown.reverse();
                shown.sort_by_key(|line| std::cmp::Reverse(line.time));
            }
            let rest = shown.split_off(limit.min(shown.len()));
            Ok(Answer::Lines(shown, rest))
        }
        (Expr::Metric(metric), Question::Range { start, end, step }) => {
            let times: Vec<i64> = (0..).map(|n| start + n * step).take_while(|time| *time <= end).collect();
            metric::matrix(lines, metric, &times)
        }
        (Expr::Metric(metric), Question::Instant { at }) => metric::instant(lines, metric, at),
        (Expr::Log(_) | Expr::Metric(_), _) => Err(Refusal::Unknown("the question is of another kind than the query")),
    }
}
