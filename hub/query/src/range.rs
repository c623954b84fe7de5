//! Range expressions: lines into windows that slide with the step, windows into values.
//!
//! Parts: [`Steps`] (the times asked for), [`RangePlan`] (what is computed of which lines), [`Windows`] (what
//! one scan collects, and all scans together), [`over`] (the functions). A line at `t` counts in every window
//! `(step - range - offset, step - offset]` that holds it. Promises: counts and bytes take memory by steps, not
//! by lines; unwrapped samples are kept, within the budget. Must not do: read sections.

pub(crate) mod over;

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_logql::{Grouping, RangeOp, UnwrapConversion};
use hub_segment::Tally;
use hub_segment::tally::MINUTE_NS;
use proto_extract::quantity;
use proto_model::{Labels, TimeRange, Timestamp};

use crate::budget::Budget;
use crate::fault::QueryFault;
use crate::limits::{LABEL_BYTES, SERIES_BYTES, VALUE_BYTES};
use crate::plan::{ChosenRow, Selector};
use crate::record::LineLabels;
use crate::source::{Needs, Part};
use crate::stages::Pipeline;
use crate::stages::filter::Filter;

const EXTRACTION_FAILED: &str = "SampleExtractionErr";
/// Failures of parsers, which become labels where the query asks for `__error__`.
const PARSER_FAILURES: [&str; 2] = ["JSONParserErr", "LogfmtParserErr"];

/// The times at which values are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) start: Timestamp,
    /// Above 0.
    pub(crate) step_ns: i64,
    /// Above 0.
    pub(crate) count: usize,
}

/// A range expression, compiled.
#[derive(Debug)]
pub(crate) struct RangePlan {
    pub(crate) op: RangeOp,
    /// For `quantile_over_time`.
    pub(crate) param: f64,
    pub(crate) selector: Selector,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) unwrap: Option<UnwrapPlan>,
    /// `None`: series by all labels.
    pub(crate) grouping: Option<Grouping>,
    pub(crate) steps: Steps,
    pub(crate) range_ns: i64,
    pub(crate) offset_ns: i64,
    /// The labels of `absent_over_time`.
    pub(crate) absent: Labels,
}

/// An unwrap, compiled.
#[derive(Debug)]
pub(crate) struct UnwrapPlan {
    pub(crate) label: String,
    pub(crate) conversion: Option<UnwrapConversion>,
    pub(crate) filters: Vec<Filter>,
}

/// What is collected of one series.
#[derive(Debug)]
pub(crate) enum Collected {
    /// Changes of (lines, amount) from step to step.
    Sums(BTreeMap<u32, (i64, i64)>),
    /// Time and value of each line.
    Samples(Vec<(i64, f64)>),
}

/// Series, ascending by labels, with their points, ascending by step.
pub(crate) type RangeSeries = Vec<(Arc<Labels>, Vec<(u32, f64)>)>;

/// Series and what was collected of them.
#[derive(Debug)]
pub(crate) struct Windows {
    plan: Arc<RangePlan>,
    budget: Arc<Budget>,
    series: BTreeMap<Arc<Labels>, usize>,
    collected: Vec<Collected>,
    /// The stream met last and the series of its plain lines.
    last: Option<(Arc<Labels>, usize)>,
    /// What was asked of the budget: bytes for series, points.
    held: (u64, u64),
}

impl Steps {
    /// The time of step `at`.
    pub(crate) fn time(&self, at: usize) -> Timestamp {
        let past = i64::try_from(at).unwrap_or(i64::MAX).saturating_mul(self.step_ns);
        Timestamp(self.start.nanos().saturating_add(past))
    }
}

impl RangePlan {
    /// The lines that any window holds.
    pub(crate) fn reads(&self) -> TimeRange {
        let (first, last) = (self.steps.start, self.steps.time(self.steps.count - 1));
        let start = first.nanos().saturating_sub(self.range_ns).saturating_sub(self.offset_ns).saturating_add(1);
        let end = last.nanos().saturating_sub(self.offset_ns).saturating_add(1);
        TimeRange { start: Timestamp(start), end: Timestamp(end) }
    }

