//! How many bytes lie behind label values, from tables and footers alone: `index/volume` and `index/volume_range`.
//!
//! Parts: [`VolumeRequest`] (what is asked, checked in Loki's words), [`Volume`] (one series or label of the answer),
//! `Buckets` (the spans that are summed), methods of [`Engine`]. A row that a bucket cuts counts in proportion
//! to time. Promises: largest first, equal ones by name; no line is read. Limits: [`BUCKETS_MAX`], [`crate::limits::SERIES_MAX`].
//! Must not do: evaluate pipelines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{FutureExt as _, TryStreamExt as _};
use hub_logql::Matcher;
use hub_tenant::Grant;
use proto_model::{Labels, MatchOp, TimeRange, Timestamp};

use crate::answer::Stats;
use crate::budget::Limits;
use crate::engine::{Asked, Engine};
use crate::fault::QueryFault;
use crate::limits::STEPS_MAX;
use crate::names::share;
use crate::plan::{Selector, TENANT_LABEL};
use crate::run::Run;

/// Buckets of one `volume_range`: as many as a range query may have steps.
pub const BUCKETS_MAX: i64 = STEPS_MAX;
/// Loki ends a bucket this much before the next one begins.
const GAP_NS: i64 = 1_000_000;

/// What is summed under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AggregateBy {
    /// Streams that agree in the grouping labels.
    #[default]
    Series,
    /// All streams that have the label.
    Labels,
}

impl std::str::FromStr for AggregateBy {
    type Err = QueryFault;

    fn from_str(text: &str) -> Result<Self, QueryFault> {
        match text {
            "series" => Ok(Self::Series),
            "labels" => Ok(Self::Labels),
            _ => Err(QueryFault::Request("invalid aggregation option".to_owned())),
        }
    }
}

/// A checked question for volumes.
#[derive(Debug, Clone)]
pub struct VolumeRequest {
    selector: Selector,
    /// The labels to group by; `None`: all a stream has.
    grouping: Option<BTreeSet<String>>,
    aggregate_by: AggregateBy,
    buckets: Buckets,
    limit: usize,
}

/// One series (or label) and its bytes per bucket, buckets without any left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The grouping labels; of a label its name with an empty value.
    pub labels: Vec<(String, String)>,
    /// End of the bucket, and bytes.
    pub points: Vec<(Timestamp, u64)>,
}

/// Spans of time, one after the other.
#[derive(Debug, Clone)]
struct Buckets {
    range: TimeRange,
    /// 0: one bucket.
    step_ns: i64,
}

impl Buckets {
    /// First start: the multiple of the step at or before the range.
    fn origin(&self) -> i64 {
        self.range.start.nanos() - self.range.start.nanos().rem_euclid(self.step_ns.max(1))
    }

    fn place(&self, time: Timestamp) -> i64 {
        if self.step_ns == 0 { 0 } else { (time.nanos() - self.origin()).div_euclid(self.step_ns) }
    }

    /// The part of the range that bucket `at` covers.
    fn span(&self, at: i64) -> TimeRange {
        if self.step_ns == 0 {
            return self.range;
        }
        let start = self.origin().saturating_add(at.saturating_mul(self.step_ns));
        let end = start.saturating_add(self.step_ns);
        TimeRange { start: Timestamp(start).max(self.range.start), end: Timestamp(end).min(self.range.end) }
    }

    /// The time a bucket is shown at: its end, a millisecond early but for the last one, as Loki has it.
    fn shown(&self, at: i64) -> Timestamp {
        let end = self.span(at).end;
        if end < self.range.end { Timestamp(end.nanos() - GAP_NS) } else { end }
    }

    /// The buckets that lines between `min` and `max` fall into.
    fn touched(&self, min: Timestamp, max: Timestamp) -> std::ops::RangeInclusive<i64> {
        let last = Timestamp(self.range.end.nanos().saturating_sub(1));
        self.place(min.max(self.range.start))..=self.place(max.min(last))
    }
}

impl VolumeRequest {
    /// Checks a question. `step_ns` 0 asks for one sum; `targets` are the labels to group by, else those of the selector.
    ///
    /// # Errors
    /// [`QueryFault`] in Loki's words: an end that is not after the start, too many buckets, a limit of 0, a broken matcher.
    pub fn new(matchers: &[Matcher], range: TimeRange, step_ns: i64, targets: &[String], aggregate_by: AggregateBy, limit: i64) -> Result<Self, QueryFault> {
        let wrong = |text: &str| Err(QueryFault::Request(text.to_owned()));
        if range.end <= range.start {
            return wrong("end timestamp must not be before or equal to start time");
        }
        if step_ns < 0 {
            return wrong("zero or negative query resolution step widths are not accepted. Try a positive integer");
        }
        if step_ns > 0 && range.end.nanos().saturating_sub(range.start.nanos()) / step_ns > BUCKETS_MAX {
            return wrong("exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter");
        }
        let Some(limit) = usize::try_from(limit).ok().filter(|limit| *limit > 0) else { return wrong("limit must be a positive value") };
        let mut all = matchers.to_vec();
        for name in targets.iter().filter(|name| matchers.iter().all(|matcher| matcher.name != **name)) {
            // Streams without a label that is asked for do not count.
            all.push(Matcher { name: name.clone(), op: MatchOp::Regex, value: ".+".to_owned() });
        }
        let grouping = if targets.is_empty() { grouping(matchers) } else { Some(targets.iter().cloned().collect()) };
        Ok(Self { selector: Selector::new(&all)?, grouping, aggregate_by, buckets: Buckets { range, step_ns }, limit })
    }

