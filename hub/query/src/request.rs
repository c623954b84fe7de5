//! A checked request: what is asked, over which time, how much of it.
//!
//! Parts: [`LogRequest`], [`RangeRequest`], [`InstantRequest`], [`Direction`]. The constructors refuse in
//! Loki's exact words. Must not do: read parameters (the API does) or the store.

use std::time::Duration;

use hub_logql::duration::print_go;
use hub_logql::{Expr, LogExpr, MetricExpr};
use proto_model::{TimeRange, Timestamp};

use crate::budget::Limits;
use crate::fault::QueryFault;
use crate::limits::{ENTRIES_MAX, STEPS_MAX};
use crate::page::Page;

/// In which order entries are answered, and from which end a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    #[default]
    Backward,
}

impl std::str::FromStr for Direction {
    type Err = QueryFault;

    /// In any case, as Loki reads it.
    fn from_str(text: &str) -> Result<Self, QueryFault> {
        if text.eq_ignore_ascii_case("forward") {
            Ok(Self::Forward)
        } else if text.eq_ignore_ascii_case("backward") {
            Ok(Self::Backward)
        } else {
            Err(QueryFault::Request(format!("invalid direction '{text}'")))
        }
    }
}

/// A log query over a range.
#[derive(Debug, Clone)]
pub struct LogRequest {
    /// What is asked.
    pub expr: LogExpr,
    /// `[start, end)`.
    pub range: TimeRange,
    /// Entries at most.
    pub limit: usize,
    /// From which end.
    pub direction: Direction,
    /// One page of the answer; `None`: the first `limit` entries, as Loki has it.
    pub page: Option<Page>,
    /// Nanoseconds that lie between two entries of the answer at least; 0 = all entries.
    pub interval_ns: i64,
}

/// A metric query over a range, at `start`, `start + step`, ... up to `end`.
#[derive(Debug, Clone)]
pub struct RangeRequest {
    /// What is asked.
    pub expr: MetricExpr,
    /// First step, a multiple of the step unless made by hand.
    pub start: Timestamp,
    /// Last possible step.
    pub end: Timestamp,
    /// Between two steps, in nanoseconds, above 0.
    pub step_ns: i64,
}

/// A metric query at one point.
#[derive(Debug, Clone)]
pub struct InstantRequest {
    /// What is asked.
    pub expr: MetricExpr,
    /// When.
    pub at: Timestamp,
}

impl LogRequest {
    /// Checks a log query.
    ///
    /// # Errors
    /// An end that is not after the start, a limit of 0 or above the tenant's, too long a range, too many matchers, a
    /// stage that cannot be built.
    pub fn new(expr: LogExpr, range: TimeRange, limit: i64, direction: Direction, limits: &Limits) -> Result<Self, QueryFault> {
        check_range(range, limits)?;
        check_matchers(&expr, limits)?;
        hub_logql::validate(&Expr::Log(expr.clone()))?;
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| QueryFault::Request("limit must be a positive value".to_owned()))?;
        let max = limits.max_entries_limit_per_query;
        if max > 0 && limit > max {
            let text = format!("max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {max})");
            return Err(QueryFault::Limit(text));
        }
        Ok(Self { expr, range, limit: limit.min(ENTRIES_MAX), direction, interval_ns: 0, page: None })
    }

    /// The same with entries `interval_ns` apart at least, whatever their stream: the first counts, and each that lies so far from the
    /// last one that counted.
    ///
    /// # Errors
    /// A negative interval.
    pub fn every(self, interval_ns: i64) -> Result<Self, QueryFault> {
        if interval_ns < 0 {
            return Err(QueryFault::Request("interval must be >= 0".to_owned()));
        }
        Ok(Self { interval_ns, ..self })
    }
}