    /// First and last step whose window holds `time`, as if there were steps from ever to ever; the last may lie
    /// before the first. Both never fall with time.
    fn windows_of(&self, time: Timestamp) -> (i128, i128) {
        let step = i128::from(self.steps.step_ns);
        let after = i128::from(time.nanos()) + i128::from(self.offset_ns) - i128::from(self.steps.start.nanos());
        let ceil = |value: i128| -((-value).div_euclid(step));
        (ceil(after), ceil(after + i128::from(self.range_ns)) - 1)
    }

    /// First and last step whose window holds `time`.
    pub(crate) fn steps_of(&self, time: Timestamp) -> Option<(u32, u32)> {
        let (first, last) = self.windows_of(time);
        let first = first.max(0);
        let last = last.min(i128::try_from(self.steps.count).unwrap_or(i128::MAX) - 1);
        if first > last { None } else { Some((u32::try_from(first).ok()?, u32::try_from(last).ok()?)) }
    }

    /// Whether the value of a line is its length.
    const fn measures_bytes(&self) -> bool {
        matches!(self.op, RangeOp::BytesRate | RangeOp::BytesOverTime)
    }

    /// Whether only numbers of lines or bytes are needed, no samples.
    fn only_sums(&self) -> bool {
        self.unwrap.is_none() || self.op == RangeOp::AbsentOverTime
    }

    /// The series of a row when its lines can be counted without being read: no stage and no delete looks at them, and their
    /// series is known from index labels alone.
    fn series_by_index(&self, row: &ChosenRow) -> Option<Labels> {
        if !self.pipeline.is_empty() || self.unwrap.is_some() || row.struck.is_some() {
            return None;
        }
        let grouping = self.grouping.as_ref().filter(|grouping| !grouping.without)?;
        let mut series = Labels::empty();
        for name in &grouping.labels {
            series.set(name.as_str(), row.labels.value(name)?);
        }
        Some(series)
    }

    /// Whether every window begins and ends with a minute, so that the lines of a minute lie in the same windows.
    pub(crate) fn counts_minutes(&self) -> bool {
        let end = self.steps.start.nanos().checked_sub(self.offset_ns);
        let steps = self.steps.count == 1 || self.steps.step_ns % MINUTE_NS == 0;
        steps && self.range_ns % MINUTE_NS == 0 && end.is_some_and(|end| end % MINUTE_NS == 0)
    }

    /// The series of a row that can be counted as a whole: as [`Self::series_by_index`], and all its lines lie in
    /// the same windows.
    pub(crate) fn counted(&self, row: &ChosenRow) -> Option<(Labels, (u32, u32))> {
        let steps = self.steps_of(row.min)?;
        if self.steps_of(row.max)? != steps {
            return None;
        }
        Some((self.series_by_index(row)?, steps))
    }
}

impl Windows {
    pub(crate) const fn new(plan: Arc<RangePlan>, budget: Arc<Budget>) -> Self {
        Self { plan, budget, series: BTreeMap::new(), collected: Vec::new(), last: None, held: (0, 0) }
    }

    /// Whether any window holds `time`.
    pub(crate) fn admits(&self, time: Timestamp) -> bool {
        self.plan.steps_of(time).is_some()
    }

    /// Counts a whole row, as [`RangePlan::counted`] found it.
    pub(crate) fn count(&mut self, series: Labels, steps: (u32, u32), row: &ChosenRow) -> Result<(), QueryFault> {
        let amount = if self.plan.measures_bytes() { row.bytes } else { row.lines };
        let at = self.series_at(Arc::new(series))?;
        self.add(at, steps, (signed(row.lines), signed(amount)))
    }

    /// Counts a row by its tallies; false when it cannot be, and nothing was counted.
    pub(crate) fn count_tallies(&mut self, row: &ChosenRow, tallies: &[Tally]) -> Result<bool, QueryFault> {
        // None, or of other lines: the times themselves will tell.
        if tallies.is_empty() || tallies.iter().map(|tally| tally.lines).sum::<u64>() != row.lines {
            return Ok(false);
        }
        let Some(series) = self.plan.series_by_index(row) else { return Ok(false) };
        let mut at = None;
        for tally in tallies {
            let Some(steps) = self.plan.steps_of(Timestamp(tally.end_ns)) else { continue };
            let amount = if self.plan.measures_bytes() { tally.bytes } else { tally.lines };
            let series = match at {
                Some(at) => at,
                None => *at.insert(self.series_at(Arc::new(series.clone()))?),
            };
            self.add(series, steps, (signed(tally.lines), signed(amount)))?;
        }
        Ok(true)
    }

