//! What one query may use: bytes, samples, series, time; asked before the memory is spent.
//!
//! Parts: [`Limits`] (of the tenant), `Budget` (of one query, shared by its scans), `Lease` (gives
//! the query up when it is dropped). Refusals are in Loki's words. Must not do: know the tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::fault::QueryFault;
use crate::limits::{POINTS_MAX, SAMPLES_MAX, SERIES_MAX};

/// What a tenant may ask of one query; 0 means "no limit" but for the timeout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries of a log query (`max_entries_limit_per_query`).
    pub max_entries_limit_per_query: usize,
    /// Series of a metric query's answer (`max_query_series`).
    pub max_query_series: usize,
    /// From start to end of a query (`max_query_length`).
    pub max_query_length: Duration,
    /// Bytes of lines read for one query (`max_query_bytes_read`).
    pub max_query_bytes_read: u64,
    /// How long a query may take (`query_timeout`).
    pub query_timeout: Duration,
    /// Matchers of a selector (`max_streams_matchers_per_query`).
    pub max_streams_matchers_per_query: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries_limit_per_query: 5_000,
            max_query_series: 500,
            max_query_length: Duration::from_secs(721 * 3_600),
            max_query_bytes_read: 0,
            query_timeout: Duration::from_secs(60),
            max_streams_matchers_per_query: 1_000,
        }
    }
}

/// What one query has used so far; shared by all its scans.
#[derive(Debug)]
pub(crate) struct Budget {
    cancelled: AtomicBool,
    samples: AtomicU64,
    points: AtomicU64,
    bytes_planned: AtomicU64,
    bytes_max: u64,
    series_max: usize,
}

/// Marks the query as given up when it is dropped, so that scans on other threads stop soon.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Budget>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> (Arc<Self>, Lease) {
        let budget = Arc::new(Self {
            cancelled: AtomicBool::new(false),
            samples: AtomicU64::new(0),
            points: AtomicU64::new(0),
            bytes_planned: AtomicU64::new(0),
            bytes_max: limits.max_query_bytes_read,
            series_max: limits.max_query_series,
        });
        (Arc::clone(&budget), Lease(budget))
    }

    /// Fails once the query was given up.
    pub(crate) fn go_on(&self) -> Result<(), QueryFault> {
        if self.cancelled.load(Ordering::Relaxed) { Err(QueryFault::Cancelled) } else { Ok(()) }
    }

    /// Asks for `bytes` of lines to be read.
    pub(crate) fn take_bytes(&self, bytes: u64) -> Result<(), QueryFault> {
        let total = self.bytes_planned.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if self.bytes_max > 0 && total > self.bytes_max {
            return Err(QueryFault::Limit(format!(
                "the query would read too many bytes (query: {}, limit: {}); consider adding more specific stream selectors or reduce the time range of the query",
                hub_logql::duration::print_bytes(total),
                hub_logql::duration::print_bytes(self.bytes_max)
            )));
        }
        Ok(())
    }

    /// Asks for room for `count` more unwrapped samples.
    pub(crate) fn take_samples(&self, count: u64) -> Result<(), QueryFault> {
        take(&self.samples, count, SAMPLES_MAX, "unwrapped samples")
    }

    /// Asks for room for `count` more points of inner series.
    pub(crate) fn take_points(&self, count: u64) -> Result<(), QueryFault> {
        take(&self.points, count, POINTS_MAX, "points of series")
    }

    /// Whether inner series may become `count`.
    pub(crate) fn allow_inner_series(&self, count: usize) -> Result<(), QueryFault> {
        if count > SERIES_MAX { Err(too_many_series(SERIES_MAX)) } else { Ok(()) }
    }

    /// Whether an answer may have `count` series.
    pub(crate) fn allow_series(&self, count: usize) -> Result<(), QueryFault> {
        if self.series_max > 0 && count > self.series_max { Err(too_many_series(self.series_max)) } else { Ok(()) }
    }
}

fn take(used: &AtomicU64, count: u64, max: u64, what: &str) -> Result<(), QueryFault> {
    if used.fetch_add(count, Ordering::Relaxed).saturating_add(count) > max {
        return Err(QueryFault::Limit(format!("the query needs more than {max} {what} at once; reduce its time range or add more specific stream selectors")));
    }
    Ok(())
}

fn too_many_series(max: usize) -> QueryFault {
    QueryFault::Limit(format!(
        "maximum number of series ({max}) reached for a single query; consider reducing query cardinality by adding more specific stream selectors, \
         reducing the time range, or aggregating results with functions like sum(), count() or topk()"
    ))
}
