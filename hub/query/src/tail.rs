//! New lines of one tenant as they become visible, on any lane, each once.
//!
//! ```text
//! fresh view ──history──> the newest lines       changes ──new sections──> waiting ──scan, batch by batch──> lines
//! ```
//!
//! Parts: [`TailRequest`], [`Tail`] ([`Tail::begin`], [`Tail::next`]), [`Tailed`]. What the history showed ends at the heads of
//! its view; what comes after is every section above them. A section that was absorbed before it was looked at is read from
//! its lane object, which stays for a day. A producer that is met for the first time may have moved here from another lane: its
//! section waits until all lanes are fresh, and comes after what they had (`docs/formats/lane.md`). Promises: memory
//! for one batch at a time; what cannot be read is counted, not passed over. Must not do: wait for whoever reads the lines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use hub_logql::LogExpr;
use hub_store::{Origin, SectionRef, StoreFault, View};
use hub_tenant::Grant;
use proto_model::{LaneId, ProducerId, TimeRange, Timestamp};
use tokio::sync::watch;

use crate::answer::AnsweredStream;
use crate::budget::{Budget, Limits};
use crate::engine::Engine;
use crate::fault::QueryFault;
use crate::limits::{TAIL_ABSORBED_MAX, TAIL_LOOK_EVERY, VIEWS_MAX};
use crate::merge::{Cut, Top};
use crate::request::{Direction, LogRequest};
use crate::run::{LogPlan, Reading, Run};
use crate::scan::Sink;
use crate::source::{Part, Piece, Source};

/// What is to be followed.
#[derive(Debug, Clone)]
pub struct TailRequest {
    request: LogRequest,
}

/// New lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tailed {
    /// By stream, each in order of time.
    pub streams: Vec<AnsweredStream>,
    /// Lines that may have belonged to the answer and cannot be read.
    pub missed: u64,
}

/// A tail that runs; dropping it ends it.
#[derive(Debug)]
pub struct Tail {
    run: Arc<Run>,
    grant: Grant,
    plan: Arc<LogPlan>,
    /// Per lane the number up to which sections were taken.
    heads: BTreeMap<LaneId, u64>,
    /// Producers whose lines so far can all be seen.
    producers: BTreeSet<ProducerId>,
    waiting: VecDeque<SectionRef>,
    parts: VecDeque<Part>,
    missed: u64,
    changes: watch::Receiver<u64>,
}

impl TailRequest {
    /// Checks a tail: `limit` lines from `start` on are shown first.
    ///
    /// # Errors
    /// As [`LogRequest::new`], but any start will do.
    pub fn new(expr: LogExpr, start: Timestamp, limit: i64, limits: &Limits) -> Result<Self, QueryFault> {
        let any_length = Limits { max_query_length: std::time::Duration::ZERO, ..limits.clone() };
        let range = TimeRange { start, end: Timestamp::MAX };
        Ok(Self { request: LogRequest::new(expr, range, limit, Direction::Backward, &any_length)? })
    }
}