    /// What must be seen of the rows of a part to count them in.
    pub(crate) fn needs(&self, part: &Part) -> Needs {
        let rows = || part.chosen.iter().flat_map(|batch| &batch.rows);
        if self.plan.pipeline.reads_lines() || rows().any(|row| row.struck.as_ref().is_some_and(|struck| struck.reads_lines())) {
            Needs::Lines
        } else if rows().all(|row| self.plan.series_by_index(row).is_some()) {
            Needs::Counts
        } else {
            Needs::Rows
        }
    }

    /// Counts the lines of a row of which no more is needed, by their times, ascending, and lengths.
    pub(crate) fn count_times(&mut self, row: &ChosenRow, times: &[i64], lengths: &[u32]) -> Result<(), QueryFault> {
        let Some(series) = self.plan.series_by_index(row).map(Arc::new) else { return Ok(()) };
        let plan = Arc::clone(&self.plan);
        let mut from = 0;
        while let Some(first) = times.get(from) {
            // All lines in the same windows at once: windows only rise with time.
            let windows = plan.windows_of(Timestamp(*first));
            let to = from + times[from..].partition_point(|time| plan.windows_of(Timestamp(*time)) <= windows).max(1);
            if let Some(steps) = plan.steps_of(Timestamp(*first)) {
                let at = self.series_at(Arc::clone(&series))?;
                let bytes = lengths.get(from..to).unwrap_or_default().iter().map(|length| u64::from(*length)).sum();
                let lines = (to - from) as u64;
                self.add(at, steps, (signed(lines), signed(if plan.measures_bytes() { bytes } else { lines })))?;
            }
            from = to;
        }
        Ok(())
    }

    /// Takes a line that passed the pipeline.
    pub(crate) fn take(&mut self, time: Timestamp, length: usize, labels: &mut LineLabels) -> Result<(), QueryFault> {
        let Some(steps) = self.plan.steps_of(time) else { return Ok(()) };
        let Some(value) = self.value(labels) else { return Ok(()) };
        let at = self.series_of(labels)?;
        if self.plan.only_sums() {
            let amount = if self.plan.measures_bytes() { signed(length as u64) } else { 1 };
            return self.add(at, steps, (1, amount));
        }
        self.budget.take_samples(1)?;
        if let Collected::Samples(samples) = &mut self.collected[at] {
            samples.push((time.nanos(), value));
        }
        Ok(())
    }

    /// The unwrapped value; `None` when the line has none or a filter after the unwrap drops it.
    fn value(&self, labels: &mut LineLabels) -> Option<f64> {
        let Some(unwrap) = &self.plan.unwrap else { return Some(1.0) };
        let text = labels.value(&unwrap.label).filter(|text| !text.is_empty())?;
        let value = match unwrap.conversion {
            None => quantity::float(text),
            #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
            Some(UnwrapConversion::Bytes) => quantity::bytes(text).map(|bytes| bytes as f64),
            Some(UnwrapConversion::Duration | UnwrapConversion::DurationSeconds) => quantity::duration_ns(text).map(quantity::seconds),
        };
        let value = value.unwrap_or_else(|details| {
            labels.fail(EXTRACTION_FAILED, details);
            0.0
        });
        unwrap.filters.iter().all(|filter| filter.passes(labels)).then_some(value)
    }

    fn series_of(&mut self, labels: &LineLabels) -> Result<usize, QueryFault> {
        if let Some(kind) = labels.error() {
            let asked = self.plan.pipeline.wanted().asks_for_error() && PARSER_FAILURES.contains(&kind);
            let series = labels.all();
            if !asked {
                return Err(QueryFault::Pipeline { kind: kind.to_owned(), series: series.to_string() });
            }
            return self.series_at(Arc::new(series));
        }
        if !labels.is_plain() {
            return self.series_at(Arc::new(self.grouped(labels)));
        }
        if let Some((base, at)) = &self.last
            && Arc::ptr_eq(base, labels.base())
        {
            return Ok(*at);
        }
        let at = self.series_at(Arc::new(self.grouped(labels)))?;
        self.last = Some((Arc::clone(labels.base()), at));
        Ok(at)
    }

