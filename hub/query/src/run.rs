//! One query over one view: what it reads, in which order, a few at once.
//!
//! ```text
//! pieces ──open──> parts ──scan──> partial results ──merge──> result
//! ```
//!
//! Parts: [`Run`] with a method per kind of result. Log queries take what is newest (or oldest) first and stop
//! when nothing left can matter; metric queries count rows by tables and footers where that is enough and read the
//! rest in order of arrival, so that sums repeat. Promises: at most [`PARTS_AT_ONCE`] fetches and scans; every
//! fault ends the run. Must not do: judge lines (`scan` does).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use hub_segment::Tallies;
use hub_store::{Delete, Manifest, StoreFault, View};
use hub_tenant::Grant;
use proto_model::TimeRange;
use tokio::time::Instant;

use crate::answer::{AnsweredStream, Stats};
use crate::budget::{Budget, Lease};
use crate::deletion::Deletion;
use crate::engine::{Asked, Engine};
use crate::fault::QueryFault;
use crate::frontier::{Frontier, Look};
use crate::limits::{APART_PAGE, PARTS_AT_ONCE};
use crate::merge::apart::Apart;
use crate::merge::{Cut, Top};
use crate::metric::Tree;
use crate::page::Content;
use crate::plan::{Selector, choose_rows, choose_runs};
use crate::range::{RangePlan, RangeSeries, Windows};
use crate::request::{Direction, LogRequest};
use crate::scan::{Scan, Sink};
use crate::source::{Lines, Needs, Part, Piece, Source};
use crate::stages::Pipeline;
use crate::wanted::Wanted;

/// One query over one view.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) grants: Vec<Grant>,
    pub(crate) view: View,
    /// One for each grant, of its tenant; with the view it shows every line once (lane rule 14).
    pub(crate) manifests: Vec<Arc<Manifest>>,
    /// Those of the manifests, by number; of one grant after the other.
    pub(crate) deletions: Vec<BTreeMap<u64, Arc<Deletion>>>,
    pub(crate) budget: Arc<Budget>,
    /// Ends the scans when the query is dropped.
    pub(crate) _lease: Lease,
}

/// A log query, compiled.
#[derive(Debug)]
pub(crate) struct LogPlan {
    pub(crate) range: TimeRange,
    pub(crate) limit: usize,
    pub(crate) direction: Direction,
    pub(crate) selector: Selector,
    pub(crate) pipeline: Arc<Pipeline>,
    /// All of `range` is one time, and lines are wanted from this content on, in order of content.
    pub(crate) group: Option<Content>,
}

impl LogPlan {
    /// Compiles a request.
    ///
    /// # Errors
    /// A stage that cannot be built, in Loki's words.
    pub(crate) fn new(request: &LogRequest) -> Result<Self, QueryFault> {
        Ok(Self {
            range: request.range,
            limit: request.limit,
            direction: request.direction,
            selector: Selector::new(&request.expr.matchers)?,
            pipeline: Arc::new(Pipeline::new(&request.expr.stages, Wanted::All)?),
            group: None,
        })
    }

    /// The same plan, to be changed.
    pub(crate) fn again(&self) -> Self {
        Self { selector: self.selector.clone(), pipeline: Arc::clone(&self.pipeline), ..*self }
    }

    fn top(&self, cut: Arc<Cut>) -> Top {
        match self.group {
            None => Top::new(self.limit, cut),
            Some(from) => Top::of_group(self.limit, cut, from),
        }
    }
}

/// How a part is read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) range: TimeRange,
    pub(crate) pipeline: Arc<Pipeline>,
}

/// What a step of a log query gave.
enum Seen {
    Opened(Vec<Part>),
    Scanned(Sink, Stats),
}

/// What is to be done for a range expression.
enum Task {
    /// Rows that needed no reading.
    Counted(Sink, Stats),
    Scan(Part),
}

impl Run {
    /// What may have lines in `range`, in order of arrival.
    pub(crate) fn pieces(&self, range: TimeRange) -> Vec<Arc<Piece>> {
        let several = self.grants.len() > 1;
        let mut pieces = Vec::new();
        // Of an erased tenant nothing is read, whatever map a hub has yet.
        let read = self.grants.iter().zip(&self.manifests).enumerate().filter(|(_, (_, manifest))| !manifest.erased);
        for (at, (grant, manifest)) in read {
            let tenant: Option<Arc<str>> = several.then(|| grant.tenant().as_str().into());
            let touched = manifest.segments.iter().enumerate().filter(|(_, segment)| range.touches(segment.facts.min, segment.facts.max));
            let segments = touched.map(|(rank, segment)| Source::Segment { rank, segment: segment.clone() });
            let sections = self.view.sections_after(grant, range, &manifest.watermarks).into_iter().map(Source::Section);
            pieces.extend(segments.chain(sections).map(|source| {
                let deletions = self.deletions_of(at, manifest, &source);
                Arc::new(Piece { grant: at, tenant: tenant.clone(), source, deletions })
            }));
        }
        pieces.sort_by_key(|piece| (piece.place(), piece.grant));
        pieces
    }

