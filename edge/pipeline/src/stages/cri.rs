//! `cri`: lines as Kubernetes' container runtimes write them, `TIME stdout|stderr TAGS CONTENT`.
//!
//! Gives the record's time, the label `stream` and the content as line. Content tagged `P` is held and joined
//! with what follows on the same stream of the same source up to the piece tagged `F`, whose time counts.
//! A line of any other form passes as it is, with the structured metadata `parse_error="cri"`.
//! Parts: [`Cri`], [`Piece`] (one line taken apart). Promises: a whole line costs no allocation, no copy and
//! no regular expression. Limits: `PARTIAL_STREAMS_MAX`, `PARTIAL_WAIT_MAX`, `LINE_BYTES_MAX`.
//! Must not do: join pieces of different sources; Promtail, which joins by label set, mixes them.

use std::sync::Arc;

use memchr::memchr;
use proto_extract::gotime::RecentMinute;
use proto_model::Timestamp;

use crate::compile::Compiler;
use crate::draft::{Draft, Line, Parts, SlotId, Slots};
use crate::label_sets::Edge;
use crate::limits::{CUT_MARK_BYTES_MAX, LINE_BYTES_MAX, PARTIAL_LINES_DEFAULT, PARTIAL_STREAMS_MAX};
use crate::partials::{self, Bounds};
use crate::settings::{CriSettings, place};
use crate::stage::Flow;
use crate::state::{Reader, State};
use crate::units;

/// The stage.
#[derive(Debug)]
pub(crate) struct Cri {
    stream_edge: Edge,
    bounds: Bounds,
    values: Values,
    /// Which of the run's partials.
    index: usize,
}

/// The extracted values that some stage reads.
#[derive(Debug)]
struct Values {
    time: Option<SlotId>,
    stream: Option<SlotId>,
    flags: Option<SlotId>,
    content: Option<SlotId>,
}

/// A CRI line, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Piece<'a> {
    time_text: &'a [u8],
    time: Timestamp,
    stream: &'a [u8],
    tags: &'a [u8],
    is_last: bool,
    content: &'a [u8],
}

impl Cri {
    pub(crate) fn compile(compiler: &mut Compiler<'_>, settings: &CriSettings) -> Option<Self> {
        let mut longest = LINE_BYTES_MAX - CUT_MARK_BYTES_MAX;
        let mut is_right = true;
        if let Some(text) = &settings.max_partial_line_size {
            match units::byte_size(&text.value) {
                Some(0) => {}
                Some(bytes) if settings.max_partial_line_size_truncate => longest = longest.min(usize::try_from(bytes).unwrap_or(usize::MAX)),
                Some(_) => {}
                None => {
                    compiler.mistake(
                        place(text),
                        format!("cri: max_partial_line_size {:?} is not a size", text.value),
                        "write bytes or a unit, for example 256KB",
                    );
                    is_right = false;
                }
            }
        }
        // 0 is Promtail's word for its default
        let lines_max = settings.max_partial_lines.as_ref().map_or(0, |n| n.value);
        let lines_max = if lines_max == 0 { PARTIAL_LINES_DEFAULT } else { lines_max };
        is_right.then(|| Self {
            stream_edge: compiler.edge(),
            bounds: Bounds { longest, streams_max: usize::try_from(lines_max).unwrap_or(usize::MAX).min(PARTIAL_STREAMS_MAX) },
            values: Values { time: compiler.slot("time"), stream: compiler.slot("stream"), flags: compiler.slot("flags"), content: compiler.slot("content") },
            index: compiler.partial_stage(),
        })
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let Parts { own, slots, .. } = &mut *draft.parts;
        let text = match draft.line {
            Line::Given(text) => text,
            Line::Own => own,
        };
        let Some(piece) = take_apart(text, &mut state.minute) else {
            state.tally.error(Reader::Cri);
            draft.set_metadata("parse_error", "cri");
            return Flow::Next;
        };
        let labels = state.sets.with(draft.labels, self.stream_edge, "stream", piece.stream);
        if !piece.is_last {
            let labels = Arc::clone(state.sets.labels(labels));
            state.hold(self.index, &self.bounds, &partials::Piece { stream: piece.stream, text: piece.content, time: piece.time, labels: &labels });
            return Flow::End;
        }
        self.values.fill(&piece, slots);
        draft.time = piece.time;
        draft.labels = labels;
        let header = text.len() - piece.content.len();
        match state.complete(self.index, &self.bounds, piece.stream, piece.content) {
            None => draft.skip(header),
            Some(joined) => {
                if let Some(id) = self.values.content {
                    draft.parts.slots.set(id, &joined);
                }
                draft.replace(joined);
            }
        }
        Flow::Next
    }

    /// The values of a line that is sent without its last piece.
    pub(crate) fn fill_unfinished(&self, slots: &mut Slots, stream: &[u8], content: &[u8]) {
        let values = [(self.values.stream, stream), (self.values.flags, b"P"), (self.values.content, content)];
        for (id, text) in values {
            if let Some(id) = id {
                slots.set(id, text);
            }
        }
    }
}

impl Values {
    fn fill(&self, piece: &Piece<'_>, slots: &mut Slots) {
        for (id, text) in [(self.time, piece.time_text), (self.stream, piece.stream), (self.flags, piece.tags), (self.content, piece.content)] {
            if let Some(id) = id {
                slots.set(id, text);
            }
        }
    }
}

/// `TIME SP (stdout|stderr) SP TAGS SP CONTENT`; tags are separated by `:`, the first is `P` or `F`.
fn take_apart<'l>(line: &'l [u8], minute: &mut RecentMinute) -> Option<Piece<'l>> {
    let (time_text, rest) = line.split_at_checked(memchr(b' ', line)?)?;
    let rest = &rest[1..];
    let (stream, rest) = match rest {
        [b's', b't', b'd', b'o', b'u', b't', b' ', rest @ ..] | [b's', b't', b'd', b'e', b'r', b'r', b' ', rest @ ..] => {
            (&line[time_text.len() + 1..][..6], rest)
        }
        _ => return None,
    };
    let (tags, rest) = rest.split_at_checked(memchr(b' ', rest)?)?;
    let is_last = match tags {
        [b'F'] | [b'F', b':', ..] => true,
        [b'P'] | [b'P', b':', ..] => false,
        _ => return None,
    };
    let time = minute.read(time_text)?;
    Some(Piece { time_text, time, stream, tags, is_last, content: &rest[1..] })
}

#[cfg(test)]
mod tests;
