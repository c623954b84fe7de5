//! One source's lines through a program.
//!
//! Parts: [`Run`] (state and the way in: `line`, `tick`, `finish`; the way across a crash: `held`, `restore`),
//! [`Emitted`] (what comes out), `drive` (the one loop over steps). Promises: pure (time comes in as `now`), one
//! `Arc<Labels>` per label set as long as the table of sets lives, at most `LINE_BYTES_MAX` bytes held and per line.
//! Must not do: share state between sources.

use std::sync::Arc;

use proto_model::{Labels, Timestamp};

use crate::counters::Counters;
use crate::cut;
use crate::draft::{Draft, Line, Parts};
use crate::fault::PipelineFault;
use crate::held;
use crate::inspect::Snapshot;
use crate::label_sets::LabelSets;
use crate::limits::{CUT_MARK_BYTES_MAX, LINE_BYTES_MAX};
use crate::program::{HoldingKind, Program};
use crate::stage::{Flow, Op};
use crate::stages::pipeline;
use crate::state::{Ready, State, Values};

/// One record that came out of a pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Emitted<'a> {
    /// Its stream. Records of one stream carry the same pointer as long as the source has no more than
    /// `limits::LABEL_SETS_MAX` label sets; after that a stream may get a new one.
    pub labels: &'a Arc<Labels>,
    /// Its time.
    pub time: Timestamp,
    /// The line, at most `limits::LINE_BYTES_MAX` bytes.
    pub line: &'a [u8],
    /// Structured metadata, names unique.
    pub metadata: &'a [(String, String)],
}

/// Where records go.
type Sink<'o> = &'o mut dyn FnMut(Emitted<'_>);

/// The state of one source in a program.
pub struct Run {
    program: Arc<Program>,
    pub(crate) state: State,
    parts: Parts,
}

impl Run {
    /// The state of a source that has not been read yet, whose lines begin with `labels`.
    #[must_use]
    pub fn new(program: Arc<Program>, labels: Arc<Labels>) -> Self {
        let state = State::new(&program, labels);
        Self { program, state, parts: Parts::default() }
    }

    /// Takes up what [`Self::held`] gave, in the same or another program. Records that no stage of this program
    /// would hold are sent, with their labels and times, at the next call that sends.
    ///
    /// # Errors
    /// When `bytes` are of a newer version or damaged.
    pub fn restore(program: Arc<Program>, labels: Arc<Labels>, bytes: &[u8]) -> Result<Self, PipelineFault> {
        let mut run = Self::new(program, labels);
        held::read(&run.program, &mut run.state, bytes)?;
        run.state.held = run.state.held_bytes();
        Ok(run)
    }

    /// Everything the run needs after a crash to go on as if there had been none, `None` when that is nothing.
    /// It belongs into the WAL record that holds the position of the last line given.
    #[must_use]
    pub fn held(&self) -> Option<Vec<u8>> {
        held::write(&self.program, &self.state)
    }

    /// Whether lines are held back: then the source's position must not pass them but with [`Self::held`].
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.state.held > 0 || !self.state.ready.is_empty()
    }

    /// Bytes of the lines that are held back.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.state.held
    }

    /// One line without its newline, read at `now`.
    pub fn line(&mut self, line: &[u8], now: Timestamp, out: &mut dyn FnMut(Emitted<'_>)) {
        self.entry(line, now, &[], now, out);
    }

    /// One line that its sender gave a time and structured metadata (names unique), taken at `now`.
    pub fn entry(&mut self, line: &[u8], time: Timestamp, metadata: &[(String, String)], now: Timestamp, out: &mut dyn FnMut(Emitted<'_>)) {
        let Self { program, state, parts } = self;
        state.now = now;
        state.sets.trim();
        if !state.ready.is_empty() {
            release(program, state, out);
        }
        parts.reset(program.slots.len());
        parts.metadata.extend_from_slice(metadata);
        let mut draft = Draft { time, labels: LabelSets::BASE, line: Line::Given(line), parts };
        drive(program, state, 0, &mut draft, out);
    }

    /// Sends what waited too long: blocks past `max_wait_time`, partial lines past `limits::PARTIAL_WAIT_MAX`.
    pub fn tick(&mut self, now: Timestamp, out: &mut dyn FnMut(Emitted<'_>)) {
        let Self { program, state, .. } = self;
        state.now = now;
        release(program, state, out);
        for holding in &program.holding {
            match holding.kind {
                HoldingKind::Partials => {
                    while let Some(partial) = state.partials[holding.index].expired(now) {
                        state.release_partial(holding.op + 1, partial);
                    }
                }
                HoldingKind::Blocks => {
                    let State { blocks, held, ready, .. } = state;
                    blocks[holding.index].release_expired(now, program.wait(holding.op), held, ready);
                }
            }
            release(program, state, out);
        }
    }

    /// The wall clock was set forward by `by_ns` (back, if negative): what is held waits as long as it would have.
    pub fn clock_stepped(&mut self, by_ns: i64) {
        self.state.each_wait(|since| *since = Timestamp(since.nanos().saturating_add(by_ns)));
    }

    /// Nothing held was read after `now`: a clock that was set back while nobody ran holds no line longer than it may be held.
    pub fn read_by(&mut self, now: Timestamp) {
        self.state.each_wait(|since| *since = now.min(*since));
    }

    /// When [`Self::tick`] has something to send, if nothing comes before; `Timestamp::MIN` means at once.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        if !self.state.ready.is_empty() {
            return Some(Timestamp::MIN);
        }
        let deadlines = self.program.holding.iter().filter_map(|holding| match holding.kind {
            HoldingKind::Partials => self.state.partials[holding.index].held.iter().map(crate::partials::Partial::deadline).min(),
            HoldingKind::Blocks => self.state.blocks[holding.index].deadline(self.program.wait(holding.op)),
        });
        deadlines.min()
    }

    /// Its program.
    #[must_use]
    pub const fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Until when a `limit` stage of the program wants no more lines: the source is to be left unread so long.
    #[must_use]
    pub fn wait_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.program.wait_until(now)
    }

    /// The source has ended: sends everything that is held and forgets the rest.
    pub fn finish(&mut self, now: Timestamp, out: &mut dyn FnMut(Emitted<'_>)) {
        let Self { program, state, .. } = self;
        state.now = now;
        release(program, state, out);
        for holding in &program.holding {
            match holding.kind {
                HoldingKind::Partials => {
                    while let Some(partial) = state.partials[holding.index].oldest() {
                        state.release_partial(holding.op + 1, partial);
                    }
                }
                HoldingKind::Blocks => {
                    let State { blocks, held, ready, .. } = state;
                    blocks[holding.index].release_all(held, ready);
                }
            }
            release(program, state, out);
        }
        for good_times in &mut state.good_times {
            good_times.times.clear();
        }
    }

    /// What was counted since the last call.
    pub fn take_counters(&mut self) -> Counters {
        self.state.tally.take(&self.program.reasons)
    }
}