    /// The deletes that are about a section or segment.
    fn deletions_of(&self, grant: usize, manifest: &Manifest, source: &Source) -> Vec<Arc<Deletion>> {
        let Some(known) = self.deletions.get(grant).filter(|known| !known.is_empty()) else { return Vec::new() };
        let compiled = |delete: &Delete| known.get(&delete.number).cloned();
        match source {
            Source::Section(section) => manifest.of_section(section.lane, section.number).filter_map(compiled).collect(),
            Source::Segment { segment, .. } => manifest.of_segment(segment).filter_map(compiled).collect(),
        }
    }

    fn grant(&self, piece: &Piece) -> Result<&Grant, QueryFault> {
        self.grants.get(piece.grant).ok_or(QueryFault::Store(StoreFault::Foreign))
    }

    /// The parts of a piece that the query is about, in order of arrival.
    pub(crate) async fn open(&self, piece: &Arc<Piece>, selector: &Selector, range: TimeRange) -> Result<Vec<Part>, QueryFault> {
        self.budget.go_on()?;
        let grant = self.grant(piece)?;
        match &piece.source {
            Source::Section(section) => {
                let table = self.engine.store.table(grant, section).await?;
                let chosen = choose_rows(&table, selector, piece.origin(), range);
                Ok(Part::of(piece, None, chosen).into_iter().collect())
            }
            Source::Segment { segment, .. } => {
                let footer = self.engine.store.footer(grant, segment).await?;
                // A footer may speak of many thousand streams.
                let (piece, selector) = (Arc::clone(piece), selector.clone());
                let choose = move || {
                    let chosen = choose_runs(&footer, &selector, piece.origin(), range);
                    chosen.into_iter().filter_map(|block| Part::of(&piece, Some(Arc::clone(&footer)), vec![block])).collect()
                };
                Ok(self.engine.world.workers.run(choose).await)
            }
        }
    }

    /// Leaves out the parts of a piece that hold no line which `pipeline` keeps, as far as the filters of its segment tell.
    async fn sieve(&self, piece: &Piece, parts: Vec<Part>, pipeline: &Arc<Pipeline>) -> Result<Vec<Part>, QueryFault> {
        let Some(footer) = parts.first().and_then(|part| part.footer.clone()).filter(|_| !pipeline.required().is_empty()) else { return Ok(parts) };
        let Source::Segment { segment, .. } = &piece.source else { return Ok(parts) };
        let Some(filters) = self.engine.store.filters(self.grant(piece)?, segment, &footer).await? else { return Ok(parts) };
        let pipeline = Arc::clone(pipeline);
        let may_hold = move |part: &Part| part.chosen.iter().all(|block| pipeline.may_keep(&filters, block));
        Ok(self.engine.world.workers.run(move || parts.into_iter().filter(may_hold).collect()).await)
    }

    /// The tallies of a piece, where the windows of `plan` begin and end with minutes.
    async fn tallies(&self, piece: &Piece, parts: &[Part], plan: &RangePlan) -> Result<Option<Arc<Tallies>>, QueryFault> {
        let Some(footer) = parts.first().and_then(|part| part.footer.as_ref()).filter(|_| plan.counts_minutes()) else { return Ok(None) };
        let Source::Segment { segment, .. } = &piece.source else { return Ok(None) };
        Ok(self.engine.store.tallies(self.grant(piece)?, segment, footer).await?)
    }

    /// Reads a part into a sink, on a worker.
    pub(crate) async fn scan(&self, part: Part, reading: Reading, mut sink: Sink) -> Asked<Sink> {
        self.budget.go_on()?;
        let lines = self.lines(&part, &sink).await?;
        let Reading { range, pipeline } = reading;
        let scan = Scan { part, lines, range, pipeline, budget: Arc::clone(&self.budget) };
        let job = move || {
            let began = Instant::now();
            let scanned = scan.run(&mut sink);
            scan.budget.worked(began.elapsed());
            scanned.map(|stats| (sink, stats))
        };
        self.engine.world.workers.run(job).await
    }