    /// The names under which a stream counts.
    fn names(&self, labels: &Labels) -> Vec<Vec<(String, String)>> {
        let taken = |name: &str| self.grouping.as_ref().map_or(name != TENANT_LABEL, |names| names.contains(name));
        let mine = labels.iter().filter(|(name, _)| taken(name));
        match self.aggregate_by {
            AggregateBy::Series => vec![mine.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()],
            AggregateBy::Labels => mine.map(|(name, _)| vec![(name.to_owned(), String::new())]).collect(),
        }
    }
}

/// The labels that the selector names; none named: all.
fn grouping(matchers: &[Matcher]) -> Option<BTreeSet<String>> {
    let names: BTreeSet<String> = matchers.iter().map(|matcher| matcher.name.clone()).collect();
    (!names.is_empty()).then_some(names)
}

/// Bytes by name and bucket.
type Sums = BTreeMap<Vec<(String, String)>, BTreeMap<i64, u64>>;

/// Bytes of one name in one bucket.
type Sum<'s> = (u64, &'s [(String, String)]);

impl Engine {
    /// Bytes of lines by labels.
    ///
    /// # Errors
    /// [`QueryFault`].
    pub async fn volumes(&self, grants: &[Grant], request: &VolumeRequest, limits: &Limits) -> Result<(Vec<Volume>, Stats), QueryFault> {
        let request = Arc::new(request.clone());
        let asked = Arc::clone(&request);
        let ask = move |run: Arc<Run>| run.volumes(Arc::clone(&asked)).boxed();
        let (sums, stats, _) = self.turn("volume", grants, &[], limits, ask).await?;
        Ok((answered(&request, &sums), stats))
    }
}

impl Run {
    async fn volumes(self: Arc<Self>, request: Arc<VolumeRequest>) -> Asked<Sums> {
        let (range, selector) = (request.buckets.range, Arc::new(request.selector.clone()));
        let (mut sums, mut stats) = (Sums::new(), Stats::default());
        let mut known: BTreeMap<Arc<Labels>, Vec<Vec<(String, String)>>> = BTreeMap::new();
        let mut opened = self.parts(range, &selector);
        while let Some(parts) = opened.try_next().await? {
            for row in parts.iter().flat_map(|part| &part.chosen).flat_map(|batch| &batch.rows) {
                let names = known.entry(Arc::clone(&row.labels)).or_insert_with(|| request.names(&row.labels));
                stats.lines_counted += row.lines;
                for at in request.buckets.touched(row.min, row.max) {
                    let span = request.buckets.span(at);
                    let bytes = share(row, span).0;
                    for name in names.iter().filter(|_| bytes > 0) {
                        if add(&mut sums, name, at, bytes) {
                            self.budget.take_points(1)?;
                        }
                    }
                }
                self.budget.allow_inner_series(sums.len())?;
            }
        }
        Ok((sums, stats))
    }
}

/// Adds to a sum; whether it is a new one.
fn add(sums: &mut Sums, name: &[(String, String)], bucket: i64, bytes: u64) -> bool {
    let buckets = match sums.get_mut(name) {
        Some(buckets) => buckets,
        None => sums.entry(name.to_vec()).or_default(),
    };
    let sum = buckets.entry(bucket).or_default();
    let is_new = *sum == 0;
    *sum += bytes;
    is_new
}

/// The largest of every bucket, largest first.
fn answered(request: &VolumeRequest, sums: &Sums) -> Vec<Volume> {
    let kept = largest(sums, request.limit);
    let mut volumes: Vec<Volume> = Vec::new();
    for (labels, buckets) in sums {
        let points: Vec<_> =
            buckets.iter().filter(|(at, _)| kept.contains(&(**at, labels.as_slice()))).map(|(at, bytes)| (request.buckets.shown(*at), *bytes)).collect();
        if !points.is_empty() {
            volumes.push(Volume { labels: labels.clone(), points });
        }
    }
    let first = |volume: &Volume| volume.points.first().map_or(0, |(_, bytes)| *bytes);
    volumes.sort_by(|a, b| first(b).cmp(&first(a)).then_with(|| a.labels.cmp(&b.labels)));
    volumes
}

/// Which series of which bucket are among the `limit` largest of it.
fn largest(sums: &Sums, limit: usize) -> BTreeSet<(i64, &[(String, String)])> {
    let mut buckets: BTreeMap<i64, Vec<Sum<'_>>> = BTreeMap::new();
    for (labels, points) in sums {
        for (at, bytes) in points {
            buckets.entry(*at).or_default().push((*bytes, labels.as_slice()));
        }
    }
    let mut kept = BTreeSet::new();
    for (at, mut all) in buckets {
        all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        kept.extend(all.into_iter().take(limit).map(|(_, labels)| (at, labels)));
    }
    kept
}

#[cfg(test)]
mod tests;