/// Takes a line through the steps from `at` on.
fn drive(program: &Program, state: &mut State, mut at: usize, draft: &mut Draft<'_>, out: Sink<'_>) {
    while let Some(op) = program.ops.get(at) {
        let before = program.inspector.as_ref().map(|_| Snapshot::of(&program.slots, state, draft));
        let flow = op.apply(&program.slots, state, draft);
        if let (Some(inspector), Some(before), false) = (&program.inspector, before, matches!(op, Op::Begin)) {
            let after = (!matches!(flow, Flow::End)).then(|| Snapshot::of(&program.slots, state, draft));
            inspector.tell(op.name(), &before, after.as_ref());
        }
        if !state.ready.is_empty() {
            release(program, state, out);
        }
        at = match flow {
            Flow::Next => at + 1,
            Flow::Jump(to) => to,
            Flow::End => return,
        };
        debug_assert!(at <= program.ops.len(), "a step leads behind the last one");
    }
    emit(state, draft, out);
}

/// Sends the records that stages let go, each through the steps behind its stage. Steps only lead forward, so
/// this nests no deeper than there are stages.
fn release(program: &Program, state: &mut State, out: Sink<'_>) {
    for ready in std::mem::take(&mut state.ready) {
        let Ready { next, time, labels, text, metadata, values } = ready;
        let mut parts = Parts { own: text, metadata, ..Parts::default() };
        parts.slots.reset(program.slots.len());
        let mut draft = Draft { time, labels: state.sets.intern(&labels), line: Line::Own, parts: &mut parts };
        match values {
            Values::Kept(slots) => draft.parts.slots = slots,
            Values::Stream(stream) => {
                pipeline::begin(&program.slots, state, &mut draft);
                fill_unfinished(program, next, &stream, draft.parts);
            }
        }
        drive(program, state, next, &mut draft, out);
    }
}

/// The values that the stage before `next` gives a line it sends without its end.
fn fill_unfinished(program: &Program, next: usize, stream: &[u8], parts: &mut Parts) {
    let Parts { own, slots, .. } = parts;
    match next.checked_sub(1).and_then(|at| program.ops.get(at)) {
        Some(Op::Cri(stage)) => stage.fill_unfinished(slots, stream, own),
        Some(Op::Docker(stage)) => stage.fill_unfinished(slots, stream, own),
        _ => {}
    }
}

fn emit(state: &mut State, draft: &mut Draft<'_>, out: Sink<'_>) {
    if draft.text().len() > LINE_BYTES_MAX {
        let total = draft.text().len() as u64;
        let mut kept = draft.text()[..LINE_BYTES_MAX - CUT_MARK_BYTES_MAX].to_vec();
        cut::mark(&mut kept, total);
        draft.replace(kept);
        state.tally.truncated += 1;
    }
    out(Emitted { labels: state.sets.labels(draft.labels), time: draft.time, line: draft.text(), metadata: &draft.parts.metadata });
}

#[cfg(test)]
mod tests;
