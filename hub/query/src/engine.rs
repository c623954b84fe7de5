//! Queries and the turns they take: each is asked over a view of its own, again when that view moved.
//!
//! Parts: [`Engine`] with a method per kind of query ([`crate::names`] has more). Limits: [`crate::limits`]; queries
//! beyond them wait or are refused. Promises: nothing goes on after a query's future was dropped but the batch a
//! worker is at; a view that moved is taken anew, three times at most. Must not do: fetch (`run` does).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use hub_store::{Manifest, Store, StoreFault, View};
use hub_tenant::Grant;
use proto_model::{TimeRange, Timestamp};
use proto_seam::World;
use tokio::time::Instant;

use crate::answer::{InstantSample, InstantValue, LogAnswer, MatrixAnswer, Stats, VectorAnswer};
use crate::budget::{Budget, Lease, Limits};
use crate::deletion::Deletion;
use crate::fault::QueryFault;
use crate::limits::{PARTIAL_GRACE, VIEWS_MAX};
use crate::metric::{Tree, Value, matrix};
use crate::metrics::QueryMetrics;
use crate::range::Steps;
use crate::request::{InstantRequest, LogRequest, RangeRequest};
use crate::run::{LogPlan, Run};
use crate::turns::{Rules, Turns};
use crate::vector::Sample;
use crate::warnings;

/// Answers queries; clones share the store and the turns.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) world: World,
    metrics: QueryMetrics,
    pub(crate) turns: Arc<Turns>,
}

/// What an asked query gives: its result and what it took.
pub(crate) type Asked<T> = Result<(T, Stats), QueryFault>;

/// Counts a query as running until it ends.
struct Running<'m>(&'m QueryMetrics);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.dec();
    }
}

impl Engine {
    /// An engine over `store`.
    #[must_use]
    pub fn new(store: Arc<Store>, world: World, metrics: QueryMetrics) -> Self {
        let turns = Turns::new(Rules::default(), metrics.waiting.clone());
        Self { store, world, metrics, turns }
    }

