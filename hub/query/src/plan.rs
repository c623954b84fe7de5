//! What a query reads: which sections, which streams of them, and what needs no reading at all.
//!
//! Parts: `Selector` (matchers, compiled), `Piece` (a section and whose it is), `choose` (the rows
//! of a section's table that a query is about). Promises: pure; labels of several tenants get
//! `__tenant_id__`. Must not do: fetch.

use std::collections::BTreeMap;
use std::sync::Arc;

use hub_logql::Matcher;
use hub_store::{SectionRef, SectionTable, TableRow};
use proto_extract::selector::CompiledMatcher;
use proto_model::{Labels, TimeRange};

use crate::fault::QueryFault;

/// The label that names the tenant in answers over several.
pub const TENANT_LABEL: &str = "__tenant_id__";
/// What a stream's own label of that name becomes in such answers.
const TENANT_LABEL_CLASH: &str = "original___tenant_id__";

/// The matchers of a stream selector; none: every stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector(Vec<CompiledMatcher>);

/// A section that may hold lines of the query.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Which of the query's grants reads it.
    pub(crate) grant: usize,
    /// The tenant to be named in labels, when the query has several.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) section: SectionRef,
}

/// The rows of one batch that a query is about.
#[derive(Debug, Clone)]
pub(crate) struct ChosenBatch {
    /// Its place in the section.
    pub(crate) at: usize,
    pub(crate) rows: Vec<ChosenRow>,
}

/// One stream of a batch.
#[derive(Debug, Clone)]
pub(crate) struct ChosenRow {
    /// Its place in the batch.
    pub(crate) at: usize,
    /// Its labels, `__tenant_id__` included where there are several tenants.
    pub(crate) labels: Arc<Labels>,
    pub(crate) row: TableRow,
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

/// The rows of `table` that the selector means and that have lines in `range`.
pub(crate) fn choose(piece: &Piece, table: &SectionTable, selector: &Selector, range: TimeRange) -> Vec<ChosenBatch> {
    // A label set stands for many rows: it is judged once.
    let mut judged: BTreeMap<Arc<Labels>, Option<Arc<Labels>>> = BTreeMap::new();
    let mut batches = Vec::new();
    for (at, batch) in table.batches.iter().enumerate() {
        let mut rows = Vec::new();
        for (row_at, row) in batch.rows.iter().enumerate() {
            if row.lines == 0 || !range.touches(row.min, row.max) {
                continue;
            }
            let verdict = match judged.get(&row.labels) {
                Some(verdict) => verdict.clone(),
                None => {
                    let named = named(&row.labels, piece.tenant.as_deref());
                    let verdict = selector.matches(&named).then_some(named);
                    judged.insert(Arc::clone(&row.labels), verdict.clone());
                    verdict
                }
            };
            rows.extend(verdict.map(|labels| ChosenRow { at: row_at, labels, row: row.clone() }));
        }
        if !rows.is_empty() {
            batches.push(ChosenBatch { at, rows });
        }
    }
    batches
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
    chosen.iter().flat_map(|batch| &batch.rows).map(|chosen| chosen.row.bytes).sum()
}
