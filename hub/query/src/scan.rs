//! One part through a pipeline: bytes in, kept lines into a sink; runs on worker threads.
//!
//! Parts: [`Scan`] (what to read, of a section or a block), [`Sink`] (entries, samples or patterns), [`Scan::run`]. A text that
//! every kept line must hold is looked for in all lines of a stream at once, before any line is. Promises:
//! pure but for the budget; stops soon after the query was given up. Must not do: fetch or await.

use std::ops::Range;
use std::sync::Arc;

use hub_segment::{Block, Outline};
use proto_model::{TimeRange, Timestamp};
use proto_wire::BatchView;
use proto_wire::batch::{Payload, Row};

use crate::answer::{AnsweredEntry, Stats};
use crate::budget::Budget;
use crate::deletion::{LineJudge, Struck};
use crate::fault::QueryFault;
use crate::limits::ROWS_BETWEEN_LOOKS;
use crate::merge::{Found, Order, Top};
use crate::patterns::PatternSink;
use crate::plan::ChosenRow;
use crate::range::Windows;
use crate::record::LineLabels;
use crate::request::Direction;
use crate::source::{Lines, Needs, Part};
use crate::stages::Pipeline;
use crate::stages::required::{Required, RunSearch};

/// The metadata that holds a line's level.
pub(crate) const DETECTED_LEVEL: &str = "detected_level";

/// What to read, and how.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) part: Part,
    pub(crate) lines: Lines,
    pub(crate) range: TimeRange,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) budget: Arc<Budget>,
}

/// Where kept lines go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// A log query.
    Entries(Top),
    /// A range expression.
    Samples(Windows),
    /// A question for patterns.
    Patterns(PatternSink),
}

impl Sink {
    /// What it must see of the rows of `part`.
    pub(crate) fn needs(&self, part: &Part) -> Needs {
        match self {
            Self::Entries(_) | Self::Patterns(_) => Needs::Lines,
            Self::Samples(windows) => windows.needs(part),
        }
    }

    /// From which end entries are wanted; `None` where all lines count.
    fn direction(&self) -> Option<Direction> {
        match self {
            Self::Entries(top) => Some(top.direction()),
            Self::Samples(_) | Self::Patterns(_) => None,
        }
    }

    fn admits(&self, time: Timestamp, order: Order) -> bool {
        match self {
            Self::Entries(top) => top.admits(time, order),
            Self::Samples(windows) => windows.admits(time),
            Self::Patterns(_) => true,
        }
    }

    fn take(&mut self, (time, order): (Timestamp, Order), line: &[u8], labels: &mut LineLabels, budget: &Budget) -> Result<(), QueryFault> {
        match self {
            Self::Entries(top) => {
                let line = String::from_utf8_lossy(line).into_owned();
                let entry = AnsweredEntry { time, line, metadata: labels.metadata_pairs(), parsed: labels.parsed_pairs() };
                let found = Found { order, labels: labels.stream(), entry };
                budget.hold(found.cost())?;
                budget.release(top.take(found));
                Ok(())
            }
            Self::Samples(windows) => windows.take(time, line.len(), labels),
            Self::Patterns(patterns) => {
                patterns.take(time, line, labels);
                Ok(())
            }
        }
    }
}

impl Scan {
    /// Reads the chosen rows into `sink` and says what it took.
    ///
    /// # Errors
    /// [`QueryFault::Damaged`] when a batch cannot be read, [`QueryFault::Cancelled`], or the sink's.
    pub(crate) fn run(&self, sink: &mut Sink) -> Result<Stats, QueryFault> {
        let mut stats = Stats::default();
        match &self.lines {
            Lines::Section(section) => {
                stats.sections = 1;
                for batch in &self.part.chosen {
                    self.budget.go_on()?;
                    let view = BatchView::parse(section.batch(batch.at)).map_err(|fault| self.damaged(&fault))?;
                    let payload = view.payload().map_err(|fault| self.damaged(&fault))?;
                    for row in &batch.rows {
                        self.stream_of_batch((batch.at, row), &payload, sink, &mut stats)?;
                    }
                }
            }
            Lines::Block(block) => {
                stats.blocks = 1;
                for (at, run) in self.rows() {
                    self.budget.go_on()?;
                    self.run_of_block((at, run), block, sink, &mut stats)?;
                }
            }
            Lines::Outline(outline, needs) => {
                stats.blocks = 1;
                for (at, run) in self.rows() {
                    self.budget.go_on()?;
                    match needs {
                        Needs::Counts => self.run_of_times(run, outline, sink)?,
                        Needs::Rows | Needs::Lines => self.run_of_outline((at, run), outline, sink, &mut stats)?,
                    }
                    stats.lines_counted += run.lines;
                }
            }
        }
        Ok(stats)
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &ChosenRow)> {
        self.part.chosen.iter().flat_map(|batch| batch.rows.iter().map(|row| (batch.at, row)))
    }