impl RangeRequest {
    /// Checks a metric query and aligns it as Loki does: start down, end up to a multiple of the step.
    ///
    /// # Errors
    /// An end before the start, a step of 0 or less, more than 11,000 steps, too long a range, too many matchers, a stage
    /// that cannot be built.
    pub fn new(expr: MetricExpr, range: TimeRange, step_ns: i64, limits: &Limits) -> Result<Self, QueryFault> {
        if range.end < range.start {
            return Err(end_before_start());
        }
        if step_ns <= 0 {
            let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(QueryFault::Request(text.to_owned()));
        }
        let span = range.end.nanos().saturating_sub(range.start.nanos());
        if span / step_ns > STEPS_MAX {
            let text = "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter";
            return Err(QueryFault::Request(text.to_owned()));
        }
        check_length(span, limits)?;
        check_metric(&expr, limits)?;
        let start = range.start.nanos() - range.start.nanos().rem_euclid(step_ns);
        let past = range.end.nanos().rem_euclid(step_ns);
        let end = if past == 0 { range.end.nanos() } else { range.end.nanos().saturating_add(step_ns - past) };
        Ok(Self { expr, start: Timestamp(start), end: Timestamp(end), step_ns })
    }

    /// Number of steps.
    #[must_use]
    pub(crate) fn steps(&self) -> usize {
        let span = self.end.nanos().saturating_sub(self.start.nanos()).max(0);
        usize::try_from(span / self.step_ns.max(1)).unwrap_or(0) + 1
    }
}

impl InstantRequest {
    /// Checks a metric query.
    ///
    /// # Errors
    /// Too many matchers, a stage that cannot be built, a window longer than a query may be.
    pub fn new(expr: MetricExpr, at: Timestamp, limits: &Limits) -> Result<Self, QueryFault> {
        check_metric(&expr, limits)?;
        Ok(Self { expr, at })
    }
}

fn end_before_start() -> QueryFault {
    QueryFault::Request("end timestamp must not be before or equal to start time".to_owned())
}

pub(crate) fn check_range(range: TimeRange, limits: &Limits) -> Result<(), QueryFault> {
    if range.end <= range.start {
        return Err(end_before_start());
    }
    check_length(range.end.nanos().saturating_sub(range.start.nanos()), limits)
}

fn check_length(span_ns: i64, limits: &Limits) -> Result<(), QueryFault> {
    let span = Duration::from_nanos(u64::try_from(span_ns).unwrap_or(0));
    if limits.max_query_length.is_zero() || span <= limits.max_query_length {
        return Ok(());
    }
    let limit = i64::try_from(limits.max_query_length.as_nanos()).unwrap_or(i64::MAX);
    let text = format!("the query time range exceeds the limit (query length: {}, limit: {})", print_go(span_ns), hub_logql::duration::print_prometheus(limit));
    Err(QueryFault::Limit(text))
}

pub(crate) fn check_matchers(log: &LogExpr, limits: &Limits) -> Result<(), QueryFault> {
    let (found, max) = (log.matchers.len(), limits.max_streams_matchers_per_query);
    if max > 0 && found > max {
        return Err(QueryFault::Limit(format!("max streams matchers per query exceeded, matchers-count > limit ({found} > {max})")));
    }
    Ok(())
}

fn check_metric(expr: &MetricExpr, limits: &Limits) -> Result<(), QueryFault> {
    check_selectors(expr, limits)?;
    check_windows(expr, limits)?;
    Ok(hub_logql::validate(&Expr::Metric(expr.clone()))?)
}

fn check_selectors(expr: &MetricExpr, limits: &Limits) -> Result<(), QueryFault> {
    match expr {
        MetricExpr::Range { range, .. } => check_matchers(&range.log, limits),
        MetricExpr::Vector { inner, .. } | MetricExpr::LabelReplace { inner, .. } => check_selectors(inner, limits),
        MetricExpr::Binary { left, right, .. } => check_selectors(left, limits).and_then(|()| check_selectors(right, limits)),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => Ok(()),
        MetricExpr::Variants { of, .. } => check_matchers(&of.log, limits),
    }
}

/// No window may be longer than a query: Loki reads as much for an instant query.
fn check_windows(expr: &MetricExpr, limits: &Limits) -> Result<(), QueryFault> {
    match expr {
        MetricExpr::Range { range, .. } | MetricExpr::Variants { of: range, .. } => check_length(range.range_ns, limits),
        MetricExpr::Vector { inner, .. } | MetricExpr::LabelReplace { inner, .. } => check_windows(inner, limits),
        MetricExpr::Binary { left, right, .. } => check_windows(left, limits).and_then(|()| check_windows(right, limits)),
        MetricExpr::Literal(_) | MetricExpr::VectorLiteral(_) => Ok(()),
    }
}
