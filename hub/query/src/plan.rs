//! Which streams a query reads, and where their lines lie: by the table of a section, by the footer of a segment.
//!
//! Parts: `Selector` (matchers, compiled), `choose_rows` (of a section), `choose_runs` (of a segment); both give
//! `ChosenBatch`es: what a batch and its rows are to a section, a block and its runs are to a segment.
//! Promises: pure; labels of several tenants get `__tenant_id__`; rows that deletes take whole are not chosen. Must not do: fetch.

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_logql::Matcher;
use hub_segment::Footer;
use hub_store::SectionTable;
use proto_extract::selector::CompiledMatcher;
use proto_model::{Labels, TimeRange, Timestamp};

use crate::deletion::{Deletion, Fate, Struck};
use crate::fault::QueryFault;

/// The label that names the tenant in answers over several.
pub const TENANT_LABEL: &str = "__tenant_id__";
/// What a stream's own label of that name becomes in such answers.
const TENANT_LABEL_CLASH: &str = "original___tenant_id__";

/// The matchers of a stream selector; none: every stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector(Vec<CompiledMatcher>);

/// The rows of one batch, or one block, that a query is about.
#[derive(Debug, Clone)]
pub(crate) struct ChosenBatch {
    /// Its place in the section, or in the segment.
    pub(crate) at: usize,
    pub(crate) rows: Vec<ChosenRow>,
}

/// One stream of a batch, or one run of a block.
#[derive(Debug, Clone)]
pub(crate) struct ChosenRow {
    /// Its place in the batch, or in the block.
    pub(crate) at: usize,
    /// Its labels, `__tenant_id__` included where there are several tenants.
    pub(crate) labels: Arc<Labels>,
    pub(crate) lines: u64,
    /// Sum of the lengths of its lines, in bytes.
    pub(crate) bytes: u64,
    pub(crate) min: Timestamp,
    pub(crate) max: Timestamp,
    /// Deletes that may take lines of it.
    pub(crate) struck: Option<Arc<Struck>>,
}

/// What is to be known of where rows lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'p> {
    /// To be named in labels, when the query has several.
    pub(crate) tenant: Option<&'p str>,
    /// About these rows.
    pub(crate) deletions: &'p [Arc<Deletion>],
}

impl Origin<'_> {
    /// What deletes leave of a row: nothing (`None`), or lines of which some may be taken.
    #[expect(clippy::option_option, reason = "nothing left, and nothing to look for")]
    fn left(&self, labels: &Arc<Labels>, bounds: (Timestamp, Timestamp)) -> Option<Option<Arc<Struck>>> {
        match Fate::of(self.deletions, labels, bounds) {
            Fate::Kept => Some(None),
            Fate::Gone(_) => None,
            Fate::Judged(struck) => Some(Some(struck)),
        }
    }
}

impl Selector {
    /// Compiles matchers.
    ///
    /// # Errors
    /// A regular expression that Go refuses, in its words.
    pub(crate) fn new(matchers: &[Matcher]) -> Result<Self, QueryFault> {
        let compiled = matchers.iter().map(|matcher| {
            let fault = |fault| QueryFault::Request(format!("parse error : {fault}"));
            CompiledMatcher::new(matcher.name.as_str(), matcher.op, matcher.value.as_str()).map_err(fault)
        });
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    /// Whether a stream with these labels is meant.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.matches(labels.value(&matcher.name)))
    }
}

/// Judges label sets, each once: a set stands for many rows.
struct Judge<'q> {
    selector: &'q Selector,
    tenant: Option<&'q str>,
    judged: BTreeMap<Arc<Labels>, Option<Arc<Labels>>>,
}

impl Judge<'_> {
    /// The labels to be shown, when the selector means them.
    fn meant(&mut self, labels: &Arc<Labels>) -> Option<Arc<Labels>> {
        if let Some(verdict) = self.judged.get(labels) {
            return verdict.clone();
        }
        let named = named(labels, self.tenant);
        let verdict = self.selector.matches(&named).then_some(named);
        self.judged.insert(Arc::clone(labels), verdict.clone());
        verdict
    }
}

/// The rows of a section's table that the selector means and that have lines in `range`.
pub(crate) fn choose_rows(table: &SectionTable, selector: &Selector, origin: Origin<'_>, range: TimeRange) -> Vec<ChosenBatch> {
    let mut judge = Judge { selector, tenant: origin.tenant, judged: BTreeMap::new() };
    let mut batches = Vec::new();
    for (at, batch) in table.batches.iter().enumerate() {
        let touched = batch.rows.iter().enumerate().filter(|(_, row)| row.lines > 0 && range.touches(row.min, row.max));
        let chosen = touched.filter_map(|(at, row)| {
            let labels = judge.meant(&row.labels)?;
            let struck = origin.left(&row.labels, (row.min, row.max))?;
            Some(ChosenRow { at, labels, lines: row.lines, bytes: row.bytes, min: row.min, max: row.max, struck })
        });
        let rows: Vec<_> = chosen.collect();
        if !rows.is_empty() {
            batches.push(ChosenBatch { at, rows });
        }
    }
    batches
}

/// The runs of a segment that the selector means and that have lines in `range`, block by block.
pub(crate) fn choose_runs(footer: &Footer, selector: &Selector, origin: Origin<'_>, range: TimeRange) -> Vec<ChosenBatch> {
    let mut blocks: BTreeMap<usize, Vec<ChosenRow>> = BTreeMap::new();
    for stream in footer.streams.iter().filter(|stream| range.touches(stream.min, stream.max)) {
        let labels = named(&stream.labels, origin.tenant);
        if !selector.matches(&labels) {
            continue;
        }
        for run in stream.runs.iter().filter(|run| run.lines > 0 && range.touches(run.min, run.max)) {
            let (at, lines) = (run.at as usize, u64::from(run.lines));
            let Some(struck) = origin.left(&stream.labels, (run.min, run.max)) else { continue };
            let row = ChosenRow { at, labels: Arc::clone(&labels), lines, bytes: run.bytes, min: run.min, max: run.max, struck };
            blocks.entry(run.block as usize).or_default().push(row);
        }
    }
    let in_place = |(at, mut rows): (usize, Vec<ChosenRow>)| {
        rows.sort_by_key(|row| row.at);
        ChosenBatch { at, rows }
    };
    blocks.into_iter().map(in_place).collect()
}

fn named(labels: &Arc<Labels>, tenant: Option<&str>) -> Arc<Labels> {
    let Some(tenant) = tenant else { return Arc::clone(labels) };
    let mut named = Labels::clone(labels);
    if let Some(own) = labels.value(TENANT_LABEL) {
        named.set(TENANT_LABEL_CLASH, own);
    }
    named.set(TENANT_LABEL, tenant);
    Arc::new(named)
}

/// Sum of the lengths of the lines of all chosen rows, in bytes.
pub(crate) fn bytes_of(chosen: &[ChosenBatch]) -> u64 {
    chosen.iter().flat_map(|batch| &batch.rows).map(|row| row.bytes).sum()
}

/// Earliest and latest line of all chosen rows; `None` when there are none.
pub(crate) fn bounds_of(chosen: &[ChosenBatch]) -> Option<(Timestamp, Timestamp)> {
    let rows = || chosen.iter().flat_map(|batch| &batch.rows);
    Some((rows().map(|row| row.min).min()?, rows().map(|row| row.max).max()?))
}