impl Tail {
    /// Starts a tail; gives the newest lines there are, oldest first in each stream.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn begin(engine: &Engine, grant: &Grant, request: &TailRequest, limits: &Limits) -> Result<(Self, Vec<AnsweredStream>), QueryFault> {
        let history = Arc::new(LogPlan::new(&request.request)?);
        let changes = engine.store.changes();
        let within = if limits.query_timeout.is_zero() { std::time::Duration::MAX } else { limits.query_timeout };
        let asked = Self::history(engine, grant, &history, limits);
        let (view, mut streams) = tokio::time::timeout(within, asked).await.unwrap_or(Err(QueryFault::Timeout))?;
        streams.iter_mut().for_each(|stream| stream.entries.reverse());
        let (budget, lease) = Budget::new(&Limits { max_query_bytes_read: 0, partial: false, ..limits.clone() });
        let run = Run {
            engine: engine.clone(),
            grants: vec![grant.clone()],
            view: View::default(),
            manifests: Vec::new(),
            deletions: Vec::new(),
            budget,
            _lease: lease,
        };
        let plan = Arc::new(LogPlan { range: TimeRange::ALL, limit: usize::MAX, direction: Direction::Forward, ..history.again() });
        let tail = Self {
            run: Arc::new(run),
            grant: grant.clone(),
            plan,
            heads: view.heads(),
            producers: BTreeSet::new(),
            waiting: VecDeque::new(),
            parts: VecDeque::new(),
            missed: 0,
            changes,
        };
        Ok((tail, streams))
    }

    async fn history(engine: &Engine, grant: &Grant, plan: &Arc<LogPlan>, limits: &Limits) -> Result<(View, Vec<AnsweredStream>), QueryFault> {
        let _turn = engine.turns.take(std::slice::from_ref(grant)).await?;
        for _ in 0..VIEWS_MAX {
            let view = engine.store.fresh(Timestamp(engine.world.clock.now_ns())).await?;
            let run = match engine.run(std::slice::from_ref(grant), view.clone(), Budget::new(limits)).await {
                Ok(run) => Arc::new(run).logs(Arc::clone(plan)).await,
                Err(fault) => Err(fault),
            };
            match run {
                Err(QueryFault::Store(StoreFault::Moved { .. })) => {}
                found => return found.map(|(streams, _)| (view, streams)),
            }
        }
        Err(QueryFault::Moved { views: VIEWS_MAX })
    }

    /// Waits for new lines. Not to be given up and called again: what it was reading would be read again, though nothing is lost.
    pub async fn next(&mut self) -> Tailed {
        loop {
            if let Some(part) = self.parts.front().cloned() {
                if let Some(streams) = self.scan(part).await {
                    self.parts.pop_front();
                    if !streams.is_empty() || self.missed > 0 {
                        return Tailed { streams, missed: std::mem::take(&mut self.missed) };
                    }
                }
            } else if let Some(section) = self.waiting.front().cloned() {
                if self.open(&section).await {
                    self.waiting.pop_front();
                }
            } else if self.missed > 0 {
                return Tailed { streams: Vec::new(), missed: std::mem::take(&mut self.missed) };
            } else {
                self.look().await;
            }
        }
    }

    /// The lines of a part; `None`: to be tried again.
    async fn scan(&mut self, part: Part) -> Option<Vec<AnsweredStream>> {
        let lines: u64 = part.chosen.iter().flat_map(|batch| &batch.rows).map(|row| row.lines).sum();
        let sink = Sink::Entries(Top::new(usize::MAX, Arc::new(Cut::new(Direction::Forward))));
        let reading = Reading { range: self.plan.range, pipeline: Arc::clone(&self.plan.pipeline) };
        let run = Arc::clone(&self.run);
        let scanned = match run.engine.turns.take(std::slice::from_ref(&self.grant)).await {
            Ok(_turn) => run.scan(part, reading, sink).await,
            Err(busy) => Err(busy),
        };
        // One batch at a time: nothing else is held.
        run.budget.release_all();
        match scanned {
            Ok((Sink::Entries(top), _)) => Some(top.into_streams()),
            Ok((Sink::Samples(_) | Sink::Patterns(_), _)) => Some(Vec::new()),
            Err(fault) => self.given_up(&fault, lines).await.then(Vec::new),
        }
    }

    /// Chooses what of a section is to be read; false: to be tried again.
    async fn open(&mut self, section: &SectionRef) -> bool {
        let piece = Arc::new(Piece { grant: 0, tenant: None, source: Source::Section(section.clone()), deletions: Vec::new() });
        match self.run.open(&piece, &self.plan.selector, self.plan.range).await {
            Ok(parts) => {
                let chosen = parts.into_iter().flat_map(|part| part.chosen);
                self.parts.extend(chosen.filter_map(|batch| Part::of(&piece, None, vec![batch])));
                true
            }
            Err(fault) => self.given_up(&fault, section.lines).await,
        }
    }

    /// Whether what met `fault` can never be read; waits a little before it is tried again otherwise.
    async fn given_up(&mut self, fault: &QueryFault, lines: u64) -> bool {
        tracing::warn!(%fault, lines, tenant = %self.grant, "a tail cannot read new lines");
        let lasting =
            matches!(fault, QueryFault::Store(StoreFault::Moved { .. } | StoreFault::Damaged { .. }) | QueryFault::Damaged { .. } | QueryFault::Limit(_));
        if lasting {
            self.missed += lines;
        } else {
            tokio::time::sleep(TAIL_LOOK_EVERY).await;
        }
        lasting
    }

    /// Takes new sections, or waits for a change.
    async fn look(&mut self) {
        // From here on a change counts as one.
        self.changes.borrow_and_update();
        match self.gather().await {
            Ok(()) if !self.waiting.is_empty() || self.missed > 0 => {}
            Ok(()) => drop(tokio::time::timeout(TAIL_LOOK_EVERY, self.changes.changed()).await),
            Err(fault) => {
                tracing::info!(%fault, tenant = %self.grant, "a tail waits for the store");
                tokio::time::sleep(TAIL_LOOK_EVERY).await;
            }
        }
    }

    async fn gather(&mut self) -> Result<(), StoreFault> {
        let store = Arc::clone(&self.run.engine.store);
        let mut view = store.view();
        let (mut new, mut missed) = self.sections(&view).await?;
        let mut late = Vec::new();
        if !self.met(&new).await?.is_empty() {
            // All lanes, so that nothing a producer wrote elsewhere before comes after what it writes here.
            view = store.fresh(Timestamp(self.run.engine.world.clock.now_ns())).await?;
            (new, missed) = self.sections(&view).await?;
            let met = self.met(&new).await?;
            (late, new) = new.into_iter().partition(|section| met.values().any(|places| places.contains(&(section.lane, section.number))));
            self.producers.extend(met.into_keys());
        }
        self.heads = view.heads();
        self.missed += missed;
        self.waiting.extend(new);
        self.waiting.extend(late);
        Ok(())
    }

    /// The sections above what was taken, and how many objects are out of reach.
    async fn sections(&self, view: &View) -> Result<(Vec<SectionRef>, u64), StoreFault> {
        let store = &self.run.engine.store;
        let (mut found, mut missed) = (Vec::new(), 0);
        for lane in view.lanes() {
            let (after, floor) = (self.heads.get(&lane.lane()).copied().unwrap_or(0), lane.floor());
            if floor <= after {
                continue;
            }
            let from = after.max(floor.saturating_sub(TAIL_ABSORBED_MAX));
            missed += from - after;
            match store.sections_absorbed(&self.grant, lane.lane(), from, floor).await {
                Ok(sections) => found.extend(sections),
                Err(StoreFault::Moved { key }) => {
                    tracing::warn!(key, tenant = %self.grant, "a tail was away for longer than lane objects are kept");
                    missed += floor - from;
                }
                Err(fault) => return Err(fault),
            }
        }
        found.extend(view.sections_after(&self.grant, TimeRange::ALL, &self.heads));
        Ok((found, missed))
    }

    /// Producers that were not met before, and in which lane objects they are met.
    async fn met(&self, sections: &[SectionRef]) -> Result<BTreeMap<ProducerId, BTreeSet<(LaneId, u64)>>, StoreFault> {
        let mut met: BTreeMap<ProducerId, BTreeSet<(LaneId, u64)>> = BTreeMap::new();
        for section in sections {
            let table = match self.run.engine.store.table(&self.grant, section).await {
                Ok(table) => table,
                // Told when it is opened.
                Err(StoreFault::Moved { .. } | StoreFault::Damaged { .. }) => continue,
                Err(fault) => return Err(fault),
            };
            for batch in &table.batches {
                if let Origin::Producer { producer, .. } = &batch.origin
                    && !self.producers.contains(producer)
                {
                    met.entry(*producer).or_default().insert((section.lane, section.number));
                }
            }
        }
        Ok(met)
    }
}

#[cfg(test)]
mod tests;
