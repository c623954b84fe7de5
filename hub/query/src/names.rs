//! Names and sums over streams, from tables and footers alone: labels, values, series, statistics.
//!
//! Parts: methods of [`Engine`] and [`IndexStats`]. Promises: sorted, without repeats; no line is read;
//! names beginning with `__` stay hidden where Loki hides them. Must not do: evaluate pipelines.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use hub_logql::Matcher;
use hub_tenant::Grant;
use proto_model::{Labels, TimeRange};

use crate::answer::Stats;
use crate::budget::Limits;
use crate::engine::{Asked, Engine};
use crate::fault::QueryFault;
use crate::plan::{ChosenRow, Selector, TENANT_LABEL};
use crate::run::{Run, at_once};
use crate::source::Part;

/// What lies behind a selector, by the tables of sections and the footers of segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Streams.
    pub streams: u64,
    /// Batches of sections and blocks of segments, which is what this store has for chunks.
    pub chunks: u64,
    /// Bytes of lines; of a stream's rows that the range cuts, the part by time.
    pub bytes: u64,
    /// Lines, cut likewise.
    pub entries: u64,
}

impl Engine {
    /// The label names of the streams that have lines in `range`.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn label_names(&self, grants: &[Grant], range: TimeRange, selector: Option<&[Matcher]>, limits: &Limits) -> Result<Vec<String>, QueryFault> {
        let streams = self.streams("labels", grants, range, &[selector.unwrap_or_default()], limits).await?;
        let names: BTreeSet<&str> = streams.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        let shown = |name: &&str| !name.starts_with("__") || *name == TENANT_LABEL;
        Ok(names.into_iter().filter(shown).map(str::to_owned).collect())
    }

    /// The values of label `name` of the streams that have lines in `range`.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn label_values(
        &self,
        grants: &[Grant],
        name: &str,
        range: TimeRange,
        selector: Option<&[Matcher]>,
        limits: &Limits,
    ) -> Result<Vec<String>, QueryFault> {
        let streams = self.streams("label_values", grants, range, &[selector.unwrap_or_default()], limits).await?;
        let values: BTreeSet<&str> = streams.iter().filter_map(|labels| labels.value(name)).collect();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// The streams that any of the selectors means and that have lines in `range`; no selector: all.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn series(&self, grants: &[Grant], selectors: &[Vec<Matcher>], range: TimeRange, limits: &Limits) -> Result<Vec<Arc<Labels>>, QueryFault> {
        let selectors: Vec<&[Matcher]> = if selectors.is_empty() { vec![&[]] } else { selectors.iter().map(Vec::as_slice).collect() };
        Ok(self.streams("series", grants, range, &selectors, limits).await?.into_iter().collect())
    }

    /// What lies behind a selector in `range`.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn index_stats(&self, grants: &[Grant], matchers: &[Matcher], range: TimeRange, limits: &Limits) -> Result<IndexStats, QueryFault> {
        let selector = Arc::new(Selector::new(matchers)?);
        let ask = move |run: Arc<Run>| run.index_stats(range, Arc::clone(&selector)).boxed();
        Ok(self.turn("index_stats", grants, &[], limits, ask).await?.0)
    }

    async fn streams(
        &self,
        kind: &'static str,
        grants: &[Grant],
        range: TimeRange,
        selectors: &[&[Matcher]],
        limits: &Limits,
    ) -> Result<BTreeSet<Arc<Labels>>, QueryFault> {
        let selectors = selectors.iter().map(|matchers| Selector::new(matchers).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let ask = move |run: Arc<Run>| run.streams(range, selectors.clone()).boxed();
        Ok(self.turn(kind, grants, &[], limits, ask).await?.0)
    }
}

impl Run {
    pub(crate) async fn index_stats(self: Arc<Self>, range: TimeRange, selector: Arc<Selector>) -> Asked<IndexStats> {
        let mut streams = BTreeSet::new();
        let mut found = IndexStats::default();
        let mut opened = self.parts(range, &selector);
        while let Some(parts) = opened.try_next().await? {
            let batches = || parts.iter().flat_map(|part| &part.chosen);
            found.chunks += batches().count() as u64;
            for row in batches().flat_map(|batch| &batch.rows) {
                let (bytes, entries) = share(row, range);
                found.bytes += bytes;
                found.entries += entries;
                streams.insert(Arc::clone(&row.labels));
            }
        }
        found.streams = streams.len() as u64;
        Ok((found, Stats::default()))
    }

    pub(crate) async fn streams(self: Arc<Self>, range: TimeRange, selectors: Vec<Arc<Selector>>) -> Asked<BTreeSet<Arc<Labels>>> {
        let mut streams = BTreeSet::new();
        for selector in &selectors {
            let mut opened = self.parts(range, selector);
            while let Some(parts) = opened.try_next().await? {
                let rows = parts.iter().flat_map(|part| &part.chosen).flat_map(|batch| &batch.rows);
                streams.extend(rows.map(|row| Arc::clone(&row.labels)));
            }
        }
        Ok((streams, Stats::default()))
    }

    /// The chosen parts of every section and segment, one after the other.
    pub(crate) fn parts(self: &Arc<Self>, range: TimeRange, selector: &Arc<Selector>) -> impl Stream<Item = Result<Vec<Part>, QueryFault>> + Unpin + use<> {
        let (run, selector) = (Arc::clone(self), Arc::clone(selector));
        let one = move |piece| {
            let (run, selector) = (Arc::clone(&run), Arc::clone(&selector));
            async move { run.open(&piece, &selector, range).await }.boxed()
        };
        at_once(futures::stream::iter(self.pieces(range)).map(one))
    }
}

/// Bytes and lines of a row inside `range`, in proportion to time.
pub(crate) fn share(row: &ChosenRow, range: TimeRange) -> (u64, u64) {
    if range.start <= row.min && row.max < range.end {
        return (row.bytes, row.lines);
    }
    let inside = row.max.min(range.end).since(row.min.max(range.start)).as_nanos();
    let whole = row.max.since(row.min).as_nanos().max(1);
    let part = |amount: u64| u64::try_from(u128::from(amount) * inside / whole).unwrap_or(amount);
    (part(row.bytes), part(row.lines).max(1))
}
