//! `docker`: lines as Docker's json-file driver writes them, `{"log":"…\n","stream":"stdout","time":"…"}`.
//!
//! Gives the record's time, the label `stream` and the log text without its newline as line. Docker cuts long
//! lines into pieces of 16 KiB, the newline only in the last; unlike Promtail the pieces are joined here, per
//! stream of a source. A line that is no such object, or has no usable time, passes as it is with the
//! structured metadata `parse_error="docker"`.
//! Limits: as `cri`. Must not do: wait for the rest of a line shorter than a full piece; it may never come.

use std::borrow::Cow;
use std::sync::Arc;

use proto_extract::gotime::RecentMinute;
use proto_model::Timestamp;
use serde::Deserialize;

use crate::compile::Compiler;
use crate::draft::{Draft, Line, Parts, SlotId, Slots};
use crate::label_sets::Edge;
use crate::limits::{CUT_MARK_BYTES_MAX, DOCKER_PIECE_BYTES, LINE_BYTES_MAX, PARTIAL_STREAMS_MAX, STREAM_NAME_BYTES_MAX};
use crate::partials::{Bounds, Piece};
use crate::stage::Flow;
use crate::state::{Reader, State};

const BOUNDS: Bounds = Bounds { longest: LINE_BYTES_MAX - CUT_MARK_BYTES_MAX, streams_max: PARTIAL_STREAMS_MAX };

/// The stage.
#[derive(Debug)]
pub(crate) struct Docker {
    stream_edge: Edge,
    output: Option<SlotId>,
    stream: Option<SlotId>,
    timestamp: Option<SlotId>,
    /// Which of the run's partials.
    index: usize,
}

/// What Docker writes; other fields (`attrs`) are left alone.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl Docker {
    pub(crate) fn compile(compiler: &mut Compiler<'_>) -> Self {
        Self {
            stream_edge: compiler.edge(),
            output: compiler.slot("output"),
            stream: compiler.slot("stream"),
            timestamp: compiler.slot("timestamp"),
            index: compiler.partial_stage(),
        }
    }

    pub(crate) fn apply(&self, state: &mut State, draft: &mut Draft<'_>) -> Flow {
        let Parts { own, slots, .. } = &mut *draft.parts;
        let text = match draft.line {
            Line::Given(text) => text,
            Line::Own => own,
        };
        let Some((entry, time)) = take_apart(text, &mut state.minute) else {
            state.tally.error(Reader::Docker);
            draft.set_metadata("parse_error", "docker");
            return Flow::Next;
        };
        let mut labels = draft.labels;
        let (log, stream) = (entry.log.as_bytes(), entry.stream.as_bytes());
        if !stream.is_empty() {
            labels = state.sets.with(labels, self.stream_edge, "stream", stream);
        }
        if !log.ends_with(b"\n") && log.len() >= DOCKER_PIECE_BYTES {
            let labels = Arc::clone(state.sets.labels(labels));
            state.hold(self.index, &BOUNDS, &Piece { stream, text: log, time, labels: &labels });
            return Flow::End;
        }
        let log = log.strip_suffix(b"\n").unwrap_or(log);
        let line = state.complete(self.index, &BOUNDS, stream, log).unwrap_or_else(|| log.to_vec());
        for (id, text) in [(self.output, line.as_slice()), (self.stream, stream), (self.timestamp, entry.time.as_bytes())] {
            if let Some(id) = id {
                slots.set(id, text);
            }
        }
        draft.time = time;
        draft.labels = labels;
        draft.replace(line);
        Flow::Next
    }

    /// The values of a line that is sent without its last piece.
    pub(crate) fn fill_unfinished(&self, slots: &mut Slots, stream: &[u8], log: &[u8]) {
        for (id, text) in [(self.stream, stream), (self.output, log)] {
            if let Some(id) = id {
                slots.set(id, text);
            }
        }
    }
}

fn take_apart<'l>(line: &'l [u8], minute: &mut RecentMinute) -> Option<(Entry<'l>, Timestamp)> {
    let entry = serde_json::from_slice::<Entry<'_>>(line).ok()?;
    let time = minute.read(entry.time.as_bytes())?;
    (entry.stream.len() <= STREAM_NAME_BYTES_MAX).then_some((entry, time))
}

#[cfg(test)]
mod tests;
