//! Names and sums over streams, from tables alone: labels, values, series, statistics.
//!
//! Parts: methods of [`Engine`] and [`IndexStats`]. Promises: sorted, without repeats; no line is read;
//! names beginning with `__` stay hidden where Loki hides them. Must not do: evaluate pipelines.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{FutureExt as _, Stream, TryStreamExt as _};
use hub_logql::Matcher;
use hub_tenant::Grant;
use proto_model::{Labels, TimeRange};

use crate::answer::Stats;
use crate::budget::Limits;
use crate::engine::{Asked, Engine, Run, at_once};
use crate::fault::QueryFault;
use crate::plan::{ChosenBatch, ChosenRow, Selector, TENANT_LABEL};

/// What lies behind a selector, by the tables of sections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Streams.
    pub streams: u64,
    /// Batches, which is what this store has for chunks.
    pub chunks: u64,
    /// Bytes of lines; of a batch that the range cuts, the part by time.
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
        Ok(self.turn("index_stats", grants, limits, ask).await?.0)
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
        Ok(self.turn(kind, grants, limits, ask).await?.0)
    }
}

impl Run {
    async fn index_stats(self: Arc<Self>, range: TimeRange, selector: Arc<Selector>) -> Asked<IndexStats> {
        let mut streams = BTreeSet::new();
        let mut found = IndexStats::default();
        let mut tables = self.tables(range, &selector);
        while let Some(batches) = tables.try_next().await? {
            found.chunks += batches.len() as u64;
            for row in batches.iter().flat_map(|batch| &batch.rows) {
                let (bytes, entries) = share(row, range);
                found.bytes += bytes;
                found.entries += entries;
                streams.insert(Arc::clone(&row.labels));
            }
        }
        found.streams = streams.len() as u64;
        Ok((found, Stats::default()))
    }

    async fn streams(self: Arc<Self>, range: TimeRange, selectors: Vec<Arc<Selector>>) -> Asked<BTreeSet<Arc<Labels>>> {
        let mut streams = BTreeSet::new();
        for selector in &selectors {
            let mut tables = self.tables(range, selector);
            while let Some(batches) = tables.try_next().await? {
                streams.extend(batches.iter().flat_map(|batch| &batch.rows).map(|row| Arc::clone(&row.labels)));
            }
        }
        Ok((streams, Stats::default()))
    }

    /// The chosen rows of every section, section by section.
    fn tables(self: &Arc<Self>, range: TimeRange, selector: &Arc<Selector>) -> impl Stream<Item = Result<Vec<ChosenBatch>, QueryFault>> + Unpin + use<> {
        let one = |piece| {
            let (run, selector) = (Arc::clone(self), Arc::clone(selector));
            async move { run.chosen(&piece, &selector, range).await }.boxed()
        };
        at_once(self.pieces(range).into_iter().map(one).collect())
    }
}

/// Bytes and lines of a row inside `range`, in proportion to time.
fn share(chosen: &ChosenRow, range: TimeRange) -> (u64, u64) {
    let row = &chosen.row;
    if range.start <= row.min && row.max < range.end {
        return (row.bytes, row.lines);
    }
    let inside = row.max.min(range.end).since(row.min.max(range.start)).as_nanos();
    let whole = row.max.since(row.min).as_nanos().max(1);
    let part = |amount: u64| u64::try_from(u128::from(amount) * inside / whole).unwrap_or(amount);
    (part(row.bytes), part(row.lines).max(1))
}