    /// Fetches as much of a part as the sink needs, within the budget.
    async fn lines(&self, part: &Part, sink: &Sink) -> Result<Lines, QueryFault> {
        let (store, grant) = (&self.engine.store, self.grant(&part.piece)?);
        match (&part.piece.source, &part.footer, part.chosen.first()) {
            (Source::Section(section), ..) => {
                self.budget.take_bytes(part.bytes())?;
                Ok(Lines::Section(store.section(grant, section).await?))
            }
            (Source::Segment { segment, .. }, Some(footer), Some(block)) => match sink.needs(part) {
                Needs::Lines => {
                    self.budget.take_bytes(part.bytes())?;
                    Ok(Lines::Block(store.block(grant, segment, footer, block.at).await?))
                }
                needs @ (Needs::Counts | Needs::Rows) => {
                    self.budget.take_bytes(footer.blocks.get(block.at).map_or(0, |block| u64::from(block.length)))?;
                    Ok(Lines::Outline(store.outline(grant, segment, footer, block.at, needs == Needs::Rows).await?, needs))
                }
            },
            (Source::Segment { .. }, ..) => Err(QueryFault::Damaged { what: part.piece.name(), reason: "its footer was not read".to_owned() }),
        }
    }

    /// The first entries of a log query that lie `interval_ns` apart, page by page: which of them count is known one after the other only.
    pub(crate) async fn logs_apart(self: Arc<Self>, plan: Arc<LogPlan>, interval_ns: i64) -> Asked<Vec<AnsweredStream>> {
        let (mut apart, mut stats, mut range) = (Apart::new(plan.direction, interval_ns), Stats::default(), plan.range);
        while range.start < range.end && apart.len() < plan.limit {
            let page = LogPlan { range, limit: APART_PAGE, ..plan.again() };
            let (streams, took) = Arc::clone(&self).logs(Arc::new(page)).await?;
            stats.add(&took);
            let is_last = streams.iter().map(|stream| stream.entries.len()).sum::<usize>() < APART_PAGE;
            apart.take(streams, plan.limit);
            self.budget.release_all();
            self.budget.hold(apart.cost())?;
            if is_last {
                break;
            }
            range = apart.rest(range);
        }
        Ok((apart.into_streams(), stats))
    }

    /// The first entries of a log query.
    pub(crate) async fn logs(self: Arc<Self>, plan: Arc<LogPlan>) -> Asked<Vec<AnsweredStream>> {
        self.first(plan).await.map(|(top, stats)| (top.into_streams(), stats))
    }

