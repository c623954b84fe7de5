//! How many values each label has, and how many streams each value: by tables and footers.
//!
//! Parts: [`Cardinality`] with [`LabelCardinality`] and [`ValueCardinality`], `Engine::cardinality`. Promises: no line is read; memory within
//! the query's budget. Must not do: judge what is too much.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{FutureExt as _, TryStreamExt as _};
use hub_tenant::Grant;
use proto_model::{Labels, TimeRange};

use crate::answer::Stats;
use crate::budget::Limits;
use crate::engine::{Asked, Engine};
use crate::fault::QueryFault;
use crate::plan::Selector;
use crate::run::Run;

/// Rough bytes of one more stream in memory.
const STREAM_BYTES: u64 = 128;

/// All labels of a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Streams.
    pub streams: u64,
    /// Lines of all rows that the time touches.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The label with the most values first.
    pub labels: Vec<LabelCardinality>,
}

/// One label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelCardinality {
    /// Its name.
    pub name: String,
    /// Different values.
    pub values: u64,
    /// Streams that bear it.
    pub streams: u64,
    /// Values with the most streams first; of equal ones that with the most bytes.
    pub top: Vec<ValueCardinality>,
}

/// One value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValueCardinality {
    /// The value.
    pub value: String,
    /// Streams that bear it.
    pub streams: u64,
    /// Their lines.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
}

type Streams = BTreeMap<Arc<Labels>, (u64, u64)>;

impl Engine {
    /// Labels of the streams with lines in `range`, each with its `top` largest values.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn cardinality(&self, grants: &[Grant], range: TimeRange, top: usize, limits: &Limits) -> Result<Cardinality, QueryFault> {
        let ask = move |run: Arc<Run>| run.cardinality(range).boxed();
        let (streams, ..) = self.turn("cardinality", grants, &[range], limits, ask).await?;
        Ok(self.world.workers.run(move || summed(&streams, top)).await)
    }
}

impl Run {
    async fn cardinality(self: Arc<Self>, range: TimeRange) -> Asked<Streams> {
        let mut streams = Streams::new();
        let selector = Arc::new(Selector::default());
        let mut opened = self.parts(range, &selector);
        while let Some(parts) = opened.try_next().await? {
            for row in parts.iter().flat_map(|part| &part.chosen).flat_map(|batch| &batch.rows) {
                if !streams.contains_key(&row.labels) {
                    let texts: usize = row.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
                    self.budget.hold(STREAM_BYTES + texts as u64)?;
                }
                let (lines, bytes) = streams.entry(Arc::clone(&row.labels)).or_default();
                *lines += row.lines;
                *bytes += row.bytes;
            }
        }
        Ok((streams, Stats::default()))
    }
}

fn summed(streams: &Streams, top: usize) -> Cardinality {
    let mut labels: BTreeMap<&str, BTreeMap<&str, ValueCardinality>> = BTreeMap::new();
    let mut all = Cardinality { streams: streams.len() as u64, ..Cardinality::default() };
    for (stream, (lines, bytes)) in streams {
        all.lines += lines;
        all.bytes += bytes;
        for (name, value) in stream.iter() {
            let found = labels.entry(name).or_default().entry(value).or_default();
            found.streams += 1;
            found.lines += lines;
            found.bytes += bytes;
        }
    }
    all.labels = labels.into_iter().map(|(name, values)| label(name, values, top)).collect();
    all.labels.sort_by(|a, b| b.values.cmp(&a.values).then_with(|| a.name.cmp(&b.name)));
    all
}

fn label(name: &str, values: BTreeMap<&str, ValueCardinality>, top: usize) -> LabelCardinality {
    let (count, streams) = (values.len() as u64, values.values().map(|value| value.streams).sum());
    let mut ranked: Vec<ValueCardinality> = values.into_iter().map(|(value, found)| ValueCardinality { value: value.to_owned(), ..found }).collect();
    ranked.sort_by(|a, b| (b.streams, b.bytes).cmp(&(a.streams, a.bytes)).then_with(|| a.value.cmp(&b.value)));
    ranked.truncate(top);
    LabelCardinality { name: name.to_owned(), values: count, streams, top: ranked }
}

#[cfg(test)]
mod tests;