    /// The rows of a run of which only times and lengths are needed.
    fn run_of_times(&self, run: &ChosenRow, outline: &Outline, sink: &mut Sink) -> Result<(), QueryFault> {
        let (times, lengths) = (outline.times(run.at), outline.lengths(run.at));
        if times.len() as u64 != run.lines || lengths.len() != times.len() {
            return Err(self.damaged(&"a run has not as many rows as its footer says"));
        }
        match sink {
            Sink::Samples(windows) => windows.count_times(run, times, lengths),
            Sink::Entries(_) | Sink::Patterns(_) => Ok(()),
        }
    }

    /// The rows of a run without their lines.
    fn run_of_outline(&self, (at, chosen): (usize, &ChosenRow), outline: &Outline, sink: &mut Sink, stats: &mut Stats) -> Result<(), QueryFault> {
        let mut judging = Judging::new(self, at, chosen, sink, stats);
        for (index, length) in outline.lengths(chosen.at).iter().enumerate() {
            let row = outline.row(chosen.at, index).ok_or_else(|| self.damaged(&"a run has not as many rows as its lengths"))?;
            if self.range.contains(row.time) {
                judging.judge_length(&row, *length as usize)?;
            }
        }
        Ok(())
    }

    fn damaged(&self, fault: &impl std::fmt::Display) -> QueryFault {
        QueryFault::Damaged { what: self.part.piece.name(), reason: fault.to_string() }
    }

    /// The texts of which one must stand in a line of the stream for it to stay, when they are known.
    fn required(&self, chosen: &ChosenRow) -> Option<&Required> {
        self.pipeline.required().iter().find(|required| required.applies(chosen))
    }

    /// The rows of a stream in a batch, which lie in the order of writing.
    fn stream_of_batch(&self, (batch, chosen): (usize, &ChosenRow), payload: &Payload, sink: &mut Sink, stats: &mut Stats) -> Result<(), QueryFault> {
        stats.lines += chosen.lines;
        stats.bytes += chosen.bytes;
        let required = self.required(chosen);
        let mut search = required.map(|required| (RunSearch::new(payload.text(chosen.at), required.finder()), required.sees_metadata()));
        let mut judging = Judging::new(self, batch, chosen, sink, stats);
        let mut next_start = 0;
        for row in payload.rows(chosen.at) {
            let over = search.as_ref().is_some_and(|(search, sees_metadata)| search.is_over() && !sees_metadata);
            if over {
                break;
            }
            let row = row.map_err(|fault| self.damaged(&fault))?;
            let start = next_start;
            next_start += row.line.len() + 1;
            if let Some((search, sees_metadata)) = &mut search
                && !search.stands_in(start, start + row.line.len())
                && !(*sees_metadata && row.has_metadata())
            {
                continue;
            }
            if self.range.contains(row.time) {
                judging.judge(&row)?;
            }
        }
        Ok(())
    }

    /// The rows of a run, which ascend by time: those in range only, and from the asked end on until no more is wanted.
    fn run_of_block(&self, (at, chosen): (usize, &ChosenRow), block: &Block, sink: &mut Sink, stats: &mut Stats) -> Result<(), QueryFault> {
        stats.lines += chosen.lines;
        stats.bytes += chosen.bytes;
        let (times, lengths) = (block.outline().times(chosen.at), block.outline().lengths(chosen.at));
        let from = times.partition_point(|time| *time < self.range.start.nanos());
        let to = times.partition_point(|time| *time < self.range.end.nanos()).max(from);
        let backward = sink.direction() == Some(Direction::Backward);
        let mut rows = match self.required(chosen) {
            None => (from..to).collect(),
            Some(required) => rows_with(required, (block, chosen.at), lengths, from..to),
        };
        if backward {
            rows.reverse();
        }
        let mut judging = Judging::new(self, at, chosen, sink, stats);
        for index in rows {
            let row = block.row(chosen.at, index).ok_or_else(|| self.damaged(&"a run has not as many rows as its times"))?;
            if !judging.judge(&row)? {
                break;
            }
        }
        Ok(())
    }
}

