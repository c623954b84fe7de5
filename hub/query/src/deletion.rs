//! Deletes, compiled: which lines of a stream count as gone (lane rule 17).
//!
//! Parts: [`Deletion`] (one delete); [`Fate`] (what the deletes of a piece make of a stream), [`Struck`] and [`LineJudge`]
//! (line by line, where they take some). Queries leave such lines out and upkeep rewrites segments by the same judgement.
//! Promises: pure; a line that a stage of a delete cannot read (`__error__`) is not meant by it; without deletes nothing
//! is done. Must not do: know which segments and sections a delete is about (manifests say).

use std::sync::Arc;

use hub_logql::{Expr, LogExpr, LogqlFault, Stage};
use hub_store::Delete;
use proto_model::{Labels, TimeRange, Timestamp};
use proto_wire::batch::Row;

use crate::fault::QueryFault;
use crate::plan::Selector;
use crate::record::LineLabels;
use crate::stages::Pipeline;
use crate::wanted::Wanted;

/// One delete.
#[derive(Debug)]
pub struct Deletion {
    number: u64,
    range: TimeRange,
    selector: Selector,
    pipeline: Pipeline,
    /// Whether a stage looks at labels or metadata.
    sees_labels: bool,
}

/// What the deletes of a segment or section make of one stream's lines in a time.
#[derive(Debug, Clone)]
pub enum Fate {
    /// None is about it.
    Kept,
    /// The delete of this number takes all of it.
    Gone(u64),
    /// Some of its lines may be meant.
    Judged(Arc<Struck>),
}

/// The deletes that may take lines of one stream.
#[derive(Debug)]
pub struct Struck {
    labels: Arc<Labels>,
    deletions: Vec<Arc<Deletion>>,
}

/// Judges the lines of one stream, one after the other.
#[derive(Debug)]
pub struct LineJudge {
    struck: Arc<Struck>,
    labels: LineLabels,
}

impl Deletion {
    /// Compiles a delete.
    ///
    /// # Errors
    /// As [`Self::check`]: a hub took it in that knows more than this one.
    pub fn new(delete: &Delete) -> Result<Self, QueryFault> {
        let LogExpr { matchers, stages } = read(&delete.query)?;
        let sees_labels = stages.iter().any(|stage| !matches!(stage, Stage::LineFilter(_)));
        let pipeline = Pipeline::new(&stages, Wanted::All)?;
        Ok(Self { number: delete.number, range: delete.range, selector: Selector::new(&matchers)?, pipeline, sees_labels })
    }

    /// Whether `query` can be that of a delete: a selector, then line filters, label filters and the parsers they need.
    ///
    /// # Errors
    /// [`QueryFault::Parse`] and [`QueryFault::Request`], in words for whoever wrote it.
    pub fn check(query: &str) -> Result<(), QueryFault> {
        let LogExpr { matchers, stages } = read(query)?;
        Selector::new(&matchers)?;
        Pipeline::new(&stages, Wanted::All).map(drop)
    }

    /// The delete's name.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    fn takes(&self, row: &Row<'_>, labels: &mut LineLabels) -> bool {
        if !self.range.contains(row.time) {
            return false;
        }
        if self.pipeline.is_empty() {
            return true;
        }
        if self.sees_labels {
            labels.begin(row);
        }
        self.pipeline.run(row.time, row.line, labels).is_some() && !(self.sees_labels && labels.error().is_some())
    }
}

impl Fate {
    /// Of a stream with these labels whose lines lie between `min` and `max`.
    #[must_use]
    pub fn of(deletions: &[Arc<Deletion>], labels: &Arc<Labels>, (min, max): (Timestamp, Timestamp)) -> Self {
        if deletions.is_empty() {
            return Self::Kept;
        }
        let about = deletions.iter().filter(|deletion| deletion.range.touches(min, max) && deletion.selector.matches(labels));
        let about: Vec<Arc<Deletion>> = about.cloned().collect();
        if let Some(whole) = about.iter().find(|deletion| deletion.pipeline.is_empty() && deletion.range.contains(min) && deletion.range.contains(max)) {
            return Self::Gone(whole.number);
        }
        if about.is_empty() { Self::Kept } else { Self::Judged(Arc::new(Struck { labels: Arc::clone(labels), deletions: about })) }
    }
}

impl Struck {
    /// Begins with the stream's lines.
    #[must_use]
    pub fn judge(self: &Arc<Self>) -> LineJudge {
        LineJudge { struck: Arc::clone(self), labels: LineLabels::new(Arc::clone(&self.labels)) }
    }

    /// Whether lines must be seen to tell which are meant.
    pub(crate) fn reads_lines(&self) -> bool {
        self.deletions.iter().any(|deletion| deletion.pipeline.reads_lines())
    }
}

impl LineJudge {
    /// The number of the first delete that takes the line; `None` when it stays.
    pub fn taken_by(&mut self, row: &Row<'_>) -> Option<u64> {
        let Self { struck, labels } = self;
        struck.deletions.iter().find(|deletion| deletion.takes(row, labels)).map(|deletion| deletion.number)
    }
}

fn read(query: &str) -> Result<LogExpr, QueryFault> {
    let expr = hub_logql::parse(query)?;
    hub_logql::validate(&expr)?;
    let Expr::Log(expr) = expr else { return Err(QueryFault::Request("a delete takes a log selector with filters, not a metric query".to_owned())) };
    match expr.stages.iter().find(|stage| changes_lines(stage)) {
        None => Ok(expr),
        Some(stage) => Err(LogqlFault::stage(stage, "a delete takes filters and parsers only: leave it out".to_owned()).into()),
    }
}

/// Whether a stage changes what is answered rather than which lines are.
const fn changes_lines(stage: &Stage) -> bool {
    match stage {
        Stage::LineFormat(_) | Stage::LabelFormat(_) | Stage::Drop(_) | Stage::Keep(_) | Stage::Decolorize => true,
        Stage::LineFilter(_) | Stage::Json { .. } | Stage::Logfmt { .. } | Stage::Pattern(_) | Stage::Regexp(_) | Stage::Unpack => false,
        Stage::LabelFilter(_) => false,
    }
}

#[cfg(test)]
mod tests;