    /// Answers a log query for the tenants of `grants`.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn logs(&self, grants: &[Grant], request: &LogRequest, limits: &Limits) -> Result<LogAnswer, QueryFault> {
        let plan = Arc::new(LogPlan::new(request)?);
        let (page, interval_ns) = (request.page, request.interval_ns);
        let ask = move |run: Arc<Run>| {
            let plan = Arc::clone(&plan);
            async move {
                let ((streams, cursor), mut stats) = match page {
                    None if interval_ns > 0 => run.logs_apart(plan, interval_ns).await.map(|(streams, stats)| ((streams, None), stats)),
                    None => run.logs(plan).await.map(|(streams, stats)| ((streams, None), stats)),
                    Some(page) => run.page(plan, page).await,
                }?;
                stats.entries = streams.iter().map(|stream| stream.entries.len() as u64).sum();
                Ok(((streams, cursor), stats))
            }
            .boxed()
        };
        let ((streams, cursor), stats, warnings) = self.turn("logs", grants, &[request.range], limits, ask).await?;
        Ok(LogAnswer { streams, stats, warnings, cursor })
    }

    /// Answers a metric query over a range.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn range(&self, grants: &[Grant], request: &RangeRequest, limits: &Limits) -> Result<MatrixAnswer, QueryFault> {
        let steps = Steps { start: request.start, step_ns: request.step_ns, count: request.steps() };
        // Compiled before the query waits for its turn, so that what cannot be answered is refused at once.
        let reads = Tree::new(&request.expr, steps)?.reads();
        let expr = request.expr.clone();
        let ask = move |run: Arc<Run>| {
            let tree = Tree::new(&expr, steps);
            async move {
                let (tree, ranges, mut stats) = run.ranges(tree?).await?;
                let budget = Arc::clone(&run.budget);
                let series = run.engine.world.workers.run(move || matrix(tree, ranges, steps, &budget)).await?;
                stats.entries = series.iter().map(|series| series.points.len() as u64).sum();
                Ok((series, stats))
            }
            .boxed()
        };
        let (series, stats, warnings) = self.turn("range", grants, &reads, limits, ask).await?;
        Ok(MatrixAnswer { series, stats, warnings })
    }

    /// Answers a metric query at one point.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn instant(&self, grants: &[Grant], request: &InstantRequest, limits: &Limits) -> Result<VectorAnswer, QueryFault> {
        let steps = Steps { start: request.at, step_ns: 1, count: 1 };
        let tree = Tree::new(&request.expr, steps)?;
        let (is_sorted, reads, series_max) = (tree.is_sorted(), tree.reads(), limits.max_query_series);
        let expr = request.expr.clone();
        let ask = move |run: Arc<Run>| {
            let tree = Tree::new(&expr, steps);
            async move {
                let (tree, ranges, mut stats) = run.ranges(tree?).await?;
                let mut value = tree.over(ranges).at(0)?;
                if let Value::Vector(samples) = &mut value {
                    if !run.budget.allow_series(samples.len())? {
                        samples.truncate(series_max);
                    }
                    stats.entries = samples.len() as u64;
                }
                Ok((value, stats))
            }
            .boxed()
        };
        let (value, stats, warnings) = self.turn("instant", grants, &reads, limits, ask).await?;
        let value = match value {
            Value::Scalar(value) => InstantValue::Scalar(request.at, value),
            Value::Vector(mut samples) => {
                if !is_sorted {
                    samples.sort_by(|a, b| a.labels.cmp(&b.labels));
                }
                let sample = |sample: Sample| InstantSample { labels: (*sample.labels).clone(), time: request.at, value: sample.value };
                InstantValue::Vector(samples.into_iter().map(sample).collect())
            }
        };
        Ok(VectorAnswer { value, stats, warnings })
    }

    /// Waits for a turn, then asks over a fresh view, again when that view moved, within the timeout. Losses
    /// that touch any of `reads` become warnings.
    pub(crate) async fn turn<T>(
        &self,
        kind: &'static str,
        grants: &[Grant],
        reads: &[TimeRange],
        limits: &Limits,
        ask: impl Fn(Arc<Run>) -> BoxFuture<'static, Asked<T>>,
    ) -> Result<(T, Stats, Vec<String>), QueryFault> {
        let began = Instant::now();
        let within = if limits.query_timeout.is_zero() { Duration::MAX } else { limits.query_timeout };
        // What was found must still be brought into form.
        let within = if limits.partial { within.saturating_add(PARTIAL_GRACE) } else { within };
        let asked = async {
            let _turn = self.turns.take(grants).await?;
            self.metrics.running.inc();
            let _running = Running(&self.metrics);
            let queued = began.elapsed();
            self.metrics.queued.observe(queued.as_secs_f64());
            let due = began.checked_add(limits.query_timeout).filter(|_| !limits.query_timeout.is_zero());
            let (value, mut stats, warnings) = self.ask(grants, reads, (limits, due), &ask).await?;
            self.metrics.read(&stats);
            stats.queue_time = queued;
            stats.exec_time = began.elapsed().saturating_sub(queued);
            Ok((value, stats, warnings))
        };
        let answered = tokio::time::timeout(within, asked).await.unwrap_or(Err(QueryFault::Timeout));
        self.metrics.ended(kind, began.elapsed(), answered.as_ref().err());
        told(kind, grants, reads, began.elapsed(), &answered);
        answered
    }

    async fn ask<T>(
        &self,
        grants: &[Grant],
        reads: &[TimeRange],
        (limits, due): (&Limits, Option<Instant>),
        ask: &impl Fn(Arc<Run>) -> BoxFuture<'static, Asked<T>>,
    ) -> Result<(T, Stats, Vec<String>), QueryFault> {
        for _ in 0..VIEWS_MAX {
            let view = self.store.fresh(Timestamp(self.world.clock.now_ns())).await?;
            let mut warnings = warnings::of_frozen(&view.frozen());
            warnings.extend(warnings::of_losses(self.store.losses(grants), reads));
            let (budget, lease) = Budget::until(limits, due);
            match self.run(grants, view, (Arc::clone(&budget), lease)).and_then(|run| ask(Arc::new(run))).await {
                Err(QueryFault::Store(StoreFault::Moved { key })) => tracing::info!(key, "the view moved under a query"),
                Err(fault) => return Err(fault),
                Ok((value, mut stats)) => {
                    (stats.memory_bytes, stats.work_time) = (budget.memory_peak(), budget.work());
                    warnings.extend(budget.missing());
                    return Ok((value, stats, warnings));
                }
            }
        }
        Err(QueryFault::Moved { views: VIEWS_MAX })
    }

    /// One query over `view` and manifests that fit it.
    pub(crate) async fn run(&self, grants: &[Grant], view: View, (budget, lease): (Arc<Budget>, Lease)) -> Result<Run, QueryFault> {
        let mut manifests = Vec::with_capacity(grants.len());
        for grant in grants {
            manifests.push(self.store.manifest(grant, &view).await?);
        }
        let compiled = manifests.iter().map(|manifest| compile(manifest)).collect::<Result<_, _>>()?;
        Ok(Run { engine: self.clone(), grants: grants.to_vec(), view, manifests, deletions: compiled, budget, _lease: lease })
    }
}

/// The open deletes of a manifest. One that cannot be compiled hides which lines are gone: then there is no answer.
fn compile(manifest: &Manifest) -> Result<BTreeMap<u64, Arc<Deletion>>, QueryFault> {
    let compiled = manifest.deletes.iter().map(|delete| {
        let unknown = |fault: QueryFault| QueryFault::Damaged { what: format!("delete {}", delete.request_id()), reason: fault.to_string() };
        Ok((delete.number, Arc::new(Deletion::new(delete).map_err(unknown)?)))
    });
    compiled.collect()
}

/// The query log: one line for each query, without any line of its answer. Who asked, and with which text, stands in the span
/// that the API opens.
fn told<T>(kind: &'static str, grants: &[Grant], reads: &[TimeRange], took: Duration, answered: &Result<(T, Stats, Vec<String>), QueryFault>) {
    let tenants = grants.iter().map(|grant| grant.tenant().as_str()).collect::<Vec<_>>().join("|");
    let range_s = reads.iter().map(|range| range.end.since(range.start).as_secs()).max().unwrap_or(0);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match answered {
        Ok((_, stats, warnings)) => {
            let (queued_ms, work_ms) = (stats.queue_time.as_millis(), stats.work_time.as_millis());
            tracing::info!(
                kind,
                tenants,
                status = 200,
                took_ms,
                queued_ms,
                work_ms,
                range_s,
                bytes = stats.bytes,
                lines = stats.lines,
                counted = stats.lines_counted,
                entries = stats.entries,
                sections = stats.sections,
                blocks = stats.blocks,
                skipped = stats.chunks_skipped,
                memory = stats.memory_bytes,
                warnings = warnings.len(),
                "query"
            );
        }
        Err(fault) => tracing::info!(kind, tenants, status = fault.status(), took_ms, range_s, "query"),
    }
}

#[cfg(test)]
mod tests;