/// Those of the rows `among` of a run that may hold what is required, ascending; looked for in all lines at once.
fn rows_with(required: &Required, (block, run): (&Block, usize), lengths: &[u32], among: Range<usize>) -> Vec<usize> {
    let after = |lengths: &[u32]| lengths.iter().map(|length| *length as usize + 1).sum::<usize>();
    let start = after(&lengths[..among.start]);
    let end = start + after(&lengths[among.clone()]);
    let Some(text) = block.text(run).get(start..end) else { return Vec::new() };
    let sees_metadata = required.sees_metadata() && block.outline().has_metadata();
    let mut search = RunSearch::new(text, required.finder());
    let mut rows = Vec::new();
    let mut next_start = 0;
    for index in among {
        if search.is_over() && !sees_metadata {
            break;
        }
        let start = next_start;
        next_start += lengths[index] as usize + 1;
        if search.stands_in(start, next_start - 1) || (sees_metadata && block.row(run, index).is_some_and(|row| row.has_metadata())) {
            rows.push(index);
        }
    }
    rows
}

/// One stream's rows on their way into a sink.
struct Judging<'s> {
    scan: &'s Scan,
    first: Order,
    labels: LineLabels,
    /// What deletes take of it.
    struck: Option<LineJudge>,
    sink: &'s mut Sink,
    stats: &'s mut Stats,
    looks: u32,
}

impl<'s> Judging<'s> {
    fn new(scan: &'s Scan, batch: usize, chosen: &ChosenRow, sink: &'s mut Sink, stats: &'s mut Stats) -> Self {
        let piece = &scan.part.piece;
        let first = Order { place: piece.place(), tenant: piece.grant, batch, stream: chosen.at, index: 0 };
        let struck = chosen.struck.as_ref().map(Struck::judge);
        Self { scan, first, labels: LineLabels::new(Arc::clone(&chosen.labels)), struck, sink, stats, looks: 0 }
    }

    fn is_deleted(&mut self, row: &Row<'_>) -> bool {
        self.struck.as_mut().is_some_and(|judge| judge.taken_by(row).is_some())
    }

    /// Runs a row through the pipeline if the sink may take it. False when the sink takes neither it nor any that comes
    /// behind it in the asked direction.
    fn judge(&mut self, row: &Row<'_>) -> Result<bool, QueryFault> {
        self.look()?;
        let order = Order { index: row.index, ..self.first };
        if !self.sink.admits(row.time, order) {
            return Ok(self.sink.direction().is_none());
        }
        if self.is_deleted(row) {
            return Ok(true);
        }
        self.stats.metadata_bytes += self.labels.begin(row);
        if let Some(line) = self.scan.pipeline.run(row.time, row.line, &mut self.labels) {
            self.stats.lines_kept += 1;
            self.sink.take((row.time, order), &line, &mut self.labels, &self.scan.budget)?;
        }
        Ok(true)
    }

    /// The same for a row whose line no step looks at, and which is not there.
    fn judge_length(&mut self, row: &Row<'_>, length: usize) -> Result<(), QueryFault> {
        self.look()?;
        let is_deleted = self.is_deleted(row);
        let Sink::Samples(windows) = &mut *self.sink else { return Ok(()) };
        if !is_deleted && windows.admits(row.time) {
            self.stats.metadata_bytes += self.labels.begin(row);
            if self.scan.pipeline.run(row.time, row.line, &mut self.labels).is_some() {
                windows.take(row.time, length, &mut self.labels)?;
            }
        }
        Ok(())
    }

    /// Now and then looks whether the query was given up.
    fn look(&mut self) -> Result<(), QueryFault> {
        self.looks += 1;
        if self.looks.is_multiple_of(ROWS_BETWEEN_LOOKS) { self.scan.budget.go_on() } else { Ok(()) }
    }
}