    pub(crate) async fn first(self: Arc<Self>, plan: Arc<LogPlan>) -> Asked<Top> {
        let cut = Arc::new(Cut::new(plan.direction));
        let mut top = plan.top(Arc::clone(&cut));
        let mut frontier = Frontier::new(plan.direction);
        self.pieces(plan.range).into_iter().for_each(|piece| frontier.add(Look::Open(piece)));
        let mut stats = Stats::default();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < PARTS_AT_ONCE
                && let Some(look) = frontier.next(&cut, &mut stats.chunks_skipped)
            {
                running.push(Arc::clone(&self).look(look, Arc::clone(&plan), Arc::clone(&cut)));
            }
            let seen = match self.budget.in_time(running.try_next()).await {
                Ok(seen) => seen,
                Err(fault) => {
                    if self.budget.forgive(fault)? {
                        continue;
                    }
                    break;
                }
            };
            match seen {
                None => break,
                Some(Seen::Opened(parts)) => {
                    stats.chunks_skipped += u64::from(parts.is_empty());
                    parts.into_iter().for_each(|part| frontier.add(Look::Scan(part)));
                }
                Some(Seen::Scanned(sink, took)) => {
                    stats.add(&took);
                    if let Sink::Entries(part) = sink {
                        self.budget.release(top.merge(part));
                    }
                }
            }
        }
        Ok((top, stats))
    }

    async fn look(self: Arc<Self>, look: Look, plan: Arc<LogPlan>, cut: Arc<Cut>) -> Result<Seen, QueryFault> {
        match look {
            Look::Open(piece) => {
                let parts = self.open(&piece, &plan.selector, plan.range).await?;
                Ok(Seen::Opened(self.sieve(&piece, parts, &plan.pipeline).await?))
            }
            Look::Scan(part) => {
                let reading = Reading { range: plan.range, pipeline: Arc::clone(&plan.pipeline) };
                let (sink, stats) = self.scan(part, reading, Sink::Entries(plan.top(cut))).await?;
                Ok(Seen::Scanned(sink, stats))
            }
        }
    }

    /// Reads what every range expression of a tree needs.
    pub(crate) async fn ranges(self: &Arc<Self>, tree: Tree) -> Result<(Tree, Vec<RangeSeries>, Stats), QueryFault> {
        let (mut ranges, mut stats) = (Vec::new(), Stats::default());
        for plan in &tree.ranges {
            let (series, took) = self.range_series(plan).await?;
            stats.add(&took);
            ranges.push(series);
        }
        Ok((tree, ranges, stats))
    }

    async fn range_series(self: &Arc<Self>, plan: &Arc<RangePlan>) -> Asked<RangeSeries> {
        let open = |piece| Arc::clone(self).range_tasks(piece, Arc::clone(plan)).boxed();
        let opened = at_once(futures::stream::iter(self.pieces(plan.reads())).map(open).boxed());
        let tasks = opened.map_ok(|tasks| futures::stream::iter(tasks).map(Ok)).try_flatten();
        let (run, scanned) = (Arc::clone(self), Arc::clone(plan));
        let work = move |task| Arc::clone(&run).range_task(task, Arc::clone(&scanned)).boxed();
        let mut collected = at_once(tasks.map(work).boxed());
        let mut all = Windows::new(Arc::clone(plan), Arc::clone(&self.budget));
        let mut stats = Stats::default();
        loop {
            let merged = self.budget.in_time(collected.try_next()).await.and_then(|next| {
                let Some((part, took)) = next else { return Ok(false) };
                stats.add(&took);
                if let Sink::Samples(part) = part {
                    all.merge(part)?;
                }
                Ok(true)
            });
            match merged {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    if !self.budget.forgive(fault)? {
                        break;
                    }
                }
            }
        }
        Ok((self.engine.world.workers.run(move || all.into_series()).await?, stats))
    }

    /// Opens a piece and counts what needs no reading.
    async fn range_tasks(self: Arc<Self>, piece: Arc<Piece>, plan: Arc<RangePlan>) -> Result<Vec<Task>, QueryFault> {
        let mut windows = Windows::new(Arc::clone(&plan), Arc::clone(&self.budget));
        let mut stats = Stats::default();
        let chosen = self.open(&piece, &plan.selector, plan.reads()).await?;
        let opened = chosen.len();
        let chosen = self.sieve(&piece, chosen, &plan.pipeline).await?;
        stats.chunks_skipped += (opened - chosen.len()) as u64;
        let tallies = self.tallies(&piece, &chosen, &plan).await?;
        let mut parts = Vec::new();
        for mut part in chosen {
            for batch in &mut part.chosen {
                let mut left = Vec::new();
                for row in batch.rows.drain(..) {
                    match plan.counted(&row) {
                        None if windows.count_tallies(&row, tallies.as_ref().map_or(&[], |tallies| tallies.of(batch.at, row.at)))? => {
                            stats.lines_counted += row.lines;
                        }
                        None => left.push(row),
                        Some((series, steps)) => {
                            stats.lines_counted += row.lines;
                            windows.count(series, steps, &row)?;
                        }
                    }
                }
                batch.rows = left;
            }
            part.chosen.retain(|batch| !batch.rows.is_empty());
            match Part::of(&piece, part.footer, part.chosen) {
                Some(part) => parts.push(Task::Scan(part)),
                None => stats.chunks_skipped += 1,
            }
        }
        let counted = Task::Counted(Sink::Samples(windows), stats);
        Ok(std::iter::once(counted).chain(parts).collect())
    }

    async fn range_task(self: Arc<Self>, task: Result<Task, QueryFault>, plan: Arc<RangePlan>) -> Asked<Sink> {
        match task? {
            Task::Counted(sink, stats) => Ok((sink, stats)),
            Task::Scan(part) => {
                let windows = Windows::new(Arc::clone(&plan), Arc::clone(&self.budget));
                let reading = Reading { range: plan.reads(), pipeline: Arc::clone(&plan.pipeline) };
                self.scan(part, reading, Sink::Samples(windows)).await
            }
        }
    }
}

/// Runs a few jobs at once and gives their results in order.
pub(crate) fn at_once<'j, T: Send + 'j>(jobs: impl Stream<Item = BoxFuture<'j, T>> + Send + Unpin + 'j) -> impl Stream<Item = T> + Send + Unpin + 'j {
    jobs.buffered(PARTS_AT_ONCE)
}

#[cfg(test)]
mod tests;
