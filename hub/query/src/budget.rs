//! What one query may use: bytes, memory, series, time; asked before it is spent.
//!
//! Parts: [`Limits`] (of the tenant), `Budget` (of one query, shared by its scans), `Lease` (gives
//! the query up when it is dropped). Refusals are in Loki's words where Loki has them. A caller that takes a partial
//! answer gets what was found in place of a refusal, with a text for each thing that is missing. Must not do: know the tenant.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::QueryFault;
use crate::limits::{POINT_BYTES, POINTS_MAX, SAMPLE_BYTES, SAMPLES_MAX, SERIES_MAX, WARNINGS_MAX};

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
    /// Bytes of memory for entries, samples and points of one query (`max_query_memory`).
    pub max_query_memory: u64,
    /// Whether the caller takes an incomplete answer with warnings where a limit, the timeout or damage would refuse it.
    pub partial: bool,
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
            max_query_memory: 512 << 20,
            partial: false,
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
    memory: AtomicU64,
    memory_peak: AtomicU64,
    memory_max: u64,
    worked_ns: AtomicU64,
    partial: bool,
    /// When a partial answer is due.
    due: Option<Instant>,
    missing: Mutex<Vec<String>>,
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
        Self::until(limits, None)
    }

    /// With the time at which a partial answer is due, where one is taken.
    pub(crate) fn until(limits: &Limits, due: Option<Instant>) -> (Arc<Self>, Lease) {
        let budget = Arc::new(Self {
            cancelled: AtomicBool::new(false),
            samples: AtomicU64::new(0),
            points: AtomicU64::new(0),
            bytes_planned: AtomicU64::new(0),
            bytes_max: limits.max_query_bytes_read,
            series_max: limits.max_query_series,
            memory: AtomicU64::new(0),
            memory_peak: AtomicU64::new(0),
            memory_max: limits.max_query_memory,
            worked_ns: AtomicU64::new(0),
            partial: limits.partial,
            due: due.filter(|_| limits.partial),
            missing: Mutex::default(),
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
        take(&self.samples, count, SAMPLES_MAX, "unwrapped samples")?;
        self.hold(count.saturating_mul(SAMPLE_BYTES))
    }

    /// Asks for room for `count` more points of inner series.
    pub(crate) fn take_points(&self, count: u64) -> Result<(), QueryFault> {
        take(&self.points, count, POINTS_MAX, "points of series")?;
        self.hold(count.saturating_mul(POINT_BYTES))
    }

    /// Gives room back for `count` points.
    pub(crate) fn release_points(&self, count: u64) {
        self.points.fetch_sub(count, Ordering::Relaxed);
        self.release(count.saturating_mul(POINT_BYTES));
    }

    /// Whether inner series may become `count`.
    pub(crate) fn allow_inner_series(&self, count: usize) -> Result<(), QueryFault> {
        if count > SERIES_MAX { Err(too_many_series(SERIES_MAX)) } else { Ok(()) }
    }

    /// Whether an answer may have `count` series; false where a partial answer leaves the rest out.
    pub(crate) fn allow_series(&self, count: usize) -> Result<bool, QueryFault> {
        if self.series_max == 0 || count <= self.series_max {
            return Ok(true);
        }
        self.forgive(too_many_series(self.series_max)).map(|_| false)
    }

    /// Asks for `bytes` of memory, before they are taken.
    pub(crate) fn hold(&self, bytes: u64) -> Result<(), QueryFault> {
        let held = self.memory.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.memory_peak.fetch_max(held, Ordering::Relaxed);
        if self.memory_max > 0 && held > self.memory_max {
            self.release(bytes);
            return Err(QueryFault::Limit(format!(
                "the query needs more memory than it may use (query: {}, limit: {}); reduce its limit or time range, or add more specific stream selectors \
                 (max_query_memory)",
                hub_logql::duration::print_bytes(held),
                hub_logql::duration::print_bytes(self.memory_max)
            )));
        }
        Ok(())
    }

    /// Gives memory back that was asked for.
    pub(crate) fn release(&self, bytes: u64) {
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Gives all memory back.
    pub(crate) fn release_all(&self) {
        self.memory.store(0, Ordering::Relaxed);
    }

    /// The most memory that was asked for at once.
    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    /// Counts time of a worker thread.
    pub(crate) fn worked(&self, span: Duration) {
        self.worked_ns.fetch_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Time of worker threads so far.
    pub(crate) fn work(&self) -> Duration {
        Duration::from_nanos(self.worked_ns.load(Ordering::Relaxed))
    }

    /// Waits for `future`, until a partial answer is due.
    ///
    /// # Errors
    /// The future's, or [`QueryFault::Timeout`].
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = Result<T, QueryFault>>) -> Result<T, QueryFault> {
        match self.due {
            None => future.await,
            Some(due) => tokio::time::timeout_at(due, future).await.unwrap_or(Err(QueryFault::Timeout)),
        }
    }

    /// Takes note of `fault` where the caller takes a partial answer and the fault leaves one; true when the rest may still be read.
    ///
    /// # Errors
    /// The fault itself otherwise.
    pub(crate) fn forgive(&self, fault: QueryFault) -> Result<bool, QueryFault> {
        let goes_on = matches!(fault, QueryFault::Damaged { .. } | QueryFault::Store(hub_store::StoreFault::Damaged { .. }));
        if !self.partial || !(goes_on || matches!(fault, QueryFault::Limit(_) | QueryFault::Timeout)) {
            return Err(fault);
        }
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("partial answer: {fault}");
        if missing.len() < WARNINGS_MAX && !missing.contains(&text) {
            missing.push(text);
        }
        Ok(goes_on)
    }

    /// What the answer lacks.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