    fn grouped(&self, labels: &LineLabels) -> Labels {
        let unwrapped = self.plan.unwrap.as_ref().map(|unwrap| unwrap.label.as_str());
        match &self.plan.grouping {
            Some(grouping) if !grouping.without => Labels::from_pairs(grouping.labels.iter().filter_map(|name| Some((name.as_str(), labels.value(name)?)))),
            grouping => {
                let mut all = labels.all();
                all.retain(|name, _| Some(name) != unwrapped && !grouping.as_ref().is_some_and(|g| g.labels.iter().any(|label| label == name)));
                all
            }
        }
    }

    fn series_at(&mut self, labels: Arc<Labels>) -> Result<usize, QueryFault> {
        if let Some(at) = self.series.get(&labels) {
            return Ok(*at);
        }
        let at = self.collected.len();
        self.budget.allow_inner_series(at + 1)?;
        let cost = SERIES_BYTES + labels.iter().map(|(name, value)| (name.len() + value.len()) as u64 + LABEL_BYTES).sum::<u64>();
        self.budget.hold(cost)?;
        self.held.0 += cost;
        self.collected.push(if self.plan.only_sums() { Collected::Sums(BTreeMap::new()) } else { Collected::Samples(Vec::new()) });
        self.series.insert(labels, at);
        Ok(at)
    }

    fn add(&mut self, at: usize, (first, last): (u32, u32), (lines, amount): (i64, i64)) -> Result<(), QueryFault> {
        if let Collected::Sums(changes) = &mut self.collected[at] {
            let before = changes.len();
            for (step, sign) in [(first, 1), (last + 1, -1)] {
                let change = changes.entry(step).or_default();
                *change = (change.0 + sign * lines, change.1 + sign * amount);
            }
            let grown = (changes.len() - before) as u64;
            self.take_points(grown)?;
        }
        Ok(())
    }

    fn take_points(&mut self, grown: u64) -> Result<(), QueryFault> {
        if grown > 0 {
            self.budget.take_points(grown)?;
            self.held.1 += grown;
        }
        Ok(())
    }

    /// Takes what a later scan collected.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), QueryFault> {
        let mut theirs: Vec<Option<Collected>> = other.collected.into_iter().map(Some).collect();
        for (labels, from) in other.series {
            let at = self.series_at(labels)?;
            match (&mut self.collected[at], theirs[from].take()) {
                (Collected::Sums(mine), Some(Collected::Sums(changes))) => {
                    let before = mine.len();
                    for (step, (lines, amount)) in changes {
                        let change = mine.entry(step).or_default();
                        *change = (change.0 + lines, change.1 + amount);
                    }
                    let grown = (mine.len() - before) as u64;
                    self.take_points(grown)?;
                }
                (Collected::Samples(mine), Some(Collected::Samples(samples))) => mine.extend(samples),
                (Collected::Sums(_) | Collected::Samples(_), _) => {}
            }
        }
        // Samples were taken over; the rest of it is gone.
        self.budget.release(other.held.0);
        self.budget.release_points(other.held.1);
        Ok(())
    }

    /// The values of all series at each step that has one, ascending by labels.
    ///
    /// # Errors
    /// [`QueryFault::Limit`] before they take more memory than the query may.
    pub(crate) fn into_series(self) -> Result<RangeSeries, QueryFault> {
        if self.plan.op == RangeOp::AbsentOverTime {
            return Ok(over::absent(&self.plan, &self.collected));
        }
        let mut collected: Vec<Option<Collected>> = self.collected.into_iter().map(Some).collect();
        let mut series = Vec::new();
        for (labels, at) in self.series {
            let Some(found) = collected[at].take() else { continue };
            let points = over::values(&self.plan, found);
            self.budget.hold(points.len() as u64 * VALUE_BYTES)?;
            if !points.is_empty() {
                series.push((labels, points));
            }
        }
        Ok(series)
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
